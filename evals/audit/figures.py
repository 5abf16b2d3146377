"""Figures of an audit: means with 95 % intervals, verdicts against a target, and how alike two lists are."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from snowmelt.evals.statistics import BOOTSTRAPS, interval

Figure = dict[str, Any]  # mean, low, high (None: undefined), n
Part = dict[str, Any]  # figures by name; `targets`, `tables` (caption -> rows), `pictures` (SVG), `notes`


def figure(values: ArrayLike, seed: int = 0) -> Figure:
    """Mean of one value per person; what is NaN is left out, and nothing at all is None, never 0."""
    told = interval(np.asarray(values, float), seed) if np.size(values) else None
    if told is None or not told.n:
        return {"mean": None, "low": None, "high": None, "n": 0}
    return {"mean": told.mean, "low": _finite(told.low), "high": _finite(told.high), "n": told.n}


def paired(values: ArrayLike, *clusters: Sequence[Any], seed: int = 0) -> Figure:
    """Mean of paired differences whose pairs share people, items, texts: for each way of `clusters` whole clusters are
    resampled (Field and Welsh, *Bootstrapping clustered data*, 2007), and the widest of the intervals is told."""
    table = np.asarray(values, float)
    known = ~np.isnan(table)
    table = table[known]
    if not len(table):
        return {"mean": None, "low": None, "high": None, "n": 0}
    low = high = None
    for way in clusters:
        _, which = np.unique(np.array([str(one) for one in way])[known], return_inverse=True)
        sums, counts = np.bincount(which, weights=table), np.bincount(which)
        if len(sums) < 2:
            continue
        rng = np.random.default_rng([seed, len(sums), 0xC1])
        drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=BOOTSTRAPS)
        means = (drawn @ sums) / np.maximum(drawn @ counts, 1)
        a, b = (float(v) for v in np.percentile(means, [2.5, 97.5]))
        if low is None or high is None or b - a > high - low:
            low, high = a, b
    return {"mean": float(table.mean()), "low": low, "high": high, "n": len(table)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def verdict(told: Figure | float | None, target: str) -> str:
    """ "met", "missed" or "not sure" (the interval reaches over the line); "not measured" without a figure.

    `target` is "<= 0.01", ">= 0.9", "= 0", or "not > 0": the interval reaches down to it.
    """
    sign, _, number = target.rpartition(" ")
    if isinstance(told, dict):
        mean, low, high = told["mean"], told["low"], told["high"]
    else:
        mean, low, high = told, None, None
    if mean is None:
        return "not measured"
    line = float(number)
    if sign == "not >":
        return "met" if (mean if low is None else low) <= line else "missed"
    if sign == "=":
        return "met" if abs(mean - line) < 1e-9 else "missed"
    far = (high if sign == "<=" else low) if low is not None and high is not None else mean
    inside = {"<=": lambda v: v <= line + 1e-12, ">=": lambda v: v >= line - 1e-12}[sign]
    return "missed" if not inside(mean) else "met" if inside(far) else "not sure"


def jaccard(a: Sequence[str], b: Sequence[str]) -> float:
    """Shared items of all items of two lists; two empty lists are the same."""
    return len(set(a) & set(b)) / len(set(a) | set(b)) if a or b else 1.0


def serp(neutral: Sequence[str], other: Sequence[str]) -> float:
    """SERP*@K of FaiRLLM (Zhang et al., arXiv 2305.07609, section 3.2): items of `other` that are in `neutral`, each
    weighted by its place in `other`, K for the first to 1 for the last, as a share of all weights."""
    if not other:
        return float(not neutral)
    weights = np.arange(len(other), 0, -1)
    return float(weights[[id_ in set(neutral) for id_ in other]].sum() / weights.sum())


def prag(neutral: Sequence[str], other: Sequence[str]) -> float:
    """PRAG*@K of FaiRLLM (section 3.2): share of the pairs of `other` whose order `neutral` agrees with (an item that
    is not in `neutral` stands behind all that are). Scaled so that the same list has 1; K = 1: equality."""
    if len(other) < 2:
        return float(list(neutral) == list(other))
    place = {id_: p for p, id_ in enumerate(neutral)}
    pairs = [(a, b) for i, a in enumerate(other) for b in other[i + 1 :]]
    return sum(a in place and place[a] < place.get(b, len(neutral)) for a, b in pairs) / len(pairs)


def ndcg_of(ranked: Sequence[str], gold: frozenset[str], k: int = 10) -> float:
    """NDCG@k of one list; NaN where nothing is held out."""
    if not gold:
        return float("nan")
    discount = 1 / np.log2(np.arange(2, k + 2))
    hits = np.array([id_ in gold for id_ in ranked[:k]], float)
    return float((hits * discount[: len(hits)]).sum() / discount[: min(k, len(gold))].sum())


def not_measured(why: str, *names: str) -> Part:
    """A part of which nothing could be measured: the names stay, without figures."""
    return {**{name: figure(()) for name in names}, "not_measured": why}
