"""Our arms: one fit where there are no times, two kinds of weights where there are."""

import numpy as np
import pytest
from snowmelt.evals import ours
from snowmelt.evals.bench import prepare
from snowmelt.evals.data import Dataset

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
