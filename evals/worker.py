"""One arm, one process: it gets copies of the training data and of cases over a pipe, never a held-out row.

Closures, `gc`, stack frames and file descriptors of the judge are out of reach because the judge is another process.
`guard.py` keeps the child from opening the data folder, the run folder or other processes' `/proc` entries.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals import fence, guard
from snowmelt.evals.arm_process import receive, send
from snowmelt.evals.scoring import Block
from snowmelt.evals.systems import Case, Train


class ArmError(Exception):
    """An arm that cannot be judged: does not apply, broke while fitting, died, or reached for held-out data."""


class Worker:
    """The judge's end. Use as a context manager; every method raises ArmError when the arm or its process fails.

    `forbidden`: folders of the judge. `cache`: the one folder that the arm may write into, besides its own room.
    `started` hears of the worker as soon as its process runs, so that it can be killed while it imports.
    """

    def __init__(
        self, target: str, forbidden: Sequence[Path], cache: Path, threads: int, started: Callable[["Worker"], None]
    ) -> None:
        self.items, self.batched = 0, False
        self._home = tempfile.TemporaryDirectory(prefix="snowmelt-arm-")
        self._log = (Path(self._home.name) / "stderr").open("w+b")
        room = Path(self._home.name).resolve() / "room"
        room.mkdir()
        cache.mkdir(parents=True, exist_ok=True)
        code = Path(target.rpartition(":")[0])
        # Where these stand inside a folder of the judge, they stay open: the interpreter, our code, the arm's file.
        readable = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parent.parent, code, room, cache.resolve()]
        readable = [p.resolve() for p in readable if p.is_absolute()]
        kept = [p.resolve() for p in forbidden]
        limits = {
            "forbidden": [str(p) for p in kept], "readable": [str(p) for p in readable],
            "writable": [str(room), str(cache.resolve())],
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(fence.__file__)), json.dumps(limits)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, cwd=room, env=_environment(room, threads),
            start_new_session=True,  # Ctrl-C is the judge's to hear: an arm that died of it would look like a failure
        )  # fmt: skip
        started(self)
        above = {guard.digest(parent) for folder in kept for parent in folder.parents}
        digests = {"forbidden": [guard.digest(p) for p in kept], "allowed": [guard.digest(p) for p in readable]}
        self._ask({"target": target, "above": sorted(above), **digests})

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._home.cleanup()

    def kill(self) -> None:
        """End the process now; whoever waits for its answer gets ArmError."""
        self._process.kill()

    def grid(self) -> list[dict[str, Any]]:
        """The settings that the arm offers for tuning; empty when it has none."""
        return self._ask({"grid": True})[0]["grid"]

    def train(self, train: Train) -> None:
        """Hand over the training data for the fits that follow."""
        self.items = len(train.ids)
        self._ask({"train": train})

    def fit(self, settings: Mapping[str, Any]) -> float:
        """Build the arm with `settings`; seconds it took. Sets `batched`: does its scorer answer many cases at once."""
        header, _ = self._ask({"fit": dict(settings)})
        self.batched = header["batched"]
        return header["seconds"]

    def score(self, cases: Sequence[Case], alone: bool = False) -> Block:
        """Scores for `cases`, in one batch where the arm allows it (`alone`: one by one, to measure the time)."""
        header, body = self._ask({"cases": list(cases), "alone": alone})
        return Block(np.frombuffer(body, np.float32).reshape(len(cases), self.items).copy(), header["meta"])

    def say(self, number: int, text: str, fresh: bool) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Say `text` in conversation `number` (a `fresh` one starts): scores [items] and meta, with `question`."""
        header, body = self._ask({"number": number, "say": text, "fresh": fresh})
        return np.frombuffer(body, np.float32).copy(), header["meta"]

    def _ask(self, message: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            send(self._process.stdin, pickle.dumps(message, protocol=5))
            header = json.loads(receive(self._process.stdout))
            body = receive(self._process.stdout)
        except (BrokenPipeError, EOFError):
            self._log.seek(0)
            said = self._log.read().decode("utf-8", "replace").strip().splitlines()
            if self._process.wait(5) == guard.DISQUALIFIED:
                raise ArmError(f"disqualified: it reached for what is held out ({said[-1]})") from None
            raise ArmError(f"its process died: {said[-1] if said else 'no message'}") from None
        if header.get("error"):
            raise ArmError(header["error"])
        return header, body


def _environment(room: Path, threads: int) -> dict[str, str]:
    """The judge's own, without the names of its folder; temporary files go into the arm's room."""
    limits = {n: str(threads) for n in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    path = os.pathsep.join(p or str(Path.cwd()) for p in sys.path)
    own = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(room)}
    return {k: v for k, v in os.environ.items() if k not in ("PWD", "OLDPWD")} | limits | own
