"""`snowmelt tune`: a small ranker over the signals, learned from warm people who are played as cold ones.

LambdaMART (Burges, *From RankNet to LambdaRank to LambdaMART*, MSR-TR-2010-82; LightGBM's) sees what the linear fusion
sees, and the sum that it gives. It is kept only if, beside that sum, it helps people that neither it nor its weight was
chosen on, beyond chance. It is LightGBM's own text beside what was learned, no pickle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import playing
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.fusion import ndcg, standardise
from snowmelt.retrieval.learned import KNOTS, NAMES, Learned
from snowmelt.retrieval.transfer import Content

Floats = NDArray[np.float32]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

POOL = 120  # items at the front of the fused order that are ranked again
PLAYED = 900  # people; the ranking under it is fitted on all others
FEWEST = 60
WEIGHTS = (0.1, 0.25, 0.5, 1.0, 2.0)  # of the ranker's standardised score beside the standardised sum
SURE = 1.64  # standard errors that a gain must be above 0 (one-sided p < 0.05)
COLUMNS = (*NAMES, "inherited", "sum", "place", "known_by", "likes")
SETTINGS = {
    "objective": "lambdarank", "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 50, "lambda_l2": 5.0,
    "lambdarank_truncation_level": 20, "feature_fraction": 0.8, "bagging_fraction": 0.8, "bagging_freq": 1,
    "num_threads": 1, "deterministic": True, "verbosity": -1,
}  # fmt: skip
ROUNDS = 150


@dataclass(frozen=True)
class Ranker:
    """`booster` of LightGBM over COLUMNS, `weight` of its score."""

    booster: Any
    weight: float

    @classmethod
    def load(cls, path: Path, weight: float) -> "Ranker":
        """Raises InputError where LightGBM is not installed or the file is no model."""
        lightgbm = installed()
        try:
            return cls(lightgbm.Booster(model_file=str(path)), weight)
        except lightgbm.basic.LightGBMError as error:
            raise InputError(f"{path} is damaged ({error}); run `snowmelt tune` again or roll back") from None

    def signal(self, signals: Mapping[str, Floats], liked: NDArray[np.integer], popularity: Floats) -> Floats:
        """What it adds to the sum of `signals` (each [items]), float32 [items]: the POOL best change places among
        themselves, each place keeping its score."""
        total = np.sum(list(signals.values()), axis=0)
        rows = front(total, liked)
        score = np.asarray(self.booster.predict(features(signals, total, rows, len(liked), popularity)))
        order = np.argsort(-(standardise(total[rows]) + self.weight * standardise(score)), kind="stable")
        result = np.zeros(len(total), np.float32)
        result[rows[order]] = total[rows] - total[rows[order]]
        return result


@dataclass(frozen=True)
class Tuned:
    """`ranker` None: it did not help. `gain` in NDCG@10 of `people` that nothing was chosen on, from `before`, with its
    standard `error`."""

    ranker: Ranker | None
    before: float
    gain: float
    error: float
    people: int


def installed() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise InputError("a tuned ranker needs one more package; pip install 'snowmelt[tune]'") from None
    return lightgbm


def front(total: Floats, liked: NDArray[np.integer]) -> NDArray[np.int64]:
    """The rows of the POOL best items by `total` that are not liked already, best first."""
    open_ = total.copy()
    open_[liked] = -np.inf
    best = np.argpartition(-open_, min(POOL, len(open_)) - 1)[:POOL]
    best = best[np.argsort(-open_[best], kind="stable")]
    return best[np.isfinite(open_[best])]


def features(
    signals: Mapping[str, Floats], total: Floats, rows: NDArray[np.integer], known: int, popularity: Floats
) -> Floats:
    """float32 [rows, COLUMNS]."""
    table = np.zeros((len(rows), len(COLUMNS)), np.float32)
    for i, name in enumerate(COLUMNS[:-4]):
        if name in signals:
            table[:, i] = signals[name][rows]
    table[:, -4], table[:, -3] = total[rows], np.arange(len(rows))
    table[:, -2], table[:, -1] = popularity[rows], known
    return table


def tune(X: Sparse, content: Content, seed: int = 0) -> Tuned:
    """Learn on likes `X` csr [people, items]. A third of the people are played: on two thirds of these the ranker is
    fitted, on the others it is judged. InputError where there are too few."""
    lightgbm = installed()
    rng = np.random.default_rng([seed, 0x7D])
    able = rng.permutation(np.flatnonzero(np.diff(X.indptr) >= 2))
    played = able[: min(PLAYED, len(able) // 3)]
    if len(played) < FEWEST:
        raise InputError(f"tune: {len(able)} people like two items or more; {3 * FEWEST} are needed")
    learned = playing.fit(X[np.setdiff1d(np.arange(X.shape[0]), played)], content, seed)
    cut = 2 * len(played) // 3
    taught = _cases(X, played[:cut], learned, rng)
    data = lightgbm.Dataset(
        np.concatenate([c.table for c in taught]), np.concatenate([c.gold for c in taught]).astype(int),
        group=[len(c.gold) for c in taught], feature_name=list(COLUMNS),
    )  # fmt: skip
    booster = lightgbm.train({**SETTINGS, "seed": seed}, data, ROUNDS)
    return _judged(booster, _cases(X, played[cut:], learned, rng))


@dataclass(frozen=True)
class _Case:
    """One person with some likes revealed: `table` of features and `gold` of the front, `total` hidden likes."""

    person: int
    table: Floats
    gold: NDArray[np.bool_]
    total: int


def _cases(X: Sparse, people: Sequence[int] | NDArray[np.integer], learned: Learned, rng: Any) -> list[_Case]:
    popularity, found = learned.popularity(), []
    for k in KNOTS:
        for person in people:
            own = rng.permutation(X.indices[X.indptr[person] : X.indptr[person + 1]])
            if len(own) <= k:
                continue
            signals = learned.of_person(own[:k])
            total = np.sum(list(signals.values()), axis=0)
            rows = front(total, own[:k])
            table = features(signals, total, rows, k, popularity)
            found.append(_Case(int(person), table, np.isin(rows, own[k:]), len(own) - k))
    return found


def _judged(booster: Any, cases: Sequence[_Case]) -> Tuned:
    """The weight is chosen on one half of the people and measured on the other, both ways; kept is the best on all."""
    people, index = np.unique([c.person for c in cases], return_inverse=True)
    count = np.bincount(index)
    table = np.empty((len(WEIGHTS) + 1, len(people)))
    scores = [np.asarray(booster.predict(c.table)) for c in cases]
    for i, weight in enumerate((0.0, *WEIGHTS)):
        values = [
            _ndcg(c, standardise(c.table[:, -4]) + weight * standardise(s)) for c, s in zip(cases, scores, strict=True)
        ]
        table[i] = np.bincount(index, weights=values) / count
    gains, half = table[1:] - table[0], np.arange(len(people)) % 2 == 0
    held = np.empty(len(people))
    for part in (half, ~half):
        held[part] = gains[int(gains[:, ~part].mean(axis=1).argmax())][part]
    gain, error = float(held.mean()), float(held.std(ddof=1) / np.sqrt(len(held)))
    ranker = Ranker(booster, WEIGHTS[int(gains.mean(axis=1).argmax())]) if gain > SURE * error else None
    return Tuned(ranker, float(table[0].mean()), gain, error, len(people))


def _ndcg(case: _Case, scores: NDArray[np.floating]) -> float:
    return float(ndcg(scores[None], case.gold[None], np.array([case.total]))[0])
