"""`fit`: everything that is learned from likes; the weights from warm people who are played as cold ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import prior
from snowmelt.retrieval.fusion import Lesson, Weights, learn, standardise
from snowmelt.retrieval.learned import DEFAULT, KNOTS, LEAST, NAMES, Learned, fit_behaviour, new_signals
from snowmelt.retrieval.transfer import Content, fit_map

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

POOL = 120  # candidates of a lesson: the best by `DEFAULT`
LESSONS, REVEALS = 900, 2  # people who are played as cold, and how often each
ENOUGH = 30  # people; where fewer teach, `DEFAULT` stands


def fit(X: Sparse, content: Content, seed: int = 0, least: int = LEAST) -> Learned:
    """Fit everything on likes `X` csr float32 [people, items]; weights from warm people who are played as cold ones."""
    rows = np.flatnonzero(prior.popularity(X) >= least).astype(np.int64)
    weights = _play(X, content, seed, least)
    new_weights = _play_new(X, content, seed, least)
    return Learned(content, fit_behaviour(X, rows, seed), weights, new_weights)


def _folds(X: Sparse, seed: int, parts: int = 2, share: float = 0.2) -> list[tuple[NDArray[np.int64], Sparse]]:
    """(people to play, likes of all others), people with at least two likes, at most LESSONS in all."""
    able = np.flatnonzero(np.diff(X.indptr) >= 2)
    shuffled = np.random.default_rng([seed, 0xF0]).permutation(able)
    size = max(1, min(int(share * len(able)), LESSONS // parts))
    folds = []
    for part in range(parts):
        played = shuffled[part * size : (part + 1) * size]
        if len(played):
            folds.append((played, X[np.setdiff1d(np.arange(X.shape[0]), played)]))
    return folds


def _reveal(X: Sparse, people: NDArray[np.int64], k: int, rng: np.random.Generator) -> tuple[Sparse, Sparse]:
    """(revealed, hidden) csr [people who have more than k likes, items]."""
    from scipy.sparse import csr_matrix

    shown, hidden = [], []
    for person in people:
        own = X.indices[X.indptr[person] : X.indptr[person + 1]]
        if len(own) > k:
            own = rng.permutation(own)
            shown.append(own[:k])
            hidden.append(own[k:])

    def matrix(lists: Sequence[NDArray[np.integer]]) -> Sparse:
        ends = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
        columns = np.concatenate([np.empty(0, np.int64), *lists])
        return csr_matrix((np.ones(len(columns), np.float32), columns, ends), shape=(len(lists), X.shape[1]))

    return matrix(shown), matrix(hidden)


def _lesson(signals: Mapping[str, Floats], revealed: NDArray[np.bool_], hidden: NDArray[np.bool_], k: int) -> Lesson:
    """Cut to the POOL best candidates by DEFAULT, best first, revealed items left out."""
    table = DEFAULT.at(k)
    base = np.sum([table[name] * values for name, values in signals.items()], axis=0)
    base[revealed] = -np.inf
    pool = min(POOL, base.shape[1])
    best = np.argpartition(-base, pool - 1, axis=1)[:, :pool]
    best = np.take_along_axis(best, np.argsort(-np.take_along_axis(base, best, axis=1), axis=1), axis=1)
    cut = {name: np.take_along_axis(values, best, axis=1) for name, values in signals.items()}
    hidden = hidden & ~revealed
    return Lesson(cut, np.take_along_axis(hidden, best, axis=1), hidden.sum(axis=1))


def _play(X: Sparse, content: Content, seed: int, least: int) -> Weights:
    lessons: dict[int, list[Lesson]] = {k: [] for k in KNOTS}
    for played, others in _folds(X, seed):
        rows = np.flatnonzero(prior.popularity(others) >= least).astype(np.int64)
        if len(rows) < 2:
            continue
        behaviour = fit_behaviour(others, rows, seed)
        for k in KNOTS:
            for again in range(REVEALS):
                shown, hidden = _reveal(X, played, k, np.random.default_rng([seed, k, again]))
                if not shown.shape[0]:
                    continue
                signals = behaviour.signals(shown[:, rows].tocsr())
                signals |= {name: standardise(values) for name, values in content.signals(shown, rows).items()}
                lessons[k].append(_lesson(signals, _dense(shown, rows), _dense(hidden, rows), k))
    return _table(lessons)


def _play_new(X: Sparse, content: Content, seed: int, least: int, share: float = 0.2) -> Weights:
    """As `_play`, for items without behaviour: a fifth of the items is new, too, and only those are candidates."""
    lessons: dict[int, list[Lesson]] = {k: [] for k in KNOTS}
    features = content.features()
    for part, (played, others) in enumerate(_folds(X, seed)):
        rows = np.flatnonzero(prior.popularity(others) >= least).astype(np.int64)
        shuffled = np.random.default_rng([seed, part, 0x1E]).permutation(rows)
        new, rows = np.sort(shuffled[: int(share * len(rows))]), np.sort(shuffled[int(share * len(rows)) :])
        if len(rows) < 2 or not len(new):
            continue
        behaviour, mapped = fit_behaviour(others, rows, seed), fit_map(features, rows, new)
        warm = _columns(X, rows)
        for k in KNOTS:
            shown, _ = _reveal(warm, played, k, np.random.default_rng([seed, k, 0x2E]))
            kept = played[np.diff(warm[played].indptr) > k]
            if not len(kept):
                continue
            signals = new_signals(behaviour.signals(shown[:, rows].tocsr()), content.signals(shown, new), mapped)
            lessons[k].append(_lesson(signals, _dense(shown, new), _dense(X[kept], new), k))
    return _table(lessons)


def _columns(X: Sparse, rows: Rows) -> Sparse:
    """X with the likes of other items removed, same shape."""
    from scipy.sparse import diags

    keep = np.zeros(X.shape[1], np.float32)
    keep[rows] = 1
    kept = (X @ diags(keep)).tocsr()
    kept.eliminate_zeros()
    return kept


def _dense(matrix: Sparse, rows: Rows) -> NDArray[np.bool_]:
    return matrix[:, rows].toarray() > 0


def _table(lessons: Mapping[int, Sequence[Lesson]]) -> Weights:
    rows = []
    for k in KNOTS:
        taught = sum(int(lesson.hidden.any(axis=1).sum()) for lesson in lessons[k])
        found = learn(lessons[k], NAMES) if taught >= ENOUGH else DEFAULT.at(k)
        rows.append(tuple(round(found[name], 4) for name in NAMES))
    return Weights(NAMES, KNOTS, tuple(rows))
