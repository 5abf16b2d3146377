"""From scores to rankings to per-person figures. Only here, in the judge's process, scores meet held-out rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals import metrics
from snowmelt.evals.data import Dataset, Rows
from snowmelt.evals.splits import Person
from snowmelt.evals.systems import Case
from snowmelt.evals.worker import Block

POOL = 100  # depth of the pool of an arm that scores everything, and of the run files


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

    def ndcg(self) -> float:
        values = metrics.ranking_metrics(self.hits, self.relevant, 10)["ndcg@10"]
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


def cases_at(
    people: Sequence[Person], reveal: int, data: Dataset, sampled: int | None, seed: int
) -> tuple[list[Person], list[Case], list[Rows | None]]:
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
            names = shared.get(id(rows)) or tuple(data.ids[r] for r in rows)
            if rows is person.candidates:
                shared[id(rows)] = names
        kept.append(person)
        cases.append(Case(person.number, tuple(data.ids[r] for r in shown), (), names))
        universes.append(rows)
    return kept, cases, universes


def rank(scores: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Positions of the `depth` best scores, best first, equal scores in the order given; NaN is never ranked."""
    known = np.flatnonzero(~np.isnan(scores))
    values = scores[known]
    if len(values) > depth:
        least = np.partition(values, len(values) - depth)[len(values) - depth]
        keep = values >= least
        known, values = known[keep], values[keep]
    return known[np.argsort(-values, kind="stable")[:depth]]


def judge(
    people: Sequence[Person], reveal: int, cases: Sequence[Case], universes: Sequence[Rows | None], items: int,
    seed: int, score: Callable[[Sequence[Case]], Block], block: int, advance: Callable[[int], None],
    note: Callable[[Person, dict[str, Any]], None] | None = None,
) -> Result:  # fmt: skip
    """Ask an arm for scores, `block` cases at a time, and keep what the metrics need. Ties fall in a seeded
    random order of each person's own: never in file order, which often follows popularity or time."""
    n = len(people)
    r = Result(
        [p.number for p in people], np.full((n, POOL), -1, np.int32), np.full((n, POOL), np.nan, np.float32),
        np.zeros((n, POOL), bool), np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, np.nan), [], [],
        np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, bool), np.zeros(n, bool), {},
    )  # fmt: skip
    for start in range(0, n, block):
        part = slice(start, min(n, start + block))
        answer = score(cases[part])
        for i, row, meta in zip(range(part.start, part.stop), answer.scores, answer.meta, strict=True):
            person, universe = people[i], universes[i]
            shown, gold = person.at(reveal)
            order = np.arange(items) if universe is None else universe
            order = np.random.default_rng([seed, person.number, 0x71E]).permutation(order)
            row[shown] = np.nan
            values = row[order]
            scored = ~np.isnan(values)
            best = order[rank(values, POOL)]
            r.top[i, : len(best)], r.score[i, : len(best)] = best, row[best]
            r.hits[i, : len(best)] = np.isin(best, gold)
            r.relevant[i] = len(gold)
            # Who scores only some items has named a pool; who scores all of them has the first POOL as its pool.
            pool = best if scored.sum() + (len(shown) if universe is None else 0) >= len(order) else order[scored]
            r.in_pool[i] = np.isin(gold, pool).sum()
            blank = bool(scored.any()) and np.nanmin(values) == np.nanmax(values) and scored.sum() > 1
            why = meta["failure"] or meta["degraded"] or ("the same score for everything" if blank else "")
            if why:
                r.messages[why] = r.messages.get(why, 0) + 1
            r.failed[i], r.degraded[i] = bool(meta["failure"]), bool(why) and not meta["failure"]
            r.seconds[i], r.tokens_in[i], r.tokens_out[i] = meta["seconds"], meta["tokens_in"], meta["tokens_out"]
            _likes_apart(r, i, row, gold, person.dislikes, values)
            if note and meta["calls"]:
                note(person, meta)
        advance(part.stop - part.start)
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
