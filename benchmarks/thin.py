"""What a model's familiarity with titles adds for new people while few others have taught a catalogue anything.

    python benchmarks/thin.py DATA MODEL... [--warm 10,20,50,100,200] [--reveal 1,3,5] [--repeats 3] [--on test]

The user split of the judge, but only so many of its warm people, drawn at random `--repeats` times; NDCG@10 is the mean
over the draws for each new person. `snowmelt` (with the model) against `snowmelt-no-llm`, both fitted anew on each
draw; interval and p over people. MODEL: local or gguf:/path. What a model says of the titles is kept in the judge's
cache, so that only the first run pays for it.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals.bench import CACHE, Bench, prepare
from snowmelt.evals.ours import snowmelt, snowmelt_no_llm
from snowmelt.evals.statistics import compare
from snowmelt.evals.systems import Arm, Train


def thinned(train: Train, people: int, seed: int) -> Train:
    """`train` with the rows of at most so many of its people."""
    chosen = np.sort(np.random.default_rng([seed, 0x7]).permutation(train.people)[:people])
    number = np.full(train.people, -1, np.int32)
    number[chosen] = np.arange(len(chosen), dtype=np.int32)
    kept = number[train.user] >= 0
    columns = {name: getattr(train, name)[kept] for name in ("item", "rating", "time", "liked")}
    return replace(train, people=len(chosen), user=number[train.user[kept]], **columns)


def values(bench: Bench, arm: Arm, people: int, repeats: int, model: str | None) -> dict[int, NDArray[np.float64]]:
    """NDCG@10 by likes revealed, [people asked], mean over the draws."""
    found: dict[int, list[NDArray[np.float64]]] = {k: [] for k in bench.levels}
    for draw in range(repeats):
        train = replace(thinned(bench.train, people, draw), model=model)
        for k, result in replace(bench, train=train).score(arm(train)).items():
            found[k].append(np.asarray(result.values(), np.float64))
    return {k: np.mean(v, axis=0) for k, v in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--warm", default="10,20,50,100,200")
    parser.add_argument("--reveal", default="1,3,5")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--on", choices=("test", "validation"), default="test")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where vectors and what models said are kept")
    args = parser.parse_args()
    reveal = [int(k) for k in args.reveal.split(",")]
    bench = prepare(args.data, split="user", on=args.on, reveal=reveal, people=None, seed=0, cache=args.cache)
    say = sys.stdout.write
    say(f"{args.data.name}, {args.on}, {len(bench.people)} people, {args.repeats} draws of warm people, seed 0\n")
    say(
        "| warm people | likes revealed | n | without | model | with it | gain [95%] |\n|---|---|---|---|---|---|---|\n"
    )
    for people in map(int, args.warm.split(",")):
        without = values(bench, snowmelt_no_llm, people, args.repeats, None)
        for name in args.models:
            with_it = values(bench, snowmelt, people, args.repeats, name)
            for k, base in without.items():
                found = compare(with_it[k], base)
                gain, share = found.difference, 100 * found.difference.mean / base.mean()
                say(f"| {min(people, bench.train.people)} | {k} | {len(base)} | {base.mean():.4f} | ")
                say(f"{Path(name).stem} | {with_it[k].mean():.4f} | ")
                say(f"{gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], {share:+.1f} %, p {found.p:.4f} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
