"""Items as numbers: what their content says to a person who is known by likes, and to the map (`inheriting`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.fusion import spread
from snowmelt.retrieval.inheriting import Features
from snowmelt.retrieval.lexical import Lexical

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

LONGEST_VALUE = 60  # characters of a text attribute up to which it is a value, not prose
MOST_VALUES = 500  # attribute values that are features of the map: the most frequent
# In a catalogue of more than WHOLE items LEADING principal components stand for a vector in the map, NEAREST of them in
# cosines: with 512 numbers of each of 100,000 items ten likes take 40 ms, the map as much. New artists lose 0.001 to
# 0.006 of NDCG@10 by it (0.009 to 0.013 with 128 components), new films and known items nothing (docs/results.md).
WHOLE, LEADING, NEAREST = 30_000, 256, 64
# Of a number, in standard deviations: films of one time are liked by the same people, so a line through the years says
# little (docs/results.md: without a model the map of new films 0.194 -> 0.240).
BENDS = np.arange(-3, 3.1, 0.5)
SAMPLE = 20_000  # vectors whose principal components are found
BLOCK = 64  # people whose likes are compared with the catalogue at a time


@dataclass(frozen=True)
class Content:
    """Items as numbers, in row order. `vectors` float32 [items, dim], length 1; `leading`: the same, or in
    large catalogues float32 [items, LEADING], turned so that products of rows are kept as well as so few numbers can;
    `values` csr float32 [items, values], an item's attribute values weighted by rarity, length 1 or empty; `numbers`
    float32 [items, numeric], standardised. `bm25` csr float32 [items, words]: BM25's weights, and once more those of
    first words where titles are long (`Lexical.titled`); `texts`, `places`: where they come from, and the row of each
    item there (-1: none). `familiarity` float32 [items]: how well known a language model takes an item to be, 0 where
    none was asked.
    """

    vectors: Floats
    leading: Floats
    values: Sparse
    numbers: Floats
    familiarity: Floats
    bm25: Sparse
    texts: Lexical
    places: Rows

    def at(self, rows: NDArray[np.integer]) -> "Content":
        """The same of these items alone (a copy)."""
        vectors = self.vectors[rows]
        leading = vectors if self.leading is self.vectors else np.asfortranarray(self.leading[rows])
        return Content(
            vectors, leading, self.values[rows], self.numbers[rows], self.familiarity[rows], self.bm25[rows],
            self.texts, self.places[rows],
        )  # fmt: skip

    def signals(self, liked: Sparse, among: "Content | None" = None) -> dict[str, Floats]:
        """dense: cosine to the nearest like. bm25: shared words, as `Lexical.alike`. attributes: mean cosine of values.
        Each [people, items of `among`, which is some of these] (None: all); with familiarity, which is the same for
        all. A text that repeats a like's under another title gains by neither (`Lexical.own`).

        `liked` csr [people, items]; an item's own likes say nothing of it but that it is itself: cosine 1.
        """
        from scipy.sparse import csr_matrix

        among = among or self
        near = None if self.leading is self.vectors else NEAREST
        count = np.diff(liked.indptr)
        dense = np.zeros((liked.shape[0], len(among.vectors)), np.float32)
        own: dict[int, tuple[Rows, Floats]] = {}
        for start in range(0, liked.shape[0], BLOCK):
            part = liked[start : start + BLOCK]
            items, place = np.unique(part.indices, return_inverse=True)
            some = np.flatnonzero(np.diff(part.indptr))  # reduceat wants no empty runs
            if len(some):
                cosine = self.leading[items, :near] @ among.leading[:, :near].T
                for like, item in enumerate(items):
                    same, left = own[int(item)] = among.repeating(int(self.places[item]))
                    mean = cosine[like].mean() if len(same) else 0.0
                    cosine[like, same] = mean + (cosine[like, same] - mean) * left
                if len(some) == 1:  # reduceat takes ten times as long
                    dense[start + some] = cosine.max(axis=0)
                else:
                    dense[start + some] = np.maximum.reduceat(cosine[place], part.indptr[some], axis=0)
        person = csr_matrix((liked.data, np.arange(liked.nnz), liked.indptr), shape=(liked.shape[0], liked.nnz))
        words, values = person @ self.bm25[liked.indices].sqrt(), person @ self.values[liked.indices]
        shared = np.ascontiguousarray(_products(among.bm25, words))
        for one, (begin, end) in enumerate(zip(liked.indptr, liked.indptr[1:], strict=False)):
            repeated = [own[item] for item in liked.indices[begin:end].tolist() if len(own[item][0])]
            if repeated:
                left = np.ones(shared.shape[1], np.float32)
                for near, kept in repeated:
                    left[near] = np.minimum(left[near], kept)
                shared[one] *= left
        return {
            "dense": dense,
            "bm25": shared,
            "attributes": _products(among.values, values) / np.maximum(count, 1)[:, None].astype(np.float32),
            "familiarity": np.tile(among.familiarity, (liked.shape[0], 1)),
        }

    def repeating(self, place: int) -> tuple[Rows, Floats]:
        """(items that repeat the text of the one at `place` of `texts`, what is left of their likeness)."""
        if place < 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        near, left = self.texts.repeating(place)
        here = self._where[near]
        return here[here >= 0], left[here >= 0]

    @cached_property
    def _where(self) -> Rows:
        """The item of each place of `texts`, -1 where it is none of these."""
        where = np.full(self.texts.count, -1, np.int64)
        told = np.flatnonzero(self.places >= 0)
        where[self.places[told]] = told
        return where

    def features(self, bent: bool = True) -> "Features":
        """What the map reads: constant, leading components, numbers; the frequent attribute values. `bent`: the map may
        bend at BENDS of a number; without, it is linear in it, as it was published."""
        from scipy.sparse import csr_matrix, hstack

        often = np.argsort(-np.diff(self.values.tocsc().indptr), kind="stable")[:MOST_VALUES]
        numbers = np.column_stack([self.numbers, self.familiarity])
        bends = [csr_matrix(0.5 * _hats(column)) for column in numbers.T if bent and column.any()]
        dense = np.hstack([np.ones((len(self.vectors), 1), np.float32), self.leading, 0.5 * numbers])
        return Features(np.asarray(dense, np.float32), hstack([self.values[:, np.sort(often)], *bends], "csr"))


def _hats(values: Floats) -> Floats:
    """Numbers [items] as shares of the two BENDS beside each, [items, BENDS] (a linear spline's basis)."""
    away = np.abs(np.clip(values, BENDS[0], BENDS[-1])[:, None] - BENDS) / (BENDS[1] - BENDS[0])
    return np.maximum(0, 1 - away).astype(np.float32)


def _products(matrix: Sparse, rows: Sparse) -> Floats:
    """csr [people, n] of csr `rows` [people, columns] and `matrix` [n, columns], one pass over `matrix` a person."""
    return np.asarray((matrix @ rows.T.toarray()).T, np.float32)


def content(
    vectors: Floats, attributes: Sequence[Mapping[str, Any]], lexical: Lexical, familiarity: Floats | None = None
) -> Content:
    """`attributes`: one mapping an item (lists or tuples of strings, strings, numbers); other kinds are left out."""
    from scipy.sparse import csc_matrix, csr_matrix, hstack

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
    if lexical.titled:  # as words of their own: the product of an entry's root and an entry is `titled` times theirs
        data, items, ends = lexical.heads
        heads = csc_matrix((data / np.cbrt(lexical.titled), items, ends), shape=bm25.shape)
        bm25 = hstack([bm25, heads], "csr", np.float32)
    vectors = np.asarray(vectors, np.float32)
    return Content(
        vectors, leading(vectors), values, numbers, np.asarray(known_to_model, np.float32), bm25, lexical,
        np.arange(len(vectors)),
    )  # fmt: skip


def leading(vectors: Floats) -> Floats:
    """`vectors` [items, dim], if they are at most WHOLE or short; else along their LEADING principal axes (about the
    origin), [items, LEADING], in columns: of all such tables the one whose products of rows are nearest to those of
    `vectors` (Eckart and Young 1936)."""
    if len(vectors) <= WHOLE or vectors.shape[1] <= LEADING:
        return vectors
    some = vectors[spread(len(vectors), SAMPLE)]
    _, axes = np.linalg.eigh((some.T @ some).astype(np.float64))
    return np.asfortranarray(vectors @ axes[:, : -LEADING - 1 : -1].astype(np.float32))


def extended(content: Content, vectors: Floats) -> Content:
    """`content` with the vectors of more items after its own: of these nothing but the text is comparable."""
    from scipy.sparse import csr_matrix, vstack

    more = len(vectors)

    def with_empty(matrix: Sparse) -> Sparse:
        return vstack([matrix, csr_matrix((more, matrix.shape[1]), dtype=np.float32)], format="csr")

    every = np.concatenate([np.asarray(content.vectors, np.float32), vectors])
    return Content(
        every, leading(every), with_empty(content.values),
        np.concatenate([content.numbers, np.zeros((more, content.numbers.shape[1]), np.float32)]),
        np.concatenate([content.familiarity, np.zeros(more, np.float32)]), with_empty(content.bm25),
        content.texts, np.concatenate([content.places, np.full(more, -1)]),
    )  # fmt: skip
