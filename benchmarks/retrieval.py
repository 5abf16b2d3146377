"""Retrieval of 50 candidates among 100,000 items, two filters included: milliseconds, and what the index misses.

    python benchmarks/retrieval.py ITEMS.jsonl ... [--items 100000] [--queries 200] [--seed 0] [--keep DIR]

Items are made of real ones: title, sentences of the description and attributes each from another item, so that words
are as frequent as they are. Vectors are random unit vectors around 2,000 random centres, 512 numbers (embedding
100,000 texts is not what is measured; random vectors are harder for HNSW than real ones). A query is a vector near an
item's, four words of an item's text, and two filters (a price at most, a tag excluded or asked for) that leave from a
hundredth to nearly all of the items. Measured one after another: the mask, `nearest` under it, BM25 scores and its top
50 under it, their union. Target: p95 below 50 ms. CPU is the processor time of all threads,
for a machine that others use, too. Opening the catalogue is timed as well.

Whole lists, also with what `snowmelt fit` learned, are timed by `fitted.py`.
"""

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.filters import Filter
from snowmelt.retrieval.items import Item
from snowmelt.retrieval.reading import read_items

DIM, K = 512, 50


class Around:
    """Random unit vectors around random centres."""

    id, spec, dim = "around:1", "around", DIM

    def __init__(self, seed: int) -> None:
        self._dice = np.random.default_rng(seed)
        self._centres = self._dice.standard_normal((2000, DIM), np.float32)

    def documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = self._centres[self._dice.integers(0, 2000, len(texts))]
        vectors = vectors + 0.8 * self._dice.standard_normal(vectors.shape, np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    queries = documents


def categories(item: Item) -> tuple[str, ...]:
    found = item.attributes.get("categories")
    return found if isinstance(found, tuple) else ()


def recombined(real: list[Item], count: int, dice: random.Random) -> list[Item]:
    sentences = [s for item in real for s in re.split(r"(?<=[.!?。])\s*", item.description) if len(s) > 20]
    tags = sorted({t for item in real for t in categories(item)})
    found = []
    for i in range(count):
        description = " ".join(dice.choices(sentences, k=dice.randint(1, 4)))
        attributes = {"price": round(dice.lognormvariate(3, 1), 2), "year": float(dice.randint(1950, 2024))}
        attributes |= {"tags": tuple(dict.fromkeys(dice.choices(tags, k=3))), "grade": dice.choice("abcdefgh")}
        found.append(Item(f"{i}", dice.choice(real).title, description, attributes))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="build the catalogue here, or take the one that is there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(args, args.keep or Path(folder) / "catalogue")


def measure(args: argparse.Namespace, out: Path) -> None:
    dice, embedder = random.Random(args.seed), Around(args.seed)
    if not (out / "current").exists():
        real = list(chain.from_iterable(read_items(path)[0] for path in args.files))
        began = time.perf_counter()
        build(recombined(real, args.items, dice), out, embedder)
        print(f"indexed in {time.perf_counter() - began:.0f} s (no embedder)", flush=True)
    began = time.perf_counter()
    catalogue = Catalogue.open(out, embedder)
    opened = time.perf_counter() - began
    began = time.perf_counter()
    catalogue.nearest(catalogue.vectors[:1], 1)
    catalogue.lexical.scores("first")
    catalogue.mask([])
    first = time.perf_counter() - began
    count, tags = len(catalogue.ids), list(catalogue.schema.attributes["tags"].values)
    print(f"{count} items: opened and verified in {opened:.2f} s, first query {first:.2f} s more")

    noise = np.random.default_rng(args.seed + 1)
    times: dict[str, list[float]] = {"mask": [], "dense": [], "bm25": [], "all": [], "CPU": []}
    recall, left, found = [], [], []
    for _ in range(args.queries):
        near = catalogue.vectors[dice.randrange(count)] + 0.03 * noise.standard_normal(DIM).astype(np.float32)
        words = " ".join(dice.sample(catalogue.text(dice.randrange(count)).split(), 4))
        tag: tuple[str, ...] = tuple(dice.sample(tags[:20], 3))
        filters = [Filter(attribute="price", op="le", value=dice.choice([10.0, 20.0, 40.0, 80.0, 500.0])),
                   Filter(attribute="tags", op="any" if dice.random() < 0.5 else "none", value=tag)]  # fmt: skip
        t0, used = time.perf_counter(), time.process_time()
        mask = catalogue.mask(filters)
        t1 = time.perf_counter()
        rows, _ = catalogue.nearest(near[None], K, mask)
        t2 = time.perf_counter()
        both = dict.fromkeys([*rows[0].tolist(), *catalogue.lexical.top(words, K, mask)])
        t3, used = time.perf_counter(), time.process_time() - used
        for name, seconds in zip(times, (t1 - t0, t2 - t1, t3 - t2, t3 - t0, used), strict=True):
            times[name].append(1000 * seconds)
        exact = np.argsort(-np.where(mask, catalogue.vectors @ near, -9))[: rows.shape[1]]
        recall.append(len(set(exact.tolist()) & set(rows[0].tolist())) / max(1, rows.shape[1]))
        left.append(mask.mean())
        found.append(len(both))
    print(f"{args.queries} queries, seed {args.seed}; filters leave {min(left):.3f} to {max(left):.3f} of the items, "
          f"{min(found)} to {max(found)} candidates")  # fmt: skip
    told(times)
    print(f"dense candidates that exact search gives, too: {np.mean(recall):.3f} (least {min(recall):.2f})")
    print(json.dumps({"items": count, "p95_ms": round(float(np.percentile(times["all"], 95)), 1), "target_ms": 50}))


def told(times: dict[str, list[float]]) -> None:
    for name, values in times.items():
        p50, p95, most = np.percentile(values, [50, 95, 100])
        print(f"{name:6} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   most {most:6.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
