"""What models of several sizes know and what they cost, where there is no behaviour at all (scene cold).

    python benchmarks/models.py DATA MODEL... [--reveal 1,3,5] [--items N] [--cache DIR]

MODEL: local or gguf:/path. Scene cold, test people: NDCG@10 of what the model has heard of alone, of `snowmelt` with it
and of `snowmelt-no-llm`, with intervals; and the Spearman correlation of the former with the number of likes. What a
model says of the titles is kept in the judge's cache: a run that is killed goes on where it was. `--items N`: of the
catalogue only N items, drawn by the hash of their titles, for models that are too slow for all of them; every figure is
then of the smaller catalogue.
"""

import argparse
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from snowmelt.agent.familiarity import Familiarity, familiarity, spoken
from snowmelt.agent.llm import open_llm
from snowmelt.evals.bench import CACHE, Bench, prepare
from snowmelt.evals.data import Dataset
from snowmelt.evals.loading import load
from snowmelt.evals.ours import snowmelt, snowmelt_no_llm
from snowmelt.evals.statistics import compare, interval


def cut(data: Dataset, items: int) -> Dataset:
    """The same with `items` items. They are the first that `familiarity` reads."""
    titles = [spoken(str(record["title"])) for record in data.records]
    order = sorted(range(len(titles)), key=lambda row: sha256(titles[row].encode("utf-8", "replace")).hexdigest())
    rows = np.sort(np.array(order[:items]))
    place = np.full(len(titles), -1, np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    kept = place[data.item] >= 0
    return Dataset(
        data.name, tuple(data.records[r] for r in rows), data.users, data.user[kept], place[data.item[kept]],
        data.rating[kept], data.time[kept],
    )  # fmt: skip


def heard_of(bench: Bench, name: str) -> Familiarity:
    """What the arm `snowmelt` asks of the model, asked in the same way."""
    llm, records = open_llm(name), bench.train.records
    columns = sorted({n for record in records for n in record})
    try:
        return familiarity(llm, bench.train.cache, [str(r["title"]) for r in records], columns=columns)
    finally:
        llm.close()


def scene(data: Dataset, models: list[str], reveal: list[int], cache: Path) -> None:
    bench = prepare(data, split="scene", on="test", reveal=reveal, people=None, seed=0, cache=cache)
    say, likes = sys.stdout.write, np.bincount(data.item[data.liked], minlength=len(data.ids))
    place = {name: row for row, name in enumerate(data.names)}
    likes = likes[[place[id_] for id_ in bench.train.ids]]
    without = {k: r.values() for k, r in bench.score(snowmelt_no_llm(bench.train)).items()}
    say(f"{data.name}, scene cold, {len(data.ids)} items, {len(bench.people)} test people, NDCG@10 [95%], seed 0\n")
    say(f"| model | likes known | {' | '.join(map(str, reveal))} |\n|---|---|{'---|' * len(reveal)}\n")
    say(f"| none | snowmelt-no-llm | {' | '.join(_shown(without[k]) for k in reveal)} |\n")
    for name in models:
        known = heard_of(bench, name)
        alone = bench.score(lambda case, known=known: known.values)
        fused = bench.score(snowmelt(replace(bench.train, model=name)))
        ranks = [np.argsort(np.argsort(v)) for v in (known.values, likes)]
        gains = [compare(fused[k].values(), without[k]) for k in reveal]
        title = f"{Path(name).stem} (Spearman {np.asarray(np.corrcoef(ranks))[0, 1]:.2f}, trust {known.weight:.2f})"
        say(f"| {title} | familiarity alone | {' | '.join(_shown(alone[k].values()) for k in reveal)} |\n")
        say(f"| | snowmelt | {' | '.join(_shown(fused[k].values()) for k in reveal)} |\n")
        say(f"| | gain, p | {' | '.join(f'{g.difference.mean:+.3f}, {g.p:.4f}' for g in gains)} |\n")
        if known.tokens:
            say(f"read just now: {known.tokens} tokens, {known.tokens / known.seconds:.0f} tokens/s\n")
        sys.stdout.flush()


def _shown(values: np.ndarray) -> str:
    at = interval(values)
    return f"{at.mean:.3f} [{at.low:.3f}, {at.high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--reveal", default="1,3,5")
    parser.add_argument("--items", type=int)
    parser.add_argument("--cache", type=Path, default=CACHE)
    args = parser.parse_args()
    data, reveal = load(args.data), [int(k) for k in args.reveal.split(",")]
    data = cut(data, args.items) if args.items else data
    scene(data, args.models, reveal, args.cache)


if __name__ == "__main__":
    main()
