"""Around the whole application: request ids, size, host and origin, headers, the log, the last resort for errors."""

import logging
import re
import secrets
import time
import traceback
from urllib.parse import SplitResult, urlsplit

from snowmelt.agent.service import problems
from snowmelt.agent.service.metrics import Metrics
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 1_000_000  # bytes of a request's body
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_TOO_LARGE = f"At most {LARGEST} bytes."
_REQUEST_ID = re.compile(r"[0-9a-fA-F-]{8,64}")  # a UUID or the like: it is logged, so no words
log = logging.getLogger("snowmelt.service")


class Outermost:
    """Unless `any_host`, only names of this machine are answered (DNS rebinding), whatever the address."""

    def __init__(self, app: ASGIApp, metrics: Metrics, any_host: bool, tls: bool) -> None:
        self.app, self._metrics, self._any_host, self._tls = app, metrics, any_host, tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        given = headers.get("x-request-id", "")
        scope["request_id"] = id_ = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        began, status, size = time.monotonic(), 0, 0
        refused = self._refused(scope, headers)

        async def sending(message: Message) -> None:
            nonlocal status
            if size > LARGEST:  # whatever the application made of the half of a body
                if status == 0:
                    await _problem(started, id_, 413, _TOO_LARGE)
                return
            await started(message)

        async def started(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *self._extra(scope["path"], id_)]
            await send(message)

        async def receiving() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > LARGEST:
                raise problems.Stop(413, _TOO_LARGE)
            return message

        try:
            if refused:
                await _problem(started, id_, *refused)
            else:
                await self.app(scope, receiving, sending)
        except Exception as error:  # the last resort: nobody foresaw it, and its text may quote what somebody wrote
            if status == 0:
                await _problem(sending, id_, *problems.told(error))
            frames = "".join(traceback.format_tb(error.__traceback__)[-6:])
            log.error("%s %s\n%s", id_, type(error).__name__, frames)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.monotonic() - began
            self._metrics.request(scope["method"], route, status, seconds)
            log.info("%s %s %s %d %.0f ms", id_, scope["method"][:10], route, status, 1000 * seconds)

    def _refused(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        named, origin = _split(f"//{host}"), headers.get("origin")
        if not self._any_host and (named is None or named.hostname not in LOCAL_HOSTS):
            return 421, "This service answers to localhost only."
        if origin is not None and scope["method"] not in ("GET", "HEAD"):
            page = _split(origin)
            if page is None or page.netloc != host:
                return 403, "Another site's page may not call this service."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:12]) > LARGEST:
            return 413, _TOO_LARGE
        return None

    def _extra(self, path: str, id_: str) -> list[tuple[bytes, bytes]]:
        found = {**_HEADERS, "X-Request-ID": id_}
        found["Cache-Control"] = "no-store" if path.startswith("/v1") else "no-cache"
        if self._tls:
            found["Strict-Transport-Security"] = "max-age=31536000"
        return [(k.lower().encode(), v.encode()) for k, v in found.items()]


def _split(address: str) -> SplitResult | None:
    """None for what is no address ("http://[")."""
    try:
        return urlsplit(address)
    except ValueError:
        return None


async def _problem(send: Send, id_: str, status: int, detail: str) -> None:
    raw = problems.body(id_, status, detail)
    headers = [(b"content-type", problems.KIND.encode()), (b"content-length", str(len(raw)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": raw})
