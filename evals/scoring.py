"""From scores to rankings to per-person figures. Only here, in the judge's process, scores meet held-out rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals import metrics
from snowmelt.evals.data import Dataset, Rows
from snowmelt.evals.splits import Person
from snowmelt.evals.systems import Case

POOL = 100  # depth of the pool of an arm that scores everything, and of the run files


@dataclass(frozen=True)
class Block:
    """`scores` float32 [cases, items], NaN where not scored. `meta`: per case degraded, tokens_in, tokens_out, seconds,
    failure ("" if none), calls."""

    scores: NDArray[np.float32]
    meta: list[dict[str, Any]]


class Level(NamedTuple):
    """Who is asked at one count of revealed likes (or answered questions, or seeker turns), aligned: the people, the
    cases that a system sees, and the rows that are ranked for each (None: the catalogue)."""

    people: Sequence[Person]
    cases: Sequence[Case]
    candidates: Sequence[Rows | None]


@dataclass
class Result:
    """What one arm did at one number of revealed likes: everything per person, aligned with `people`.

    `top` int32 [people, POOL] item rows by rank (-1: no more), `score` float32 the same; `relevant`, `in_pool` int64
    [people]; `auc` float; `like_share`, `dislike_share`: for each held-out like / dislike the share of candidates it
    beats, one array a person. `seconds`, `tokens_in`, `tokens_out`, `degraded`, `failed`: [people].
    """

    people: list[int]
    top: NDArray[np.int32]
    score: NDArray[np.float32]
    hits: NDArray[np.bool_]
    relevant: NDArray[np.int64]
    in_pool: NDArray[np.int64]
    auc: NDArray[np.float64]
    like_share: list[NDArray[np.float64]]
    dislike_share: list[NDArray[np.float64]]
    seconds: NDArray[np.float64]
    tokens_in: NDArray[np.int64]
    tokens_out: NDArray[np.int64]
    degraded: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    messages: dict[str, int]

    def values(self) -> NDArray[np.float64]:
        """NDCG@10 of each person."""
        return metrics.ranking_metrics(self.hits, self.relevant, 10)["ndcg@10"]

    def ndcg(self) -> float:
        """Mean NDCG@10; NaN where it is defined for nobody."""
        values = self.values()
        return float(np.nanmean(values)) if len(values) and not np.isnan(values).all() else float("nan")


def candidates_of(person: Person, reveal: int, items: int, sampled: int | None, seed: int) -> Rows | None:
    """Rows that are ranked for a person, revealed ones taken out; None is all but the revealed.

    `sampled`: the held-out likes and this many others drawn at random (seeded by person): easier than the catalogue.
    """
    shown, gold = person.at(reveal)
    universe = person.candidates
    if sampled is not None:
        pool = np.arange(items, dtype=np.int32) if universe is None else universe
        others = np.setdiff1d(pool, np.concatenate([gold, person.order, person.dislikes]))
        rng = np.random.default_rng([seed, person.number, 0x5A])
        drawn = rng.choice(others, min(sampled, len(others)), replace=False)
        return np.union1d(gold, drawn).astype(np.int32)
    return universe if universe is None or not np.isin(shown, universe).any() else np.setdiff1d(universe, shown)


def cases_at(people: Sequence[Person], reveal: int, data: Dataset, sampled: int | None, seed: int) -> Level:
    """The people that still have a held-out like at `reveal`, as what a system sees, with their candidate rows."""
    kept, cases, universes = [], [], []
    shared: dict[int, tuple[str, ...]] = {}
    for person in people:
        shown, gold = person.at(reveal)
        if not len(gold) or (person.gold is None and len(shown) < reveal):
            continue
        rows = candidates_of(person, reveal, len(data.ids), sampled, seed)
        names = None
        if rows is not None:
            # One tuple for everyone with the same candidates: a pickle holds it once.
            names = shared.get(id(rows)) or tuple(data.names[r] for r in rows)
            if rows is person.candidates:
                shared[id(rows)] = names
        kept.append(person)
        cases.append(Case(person.number, tuple(data.names[r] for r in shown), (), names))
        universes.append(rows)
    return Level(kept, cases, universes)


def tie_keys(rows: NDArray[np.integer], number: int, seed: int) -> NDArray[np.uint64]:
    """A person's own random order of items, for equal scores: the same whatever arm is judged and whatever else is
    ranked, so two arms that score alike rank alike. splitmix64 (Steele, Lea and Flood, OOPSLA 2014) of the row."""
    start = np.random.default_rng([seed, number, 0x71E]).integers(0, 2**63, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = start + rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def rank(values: NDArray[np.float32], rows: Rows, depth: int, number: int, seed: int) -> Rows:
    """The `depth` of `rows` with the best `values`, best first; equal values in the person's own random order (never
    in file order, which often follows popularity or time); NaN is never ranked."""
    known = ~np.isnan(values)
    values, rows = values[known], rows[known]
    if len(values) > depth:
        least = np.partition(values, len(values) - depth)[len(values) - depth]
        keep = values >= least
        values, rows = values[keep], rows[keep]
    return rows[np.lexsort((tie_keys(rows, number, seed), -values))[:depth]]


def judge(
    level: Level, reveal: int, items: int, seed: int, score: Callable[[Sequence[Case]], Block], block: int,
    advance: Callable[[int], None] | None = None, note: Callable[[Person, dict[str, Any]], None] | None = None,
) -> Result:  # fmt: skip
    """Ask an arm for scores, `block` cases at a time, and keep what the metrics need. `advance` hears how many were
    judged, `note` each person's meta that holds model calls."""
    n, catalogue = len(level.people), np.arange(items, dtype=np.int32)
    r = Result(
        [p.number for p in level.people], np.full((n, POOL), -1, np.int32), np.full((n, POOL), np.nan, np.float32),
        np.zeros((n, POOL), bool), np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, np.nan), [], [],
        np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, bool), np.zeros(n, bool), {},
    )  # fmt: skip
    for start in range(0, n, block):
        part = range(start, min(n, start + block))
        answer = score(level.cases[part.start : part.stop])
        for i, row, meta in zip(part, answer.scores, answer.meta, strict=True):
            person, universe = level.people[i], level.candidates[i]
            shown, gold = person.at(reveal)
            row[shown] = np.nan
            rows, values = (catalogue, row) if universe is None else (universe, row[universe])
            best = rank(values, rows, POOL, person.number, seed)
            r.top[i, : len(best)], r.score[i, : len(best)] = best, row[best]
            r.hits[i, : len(best)] = np.isin(best, gold)
            r.relevant[i] = len(gold)
            scored = int((~np.isnan(values)).sum())
            # Who scores only some items has named a pool; who scores all of them has the first POOL as its pool.
            whole = scored + (len(shown) if universe is None else 0) >= len(rows)
            r.in_pool[i] = np.isin(gold, best).sum() if whole else (~np.isnan(row[gold])).sum()
            blank = scored > 1 and np.nanmin(values) == np.nanmax(values)
            why = meta["failure"] or meta["degraded"] or ("the same score for everything" if blank else "")
            if why:
                r.messages[why] = r.messages.get(why, 0) + 1
            r.failed[i], r.degraded[i] = bool(meta["failure"]), bool(why) and not meta["failure"]
            r.seconds[i], r.tokens_in[i], r.tokens_out[i] = meta["seconds"], meta["tokens_in"], meta["tokens_out"]
            _likes_apart(r, i, row, gold, person.dislikes, values)
            if note and meta["calls"]:
                note(person, meta)
        if advance:
            advance(len(part))
    return r


def _likes_apart(
    r: Result, i: int, row: NDArray[np.float32], gold: Rows, dislikes: Rows, values: NDArray[np.float32]
) -> None:
    """AUC and the shares of candidates that held-out likes and dislikes beat; an item without a score is below all."""
    nothing = np.empty(0)
    if not len(dislikes) or r.failed[i]:
        r.like_share.append(nothing)
        r.dislike_share.append(nothing)
        return
    likes, dislikes_ = (np.nan_to_num(row[rows].astype(float), nan=-np.inf) for rows in (gold, dislikes))
    r.auc[i] = metrics.auc(likes, dislikes_)
    ordered = np.sort(np.nan_to_num(values, nan=-np.inf))
    r.like_share.append(np.searchsorted(ordered, likes) / len(ordered))
    r.dislike_share.append(np.searchsorted(ordered, dislikes_) / len(ordered))
