"""What a service remembers: each text is embedded once, each list made once, and nothing outlives an erasure."""

from collections.abc import Sequence

import numpy as np
import pytest
from snowmelt.agent.after import OFF, After
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.service.caches import Cache, Lists, RememberingEmbedder
from snowmelt.agent.service.rooms import Rooms
from snowmelt.agent.types import Entry, Profile
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.embedding import Embedder, Vectors

WARM = Profile(likes=(Entry(text="a warm evening", evidence="I like a warm evening"),))


class Counting:
    """The real embedder, and what it was asked."""

    def __init__(self, embedder: Embedder) -> None:
        self.id, self.spec, self.dim, self._embedder = embedder.id, embedder.spec, embedder.dim, embedder
        self.asked: list[str] = []

    def documents(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.documents(texts)

    def queries(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return self._embedder.queries(texts)


def test_a_text_is_embedded_once(films: Catalogue) -> None:
    counting = Counting(films.embedder)
    remembering = RememberingEmbedder(counting)
    texts = ["quiet", "安静", "quiet", "\ud800 half a character"]
    np.testing.assert_allclose(remembering.queries(texts), films.embedder.queries(texts), atol=1e-6)
    two = ["安静", "new"]
    np.testing.assert_allclose(remembering.queries(two), films.embedder.queries(two), atol=1e-6)
    assert counting.asked == ["quiet", "安静", "\ud800 half a character", "new"]
    assert remembering.queries([]).shape == (0, films.embedder.dim)
    remembering.cache.clear()
    remembering.queries(["quiet"])
    assert counting.asked[-1] == "quiet"


def test_what_was_used_least_recently_or_is_too_old_goes() -> None:
    cache = Cache[int](2)
    a, b, c = (cache.key(text) for text in "abc")
    assert a != Cache[int](2).key("a")  # nobody who reads one process's memory can look a word up in another's
    cache.put(a, 1)
    cache.put(b, 2)
    assert cache.get(a) == 1
    cache.put(c, 3)
    assert (cache.get(a), cache.get(b), cache.get(c)) == (1, None, 3)
    old = Cache[int](2, life=-1)
    old.put(old.key("a"), 1)
    assert old.get(old.key("a")) is None


def test_a_list_is_made_once_for_the_same_question(films: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    made, degraded = [], False
    real = Recommender.ranked

    def ranked(self: Recommender, profile: Profile, limit: int, after: After | None = None):
        made.append((limit, after))
        return real(self, profile, limit, after)[0], degraded

    monkeypatch.setattr(Recommender, "ranked", ranked)
    recommender, lists = Recommender(films, None), Lists()
    first = lists.ranked(recommender, WARM, 3, OFF)
    assert lists.ranked(recommender, WARM, 3, OFF) == first == (real(recommender, WARM, 3, OFF)[0], False)
    assert len(made) == 1
    lists.ranked(recommender, WARM, 4, OFF)
    lists.ranked(recommender, WARM, 3, After(discovery=1))
    lists.ranked(recommender, WARM.model_copy(update={"seen": (films.ids[0],)}), 3, OFF)
    assert len(made) == 4
    for after in (After(exploration=0.5), After(exploration=0.5)):  # luck is drawn anew
        lists.ranked(recommender, WARM, 3, after)
    assert len(made) == 6
    lists.clear()
    degraded = True
    for _ in range(2):
        assert lists.ranked(recommender, WARM, 3, OFF)[1]
    assert len(made) == 8


def test_a_room_forgets(films: Catalogue) -> None:
    rooms = Rooms([f"films={films.folder.parent}"], None, 4.0)
    [room] = rooms.all
    embedder = room.plain.catalogue.embedder
    assert isinstance(embedder, RememberingEmbedder) and room.recommender.vocabulary.catalogue.embedder is embedder
    room.lists.ranked(room.plain, WARM, 3, OFF)
    assert embedder.cache.get(embedder.cache.key("a warm evening")) is not None
    room.forget()
    assert embedder.cache.get(embedder.cache.key("a warm evening")) is None
    rooms.close()
