"""What `snowmelt fit` learns from what people did, and how it speaks for a person who is new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import prior
from snowmelt.retrieval.fusion import Lesson, Weights, learn, log_share, standardise
from snowmelt.retrieval.transfer import Content, Map, fit_map

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

LEAST = 3  # likes from which an item has behaviour of its own; below, its content speaks for it
KNOTS = (1, 3, 5, 10)
FACTORS, ALPHA, STRENGTH = 64, 4.0, 30.0  # of ALS
ASPECTS, STARTS = 20, 4
NAMES = ("popularity", "lift", "neighbours", "factors", "aspects", "dense", "attributes")
POOL = 120  # candidates of a lesson: the best by `DEFAULT`
LESSONS, REVEALS = 900, 2  # people who are played as cold, and how often each
# Where too few people teach: about the mean of what ml-100k and amazon-office teach.
DEFAULT = Weights(
    NAMES, KNOTS,
    ((0.3, 0.3, 0.05, 0.15, 0.6, 0.1, 0.05), (0.3, 0.5, 0.1, 0.25, 0.5, 0.15, 0.05),
     (0.2, 0.5, 0.1, 0.3, 0.5, 0.15, 0.05), (0.1, 0.5, 0.15, 0.4, 0.5, 0.2, 0.05)),
)  # fmt: skip


@dataclass(frozen=True)
class Behaviour:
    """Models over the `m` items with behaviour. `rows` int64 [m] of the catalogue, ascending; `likes` float32 [m].

    `lift`, `neighbours` csr [m, m]; `factors` float32 [m, dim] of ALS; `aspects`: (p(item | aspect), p(aspect)) of each start.
    """

    rows: Rows
    likes: Floats
    lift: Sparse
    neighbours: Sparse
    factors: Floats
    aspects: tuple[tuple[Floats, Floats], ...]

    def signals(self, liked: Sparse) -> dict[str, Floats]:
        """name -> float32 [people, m], comparable (see `fusion`). `liked` csr [people, m]."""
        people = liked.shape[0]
        factors = prior.als_fold_in(self.factors, liked, STRENGTH, ALPHA) @ self.factors.T
        aspects = np.mean([prior.aspects_fold_in(*start, liked) for start in self.aspects], axis=0)
        return {
            "popularity": np.tile(standardise(np.log1p(self.likes)), (people, 1)),
            "lift": standardise((liked @ self.lift).toarray()),
            "neighbours": standardise((liked @ self.neighbours).toarray()),
            "factors": log_share(factors),
            "aspects": log_share(aspects),
        }


def fit_behaviour(X: Sparse, rows: Rows, seed: int = 0) -> Behaviour:
    """Fit on likes `X` csr [people, items], keeping the items `rows`."""
    from implicit.cpu.als import AlternatingLeastSquares

    X = X[:, rows].tocsr()
    als = AlternatingLeastSquares(
        factors=FACTORS, regularization=STRENGTH, alpha=1 + ALPHA, iterations=15, num_threads=1, random_state=seed
    )
    als.fit(X, show_progress=False)
    aspects = tuple(prior.aspects(X, ASPECTS, seed=seed + start) for start in range(STARTS))
    neighbours = prior.item_knn(X, 200, 0.0).T.tocsr()
    return Behaviour(
        rows, prior.popularity(X), prior.lift(X), neighbours, np.asarray(als.item_factors, np.float32), aspects
    )


@dataclass(frozen=True)
class Learned:
    """Everything that ranks a catalogue of items with `content` for new people. `weights` for items with behaviour,
    `new_weights` for those without."""

    content: Content
    behaviour: Behaviour
    weights: Weights
    new_weights: Weights

    @cached_property
    def new_rows(self) -> Rows:
        return np.setdiff1d(np.arange(len(self.content.vectors)), self.behaviour.rows)

    @cached_property
    def map(self) -> Map:
        return fit_map(self.content.features(), self.behaviour.rows, self.new_rows)

    def contributions(self, liked: Sparse) -> dict[str, Floats]:
        """name -> weighted signal, float32 [people, items]; their sum is the score. `liked` csr [people, items].

        An item without behaviour inherits by content; `novelty` then puts those items into their own best order.
        """
        rows, new = self.behaviour.rows, self.new_rows
        known = self.behaviour.signals(liked[:, rows].tocsr())
        own = self.content.signals(liked)
        known |= {name: standardise(own[name][:, rows]) for name in own}
        table = self._per_person(self.weights, liked)
        result = {}
        for name, values in known.items():
            full = np.zeros(liked.shape, np.float32)
            full[:, rows] = table[name] * values
            if len(new):
                full[:, new] = self.map(full[:, rows])
            result[name] = full
        if len(new):
            result["novelty"] = self._novelty(liked, known, own, result)
        return result

    def _novelty(
        self, liked: Sparse, known: Mapping[str, Floats], own: Mapping[str, Floats], so_far: Mapping[str, Floats]
    ) -> Floats:
        new = self.new_rows
        inherited = new_signals(known, {name: values[:, new] for name, values in own.items()}, self.map)
        table = self._per_person(self.new_weights, liked)
        wanted = sum(table[name] * values for name, values in inherited.items())
        now = np.sum([values[:, new] for values in so_far.values()], axis=0)
        place = np.argsort(np.argsort(wanted, axis=1), axis=1)
        full = np.zeros(liked.shape, np.float32)
        full[:, new] = np.take_along_axis(np.sort(now, axis=1), place, axis=1) - now
        return full

    @staticmethod
    def _per_person(weights: Weights, liked: Sparse) -> dict[str, Floats]:
        """name -> [people, 1] by how many likes each has."""
        counts = np.diff(liked.indptr)
        tables = {int(k): weights.at(int(k)) for k in np.unique(counts)}
        return {n: np.array([[tables[int(k)][n]] for k in counts], np.float32) for n in weights.names}

    def without(self, *names: str) -> "Learned":
        """The same with these signals taken away (for ablations)."""
        return replace(self, weights=self.weights.without(*names), new_weights=self.new_weights.without(*names))


def new_signals(known: Mapping[str, Floats], own: Mapping[str, Floats], mapped: Map) -> dict[str, Floats]:
    """name -> [people, new items]: what behaviour says, through the map; what content says of them (`own`), directly."""
    result = {name: standardise(mapped(values)) for name, values in known.items() if name not in own}
    return result | {name: standardise(values) for name, values in own.items()}


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
    """Cut to the POOL best candidates by DEFAULT, revealed items left out."""
    table = DEFAULT.at(k)
    base = np.sum([table[name] * values for name, values in signals.items()], axis=0)
    base[revealed] = -np.inf
    pool = min(POOL, base.shape[1])
    best = np.argpartition(-base, pool - 1, axis=1)[:, :pool]
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
    """DEFAULT where fewer than 30 people teach."""
    rows = []
    for k in KNOTS:
        taught = sum(int(lesson.hidden.any(axis=1).sum()) for lesson in lessons[k])
        found = learn(lessons[k], NAMES) if taught >= 30 else DEFAULT.at(k)
        rows.append(tuple(round(found[name], 4) for name in NAMES))
    return Weights(NAMES, KNOTS, tuple(rows))
