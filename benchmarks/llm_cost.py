"""Ranking 30 candidates with a model: our question against the naive prompt, same model, same people, same run.

    python benchmarks/llm_cost.py DATA [--model local] [--users 60] [--reveal 5] [--kept FILE]

naive: the arm `naive-llm` of the harness (embed, list the nearest, ask for JSON). ours: 30 candidates of the same dense
retrieval, ordered by the model's likelihood of their titles, with familiarity (read once, at index time) beside it.
Person by person, so that a machine that others use is as busy for each arm; with `--kept` a run that was cut goes on.
Target: at most a third of the time and a tenth of the output tokens, with higher NDCG@10.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from snowmelt.agent.familiarity import familiarity
from snowmelt.agent.llm import open_llm
from snowmelt.agent.scoring import score_candidates
from snowmelt.evals import text_arms
from snowmelt.evals.bench import prepare
from snowmelt.evals.naive import naive_llm
from snowmelt.evals.statistics import compare, interval
from snowmelt.evals.systems import Answer, Case

POOL = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="local")
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--reveal", type=int, default=5)
    parser.add_argument("--directory", type=Path, help="where familiarity was kept; read anew without it")
    parser.add_argument("--kept", type=Path, help="answers, one line each")
    args = parser.parse_args()
    bench = prepare(args.data, split="scene", on="test", reveal=(args.reveal,), people=args.users, seed=0)
    folder = TemporaryDirectory()
    train = replace(bench.train, model=args.model, cache=Path(folder.name))  # nothing comes from a cache
    titles = [str(r["title"]) for r in train.records]
    llm = open_llm(args.model)
    score_candidates(llm, titles[:1], titles[1:3])  # loads the model
    known = familiarity(llm, args.directory or Path(folder.name), titles, columns=[n for r in train.records for n in r])
    dense = text_arms.dense(replace(bench.train, settings={"how": "mean"}))

    def ours(case: Case, fame: float) -> Answer:
        began = time.perf_counter()
        scores = np.asarray(dense.batch([case])[0].scores, np.float64)  # type: ignore[attr-defined]
        scores = (scores - scores.mean()) / scores.std() + fame * known.weight * known.values
        scores[[train.rows[i] for i in case.revealed]] = -np.inf
        pool = np.argsort(-scores, kind="stable")[:POOL]
        found = score_candidates(llm, [titles[train.rows[i]] for i in case.liked], [titles[r] for r in pool])
        base = scores[pool]
        if found.values is not None:
            base = (base - base.mean()) / base.std() + 0.2 * (found.values - found.values.mean()) / found.values.std()
        answer = {train.ids[r]: float(v) for r, v in zip(pool, base, strict=True)}
        spent = time.perf_counter() - began
        return Answer(answer, found.degraded, found.tokens_in, found.tokens_out, spent)

    arms = {
        "naive-llm": naive_llm(train),
        "ours, likelihood alone": lambda case: ours(case, 0.0),
        "ours, with familiarity": lambda case: ours(case, 2.0),
    }
    asked: dict[str, dict[int, Answer]] = {name: {} for name in arms}
    if args.kept and args.kept.exists():
        for line in args.kept.read_text("utf-8").splitlines():
            name, number, told = json.loads(line)
            asked[name][number] = Answer(**told)
    for case in bench.levels[args.reveal].cases:
        for name, arm in arms.items():
            if case.number in asked[name]:
                continue
            answer = asked[name][case.number] = replace(arm(case), calls=())
            if args.kept:
                with args.kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([name, case.number, asdict(answer)]) + "\n")
    values = {
        name: bench.score(lambda case, answers=answers: answers[case.number])[args.reveal].values()
        for name, answers in asked.items()
    }
    say = sys.stdout.write
    seconds = {name: np.array([a.seconds or 0.0 for a in answers.values()]) for name, answers in asked.items()}
    n = len(seconds["naive-llm"])
    say(f"{args.data.name}, scene cold, {args.reveal} likes, {n} people, model {args.model}, seed 0\n\n")
    say("| arm | s a person | share of naive's [95%] | tokens in | out | degraded | NDCG@10 | minus naive [95%], p |\n")
    say("|---" * 8 + "|\n")
    for name, told in asked.items():
        answers = list(told.values())
        at, versus, took = interval(values[name]), compare(values[name], values["naive-llm"]), seconds[name]
        d, share = versus.difference, interval(took / seconds["naive-llm"].mean())
        tokens = [np.mean([getattr(a, f) or 0 for a in answers]) for f in ("tokens_in", "tokens_out")]
        say(f"| {name} | {took.mean():.2f} | {share.mean:.2f} [{share.low:.2f}, {share.high:.2f}] | {tokens[0]:.0f} | ")
        say(f"{tokens[1]:.1f} | {sum(bool(a.degraded) for a in answers)} of {n} | {at.mean:.3f} [{at.low:.3f}, ")
        say(f"{at.high:.3f}] | {d.mean:+.3f} [{d.low:+.3f}, {d.high:+.3f}], {versus.p:.4f} |\n")
    llm.close()
    folder.cleanup()


if __name__ == "__main__":
    main()
