"""What a model's familiarity with titles adds for new people while few others have taught a catalogue anything.

    python benchmarks/thin.py DATA MODEL... [--warm 10,20,50,100,200] [--reveal 1,3,5] [--repeats 3] [--on test]
        [--seeds 0]

The user split of the judge, but only so many of its warm people, drawn at random `--repeats` times; NDCG@10 is the mean
over the draws for each new person. `snowmelt` (with the model) against `snowmelt-no-llm`, both fitted anew on each
draw; interval and p over people. With several `--seeds` other people are new each time, and who is new more than once
counts once, with the mean. MODEL: local or gguf:/path. What a model says of the titles is kept in the judge's cache, so
that only the first run pays for it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals.bench import CACHE, Bench, prepare
from snowmelt.evals.loading import load
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


def values(bench: Bench, arm: Arm, people: int, repeats: int, model: str | None) -> dict[int, dict[str, float]]:
    """NDCG@10 by likes revealed and person, mean over the draws."""
    found: dict[int, list[NDArray[np.float64]]] = {k: [] for k in bench.levels}
    for draw in range(repeats):
        train = replace(thinned(bench.train, people, draw), model=model)
        for k, result in replace(bench, train=train).score(arm(train)).items():
            found[k].append(np.asarray(result.values(), np.float64))
    asked = {k: [p.user for p in level.people] for k, level in bench.levels.items()}
    return {k: dict(zip(asked[k], np.mean(v, axis=0).tolist(), strict=True)) for k, v in found.items()}


def together(draws: Sequence[dict[str, float]]) -> NDArray[np.float64]:
    """Each person's mean over the draws in which they are new, float64 [people]."""
    people = sorted({person for draw in draws for person in draw})
    return np.array([np.mean([draw[p] for draw in draws if p in draw]) for p in people], np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--warm", default="10,20,50,100,200")
    parser.add_argument("--reveal", default="1,3,5")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--on", choices=("test", "validation"), default="test")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where vectors and what models said are kept")
    args = parser.parse_args()
    reveal, data = [int(k) for k in args.reveal.split(",")], load(args.data)
    benches = [
        prepare(data, split="user", on=args.on, reveal=reveal, people=None, seed=seed, cache=args.cache)
        for seed in map(int, args.seeds.split(","))
    ]
    say = sys.stdout.write
    say(f"{data.name}, {args.on}, {args.repeats} draws of warm people, seeds {args.seeds}\n")
    say(
        "| warm people | likes revealed | n | without | model | with it | gain [95%] |\n|---|---|---|---|---|---|---|\n"
    )
    for people in map(int, args.warm.split(",")):
        without = [values(bench, snowmelt_no_llm, people, args.repeats, None) for bench in benches]
        for name in args.models:
            with_it = [values(bench, snowmelt, people, args.repeats, name) for bench in benches]
            for k in sorted(set.intersection(*map(set, without))):
                base, fused = together([v[k] for v in without]), together([v[k] for v in with_it])
                found = compare(fused, base)
                gain, share = found.difference, 100 * found.difference.mean / base.mean()
                say(f"| {min(people, benches[0].train.people)} | {k} | {len(base)} | {base.mean():.4f} | ")
                say(f"{Path(name).stem} | {fused.mean():.4f} | ")
                say(f"{gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], {share:+.1f} %, p {found.p:.4f} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
