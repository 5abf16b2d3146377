"""Which few items stand for a whole catalogue: a first list for somebody of whom nothing is known.

Facility location, chosen greedily: each item that is added is the one that brings all others nearest to something
chosen (Nemhauser, Wolsey and Fisher, *An analysis of approximations for maximizing submodular set functions*, 1978: at
least 1 - 1/e of the best cover). So a list is of central items and of different kinds. On films it finds twice what
chance does, for shops and artists the same as chance (docs/results.md).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.fusion import spread

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

COVERED, AMONG = 300, 1000  # items that are to be near to something; items that may be chosen


def covering(vectors: Floats, rows: Rows, count: int, known: Sequence[int] = ()) -> list[int]:
    """The min(count, rows) of `rows` that cover them best, in the order in which they were chosen. About 20 ms.

    `vectors` float32 [items, d]; `known`: rows that need no cover any more, as they were shown before. Of more than
    AMONG rows an even spread is looked at; what is asked beyond that follows in the order of `rows`.
    """
    if not len(rows):
        return []
    middle = np.asarray(vectors[rows[spread(len(rows), AMONG)]], np.float32).mean(axis=0)
    among = rows[spread(len(rows), AMONG)]
    covered, offered = _centred(vectors, rows[spread(len(rows), COVERED)], middle), _centred(vectors, among, middle)
    near = np.maximum(covered @ offered.T, 0)
    cover = np.zeros(len(covered), np.float32)
    if len(known):
        cover = np.maximum(covered @ _centred(vectors, np.asarray(known, np.int64), middle).T, 0).max(axis=1)
    chosen: list[int] = []
    for _ in range(min(count, len(among))):
        gain = np.maximum(near - cover[:, None], 0).sum(axis=0)
        gain[chosen] = -1.0
        best = int(gain.argmax())
        chosen.append(best)
        cover = np.maximum(cover, near[:, best])
    first = [int(r) for r in among[chosen]]
    taken = {*first}
    return [*first, *(int(r) for r in rows if int(r) not in taken)][:count]


def _centred(vectors: Floats, rows: Rows, middle: Floats) -> Floats:
    """[rows, d], less the mean and of length 1: without that all items of one catalogue look alike."""
    found = np.asarray(vectors[rows], np.float32) - middle
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
