"""Damaged files, a GGUF in the model's process or any of a catalogue: who survives, and what is said?

    python benchmarks/corruption.py gguf [--runs 500] [--seed 0] [--model FILE.gguf]
    python benchmarks/corruption.py index [--runs 500] [--seed 0]

gguf: each run damages a copy of the embedded model (bytes flipped or set in the header, in the vocabulary, anywhere;
blocks of zeros; the end cut off) and asks the code of the model's own process (`agent/service/worker.py`) to load it
and answer. That process is forked from this one, with 6 GB of address space, instead of started (a second less each).
It may answer, say an error of ours, or die; this process must live, and see which. Another exception counts as
a failure. index: each run damages one file of a catalogue (the same ways, or removes it) and opens it in a process of
its own: it must open whole, rebuilt if need be, or say InputError; then indexing the source again must give a whole
catalogue. A crash, another exception, or a list that is not whole counts as a failure. Exit code 1 if there is one.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
from kill_index import Hashing, version
from snowmelt.agent.llm import bundled_gguf
from snowmelt.agent.service import worker
from snowmelt.retrieval import generation
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.errors import InputError

PATIENCE = 60.0  # seconds for one file
OPEN: list[object] = []


def damage(path: Path, dice: random.Random, *, regions: tuple[int, ...]) -> str:
    """Damages the file in one way, and says in which."""
    size = path.stat().st_size
    if size == 0:
        path.write_bytes(b"\0")
        return "a byte in an empty file"
    kind = dice.choice(["flip", "flip", "set", "zeros", "cut"])
    within = min(size, dice.choice([*regions, size]))
    at = dice.randrange(within)
    with path.open("r+b") as file:
        if kind == "cut":
            file.truncate(at)
            return f"cut at {at:,}"
        for _ in range(dice.choice([1, 1, 4, 16])):
            at = dice.randrange(within)
            file.seek(at)
            old = file.read(1)
            file.seek(at)
            if kind == "flip":
                file.write(bytes([old[0] ^ (1 << dice.randrange(8))]))
            else:
                file.write(dice.choice([b"\xff" * 8, b"\xff" * 4, dice.randbytes(4)]) if kind == "set" else bytes(512))
    return f"{kind} near {at:,}"


def apart(work: Callable[[], str]) -> str:
    """What `work` says in a fork of its own; "crash: SIGNAL" or "hang" if it says nothing."""
    ours, theirs = Pipe()
    fork = os.fork()
    if not fork:
        try:
            theirs.send_bytes(work().encode())
        finally:
            os._exit(0)
    theirs.close()
    heard = ""
    try:
        if ours.poll(PATIENCE):
            heard = ours.recv_bytes().decode()
        else:
            heard = "hang"
            os.kill(fork, signal.SIGKILL)
    except EOFError:
        pass
    _, status = os.waitpid(fork, 0)
    ours.close()
    return heard or (f"crash: {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else "nothing")


def model_process(path: Path) -> str:
    """The child of `worker`, fed by hand: what it says of the model, then of one question."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    ours, theirs = Pipe()
    OPEN.append(ours)  # the child ends when its pipe does
    sys.argv = ["worker", str(theirs.fileno()), f"gguf:{path}"]
    ours.send_bytes(json.dumps({"method": "score", "arguments": {"prefix": "The", "continuations": [" sea"]}}).encode())
    said: list[bytes] = []

    class Told(Exception):
        pass

    def heard(data: bytes) -> None:
        said.append(data)
        if len(said) == 2 or b"error" in data:
            raise Told

    wire = type("Wire", (), {"recv_bytes": theirs.recv_bytes, "send_bytes": staticmethod(heard)})
    worker.Connection = lambda _: wire  # type: ignore[assignment, misc]
    try:
        worker.main()
    except Told:
        answer = json.loads(said[-1])
        return f"error of ours: {answer['error'][0]}" if "error" in answer else "answered"
    except Exception as error:
        return f"exception: {type(error).__name__}: {str(error)[:60]}"
    return "nothing"


def gguf(runs: int, seed: int, model: Path) -> int:
    import llama_cpp  # noqa: F401  # before the forks
    from snowmelt.agent.models import gguf as _  # noqa: F401

    dice, outcomes, failures = random.Random(seed), Counter[str](), 0
    whole = model.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        for run in range(runs):
            path.write_bytes(whole)
            how = damage(path, dice, regions=(64, 4096, 2_000_000))
            said = apart(lambda: model_process(path))
            outcomes[said.partition(": ")[0] if said.startswith("error") else said] += 1
            if said.startswith(("exception", "nothing")):
                failures += 1
                print(f"run {run}: {how}: {said}")
            if (run + 1) % 50 == 0:
                print(f"{run + 1} files: {dict(outcomes)}", flush=True)
    print(f"{runs} damaged models, seed {seed}: {dict(outcomes)}; this process lives; {failures} untyped")
    return failures


def whole_catalogue(out: Path) -> str:
    """ "whole", or what is wrong; InputError if it cannot be opened."""
    catalogue = Catalogue.open(out, Hashing())
    rows, _ = catalogue.nearest(catalogue.vectors, 1)
    counts = (len(catalogue.items), len(catalogue.ids), len(catalogue.titles), catalogue.schema.count)
    if (
        len(set(counts)) != 1
        or rows[:, 0].tolist() != list(range(len(rows)))
        or not np.isfinite(catalogue.vectors).all()
    ):
        return f"not whole: {counts}"
    if (
        catalogue.lexical.count != len(rows)
        or not catalogue.mask([]).all()
        or catalogue.items[0].id not in catalogue.ids
    ):
        return "not whole: BM25, columns or items"
    return "whole"


def opened(out: Path) -> str:
    try:
        return whole_catalogue(out)
    except InputError as error:
        return f"InputError: {str(error).rpartition(';')[2].strip()[:40]}"
    except Exception as error:
        return f"exception: {type(error).__name__}: {str(error)[:80]}"


def rebuilt(out: Path) -> str:
    try:
        build(version(0, 40), out, Hashing(), prune=True)
    except Exception as error:
        return f"exception: {type(error).__name__}: {str(error)[:80]}"
    return opened(out)


def index(runs: int, seed: int) -> int:
    dice, outcomes, again, failures = random.Random(seed), Counter[str](), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        good, out = Path(folder) / "good", Path(folder) / "out"
        build(version(0, 40), good, Hashing())
        first = generation.current(good)
        assert first is not None
        for run in range(runs):
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(good, out)
            files = sorted(p for p in out.rglob("*") if p.is_file())
            path = dice.choice(files)
            if dice.random() < 0.1:
                path.unlink()
                how = "removed"
            else:
                how = damage(path, dice, regions=(64, 4096))
            said = apart(lambda: opened(out))
            outcomes[said] += 1
            then = apart(lambda: rebuilt(out)) if said != "whole" else "whole"
            if said != "whole":
                again[then] += 1
            if not said.startswith(("whole", "InputError")) or then != "whole":
                failures += 1
                print(f"run {run}: {path.relative_to(out)} {how}: {said}; indexed again: {then}")
            if (run + 1) % 50 == 0:
                print(f"{run + 1} files, {failures} failures", flush=True)
    print(f"{runs} damaged catalogues, seed {seed}: opened {dict(outcomes)}; indexed again {dict(again)}; "
          f"{failures} failures")  # fmt: skip
    return failures


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["gguf", "index"])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path)
    args = parser.parse_args()
    began = time.perf_counter()
    if args.what == "gguf":
        failures = gguf(args.runs, args.seed, args.model or bundled_gguf())
    else:
        failures = index(args.runs, args.seed)
    print(f"{time.perf_counter() - began:.0f} s")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
