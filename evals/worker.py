"""One arm, one process: it gets copies of the training data and of cases over a pipe, never a held-out row.

Closures, `gc`, stack frames and file descriptors of the judge are out of reach because the judge is another process.
The child cannot open the data folder, the run folder or other processes' `/proc` entries either: an audit hook (which
Python cannot take off again) refuses and reports it, and the arm is disqualified. It knows the folders as hashes only.

Not defended: native code that opens files without Python noticing, a child process whose command hides the path, a
copy of the data elsewhere on the disk, an arm that brings a public data set with it, the network. Whoever runs a
stranger's arm runs a stranger's code.
"""

import json
import os
import pickle
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals.systems import Answer, Case, Scores, Train, find
from snowmelt.retrieval.errors import InputError


@dataclass(frozen=True)
class Block:
    """`scores` float32 [cases, items], NaN where not scored. `meta`: per case degraded, tokens_in, tokens_out, seconds,
    failure ("" if none), calls."""

    scores: NDArray[np.float32]
    meta: list[dict[str, Any]]


class ArmError(Exception):
    """An arm that cannot be judged: does not apply, broke while fitting, died, or reached for held-out data."""


class Worker:
    """The judge's end. Use as a context manager; every method raises ArmError when the arm or its process fails."""

    def __init__(self, target: str, forbidden: Sequence[Path], threads: int) -> None:
        self.items, self.batched = 0, False
        self._home = tempfile.TemporaryDirectory(prefix="snowmelt-arm-")
        self._log = (Path(self._home.name) / "stderr").open("w+b")
        path = os.pathsep.join(p or str(Path.cwd()) for p in sys.path)
        limits = {n: str(threads) for n in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        environment = {**os.environ, "PYTHONPATH": path, **limits}
        for name in ("PWD", "OLDPWD"):  # they may name the folder of the data
            environment.pop(name, None)
        room = Path(self._home.name) / "room"
        room.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "snowmelt.evals.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, cwd=room, env=environment,
        )  # fmt: skip
        folders = [p.resolve() for p in forbidden]
        above = {_digest(parent) for folder in folders for parent in folder.parents}
        self._ask({"target": target, "forbidden": [_digest(p) for p in folders], "above": sorted(above)})

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
            _send(self._process.stdin, pickle.dumps(message, protocol=5))
            header = json.loads(_receive(self._process.stdout))
            body = _receive(self._process.stdout)
        except (BrokenPipeError, EOFError):
            self._log.seek(0)
            said = self._log.read().decode("utf-8", "replace").strip().splitlines()
            raise ArmError(f"its process died: {said[-1] if said else 'no message'}") from None
        if header.get("trespass"):
            raise ArmError(f"disqualified: it reached for what is held out ({header['trespass'][0]})")
        if header.get("error"):
            raise ArmError(header["error"])
        return header, body


def _digest(path: Path) -> str:
    return sha256(os.fsencode(path)).hexdigest()


def _send(stream: BinaryIO | Any, data: bytes) -> None:
    stream.write(struct.pack("<Q", len(data)))
    stream.write(data)
    stream.flush()


def _receive(stream: BinaryIO | Any) -> bytes:
    head = _exactly(stream, 8)
    return _exactly(stream, struct.unpack("<Q", head)[0])


def _exactly(stream: BinaryIO | Any, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


_PATHS = ("open", "os.listdir", "os.scandir", "os.chdir", "os.link", "os.symlink", "os.rename", "sqlite3.connect")


def _guard(forbidden: frozenset[str], above: frozenset[str]) -> list[str]:
    """Refuse to open anything at or below a forbidden folder, by any name. Returns the list of what was tried."""
    tried: list[str] = []
    own = {str(os.getpid()), "self", "thread-self"}

    def refuse(what: str) -> None:
        tried.append(what)
        raise PermissionError(f"{what} is out of bounds for an arm")

    def check(path: str, opened: bool) -> None:
        given = re.match(r"/+proc/(\d+)", path)
        if given and given[1] not in own:
            refuse("another process's /proc entry")
        real = Path(os.path.realpath(path))
        if any(_digest(p) in forbidden for p in (real, *real.parents)):
            refuse("a folder of the judge")
        # A descriptor of a folder above would let relative paths pass, which the hook sees without the descriptor.
        if opened and _digest(real) in above and real.is_dir():
            refuse("a descriptor of a folder above those of the judge")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _PATHS:
            for path in arguments[: 2 if event in ("os.link", "os.symlink", "os.rename") else 1]:
                if isinstance(path, str | bytes | os.PathLike):
                    check(os.fsdecode(path), opened=event == "open")
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
            for word in re.findall(r"/[^\s'\"\\]+", repr(arguments)):
                check(word, opened=False)

    sys.addaudithook(hook)
    return tried


def serve() -> None:
    """The arm's end: answers the messages of `Worker` until the pipe closes. The arm's own prints go to stderr."""
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    tried: list[str] = []
    arm = train = scorer = None
    talks: dict[int, Any] = {}
    while True:
        try:
            message = pickle.loads(_receive(reader))
        except EOFError:
            return
        header: dict[str, Any] = {}
        body = b""
        try:
            if "target" in message:
                tried = _guard(frozenset(message["forbidden"]), frozenset(message["above"]))
                arm = find(message["target"])
            elif "grid" in message:
                header["grid"] = [dict(settings) for settings in getattr(arm, "grid", ())]
            elif "train" in message:
                train = message["train"]
            elif "fit" in message:
                assert arm is not None and train is not None
                talks.clear()
                started, scorer = time.perf_counter(), None  # the old model goes before the new one is built
                scorer = arm(replace(train, settings=message["fit"]))
                header.update(seconds=time.perf_counter() - started, batched=hasattr(scorer, "batch"))
            elif "say" in message:
                assert train is not None and scorer is not None
                header["meta"], body = _said(train, scorer, talks, message)
            else:
                assert train is not None and scorer is not None
                header["meta"], scores = _scores(train, scorer, message["cases"], message["alone"])
                body = scores.tobytes()
        except InputError as error:
            header["error"] = str(error)
        except Exception as error:  # an arm is a stranger's code: whatever it raises is a result, shown with its row
            header["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        header["trespass"] = tried
        _send(writer, json.dumps(header).encode())
        _send(writer, body)


def _scores(
    train: Train, scorer: Any, cases: Sequence[Case], alone: bool
) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    scores = np.full((len(cases), len(train.ids)), np.nan, np.float32)
    meta: list[dict[str, Any]] = []
    answers: list[Scores | Exception | None] = [None] * len(cases)
    each = [0.0] * len(cases)
    batch = None if alone else getattr(scorer, "batch", None)
    if batch is not None:
        started = time.perf_counter()
        given = list(batch(cases))
        if len(given) != len(cases):
            raise ValueError(f"batch gave {len(given)} answers for {len(cases)} cases")
        answers, each = given, [(time.perf_counter() - started) / len(cases)] * len(cases)
    for i, case in enumerate(cases):
        failure = ""
        try:
            if batch is None:
                started = time.perf_counter()
                answers[i] = scorer(case)
                each[i] = time.perf_counter() - started
            given = answers[i]
            answer = given if isinstance(given, Answer) else Answer(given)  # type: ignore[arg-type]
            scores[i] = _row(train, answer)
        except Exception as error:  # as above: counted as a failure of this case, with its words
            failure, answer = f"{type(error).__name__}: {error}".splitlines()[0][:300], Answer(())
            scores[i] = np.nan
        meta.append({
            "degraded": answer.degraded, "tokens_in": answer.tokens_in, "tokens_out": answer.tokens_out,
            "seconds": each[i] if answer.seconds is None else answer.seconds, "failure": failure,
            "calls": [dict(call) for call in answer.calls],
        })  # fmt: skip
    return meta, scores


def _said(train: Train, scorer: Any, talks: dict[int, Any], message: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """One turn of a conversation; a scorer without `talk` ranks as with nothing revealed and asks nothing."""
    number = message["number"]
    question: Any = None
    if not hasattr(scorer, "talk"):
        meta, scores = _scores(train, scorer, [Case(number)], alone=True)
        return {**meta[0], "question": None}, scores.tobytes()
    if message["fresh"]:
        talks.clear()  # one conversation at a time: none of them is met again
        talks[number] = scorer.talk(number)

    def answer(case: Case) -> Scores:
        nonlocal question
        said = talks[number].say(message["say"])
        question = said.question
        return said.scores

    meta, scores = _scores(train, answer, [Case(number)], alone=True)
    asked = None
    if question is not None:
        options = [{n: getattr(o, n, None) for n in ("text", "item_id", "attribute")} for o in question.options]
        asked = {"kind": question.kind, "text": question.text, "options": options}
    return {**meta[0], "question": asked}, scores.tobytes()


def _row(train: Train, answer: Answer) -> NDArray[np.float32]:
    given = answer.scores
    if isinstance(given, Mapping):
        row = np.full(len(train.ids), np.nan, np.float32)
        for id_, score in given.items():
            if id_ not in train.rows:
                raise ValueError(f"scored {id_!r}, which is not an item")
            row[train.rows[id_]] = score
    else:
        row = np.asarray(given, np.float32)
        if row.shape != (len(train.ids),):
            raise ValueError(f"gave {row.shape} scores for {len(train.ids)} items")
    if np.isinf(row).any():
        raise ValueError("gave an infinite score")
    if np.isnan(row).all():
        raise ValueError("scored no item")
    return row


if __name__ == "__main__":
    serve()
