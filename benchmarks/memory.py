"""How much memory indexing takes as a catalogue grows: it should be a question of the machine's, not of the rows'.

    python benchmarks/memory.py 50000 100000 200000 [--dim 512] [--words 10]

Made-up short rows (a title of five words, a description of `--words`, a brand, three tags, a price and a year), vectors
from a random generator, so that the store's own cost is what remains. The indexing process and all that it starts are
looked at four times a second (/proc, so Linux only). `anonymous` is what they need; `resident` counts the pages of
mapped files, too, which the system takes back when it wants them. A line through the figures says what a row more costs
and what 1,000,000 would need: read it as what it is, an extrapolation.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.catalogue import build

MILLION = 1_000_000


class Random:
    """Vectors of nothing: what remains is the store."""

    id, spec = "random:1", "random"

    def __init__(self, dim: int) -> None:
        self.dim, self._dice = dim, np.random.default_rng(0)

    def documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._dice.standard_normal((len(texts), self.dim), np.float32)

    queries = documents


def rows(count: int, words_in_text: int) -> Iterator[str]:
    dice = random.Random(0)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(3, 9))) for _ in range(50_000)]
    for i in range(count):
        row = {"id": f"item-{i}", "title": " ".join(dice.choices(words, k=5)), "price": round(dice.random() * 100, 2)}
        row |= {"description": " ".join(dice.choices(words, k=words_in_text)), "brand": dice.choice(words[:2000])}
        yield json.dumps(row | {"tags": dice.choices(words[:500], k=3), "year": dice.randint(1950, 2024)}) + "\n"


def tree(root: int) -> dict[int, str]:
    """Process ids of `root` and what it started, with their command lines."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(folder.name)] = (folder / "cmdline").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, new = {root}, {root}
    while new := {pid for pid, parent in parents.items() if parent in new} - found:
        found |= new
    return {pid: names[pid] for pid in found if pid in names}


def pages(pid: int) -> tuple[float, float]:
    """MB resident and MB of them anonymous, shared pages split among their owners."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1000 for line in lines}
    return sizes["Pss"], sizes["Pss_Anon"]


def measured(count: int, dim: int, words: int) -> dict[str, float]:
    """Peaks in MB over one run, seconds, and MB on the disk."""
    peaks: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "items.jsonl", Path(folder) / "catalogue"
        with source.open("w") as file:
            file.writelines(rows(count, words))
        began = time.perf_counter()
        run = subprocess.Popen([sys.executable, __file__, "--build", str(source), str(out), "--dim", str(dim)])
        while run.poll() is None:
            now: dict[str, float] = defaultdict(float)
            for pid, name in tree(run.pid).items():
                resident, anonymous = pages(pid)
                now["resident"] += resident
                now["anonymous"] += anonymous
                now["Chroma's anonymous" if "retrieval.chroma" in name else "own anonymous"] += anonymous
            for name, size in now.items():
                peaks[name] = max(peaks[name], size)
            time.sleep(0.25)
        assert run.returncode == 0
        seconds = time.perf_counter() - began
        size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file()) / 1e6
    return {"rows": count, "seconds": seconds, "disk": size, **peaks}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", nargs="*", type=int)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--words", type=int, default=10)
    parser.add_argument("--build", nargs=2, type=Path)
    args = parser.parse_args()
    if args.build:
        build(args.build[0], args.build[1], Random(args.dim))
        return
    found = []
    for count in args.counts or parser.error("how many rows?"):
        found.append(measured(count, args.dim, args.words))
        print(", ".join(f"{name} {value:,.0f}" for name, value in found[-1].items()), flush=True)
    if len(found) < 2:
        return
    counts = [f["rows"] for f in found]
    for name in ("resident", "anonymous", "own anonymous", "Chroma's anonymous"):
        slope, base = np.polyfit(counts, [f[name] for f in found], 1)
        print(f"{name}: {slope * 1e6:,.0f} bytes a row; a line gives {base + slope * MILLION:,.0f} MB at {MILLION:,}")


if __name__ == "__main__":
    main()
