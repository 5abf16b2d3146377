"""A local model in a process of its own: when llama.cpp crashes or hangs, that process goes and another one comes.

Parent and child speak JSON over a pair of pipes, one question at a time; the child is this file, run as a module.
"""

import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Condition, Thread
from typing import Any, cast

from pydantic import BaseModel
from snowmelt.agent.llm import LLM, Completion, Message, ModelError, Scores, Unsupported, open_llm, validated
from snowmelt.retrieval.errors import InputError

GRACE = 0.5  # seconds that a child may be late before it counts as hung: its own deadline should have stopped it
LOADING = 120.0  # seconds that a model may take to load
PATIENCE = 2.0  # seconds that a question waits for a model that is still loading
LONGEST = 600.0  # seconds, for calls without a deadline
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0  # seconds before a new child, doubled each time one dies young


class Worker:
    """An LLM (see `LLM`) that lives in a child process. Safe between threads: they take turns.

    InputError at once for a model that cannot be opened. A question during which the child dies or hangs is
    ModelError("unavailable"/"timeout"); the next one is for a new child, which waits its pause and loads first.
    """

    def __init__(self, spec: str) -> None:
        model = open_llm(spec)  # loads nothing yet, but says what is wrong
        self.name, self.can_score, self.writes_well = model.name, model.can_score, model.writes_well
        model.close()
        self.restarts = 0
        self._spec, self._free = spec, Condition()
        self._busy = self._closed = False
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._ready, self._born, self._pause, self._not_before = False, 0.0, _FIRST_PAUSE, 0.0
        with self._free:
            self._start()

    @property
    def alive(self) -> bool:
        """Is the child there and its model loaded, as far as is known?"""
        with self._free:
            if not self._busy and not self._ready and self._pipe is not None:
                with suppress(OSError, EOFError, ModelError, InputError):
                    self._greeted(self._pipe, 0.0)
        return self._ready and self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 256,
        deadline: float | None = None,
    ) -> Completion:
        shape = {"name": schema.__name__, "schema": schema.model_json_schema()} if schema else None
        asked = {"messages": [vars(m) for m in messages], "schema": shape, "max_tokens": max_tokens}
        found = Completion(**self._ask("complete", asked, deadline))
        if schema:
            validated(found.text, schema)
        return found

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int = 256, deadline: float | None = None
    ) -> Iterator[str]:
        asked = {"messages": [vars(m) for m in messages], "max_tokens": max_tokens}
        yield from self._talk("stream", asked, deadline)

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        return Scores(**self._ask("score", {"prefix": prefix, "continuations": list(continuations)}, deadline))

    def choose(
        self, messages: Sequence[Message], letters: Sequence[str], *, deadline: float | None = None
    ) -> list[float]:
        asked = {"messages": [vars(m) for m in messages], "letters": list(letters)}
        return self._ask("choose", asked, deadline)

    def count_tokens(self, text: str) -> int:
        return self._ask("count_tokens", {"text": text}, None)

    def close(self) -> None:
        self._closed = True
        self._kill()

    def _ask(self, method: str, arguments: dict[str, Any], deadline: float | None) -> Any:
        return list(self._talk(method, arguments, deadline))[-1]

    def _talk(self, method: str, arguments: dict[str, Any], deadline: float | None) -> Iterator[Any]:
        until = time.monotonic() + (LONGEST if deadline is None else max(deadline, 0.0))
        with self._free:
            if not self._free.wait_for(lambda: not self._busy, until - time.monotonic()):
                raise ModelError("timeout", "the model is busy with another question")
            self._busy = True
        finished = False
        try:
            pipe = self._loaded(until)
            if deadline is not None:
                arguments = {**arguments, "deadline": max(until - time.monotonic(), 0.0)}
            self._send(pipe, {"method": method, "arguments": arguments})
            while True:
                answer = self._receive(pipe, until + GRACE)
                if "value" in answer:
                    yield answer["value"]
                elif "error" in answer:
                    finished = True
                    raise _error(*answer["error"])
                if answer.get("last"):
                    finished = True
                    return
        finally:
            if not finished and self._child is not None and self._ready:
                self._kill()  # it hangs, it died, or nobody wants the rest: a half-read pipe is of no use
            with self._free:
                self._busy = False
                if self._child is None and not self._closed:
                    self._start()
                self._free.notify()

    def _loaded(self, until: float) -> Connection:
        """The pipe to a child whose model is loaded."""
        while True:
            if self._closed:
                raise ModelError("unavailable", f"model {self.name} is closed")
            pipe = self._pipe
            if pipe is None or self._child is None or self._child.poll() is not None:
                self._kill()
                if time.monotonic() < self._not_before:
                    raise ModelError("unavailable", "the model's process died; another one is about to start")
                self._start()
                continue
            if self._ready:
                return pipe
            try:
                if self._greeted(pipe, min(PATIENCE, until - time.monotonic())):
                    return pipe
            except (OSError, EOFError):
                self._kill()
                continue
            if time.monotonic() >= self._born + LOADING:
                self._kill()
            raise ModelError("unavailable", "the model is still loading")

    def _greeted(self, pipe: Connection, seconds: float) -> bool:
        """Has the child said that its model is loaded, or does it within so many seconds?"""
        if not self._ready and pipe.poll(max(0.0, seconds)):
            answer = json.loads(pipe.recv_bytes())
            if "error" in answer:
                raise _error(*answer["error"])
            self._ready = True
        return self._ready

    def _start(self) -> None:
        if time.monotonic() < self._not_before or self._closed:
            return
        ours, theirs = Pipe()
        command = [sys.executable, "-m", "snowmelt.agent.service.worker", str(theirs.fileno()), self._spec]
        # what llama.cpp prints could hold what people wrote
        self._child = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        self._pipe, self._ready, self._born = ours, False, time.monotonic()

    def _kill(self) -> None:
        child, pipe = self._child, self._pipe
        self._child = self._pipe = None
        self._ready = False
        if pipe is not None:
            pipe.close()
        if child is None:
            return
        child.kill()
        child.wait(10)
        if self._closed:
            return
        self.restarts += 1
        young = time.monotonic() - self._born < 60
        self._pause = min(self._pause * 2, _LONGEST_PAUSE) if young else _FIRST_PAUSE
        self._not_before = time.monotonic() + (self._pause if young else 0.0)

    def _send(self, pipe: Connection, message: dict[str, Any]) -> None:
        try:
            pipe.send_bytes(json.dumps(message).encode())
        except (OSError, ValueError):
            raise ModelError("unavailable", "the model's process died") from None

    def _receive(self, pipe: Connection, until: float) -> dict[str, Any]:
        try:
            if pipe.poll(max(0.0, until - time.monotonic())):
                return json.loads(pipe.recv_bytes())
        except (OSError, EOFError, ValueError):
            raise ModelError("unavailable", "the model's process died") from None
        raise ModelError("timeout", "the model's process hangs")


def _error(kind: Any, text: str) -> Exception:
    if kind == "input":
        return InputError(text)
    return Unsupported(text) if kind == "unsupported" else ModelError(kind, text)


# the child ------------------------------------------------------------------------------------------------------------
class _Shape:
    """Stands for a pydantic class of the parent: its JSON schema and name are all that a local model needs of it."""

    def __init__(self, name: str, schema: dict[str, Any]) -> None:
        self.__name__, self._schema = name, schema

    def model_json_schema(self) -> dict[str, Any]:
        return self._schema

    def model_validate_json(self, text: str) -> Any:
        return json.loads(text)  # the parent validates


def main() -> None:
    """The child: loads the model, says so, and answers until the parent goes away."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash must not leave what people wrote on disk
    pipe = Connection(int(sys.argv[1]))
    questions: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    Thread(target=_listen, args=(pipe, questions), daemon=True).start()
    try:
        model = open_llm(sys.argv[2])
        model.complete([Message("user", "Hello")], max_tokens=1)  # loads it
    except (InputError, ModelError) as error:
        pipe.send_bytes(json.dumps({"error": ["unavailable", str(error)]}).encode())
        return
    pipe.send_bytes(b'{"ready": true}')
    while True:
        question = questions.get()
        for answer in _answers(model, question["method"], question["arguments"]):
            pipe.send_bytes(json.dumps(answer).encode())


def _listen(pipe: Connection, questions: "queue.SimpleQueue[dict[str, Any]]") -> None:
    while True:
        try:
            questions.put(json.loads(pipe.recv_bytes()))
        except (OSError, EOFError):  # the parent is gone: do not outlive it in a long evaluation
            os._exit(0)


def _answers(model: LLM, method: str, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "messages" in arguments:
        arguments["messages"] = [Message(**m) for m in arguments["messages"]]
    if arguments.get("schema"):
        arguments["schema"] = cast(Any, _Shape(**arguments["schema"]))
    try:
        if method == "stream":
            for piece in model.stream(**arguments):
                yield {"value": piece}
            yield {"last": True}
        else:
            value = getattr(model, method)(**arguments)
            yield {"value": vars(value) if isinstance(value, Completion | Scores) else value, "last": True}
    except Unsupported as error:
        yield {"error": ["unsupported", str(error)]}
    except ModelError as error:
        yield {"error": [error.kind, str(error)]}
    except InputError as error:
        yield {"error": ["input", str(error)]}


if __name__ == "__main__":
    main()
