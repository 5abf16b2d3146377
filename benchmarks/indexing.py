"""Indexing next to the embedder alone on the same texts: the ratio of their times.

    python benchmarks/indexing.py ITEMS.jsonl [ITEMS.jsonl ...] [--limit 6000] [--rounds 2]

It embeds the item texts in batches as `build` does, then builds the catalogue with the same embedder, in
turns; the least of each counts, since other programs can only make either slower. CPU seconds include the process that
writes Chroma. Target: a ratio of at most 1.2.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path

from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.embedding import open_embedder
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("items", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    ratio(args.items, args.limit, args.rounds)


if __name__ == "__main__":
    sys.exit(main())
