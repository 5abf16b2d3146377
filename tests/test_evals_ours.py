"""Our arms: one fit where there are no times, two kinds of weights where there are."""

import numpy as np
import pytest
from snowmelt.agent.familiarity import Familiarity
from snowmelt.evals import arms, map_arm, ours
from snowmelt.evals.bench import prepare
from snowmelt.evals.data import Dataset
from snowmelt.evals.systems import Answer, Case, Scores

pytest.importorskip("implicit", reason="pip install snowmelt[fit]")


def world(clock: float) -> Dataset:
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((150, 40)) < np.linspace(0.7, 0.1, 40))
    records = tuple({"id": f"i{i}", "title": f"thing {i}", "categories": [f"c{i % 3}"]} for i in range(40))
    ones = np.ones(len(user), np.float32)
    time = clock + rng.random(len(user)) * 1e6
    return Dataset("world", records, tuple(f"u{u}" for u in range(150)), user.astype(np.int32), item.astype(np.int32),
                   ones, time)  # fmt: skip


@pytest.mark.parametrize(("clock", "fits"), [(0.0, 1), (1e9, 2)])
def test_settings_that_change_nothing_are_fitted_once(clock: float, fits: int, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(ours, "_vectors", lambda train: np.eye(40, dtype=np.float32))
    bench = prepare(world(clock), reveal=(1,), cache=tmp_path)
    assert bench.train.has_clock == (clock > 0)
    scorers = {id(ours.snowmelt_no_llm(bench.train).learned) for _ in range(2)}  # type: ignore[attr-defined]
    grid = [ours.replace(bench.train, settings=s) for s in ours.snowmelt_no_llm.grid]  # type: ignore[attr-defined]
    kept = [ours.snowmelt_no_llm(train).learned for train in grid]  # type: ignore[attr-defined]
    assert len(scorers) == 1 and len({id(one) for one in kept}) == fits
    assert all(result.ndcg() > 0.2 for result in bench.score(ours.snowmelt_no_llm(grid[1])).values())


def test_a_model_that_does_not_know_such_titles_changes_nothing(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(ours, "_vectors", lambda train: np.eye(40, dtype=np.float32))
    train, noise = prepare(world(0.0), reveal=(1,), cache=tmp_path).train, np.linspace(-1, 1, 40, dtype=np.float32)

    def learned(weight: float):
        return ours._scorer(train, Familiarity(noise, weight, "things")).learned  # type: ignore[attr-defined]

    assert learned(0.0) is ours.snowmelt_no_llm(train).learned  # type: ignore[attr-defined]
    assert learned(1.0).content.familiarity.any()


def scored(given: Scores) -> np.ndarray:
    assert isinstance(given, Answer)
    return np.asarray(given.scores)


def test_the_map_alone_gives_new_items_what_their_content_foretells(monkeypatch, tmp_path) -> None:
    angles = np.linspace(0, np.pi / 2, 40)  # the text tells the place in the order of popularity
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    monkeypatch.setattr(map_arm, "item_vectors", lambda train: vectors)
    train = prepare(world(0.0), split="item", reveal=(1,), cache=tmp_path).train
    new = np.setdiff1d(np.arange(40), train.item)
    case = Case(0, (train.ids[train.item[0]],))
    scores = scored(map_arm.content_map(train)(case))
    place = np.array([int(r["title"].split()[1]) for r in train.records])
    assert len(new) > 4 and np.corrcoef(scores[new], place[new])[0, 1] < -0.8
    known = scored(arms.ease(train)(case))
    assert scores[train.item] == pytest.approx(known[train.item], abs=1e-5)
