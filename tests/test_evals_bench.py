"""The bench for tuning gives the figures that the guarded run gives, on the stage that was asked for."""

from pathlib import Path

import pytest

pytest.importorskip("scipy.sparse", reason="pip install snowmelt[eval]")
pytest.importorskip("sklearn", reason="pip install snowmelt[eval]")

import numpy as np
from evals_world import ndcg, world
from snowmelt.evals import arms, evaluate, splits
from snowmelt.evals.bench import prepare
from snowmelt.evals.loading import load
from snowmelt.retrieval import prior


@pytest.fixture(scope="module")
def taste(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world(tmp_path_factory.mktemp("data") / "taste", clusters=5)


def test_a_bench_on_the_test_people_agrees_with_the_run(taste: Path):
    result = evaluate(taste, arms=["ease(regularisation=100)"], reveal=[1, 3])
    tried = prepare(taste, on="test", reveal=[1, 3]).run(arms.ease, regularisation=100)
    for reveal in (1, 3):
        assert tried[reveal].ndcg() == pytest.approx(
            ndcg(result, "ease(regularisation=100)", reveal)["mean"], abs=1e-12
        )


def test_validation_people_are_others_and_nobody_warm(taste: Path):
    bench, final = prepare(taste), splits.make(load(taste), "user").final
    asked = {person.user for person in bench.people}
    assert asked and not asked & {person.user for person in final.people}
    assert bench.train.people == 150 - 30 - len(asked)
    assert bench.levels[1].people[0].user in asked
    with pytest.raises(ValueError, match="no validation"):
        prepare(taste, split="scene")


def test_a_conversation_can_be_tried_at_the_bench(taste: Path):
    bench = prepare(taste, split="conversation", reveal=[0, 2])
    results = bench.score(arms.popularity(bench.train))
    assert results[0].ndcg() == results[2].ndcg() and len(results[0].people) == len(bench.people)


def test_ease_is_the_same_model_on_either_side():
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    likes = csr_matrix((rng.random((40, 90)) < 0.1).astype(np.float32))
    liked = csr_matrix((rng.random((5, 90)) < 0.04).astype(np.float32))
    for strength in (1.0, 100.0):
        by_items, by_people = (
            liked @ prior.ease(likes, strength),
            arms._ease_by_people(likes, strength, block=32)(liked),
        )
        hidden = liked.toarray() == 0
        assert np.abs(by_items - by_people)[hidden].max() < 1e-5 * np.abs(by_items).max()
