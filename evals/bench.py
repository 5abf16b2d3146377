"""What an arm may know and who is asked, at each stage of a split: the harness's tables, and a bench to tune at.

    bench = prepare("data/ml-100k", split="user", on="validation", reveal=(1, 5), people=100)
    results = bench.run(arm, weight=0.3)           # {reveal: Result}; arm(train) -> scorer, in this process
    results[5].ndcg(), results[5].values()         # the mean, and [people] to compare two settings pair by pair

`on="test"` gives the final stage: look at it once, with settings chosen on validation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals import splits
from snowmelt.evals.arm_process import say_to, score_cases
from snowmelt.evals.data import Dataset, record_text
from snowmelt.evals.loading import load
from snowmelt.evals.scoring import Block, Level, Result, cases_at, judge
from snowmelt.evals.simulated_user import ALL, Manner, converse, replay, visible_half
from snowmelt.evals.systems import Arm, Case, Train

VALIDATION_PEOPLE = 100  # more would cost time and move hardly any choice
BLOCK_BYTES = 64_000_000  # scores of one block of people, so that 100,000 items x 10,000 people stay within memory
CACHE = Path.home() / ".cache" / "snowmelt" / "evals"


class Scoring(Protocol):
    """A fitted arm to be asked: `worker.Worker` in a process of its own, or `_Here`."""

    def score(self, cases: Sequence[Case]) -> Block: ...

    def say(self, number: int, text: str, fresh: bool) -> tuple[NDArray[np.float32], dict[str, Any]]: ...


def level_of(
    people: Sequence[splits.Person], kind: splits.Kind, reveal: int, data: Dataset, sampled: int | None, seed: int
) -> Level:
    """The people that still have a held-out like at `reveal`, with what a system sees of them."""
    if kind == "conversation":
        halves = [visible_half(p)[0] for p in people]
        return cases_at([p for p in halves if len(p.at(ALL)[1])], ALL, data, sampled, seed)
    if kind == "dialogues":
        return cases_at([p for p in people if 0 < reveal <= len(p.turns)], ALL, data, sampled, seed)
    return cases_at(people, reveal, data, sampled, seed)


def train_of(data: Dataset, stage: splits.Stage, seed: int, cache: Path, model: str | None) -> Train:
    """Copies of what may be known, with people renumbered in a seeded order that says nothing about who is held out.
    What our arms keep between runs stands in `cache`/shared."""
    rows = stage.train
    warm = np.unique(data.user[rows])
    number = np.full(len(data.users), -1, np.int32)
    number[warm] = np.random.default_rng([seed, 0x3A]).permutation(len(warm)).astype(np.int32)
    return Train(
        data.names, tuple({**record, "id": name} for record, name in zip(data.records, data.names, strict=True)),
        tuple(record_text(record) for record in data.records), len(warm),
        number[data.user[rows]], data.item[rows].copy(), data.rating[rows].copy(), data.time[rows].copy(),
        data.liked[rows].copy(), data.scale, data.has_clock, seed, cache / "shared", model,
    )  # fmt: skip


def judge_all(
    scoring: Scoring, data: Dataset, kind: splits.Kind, people: Sequence[splits.Person], levels: Mapping[int, Level],
    seed: int, manner: Manner, advance: Callable[[int], None] | None = None,
    note: Callable[[int, splits.Person, dict[str, Any]], None] | None = None,
) -> dict[int, Result]:  # fmt: skip
    """Ask a fitted arm at every level: by cases, or by talking where the split is spoken."""
    spoken: dict[int, Block] | None = None
    if kind == "conversation":
        spoken = converse(scoring, data, [p for p in people if len(p.order) > 1], list(levels), seed, manner)
    elif kind == "dialogues":
        spoken = replay(scoring, people, list(levels))
    items, results = len(data.ids), {}
    for reveal, level in levels.items():
        said = None if spoken is None else spoken[reveal]
        results[reveal] = judge(
            level, reveal if said is None else ALL, items, seed,
            scoring.score if said is None else (lambda _, said=said: said),
            max(1, min(256, BLOCK_BYTES // (4 * items))) if said is None else len(level.people), advance,
            (lambda person, meta, k=reveal: note(k, person, meta)) if note else None,
        )  # fmt: skip
    return results


@dataclass
class _Here:
    """A scorer in this process."""

    train: Train
    scorer: Any
    talks: dict[int, Any]

    def score(self, cases: Sequence[Case]) -> Block:
        meta, scores = score_cases(self.train, self.scorer, cases, alone=False)
        return Block(scores, meta)

    def say(self, number: int, text: str, fresh: bool) -> tuple[NDArray[np.float32], dict[str, Any]]:
        meta, body = say_to(self.train, self.scorer, self.talks, {"number": number, "say": text, "fresh": fresh})
        return np.frombuffer(body, np.float32).copy(), meta


@dataclass(frozen=True)
class Bench:
    """One stage of one split, for trying settings in this process. It has no guard: what is published comes from
    `evaluate`, where an arm runs in a process of its own."""

    data: Dataset
    split: splits.Split
    people: Sequence[splits.Person]
    train: Train
    levels: Mapping[int, Level]

    def run(self, arm: Arm, **settings: Any) -> dict[int, Result]:
        """`arm` fitted with `settings`, at every level."""
        return self.score(arm(replace(self.train, settings=settings)))

    def score(self, scorer: Any) -> dict[int, Result]:
        """A fitted scorer at every level: to try many ways of scoring on one fit. What it raises is a failure of that
        case, as in the harness."""
        here = _Here(self.train, scorer, {})
        return judge_all(here, self.data, self.split.kind, self.people, self.levels, self.train.seed, Manner())


def prepare(
    data: str | Path | Dataset, split: splits.Kind = "user", on: Literal["validation", "test"] = "validation",
    reveal: Sequence[int] = (1, 5), people: int | None = VALIDATION_PEOPLE, seed: int = 0, model: str | None = None,
    target: str | None = None, cache: str | Path = CACHE,
) -> Bench:  # fmt: skip
    """The training data and the cases of one stage. `people`: at most so many are asked (None: all).

    Raises InputError where the split does not apply to the data, ValueError for the validation of the scene split: it
    has none, since no behaviour may be used to choose anything there.
    """
    loaded = data if isinstance(data, Dataset) else load(data)
    made = splits.make(loaded, split, seed, target=target)
    stage = made.final if on == "test" else made.tune
    if stage is None:
        raise ValueError(f"the {split} split has no validation people: no behaviour may be used to choose anything")
    asked = stage.people[:people]
    levels = {k: level_of(asked, split, k, loaded, None, seed) for k in sorted(reveal)}
    train = train_of(loaded, stage, seed, Path(cache), model)
    return Bench(loaded, made, asked, train, {k: level for k, level in levels.items() if level.people})
