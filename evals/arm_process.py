"""The arm's end of the pipe: a process that holds the training data and the cases it is asked, nothing else."""

import json
import os
import pickle
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals import guard
from snowmelt.evals.systems import Answer, Case, Scores, Train, find
from snowmelt.retrieval.errors import InputError


def send(stream: BinaryIO | Any, data: bytes) -> None:
    stream.write(struct.pack("<Q", len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: BinaryIO | Any) -> bytes:
    head = _exactly(stream, 8)
    return _exactly(stream, struct.unpack("<Q", head)[0])


def _exactly(stream: BinaryIO | Any, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def serve() -> None:
    """The arm's end: answers the messages of `Worker` until the pipe closes. The arm's own prints go to stderr."""
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    arm = train = scorer = None
    talks: dict[int, Any] = {}
    while True:
        try:
            message = pickle.loads(receive(reader))
        except EOFError:
            return
        header: dict[str, Any] = {}
        body = b""
        try:
            if "target" in message:
                guard.install(message["forbidden"], message["allowed"], message["above"])
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
                header["meta"], body = say_to(train, scorer, talks, message)
            else:
                assert train is not None and scorer is not None
                header["meta"], scores = score_cases(train, scorer, message["cases"], message["alone"])
                body = scores.tobytes()
        except InputError as error:
            header["error"] = str(error)
        except Exception as error:  # an arm is a stranger's code: whatever it raises is a result, shown with its row
            header["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        send(writer, json.dumps(header).encode())
        send(writer, body)


def score_cases(
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


def say_to(
    train: Train, scorer: Any, talks: dict[int, Any], message: Mapping[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """One turn of a conversation; a scorer without `talk` ranks as with nothing revealed and asks nothing."""
    number = message["number"]
    question: Any = None
    if not hasattr(scorer, "talk"):
        meta, scores = score_cases(train, scorer, [Case(number)], alone=True)
        return {**meta[0], "question": None}, scores.tobytes()
    if message["fresh"]:
        talks.clear()  # one conversation at a time: none of them is met again
        talks[number] = scorer.talk(number)

    def answer(case: Case) -> Scores:
        nonlocal question
        said = talks[number].say(message["say"])
        question = said.question
        return said.scores

    meta, scores = score_cases(train, answer, [Case(number)], alone=True)
    asked = None
    if question is not None:
        options = [
            {n: getattr(o, n, None) for n in ("text", "item_id", "attribute", "value")} for o in question.options
        ]
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
