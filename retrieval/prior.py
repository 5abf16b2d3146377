"""What other people's behaviour says about an item: closed forms that the product and the judge share.

`X` is everywhere a csr matrix [people, items] of likes (1.0 where liked). Every model folds a new person in from the
items they like, without refitting. scipy is imported where it is needed.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
SHRINK = 10.0  # likes' worth of what everybody likes, in the lift
PAIRS = 8192  # products of rows that are taken at a time
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
    from scipy.sparse import vstack

    columns = X.T.tocsr().astype(np.float32)
    norms = np.sqrt(popularity(X))
    parts = []
    for start in range(0, columns.shape[0], block):
        rows = (columns[start : start + block] @ X).tocsr()
        owner = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        rows.data /= norms[start + owner] * norms[rows.indices] + np.float32(shrink)
        rows.data[rows.indices == start + owner] = 0.0
        parts.append(_strongest(rows, neighbours))
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


def als_fold_in(
    factors: Floats, liked: Sparse, regularisation: float, alpha: float, gram: Floats | None = None
) -> Floats:
    """New people's vectors for fixed implicit-ALS item `factors` [items, dim]; `liked` csr [people, items].

    Returns float32 [people, dim]. Hu, Koren and Volinsky, ICDM 2008: x = (Y'Y + Y'(C - I)Y + lambda I)^-1 Y'C p, with
    confidence C = 1 + alpha on likes (Y'(C - I)Y is a sum over the likes alone). `gram`: Y'Y, if it is known already.
    """
    gram = (factors.T @ factors if gram is None else gram) + regularisation * np.eye(factors.shape[1], dtype=np.float32)
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


def lift(X: Sparse, shrink: float = SHRINK, neighbours: int = 2000, block: int = 2048) -> Sparse:
    """How much a like of i raises the odds of j: ln(1 + C_ij / (shrink * p_j)), csr float32 [items, items].

    C = X' diag(w) X counts co-likes, a person with n likes weighing w ~ 1 / sqrt(n) (mean 1); p_j is the share of
    people who like j. Of each row the `neighbours` with the most co-likes are kept (cutting by lift would leave only
    the rare), the diagonal is empty. A person x is scored by
    ln p_j + (x @ L)_j / sqrt(|x|): naive Bayes with conditionals (C_ij + shrink * p_j) / (c_i + shrink), in which what
    does not depend on j is left out, tempered because likes are not independent (Bennett, *Assessing the calibration of
    Naive Bayes posterior estimates*, CMU-CS-00-155, 2000, has why).
    """
    from scipy.sparse import diags, vstack

    length = np.diff(X.indptr).astype(np.float32)
    weight = np.divide(1.0, np.sqrt(length), out=np.zeros_like(length), where=length > 0)
    weight *= np.count_nonzero(length) / max(float(weight.sum()), 1e-9)
    columns, weighted = X.T.tocsr().astype(np.float32), (diags(weight) @ X).tocsr().astype(np.float32)
    share = np.maximum(popularity(X), 1) / max(1, X.shape[0])
    parts = []
    for start in range(0, columns.shape[0], block):
        rows = (columns[start : start + block] @ weighted).tocsr()
        owner = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        rows.data[rows.indices == start + owner] = 0.0
        kept = _strongest(rows, neighbours)
        kept.data = np.log1p(kept.data / (shrink * share[kept.indices]))
        parts.append(kept)
    return vstack(parts, format="csr", dtype=np.float32)


def _strongest(rows: Sparse, most: int) -> Sparse:
    """`rows` with the `most` largest positive values of each row alone; of equal ones the first columns."""
    rows.sort_indices()
    for row in np.flatnonzero(np.diff(rows.indptr) > most):
        values = rows.data[rows.indptr[row] : rows.indptr[row + 1]]
        values[np.argsort(-values, kind="stable")[most:]] = 0.0
    rows.eliminate_zeros()
    return rows


def aspects(
    X: Sparse, count: int = 20, rounds: int = 40, spread: float = 0.5, smooth: float = 0.05, seed: int = 0
) -> tuple[Floats, Floats]:
    """Kinds of taste: (p(item | aspect) float32 [count, items], p(aspect) float32 [count]), by MAP EM.

    Hofmann, *Latent Semantic Models for Collaborative Filtering*, TOIS 2004, with Dirichlet priors `spread` on people
    and `smooth` on items (LDA's MAP). One start depends on `seed`; averaging a few starts is markedly better.
    """
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(seed)
    people, items = X.shape
    taste = rng.dirichlet(np.ones(count), people).astype(np.float32)
    share = rng.dirichlet(np.full(items, 0.5), count).astype(np.float32)
    mass = np.zeros(count, np.float32)
    # EM's sums of shares, p(aspect | person, item), as products with X / p(item | person): no share is written down.
    owed, who = csr_matrix(X, dtype=np.float32, copy=True), np.repeat(np.arange(people), np.diff(X.indptr))
    for _ in range(rounds):
        of_item = np.ascontiguousarray(share.T)
        owed.data = 1 / np.maximum(_products(taste, who, of_item, owed.indices), 1e-30)
        given, taken = taste * (owed @ of_item), of_item * (owed.T @ taste)
        mass = given.sum(axis=0)
        taste = given + np.float32(spread)
        taste /= taste.sum(axis=1, keepdims=True)
        share = taken.T + np.float32(smooth)
        share /= share.sum(axis=1, keepdims=True)
    return share, mass / max(float(mass.sum()), 1e-9)


def _products(a: Floats, rows: NDArray[np.integer], b: Floats, columns: NDArray[np.integer]) -> Floats:
    """a[rows] . b[columns] pair by pair, [pairs]; of as many at a time as the processor's cache holds."""
    found, ones = np.empty(len(rows), np.float32), np.ones(a.shape[1], np.float32)
    for start in range(0, len(rows), PAIRS):
        part = slice(start, start + PAIRS)
        both = np.take(a, rows[part], axis=0)
        both *= np.take(b, columns[part], axis=0)
        np.matmul(both, ones, out=found[part])
    return found


def aspects_fold_in(share: Floats, mean: Floats, liked: Sparse, strength: float = 4.0, rounds: int = 20) -> Floats:
    """p(item | person) of new people, float32 [people, items]: EM over their likes, Dirichlet(`strength` * `mean`)."""
    from scipy.sparse import csr_matrix

    taste = np.tile(mean, (liked.shape[0], 1))
    who, of_item = np.repeat(np.arange(liked.shape[0]), np.diff(liked.indptr)), share.T[liked.indices]
    owed = csr_matrix(
        (np.ones(liked.nnz, np.float32), np.arange(liked.nnz), liked.indptr), shape=(liked.shape[0], liked.nnz)
    )
    for _ in range(rounds):
        owed.data = 1 / np.maximum(np.einsum("ij,ij->i", taste[who], of_item), 1e-30)
        taste = taste * (owed @ of_item) + np.float32(strength) * mean
        taste /= taste.sum(axis=1, keepdims=True)
    return (taste @ share).astype(np.float32)
