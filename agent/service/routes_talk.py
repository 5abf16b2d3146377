"""Conversations: made, listed, read, continued (JSON or server-sent events), removed."""

import json
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from snowmelt.agent.service.access import Service, ThePerson, TheService
from snowmelt.agent.service.problems import Stop, documented
from snowmelt.agent.service.repeats import IdempotencyKey, remembered, repeated, reply_put
from snowmelt.agent.service.shapes import (
    ConversationOut,
    ConversationPage,
    CreateIn,
    Cursor,
    PageSize,
    ReplyOut,
    SayIn,
    reply_out,
)
from snowmelt.agent.service.store import Person, Put, Stored
from snowmelt.agent.service.streams import Pieces, event_stream, while_there
from snowmelt.agent.types import Conversation, Profile

MOST_TURNS = 400

router = APIRouter(prefix="/v1", tags=["conversations"])
ConversationId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", examples=["0123456789abcdef0123456789abcdef"])]


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
        await s.rows(s.store.put, person.id, *puts, *reply_put(key, asked, out))
        return out


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
