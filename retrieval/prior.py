"""What other people's behaviour says about an item: closed forms that the product and the judge share.

`X` is everywhere a csr matrix [people, items] of likes (1.0 where liked). Every model folds a new person in from the
items they like, without refitting. scipy is imported where it is needed.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed


def popularity(X: Sparse) -> Floats:
    """Likes of each item, float32 [items]."""
    return np.asarray(X.sum(axis=0), np.float32).ravel()


def recency_popularity(items: ArrayLike, times: ArrayLike, count: int, half_life: float) -> Floats:
    """Likes of each of `count` items, a like counting half for every `half_life` before the latest one, [count].

    `items` int [likes] rows, `times` [likes] in the unit of `half_life`. Exponential decay as in Koren, *Collaborative
    Filtering with Temporal Dynamics*, KDD 2009.
    """
    when = np.asarray(times, np.float64)
    if not len(when):
        return np.zeros(count, np.float32)
    weights = np.exp2((when - when.max()) / half_life)
    return np.bincount(np.asarray(items, np.int64), weights, minlength=count).astype(np.float32)


def ease(X: Sparse, regularisation: float = 100.0) -> Floats:
    """EASE: item weights B, float32 [items, items], zero diagonal. A person x scores `x @ B`.

    Steck, *Embarrassingly Shallow Autoencoders for Sparse Data*, WWW 2019: P = (X'X + lambda I)^-1, B = -P / diag(P).
    Memory is 8 bytes * items^2 at its peak and time grows with items^3: see `ease_items` for large catalogues.
    """
    from scipy.linalg import cho_factor, cho_solve

    gram = np.asarray((X.T @ X).todense(), np.float32)
    gram[np.diag_indices_from(gram)] += np.float32(regularisation)
    factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    inverse = cho_solve(factor, np.eye(len(gram), dtype=np.float32), overwrite_b=True, check_finite=False)
    weights = inverse / -np.diag(inverse)
    weights[np.diag_indices_from(weights)] = 0.0
    return np.ascontiguousarray(weights, np.float32)


def ease_items(X: Sparse, most: int = 10_000) -> NDArray[np.int64]:
    """Rows of the items that EASE is fitted on: all with behaviour, or the `most` popular (ties by row), ascending."""
    counts = popularity(X)
    ranked = np.argsort(-counts, kind="stable")[:most]
    return np.sort(ranked[counts[ranked] > 0])


def item_knn(X: Sparse, neighbours: int = 100, shrink: float = 10.0, block: int = 2048) -> Sparse:
    """Cosine similarity of co-liked items, csr float32 [items, items], the `neighbours` nearest of each row kept.

    sim(i, j) = |i and j| / (sqrt(|i| |j|) + shrink). Sarwar et al., WWW 2001; shrinkage: Bell and Koren, ICDM 2007.
    A person x scores `x @ S.T`. Built `block` items at a time, so memory stays at neighbours * items.
    """
    from scipy.sparse import csr_matrix, vstack

    columns = X.T.tocsr().astype(np.float32)
    norms = np.sqrt(popularity(X))
    parts = []
    for start in range(0, columns.shape[0], block):
        rows = (columns[start : start + block] @ X).tocsr()
        owner = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        rows.data /= norms[start + owner] * norms[rows.indices] + np.float32(shrink)
        rows.data[rows.indices == start + owner] = 0.0
        # Rank within each row: sort by (row, -similarity, item), so that ties are cut the same way every time.
        order = np.lexsort((rows.indices, -rows.data, owner))
        rank = np.arange(len(order)) - np.repeat(rows.indptr[:-1], np.diff(rows.indptr))
        keep = order[(rank < neighbours) & (rows.data[order] > 0)]
        parts.append(csr_matrix((rows.data[keep], (owner[keep], rows.indices[keep])), shape=rows.shape))
    return vstack(parts, format="csr", dtype=np.float32)


def cooccurrence(X: Sparse) -> Sparse:
    """Cosine of co-liked items, nothing cut, zero diagonal, csr float32 [items, items] (STAR's second half)."""
    from scipy.sparse import diags

    norms = np.sqrt(popularity(X))
    scale = diags(np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0))
    result = (scale @ (X.T @ X) @ scale).tocsr().astype(np.float32)
    result.setdiag(0)
    result.eliminate_zeros()
    return result


def als_fold_in(factors: Floats, liked: Sparse, regularisation: float, alpha: float) -> Floats:
    """New people's vectors for fixed implicit-ALS item `factors` [items, dim]; `liked` csr [people, items].

    Returns float32 [people, dim]. Hu, Koren and Volinsky, ICDM 2008: x = (Y'Y + Y'(C - I)Y + lambda I)^-1 Y'C p, with
    confidence C = 1 + alpha on likes (Y'(C - I)Y is a sum over the likes alone).
    """
    gram = factors.T @ factors + regularisation * np.eye(factors.shape[1], dtype=np.float32)
    people = np.zeros((liked.shape[0], factors.shape[1]), np.float32)
    for i in range(liked.shape[0]):
        own = factors[liked.indices[liked.indptr[i] : liked.indptr[i + 1]]]
        if len(own):
            people[i] = np.linalg.solve(gram + alpha * own.T @ own, (1 + alpha) * own.sum(axis=0))
    return people


def ridge_fold_in(factors: Floats, liked: Sparse, targets: Floats, regularisation: float) -> Floats:
    """New people's vectors by ridge regression of `targets` [items] on item `factors` [items, dim] over their likes.

    p = Q'(QQ' + lambda I)^-1 t over the liked rows Q: the exact least squares of biased SVD (Koren, Bell and Volinsky,
    *Computer* 2009) for one more person with the items fixed. `liked` csr [people, items] -> [people, dim].
    """
    people = np.zeros((liked.shape[0], factors.shape[1]), np.float32)
    for i in range(liked.shape[0]):
        rows = liked.indices[liked.indptr[i] : liked.indptr[i + 1]]
        if len(rows):
            own = factors[rows]
            people[i] = own.T @ np.linalg.solve(
                own @ own.T + regularisation * np.eye(len(rows), dtype=np.float32), targets[rows]
            )
    return people
