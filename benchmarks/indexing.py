"""Indexing next to the embedder alone on the same texts: the ratio of their times, and the memory it takes.

    python benchmarks/indexing.py ITEMS.jsonl [ITEMS.jsonl ...] [--limit 6000] [--rounds 2]
    python benchmarks/indexing.py --memory 200000 [--dim 512]

The first form embeds the item texts in batches as `build` does, then builds the catalogue with the same embedder, in
turns; the least of each counts, since other programs can only make either slower. CPU seconds include the process that
writes Chroma. Target: a ratio of at most 1.2. The second form indexes so many made-up rows (words drawn at random,
vectors from a random generator: the store's own cost) and prints the peak memory of both processes.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.embedding import Embedder, open_embedder
from snowmelt.retrieval.items import Item
from snowmelt.retrieval.reading import read_items
from snowmelt.retrieval.vectors import BATCH


def cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def ratio(paths: list[Path], limit: int, rounds: int) -> None:
    items = list(chain.from_iterable(read_items(path)[0] for path in paths))
    items = [Item(f"{i}", item.title, item.description, item.attributes) for i, item in enumerate(items)]
    random.Random(0).shuffle(items)
    items, embedder = items[:limit], open_embedder()
    embedder.documents(["warm up"])
    alone, indexed = [], []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "items.jsonl"
        rows = ({"id": i.id, "title": i.title, "description": i.description} | dict(i.attributes) for i in items)
        source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        texts: list[str] = []
        for number in range(rounds):
            out, began, used = Path(folder) / f"catalogue{number}", time.perf_counter(), cpu()
            report = build(source, out, embedder)
            indexed.append((time.perf_counter() - began, cpu() - used))
            assert report.embedded == report.count == len(items), report
            if not texts:
                catalogue = Catalogue.open(out, embedder)
                texts = [catalogue.text(row) for row in range(len(items))]
            began, used = time.perf_counter(), cpu()
            for at in range(0, len(texts), BATCH):
                embedder.documents(texts[at : at + BATCH])
            alone.append((time.perf_counter() - began, cpu() - used))
            print(f"round {number + 1}: embedder alone {alone[-1][0]:.1f} s ({alone[-1][1]:.1f} CPU), "
                  f"indexing {indexed[-1][0]:.1f} s ({indexed[-1][1]:.1f} CPU)", flush=True)  # fmt: skip
    best, whole = min(alone), min(indexed)
    print(f"{len(items)} items, {embedder.id}: {len(items) / best[0]:.0f} texts/s alone, "
          f"{len(items) / whole[0]:.0f} items/s indexed; ratio {whole[0] / best[0]:.3f} (target 1.2)")  # fmt: skip


class Random:
    """Unit vectors of nothing: what remains is the store."""

    id, spec = "random:1", "random"

    def __init__(self, dim: int) -> None:
        self.dim, self._dice = dim, np.random.default_rng(0)

    def documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._dice.standard_normal((len(texts), self.dim), np.float32)

    queries = documents


def memory(count: int, dim: int) -> None:
    dice = random.Random(0)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(3, 9))) for _ in range(50_000)]

    def rows() -> Iterator[str]:
        for i in range(count):
            row = {"id": f"item-{i}", "title": " ".join(dice.choices(words, k=5)), "price": dice.random() * 100}
            row |= {"description": " ".join(dice.choices(words, k=50)), "brand": dice.choice(words[:2000])}
            yield json.dumps(row | {"tags": dice.choices(words[:500], k=3), "year": dice.randint(1950, 2024)}) + "\n"

    embedder: Embedder = Random(dim)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "items.jsonl"
        with source.open("w") as file:
            file.writelines(rows())
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        report = build(source, Path(folder) / "catalogue", embedder)
        seconds = time.perf_counter() - began
        own, child = (resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        size = sum(p.stat().st_size for p in (Path(folder) / "catalogue").rglob("*") if p.is_file())
    print(f"{report.count} rows ({dim} numbers each) in {seconds:.0f} s {size / 1e6:.0f} MB on disk")
    print(f"peak resident: indexing process {own / 1e3:.0f} MB ({before / 1e3:.0f} before; its mapped vectors are "
          f"{count * dim * 4 / 1e6:.0f} MB of it), the one that writes Chroma {child / 1e3:.0f} MB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("items", nargs="*", type=Path)
    parser.add_argument("--limit", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--memory", type=int)
    parser.add_argument("--dim", type=int, default=512)
    args = parser.parse_args()
    if args.memory:
        memory(args.memory, args.dim)
    elif args.items:
        ratio(args.items, args.limit, args.rounds)
    else:
        parser.error("give files of items, or --memory N")


if __name__ == "__main__":
    sys.exit(main())
