"""An answer told while it is made (server-sent events), and given up when nobody is there to hear it."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.service import problems
from snowmelt.agent.service.problems import Stop
from snowmelt.agent.types import Conversation, Reply

T = TypeVar("T")
PING = 5.0  # seconds of silence on a stream


class Pieces:
    """The text of an answer on its way from the thread that makes it. An answer that is begun again without the model
    starts a new text: what came of the one before is void, and what may still come of it is dropped."""

    def __init__(self) -> None:
        self._loop, self._queue = asyncio.get_running_loop(), asyncio.Queue[tuple[int, str]]()
        self._runs = itertools.count()
        self.run = -1

    def answer(self, r: Recommender, before: Conversation, text: str) -> tuple[Conversation, Reply]:
        """In a thread: the reply, its text told as it comes."""
        self.run = run = next(self._runs)
        for piece in r.stream(before, text):
            if not isinstance(piece, str):
                return piece
            if run == self.run:
                self._loop.call_soon_threadsafe(self._queue.put_nowait, (run, piece))
        raise AssertionError("a stream ends with its reply")

    async def next(self) -> tuple[int, str]:
        """(which run, piece)."""
        return await self._queue.get()

    def left(self) -> list[tuple[int, str]]:
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]


async def event_stream(
    request: Request, answer: Coroutine[Any, Any, dict[str, Any]], pieces: Pieces
) -> AsyncIterator[bytes]:
    """The answer as events, its text as it comes. A comment is sent while nothing else is: the line is alive."""
    yield _event("status", {"state": "thinking"})
    task = asyncio.ensure_future(answer)
    coming = asyncio.ensure_future(pieces.next())
    told, run = "", -1
    try:
        while not task.done():
            done, _ = await asyncio.wait({task, coming}, timeout=PING, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                yield b": still thinking\n\n"
            elif coming in done:
                for which, piece in (coming.result(), *pieces.left()):
                    if which < run:
                        continue
                    if which > run and told:
                        yield _event("status", {"state": "again"})
                        told = ""
                    run, told = which, told + piece
                    yield _event("token", {"text": piece})
                coming = asyncio.ensure_future(pieces.next())
        reply = task.result()
    except Exception as error:  # the status is long sent: whatever it is has to be told here
        status, detail = problems.told(error)
        raw = problems.body(request.scope.get("request_id", ""), status, detail)
        yield b"event: error\ndata: " + raw + b"\n\n"
        return
    finally:
        task.cancel()
        coming.cancel()
    if not reply["text"].startswith(told):  # the last pieces of a run that was given up
        yield _event("status", {"state": "again"})
        told = ""
    if rest := reply["text"][len(told) :]:
        yield _event("token", {"text": rest})
    if reply["recommendations"]:
        bare = [{k: v for k, v in r.items() if k != "reasons"} for r in reply["recommendations"]]
        yield _event("list", {"recommendations": bare})
        reasons = [{"item": r["item"]["id"], "reasons": r["reasons"]} for r in reply["recommendations"]]
        yield _event("reasons", {"reasons": reasons})
    if reply["question"]:
        yield _event("question", reply["question"])
    yield _event("done", {"degraded": reply["degraded"], "text": reply["text"]})


def _event(name: str, value: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it is cancelled when the client goes away."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, left = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Stop(400, "The client went away.")
        return task.result()
    finally:
        task.cancel()
        left.cancel()
