"""Which kind of question a model answers well, and what its answer weighs: found by trying, kept with the catalogue.

Warm people are played as cold ones: all but k of their likes are hidden, the ranking without a model proposes
candidates, and the model scores them. A kind of question gets a weight only where it helped, beyond chance, people
that it was not chosen on; a model that helps nowhere gets none, and says so.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.familiarity import fingerprint
from snowmelt.agent.llm import LLM
from snowmelt.agent.scoring import How, score_candidates
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.errors import InputError

Floats = NDArray[np.float64]
REVEALED = (1, 3, 5)
POOL = 30  # candidates that the model is asked about
WEIGHTS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # of the model's standardised answer beside the standardised ranking
SURE = 1.64  # standard errors that a gain must be above 0 (one-sided p < 0.05)
LEAST = 20  # people, to judge a question at all


@dataclass(frozen=True)
class Played:
    """One person played as cold. `base` [n] scores `titles`, best first; `gold` bool [n]; `likes`: hidden likes in all,
    the catalogue over, at least one."""

    person: int
    revealed: int
    liked: tuple[str, ...]
    titles: tuple[str, ...]
    base: Floats
    gold: NDArray[np.bool_]
    likes: int


@dataclass(frozen=True)
class Calibration:
    """`how`: the question to ask, None for none. `weight` of its standardised answer beside the standardised ranking.
    `tried`: by question, the gain in NDCG@10 on people that its weight was not chosen on, its standard error, how
    many people, and seconds a person."""

    model: str
    how: How | None
    weight: float
    why: str
    tried: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def of(self, revealed: int) -> float:
        """The weight for a person of whom so many likes are known; 0 with none: there is nothing to go on."""
        return self.weight if revealed else 0.0


def calibrate(
    llm: LLM,
    directory: Path,
    played: Sequence[Played],
    *,
    questions: Sequence[How] = ("likelihood", "letters", "listwise"),
    seconds: float = 600.0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Calibration:
    """Try each question on the people of `played` and keep the outcome in DIR/calibration/. `seconds` is for all of it;
    what there is no time for counts as not helping. InputError with fewer than `LEAST` people."""
    people = {p.person for p in played}
    if len(people) < LEAST:
        raise InputError(f"calibrate: {len(people)} people are too few; {LEAST} with at least two likes are needed")
    began, tried, best = time.monotonic(), {}, (0.0, 0.0, None)
    for number, how in enumerate(questions):
        if how == "likelihood" and not llm.can_score:
            continue
        until = began + seconds * (number + 1) / len(questions)
        answers: list[tuple[Played, Floats]] = []
        start = time.monotonic()
        for i, one in enumerate(played):
            left = until - time.monotonic()
            if left <= 0 or (i >= 5 and not answers):  # five failures in a row: this model cannot do this
                break
            found = score_candidates(llm, one.liked, one.titles, how=how, deadline=left)
            if found.values is not None:
                answers.append((one, standardise(found.values)))
            if progress:
                progress(how, i + 1, len(played))
        spent = time.monotonic() - start
        if len({one.person for one, _ in answers}) < LEAST:
            continue
        weight, gain, error = _judged(answers)
        tried[how] = {
            "weight": weight,
            "gain": round(gain, 5),
            "error": round(error, 5),
            "people": len({o.person for o, _ in answers}),
            "seconds": round(spent / len(answers), 3),
        }
        if weight > 0 and gain > SURE * error and gain > best[0]:
            best = (gain, weight, how)
    gain, weight, chosen = best
    why = (
        f"{chosen} adds {gain:.4f} NDCG@10"
        if chosen
        else "no question helps beyond chance: the model is not asked"
        if tried
        else "the model answered no question"
    )
    result = Calibration(llm.name, chosen, weight, why, tried)
    keep(directory, fingerprint(llm), result)
    return result


def keep(directory: Path, model: str, result: Calibration) -> None:
    """Use `result` for the model with this fingerprint from now on."""
    path = _path(directory, model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".tmp").write_text(json.dumps(asdict(result), ensure_ascii=False, indent=1), encoding="utf-8")
    path.with_suffix(".tmp").replace(path)


def calibrate_catalogue(
    llm: LLM,
    catalogue: Catalogue,
    interactions: Path,
    *,
    people: int = 60,
    seconds: float = 600.0,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Calibration:
    """`calibrate` on `people` of `interactions` (CSV, as for `snowmelt fit`), with the ranking fitted on all others."""
    from snowmelt.retrieval.fitting import content_of, read_likes
    from snowmelt.retrieval.playing import fit

    likes, _ = read_likes(interactions, catalogue.rows)
    able = np.random.default_rng([seed, 0xCA2]).permutation(np.flatnonzero(np.diff(likes.indptr) >= 2))
    chosen = able[: min(people, len(able) // 2)]
    others = likes[np.setdiff1d(np.arange(likes.shape[0]), chosen)]
    if len(chosen) < LEAST:
        raise InputError(f"calibrate: {interactions} has {len(able)} people with two likes; {2 * LEAST} are needed")
    learned = fit(others, content_of(catalogue, None), seed)
    played = play(
        catalogue.titles, likes[chosen], lambda shown: np.sum(list(learned.contributions(shown).values()), axis=0),
        people=people, seed=seed,
    )  # fmt: skip
    return calibrate(llm, catalogue.dir, played, seconds=seconds, progress=progress)


def stored(directory: Path, llm: LLM) -> Calibration | None:
    """What `calibrate` found for this model and catalogue; None if it never ran (or its file is broken)."""
    try:
        found = json.loads(_path(directory, fingerprint(llm)).read_text(encoding="utf-8"))
        return Calibration(**found)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def play(
    titles: Sequence[str], hidden: Any, rank: Callable[[Any], NDArray[np.floating]], *, people: int = 60, seed: int = 0
) -> list[Played]:
    """Cases from people that the ranking was not fitted on: `hidden` csr [people, items] of their likes, `rank(revealed
    csr) -> [people, items]`. Each person is played with 1, 3 and 5 likes revealed, where they have more than that."""
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng([seed, 0xCA1])
    able = rng.permutation(np.flatnonzero(np.diff(hidden.indptr) >= 2))[:people]
    cases = []
    for k in REVEALED:
        lists = {int(p): rng.permutation(hidden.indices[hidden.indptr[p] : hidden.indptr[p + 1]]) for p in able}
        lists = {p: own for p, own in lists.items() if len(own) > k}
        if not lists:
            continue
        rows = np.repeat(np.arange(len(lists)), k)
        columns = np.concatenate([own[:k] for own in lists.values()])
        shown = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(lists), hidden.shape[1]))
        for (person, own), scores in zip(lists.items(), rank(shown), strict=True):
            scores = np.array(scores, np.float64)
            scores[own[:k]] = -np.inf
            pool = np.argsort(-scores, kind="stable")[:POOL]
            pool = pool[np.isfinite(scores[pool])]
            liked = tuple(titles[int(r)] for r in own[:k])
            shown_titles, gold = tuple(titles[int(r)] for r in pool), np.isin(pool, own[k:])
            cases.append(Played(person, k, liked, shown_titles, scores[pool], gold, len(own) - k))
    order = rng.permutation(len(cases))  # so that a question that runs out of time has seen every k
    return [cases[i] for i in order]


def standardise(values: NDArray[np.floating]) -> Floats:
    """Mean 0, deviation 1; zeros where nothing differs."""
    values = np.asarray(values, np.float64)
    spread = values.std()
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros(len(values))


def _judged(answers: Sequence[tuple[Played, Floats]]) -> tuple[float, float, float]:
    """The weight that is best over all people; and what the weight that is best on one half of the people gains on the
    other half, both ways: mean and standard error over people."""
    gains = {
        w: np.array([_ndcg(o, standardise(o.base) + w * v) - _ndcg(o, o.base) for o, v in answers]) for w in WEIGHTS
    }
    numbers, index = np.unique([o.person for o, _ in answers], return_inverse=True)
    counts = np.bincount(index)
    table = np.array([np.bincount(index, weights=gains[w]) / counts for w in WEIGHTS])  # [weights, people]
    half = np.arange(len(numbers)) % 2 == 0
    held = np.empty(len(numbers))
    for part in (half, ~half):
        held[part] = table[int(table[:, ~part].mean(axis=1).argmax())][part]
    error = float(held.std(ddof=1) / np.sqrt(len(held)))
    return WEIGHTS[int(table.mean(axis=1).argmax())], float(held.mean()), error


def _ndcg(one: Played, scores: Floats) -> float:
    hits = one.gold[np.argsort(-scores, kind="stable")[:10]]
    discount = 1 / np.log2(np.arange(2, 12))
    return float((hits * discount[: len(hits)]).sum() / discount[: min(10, one.likes)].sum())


def _path(directory: Path, model: str) -> Path:
    return directory / "calibration" / f"{sha256(model.encode()).hexdigest()[:16]}.json"
