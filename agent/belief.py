"""What somebody probably wants, as a probability over items, from the first second on.

Plain functions over plain arrays, so that the evaluation harness drives them with its own data. The belief is worked
out anew from everything told so far: there is no state beside the conversation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

NEAR, FAR = 1.2, 0.6  # nats per deviation of nearness to a liked item; to a disliked one
VALUE, NOT_VALUE, DECLINED = 1.5, 2.0, 0.7  # nats for a liked value, a disliked one, one passed over in a question
MOST_ITEMS = 3000  # of the likeliest: the others change no question


@dataclass(frozen=True)
class Value:
    """One value of one column, and the items that have it."""

    attribute: str
    text: str
    rows: Rows


@dataclass(frozen=True)
class Grounds:
    """What questions are chosen from, once per catalogue of n items.

    `vectors` float32 [n, d]: how near items are (cosine of centred rows); text vectors, or learned ones. `prior`
    float32 [n], not negative: how many people know and like an item (None: nothing is known). `values`: what items can
    be told apart by. `limits`: columns that somebody may set a limit on, the likeliest first.
    """

    vectors: Floats
    prior: Floats | None
    values: tuple[Value, ...]
    titles: Sequence[str]
    limits: tuple[str, ...] = ()

    @cached_property
    def centred(self) -> Floats:
        """Rows less their mean, length 1: without it all items of one catalogue look alike."""
        c = np.asarray(self.vectors, np.float32) - np.asarray(self.vectors, np.float32).mean(0, keepdims=True)
        return c / np.maximum(np.linalg.norm(c, axis=1, keepdims=True), 1e-9)

    @cached_property
    def known(self) -> Floats:
        """Chance that somebody knows an item, 0.05 to 0.9: by its rank in the prior; 0.1 for all without one."""
        n = len(self.titles)
        if self.prior is None or float(np.ptp(self.prior)) == 0:
            return np.full(n, 0.1, np.float32)
        rank = np.empty(n)
        rank[np.argsort(-self.prior, kind="stable")] = np.arange(n)
        return (0.05 + 0.85 * np.exp(-rank / max(20.0, 0.05 * n))).astype(np.float32)


@dataclass(frozen=True)
class Told:
    """Everything told so far: rows of items, and (attribute, value) pairs; `limited`: columns with a
    limit; `allowed` bool [n] or None for all."""

    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()
    liked_values: tuple[tuple[str, str], ...] = ()
    disliked_values: tuple[tuple[str, str], ...] = ()
    declined_items: tuple[int, ...] = ()
    declined_values: tuple[tuple[str, str], ...] = ()
    words: Floats | None = None
    limited: tuple[str, ...] = ()
    allowed: NDArray[np.bool_] | None = None

    @property
    def empty(self) -> bool:
        return not (self.liked or self.disliked or self.liked_values or self.disliked_values or self.words is not None)


def nearness(g: Grounds, rows: Sequence[int]) -> Floats:
    """float32 [len(rows), n]: cosine to each of `rows`, standardised over the catalogue."""
    near = g.centred[list(rows)] @ g.centred.T
    return (near - near.mean(1, keepdims=True)) / np.maximum(near.std(1, keepdims=True), 1e-6)


def belief(g: Grounds, told: Told) -> NDArray[np.float64]:
    """p [n], summing to 1: how likely each item is what this person wants. Zero where it is not allowed."""
    n = len(g.titles)
    log = (
        np.log(np.asarray(g.prior, np.float64) + 1e-3 * float(g.prior.max() or 1.0))
        if g.prior is not None
        else np.zeros(n)
    )
    if told.liked:
        near = nearness(g, told.liked)
        log = log + NEAR * (0.5 * near.max(0) + 0.5 * near.mean(0))
    if told.words is not None:
        near = np.atleast_2d(told.words) @ np.asarray(g.vectors, np.float32).T
        near = (near - near.mean(1, keepdims=True)) / np.maximum(near.std(1, keepdims=True), 1e-6)
        log = log + NEAR * near.max(0)
    for rows, weight in ((told.disliked, FAR), (told.declined_items, 0.3 * FAR)):
        if rows:
            log = log - weight * np.maximum(nearness(g, rows).max(0), 0)
            log[list(rows)] -= 3.0
    index = {(v.attribute, v.text): v for v in g.values}
    for keys, weight in (
        (told.liked_values, VALUE),
        (told.disliked_values, -NOT_VALUE),
        (told.declined_values, -DECLINED),
    ):
        for key in keys:
            if key in index:
                log[index[key].rows] += weight
    p = np.exp(log - log.max())
    if told.allowed is not None:
        p = np.where(told.allowed, p, 0.0)
    p[list(told.liked)] *= 1e-3  # it is known already; something else is wanted
    total = p.sum()
    return p / total if total > 0 else np.full(n, 1.0 / n)


def entropy(p: NDArray[np.floating]) -> NDArray[np.float64]:
    """In bits, over the last axis; rows need not sum to 1."""
    p = p / np.maximum(p.sum(-1, keepdims=True), 1e-300)
    return -(p * np.log2(np.maximum(p, 1e-300))).sum(-1)


def likeliest(p: NDArray[np.floating], most: int = MOST_ITEMS) -> Rows:
    """Rows that hold the belief, at most `most` of them, the likeliest first."""
    rows = np.argpartition(-p, min(most, len(p)) - 1)[:most] if len(p) > most else np.arange(len(p))
    return rows[np.argsort(-p[rows], kind="stable")]
