"""What arrives after a fit is taken up at once, and is what a fit on everything would have found."""

import shutil

import numpy as np
import pytest
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Entry, Profile
from snowmelt.retrieval import arrivals, fitting
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.inheriting import fit_map
from snowmelt.retrieval.items import Item
from snowmelt.retrieval.learned import fit_behaviour
from test_learned import Letters, kind

sparse = pytest.importorskip("scipy.sparse", reason="pip install snowmelt[fit]")
pytest.importorskip("implicit", reason="pip install snowmelt[fit]")


ITEMS = [Item(f"i{i}", f"{kind(i)} number {i}", "", {"kind": (kind(i),)}) for i in range(30)]


def town(people: int, seed: int) -> list[list[str]]:
    """Likes of people who like their half, the low numbers most; 26..29 are new."""
    rng = np.random.default_rng(seed)
    return [
        [f"i{i}" for i in range(26) if rng.random() < (0.9 if i % 2 == person % 2 else 0.1) / (1 + i / 20)]
        for person in range(people)
    ]


def tell(directory, lists: list[list[str]]) -> None:
    for own in lists:
        for n, item in enumerate(own):
            arrivals.record(directory, own[:n], item)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Catalogue:
    folder = tmp_path_factory.mktemp("town") / "shop"
    build(ITEMS, folder, Letters())
    catalogue = Catalogue.open(folder, Letters())
    fitting.fit_catalogue(catalogue, people=town(80, 0))
    return catalogue


@pytest.fixture
def fresh(shop: Catalogue, tmp_path) -> Catalogue:
    shutil.copytree(shop.dir, tmp_path / "shop")
    return Catalogue.open(tmp_path / "shop", Letters())


def test_counts_are_those_of_a_fit_on_everything(fresh: Catalogue) -> None:
    before, more = town(80, 0), town(25, 1)
    tell(fresh.dir, more)
    got = fitting.load(fresh)
    assert got is not None
    lists = [[fresh.rows[i] for i in own] for own in [*before, *more]]
    X = sparse.lil_matrix((len(lists), 30), dtype=np.float32)
    for person, own in enumerate(lists):
        X[person, own] = 1
    wanted = fit_behaviour(X.tocsr(), got.behaviour.rows)
    np.testing.assert_allclose(got.behaviour.likes, wanted.likes)
    np.testing.assert_allclose(got.behaviour.neighbours.toarray(), wanted.neighbours.toarray(), atol=2e-3)
    np.testing.assert_allclose(got.behaviour.lift.toarray(), wanted.lift.toarray(), atol=5e-3)
    for share, mass in got.behaviour.aspects:
        assert share.sum(axis=1) == pytest.approx(1, abs=1e-4) and mass.sum() == pytest.approx(1, abs=1e-4)


def test_taking_back_leaves_nothing(fresh: Catalogue) -> None:
    plain = fitting.load(fresh)
    more = town(6, 2)
    tell(fresh.dir, more)
    arrivals.record(fresh.dir, [], "i3", skip=True)
    for own in more:
        for n in reversed(range(len(own))):
            arrivals.record(fresh.dir, own[:n], own[n], back=True)
    arrivals.record(fresh.dir, [], "i3", skip=True, back=True)
    came = arrivals.read(fresh.dir)
    assert not came.items and not came.pairs and came.people == 0 and came.weight == pytest.approx(0, abs=1e-9)
    got = fitting.load(fresh)
    assert plain is not None and got is not None
    np.testing.assert_allclose(got.behaviour.likes, plain.behaviour.likes)


def test_a_new_item_has_behaviour_on_its_first_day_and_skips_take_it_away(fresh: Catalogue) -> None:
    recommender = Recommender(fresh, None)
    profile = Profile(likes=(Entry(text="tea", item_id="i1", evidence="tea"),))

    def place(id_: str) -> int:
        return [r.item.id for r in recommender.recommend(profile, 29)].index(id_)

    before = place("i27")
    for _ in range(39):
        arrivals.record(fresh.dir, ["i1"], "i27")
    recommender.feedback(profile, "i27", "like")
    assert place("i27") < before and place("i27") <= 2
    assert recommender.learned is not None and fresh.rows["i27"] in recommender.learned.behaviour.rows
    for _ in range(199):
        arrivals.record(fresh.dir, [], "i27", skip=True)
    recommender.feedback(profile, "i27", "dislike")
    assert place("i27") > 2


def test_another_process_hears_of_it_and_a_fit_begins_anew(fresh: Catalogue) -> None:
    reader = Recommender(fresh, None)
    assert reader.fresh() is reader
    arrivals.record(fresh.dir, ["i1"], "i27")
    newer = reader.fresh()
    assert newer is not reader and newer.fresh() is newer and newer.vocabulary is reader.vocabulary
    fitting.fit_catalogue(fresh, people=town(40, 3))
    assert newer.fresh() is not newer
    assert arrivals.read(fresh.dir, since=2).items == {}
    assert fitting.roll_back(fresh.dir) == "v-1"
    assert arrivals.read(fresh.dir, since=1).items == {"i27": (1.0, 0.0)}


def test_no_person_and_no_word_is_kept(fresh: Catalogue) -> None:
    profile = Profile(likes=(Entry(text="CANARY words", evidence="CANARY"),))
    Recommender(fresh, None).feedback(profile, "i2", "like")
    assert b"CANARY" not in (fresh.dir / "learned" / "arrivals.db").read_bytes()


def test_a_like_is_taken_up_from_memory_and_the_map_grows_as_a_new_one_would(fresh: Catalogue, monkeypatch) -> None:
    recommender = Recommender(fresh, None)
    before = recommender.learned
    assert before is not None
    new = [f"i{i}" for i in range(26, 30) if i not in before.behaviour.rows]
    monkeypatch.setattr(fitting, "stored", lambda *_: pytest.fail("the version was read again"))
    for person in range(3):
        liked = Profile(likes=(Entry(text="x", item_id=f"i{person * 2}"),))
        recommender.feedback(liked, new[0], "like")
    after = recommender.learned
    assert after is not None and fresh.rows[new[0]] in after.behaviour.rows
    whole = fit_map(after.content.features(), after.behaviour.rows, after.new_rows)
    scores = after.behaviour.likes
    np.testing.assert_allclose(after.map(scores), whole(scores), rtol=1e-3, atol=1e-4)
