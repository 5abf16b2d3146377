"""What somebody probably likes, a chance for each item, from the first second on.

Plain functions over plain arrays, so that the evaluation harness drives them with its own data. The belief is worked
out anew from everything told so far: there is no state beside the conversation.

Naive Bayes: ln P(like j) = ln(share who like j) + sum over likes i of ln P(like j | like i) / P(like j), divided by the
root of their number because likes are not independent (Bennett, CMU-CS-00-155, 2000). The ratios are counts of people
where behaviour was learned, nearness of texts elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.learned import Learned

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

# Nats per deviation of nearness to what was asked for in words; to a liked item (its text says less of what else is
# liked, and a question must not promise too much by it); to a disliked one.
NEAR, ALIKE, FAR = 1.2, 0.6, 0.6
VALUE, NOT_VALUE, DECLINED = 1.5, 2.0, 0.7  # nats for a liked value, a disliked one, one passed over in a question
MOST_ITEMS = 3000  # of the likeliest: the others change no question
SHRINK = 10.0  # people's worth of what everybody likes, beside those who like an item
USUAL, HIGHEST = 0.3, 0.9  # share who like the best known item where nobody was counted; no chance is higher than this
FEW = 0.05  # the same of every item where nothing at all is known


@dataclass(frozen=True)
class Value:
    """One value of one column, and the items that have it."""

    attribute: str
    text: str
    rows: Rows


@dataclass(frozen=True)
class Together:
    """Who likes what with what. `share` float32 [n]: of people who like an item; `raised` csr float32 [n, n]:
    ln(1 + C_ij / (SHRINK * share_j)) where C_ij people like both; `counted` float32 [n]: ln(1 + likes / SHRINK), 0
    for items that nobody was counted for."""

    share: Floats
    raised: Sparse
    counted: Floats

    @classmethod
    def of(cls, learned: Learned) -> "Together":
        """From what `snowmelt fit` stored: its cosines of co-liked items, turned back into counts."""
        from scipy.sparse import csr_matrix

        b, n = learned.behaviour, learned.own
        own = b.rows < n
        rows, likes = b.rows[own], np.maximum(b.likes[own], 1)
        people = max(float(learned.people), float(likes.max(initial=1)) / HIGHEST)
        share, counted = np.full(n, 1 / people, np.float32), np.zeros(n, np.float32)
        share[rows], counted[rows] = likes / people, np.log1p(likes / SHRINK)
        both = b.neighbours[own][:, own].tocoo()
        count = both.data * np.sqrt(likes[both.row] * likes[both.col])
        data = np.log1p(count / (SHRINK * share[rows[both.col]])).astype(np.float32)
        return cls(share, csr_matrix((data, (rows[both.row], rows[both.col])), shape=(n, n)), counted)


@dataclass(frozen=True)
class Grounds:
    """What questions are chosen from, once per catalogue of n items.

    `vectors` float32 [n, d]: how near items are (cosine of centred rows). `prior` float32 [n], not negative: how well
    known and liked an item is (None: nothing is known). `values`: what items can be told apart by. `limits`: columns
    that somebody may set a limit on, the likeliest first. `together`: what was learned of people, if anything was.
    """

    vectors: Floats
    prior: Floats | None
    values: tuple[Value, ...]
    titles: Sequence[str]
    limits: tuple[str, ...] = ()
    together: Together | None = None

    @cached_property
    def centred(self) -> Floats:
        """Rows less their mean, length 1: without it all items of one catalogue look alike."""
        c = np.asarray(self.vectors, np.float32) - np.asarray(self.vectors, np.float32).mean(0, keepdims=True)
        return c / np.maximum(np.linalg.norm(c, axis=1, keepdims=True), 1e-9)

    @cached_property
    def share(self) -> Floats:
        """Of people who like an item and know that they do, [n]: counted, or guessed from the prior."""
        if self.together is not None:
            return self.together.share
        if self.prior is None or float(np.ptp(self.prior)) == 0:
            return np.full(len(self.titles), FEW, np.float32)
        most = float(self.prior.max())
        return (USUAL * np.maximum(self.prior / most, 1e-3)).astype(np.float32)


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


def nearness(g: Grounds, rows: Sequence[int] | Rows, columns: Rows | slice = slice(None)) -> Floats:
    """float32 [rows, columns]: cosine to each of `rows`, standardised over the columns."""
    near = g.centred[np.asarray(rows, np.int64)] @ g.centred[columns].T
    return (near - near.mean(1, keepdims=True)) / np.maximum(near.std(1, keepdims=True), 1e-6)


def ratios(g: Grounds, rows: Sequence[int] | Rows, columns: Rows | slice = slice(None)) -> Floats:
    """float32 [rows, columns]: ln P(like the column | like the row) / P(like the column).

    Of texts: ALIKE nats per deviation of nearness, less what makes the mean of normal deviations 1.
    """
    at, t = np.asarray(rows, np.int64), g.together
    if t is None:
        return ALIKE * nearness(g, at, columns) - ALIKE**2 / 2
    found = np.asarray(t.raised[at][:, columns].todense(), np.float32) - t.counted[at, None]
    unknown = (t.counted[at, None] == 0) | (t.counted[columns] == 0)
    if unknown.any():
        found = np.where(unknown, ALIKE * nearness(g, at, columns) - ALIKE**2 / 2, found)
    return found


@dataclass(frozen=True)
class Belief:
    """ln of the chance that each item is liked, in parts: `base` float64 [n] without what the likes say, `likes` [n]
    the sum of their ratios, `count` how many they are. `open` bool [n]: may be recommended."""

    base: NDArray[np.float64]
    likes: NDArray[np.float64]
    count: int
    open: NDArray[np.bool_]

    @cached_property
    def chance(self) -> NDArray[np.float64]:
        """[n], at most HIGHEST; 0 where an item may not be recommended."""
        told = self.base + self.likes / max(self.count, 1) ** 0.5
        return np.where(self.open, np.minimum(np.exp(told), HIGHEST), 0.0)

    def after(self, more: Floats, columns: Rows) -> NDArray[np.float64]:
        """The same [m, columns] with one like more, each of whose ratios are `more` [m, columns]."""
        told = self.base[columns] + (self.likes[columns] + more) / (self.count + 1) ** 0.5
        return np.where(self.open[columns], np.minimum(np.exp(told), HIGHEST), 0.0)


def believed(g: Grounds, told: Told) -> Belief:
    """From everything told."""
    n = len(g.titles)
    log, likes = np.log(np.asarray(g.share, np.float64)), np.zeros(n)
    if told.liked:
        likes = ratios(g, told.liked).sum(0, dtype=np.float64)
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
    allowed = np.ones(n, bool) if told.allowed is None else told.allowed.copy()
    allowed[list(told.liked)] = False  # it is known already; something else is wanted
    return Belief(log, likes, len(told.liked), allowed)


def belief(g: Grounds, told: Told) -> NDArray[np.float64]:
    """p [n], summing to 1: how likely each item is what this person wants. Zero where it is not allowed."""
    p = believed(g, told).chance
    total = p.sum()
    return p / total if total > 0 else np.full(len(p), 1.0 / len(p))


def entropy(p: NDArray[np.floating]) -> NDArray[np.float64]:
    """In bits, over the last axis; rows need not sum to 1."""
    p = p / np.maximum(p.sum(-1, keepdims=True), 1e-300)
    return -(p * np.log2(np.maximum(p, 1e-300))).sum(-1)


def likeliest(p: NDArray[np.floating], most: int = MOST_ITEMS) -> Rows:
    """Rows that hold the belief, at most `most` of them, the likeliest first."""
    rows = np.argpartition(-p, min(most, len(p)) - 1)[:most] if len(p) > most else np.arange(len(p))
    return rows[np.argsort(-p[rows], kind="stable")]
