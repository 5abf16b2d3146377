"""Conversations: made, listed, read, continued (JSON or server-sent events), removed."""

import asyncio
import hashlib
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.service import problems
from snowmelt.agent.service.access import Service, ThePerson, TheService
from snowmelt.agent.service.problems import Stop, documented
from snowmelt.agent.service.shapes import ConversationOut, ConversationPage, CreateIn, ReplyOut, SayIn, reply_out
from snowmelt.agent.service.store import Person, Put, Stored
from snowmelt.agent.types import Conversation, Profile, Reply

T = TypeVar("T")
MOST_TURNS = 400
PING = 5.0  # seconds of silence on a stream

router = APIRouter(prefix="/v1", tags=["conversations"])
ConversationId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", examples=["0123456789abcdef0123456789abcdef"])]
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=8, max_length=128, pattern="^[!-~]+$", description="repeat a write safely, for 24 hours"),
]
Cursor = Annotated[str | None, Query(max_length=400, description="`next` of the page before")]
PageSize = Annotated[int, Query(ge=1, le=100)]


@router.post(
    "/conversations", status_code=201, response_model=ConversationOut, responses=documented(401, 404, 409, 422)
)
async def create(body: CreateIn, person: ThePerson, s: TheService, idempotency_key: IdempotencyKey = None) -> Any:
    """Begins a conversation about one catalogue. What is known of the person comes along."""
    room = s.room(body.catalogue)
    async with s.lock(person.id):
        if done := await repeated(s, person, idempotency_key, body.model_dump_json()):
            return done
        conversation = Conversation(language=body.language)
        value = {"catalogue": room.name, "conversation": conversation.model_dump(mode="json"), "last": None}
        id_ = secrets.token_hex(16)
        await s.rows(s.store.put, person.id, Put("conversation", id_, value, 0))
        stored = await s.rows(s.store.get, person.id, "conversation", id_)
        if stored is None:
            raise Stop(404, "No such conversation.")
        return await remembered(s, person, idempotency_key, body.model_dump_json(), _out(stored))


@router.get("/conversations", response_model=ConversationPage, responses=documented(401, 422))
async def listed(person: ThePerson, s: TheService, limit: PageSize = 20, cursor: Cursor = None) -> Any:
    """The person's conversations, the newest first."""
    rows, following = await s.rows(s.store.page, person.id, "conversation", limit, cursor)
    found = [
        {"id": r.id, "catalogue": r.value["catalogue"], "created": r.created, "updated": r.updated,
         "turns": len(r.value["conversation"]["turns"])}
        for r in rows
    ]  # fmt: skip
    return {"conversations": found, "next": following}


@router.get("/conversations/{conversation}", response_model=ConversationOut, responses=documented(401, 404, 422))
async def read(conversation: ConversationId, person: ThePerson, s: TheService) -> Any:
    """What was said, and the last answer with its list."""
    return _out(await _stored(s, person, conversation))


@router.delete("/conversations/{conversation}", status_code=204, responses=documented(401, 404, 422))
async def remove(conversation: ConversationId, person: ThePerson, s: TheService) -> Response:
    """Removes this conversation. What was learnt from it stays in the profile: edit or erase that on its own."""
    if not await s.rows(s.store.remove, person.id, "conversation", conversation):
        raise Stop(404, "No such conversation.")
    return Response(status_code=204)


_EVENTS = (
    "event: status\ndata: {\"state\": \"thinking\"}\n\nevent: token\ndata: {\"text\": \"Here is \"}\n\n"
    "event: list\ndata: {\"recommendations\": [...]}\n\nevent: done\ndata: {\"degraded\": false}\n\n"
)  # fmt: skip


@router.post(
    "/conversations/{conversation}/messages",
    response_model=ReplyOut,
    responses={
        **documented(401, 404, 409, 422),
        200: {
            "description": "The answer; with `Accept: text/event-stream` as events: status, token, list, reasons, "
            "question, done, or error with a problem. A status `again` voids the tokens before it.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}},
        },
    },
)
async def say(
    conversation: ConversationId,
    body: SayIn,
    request: Request,
    person: ThePerson,
    s: TheService,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """One message and its answer. What was said is stored when the answer is there, and not before."""
    stored = await _stored(s, person, conversation)
    if len(stored.value["conversation"]["turns"]) >= MOST_TURNS:
        raise Stop(409, "This conversation is full; begin another one, the profile comes along.")
    pieces = Pieces()
    answer = answered(s, person, conversation, body.text, idempotency_key, pieces)
    if "text/event-stream" in request.headers.get("accept", ""):
        return StreamingResponse(event_stream(request, answer, pieces), media_type="text/event-stream")
    return await while_there(request, answer)


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


async def answered(s: Service, person: Person, id_: str, text: str, key: str | None, pieces: Pieces) -> dict[str, Any]:
    asked = json.dumps([id_, text])
    async with s.lock(person.id):
        if done := await repeated(s, person, key, asked):
            return done
        stored = await _stored(s, person, id_)
        room = s.room(stored.value["catalogue"])
        kept = await s.rows(s.store.get, person.id, "profile", room.name)
        profile = Profile.model_validate(kept.value) if kept else Profile()
        before = Conversation.model_validate(stored.value["conversation"]).model_copy(update={"profile": profile})
        (after, reply), failed = await s.rooms.answer(room, person.id, lambda r: pieces.answer(r, before, text))
        degraded = failed or reply.degraded
        if degraded:
            s.metrics.degraded()
        out = reply_out(reply, degraded)
        value = {"catalogue": room.name, "conversation": after.model_dump(mode="json"), "last": out}
        puts = [Put("conversation", id_, value, stored.version)]
        if after.profile != profile:
            learnt = after.profile.model_dump(mode="json")
            puts.append(Put("profile", room.name, learnt, kept.version if kept else 0))
        await s.rows(s.store.put, person.id, *puts, *_reply_put(key, asked, out))
        return out


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


async def _stored(s: Service, person: Person, id_: str) -> Stored:
    stored = await s.rows(s.store.get, person.id, "conversation", id_)
    if stored is None:
        raise Stop(404, "No such conversation.")
    return stored


def _out(stored: Stored) -> dict[str, Any]:
    turns = stored.value["conversation"]["turns"]
    return {
        "id": stored.id, "catalogue": stored.value["catalogue"], "created": stored.created, "updated": stored.updated,
        "version": stored.version, "turns": turns, "last": stored.value["last"],
    }  # fmt: skip


async def repeated(s: Service, person: Person, key: str | None, asked: str) -> dict[str, Any] | None:
    """The answer to this very write, if its idempotency key was there before. Stop(422) if it was for another one."""
    if key is None:
        return None
    found = await s.rows(s.store.get, person.id, "reply", _digest(key))
    if found is None:
        return None
    if found.value["asked"] != _digest(asked):
        raise Stop(422, "This idempotency key was used for another request.")
    return found.value["answer"]


async def remembered(s: Service, person: Person, key: str | None, asked: str, answer: dict[str, Any]) -> dict[str, Any]:
    if key is not None:
        await s.rows(s.store.put, person.id, *_reply_put(key, asked, answer))
    return answer


def _reply_put(key: str | None, asked: str, answer: dict[str, Any]) -> list[Put]:
    return [] if key is None else [Put("reply", _digest(key), {"asked": _digest(asked), "answer": answer})]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
