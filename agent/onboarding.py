"""Which question next, or none: the one that tells most about what to recommend, per second of the person's effort.

The bound on questions stands here, in code. Nothing is asked twice, nor what is known already.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from snowmelt.agent.belief import VALUE, Grounds, Told, Value, belief, entropy, likeliest
from snowmelt.agent.types import Option, Question
from snowmelt.agent.wording import column_words, joined, say

Strategy = Literal["ours", "random", "popularity", "entropy", "none"]

MOST = 3  # questions before the first list
WORTH = 0.01  # bits per second: a question that tells less is not asked
ITEMS, VALUES = 8, 5  # offered in one question
SECONDS = {"open": 14.0, "attribute": 6.0, "items": 9.0, "versus": 4.0}  # of effort; guesses, not measured
AGAIN = 0.8  # what a question is worth if its kind was asked before
UNKNOWN = 0.15  # chance of "I don't know"
POOL = 80  # items that may be asked about
NEAREST = 60  # of them, where something was asked for in words: no calculators for who wants pencils
LIMITS = 2.0  # bits that "must it, must it not?" tells: one limit that leaves a quarter, or two that leave a half each
NAMED = 4  # columns named as examples in that question
# People can say which genre, mood, theme or kind of thing they want; of other columns they rather do not mind.
_TELLING, _LESS = ("genre", "categor", "mood", "theme", "tag", "style", "kind", "type"), 0.6


@dataclass(frozen=True)
class Candidate:
    """A question that could be asked: `gain` in bits, `rows` of items or `values`."""

    kind: Literal["open", "attribute", "items", "versus"]
    about: str
    gain: float
    rows: tuple[int, ...] = ()
    values: tuple[Value, ...] = ()

    @property
    def worth(self) -> float:
        return self.gain / SECONDS[self.kind]


def choose(
    g: Grounds, told: Told, asked: tuple[str, ...] = (), strategy: Strategy = "ours", *, gone: frozenset[int] = frozenset(),  # noqa: E501
    most: int = MOST, seed: int = 0,
) -> Candidate | None:  # fmt: skip
    """The next question, None when none is worth a turn or `most` have been asked.

    `asked`: the `about` of every question so far; `gone`: rows of the items that were in them.

    Other strategies, for comparison: `random` any items, pairs or values; `popularity` the items that most people know;
    `entropy` the column whose values split the likeliest items most evenly; `none` never asks.
    """
    if strategy == "none" or len(asked) >= most:
        return None
    p = belief(g, told)
    if strategy == "popularity":
        return _popular(g, p, gone)
    if strategy == "random":
        return _random(g, p, asked, gone, seed + len(asked))
    gone = gone | {*told.liked, *told.disliked, *told.declined_items}
    found = [*_attributes(g, told, p, asked), *_items(g, told, p, gone), *_versus(g, told, p, gone)]
    if strategy == "entropy":
        attributes = [c for c in found if c.kind == "attribute"]
        return max(attributes, key=lambda c: c.gain, default=None)
    open_ = tuple(name for name in g.limits if name not in told.limited)
    begun = len(asked) >= (2 if told.empty else 1)  # what is loved comes first
    if open_ and begun and not any(a.startswith("limits:") for a in asked):
        found.append(Candidate("open", f"limits:{','.join(open_)}", (1 - UNKNOWN) * LIMITS))
    if told.empty and "open" not in asked:
        found.append(Candidate("open", "open", _open_gain(g, p)))
    # the same kind again is a form, not a talk
    best = max(found, key=lambda c: c.worth * AGAIN ** asked.count(c.about), default=None)
    return best if best is not None and best.worth >= WORTH else None


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


def _attributes(g: Grounds, told: Told, p: np.ndarray, asked: tuple[str, ...]) -> list[Candidate]:
    """One candidate a column: the values that share the belief out most evenly."""
    known = {a for a, _ in (*told.liked_values, *told.disliked_values)} | {a.removeprefix("attribute:") for a in asked}
    columns: dict[str, list[tuple[float, Value]]] = {}
    for value in g.values:
        if value.attribute not in known and len(value.rows) > 1:
            mass = float(p[value.rows].sum())
            if 0.01 < mass < 0.9:
                columns.setdefault(value.attribute, []).append((mass, value))
    top = likeliest(p)
    place = np.full(len(p), -1)
    place[top] = np.arange(len(top))
    part = p[top]
    found = []
    for name, weighed in columns.items():
        weighed.sort(key=lambda w: -w[0] * (1 - w[0]))
        values = tuple(v for _, v in weighed[:VALUES])
        if len(values) < 2:
            continue
        has = np.zeros((len(values), len(top)), bool)
        for i, value in enumerate(values):
            at = place[value.rows]
            has[i, at[at >= 0]] = True
        telling = 1.0 if any(part_ in name.casefold() for part_ in _TELLING) else _LESS
        found.append(Candidate("attribute", f"attribute:{name}", telling * _gain(part, has), values=values))
    return found


def _gain(part: np.ndarray, has: np.ndarray) -> float:
    """Expected fall of entropy when one of the values, or none, is chosen. `has` bool [values, items]."""
    mass = (part * has).sum(1) / part.sum()
    none = float(np.prod(1 - mass))
    chance = (1 - none) * mass / max(float(mass.sum()), 1e-9)
    after = entropy(part * np.exp(VALUE * has))
    after_none = entropy(part * np.exp(-0.7 * has.any(0)))
    return (1 - UNKNOWN) * float(entropy(part) - (chance * after).sum() - none * after_none)


def _pool(g: Grounds, told: Told, p: np.ndarray, gone: frozenset[int]) -> np.ndarray:
    """Items that people may know and that matter: by known x the square root of the belief; among the nearest alone
    where something was asked for in words."""
    weight = g.known * np.sqrt(p)
    if told.words is not None:
        near = likeliest(p, NEAREST)
        weight = np.where(np.isin(np.arange(len(p)), near), weight, 0.0)
    if gone:
        weight = weight.copy()
        weight[list(gone)] = 0
    rows = likeliest(weight.astype(np.float64), POOL)
    return rows[weight[rows] > 0]


def _informative(g: Grounds, p: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(bits that a like of each of `rows` tells, chance that it is known and liked)."""
    top = likeliest(p)
    near = nearness_between(g, rows, top)
    after = p[top] * np.exp(np.clip(near, -4, 4))
    after /= after.sum(1, keepdims=True)
    told = (after * np.log2(np.maximum(after, 1e-300) / np.maximum(p[top] / p[top].sum(), 1e-300))).sum(1)
    lift = np.sqrt(np.minimum(p[rows] / max(float(np.quantile(p[rows], 0.8)), 1e-300), 1.0))
    return told, g.known[rows] * (0.15 + 0.45 * lift)


def nearness_between(g: Grounds, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """[len(rows), len(columns)]: standardised cosine of centred vectors, over the columns."""
    near = g.centred[rows] @ g.centred[columns].T
    return (near - near.mean(1, keepdims=True)) / np.maximum(near.std(1, keepdims=True), 1e-6)


def _items(g: Grounds, told: Told, p: np.ndarray, gone: frozenset[int]) -> list[Candidate]:
    """Items to tick: picked one by one, each for what it tells beyond those picked before."""
    pool = _pool(g, told, p, gone)
    if len(pool) < 4:
        return []
    bits, chance = _informative(g, p, pool)
    near = np.clip(g.centred[pool] @ g.centred[pool].T, 0, 1)
    picked: list[int] = []
    gain, fresh = 0.0, np.ones(len(pool))
    for _ in range(min(ITEMS, len(pool))):
        value = bits * chance * fresh
        value[picked] = -1
        best = int(value.argmax())
        gain += float(value[best]) * 0.85 ** len(picked)
        picked.append(best)
        fresh = fresh * (1 - 0.8 * near[best])
    rows = tuple(int(pool[i]) for i in picked)
    return [Candidate("items", "items", (1 - UNKNOWN) * gain, rows=rows)]


def _versus(g: Grounds, told: Told, p: np.ndarray, gone: frozenset[int]) -> list[Candidate]:
    """Two likely known and likely liked items that lie far apart."""
    pool = _pool(g, told, p, gone)[:16]
    if len(pool) < 2:
        return []
    bits, _ = _informative(g, p, pool)
    near = g.centred[pool] @ g.centred[pool].T
    best: tuple[float, int, int] | None = None
    for i in range(len(pool)):
        for j in range(i + 1, len(pool)):
            both = float(g.known[pool[i]] * g.known[pool[j]])
            gain = both * 0.5 * float(bits[i] + bits[j]) * float(1 - max(near[i, j], 0)) * 0.5
            if best is None or gain > best[0]:
                best = (gain, i, j)
    if best is None:
        return []
    rows = (int(pool[best[1]]), int(pool[best[2]]))
    return [Candidate("versus", "versus", (1 - UNKNOWN) * best[0], rows=rows)]


def _open_gain(g: Grounds, p: np.ndarray) -> float:
    """Whoever is asked openly names about one and a half things that they know."""
    rows = likeliest(p * g.known, 40)
    bits, _ = _informative(g, p, rows)
    return float(1.5 * bits.mean())


def _popular(g: Grounds, p: np.ndarray, gone: frozenset[int]) -> Candidate | None:
    order = np.argsort(-(g.prior if g.prior is not None else p), kind="stable")
    rows = tuple(int(r) for r in order[: ITEMS + len(gone)] if int(r) not in gone)[:ITEMS]
    return Candidate("items", "items", 0.0, rows=rows) if rows else None


def _random(g: Grounds, p: np.ndarray, asked: tuple[str, ...], gone: frozenset[int], seed: int) -> Candidate:
    """Any items, any two of them, or any values of any column, each kind as likely."""
    rng = np.random.default_rng([seed, 7])
    rows = tuple(int(r) for r in rng.permutation(len(p))[: ITEMS + len(gone)] if int(r) not in gone)[:ITEMS]
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
