"""What needs no person: recommendations for a profile that is sent along, items, and how the service is."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from snowmelt.agent.after import After
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.service.access import TheCaller, TheService
from snowmelt.agent.service.metrics import KIND
from snowmelt.agent.service.problems import Stop, documented
from snowmelt.agent.service.rooms import Room
from snowmelt.agent.service.shapes import (
    BatchIn,
    BatchOut,
    Catalogues,
    Cursor,
    Health,
    ItemOut,
    ItemPage,
    PageSize,
    Ready,
    RecommendIn,
    RecommendOut,
    WhichCatalogue,
    item_out,
    recommendation_out,
)
from snowmelt.agent.service.streams import while_there
from snowmelt.agent.types import Profile, Recommendation

MOST_FOUND = 500  # items that a search pages through

router = APIRouter(prefix="/v1")


@router.post("/recommend", response_model=RecommendOut, tags=["recommend"], responses=documented(401, 404, 422))
async def recommend(body: RecommendIn, request: Request, caller: TheCaller, s: TheService) -> Any:
    """A list for the profile in the request. Nothing is stored."""
    room, profile = s.room(body.catalogue), body.profile.profile()
    work = s.rooms.answer(room, caller.name, lambda r: room.lists.ranked(r, profile, body.limit, body.after.after()))
    (found, late), failed = await while_there(request, work)
    if degraded := bool(late) or failed:
        s.metrics.degraded()
    return {"recommendations": [recommendation_out(r) for r in found], "degraded": degraded}


@router.post("/recommend/batch", response_model=BatchOut, tags=["recommend"], responses=documented(401, 404, 422))
async def batch(body: BatchIn, request: Request, caller: TheCaller, s: TheService) -> Any:
    """Lists for up to 100 profiles, in their order, within one deadline. Nothing is stored."""
    room, profiles = s.room(body.catalogue), [p.profile() for p in body.profiles]
    work = s.rooms.answer(room, caller.name, lambda r: _all(room, r, profiles, body.limit, body.after.after()))
    lists, failed = await while_there(request, work)
    if degraded := failed or any(late for _, late in lists):
        s.metrics.degraded()
    return {
        "results": [
            {"recommendations": [recommendation_out(r) for r in found], "degraded": degraded} for found, _ in lists
        ]
    }


def _all(
    room: Room, r: Recommender, profiles: Sequence[Profile], limit: int, after: After
) -> list[tuple[list[Recommendation], bool]]:
    lists = [room.lists.ranked(r, profile, limit, after) for profile in profiles]
    return [(found, bool(late)) for found, late in lists]


@router.get("/catalogues", response_model=Catalogues, tags=["items"], responses=documented(401))
async def catalogues(caller: TheCaller, s: TheService) -> Any:
    """The catalogues of this service; the first one is the default everywhere."""
    return {"catalogues": [{"name": r.name, "items": len(r.plain.catalogue.items)} for r in s.rooms.all]}


@router.get("/items", response_model=ItemPage, tags=["items"], responses=documented(401, 404, 422))
async def items(
    caller: TheCaller,
    s: TheService,
    q: Annotated[str, Query(max_length=200, description="words of a title or a text")] = "",
    catalogue: WhichCatalogue = None,
    limit: PageSize = 20,
    cursor: Cursor = None,
) -> Any:
    """Items in the catalogue's order, or those that a search finds, titles first."""
    room, start = s.room(catalogue), _start(cursor)
    rows = await s.rooms.plainly(lambda: _found(room, q, start + limit + 1))
    part, more = rows[start : start + limit], len(rows) > start + limit
    following = base64.urlsafe_b64encode(str(start + limit).encode()).decode() if more else None
    return {"items": [item_out(room.plain.catalogue.items[r]) for r in part], "next": following}


@router.get("/items/{item:path}", response_model=ItemOut, tags=["items"], responses=documented(401, 404, 422))
async def item(
    item: Annotated[str, Path(min_length=1, max_length=512, examples=["f0417"])],
    caller: TheCaller,
    s: TheService,
    catalogue: WhichCatalogue = None,
) -> Any:
    """One item by its id."""
    found = s.room(catalogue).plain.catalogue
    if item not in found.rows:
        raise Stop(404, "The catalogue has no such item.")
    return item_out(found.items[found.rows[item]])


@router.get("/health", response_model=Health, tags=["service"], responses=documented())
async def health() -> Any:
    """The process is alive."""
    return {"status": "ok"}


@router.get("/ready", response_model=Ready, tags=["service"], responses=documented())
async def ready(s: TheService) -> Any:
    """It can answer: catalogues and the database are there (503 if not). The model may be missing: see `model`."""
    await s.rows(s.store.person_of, "")
    llm = s.rooms.all[0].recommender.llm
    state = "none" if llm is None else "ready" if s.rooms.model_works else "not ready"
    counts = {r.name: len(r.plain.catalogue.items) for r in s.rooms.all}
    return {"status": "ready", "catalogues": counts, "model": state}


@router.get(
    "/metrics",
    tags=["service"],
    response_class=Response,
    responses={
        **documented(401),
        200: {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
async def metrics(caller: TheCaller, s: TheService) -> Response:
    """Counters for Prometheus."""
    return Response(s.metrics.text(), media_type=KIND)


def _found(room: Room, q: str, most: int) -> list[int]:
    catalogue = room.plain.catalogue
    if not q.strip():
        return list(range(min(most, len(catalogue.items))))
    wanted = q.strip().casefold()
    titles = [row for row, item in enumerate(catalogue.items) if wanted in item.title.casefold()]
    scores = catalogue.lexical.scores(q)
    texts = [int(row) for row in (-scores).argsort(kind="stable")[:MOST_FOUND] if scores[row] > 0]
    return list(dict.fromkeys([*titles, *texts]))[: min(most, MOST_FOUND)]


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        start = int(base64.urlsafe_b64decode(cursor.encode()).decode())
    except (binascii.Error, ValueError):
        start = -1
    if not 0 <= start < 2**31:
        raise Stop(422, "cursor: not one that this service gave; leave it out for the first page.")
    return start
