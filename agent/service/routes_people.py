"""People and what is theirs: tokens, profile, feedback, export, erasure."""

import json
import secrets
import time
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from snowmelt.agent.feedback import count, with_feedback
from snowmelt.agent.service.access import Service, TheBackend, ThePerson, TheService
from snowmelt.agent.service.keyring import Gone
from snowmelt.agent.service.problems import Stop, documented
from snowmelt.agent.service.repeats import IdempotencyKey, remembered, repeated
from snowmelt.agent.service.rooms import Room
from snowmelt.agent.service.shapes import (
    Cursor,
    FeedbackIn,
    FeedbackOut,
    FeedbackPage,
    PageSize,
    PersonOut,
    ProfileIn,
    ProfileOut,
    WhichCatalogue,
    profile_out,
    recommendation_out,
)
from snowmelt.agent.service.store import TOKEN_LIFE, Person, Put, Stored
from snowmelt.agent.service.streams import while_there
from snowmelt.agent.types import Profile

MORE = 5  # items like the one of `more`

router = APIRouter(prefix="/v1", tags=["people"])


@router.post("/people", status_code=201, response_model=PersonOut, responses=documented(401, 403))
async def create_person(caller: TheBackend, s: TheService) -> Any:
    """A new person: a random id and the token that is theirs. With API keys only a backend can make one."""
    made, token = await s.rows(s.store.create_person, caller.tenant)
    return _token_out(made.id, token)


@router.post(
    "/people/{person}/token", status_code=201, response_model=PersonOut, responses=documented(401, 403, 404, 422)
)
async def new_token(person: Annotated[str, Path(pattern="^[0-9a-f]{32}$")], caller: TheBackend, s: TheService) -> Any:
    """A new token for one of the tenant's people; the old ones stop working. Only with an API key."""
    if not s.require_key:
        raise Stop(403, "Without API keys only the person's own token can be renewed: POST /v1/me/token.")
    try:
        token = await s.rows(s.store.rotate_token, person, caller.tenant)
    except Gone:
        raise Stop(404, "The tenant has no such person.") from None
    return _token_out(person, token)


@router.post("/me/token", status_code=201, response_model=PersonOut, responses=documented(401))
async def renew_token(person: ThePerson, s: TheService) -> Any:
    """A new token for the person who asks; the old ones stop working."""
    return _token_out(person.id, await s.rows(s.store.rotate_token, person.id, person.tenant))


@router.get("/me/profile", response_model=ProfileOut, responses=documented(401, 404, 422))
async def read_profile(person: ThePerson, s: TheService, response: Response, catalogue: WhichCatalogue = None) -> Any:
    """What is known of the person in one catalogue, with the words it came from."""
    room = s.room(catalogue)
    kept, profile = await _profile(s, person, room)
    response.headers["ETag"] = f'"{kept.version if kept else 0}"'
    return profile_out(room.name, profile, kept.version if kept else 0)


@router.put("/me/profile", response_model=ProfileOut, responses=documented(401, 404, 409, 412, 422))
async def write_profile(
    body: ProfileIn,
    person: ThePerson,
    s: TheService,
    response: Response,
    catalogue: WhichCatalogue = None,
    if_match: Annotated[str | None, Header(max_length=40, description="the ETag that was read")] = None,
) -> Any:
    """Puts this in the place of what is known. Items and attributes must be the catalogue's own."""
    room, profile = s.room(catalogue), body.profile()
    await s.rooms.plainly(lambda: _fits(room, profile))
    async with s.lock(person.id):
        kept, _ = await _profile(s, person, room)
        version = kept.version if kept else 0
        if if_match not in (None, "*", f'"{version}"'):
            raise Stop(412, "The profile was changed since it was read; read it again.")
        put = Put("profile", room.name, profile.model_dump(mode="json"), version)
        [version] = await s.rows(s.store.put, person.id, put)
    response.headers["ETag"] = f'"{version}"'
    return profile_out(room.name, profile, version)


@router.post("/me/feedback", status_code=201, response_model=FeedbackOut, responses=documented(401, 404, 409, 422))
async def feedback(
    body: FeedbackIn, request: Request, person: ThePerson, s: TheService, idempotency_key: IdempotencyKey = None
) -> Any:
    """A word on an item, or what was done with it; it is in the profile at once. `more` likes it and gives items like
    it. `skip` (waved away) is a faint dislike, `dwell` of half a minute a faint like; neither stands against a word."""
    room = s.room(body.catalogue)
    row = room.plain.catalogue.rows.get(body.item)
    if row is None:
        raise Stop(404, "The catalogue has no such item.")
    item, asked = room.plain.catalogue.items[row], body.model_dump_json()

    async def work() -> dict[str, Any]:
        async with s.lock(person.id):
            if done := await repeated(s, person, idempotency_key, asked):
                return done
            kept, profile = await _profile(s, person, room)
            before, profile = profile, with_feedback(profile, item, body.kind, body.seconds)
            note = {
                "catalogue": room.name,
                "item": item.id,
                **body.model_dump(include={"kind", "seconds"}, exclude_none=True),
            }
            puts = [
                Put("profile", room.name, profile.model_dump(mode="json"), kept.version if kept else 0),
                Put("feedback", secrets.token_hex(16), note, 0),
            ]
            version = (await s.rows(s.store.put, person.id, *puts))[0]
            if room.plain.learned is not None:
                await s.rooms.plainly(lambda: count(room.plain.catalogue.dir, before, profile, item.id))
            found, degraded = [], False
            if body.kind == "more":
                one = Profile(
                    likes=profile.likes[-1:], constraints=profile.constraints,
                    seen=(*profile.seen, *profile.liked_ids, *profile.disliked_ids),
                )  # fmt: skip
                (found, late), failed = await s.rooms.answer(room, person.id, lambda r: r.ranked(one, MORE))
                degraded = bool(late) or failed
            out = {
                "profile": profile_out(room.name, profile, version),
                "recommendations": [recommendation_out(r) for r in found], "degraded": degraded,
            }  # fmt: skip
            return await remembered(s, person, idempotency_key, asked, out)

    return await while_there(request, work())


@router.get("/me/feedback", response_model=FeedbackPage, responses=documented(401, 422))
async def feedback_page(person: ThePerson, s: TheService, limit: PageSize = 20, cursor: Cursor = None) -> Any:
    """All feedback of the person, the newest first."""
    rows, following = await s.rows(s.store.page, person.id, "feedback", limit, cursor)
    return {"feedback": [{"id": r.id, "created": r.created, **r.value} for r in rows], "next": following}


@router.get(
    "/me/export",
    responses={
        **documented(401),
        200: {"description": "Everything, by kind", "content": {"application/json": {"schema": {"type": "object"}}}},
    },
)
async def export(person: ThePerson, s: TheService) -> Response:
    """Everything that is stored about the person, as one JSON file."""
    found = await s.rows(s.store.export, person.id)
    told: dict[str, Any] = {"person": person.id, "exported": int(time.time() * 1000)}
    for kind, rows in found.items():
        told[kind] = [{"id": r.id, "created": r.created, "updated": r.updated, **r.value} for r in rows]
    text = json.dumps(told, ensure_ascii=False, indent=1)
    name = {"Content-Disposition": 'attachment; filename="snowmelt-export.json"'}
    return Response(text, media_type="application/json", headers=name)


@router.delete("/me", status_code=204, responses=documented(401))
async def erase(person: ThePerson, s: TheService) -> Response:
    """Erases the person: key, profile, conversations, feedback, tokens. This cannot be undone."""
    async with s.lock(person.id):
        await s.rows(s.store.erase, person.id)
        for room in s.rooms.all:
            room.forget()
    return Response(status_code=204)


def _token_out(person: str, token: str) -> dict[str, Any]:
    return {"person": person, "token": token, "expires": int((time.time() + TOKEN_LIFE) * 1000)}


async def _profile(s: Service, person: Person, room: Room) -> tuple[Stored | None, Profile]:
    kept = await s.rows(s.store.get, person.id, "profile", room.name)
    return kept, Profile.model_validate(kept.value) if kept else Profile()


def _fits(room: Room, profile: Profile) -> None:
    """Raises InputError for a limit on what no item has, Stop for an item that is not there."""
    room.plain.catalogue.mask((*profile.constraints, *profile.wishes))
    known = room.plain.catalogue.rows
    if any(id_ not in known for id_ in (*profile.liked_ids, *profile.disliked_ids)):
        raise Stop(422, "A liked or disliked item is not in the catalogue.")
