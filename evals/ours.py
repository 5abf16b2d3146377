"""Snowmelt's own arms. They rank through the functions that the product ranks with, fitted on `Train` alone.

An ablation is a setting: `snowmelt(without=lift+dense)` takes signals away. `revealed=first`: weights for people
who are known by their first likes (where times are times); chosen on validation people, as every arm's settings are.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent import familiarity, nearness, ranking
from snowmelt.agent.familiarity import Familiarity
from snowmelt.agent.llm import open_llm
from snowmelt.evals.arms import grid, liked_matrix
from snowmelt.evals.data import attributes_of
from snowmelt.evals.systems import Answer, Case, Scorer, Train
from snowmelt.evals.text_arms import item_vectors
from snowmelt.retrieval.fusion import standardise
from snowmelt.retrieval.learned import LEAST
from snowmelt.retrieval.lexical import Lexical
from snowmelt.retrieval.playing import fit
from snowmelt.retrieval.transfer import content

BLOCK = 64  # cases whose signals are held at a time
SHORT = 100  # candidates up to which a list counts as one that somebody else chose


class _Learned:
    """Where there is behaviour."""

    def __init__(self, train: Train, known: Familiarity | None) -> None:
        told = list(map(attributes_of, train.records))
        domains = [str(record.get("domain") or "") for record in train.records]
        self.train, self.domains = train, np.array(domains, object)
        several = len(set(domains)) > 1
        heard = known.trusted if known is not None else None
        texts = content(_vectors(train), told, _lexical(train), heard)
        times = liked_times(train) if train.settings.get("revealed") == "first" and train.has_clock else None
        learned = fit(train.likes, texts, train.seed, domains if several else None, times=times)
        names = str(train.settings.get("without", ""))
        self.learned = learned.without(*names.split("+")) if names else learned

    def __call__(self, case: Case) -> Answer:
        return self.batch([case])[0]

    def batch(self, cases: Sequence[Case]) -> list[Answer]:
        tables = [self._table(case) for case in cases]
        scores: dict[int, NDArray[np.float32]] = {}
        for table in sorted(set(tables)):
            mine = [i for i, t in enumerate(tables) if t == table]
            for start in range(0, len(mine), BLOCK):
                part = mine[start : start + BLOCK]
                liked = liked_matrix(self.train, [cases[i] for i in part])
                total = np.sum(list(self.learned.contributions(liked, table).values()), axis=0)
                scores |= dict(zip(part, total, strict=True))
        return [Answer(scores[i]) for i in range(len(cases))]

    def _table(self, case: Case) -> str:
        """Which weights: by what may be recommended, and where the person is known from."""
        if case.candidates is None:
            return "known"
        if len(case.candidates) <= SHORT:
            return "shown"
        inside = set(self.domains[[self.train.rows[id_] for id_ in case.candidates]])
        at_home = inside & set(self.domains[[self.train.rows[id_] for id_ in case.liked]])
        elsewhere = f"to {next(iter(inside))}"
        return elsewhere if len(inside) == 1 and not at_home and elsewhere in self.learned.tables else "known"


class _Scene:
    """Where there is none: texts, and what the model has heard of, as `ranking.rank` does with likes alone."""

    def __init__(self, train: Train, known: Familiarity | None) -> None:
        self.train, self.known, self.vectors = train, known, _vectors(train)
        self.lexical = _lexical(train)
        self.sample = nearness.sample(len(train.ids))
        self.without = set(str(train.settings.get("without", "")).split("+"))

    def __call__(self, case: Case) -> Answer:
        rows = [self.train.rows[id_] for id_ in case.liked]
        signals = {}
        if rows:
            cosines = self.vectors @ self.vectors[rows].T
            cosines = nearness.own_likeness(cosines, cosines, self.lexical.own(rows))
            signals = nearness.text_signals(cosines, cosines)
            signals["bm25"] = nearness.BM25 * standardise(self.lexical.alike(rows))
        if self.known is not None:
            near = np.sum(list(signals.values()), axis=0) if signals else np.zeros(len(self.vectors), np.float32)
            evidence = nearness.standing(self.vectors, self.lexical, rows, self.sample)
            signals["familiarity"] = ranking.fame(self.known, slice(None), near, evidence)
        kept = [values for name, values in signals.items() if name not in self.without]
        return Answer(
            np.sum(kept, axis=0) if kept else np.zeros(len(self.train.ids), np.float32), "" if kept else "blank"
        )


def liked_times(train: Train) -> Any:
    """csr float64 [people, items]: when each like of `train.likes` was, in the same places."""
    from scipy.sparse import csr_matrix

    mine = train.liked
    return csr_matrix((train.time[mine], (train.user[mine], train.item[mine])), shape=train.likes.shape)


def _vectors(train: Train) -> NDArray[np.float32]:
    """Of everything that is told of an item, as the product embeds it."""
    return item_vectors(replace(train, settings={**train.settings, "text": "all"}))


def _lexical(train: Train) -> Lexical:
    return Lexical(train.texts, [str(record["title"]) for record in train.records])


def _scorer(train: Train, known: Familiarity | None) -> Scorer:
    often = np.bincount(train.item[train.liked], minlength=len(train.ids)) >= LEAST
    if often.sum() < 2:
        return _Scene(train, known)
    told = {} if train.has_clock else {"revealed": ""}  # without times both settings are one: fitted once
    heard = known.values.tobytes() if known is not None and known.weight > 0 else None
    kept = (train.item, {**train.settings, **told}, heard)
    if not (_last and _last[0][0] is kept[0] and _last[0][1:] == kept[1:]):
        _last[:] = [kept, _Learned(train, known)]
    return _last[1]


_last: list[Any] = []  # what the latest scorer was fitted on, and it


@grid({}, {"revealed": "first"})
def snowmelt_no_llm(train: Train) -> Scorer:
    """Every signal but the language model's."""
    return _scorer(train, None)


@grid({}, {"revealed": "first"})
def snowmelt(train: Train) -> Scorer:
    """With what the model has heard of: its familiarity with titles, asked once and kept."""
    titles = [str(record["title"]) for record in train.records]
    columns = sorted({name for record in train.records for name in record})
    known = familiarity.familiarity(open_llm(train.model or "local"), train.cache, titles, columns=columns)
    return _scorer(train, known)
