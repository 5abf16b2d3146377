"""Kill -9 at random moments of indexing: does the old catalogue or the new one stand, whole, every time?

    python benchmarks/kill_index.py [--runs 200] [--items 300] [--seed 0]

Each run starts a process that indexes one of two versions of a catalogue over the other (items added, removed, changed;
vectors from a hash, so that a run takes seconds) and kills it: half of them at a moment drawn over the whole run, half
over what comes after the last vector is in Chroma (probe, sync, swap). Every other kill takes the process that writes
Chroma along; otherwise that one lives on as an orphan for as long as it cares to. Then the catalogue must be undamaged
without any repair, hold the old or the new items, and give back every vector through Chroma. Exit code 1 if one is not.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import generation
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.items import Item


class Hashing:
    """Vectors from a hash of the text."""

    id, spec, dim = "hashing:1", "hashing", 64

    def documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        seeds = [int.from_bytes(hashlib.sha256(t.encode()).digest()[:8], "big") for t in texts]
        return np.array([np.random.default_rng(s).standard_normal(self.dim) for s in seeds], np.float32).reshape(-1, 64)

    queries = documents


def version(which: int, count: int) -> list[Item]:
    """Version 1 has a tenth more items, leaves out every seventh of the first ones and changes every fifth."""
    every = range(count + which * count // 10)
    rows = [i for i in every if not which or i % 7 or i >= count]
    return [Item(f"i/{i}", f"Item {i}", f"text {i} {which and i % 5 == 0}", {"price": float(i + which)}) for i in rows]


def child(out: Path, which: int, count: int) -> None:
    def tell(stage: str, done: int, total: int | None) -> None:
        sys.stdout.write(f"{stage} {done}/{total}\n")
        sys.stdout.flush()

    sys.stdout.write("started\n")
    build(version(which, count), out, Hashing(), prune=True, progress=tell)
    sys.stdout.write("done\n")


def check(out: Path, counts: tuple[int, int]) -> str:
    """ "" if the catalogue is whole, or what is wrong."""
    folder = generation.current(out)
    if folder is None:
        return "no current generation"
    if reason := generation.damage(folder, generation.read_manifest(folder)):
        return reason
    catalogue = Catalogue.open(out, Hashing())
    if len(catalogue.items) not in counts:
        return f"{len(catalogue.items)} items, not {counts[0]} or {counts[1]}"
    rows, _ = catalogue.nearest(catalogue.vectors, 1)
    lost = int((rows[:, 0] != np.arange(len(catalogue.items))).sum())
    return f"{lost} vectors are not found" if lost else ""


def start(out: Path, which: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--child", str(out), str(which), "--items", str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def timed(out: Path, which: int, count: int) -> tuple[float, float]:
    """Seconds of a whole run, and of what follows its last vector."""
    began = last = time.monotonic()
    process = start(out, which, count)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("indexing"):
            last = time.monotonic()
    assert process.wait() == 0
    return time.monotonic() - began, time.monotonic() - last


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2)
    args = parser.parse_args()
    if args.child:
        child(Path(args.child[0]), int(args.child[1]), args.items)
        return 0
    dice, stages, broken, swapped = random.Random(args.seed), Counter[str](), [], 0
    counts = len(version(0, args.items)), len(version(1, args.items))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "catalogue"
        timings = [timed(out, which, args.items) for which in (0, 1, 0)]
        whole, tail = max(t[0] for t in timings), max(t[1] for t in timings)
        print(f"a run takes {whole:.2f} s, {tail:.2f} s of it after the last vector; {counts[0]} and {counts[1]} items")
        for run in range(args.runs):
            now = Catalogue.open(out, Hashing())
            which, before = int(len(now.items) == counts[0]), now.folder
            del now
            process = start(out, which, args.items)
            assert process.stdout
            if run % 2:
                for line in process.stdout:
                    if line == f"indexing {counts[which]}/{counts[which]}\n":
                        break
                time.sleep(dice.uniform(0, tail * 1.1))
            else:
                time.sleep(dice.uniform(0, whole * 1.1))
            if run % 4 < 2:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.wait()
            said = ("indexing\n" if run % 2 else "nothing\n") + process.stdout.read()
            stage = said.splitlines()[-1].split()[0]
            stages[stage] += 1
            if wrong := check(out, counts):
                broken.append(f"run {run} ({stage}): {wrong}")
                print(broken[-1])
            swapped += generation.current(out) != before
            if (run + 1) % 20 == 0:
                print(f"{run + 1} runs, {len(broken)} broken", flush=True)
    print(f"last words before the kill: {dict(stages)}; the new catalogue stood after {swapped}, the old one otherwise")
    print(f"{args.runs} kills, seed {args.seed}: {len(broken)} broken catalogues")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
