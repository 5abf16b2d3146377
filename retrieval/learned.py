"""What warm people teach about a catalogue, and how it speaks for a person who is new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import prior
from snowmelt.retrieval.fusion import Weights, log_share, spread, standardise
from snowmelt.retrieval.inheriting import Map, fit_map, moved
from snowmelt.retrieval.transfer import WHOLE, Content

if TYPE_CHECKING:
    from snowmelt.retrieval.tuning import Ranker

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

LEAST = 3  # likes from which an item has behaviour of its own; below, its content speaks for it
KNOTS = (1, 3, 5, 10)
FACTORS, ALPHA, STRENGTH = 64, 4.0, 30.0  # of ALS
ASPECTS, STARTS = 20, 4
AXES, EXAMPLES = 64, 64  # of the map of a large catalogue; people whose signals show what matters there
OWN = ("dense", "bm25", "attributes", "familiarity")  # what content says of an item
NAMES = ("popularity", "lift", "neighbours", "together", "factors", "aspects", *OWN)
# Where too few people teach: about the mean of what ml-100k, lastfm-hetrec and amazon-office teach, for items with
# behaviour; for items without it, content first, since a map from few items tells little (redial).
DEFAULT = Weights(
    NAMES, KNOTS,
    ((0.3, 0.3, 0.05, 0.05, 0.15, 0.6, 0.1, 0.05, 0.05, 0.0), (0.3, 0.5, 0.1, 0.05, 0.25, 0.5, 0.15, 0.05, 0.05, 0.0),
     (0.2, 0.5, 0.1, 0.05, 0.3, 0.5, 0.15, 0.05, 0.05, 0.0), (0.1, 0.5, 0.15, 0.05, 0.4, 0.5, 0.2, 0.05, 0.05, 0.0)),
)  # fmt: skip
STRANGE = Weights(NAMES, KNOTS, ((0.02, 0.02, 0.02, 0.02, 0.05, 0.05, 0.2, 0.25, 0.05, 0.0),) * len(KNOTS))


@dataclass(frozen=True)
class Behaviour:
    """Models over the `m` items with behaviour. `rows` int64 [m] of the catalogue, ascending; `likes` float32 [m].

    `lift`, `neighbours` csr [m, m]; `factors` float32 [m, dim] of ALS; `aspects`: (p(item | aspect), p(aspect)) of each
    start. No person is in it, and no person's list of likes.
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
        factors = prior.als_fold_in(self.factors, liked, STRENGTH, ALPHA, self._gram) @ self.factors.T
        aspects = np.mean([prior.aspects_fold_in(*start, liked) for start in self.aspects], axis=0)
        root = np.sqrt(self.likes)  # from cosines back to counts
        together = liked.copy()
        together.data = together.data * root[together.indices]
        return {
            "popularity": np.tile(standardise(np.log1p(self.likes)), (people, 1)),
            "lift": standardise((liked @ self.lift).toarray()),
            "neighbours": standardise((liked @ self.neighbours).toarray()),
            "together": standardise((together @ self.neighbours).toarray() * root),
            "factors": log_share(factors),
            "aspects": log_share(aspects),
        }

    @cached_property
    def _gram(self) -> Floats:
        return self.factors.T @ self.factors


def fit_behaviour(X: Sparse, rows: Rows, seed: int = 0) -> Behaviour:
    """Fit on likes `X` csr [people, items], keeping the items `rows`."""
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    X = X[:, rows].tocsr()
    with threadpool_limits(1, "blas"):  # its matrices are small: more threads wait for each other, and it warns
        als = AlternatingLeastSquares(
            factors=FACTORS, regularization=STRENGTH, alpha=1 + ALPHA, iterations=15, num_threads=1, random_state=seed
        )
        als.fit(X, show_progress=False)
    neighbours = prior.item_knn(X, 800, 0.0).T.tocsr()
    aspects = tuple(prior.aspects(X, ASPECTS, seed=seed + start) for start in range(STARTS))
    factors = np.asarray(als.item_factors, np.float32)
    return Behaviour(rows, prior.popularity(X), prior.lift(X), neighbours, factors, aspects)


@dataclass(frozen=True)
class Learned:
    """Everything that ranks a catalogue of items with `content` for new people.

    `tables`: "known" weighs the signals of items with behaviour, "new" of items without, "shown" of a short list that
    somebody else chose, "to NAME" of the items of one domain for people who are known from the others alone,
    "in NAME" for everybody. After `snowmelt transfer` the last `extra` items are of other domains; `elsewhere`: id ->
    (row, title) of everything that can be liked there. `ranker`: what `snowmelt tune` made. `people`: how many taught,
    as of the last fit (0: not said). `before`: the same without what arrived since the fit.
    """

    content: Content
    behaviour: Behaviour
    tables: Mapping[str, Weights]
    elsewhere: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    extra: int = 0
    ranker: "Ranker | None" = None
    people: int = 0
    before: "Learned | None" = field(default=None, repr=False)

    @property
    def own(self) -> int:
        """How many items the catalogue has."""
        return len(self.content.vectors) - self.extra

    def of_person(self, liked: Sequence[int], elsewhere: Sequence[str] = ()) -> dict[str, Floats]:
        """name -> weighted signal, float32 [items of the catalogue], of somebody who likes these rows of it and these
        ids of other domains."""
        rows = np.unique([*liked, *(self.elsewhere[id_][0] for id_ in elsewhere)]).astype(np.int64)
        person = _matrix(rows, [0, len(rows)], len(self.content.vectors))
        table = "known" if not self.extra else "in home" if len(liked) or not len(rows) else "to home"
        signals = {name: values[0, : self.own] for name, values in self.contributions(person, table).items()}
        if self.ranker is not None and len(liked):
            signals["tuned"] = self.ranker.signal(signals, np.unique(liked), self.popularity())
        return signals

    @cached_property
    def new_rows(self) -> Rows:
        return np.setdiff1d(np.arange(len(self.content.vectors)), self.behaviour.rows)

    @cached_property
    def map(self) -> Map:
        """In catalogues of more than WHOLE items through AXES numbers an item, the time of a request."""
        return self._map if len(self.content.vectors) <= WHOLE else self._map.through(*self._axes)

    @cached_property
    def _map(self) -> Map:
        rows = self.behaviour.rows
        if self._since is None:
            return fit_map(self.content.features(), rows, self.new_rows)
        fresh = np.setdiff1d(rows, self._since.behaviour.rows)
        old = self._since._map
        return moved(old, self.content.features(), rows, self.new_rows, fresh) if len(fresh) else old

    @property
    def _since(self) -> "Learned | None":
        """`before`, if it is of the same items."""
        return self.before if self.before is not None and self.before.content is self.content else None

    @cached_property
    def _axes(self) -> tuple[Floats, Floats]:
        """Of the signals of people with one like to ten that go together, and of the likes of all."""
        if self._since is not None:
            return self._since._axes
        likes, near = self.behaviour.likes, self.behaviour.neighbours
        first = spread(len(likes), EXAMPLES)
        lists = []
        for turn, item in enumerate(first):
            row = slice(near.indptr[item], near.indptr[item + 1])
            closest = near.indices[row][np.argsort(-near.data[row], kind="stable")]
            lists.append(np.unique([item, *closest[: KNOTS[turn % len(KNOTS)] - 1]]))
        ends = np.cumsum([0, *map(len, lists)])
        people = _matrix(self.behaviour.rows[np.concatenate(lists)], ends, len(self.content.vectors))
        own = self.content.signals(people)
        known = self.known(people, {n: v[:, self.behaviour.rows] for n, v in own.items()})
        return self._map.axes(np.concatenate([*known.values(), np.log1p(likes)[None]]), AXES)

    def known(self, liked: Sparse, own: Mapping[str, Floats]) -> dict[str, Floats]:
        """Signals of items with behaviour, name -> [people, m]. `liked` csr [people, items]; `own`: what content says
        of them."""
        spoken = {n: standardise(v) for n, v in own.items()}
        return self.behaviour.signals(liked[:, self.behaviour.rows].tocsr()) | spoken

    def new(self, known: Mapping[str, Floats], own: Mapping[str, Floats]) -> dict[str, Floats]:
        """Signals of items without behaviour, name -> [people, u]: what behaviour says, through the map of `known`;
        what content says of these items (`own`), directly."""
        mapped = {n: standardise(self.map(v)) for n, v in known.items() if n not in OWN}
        return mapped | {n: standardise(v) for n, v in own.items()}

    def every(self, liked: Sparse) -> dict[str, Floats]:
        """Signals of all items on one scale, name -> [people, items]; through the map where there is no behaviour."""
        result = {n: standardise(v) for n, v in self.content.signals(liked).items()}
        for name, values in self.behaviour.signals(liked[:, self.behaviour.rows].tocsr()).items():
            result[name] = _at(self.behaviour.rows, values, liked.shape[1])
            if len(self.new_rows):
                result[name][:, self.new_rows] = self.map(values)
        return result

    def contributions(self, liked: Sparse, table: str = "known") -> dict[str, Floats]:
        """name -> weighted signal, float32 [people, items]; their sum is the score. `liked` csr [people, items].

        With the table "known", an item without behaviour has one, `inherited`: the scores that items like it have, in
        the order in which the table "new" puts these items.
        """
        if table != "known":
            weights = _per_person(self.tables[table], liked)
            return {name: weights[name] * values for name, values in self.every(liked).items()}
        rows, new = self.behaviour.rows, self.new_rows
        own, weights = self.content.signals(liked), _per_person(self.tables["known"], liked)
        known = self.known(liked, {n: v[:, rows] for n, v in own.items()})
        weighted = {name: weights[name] * values for name, values in known.items()}
        result = {name: _at(rows, values, liked.shape[1]) for name, values in weighted.items()}
        if len(new):
            total, weights = np.sum(list(weighted.values()), axis=0), _per_person(self.tables["new"], liked)
            taught = [n for n in known if n not in OWN]
            wanted, heights = self.map.weighed([known[n] for n in taught], [weights[n] for n in taught], total)
            for name, values in own.items():
                if weights[name].any():
                    wanted += weights[name] * standardise(values[:, new])
            ranked = np.empty_like(wanted)
            np.put_along_axis(ranked, np.argsort(wanted, axis=1), np.sort(heights, axis=1), axis=1)
            result["inherited"] = _at(new, ranked, liked.shape[1])
        return result

    def prior(self) -> Floats:
        """How well liked items are, [items], mean 0 and deviation 1; those without behaviour by the map."""
        known = np.log1p(self.behaviour.likes)
        result = np.zeros(len(self.content.vectors), np.float32)
        result[self.behaviour.rows] = known
        if len(self.new_rows):
            result[self.new_rows] = np.clip(self.map(known), 0, known.max())
        return standardise(result[: self.own])

    def popularity(self) -> Floats:
        """ln(1 + likes), [items]; an item with too few to have behaviour counts as in the middle: (LEAST - 1) / 2."""
        result = np.full(len(self.content.vectors), np.log1p((LEAST - 1) / 2), np.float32)
        result[self.behaviour.rows] = np.log1p(self.behaviour.likes)
        return result[: self.own]

    def without(self, *names: str) -> "Learned":
        """The same with these signals taken away (for ablations)."""
        return replace(self, tables={key: table.without(*names) for key, table in self.tables.items()})


def _at(rows: Rows, values: Floats, items: int) -> Floats:
    """`values` [people, rows] in their places of [people, items], 0 elsewhere."""
    result = np.zeros((len(values), items), np.float32)
    result[:, rows] = values
    return result


def _matrix(rows: Rows, ends: Sequence[int] | Rows, items: int) -> Sparse:
    """csr [people, items]: likes of the `rows`, each person's from one of the `ends` to the next."""
    from scipy.sparse import csr_matrix

    return csr_matrix((np.ones(len(rows), np.float32), rows, ends), shape=(len(ends) - 1, items))


def _per_person(weights: Weights, liked: Sparse) -> dict[str, Floats]:
    """name -> [people, 1] by how many likes each has."""
    counts = np.diff(liked.indptr)
    tables = {int(k): weights.at(int(k)) for k in np.unique(counts)}
    return {n: np.array([[tables[int(k)][n]] for k in counts], np.float32) for n in weights.names}
