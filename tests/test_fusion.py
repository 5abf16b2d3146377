"""Weights: learned where one signal is right, zero where it is noise, read from a table."""

import numpy as np
import pytest
from snowmelt.retrieval.fusion import Lesson, Weights, learn, log_share, ndcg, standardise

pytest.importorskip("scipy", reason="pip install snowmelt[fit]")


def lesson(people: int = 80, seed: int = 0) -> Lesson:
    rng = np.random.default_rng(seed)
    hidden = rng.random((people, 40)) < 0.1
    good = (hidden + rng.normal(0, 0.5, hidden.shape)).astype(np.float32)
    return Lesson({"good": good, "noise": rng.normal(0, 1, hidden.shape).astype(np.float32)}, hidden, hidden.sum(1))


def test_the_signal_that_is_right_gets_the_weight() -> None:
    found = learn([lesson(), lesson(seed=1)], ("good", "noise"))
    assert found["good"] > 1 and found["noise"] < 0.1 * found["good"]
    alone, both = lesson(seed=2), lesson(seed=2)
    fused = np.sum([found[name] * both.signals[name] for name in found], axis=0)
    equal = alone.signals["good"] + alone.signals["noise"]
    assert ndcg(fused, both.hidden, both.total).mean() > ndcg(equal, alone.hidden, alone.total).mean() + 0.1


def test_a_signal_that_is_wrong_is_not_used_backwards() -> None:
    one = lesson()
    found = learn([Lesson({"wrong": -one.signals["good"], "good": one.signals["good"]}, one.hidden, one.total)],
                  ("wrong", "good"))  # fmt: skip
    assert found["wrong"] == 0 < found["good"]


def test_nobody_to_learn_from_and_lists_of_different_length() -> None:
    one = lesson()
    nobody = Lesson(one.signals, np.zeros_like(one.hidden), one.total)
    assert learn([nobody], ("good", "noise")) == {"good": 0.0, "noise": 0.0}
    short = Lesson({n: v[:, :30] for n, v in one.signals.items()}, one.hidden[:, :30], one.total)
    assert learn([one, short], ("good", "noise"))["good"] > 1


def test_weights_between_and_beyond_the_knots() -> None:
    weights = Weights(("a", "b"), (1, 10), ((1.0, 0.0), (0.0, 2.0)))
    assert weights.at(0) == weights.at(1) == {"a": 1.0, "b": 0.0}
    assert weights.at(1000) == weights.at(10) == {"a": 0.0, "b": 2.0}
    assert weights.at(3)["b"] == pytest.approx(2 * np.log(3) / np.log(10))
    assert weights.without("a").at(1) == {"a": 0.0, "b": 0.0}


def test_ndcg_is_that_of_the_judge() -> None:
    from snowmelt.evals.metrics import ranking_metrics

    one = lesson()
    scores = one.signals["good"]
    order = np.argsort(-scores, axis=1)
    expected = ranking_metrics(np.take_along_axis(one.hidden, order, 1), one.total, 10)["ndcg@10"]
    some = one.total > 0
    assert ndcg(scores, one.hidden, one.total)[some] == pytest.approx(expected[some], abs=1e-6)


def test_signals_are_made_comparable() -> None:
    values = np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [1.0, np.nan, 2.0]])
    scaled = standardise(values)
    assert scaled[0] == pytest.approx([-1.2247, 0, 1.2247], abs=1e-4) and not scaled[1:].any()
    logs = log_share(np.array([3.0, 1.0, -2.0]))
    assert logs[0] > logs[1] > logs[2] and logs.mean() == pytest.approx(0, abs=1e-6)
    assert log_share(np.array([3.0, 1.0, 0.0])) == pytest.approx(logs)
