"""What comes after ranking: each switch moves what it says it moves, and nothing is lost or doubled."""

import numpy as np
import pytest
from snowmelt.agent.after import OFF, After, arrange, in_order
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Entry, Profile
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.items import Item


def likes(catalogue: Catalogue, *ids: str) -> Profile:
    return Profile(likes=tuple(Entry(text=i, item_id=i, evidence=i) for i in ids))


@pytest.fixture(scope="module")
def front(films: Catalogue) -> tuple[list[int], np.ndarray, np.ndarray]:
    """(rows, scores, popularity): the most popular first, as a ranking by popularity has it."""
    rng = np.random.default_rng(0)
    popularity = rng.uniform(0, 4, len(films.ids)).astype(np.float32)
    rows = np.argsort(-popularity)
    return rows.tolist(), popularity[rows] + rng.normal(0, 1.0, len(rows)).astype(np.float32), popularity


def listed(films: Catalogue, front, after: After, profile: Profile, limit: int = 10) -> list[int]:
    rows, scores, popularity = front
    order = np.argsort(-scores)
    rows, scores = [rows[i] for i in order], scores[order]
    found = arrange(after, films, profile, rows, scores, limit, popularity)
    assert sorted(found) == list(range(len(rows)))
    lowered = in_order(scores, found)
    assert (np.diff(lowered) <= 0).all() and (lowered <= scores[found]).all()
    return [rows[i] for i in found[:limit]]


def test_the_dial_takes_the_popularity_out_of_a_list_and_leaves_the_order(films, front) -> None:
    _, _, popularity = front
    plain = [films.ids[i] for i in np.argsort(np.abs(popularity - np.median(popularity)))[:3]]
    profile = likes(films, *plain)
    own = popularity[[films.rows[i] for i in plain]].mean()
    mean = {d: popularity[listed(films, front, After(discovery=d), profile)].mean() for d in (0.0, 0.25, 0.5, 1.0)}
    assert mean[0.0] > mean[0.25] > mean[0.5] >= mean[1.0] and mean[0.5] == pytest.approx(own, abs=0.3)
    famous = films.ids[int(popularity.argmax())]  # who likes the famous gets the famous
    assert listed(films, front, After(), likes(films, famous)) == listed(films, front, OFF, likes(films, famous))
    assert listed(films, front, After(), Profile()) == listed(films, front, OFF, Profile())


def test_diversity_and_calibration_move_the_list_their_way(films, front) -> None:
    comedies = [i for i in films.ids if "comedy" in films.items[films.rows[i]].attributes.get("genres", ())]
    profile = likes(films, *comedies[:6])

    def alike(rows: list[int]) -> float:
        return float((films.vectors[rows] @ films.vectors[rows].T).mean())

    def comic(rows: list[int]) -> float:
        return float(np.mean(["comedy" in films.items[r].attributes.get("genres", ()) for r in rows]))

    plain = listed(films, front, OFF, profile)
    assert alike(listed(films, front, After(discovery=0, diversity=0.8), profile)) < alike(plain) - 0.02
    assert comic(listed(films, front, After(discovery=0, calibration=0.8), profile)) > comic(plain)


def test_exploration_is_luck_and_lets_in_what_few_have_met(films, front) -> None:
    _, _, popularity = front
    lists = [listed(films, front, After(discovery=0, exploration=1, seed=s), Profile()) for s in range(5)]
    assert lists[0] == listed(films, front, After(discovery=0, exploration=1, seed=0), Profile())
    assert len({tuple(found) for found in lists}) == 5
    assert popularity[np.concatenate(lists)].mean() < popularity[listed(films, front, OFF, Profile())].mean()


@pytest.mark.parametrize("wrong", [{"discovery": 1.5}, {"diversity": -0.1}, {"calibration": float("nan")}])
def test_what_is_no_share_is_refused(wrong) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))} .*: must be from 0 to 1"):
        After(**wrong)


class Same:
    """An embedder for which all tea is one tea."""

    id, spec, dim = "same", "same", 4

    def documents(self, texts):
        rows = np.array([[t.lower().count("tea"), 0.2 * t.count("cup"), 0.1, 0] for t in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    queries = documents


def test_a_twin_comes_last_and_is_never_dropped(tmp_path) -> None:
    items = [Item("a", "Green tea"), Item("b", "green Tea!"), Item("c", "Black tea"), Item("d", "Tea cup", "cup cup")]
    build(items, tmp_path, Same())
    made = Recommender.open(tmp_path, embedder=Same())
    profile = likes(made.catalogue, "a")
    assert [r.item.id for r in made.recommend(profile, 3)][-1] == "b"
    assert "b" not in [r.item.id for r in made.recommend(profile, 2)]
    one = made.recommend(Profile(likes=(Entry(text="tea", evidence="tea"),)), 4)
    assert one[-1].item.id in "ab" and {r.item.id for r in one} == set("abcd")
    assert one[-1].score == pytest.approx(sum(one[-1].signals.values()), abs=1e-3)
