"""What a model adds for new people where all behaviour is known, by the likelihood of titles going on a list of likes.

    python benchmarks/likelihood.py DATA MODEL... --kept DIR [--reveal 1,3,5] [--pool 20] [--validation 60] [--test 120]

User cold, seed 0. The best `--pool` of `snowmelt-no-llm` are ordered again by its standardised score plus w times the
standardised likelihood of the title after the titles liked (as `agent.scoring` asks it) plus v times that of the title
after the same words without any likes. w and v are chosen on validation people, over all levels together; the figures
are of test people. MODEL: local or gguf:/path. Everything is kept in DIR: a run that `--seconds` ended goes on there,
and people are asked in one order, so that a model that had less time has the first of them. DIR knows the levels of the
first run; later ones may ask at fewer.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.calibration import SURE, Played, standardise
from snowmelt.agent.familiarity import spoken
from snowmelt.agent.llm import LLM, open_llm
from snowmelt.agent.scoring import score_candidates
from snowmelt.evals.bench import CACHE, Bench, prepare
from snowmelt.evals.ours import snowmelt_no_llm
from snowmelt.evals.statistics import compare
from snowmelt.prompts import render
from snowmelt.retrieval.fusion import ndcg

AFTER_LIKES = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5)  # w
ALONE = (-0.35, -0.2, -0.1, 0.0, 0.1, 0.2)  # v
Floats = NDArray[np.float64]


def played(bench: Bench, reveal: int, candidates: int) -> list[Played]:
    """The people of a bench with the best `candidates` of the ranking without a model."""
    level, titles = bench.levels[reveal], [str(r["title"]) for r in bench.train.records]
    answers = snowmelt_no_llm(bench.train).batch(level.cases)  # type: ignore[attr-defined]
    found = []
    for person, case, answer in zip(level.people, level.cases, answers, strict=True):
        scores, gold = np.array(answer.scores, np.float64), person.at(reveal)[1]
        scores[[bench.train.rows[i] for i in case.revealed]] = -np.inf
        pool = np.argsort(-scores, kind="stable")[:candidates]
        liked = tuple(titles[bench.train.rows[i]] for i in case.liked)
        shown = tuple(titles[r] for r in pool)
        found.append(Played(case.number, reveal, liked, shown, scores[pool], np.isin(pool, gold), len(gold)))
    return found


@dataclass(frozen=True)
class Case:
    """One person at one level, and `on` which stage."""

    on: str
    one: Played

    @property
    def key(self) -> str:
        return f"{self.on} {self.one.person} {self.one.revealed}"


def cases(args: argparse.Namespace, reveal: Sequence[int]) -> list[Case]:
    """Kept in DIR/cases.json; validation and test people take turns, all levels of one person together."""
    path = args.kept / "cases.json"
    if path.exists():
        rows = json.loads(path.read_text("utf-8"))
        return [Case(r["on"], _read(r["one"])) for r in rows]
    by_person: dict[str, list[list[Case]]] = {}
    stages: dict[Literal["validation", "test"], int] = {"validation": args.validation, "test": args.test}
    for on, people in stages.items():
        bench = prepare(args.data, split="user", on=on, reveal=reveal, people=people, seed=0, cache=args.cache)
        every = [Case(on, one) for k in bench.levels for one in played(bench, k, args.pool)]
        by_person[on] = [[c for c in every if c.one.person == p] for p in dict.fromkeys(c.one.person for c in every)]
    few, many = by_person["validation"], by_person["test"]
    places = [(i / len(few), c) for i, c in enumerate(few)] + [(i / len(many), c) for i, c in enumerate(many)]
    found = [case for _, person in sorted(places, key=lambda p: p[0]) for case in person]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([{"on": c.on, "one": _told(c.one)} for c in found]), "utf-8")
    return found


def _told(one: Played) -> dict[str, Any]:
    return {**asdict(one), "base": one.base.tolist(), "gold": one.gold.tolist()}


def _read(told: Mapping[str, Any]) -> Played:
    arrays = {"base": np.array(told["base"]), "gold": np.array(told["gold"], bool)}
    lists = {name: tuple(told[name]) for name in ("liked", "titles")}
    return Played(**{**told, **arrays, **lists})


def asked(name: str, folder: Path, every: Sequence[Case], until: float) -> dict[str, dict[str, Any]]:
    """By key, what the model said of each case's candidates: `after` their likes and `alone`, with its cost."""
    path = folder / f"{Path(name).stem}.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    found = {row["key"]: row for row in map(json.loads, lines)}
    heard = {title: value for row in found.values() for title, value in row["heard"].items()}
    llm = open_llm(name)
    with path.open("a", encoding="utf-8") as file:
        for case in every:
            if case.key in found or time.monotonic() > until:
                continue
            began = time.process_time()
            said = score_candidates(llm, case.one.liked, case.one.titles, how="likelihood")
            spent = time.process_time() - began
            if said.values is None:
                raise SystemExit(f"{name}, {case.key}: {said.degraded}")
            new = unconditional(llm, [t for t in case.one.titles if t not in heard])
            heard |= new
            row = {
                "key": case.key, "after": said.values.tolist(), "heard": new, "tokens": said.tokens_in,
                "processor": spent,
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")
            file.flush()
            found[case.key] = row
    llm.close()
    return {key: {**row, "alone": heard} for key, row in found.items()}


def unconditional(llm: LLM, titles: Sequence[str]) -> dict[str, float]:
    """Mean log-likelihood of each title's tokens after the question's words without any liked title."""
    if not titles:
        return {}
    prompt = render("rank", titles="").rstrip(" ,")
    return dict(zip(titles, llm.score(prompt, [f" {spoken(t)}" for t in titles]).logprobs, strict=True))


def table(every: Sequence[Case], said: Mapping[str, Mapping[str, Any]]) -> Floats:
    """NDCG@10 float64 [cases, w, v]."""
    weights = [(w, v) for w in AFTER_LIKES for v in ALONE]
    values = np.empty((len(every), len(weights)))
    for i, case in enumerate(every):
        row = said[case.key]
        base, after = standardise(case.one.base), standardise(np.array(row["after"]))
        alone = standardise(np.array([row["alone"][t] for t in case.one.titles]))
        scores = np.array([base + w * after + v * alone for w, v in weights])
        gold = np.tile(case.one.gold, (len(weights), 1))
        values[i] = ndcg(scores, gold, np.full(len(weights), case.one.likes))
    return values.reshape(len(every), len(AFTER_LIKES), len(ALONE))


def report(name: str, every: Sequence[Case], said: Mapping[str, Mapping[str, Any]], reveal: Sequence[int]) -> None:
    done = [c for c in every if c.key in said]
    stages = {on: [c for c in done if c.on == on] for on in ("validation", "test")}
    if not all(stages.values()):
        return
    none = (AFTER_LIKES.index(0.0), ALONE.index(0.0))
    tables = {on: table(some, said) for on, some in stages.items()}
    people = {on: np.array([c.one.person for c in some]) for on, some in stages.items()}
    mean = tables["validation"].mean(axis=0)
    cost = [said[c.key] for c in done]
    tokens, seconds = sum(r["tokens"] for r in cost), sum(r["processor"] for r in cost)
    say = sys.stdout.write
    only = (int(mean[:, none[1]].argmax()), none[1])
    both = tuple(map(int, np.unravel_index(int(mean.argmax()), mean.shape)))
    about = f"{Path(name).stem}, {seconds / len(cost):.1f} s of one core a person, {tokens / seconds:.0f} tokens/s"
    for what, (a, b) in {"after likes": only, "and alone": both}.items():
        gains = {on: t[:, a, b] - t[:, none[0], none[1]] for on, t in tables.items()}
        chosen = _by_person(gains["validation"], people["validation"])
        error = chosen.std(ddof=1) / np.sqrt(len(chosen))
        kept = "kept" if chosen.mean() > SURE * error else "refused"
        say(f"| {about} | {what}: w {AFTER_LIKES[a]:g}, v {ALONE[b]:g} | ")
        say(f"{chosen.mean():+.4f} ({error:.4f}; {len(chosen)}), {kept}")
        for k in (*reveal, None):
            rows = np.array([k in (None, c.one.revealed) for c in stages["test"]])
            mine, who = tables["test"][rows], people["test"][rows]
            base = _by_person(mine[:, none[0], none[1]], who)
            told = compare(_by_person(mine[:, a, b], who), base)
            gain = told.difference
            say(f" | {base.mean():.4f} {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], ")
            say(f"{100 * gain.mean / base.mean():+.1f} %, p {told.p:.4f} ({gain.n})")
        say(" |\n")


def _by_person(values: Floats, people: NDArray[np.int64]) -> Floats:
    """The mean over the levels of each person."""
    _, index = np.unique(people, return_inverse=True)
    return np.bincount(index, weights=values) / np.bincount(index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--reveal", default="1,3,5")
    parser.add_argument("--pool", type=int, default=20)
    parser.add_argument("--validation", type=int, default=60)
    parser.add_argument("--test", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=540.0, help="for all models; what is kept is reported anyway")
    parser.add_argument("--cache", type=Path, default=CACHE)
    args = parser.parse_args()
    began, reveal = time.monotonic(), [int(k) for k in args.reveal.split(",")]
    every = [case for case in cases(args, reveal) if case.one.revealed in reveal]
    say = sys.stdout.write
    say(f"{args.data.name}, user cold, the best {args.pool} of snowmelt-no-llm, seed 0\n\n")
    say("| model | weights | validation: gain (error; people) | ")
    say(" | ".join(f"test, {k} revealed" for k in reveal) + " | test, mean of levels |\n" + "|---" * (len(reveal) + 4))
    say("|\n")
    for name in args.models:
        report(name, every, asked(name, args.kept, every, began + args.seconds), reveal)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
