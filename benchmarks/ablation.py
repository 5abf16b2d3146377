"""What each signal is worth: the ranking without it against the ranking with all, on the same people.

    python benchmarks/ablation.py DATA... [--split user] [--reveal 3] [--model local] [--on test] [--people N]

A column for each data set. One fit; a signal is taken away by giving it no weight (the other weights stay). Paired by
person: difference in NDCG@10 with its interval and p of the sign-flip permutation test, without correction for the
number of signals. Without `--model` there is no familiarity.
"""

import argparse
import sys
from pathlib import Path

from snowmelt.evals.bench import prepare
from snowmelt.evals.ours import snowmelt, snowmelt_no_llm
from snowmelt.evals.statistics import compare
from snowmelt.retrieval.learned import NAMES


def column(args: argparse.Namespace, data: Path) -> list[str]:
    """The head, what all signals reach, and a cell for each that is taken away."""
    bench = prepare(
        data, split=args.split, on=args.on, reveal=(args.reveal,), people=args.people, seed=0, model=args.model
    )
    scorer = snowmelt(bench.train) if args.model else snowmelt_no_llm(bench.train)
    learned = scorer.learned  # type: ignore[attr-defined]
    every = bench.score(scorer)[args.reveal]
    cells = [f"{data.name} (n = {len(every.people)})", f"{every.ndcg():.4f}"]
    for name in NAMES:
        scorer.learned = learned.without(name)  # type: ignore[attr-defined]
        found = compare(bench.score(scorer)[args.reveal].values(), every.values())
        d = found.difference
        cells.append(f"{d.mean:+.4f} [{d.low:+.4f}, {d.high:+.4f}], p {found.p:.3f}")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--split", choices=("user", "item"), default="user")
    parser.add_argument("--reveal", type=int, default=3)
    parser.add_argument("--model")
    parser.add_argument("--on", choices=("test", "validation"), default="test")
    parser.add_argument("--people", type=int)
    args = parser.parse_args()
    names = [f"without, {args.split} cold, {args.reveal} likes", "nothing", *NAMES]
    rows = list(zip(names, *(column(args, data) for data in args.data), strict=True))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    sys.stdout.write("\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]) + "\n")


if __name__ == "__main__":
    main()
