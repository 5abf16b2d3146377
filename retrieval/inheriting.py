"""What an item without behaviour inherits: a map from content to what is learned.

A new item is scored as items like it are scored: ridge regression of the known items' scores on their content, which
shrinks towards the mean where the content says little (Gantner et al., *Learning Attribute-to-Feature Mappings for
Cold-Start Recommendations*, ICDM 2010; here the map serves any signal, not one model's factors).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed


@dataclass(frozen=True)
class Features:
    """A table [items, features] in two parts that stand side by side: `dense` float32, the constant first, and `sparse`
    csr float32, of attribute values: half of the features, and a hundredth of the numbers."""

    dense: Floats
    sparse: Sparse

    def at(self, rows: NDArray[np.integer]) -> "Features":
        return Features(self.dense[rows], self.sparse[rows])

    def whole(self) -> Floats:
        """All of it, [items, features]: of a few rows."""
        return np.hstack([self.dense, self.sparse.toarray()])

    def times(self, weights: Floats) -> Floats:
        """[rows, features] of weights -> [rows, items]."""
        split = self.dense.shape[1]
        dense = np.ascontiguousarray((self.dense @ weights[:, :split].T).T)
        return dense + np.asarray((self.sparse @ np.ascontiguousarray(weights[:, split:].T)).T, np.float32)

    def sums(self, scores: Floats) -> Floats:
        """[rows, items] of scores -> [rows, features]: the features of the items by their scores, added up."""
        sparse = self.sparse.T @ np.ascontiguousarray(scores.T)
        return np.hstack([scores @ self.dense, np.asarray(sparse.T, np.float32)])

    def gram(self) -> NDArray[np.float64]:
        """Products of the features, [features, features]."""
        across = np.asarray(self.sparse.T @ self.dense)
        own = np.asarray((self.sparse.T @ self.sparse).todense())
        return np.block([[self.dense.T @ self.dense, across.T], [across, own]]).astype(np.float64)


@dataclass(frozen=True)
class Map:
    """From the scores of known items [m] to those of new ones [u]: the features of both, `inverse` that of the
    regularised Gram matrix of the known ones."""

    known: Features
    new: Features
    inverse: Floats

    def __call__(self, scores: NDArray[np.floating]) -> Floats:
        """[..., m] scores of known items -> [..., u] of new ones."""
        rows = np.atleast_2d(np.asarray(scores, np.float32))
        return self.new.times(self.known.sums(rows) @ self.inverse).reshape(*np.shape(scores)[:-1], -1)

    @cached_property
    def moments(self) -> tuple[Floats, Floats]:
        """(mean [features], covariance [features, features]) of the new items' features."""
        count = max(1, len(self.new.dense))
        mean = self.new.sums(np.ones((1, len(self.new.dense)), np.float32))[0].astype(np.float64) / count
        return mean.astype(np.float32), (self.new.gram() / count - np.outer(mean, mean)).astype(np.float32)

    def axes(self, scores: Floats, most: int) -> tuple[Floats, Floats]:
        """At most `most` numbers of an item that stand for its features where this map is read: (what the features of
        known items, times `inverse`, are multiplied with, those of new ones), [features, axes] each.

        Those along which what the map makes of `scores` [examples, m] of known items differs most (reduced-rank
        regression: Izenman, *Journal of Multivariate Analysis* 5, 1975).
        """
        mean, covariance = self.moments
        lengths, turn = np.linalg.eigh((covariance + np.outer(mean, mean)).astype(np.float64))
        there = lengths > 1e-7 * lengths[-1]
        root, turn = np.sqrt(lengths[there]), turn[:, there]
        _, _, rows = np.linalg.svd((self.known.sums(scores) @ self.inverse) @ turn * root, full_matrices=False)
        kept = rows[:most].T
        return np.asarray(turn @ (root[:, None] * kept), np.float32), np.asarray(
            turn @ (kept / root[:, None]), np.float32
        )

    def through(self, known: Floats, new: Floats) -> "Map":
        """This map by the `axes` (known, new): as good on scores like those that they are made from, and read in a
        fraction of the time."""
        from scipy.sparse import csr_matrix

        both = self.known.times((self.inverse @ known).T).T, self.new.times(new.T).T
        parts = (Features(np.ascontiguousarray(part), csr_matrix((len(part), 0), dtype=np.float32)) for part in both)
        return Map(*parts, np.eye(known.shape[1], dtype=np.float32))

    def weighed(
        self, signals: Sequence[Floats], weights: Sequence[NDArray[np.floating]], plain: Floats
    ) -> tuple[Floats, Floats]:
        """(the sum of weight * standardised signal of the new items, `plain` of the new items), [people, u] both.

        `signals`, `plain` [people, m] of known items, `weights` [people, 1] each. The features of the new items, the
        one large table, are read once for all: how far a mapped signal spreads is known from their covariance.
        """
        people, (mean, covariance) = len(plain), self.moments
        every = self.known.sums(np.concatenate([*signals, plain]).astype(np.float32)) @ self.inverse
        wanted = np.zeros((people, len(mean)), np.float32)
        for i, weight in enumerate(weights):
            own = every[i * people : (i + 1) * people]
            spread = np.sqrt(np.maximum(np.einsum("pf,pf->p", own @ covariance, own), 0))[:, None]
            wanted += np.where(spread > 1e-7, weight / np.maximum(spread, 1e-7), 0).astype(np.float32) * own
        both = self.new.times(np.concatenate([wanted, every[-people:]]))
        return both[:people] - np.asarray(wanted @ mean, np.float32)[:, None], both[people:]


def fit_map(features: Features, known: NDArray[np.integer], new: NDArray[np.integer], ridge: float = 10.0) -> Map:
    """The map between rows `known` and `new` of `features`; the constant (column 0) is not shrunk."""
    own = features.at(known)
    gram = own.gram()
    penalty = np.full(len(gram), ridge)
    penalty[0] = 1e-3
    gram[np.diag_indices_from(gram)] += penalty
    return Map(own, features.at(new), np.linalg.inv(gram).astype(np.float32))


def moved(before: Map, features: Features, known: NDArray[np.integer], new: NDArray[np.integer], fresh: Rows) -> Map:
    """`fit_map` of the same ridge, made from the map `before`, since which the rows `fresh` are known: the inverse by
    Sherman, Morrison and Woodbury."""
    more = features.at(fresh).whole()
    spread = before.inverse @ more.T
    within = np.eye(len(fresh)) + more @ spread
    inverse = before.inverse - (spread @ np.linalg.solve(within, spread.T)).astype(np.float32)
    return Map(features.at(known), features.at(new), inverse)
