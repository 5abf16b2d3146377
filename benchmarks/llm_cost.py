"""Ranking 30 candidates with a model: our question against the naive prompt, same model, same people, same run.

    python benchmarks/llm_cost.py DATA [--model local] [--users 10] [--reveal 5]

naive: the arm `naive-llm` of the harness (embed, list the nearest, ask for JSON). ours: 30 candidates of the same dense
retrieval, ordered by the model's likelihood of their titles, with familiarity (read once, at index time) beside it.
Target: at most a third of the time and a tenth of the output tokens, with higher NDCG@10.
"""

import argparse
import sys
import time
from dataclasses import replace
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
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--reveal", type=int, default=5)
    parser.add_argument("--directory", type=Path, help="where familiarity was kept; read anew without it")
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
    asked: dict[str, list[Answer]] = {name: [] for name in arms}
    values = {}
    for name, arm in arms.items():

        def noted(case: Case, arm=arm, name=name):
            answer = arm(case)
            asked[name].append(answer)
            return answer

        values[name] = bench.score(noted)[args.reveal].values()
    say = sys.stdout.write
    say(f"{args.data.name}, scene cold, {args.reveal} likes, {args.users} people, model {args.model}, seed 0\n")
    say(f"{'':26s}{'s each':>8s}{'in':>7s}{'out':>7s}{'degraded':>10s}   NDCG@10\n")
    for name, answers in asked.items():
        at, versus = interval(values[name]), compare(values[name], values["naive-llm"])
        mean = [np.mean([getattr(a, f) or 0 for a in answers]) for f in ("seconds", "tokens_in", "tokens_out")]
        wrong = sum(bool(a.degraded) for a in answers)
        say(f"{name:26s}{mean[0]:8.2f}{mean[1]:7.0f}{mean[2]:7.0f}{wrong:7d}/{len(answers):<2d}   ")
        say(f"{at.mean:.4f} [{at.low:.4f}, {at.high:.4f}] p={versus.p:.4f}\n")
    llm.close()
    folder.cleanup()


if __name__ == "__main__":
    main()
