"""How sure a figure is: bootstrap intervals, a paired permutation test, Holm's correction, effect sizes.

People are the unit of everything: they are resampled and their differences are flipped, never single items. Seeded, so
the same values give the same interval to the digit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BOOTSTRAPS = 2000
FLIPS = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `n` people with its 95% interval; NaN where nothing is defined (an interval needs two people)."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`a` minus `b` over the people of both. `p`: two-sided, paired. `effect`: Cohen's d_z (mean / deviation)."""

    difference: Estimate
    p: float
    effect: float
    wins: int
    ties: int
    losses: int


def intervals(values: ArrayLike, seed: int = 0, bootstraps: int = BOOTSTRAPS) -> list[Estimate]:
    """Percentile bootstrap (Efron and Tibshirani 1993, ch. 13) of each column's mean, `values` [people, columns].

    NaN entries are left out of the column they stand in, in every resample; `n` counts the rest. All columns share the
    resamples, drawn as multinomial counts in blocks so that 10,000 people stay within memory.
    """
    table = np.asarray(values, float)
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    people, columns = table.shape
    rng = np.random.default_rng([seed, people, 0xB007])
    means = np.full((bootstraps, columns), np.nan)
    block = max(1, 4_000_000 // max(people, 1))
    for start in range(0, bootstraps if people > 1 else 0, block):
        size = min(block, bootstraps - start)
        counts = rng.multinomial(people, np.full(people, 1.0 / people), size=size).astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            means[start : start + size] = (counts @ filled) / (counts @ known)
    result = []
    for j in range(columns):
        n = int(known[:, j].sum())
        drawn = means[~np.isnan(means[:, j]), j]
        low, high = np.percentile(drawn, [2.5, 97.5]) if n > 1 and len(drawn) else (np.nan, np.nan)
        mean = float(filled[:, j].sum() / n) if n else float("nan")
        result.append(Estimate(mean, float(low), float(high), n))
    return result


def interval(values: ArrayLike, seed: int = 0) -> Estimate:
    """`intervals` of one column."""
    return intervals(np.asarray(values, float)[:, None], seed)[0]


def permutation_p(differences: ArrayLike, seed: int = 0, flips: int = FLIPS) -> float:
    """Two-sided p of "the mean difference is zero": the paired sign-flip (Fisher randomisation) test.

    Exact over all 2^n sign patterns up to 13 people, else `flips` random ones with (hits + 1) / (flips + 1), so that p
    is never zero (Phipson and Smyth 2010). Smucker et al. (CIKM 2007) found this test the soundest for rankings. NaN
    with no differences; 1 when all are zero.
    """
    d = np.asarray(differences, float)
    d = d[~np.isnan(d)]
    if not len(d):
        return float("nan")
    observed = abs(d.sum())
    slack = 1e-12 * max(1.0, np.abs(d).sum())  # sums of the same numbers in another order differ in the last bits
    if len(d) <= 13:
        signs = 1 - 2 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1)
        return float((np.abs(signs @ d) >= observed - slack).mean())
    rng = np.random.default_rng([seed, len(d), 0xF11])
    hits, block = 0, max(1, 4_000_000 // len(d))
    for start in range(0, flips, block):
        signs = rng.integers(0, 2, size=(min(block, flips - start), len(d)), dtype=np.int8) * 2 - 1
        hits += int((np.abs(signs @ d) >= observed - slack).sum())
    return (hits + 1) / (flips + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjusted p values in the order given; NaN entries stay NaN and do not count."""
    known = sorted((p, i) for i, p in enumerate(p_values) if not np.isnan(p))
    adjusted = [float("nan")] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[i] = largest
    return adjusted


def compare(a: ArrayLike, b: ArrayLike, seed: int = 0) -> Comparison:
    """Paired comparison of the same people under two systems, [people] each; people NaN in either are left out."""
    d: NDArray[np.float64] = np.asarray(a, float) - np.asarray(b, float)
    d = d[~np.isnan(d)]
    spread = float(d.std(ddof=1)) if len(d) > 1 else float("nan")
    effect = float(d.mean() / spread) if spread > 0 else float("nan")
    wins, losses = int((d > 1e-12).sum()), int((d < -1e-12).sum())
    return Comparison(interval(d, seed), permutation_p(d, seed), effect, wins, len(d) - wins - losses, losses)


def holm_against(arms: Mapping[str, ArrayLike], baseline: str, seed: int = 0) -> dict[str, float]:
    """Holm-adjusted p of every other arm against `baseline`; `arms` name -> [people]."""
    names = [name for name in arms if name != baseline]
    raw = [compare(arms[name], arms[baseline], seed).p for name in names]
    return dict(zip(names, holm(raw), strict=True))
