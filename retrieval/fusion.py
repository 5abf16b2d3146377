"""Many signals to one score: each made comparable, weighted by how much is known of the person, and added up.

The weights are one small table, [likes known, signal], that anybody can read in DIR/learned. They are learned on warm
people who are played as cold ones: all but k of their likes are hidden. The sum of signals, read as a log-odds, should
find the hidden ones (a conditional logit over the candidates: ListNet's top-one loss, Cao et al., ICML 2007); from
there coordinate ascent on NDCG@10 itself (Metzler and Croft, *Linear feature-based models for information retrieval*,
2007), which is worth 1 to 2 % more on ml-100k and lastfm-hetrec.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ROUNDS, HALVED, FLAT = 50, 12, 1e-6  # of Newton: steps, halvings of one, slope at which it ends


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Rows spread evenly over `count` of them, [min(count, most)]."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def standardise(values: NDArray[np.floating]) -> Floats:
    """Mean 0, deviation 1 over the last axis; zeros where nothing differs or anything is not finite."""
    values = np.asarray(values, np.float32)
    finite = np.isfinite(values).all(axis=-1, keepdims=True)
    values = np.where(finite, values, 0.0)
    spread = values.std(axis=-1, keepdims=True)
    centred = values - values.mean(axis=-1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-7)


def log_share(values: NDArray[np.floating], floor: float = 0.2) -> Floats:
    """ln(share + floor / n), mean 0 over the last axis [..., n]: non-negative scores as smoothed log-probabilities.

    Negative scores count as 0.
    """
    shares = np.maximum(np.asarray(values, np.float32), 0)
    shares = shares / np.maximum(shares.sum(axis=-1, keepdims=True), 1e-9)
    logs = np.log(shares + np.float32(floor / max(1, shares.shape[-1])))
    return logs - logs.mean(axis=-1, keepdims=True)


@dataclass(frozen=True)
class Weights:
    """`table` float [knots, names]: the weight of each signal when `knots` likes are known (ascending)."""

    names: tuple[str, ...]
    knots: tuple[int, ...]
    table: tuple[tuple[float, ...], ...]

    def at(self, known: int) -> dict[str, float]:
        """Between two knots linear in ln(likes), beyond the ends as at the ends."""
        place = np.log(np.maximum(known, 0.5))
        at = np.log(np.maximum(self.knots, 0.5))
        columns = np.asarray(self.table, float).reshape(len(self.knots), len(self.names)).T
        return {name: float(np.interp(place, at, column)) for name, column in zip(self.names, columns, strict=True)}

    def given(self, **weights: float) -> "Weights":
        """The same table with these weights for these signals at every knot."""
        table = (tuple(weights.get(n, w) for n, w in zip(self.names, row, strict=True)) for row in self.table)
        return Weights(self.names, self.knots, tuple(table))

    def without(self, *names: str) -> "Weights":
        """The same table with these signals at 0 (for ablations)."""
        return self.given(**dict.fromkeys(names, 0.0))


@dataclass(frozen=True)
class Lesson:
    """People played as cold: `signals` name -> [people, candidates]; `hidden` bool of the same shape: a hidden like;
    `total` int [people]: hidden likes, those outside the candidates included."""

    signals: Mapping[str, Floats]
    hidden: NDArray[np.bool_]
    total: NDArray[np.int64]


def learn(lessons: Sequence[Lesson], names: Sequence[str]) -> dict[str, float]:
    """Non-negative weights of the signals `names`; all 0 if no hidden like is among the candidates of anybody.

    Candidates stand best first; lessons are cut to the candidates of the shortest.
    """
    stacks, hidden, total = [], [], []
    width = min((lesson.hidden.shape[1] for lesson in lessons), default=0)
    for lesson in lessons:
        use = lesson.hidden[:, :width].any(axis=1)
        if use.any():
            stacks.append(np.stack([lesson.signals[name][use, :width] for name in names], axis=2).astype(np.float32))
            hidden.append(lesson.hidden[use, :width])
            total.append(lesson.total[use])
    if not stacks:
        return dict.fromkeys(names, 0.0)
    x, found = np.concatenate(stacks), np.concatenate(hidden)
    silent = (x.std(axis=1) < 1e-6).all(axis=0)  # what says the same of every candidate teaches no weight
    weights = np.zeros(len(names))
    if not silent.all():
        x = np.ascontiguousarray(x[:, :, ~silent])
        weights[~silent] = _ascend(x, found, np.concatenate(total), _logit(x, found))
    return {name: float(w) for name, w in zip(names, weights, strict=True)}


def _logit(x: Floats, hidden: NDArray[np.bool_], ridge: float = 1e-3) -> NDArray[np.float64]:
    """The least mean over people of -sum(share of the hidden * ln softmax(x @ weights)), weights not below 0.

    `x` [people, candidates, names]. Projected Newton: Bertsekas, SIAM J. Control and Optimization 20(2), 1982.
    """
    y = hidden / hidden.sum(axis=1, keepdims=True, dtype=np.float32)
    flat, people, names = x.reshape(-1, x.shape[2]), len(x), x.shape[2]
    wanted = y.ravel() @ flat / people

    def loss(weights: NDArray[np.float64]) -> tuple[float, Floats]:
        """And the share of each candidate, [people, candidates]."""
        z = (flat @ weights.astype(np.float32)).reshape(y.shape)
        z -= z.max(axis=1, keepdims=True)
        odds = np.exp(z)
        total = odds.sum(axis=1, keepdims=True)
        value = float(np.log(total).sum(dtype=np.float64) - (y * z).sum(dtype=np.float64)) / people
        return ridge * float(weights @ weights) + value, odds / total

    weights = np.full(names, 1.0 / names)
    value, share = loss(weights)
    for _ in range(ROUNDS):
        slope = 2 * ridge * weights - wanted + share.ravel() @ flat / people
        free = (weights > 0) | (slope < 0)
        if not free.any() or np.abs(slope[free]).max() < FLAT:
            break
        mean = np.einsum("pc,pcn->pn", share, x)
        curve = ((flat * share.reshape(-1, 1)).T @ flat - mean.T @ mean) / people
        curve = curve[np.ix_(free, free)] + 2 * ridge * np.eye(int(free.sum()))
        step = np.zeros(names)
        step[free] = -np.linalg.solve(curve, slope[free])
        for halved in range(HALVED):
            moved = np.maximum(weights + step / 2**halved, 0)
            after, share = loss(moved)
            if after < value:
                break
        else:
            break
        weights, value = moved, after
    return weights


def _ascend(
    x: Floats, hidden: NDArray[np.bool_], total: NDArray[np.int64], weights: NDArray[np.float64], rounds: int = 3
) -> NDArray[np.float64]:
    """Change one weight at a time to the best of a few multiples of it, or 0, while mean NDCG@10 rises."""
    z = x @ weights.astype(np.float32)
    best = ndcg(z, hidden, total).mean()
    least = 0.02 * float(weights.sum()) + 1e-6
    for _ in range(rounds):
        before = best
        for i in range(x.shape[2]):
            for factor in (0.0, 0.25, 0.5, 0.7, 0.85, 1.2, 1.5, 2.0, 4.0):
                moved = factor * max(weights[i], least)
                now = z + np.float32(moved - weights[i]) * x[:, :, i]
                value = ndcg(now, hidden, total).mean()
                if value > best + 1e-5:
                    best, z, weights = value, now, np.concatenate([weights[:i], [moved], weights[i + 1 :]])
        if best - before < 1e-4:
            break
    return weights


def ndcg(scores: NDArray[np.floating], hidden: NDArray[np.bool_], total: NDArray[np.int64], k: int = 10) -> Floats:
    """NDCG@k of each person, [people], binary gain; `total` relevant items, some perhaps not among the candidates."""
    k = min(k, scores.shape[1])
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    gain = np.take_along_axis(hidden, np.take_along_axis(top, order, axis=1), axis=1)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[1.0], np.cumsum(discount)])[np.minimum(total, k)]
    return np.asarray(gain @ discount / ideal, np.float32)
