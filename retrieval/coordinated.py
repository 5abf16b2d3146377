"""Groups of people who like the same unlikely items together: made up to push something, as far as likes can tell.

Honest people share items because the items are alike or because everybody likes them. A group of fakes shares what it
was made for: items whose likers nearly all like another item as well, though the texts have nothing in common. That is
the group signature of shilling (Mehta and Nejdl, *Unsupervised strategies for shilling detection*, UMUAI 2009, look for
people who vary together; here items, whose number is smaller). Whoever pushes one item alone with drawn likes beside
it leaves no such pair and is not found.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import prior

Floats = NDArray[np.float32]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

GROUP = 8  # people who share a pair of items
TOGETHER = 0.8  # of the likers of one item like the other
UNLIKELY = 8.0  # times as many as would by chance, given how much they like
# Quantile of the cosines of pairs drawn at random: texts below it have nothing in common. Of real people that finds
# none of 764 (ml-100k), but 26 of 2,652 (amazon-office), 17 of 1,892 (lastfm-hetrec) and 101 of 3,950
# (amazon-cross-domain): too many to be the default of `snowmelt fit`.
CHANCE = 0.9
DRAWN = 4000  # such pairs
BLOCK = 2048  # items whose pairs are held at a time


def coordinated(X: Sparse, vectors: Floats, seed: int = 0) -> NDArray[np.bool_]:
    """bool [people]: who likes both items of a pair that only a co-ordinated group explains.

    `X` csr [people, items] of likes; `vectors` float32 [items, dim] of the items' texts, length 1.
    """
    likes, columns = prior.popularity(X), X.T.tocsr()
    rng = np.random.default_rng([seed, 0xC0])
    drawn = rng.integers(0, len(vectors), (DRAWN, 2))
    line = np.quantile((vectors[drawn[:, 0]] * vectors[drawn[:, 1]]).sum(axis=1), CHANCE)
    found = np.zeros(X.shape[0], bool)
    active = np.diff(X.indptr) / max(X.nnz, 1)  # of each person, the share of all likes
    eager = np.asarray(columns @ active).ravel() / np.maximum(likes, 1)  # of each item's likers, in the mean
    for start in range(0, columns.shape[0], BLOCK):
        both = (columns[start : start + BLOCK] @ X).tocoo()
        enough = (both.data >= GROUP) & (both.row + start != both.col)
        a, b, count = both.row[enough] + start, both.col[enough], both.data[enough]
        chance = likes[a] * np.minimum(eager[a] * likes[b], 1)
        some = (count >= TOGETHER * likes[a]) & (count >= UNLIKELY * chance)
        a, b = a[some], b[some]
        unlike = (vectors[a] * vectors[b]).sum(axis=1) < line
        for one, other in zip(a[unlike], b[unlike], strict=True):
            found[np.intersect1d(_likers(columns, one), _likers(columns, other))] = True
    return found


def _likers(columns: Sparse, item: int) -> NDArray[np.integer]:
    return columns.indices[columns.indptr[item] : columns.indptr[item + 1]]
