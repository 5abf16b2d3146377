"""What an item without behaviour inherits: the content of items as numbers, and a map from content to what is learned.

A new item is scored as items like it are scored: ridge regression of the known items' scores on their content, which
shrinks towards the mean where the content says little (Gantner et al., *Learning Attribute-to-Feature Mappings for
Cold-Start Recommendations*, ICDM 2010; here the map serves any signal, not one model's factors).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.lexical import COPY, Lexical, fading

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

LONGEST_VALUE = 60  # characters of a text attribute up to which it is a value, not prose
MOST_VALUES = 500  # attribute values that are features of the map: the most frequent
FEW = 10  # rows of a product with a large matrix
BLOCK = 64  # people whose likes are compared with the catalogue at a time


@dataclass(frozen=True)
class Content:
    """Items as numbers, in row order. `vectors` float32 [items, dim], length 1; `values` csr float32 [items, values],
    an item's attribute values weighted by rarity, length 1 or empty; `numbers` float32 [items, numeric], standardised.
    `bm25` csr float32 [items, words]: BM25's weights; `first` the same shape, 1 where a word is among an item's first.
    `familiarity` float32 [items]: how well known a language model takes an item to be, 0 where none was asked.
    """

    vectors: Floats
    values: Sparse
    numbers: Floats
    familiarity: Floats
    bm25: Sparse
    first: Sparse

    def at(self, rows: NDArray[np.integer]) -> "Content":
        """The same of these items alone (a copy)."""
        return Content(
            self.vectors[rows], self.values[rows], self.numbers[rows], self.familiarity[rows], self.bm25[rows],
            self.first[rows],
        )  # fmt: skip

    def signals(self, liked: Sparse, among: "Content | None" = None) -> dict[str, Floats]:
        """dense: cosine to the nearest like. bm25: shared words, as `Lexical.alike`. attributes: mean cosine of values.
        Each [people, items of `among`] (None: all); with familiarity, which is the same for all. A text that repeats
        a like's under another title gains by neither (`Lexical.own`).

        `liked` csr [people, items]; an item's own likes say nothing of it but that it is itself: cosine 1.
        """
        from scipy.sparse import csr_matrix

        among = among or self
        count = np.diff(liked.indptr)
        dense = np.zeros((liked.shape[0], len(among.vectors)), np.float32)
        own = np.ones(dense.shape, np.float32)
        for start in range(0, liked.shape[0], BLOCK):
            part = liked[start : start + BLOCK]
            items, place = np.unique(part.indices, return_inverse=True)
            some = np.flatnonzero(np.diff(part.indptr))  # reduceat wants no empty runs
            if len(some):
                cosine = self.vectors[items] @ among.vectors.T
                owner = np.repeat(np.arange(start, start + part.shape[0]), np.diff(part.indptr))
                for like, near, left in self._copies(items, among):
                    mean = cosine[like].mean()
                    cosine[like, near] = mean + (cosine[like, near] - mean) * left
                    where = np.ix_(owner[place == like], near)
                    own[where] = np.minimum(own[where], left)
                dense[start + some] = np.maximum.reduceat(cosine[place], part.indptr[some], axis=0)
        person = csr_matrix((liked.data, np.arange(liked.nnz), liked.indptr), shape=(liked.shape[0], liked.nnz))
        words, values = person @ self.bm25[liked.indices].sqrt(), person @ self.values[liked.indices]
        return {
            "dense": dense,
            "bm25": np.asarray((words @ among.by_word[0]).toarray(), np.float32) * own,
            "attributes": (values @ among.by_word[2]).toarray() / np.maximum(count, 1)[:, None].astype(np.float32),
            "familiarity": np.tile(among.familiarity, (liked.shape[0], 1)),
        }

    def _copies(self, items: NDArray[np.integer], among: "Content") -> Iterator[tuple[int, NDArray[np.int64], Floats]]:
        """(place in `items`, items of `among` that repeat most of its text, what is left of their likeness)."""
        weights = self.bm25[items].sqrt()
        share = (weights @ among.by_word[1]).tocsr()
        totals = np.maximum(np.asarray(weights.sum(axis=1)).ravel(), 1e-9)
        share.data /= np.repeat(totals, np.diff(share.indptr))
        much = np.flatnonzero(share.data > COPY)
        like, near = np.searchsorted(share.indptr, much, side="right") - 1, share.indices[much]
        titles = weights.multiply(self.first[items]).tocsr()
        shared = np.asarray(titles[like].multiply(among.first[near]).sum(axis=1)).ravel()
        lengths = np.maximum(np.asarray(titles.sum(axis=1)).ravel(), 1e-9)
        left = fading(share.data[much], shared / lengths[like])
        like, near, left = like[left < 1], near[left < 1], left[left < 1]
        for one in np.unique(like):
            yield int(one), near[like == one], left[like == one]

    @cached_property
    def by_word(self) -> tuple[Sparse, Sparse, Sparse]:
        """csr [words or values, items]: `bm25`, a 1 for each word that is in an item, `values`. Turned once: a product
        with a transposed csr turns it each time, 40 ms at 100,000 items."""
        return self.bm25.T.tocsr(), self.bm25.sign().T.tocsr(), self.values.T.tocsr()

    def features(self) -> Floats:
        """What the map reads, float32 [items, features]: constant, vectors, numbers, the frequent attribute values."""
        often = np.argsort(-np.diff(self.values.tocsc().indptr), kind="stable")[:MOST_VALUES]
        values = self.values[:, np.sort(often)].toarray()
        numbers = 0.5 * np.column_stack([self.numbers, self.familiarity])
        return np.hstack([np.ones((len(self.vectors), 1), np.float32), self.vectors, numbers, values])


def content(
    vectors: Floats, attributes: Sequence[Mapping[str, Any]], lexical: Lexical, familiarity: Floats | None = None
) -> Content:
    """`attributes`: one mapping an item (lists or tuples of strings, strings, numbers); other kinds are left out."""
    from scipy.sparse import csr_matrix

    names: dict[tuple[str, str], int] = {}
    rows, columns = [], []
    numeric = sorted({n for item in attributes for n, v in item.items() if isinstance(v, int | float)})
    numbers = np.full((len(attributes), len(numeric)), np.nan, np.float32)
    for row, item in enumerate(attributes):
        for name, value in item.items():
            if isinstance(value, int | float):
                numbers[row, numeric.index(name)] = value
                continue
            for one in {value} if isinstance(value, str) else set(value or ()):
                if 0 < len(one) <= LONGEST_VALUE:
                    rows.append(row)
                    columns.append(names.setdefault((name, one.casefold()), len(names)))
    shape = (len(attributes), max(1, len(names)))
    values = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    values.data[:] = 1.0  # a value that was given twice counts once
    often = np.bincount(values.indices, minlength=shape[1])
    values.data = np.log(len(attributes) / np.maximum(often, 1)).astype(np.float32)[values.indices]
    lengths = np.sqrt(np.asarray(values.multiply(values).sum(axis=1)).ravel())
    values.data /= np.repeat(np.maximum(lengths, 1e-9), np.diff(values.indptr)).astype(np.float32)
    with np.errstate(invalid="ignore"):
        known = np.isfinite(numbers)
        mean = np.where(known, numbers, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        spread = np.sqrt(np.where(known, (numbers - mean) ** 2, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
        numbers = np.where(known, (numbers - mean) / np.maximum(spread, 1e-9), 0).astype(np.float32)
    known_to_model = np.zeros(len(attributes), np.float32) if familiarity is None else familiarity
    bm25 = csr_matrix(lexical.by_item, shape=(len(attributes), lexical.words))
    items, places = np.nonzero(lexical.first)
    first = csr_matrix((np.ones(len(items), np.float32), (items, lexical.first[items, places])), shape=bm25.shape)
    return Content(
        np.asarray(vectors, np.float32), values, numbers, np.asarray(known_to_model, np.float32), bm25, first
    )


def extended(content: Content, vectors: Floats) -> Content:
    """`content` with the vectors of more items after its own: of these nothing but the text is comparable."""
    from scipy.sparse import csr_matrix, vstack

    more = len(vectors)

    def with_empty(matrix: Sparse) -> Sparse:
        return vstack([matrix, csr_matrix((more, matrix.shape[1]), dtype=np.float32)], format="csr")

    return Content(
        np.concatenate([np.asarray(content.vectors, np.float32), vectors]), with_empty(content.values),
        np.concatenate([content.numbers, np.zeros((more, content.numbers.shape[1]), np.float32)]),
        np.concatenate([content.familiarity, np.zeros(more, np.float32)]), with_empty(content.bm25),
        with_empty(content.first),
    )  # fmt: skip


@dataclass(frozen=True)
class Map:
    """From the scores of known items to those of new ones: `known` [m, features], `new` [u, features], `inverse` the
    inverse of the regularised Gram matrix of `known`."""

    known: Floats
    new: Floats
    inverse: Floats

    @cached_property
    def steps(self) -> tuple[Floats, ...]:
        """What scores are multiplied with, one after the other: a single [m, u] matrix where that is the less work."""
        right = np.asarray(self.inverse @ self.new.T, np.float32)
        (m, features), u = self.known.shape, len(self.new)
        return (np.asarray(self.known @ right, np.float32),) if m * u <= features * (m + u) else (self.known, right)

    def __call__(self, scores: NDArray[np.floating]) -> Floats:
        """[..., m] scores of known items -> [..., u] of new ones."""
        result = np.asarray(scores, np.float32)
        for step in self.steps:
            result = result @ step
        return result

    @cached_property
    def moments(self) -> tuple[Floats, Floats]:
        """(mean [features], covariance [features, features]) of the new items' features."""
        mean = self.new.mean(axis=0)
        centred = self.new - mean
        return mean, np.asarray(centred.T @ centred / max(1, len(centred)), np.float32)

    def weighed(
        self, signals: Sequence[Floats], weights: Sequence[NDArray[np.floating]], plain: Floats
    ) -> tuple[Floats, Floats]:
        """(the sum of weight * standardised signal of the new items, `plain` of the new items), [people, u] both.

        `signals`, `plain` [people, m] of known items, `weights` [people, 1] each. The features of the new items, the
        one large table, are read once for all: how far a mapped signal spreads is known from their covariance.
        """
        people, (mean, covariance) = len(plain), self.moments
        every = _times(np.concatenate([*signals, plain]).astype(np.float32), self.known.T) @ self.inverse
        wanted = np.zeros((people, len(mean)), np.float32)
        for i, weight in enumerate(weights):
            own = every[i * people : (i + 1) * people]
            spread = np.sqrt(np.maximum(np.einsum("pf,pf->p", own @ covariance, own), 0))[:, None]
            wanted += np.where(spread > 1e-7, weight / np.maximum(spread, 1e-7), 0).astype(np.float32) * own
        both = _times(np.concatenate([wanted, every[-people:]]), self.new)
        return both[:people] - np.asarray(wanted @ mean, np.float32)[:, None], both[people:]


def _times(rows: Floats, matrix: Floats) -> Floats:
    """`rows` @ `matrix`.T; of a few rows one product each is several times faster than all together."""
    few = len(rows) <= FEW
    return np.asarray(np.stack([matrix @ row for row in rows]) if few else rows @ matrix.T, np.float32)


def fit_map(features: Floats, known: NDArray[np.integer], new: NDArray[np.integer], ridge: float = 10.0) -> Map:
    """The map between rows `known` and `new` of `features` [items, features]; the constant (column 0) is not shrunk."""
    own = features[known]
    gram = own.T @ own
    penalty = np.full(len(gram), ridge, np.float32)
    penalty[0] = 1e-3
    gram[np.diag_indices_from(gram)] += penalty
    inverse = np.linalg.inv(gram.astype(np.float64)).astype(np.float32)
    return Map(own, features[new], inverse)


def moved(before: Map, features: Floats, known: NDArray[np.integer], new: NDArray[np.integer], fresh: Rows) -> Map:
    """`fit_map` of the same ridge, made from the map `before`, since which the rows `fresh` are known: the inverse by
    Sherman, Morrison and Woodbury."""
    more = features[fresh]
    spread = before.inverse @ more.T
    within = np.eye(len(fresh)) + more @ spread
    inverse = before.inverse - (spread @ np.linalg.solve(within, spread.T)).astype(np.float32)
    return Map(features[known], features[new], inverse)
