"""`snowmelt serve`: the service and its page. Closed by default: loopback, or else TLS (or a proxy) and API keys."""

import asyncio
import ipaddress
import logging
import re
import resource
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from snowmelt.agent.llm import LLM, open_llm
from snowmelt.agent.service import problems, routes_items, routes_people, routes_talk
from snowmelt.agent.service.access import Service
from snowmelt.agent.service.database import open_engines
from snowmelt.agent.service.front import Outermost
from snowmelt.agent.service.gate import Breaker, Gated
from snowmelt.agent.service.metrics import Metrics
from snowmelt.agent.service.rooms import Rooms
from snowmelt.agent.service.store import Store, rotate_key_file
from snowmelt.agent.service.worker import Worker
from snowmelt.retrieval.chroma_server import Server
from snowmelt.retrieval.errors import InputError
from starlette.types import ASGIApp

HOSTED_SLOTS = 8  # questions to a hosted model at a time
PATIENCE = 1.5  # seconds that one of them may be without an answer before no other one is asked
SWEEP = 3600.0  # seconds between two looks for people whose retention is over
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_BOTH = "set SNOWMELT_MASTER_KEY to the new key and the old one, with a space between, here and for every replica"
log = logging.getLogger("snowmelt.service")


def serve(
    directories: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    users: str = ".snowmelt/people.db",
    model: str | None = "local",
    base_url: str | None = None,
    api_key: str | None = None,
    master_key: str | None = None,
    deadline: float = 10.0,
    retention: float = 365.0,
    rate: float = 20.0,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    behind_proxy: bool = False,
    require_key: bool = False,
    chroma: str | None = None,
    chroma_token: str | None = None,
) -> int:
    """Serves until it is told to stop; returns 0. `deadline` in seconds, `retention` in days without a visit, `rate` in
    requests a second of one caller; `chroma`: the address of a Chroma server that is asked for neighbours. InputError,
    in one line, for whatever would not be safe or cannot be opened."""
    import uvicorn

    if deadline < 3 or retention <= 0 or rate <= 0:
        raise InputError("serve: the deadline must be at least 3 seconds, retention and rate more than 0")
    outside = behind_proxy or not _loopback(host)
    if outside and not behind_proxy and not (tls_cert and tls_key):
        raise InputError(
            f"--host {host}: others could read what people write; give --tls-cert and --tls-key, or --behind-proxy "
            "if a proxy in front of it does TLS"
        )
    for path in filter(None, (tls_cert, tls_key)):
        if not path.is_file():
            raise InputError(f"{path}: no such file; --tls-cert and --tls-key are PEM files")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash must not leave what people wrote on disk
    store = Store.open(users, master_key)
    if (outside or require_key) and not store.api_keys():
        store.close()
        raise InputError(
            f"serve: no API key yet, so nobody could use it; make one: snowmelt keys add TENANT --users {_bare(users)}"
        )
    metrics = Metrics()
    gated = open_gated(model, base_url, api_key, metrics)
    try:
        rooms = Rooms(directories, gated, deadline, Server(chroma, chroma_token) if chroma else None)
        service = Service(store, rooms, metrics, require_key=outside or require_key, rate=rate)
        app = create_app(service, retention=retention, any_host=outside, tls=tls_cert is not None)
        _log_to_stderr()
        log.info("serving %s on %s:%d", ", ".join(r.name for r in rooms.all), host, port)
        uvicorn.run(
            app, host=host, port=port, log_config=None, access_log=False, server_header=False,
            proxy_headers=behind_proxy, ssl_certfile=tls_cert, ssl_keyfile=tls_key,
            timeout_graceful_shutdown=int(deadline) + 1,
        )  # fmt: skip
    finally:
        if gated is not None:
            gated.close()
        store.close()
    return 0


def manage_keys(
    action: str, users: str, master_key: str | None = None, name: str | None = None, days: float | None = None
) -> list[str]:
    """ "add" TENANT (for `days`), "list", "revoke" the first characters of a hash (from "list"), or "rotate" the master
    key; the lines to print."""
    if action == "rotate" and master_key and len(master_key.split()) < 2:
        raise InputError(f"keys rotate: {_BOTH}")
    if action == "rotate" and not master_key:
        file = open_engines(users).key_file
        if file is None:
            raise InputError(f"keys rotate: {_BOTH}")
        count = rotate_key_file(users, file)
        return [f"{count} keys under a new master key in {file}; start the service again"]
    store = Store.open(users, master_key)
    try:
        if action == "list":
            return [f"{h}  {t}  {_day(c)}{f'  until {_day(e)}' if e else ''}" for h, t, c, e in store.api_keys()]
        if action == "rotate":
            return [f"{store.rotate_master_key()} keys under the first of the master keys; the others may go now"]
        if days is not None and not 0 < days < 100_000:
            raise InputError("keys add: --days must be more than 0")
        if action == "add":
            if not name or not re.fullmatch(r"[\w.-]{1,64}", name):
                raise InputError("keys add: give a tenant's name, letters, digits, dots and dashes, at most 64")
            return [store.add_api_key(name, days)]
        if not name or not re.fullmatch("[0-9a-f]{12}", name):
            raise InputError("keys revoke: give the 12 characters that `keys list` shows")
        if not store.revoke_api_key(name):
            raise InputError(f"keys revoke: there is no key {name}")
        return [f"{name} revoked"]
    finally:
        store.close()


def _day(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(milliseconds / 1000))


def open_gated(model: str | None, base_url: str | None, api_key: str | None, metrics: Metrics) -> Gated | None:
    """The model behind its gate, a local one in a process of its own. None for none."""
    if model is None:
        return None
    local = not model.startswith("openai:")
    if not local:
        import openai  # noqa: F401  # takes seconds on a busy machine: not while somebody waits
    llm: LLM = Worker(model) if local else open_llm(model, base_url=base_url, api_key=api_key)
    gated = Gated(llm, 1 if local else HOSTED_SLOTS, Breaker(), metrics.model, None if local else PATIENCE)
    metrics.watch("model_waiting", "Questions that wait for the model", lambda: gated.queue.length)
    metrics.watch("model_paused", "1 while the model is left alone after failures", lambda: gated.breaker.open)
    if isinstance(llm, Worker):
        metrics.watch("model_restarts", "Times that the model's process was replaced", lambda: llm.restarts)
    return gated


def create_app(service: Service, *, retention: float = 365.0, any_host: bool = False, tls: bool = False) -> ASGIApp:
    """The ASGI application. Unless `any_host`, only names of this machine are answered (DNS rebinding)."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        jobs = [
            asyncio.create_task(service.rooms.keep_fresh(_not_fresh)),
            asyncio.create_task(_sweeping(service, retention)),
        ]
        yield
        for job in jobs:
            job.cancel()
        service.rooms.close()

    app = FastAPI(
        title="Snowmelt", version=version("snowmelt"), lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False, description="Recommendations for people you know nothing about yet.",
    )  # fmt: skip
    app.state.service = service
    problems.install(app)
    for router in (routes_talk.router, routes_people.router, routes_items.router):
        app.include_router(router)
    for file in (files("snowmelt.agent.service") / "web").iterdir():
        path = "/" if file.name == "index.html" else f"/{file.name}"
        answer = partial(_file, file.read_bytes(), _KINDS[Path(file.name).suffix])
        app.add_api_route(path, answer, include_in_schema=False)
    app.openapi = partial(_openapi, app)
    return Outermost(app, service.metrics, any_host, tls)


async def _file(raw: bytes, kind: str) -> Response:
    return Response(raw, media_type=f"{kind}; charset=utf-8")


async def _sweeping(service: Service, retention: float) -> None:
    while True:
        gone = await service.rows(service.store.sweep, retention)
        if gone:
            log.info("retention: %d people erased", gone)
        await asyncio.sleep(SWEEP)


def _not_fresh(name: str, error: Exception) -> None:
    log.warning("catalogue %s: the new one cannot be opened (%s); the old one serves on", name, type(error).__name__)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        shape = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        found["components"]["schemas"] |= {**shape.pop("$defs", {}), "Problem": shape}
        app.openapi_schema = found
    return app.openapi_schema


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _bare(users: str) -> str:
    return users if "://" not in users else f"{users.split('://')[0]}://..."


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in ("snowmelt.service", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if name == "snowmelt.service" else logging.WARNING)
