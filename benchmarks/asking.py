"""Strategies of asking, compared in this process on validation people: NDCG@10 by answered questions, with bands.

    python benchmarks/asking.py ../shared/data/ml-100k [--reveal 0,1,2,3,5,8] [--people 100] [--strategies ours,random]

It is the product that talks (`snowmelt-talk`: `agent/onboarding.py` chooses, `snowmelt fit` has taught), with a
simulated user who answers only what is asked. The others are compared with the first strategy, person by person.
What is published comes from test people: `snowmelt eval DATA --split conversation --arms "snowmelt-talk,..."`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from constraints import interval
from snowmelt.evals.bench import prepare
from snowmelt.evals.talking import snowmelt_talk

STRATEGIES = "popularity,ours,random,entropy,none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reveal", default="0,1,2,3,5,8")
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--strategies", default=STRATEGIES)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    reveal = [int(k) for k in args.reveal.split(",")]
    bench = prepare(args.folder, split="conversation", reveal=reveal, people=args.people, seed=args.seed)
    first: dict[int, np.ndarray] = {}
    sys.stdout.write(f"{len(bench.people)} validation people, seed {args.seed}\n")
    for strategy in args.strategies.split(","):
        found = {k: result.values() for k, result in bench.run(snowmelt_talk, strategy=strategy).items()}
        first = first or found
        for k, values in found.items():
            sys.stdout.write(
                f"{strategy:<12}{k:>3}  {interval(values)}  minus the first {interval(values - first[k])}\n"
            )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
