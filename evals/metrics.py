"""Metrics, ours: small, vectorised over people, and NaN where undefined (never a silent zero).

A ranking is given as `hits`, bool [people, depth]: is the item at this rank a held-out like? `relevant`, int [people],
counts the held-out likes. The rank metrics follow trec_eval (tests compare with `ir-measures` to 1e-9): NDCG with
binary gain and log2(rank + 1), AP divided by *all* relevant items, precision divided by k even where a list is shorter.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed


def ranking_metrics(hits: NDArray[np.bool_], relevant: NDArray[np.int64], k: int) -> dict[str, Floats]:
    """NDCG, recall, precision, F1, hit rate, MRR (reciprocal rank) and MAP (average precision) at k, each [people].

    A person without a held-out like has no right answer: every metric is NaN.
    """
    top = np.zeros((len(hits), k))
    top[:, : hits.shape[1]] = hits[:, :k]
    ranks = np.arange(1, k + 1)
    found = top.sum(axis=1)
    discount = 1.0 / np.log2(ranks + 1)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(relevant, k)]
    first = np.where(found > 0, top.argmax(axis=1) + 1, np.inf)
    precision_at = np.cumsum(top, axis=1) / ranks
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {
            "ndcg": top @ discount / ideal,
            "recall": found / relevant,
            "precision": found / k,
            "f1": 2 * found / (k + relevant),
            "hit": (found > 0).astype(float),
            "mrr": 1.0 / first,
            "map": (precision_at * top).sum(axis=1) / relevant,
        }
    undefined = relevant == 0
    return {f"{name}@{k}": np.where(undefined, np.nan, value) for name, value in values.items()}


def auc(liked: Sequence[float] | Floats, disliked: Sequence[float] | Floats) -> float:
    """Area under the ROC curve: the chance that a liked item scores above a disliked one, ties counting half.

    By ranks (Mann-Whitney U), O(n log n). NaN when either side is empty.
    """
    a, b = np.asarray(liked, float), np.sort(np.asarray(disliked, float))
    if not len(a) or not len(b):
        return float("nan")
    below = np.searchsorted(b, a, side="left")
    below_or_equal = np.searchsorted(b, a, side="right")
    return float((below + below_or_equal).sum() / (2.0 * len(a) * len(b)))


def accuracy(liked: Floats, disliked: Floats, threshold: float) -> float:
    """Share of one person's held-out likes and dislikes told apart by `score >= threshold`; NaN without both kinds."""
    if not len(liked) or not len(disliked):
        return float("nan")
    return float(((liked >= threshold).sum() + (disliked < threshold).sum()) / (len(liked) + len(disliked)))


def best_threshold(liked: Floats, disliked: Floats) -> float:
    """The threshold with the most correct like / dislike calls (on validation people); 0.5 when a side is empty."""
    if not len(liked) or not len(disliked):
        return 0.5
    liked, disliked = np.sort(liked), np.sort(disliked)
    cuts = np.unique(np.concatenate([liked, disliked]))
    cuts = np.append(cuts, np.nextafter(cuts[-1], np.inf))
    right = len(liked) - np.searchsorted(liked, cuts) + np.searchsorted(disliked, cuts)
    return float(cuts[right.argmax()])


def coverage(top: NDArray[np.integer], items: int) -> float:
    """Share of `items` items that appear in anyone's list. `top` int [people, k], -1 where a list is shorter."""
    return len(np.unique(top[top >= 0])) / items if items and (top >= 0).any() else float("nan")


def gini(top: NDArray[np.integer], items: int) -> float:
    """Gini index of how often each of `items` items is shown: 0 all alike, towards 1 all lists are one item."""
    shown = top[top >= 0]
    if not len(shown) or not items:
        return float("nan")
    _, times = np.unique(shown, return_counts=True)
    counts = np.sort(np.concatenate([np.zeros(items - len(times)), times]))
    return float((2 * np.arange(1, items + 1) - items - 1) @ counts / (items * counts.sum()))


def _row_means(top: NDArray[np.integer], per_item: Floats) -> Floats:
    """Mean of `per_item` over each list, [people]; NaN for an empty list."""
    inside = top >= 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(inside, per_item[np.maximum(top, 0)], 0.0).sum(axis=1) / inside.sum(axis=1)


def popularity_metrics(
    top: NDArray[np.integer], profiles: Sequence[NDArray[np.integer]], counts: NDArray[np.integer], people: int
) -> dict[str, Floats]:
    """How popular a list is, each [people]; NaN throughout where there is no behaviour at all.

    `popularity_rank`: mean rank of its items by popularity (1 is the most popular; ties share their mean rank).
    `log_popularity_difference`: mean ln(1 + likes) of the list minus that of what was revealed; NaN with nothing.
    `novelty`: mean self-information -log2 p(item), with p = (likes + 1) / (people + 2) so that an item nobody
    knows has a finite novelty (Vargas and Castells 2011, smoothed). `counts` int [items]: likes of the warm `people`.
    """
    if not counts.any():
        nothing = np.full(len(top), np.nan)
        return dict.fromkeys(("popularity_rank", "log_popularity_difference", "novelty"), nothing)
    ascending = np.sort(counts)
    above = len(counts) - np.searchsorted(ascending, counts, side="right")
    level = np.searchsorted(ascending, counts, side="right") - np.searchsorted(ascending, counts, side="left")
    logs = np.log1p(counts)
    own = np.array([logs[p].mean() if len(p) else np.nan for p in profiles])
    return {
        "popularity_rank": _row_means(top, above + (level + 1) / 2),
        "log_popularity_difference": _row_means(top, logs) - own,
        "novelty": _row_means(top, -np.log2((counts + 1) / (people + 2))),
    }


def intra_list_diversity(top: NDArray[np.integer], vectors: Sparse) -> Floats:
    """1 - mean cosine over the pairs of each list, [people]; NaN below two items. `vectors` csr [items, dim], length 1.

    Uses |sum x|^2 = n + 2 * (sum of pairwise cosines), so no pair is ever formed. An item with an empty vector is
    like nothing: it counts as orthogonal to the rest.
    """
    from scipy.sparse import csr_matrix

    people, slots = np.nonzero(top >= 0)
    rows = csr_matrix((np.ones(len(people)), (people, top[people, slots])), shape=(len(top), vectors.shape[0]))
    total = _squares(rows @ vectors)
    self_products = rows @ _squares(vectors)
    n = np.bincount(people, minlength=len(top)).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n > 1, 1.0 - (total - self_products) / (n * (n - 1)), np.nan)


def _squares(matrix: Sparse) -> Floats:
    return np.asarray(matrix.multiply(matrix).sum(axis=1), float).ravel()


def calibration(
    top: NDArray[np.integer], profiles: Sequence[NDArray[np.integer]], genres: Sparse, alpha: float = 0.01
) -> Floats:
    """KL(p | q~) in nats of a list's categories q from the revealed profile's p (0: the same mix), [people].

    Steck, *Calibrated Recommendations*, RecSys 2018: q~ = (1 - alpha) q + alpha p. `genres` csr [items, categories],
    each row sums to 1 (an item's weight is shared by its categories) or to 0. NaN where either side has no category.
    """
    result = np.full(len(top), np.nan)
    for i, (ranked, profile) in enumerate(zip(top, profiles, strict=True)):
        ranked = ranked[ranked >= 0]
        if not len(profile) or not len(ranked):
            continue
        p, q = (np.asarray(genres[rows].sum(axis=0), float).ravel() for rows in (profile, ranked))
        if p.sum() and q.sum():
            p, q = p / p.sum(), q / q.sum()
            known = p > 0
            result[i] = float((p[known] * np.log(p[known] / ((1 - alpha) * q + alpha * p)[known])).sum())
    return result


def pool_metrics(
    hits: NDArray[np.bool_], relevant: NDArray[np.int64], in_pool: NDArray[np.int64], k: int
) -> dict[str, Floats]:
    """Where gold was lost, each [people]. `in_pool` int: held-out likes that reached the arm's candidate pool.

    `pool_recall`: share of the held-out likes in the pool (retrieval). `ndcg@k_in_pool`: NDCG as if only those
    existed (ranking, given retrieval); NaN when the pool holds none.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(relevant > 0, in_pool / relevant, np.nan)
    return {"pool_recall": recall, f"ndcg@{k}_in_pool": ranking_metrics(hits, in_pool, k)[f"ndcg@{k}"]}
