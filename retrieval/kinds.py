"""Several kinds of event (click, like, buy): those that are no likes help to learn what goes with what, if they do.

A person's events of another kind stand in the matrix of likes as somebody else's likes: what was clicked together then
counts for every model, and a weight is the share of the people whose events of that kind count. Each weight is chosen
on people whose likes are held out, kind by kind, and is 0 unless it helps beyond chance: clicks are many and mean less.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import playing
from snowmelt.retrieval.fusion import Lesson
from snowmelt.retrieval.learned import DEFAULT, KNOTS, LEAST
from snowmelt.retrieval.transfer import Content

Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

SHARES = (0.3, 1.0)


def weighed(
    X: Sparse, kinds: Mapping[str, Sparse], content: Content, seed: int
) -> tuple[Sparse | None, dict[str, float]]:
    """(what else the people of `X` did, csr [people * kinds taken, items], None if nothing helps; kind -> share).

    `X` and each of `kinds`: csr float32 [people, items] of the same people.
    """
    from scipy.sparse import vstack
    from threadpoolctl import threadpool_limits

    shares = dict.fromkeys(kinds, 0.0)
    taken: list[Sparse] = []
    if not kinds:
        return None, shares
    judges, _ = playing.parts(X, seed)[0]
    apart = np.ones(X.shape[0], bool)
    apart[judges] = False
    with threadpool_limits(1, "blas"):
        best = _judged(X, taken, apart, content, seed)
        for name, done in sorted(kinds.items(), key=lambda kind: -kind[1].nnz):
            chosen: Sparse | None = None
            for share in SHARES:
                some = thinned(done, share, seed)
                found = _judged(X, [*taken, some], apart, content, seed)
                gain = found - best
                if gain.mean() > playing.SURE * gain.std() / np.sqrt(len(judges)):
                    best, chosen, shares[name] = found, some, share
            if chosen is not None:
                taken.append(chosen)
    return (vstack(taken, "csr") if taken else None), shares


def thinned(done: Sparse, share: float, seed: int) -> Sparse:
    """The same, with the rows of a random `share` of the people alone."""
    from scipy.sparse import diags

    kept = np.random.default_rng([seed, 0x5E]).random(done.shape[0]) < share
    return (diags(kept.astype(np.float32)) @ done).tocsr().astype(np.float32)


def _judged(
    X: Sparse, more: list[Sparse], apart: NDArray[np.bool_], content: Content, seed: int
) -> NDArray[np.floating]:
    """NDCG@10 at the weights before learning of the people who are not `apart`, among items that others like, at every
    knot."""
    from scipy.sparse import vstack

    plain = X[apart]
    rows = playing.often(plain, LEAST)
    signals = playing.known_of(playing.taught(vstack([plain, *(m[apart] for m in more)], "csr"), rows, content, seed))
    lessons: dict[int, list[Lesson]] = {k: [] for k in KNOTS}
    playing.play(lessons, X, np.flatnonzero(~apart), signals, rows, np.random.default_rng([seed, 0x5F]))
    return np.concatenate([playing.found(DEFAULT.at(k), lesson) for k in KNOTS for lesson in lessons[k]])
