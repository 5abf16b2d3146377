"""What familiarity costs and what it is worth where there is no behaviour at all (scene cold).

    python benchmarks/familiarity.py DATA [--model local] [--directory DIR] [--sample N] [--users N] [--on test]
    python benchmarks/familiarity.py DATA --speed 500

DATA is a folder that `snowmelt eval` takes. With `--directory` what was read is kept there, and only the rest is read.
`--sample` shrinks the catalogue to the likes of the people scored and random items, N in all: for a machine without
hours to spare; every arm ranks the same smaller catalogue. `--speed` reads N titles anew and compares the rate with
llama.cpp's own for one long prompt, taking turns: target 1.3.

The ranking is z(dense, max) + z(dense, mean) / 2 + z(bm25) / 2 + 2 * weight * familiarity. The figures 2 and the way
the values are made were chosen on validation people of ml-100k alone.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from llm_scoring import prefill  # pyright: ignore[reportMissingImports]  # beside this file
from snowmelt.agent.familiarity import Familiarity, familiarity
from snowmelt.agent.llm import open_llm
from snowmelt.evals import splits, text_arms
from snowmelt.evals.loading import load
from snowmelt.evals.metrics import ranking_metrics
from snowmelt.evals.statistics import compare, interval
from snowmelt.evals.systems import Case, Train

WEIGHT = 2.0


def speed(titles: list[str], llm: Any, columns: list[str], repeats: int = 2) -> str:
    """Tokens/s of reading titles and of llama.cpp's own reading: by the clock, and by the processor's time, which does
    not count what else runs on the machine."""
    llm.score("A", [" B"])
    engine = llm._loaded
    long = engine.tokenise("\n".join(titles))[:1024]
    rates = {"clock": time.perf_counter, "processor": time.process_time}
    read, scored, tokens = dict.fromkeys(rates, 0.0), dict.fromkeys(rates, 0.0), 0
    for _ in range(repeats):
        began = {name: now() for name, now in rates.items()}
        prefill(llm, long, engine.threads)
        read = {name: max(read[name], len(long) / (now() - began[name])) for name, now in rates.items()}
        with TemporaryDirectory() as folder:
            began = {name: now() for name, now in rates.items()}
            tokens = familiarity(llm, Path(folder), titles, columns=columns).tokens
            scored = {name: max(scored[name], tokens / (now() - began[name])) for name, now in rates.items()}
    minutes = 10_000 * tokens / len(titles) / scored["clock"] / 60
    cores = 10_000 * tokens / len(titles) / scored["processor"] / 60
    told = "; ".join(
        f"by the {name} {scored[name]:.0f} tokens/s, llama.cpp {read[name]:.0f}, ratio {read[name] / scored[name]:.2f}"
        for name in rates
    )
    return (
        f"speed: {len(titles)} titles, {tokens} tokens with both prompts, {engine.threads} threads; {told} "
        f"(target 1.3); 10,000 titles: {minutes:.1f} min as it is, {cores:.1f} min of one core (target 10, two cores)\n"
    )


def standard(scores: np.ndarray) -> np.ndarray:
    return (scores - scores.mean(1, keepdims=True)) / np.maximum(scores.std(1, keepdims=True), 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="local")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--users", type=int)
    parser.add_argument("--on", choices=("test", "validation"), default="test")
    parser.add_argument("--speed", type=int)
    parser.add_argument("--reveal", default="1,3,5")
    parser.add_argument("--domain", default="", help="the word for the items; found by itself if not given")
    args = parser.parse_args()
    data, llm, rng = load(args.data), open_llm(args.model), np.random.default_rng(0)
    columns = sorted({name for record in data.records for name in record})
    if args.speed:
        rows = rng.permutation(len(data.ids))[: args.speed]
        sys.stdout.write(speed([str(data.records[r]["title"]) for r in rows], llm, columns))
        return
    split = splits.make(data, "user", 0)  # the people of the scene split; their validation people for choosing
    stage = split.final if args.on == "test" else split.tune
    assert stage is not None
    people = stage.people[: args.users]
    keep = np.arange(len(data.ids))
    if args.sample:
        gold = np.unique(np.concatenate([p.order for p in people]))
        others = rng.permutation(np.setdiff1d(keep, gold))
        keep = np.sort(np.concatenate([gold, others[: max(0, args.sample - len(gold))]]))
    place = {int(row): i for i, row in enumerate(keep)}
    records = tuple(data.records[r] for r in keep)
    none = np.zeros(0, np.int32)
    train = Train(
        tuple(data.ids[r] for r in keep), records, tuple(text_arms.record_text(r) for r in records), 0, none, none,
        none.astype(np.float32), none.astype(float), none.astype(bool), data.scale, data.has_clock, 0,
        Path.home() / ".cache" / "snowmelt" / "evals" / "shared",
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        known: Familiarity = familiarity(
            llm, args.directory or Path(folder), [str(r["title"]) for r in records],
            columns=columns, domain=args.domain,
            progress=lambda done, n: print(f"\r{done}/{n}", end="", file=sys.stderr),
        )  # fmt: skip
    likes = np.bincount(data.item[data.liked], minlength=len(data.ids))[keep]
    ranks = [np.argsort(np.argsort(v)) for v in (known.values, likes + 1e-6 * rng.random(len(likes)))]
    say = sys.stdout.write
    say(f"{data.name}, {args.on}, {len(people)} people, {len(keep)} items, model {args.model}, seed 0\n")
    say(f"domain {known.domain!r}, weight {known.weight:.2f}{' (' + known.why + ')' if known.why else ''}, ")
    say(f"Spearman with likes {np.asarray(np.corrcoef(ranks))[0, 1]:.3f}, ")
    say(f"{known.tokens} tokens in {known.seconds:.0f} s\n")
    settings = [("bm25", {}), ("bm25", {"text": "all"}), ("dense", {"how": "max"}), ("dense", {"how": "mean"}),
                ("dense", {"how": "max", "text": "all"}), ("dense", {"how": "mean", "text": "all"})]  # fmt: skip
    scorers = {
        f"{name}({', '.join(f'{k}={v}' for k, v in given.items())})": getattr(text_arms, name)(
            replace(train, settings=given)
        )
        for name, given in settings
    }
    for k in map(int, args.reveal.split(",")):
        some = [p for p in people if len(p.order) > k]
        cases = [Case(p.number, tuple(train.ids[place[int(r)]] for r in p.order[:k])) for p in some]
        tables = {n: np.array([a.scores for a in s.batch(cases)], np.float64) for n, s in scorers.items()}
        content = (
            standard(tables["dense(how=max, text=all)"])
            + 0.5 * standard(tables["dense(how=mean, text=all)"])
            + 0.5 * standard(tables["bm25(text=all)"])
        )
        tables |= {
            "content": content,
            "familiarity": np.tile(known.values, (len(some), 1)),
            "content + familiarity": content + WEIGHT * known.weight * known.values,
            "content + familiarity, always trusted": content + WEIGHT * known.values,
        }
        found = {}
        for name, scores in tables.items():
            hits, relevant = np.zeros((len(some), 10), bool), np.zeros(len(some), np.int64)
            for i, p in enumerate(some):
                row = scores[i].copy()
                row[[place[int(r)] for r in p.order[:k]]] = -np.inf
                top = np.lexsort((np.random.default_rng([p.number, 7]).random(len(row)), -row))[:10]
                gold = [place[int(r)] for r in p.order[k:]]
                hits[i, : len(top)], relevant[i] = np.isin(top, gold), len(gold)
            found[name] = ranking_metrics(hits, relevant, 10)["ndcg@10"]
        best = max(scorers, key=lambda n: found[n].mean())
        say(f"\n{k} likes known, {len(some)} people, NDCG@10; p against the best single arm, {best}\n")
        for name, values in found.items():
            at, versus = interval(values), compare(values, found[best])
            ratio = f"{values.mean() / found[best].mean():5.2f}x p={versus.p:.4f}" if name not in scorers else ""
            say(f"  {name:38s} {at.mean:.4f} [{at.low:.4f}, {at.high:.4f}] {ratio}\n")
    llm.close()


if __name__ == "__main__":
    main()
