"""What models of several sizes know and what they cost: familiarity (scene cold) and likelihood (user cold).

    python benchmarks/models.py DATA MODEL... [--titles 300] [--users 30] [--reveal 3]

MODEL: local or gguf:/path. Familiarity: Spearman correlation with the number of likes over `--titles` random titles,
and the weight that it gives itself. Likelihood: what it adds to the ranking without a model for validation people, at
the weight that calibration finds, on people that the weight was not chosen on (`--users 0` leaves this out).
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from snowmelt.agent.calibration import POOL, Played, calibrate
from snowmelt.agent.familiarity import familiarity
from snowmelt.agent.llm import open_llm
from snowmelt.evals.bench import Bench, prepare
from snowmelt.evals.loading import load
from snowmelt.evals.ours import snowmelt_no_llm


def played(bench: Bench, titles: list[str], reveal: int) -> list[Played]:
    level = bench.levels[reveal]
    answers = snowmelt_no_llm(bench.train).batch(level.cases)  # type: ignore[attr-defined]
    found = []
    for person, case, answer in zip(level.people, level.cases, answers, strict=True):
        scores, gold = np.array(answer.scores, np.float64), person.at(reveal)[1]
        shown = [bench.train.rows[i] for i in case.revealed]
        scores[shown] = -np.inf
        pool = np.argsort(-scores, kind="stable")[:POOL]
        liked = tuple(titles[bench.train.rows[i]] for i in case.liked)
        found.append(
            Played(
                case.number, reveal, liked, tuple(titles[r] for r in pool), scores[pool], np.isin(pool, gold), len(gold)
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--titles", type=int, default=300)
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--reveal", type=int, default=3)
    args = parser.parse_args()
    data = load(args.data)
    likes = np.bincount(data.item[data.liked], minlength=len(data.ids))
    rows = np.random.default_rng(0).permutation(len(data.ids))[: args.titles]
    columns = sorted({name for record in data.records for name in record})
    cases = []
    if args.users:
        bench = prepare(args.data, split="user", on="validation", reveal=(args.reveal,), people=args.users, seed=0)
        cases = played(bench, [str(r["title"]) for r in bench.train.records], args.reveal)
    say = sys.stdout.write
    say(f"{args.data.name}: {len(rows)} titles; {len(cases)} people, {args.reveal} likes, {POOL} candidates, seed 0\n")
    for name in args.models:
        llm = open_llm(name)
        with TemporaryDirectory() as folder:
            known = familiarity(llm, Path(folder), [str(data.records[r]["title"]) for r in rows], columns=columns)
            ranks = [np.argsort(np.argsort(v)) for v in (known.values, likes[rows])]
            correlation = np.asarray(np.corrcoef(ranks))[0, 1]
            say(f"{Path(name).name}: familiarity Spearman {correlation:.3f}, weight {known.weight:.2f}, ")
            say(f"{known.seconds:.0f} s, {known.tokens / max(known.seconds, 1e-9):.0f} tokens/s")
            if cases:
                found = calibrate(llm, Path(folder), cases, questions=["likelihood"], seconds=3600.0)
                tried = found.tried["likelihood"]
                say(f"; likelihood {tried['gain']:+.4f} NDCG@10 (standard error {tried['error']:.4f}, ")
                say(f"{tried['people']:.0f} people), {tried['seconds']:.2f} s each, weight kept {found.weight:g}")
            say("\n")
            sys.stdout.flush()
        llm.close()


if __name__ == "__main__":
    main()
