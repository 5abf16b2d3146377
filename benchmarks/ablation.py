"""What each signal is worth: the ranking without it against the ranking with all, on the same people.

    python benchmarks/ablation.py DATA [--split user] [--reveal 1,5] [--on test] [--people N]

One fit; a signal is taken away by giving it no weight (the other weights stay). Paired by person: difference in
NDCG@10 with its interval and p of the sign-flip permutation test, without correction for the number of signals.
"""

import argparse
import sys
from pathlib import Path

from snowmelt.evals.bench import prepare
from snowmelt.evals.ours import snowmelt_no_llm
from snowmelt.evals.statistics import compare
from snowmelt.retrieval.learned import NAMES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", choices=("user", "item"), default="user")
    parser.add_argument("--reveal", default="1,5")
    parser.add_argument("--on", choices=("test", "validation"), default="test")
    parser.add_argument("--people", type=int)
    args = parser.parse_args()
    levels = tuple(map(int, args.reveal.split(",")))
    bench = prepare(args.data, split=args.split, on=args.on, reveal=levels, people=args.people, seed=0)
    scorer = snowmelt_no_llm(bench.train)
    learned = scorer.learned  # type: ignore[attr-defined]
    every = bench.score(scorer)
    say = sys.stdout.write
    say(f"{args.data.name}, {args.split} cold, {args.on}, {len(bench.people)} people, seed 0\n\n")
    say("| without | " + " | ".join(f"{k} revealed" for k in every) + " |\n" + "|---" * (len(every) + 1) + "|\n")
    say("| nothing | " + " | ".join(f"{result.ndcg():.4f}" for result in every.values()) + " |\n")
    for name in NAMES:
        scorer.learned = learned.without(name)  # type: ignore[attr-defined]
        told = []
        for k, result in bench.score(scorer).items():
            versus = compare(result.values(), every[k].values())
            d = versus.difference
            told.append(f"{result.ndcg():.4f} ({d.mean:+.4f} [{d.low:+.4f}, {d.high:+.4f}], p {versus.p:.3f})")
        say(f"| {name} | " + " | ".join(told) + " |\n")


if __name__ == "__main__":
    main()
