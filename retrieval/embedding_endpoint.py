"""Any `/v1/embeddings` endpoint. No reply is believed before it is validated, and one wall clock rules."""

import asyncio
from collections.abc import Sequence
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from snowmelt.retrieval.embedding import LONGEST, Vectors, prefixes, readable, unit
from snowmelt.retrieval.errors import InputError

BATCH = 64
DEADLINE = 60.0  # seconds for one request of up to BATCH texts, its second try included
PAUSE = 0.5  # seconds before the second try, where the endpoint names none
CHARACTERS = (
    6000  # of a text: what models with 2,048 tokens take of English; halved when the endpoint finds it too long
)


class _Row(BaseModel):
    model_config = ConfigDict(strict=True)
    index: int
    embedding: list[float]


class _Reply(BaseModel):
    data: list[_Row]


class EndpointEmbedder:
    """`spec` is "http://host:port/v1#model". 64 texts a request, at most `deadline` seconds each, by the wall clock.

    One more try for 429, 5xx and a lost connection, where it fits the deadline. InputError, one line that repeats
    neither text nor key, for anything else than the vectors asked for: their number, order, length, finite numbers.
    """

    def __init__(self, spec: str, *, api_key: str | None = None, deadline: float = DEADLINE) -> None:
        address = urlsplit(spec)
        if not address.hostname or not address.fragment:
            raise InputError(f"embedder {spec!r}: give the address and the model, as in http://localhost:8000/v1#model")
        if address.username or address.password or address.query:
            raise InputError("embedder: no password or query in the address; the key is given beside it")
        self._base, _, self._model = spec.partition("#")
        self._base = self._base.rstrip("/")
        self.spec, self.id = spec, f"{self._base}#{self._model}"
        self._key, self._deadline = api_key, deadline
        self._prefixes = prefixes(self._model)
        # A loop of its own in a daemon thread: the caller may be inside one already (a notebook, a server), and there
        # a deadline is a cancellation, which ends a hanging connect and a reply that drips in byte by byte alike.
        self._loop = asyncio.new_event_loop()
        Thread(target=self._loop.run_forever, name="snowmelt-embeddings", daemon=True).start()
        self.dim = 0  # unknown until the first reply
        self.dim = self._encode("", ["."]).shape[1]

    def documents(self, texts: Sequence[str]) -> Vectors:
        return self._encode(self._prefixes[1], texts)

    def queries(self, texts: Sequence[str]) -> Vectors:
        return self._encode(self._prefixes[0], texts)

    def _encode(self, prefix: str, texts: Sequence[str]) -> Vectors:
        cut = [prefix + t[:CHARACTERS] for t in readable(texts)]
        if not cut:
            return np.empty((0, self.dim), np.float32)
        future = asyncio.run_coroutine_threadsafe(self._all(cut), self._loop)
        try:
            return unit(future.result())
        finally:
            future.cancel()  # the caller was interrupted

    async def _all(self, texts: list[str]) -> NDArray[np.float64]:
        import httpx2

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with httpx2.AsyncClient(headers=headers, timeout=None, follow_redirects=False) as client:
            parts = []
            for start in range(0, len(texts), BATCH):
                try:
                    until = self._loop.time() + self._deadline
                    async with asyncio.timeout_at(until):
                        parts.append(await self._batch(client, texts[start : start + BATCH], until))
                except TimeoutError:
                    raise self._problem(f"no answer within {self._deadline:g} s") from None
            return np.concatenate(parts)

    async def _batch(self, client: Any, texts: list[str], until: float) -> NDArray[np.float64]:
        import httpx2

        retried, longest = False, LONGEST
        while True:
            body = {"model": self._model, "input": [t[:longest] for t in texts], "encoding_format": "float"}
            try:
                reply = await client.post(f"{self._base}/embeddings", json=body)
            except httpx2.InvalidURL:
                raise self._problem("not an address") from None
            except httpx2.TransportError:
                said, pause = "cannot be reached", PAUSE
            else:
                if reply.status_code == 200:
                    return self._checked(reply.content, len(texts))
                said, pause = _said(reply)
                if reply.status_code in (400, 413, 422) and longest > 250 and max(map(len, texts)) > 250:
                    longest = min(longest, max(map(len, texts))) // 2
                    continue
            if retried or pause is None or self._loop.time() + pause >= until:
                raise self._problem(said)
            await asyncio.sleep(pause)
            retried = True

    def _checked(self, raw: bytes, count: int) -> NDArray[np.float64]:
        try:
            rows = _Reply.model_validate_json(raw).data
        except ValidationError:
            raise self._problem("the answer is not a list of embeddings") from None
        if sorted(row.index for row in rows) != list(range(count)):
            raise self._problem(f"{len(rows)} embeddings for {count} texts, or not one for each")
        sizes = {len(row.embedding) for row in rows}
        if len(sizes) > 1 or 0 in sizes or (self.dim and sizes != {self.dim}):
            raise self._problem(f"embeddings of {max(sizes)} numbers" + (f", not {self.dim}" if self.dim else ""))
        found = np.array([row.embedding for row in sorted(rows, key=lambda row: row.index)], np.float64)
        if not np.isfinite(found).all() or not np.abs(found).max(axis=1).all() or np.abs(found).max() > 1e30:
            raise self._problem("an embedding is not a direction (NaN, infinite or all zeros)")
        return found

    def _problem(self, said: str) -> InputError:
        return InputError(f"embedder {self.id}: {said}")


def _said(reply: Any) -> tuple[str, float | None]:
    """What a status means, and seconds before another try, None if it would not help. The body may repeat the key."""
    code = reply.status_code
    known = {
        401: "the API key is not accepted",
        403: "the API key may not use this model",
        404: "no such model or path",
        429: "too many requests",
    }
    pause = None
    if code in (408, 429) or code >= 500:
        try:
            pause = max(0.0, float(reply.headers.get("retry-after", PAUSE)))
        except ValueError:  # a date: those waits are long
            pause = None
    return f"{known.get(code, 'it failed' if code >= 500 else 'it was refused')} (HTTP {code})", pause
