"""Which question next, or none: the one from which the list is expected to gain most, less what it costs the person.

The gain is that of the list's NDCG@10 by the belief: for an item to tick, the chance that it is liked times what the
list that follows is worth more than the one of now, both judged by what is then believed (expected value of sample
information; Golbandi et al., *Adaptive Bootstrapping of Recommender Systems Using Decision Trees*, WSDM 2011, ask by
the same aim). Items of a group are chosen one by one, each for what it adds to those before.

The bound on questions stands here, in code. Nothing is asked twice, nor what is known already.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.belief import (
    DECLINED,
    HIGHEST,
    VALUE,
    Belief,
    Grounds,
    Rows,
    Told,
    Value,
    believed,
    entropy,
    likeliest,
    ratios,
)  # fmt: skip
from snowmelt.agent.types import Option, Question
from snowmelt.agent.wording import column_words, joined, say

Strategy = Literal["ours", "random", "popularity", "entropy", "none"]

MOST = 3  # questions before the first list
ITEMS, VALUES = 8, 5  # offered in one question
SECONDS = {"open": 14.0, "attribute": 6.0, "items": 9.0, "versus": 4.0}  # of effort; guesses, not measured
COST = 0.0001  # of NDCG, a second: a question that is expected to gain less than it costs is not asked
UNKNOWN = 0.15  # chance of "I don't know"
POOL = 80  # items that may be asked about
NEAREST = 20  # of them, where something was asked for in words: no calculators for who wants pencils
# What a tick of any item is worth to the lists after the next one, of the mean gain of a tick: without it items are
# asked about that would tell much and are seldom known. Chosen on validation people (docs/results.md).
LATER = 0.5
NAMES = 1.5  # things that somebody who is asked openly names
START = 0.2  # NDCG@10 of a list for somebody unknown, where the belief cannot tell (0.26 on ml-100k)
LIMITED, KEPT = 0.5, 0.5  # share of people with an unspoken limit, and of items that keep it: guesses
TYPICAL = 0.4  # nats by which the items of a value are likelier for who chooses it
NAMED = 4  # columns named as examples in that question
# People can say which genre, mood, theme or kind of thing they want; of other columns they rather do not mind.
_TELLING, _LESS = ("genre", "categor", "mood", "theme", "tag", "style", "kind", "type"), 0.6
_PLACES = 1 / np.log2(np.arange(2, 12))  # what a place of the list is worth
_DISCOUNT = _PLACES / _PLACES.sum()


@dataclass(frozen=True)
class Candidate:
    """A question that could be asked: `gain` of NDCG@10 that is expected, `rows` of items or `values`."""

    kind: Literal["open", "attribute", "items", "versus"]
    about: str
    gain: float
    rows: tuple[int, ...] = ()
    values: tuple[Value, ...] = ()

    @property
    def cost(self) -> float:
        return COST * SECONDS[self.kind]


def choose(
    g: Grounds, told: Told, asked: tuple[str, ...] = (), strategy: Strategy = "ours", *, gone: frozenset[int] = frozenset(),  # noqa: E501
    most: int = MOST, seed: int = 0, listed: bool = False,
) -> Candidate | None:  # fmt: skip
    """The next question, None when none is worth a turn or `most` have been asked.

    `asked`: the `about` of every question so far; `gone`: rows of the items that were in them; `listed`: a list goes
    with the question: it is items to tick itself, and limits on it can be asked for.

    Other strategies, for comparison: `random` any items, pairs or values; `popularity` the items that most people know;
    `entropy` the column whose values split the likeliest items most evenly; `none` never asks.
    """
    if strategy == "none" or len(asked) >= most:
        return None
    if strategy == "popularity":
        return _popular(g, gone)
    if strategy == "random":
        return _random(g, asked, gone, seed + len(asked))
    now = _Now(g, believed(g, told))
    if strategy == "entropy":
        return max(_attributes(g, told, now, asked, _split), key=lambda c: c.gain, default=None)
    gone = gone | {*told.liked, *told.disliked, *told.declined_items}
    found = [*_attributes(g, told, now, asked, _raised), *_items(g, told, now, gone)]
    if listed:
        found = [c for c in found if c.kind != "items"]
    open_ = tuple(name for name in g.limits if name not in told.limited)
    waited = len(asked) > 1 and told.empty and g.together is None  # else another group of items tells more
    if open_ and (listed or waited) and not any(a.startswith("limits:") for a in asked):
        lost = LIMITED * (1 - KEPT) * max(now.worth, START)  # of a list that does not keep the limit
        found.append(Candidate("open", f"limits:{','.join(open_)}", (1 - UNKNOWN) * lost))
    if told.empty and "open" not in asked and g.prior is None:  # else the items to tick invite to name others
        found.append(Candidate("open", "open", _open_gain(now)))
    best = max(found, key=lambda c: c.gain - c.cost, default=None)
    return best if best is not None and best.gain > best.cost else None


def question_of(
    c: Candidate, g: Grounds, ids: tuple[str, ...] | list[str], language: str, labels: dict[str, str] | None = None
) -> Question:
    """The candidate in words. `labels`: how to show a value ("comedy" -> "喜剧"); `ids`: of items, by row."""
    sep = " / "
    if c.about.startswith("limits:"):
        names = [column_words(n, language) for n in c.about.removeprefix("limits:").split(",")[:NAMED]]
        return Question(kind="open", about=c.about, text=say("limits", language, columns=joined(names, language)))
    if c.kind == "open":
        return Question(kind="open", about=c.about, text=say("open", language))
    if c.kind == "attribute":
        shown = [(labels or {}).get(v.text, v.text) for v in c.values]
        options = tuple(
            Option(text=t, attribute=v.attribute, value=v.text) for t, v in zip(shown, c.values, strict=True)
        )
        return Question(
            kind="attribute", about=c.about, text=say("attribute", language, options=sep.join(shown)), options=options
        )
    titles = [(labels or {}).get(ids[r], g.titles[r]) for r in c.rows]
    options = tuple(Option(text=t, item_id=ids[r]) for t, r in zip(titles, c.rows, strict=True))
    if c.kind == "versus":
        return Question(
            kind="versus",
            about=c.about,
            text=say("versus", language, first=titles[0], second=titles[1]),
            options=options,
        )
    return Question(kind="items", about=c.about, text=say("items", language, options=sep.join(titles)), options=options)


class _Now:
    """The belief over the likeliest items, the list it would give, and what likes of items would make of it."""

    def __init__(self, g: Grounds, belief: Belief) -> None:
        self.g, self.belief = g, belief
        self.top = likeliest(belief.chance)
        self.first = np.arange(min(10, len(self.top)))  # of `top`: the list of now
        self.discount = _DISCOUNT[: len(self.first)]

    @property
    def worth(self) -> float:
        """NDCG@10 of the list of now, as believed."""
        return float(self.belief.chance[self.top[self.first]] @ self.discount)

    def gained(self, after: NDArray[np.float64], own: Rows | None = None) -> tuple[NDArray[np.float64], Rows]:
        """(gain [m], lists [m, 10]) where the chances of `top` become `after` [m, top]; `own` [m]: rows that are
        liked then, and recommended no more."""
        if own is not None:
            after = np.where(own[:, None] == self.top[None], 0.0, after)
        size = len(self.first)
        lists = np.argpartition(-after, size - 1, axis=1)[:, :size]
        order = np.argsort(-np.take_along_axis(after, lists, 1), axis=1, kind="stable")
        lists = np.take_along_axis(lists, order, 1)
        new, old = np.take_along_axis(after, lists, 1), after[:, self.first]
        if own is not None and len(self.first) < len(self.top):  # what is liked leaves the list of now, too
            left = np.cumsum(own[:, None] == self.top[self.first], axis=1)
            old = np.take_along_axis(after, self.first + left, 1)
        return np.maximum((new - old) @ self.discount, 0), lists

    def likes(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64], Rows, NDArray[np.float32]]:
        """(chance of a like [m], gain of it [m], lists [m, 10], ratios [m, m] between `rows`)."""
        gain, lists = self.gained(self.belief.after(ratios(self.g, rows, self.top), self.top), rows)
        return self.belief.chance[rows], gain, lists, ratios(self.g, rows, rows)


def _attributes(g: Grounds, told: Told, now: "_Now", asked: tuple[str, ...], gain: "_Gain") -> list[Candidate]:
    """One candidate a column: the values that share the belief out most evenly."""
    known = {a for a, _ in (*told.liked_values, *told.disliked_values)} | {a.removeprefix("attribute:") for a in asked}
    columns: dict[str, list[tuple[float, Value]]] = {}
    p = now.belief.chance / max(float(now.belief.chance.sum()), 1e-300)
    for value in g.values:
        if value.attribute not in known and len(value.rows) > 1:
            mass = float(p[value.rows].sum())
            if 0.01 < mass < 0.9:
                columns.setdefault(value.attribute, []).append((mass, value))
    place = np.full(len(p), -1)
    place[now.top] = np.arange(len(now.top))
    found = []
    for name, weighed in columns.items():
        weighed.sort(key=lambda w: -w[0] * (1 - w[0]))
        values = tuple(v for _, v in weighed[:VALUES])
        if len(values) < 2:
            continue
        has = np.zeros((len(values), len(now.top)), bool)
        for i, value in enumerate(values):
            at = place[value.rows]
            has[i, at[at >= 0]] = True
        telling = 1.0 if any(part in name.casefold() for part in _TELLING) else _LESS
        found.append(Candidate("attribute", f"attribute:{name}", telling * gain(now, has), values=values))
    return found


_Gain = Callable[[_Now, NDArray[np.bool_]], float]  # of a question for values, by `has` bool [values, top]


def _chances(now: _Now, has: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """(chance that each value is the answer, that none is)."""
    part = now.belief.chance[now.top]
    mass = (part * has).sum(1) / part.sum()
    none = float(np.prod(1 - mass))
    return (1 - none) * mass / max(float(mass.sum()), 1e-9), none


def _raised(now: _Now, has: NDArray[np.bool_]) -> float:
    """Expected gain of the list when one of the values is chosen."""
    chance, _ = _chances(now, has)
    part = now.belief.chance[now.top]
    gain, _ = now.gained(np.minimum(part * np.exp(TYPICAL * has), HIGHEST))
    return (1 - UNKNOWN) * float(chance @ gain)


def _split(now: _Now, has: NDArray[np.bool_]) -> float:
    """Expected fall of entropy, in bits, when one of the values, or none, is chosen."""
    chance, none = _chances(now, has)
    part = now.belief.chance[now.top]
    after = entropy(part * np.exp(VALUE * has))
    after_none = entropy(part * np.exp(-DECLINED * has.any(0)))
    return (1 - UNKNOWN) * float(entropy(part) - (chance * after).sum() - none * after_none)


def _pool(g: Grounds, told: Told, now: _Now, gone: frozenset[int]) -> Rows:
    """Items that are likely liked, by somebody who knows that; among the nearest alone where something was asked for
    in words."""
    weight = now.belief.chance.copy()
    if told.words is not None:
        weight[likeliest(weight, len(weight))[NEAREST:]] = 0
    weight[list(gone)] = 0
    rows = likeliest(weight, POOL)
    return rows[weight[rows] > 0]


def _items(g: Grounds, told: Told, now: _Now, gone: frozenset[int]) -> list[Candidate]:
    """Items to tick, each chosen for what it adds to those before: nothing where whoever likes it would have ticked
    another one that leads to the same list. And of two of them, which one rather."""
    pool = _pool(g, told, now, gone)
    if len(pool) < 4:
        return []
    chance, gain, lists, near = now.likes(pool)
    later = LATER * float(chance @ gain) / max(float(chance.sum()), 1e-9)
    fresh, picked, total = np.ones(len(pool)), list[int](), list[float]()
    for _ in range(min(ITEMS, len(pool))):
        value = chance * (gain * fresh + later)
        value[picked] = -1
        best = int(value.argmax())
        total.append(float(value[best]))
        picked.append(best)
        both = np.minimum(chance[best] * np.exp(near[:, best]), HIGHEST)  # chance of `best`, given each one
        fresh = fresh * (1 - both * (lists[:, :, None] == lists[best]).any(2).mean(1))
    rows = tuple(int(pool[i]) for i in picked)
    return [
        Candidate("items", "items", (1 - UNKNOWN) * sum(total), rows=rows),
        Candidate("versus", "versus", (1 - UNKNOWN) * sum(total[:2]), rows=rows[:2]),
    ]


def _open_gain(now: _Now) -> float:
    """Whoever is asked openly names a thing or two that they like."""
    rows = likeliest(now.belief.chance, POOL)
    chance, gain, _, _ = now.likes(rows)
    return (1 - UNKNOWN) * NAMES * float(chance @ gain) / max(float(chance.sum()), 1e-9)


def _popular(g: Grounds, gone: frozenset[int]) -> Candidate | None:
    order = np.argsort(-g.share, kind="stable")
    rows = tuple(int(r) for r in order[: ITEMS + len(gone)] if int(r) not in gone)[:ITEMS]
    return Candidate("items", "items", 0.0, rows=rows) if rows else None


def _random(g: Grounds, asked: tuple[str, ...], gone: frozenset[int], seed: int) -> Candidate:
    """Any items, any two of them, or any values of any column, each kind as likely."""
    rng = np.random.default_rng([seed, 7])
    rows = tuple(int(r) for r in rng.permutation(len(g.titles))[: ITEMS + len(gone)] if int(r) not in gone)[:ITEMS]
    columns = sorted({v.attribute for v in g.values} - {a.removeprefix("attribute:") for a in asked})
    kind = int(rng.integers(3 if columns else 2))
    if kind == 0:
        return Candidate("items", "items", 0.0, rows=rows)
    if kind == 1:
        return Candidate("versus", "versus", 0.0, rows=rows[:2])
    name = columns[int(rng.integers(len(columns)))]
    values = [v for v in g.values if v.attribute == name]
    picked = tuple(values[int(i)] for i in rng.permutation(len(values))[:VALUES])
    return Candidate("attribute", f"attribute:{name}", 0.0, values=picked)
