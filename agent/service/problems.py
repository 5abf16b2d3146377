"""Errors as RFC 9457 problem details. They never repeat what somebody sent."""

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from snowmelt.agent.service.keyring import Gone, MasterChanged
from snowmelt.agent.service.rooms import Late
from snowmelt.agent.service.security import Unreadable
from snowmelt.agent.service.store import Conflict
from snowmelt.retrieval.errors import InputError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import Match

KIND = "application/problem+json"
MOST = 20  # errors of a request that are listed
TITLES = {
    400: "Bad request", 401: "Not authenticated", 403: "Not allowed", 404: "Not found", 405: "Method not allowed",
    409: "Changed meanwhile", 412: "Not the current version", 413: "Too large", 415: "Not JSON", 421: "Wrong host",
    422: "Not valid", 429: "Too many requests", 500: "Failed", 503: "Not available",
}  # fmt: skip


class Where(BaseModel):
    where: str
    what: str


class Problem(BaseModel):
    """RFC 9457. `request_id` finds the request in the service's log, which holds no text of anybody."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[Where] = Field(default=[], description="for 422: what is wrong where")


class Stop(Exception):
    """Ends a request with this problem."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


def body(request_id: str, status: int, detail: str, errors: list[dict[str, str]] | None = None) -> bytes:
    title = TITLES.get(status, "Error")
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": request_id}
    return json.dumps(problem | {"errors": errors or []}).encode()


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For FastAPI's `responses`: these and the ones that any route may give."""
    schema = {KIND: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {s: {"description": TITLES[s], "content": schema} for s in sorted({*statuses, 400, 413, 421, 429, 500, 503})}


def told(error: Exception) -> tuple[int, str]:
    """(status, detail) of an error; 500 for one that nobody foresaw."""
    match error:
        case Stop():
            return error.status, error.detail
        case InputError():
            return 422, str(error)[:500]
        case Conflict():
            return 409, "It was changed by another request meanwhile; read it again and repeat."
        case Gone():
            return 401, "This person was erased."
        case Late():
            return 503, "There was no answer by the deadline; try again."
        case MasterChanged():
            return 503, "The master key was rotated and this process has only the old one: it must be started again."
        case Unreadable():
            return 500, "What is stored cannot be read: it is damaged or sealed under another key."
        case SQLAlchemyError():
            return 503, "The database of people does not answer."
    return 500, "It failed; the log has more under the request id."


_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "2"}}


def install(app: FastAPI) -> None:
    """Every error of `app` that was foreseen becomes a problem; for the others see `server.Outermost`."""

    def answer(request: Request, status: int, detail: str, errors: Any = None, headers: Any = None) -> Response:
        raw = body(request.scope.get("request_id", ""), status, detail, errors)
        return Response(raw, status, media_type=KIND, headers=headers or _HEADERS.get(status))

    async def foreseen(request: Request, error: Exception) -> Response:
        return answer(request, *told(error), headers=getattr(error, "headers", None))

    for kind in (Stop, InputError, Conflict, Gone, Late, Unreadable, SQLAlchemyError, Exception):
        app.add_exception_handler(kind, foreseen)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        headers = {"Allow": _allowed(app, request)} if error.status_code == 405 else error.headers
        return answer(request, error.status_code, TITLES.get(error.status_code, "Error"), headers=headers)

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        found = [{"where": _where(e), "what": e["msg"][:200]} for e in error.errors()[:MOST]]
        return answer(request, 422, "The request is not what this route takes; see /openapi.json.", found)


def _where(error: Any) -> str:
    """The place as "body.likes.0"; without the name of a field that is not ours."""
    place = error["loc"][:-1] if error["type"] == "extra_forbidden" else error["loc"]
    return ".".join(map(str, place))[:200]


def _allowed(app: FastAPI, request: Request) -> str:
    """All methods of a path: Starlette names those of the first route alone."""
    methods = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
    scopes = {method: {**request.scope, "method": method} for method in methods}
    return ", ".join(m for m in methods if any(r.matches(scopes[m])[0] is Match.FULL for r in app.routes))
