"""A catalogue's vectors in a Chroma server, so that replicas need not each hold the index in memory.

Items, words, filters and the vectors themselves stay in the catalogue's folder; the server is asked which rows are
near. When it is late, gone or wrong, the vectors are searched one by one: slower, and exact. What is asked are vectors
of what somebody likes; nothing of a person is kept there.
"""

import ipaddress
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.errors import InputError

if TYPE_CHECKING:
    from snowmelt.retrieval.catalogue import Catalogue

LATE = 1.0  # seconds that a question may take
PAUSE = 5.0  # seconds that a server is left alone after it failed
KEPT = 2  # generations of a catalogue in the server: the current one, and the one that somebody may still read
_BATCH = 2_000  # vectors of one request
_MOVING = 120.0  # seconds that a batch may take


class Server:
    """`url`: http://HOST:PORT, of this machine or a private network (Chroma's server has an open report of remote code
    execution, CVE-2026-45829, and no authentication of its own), or https:// of a proxy that wants `token`."""

    def __init__(self, url: str, token: str | None = None) -> None:
        """Raises InputError if the address is none, is public without TLS, or nobody answers there."""
        parts = urlsplit(url)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 8000)
        except ValueError:
            port = 0
        if parts.scheme not in ("http", "https") or not parts.hostname or not port or parts.path not in ("", "/"):
            raise InputError(f"--chroma {url}: give http://HOST:PORT of a Chroma server")
        if parts.scheme == "http" and not _private(parts.hostname):
            raise InputError(
                f"--chroma {url}: not this machine, nor a private network; a Chroma server must not be reachable from "
                "elsewhere (CVE-2026-45829): put it behind a proxy with TLS and a token, and give https://"
            )
        import chromadb
        from chromadb.config import Settings

        headers = {"Authorization": f"Bearer {token}"} if token else None
        settings = Settings(anonymized_telemetry=False)
        try:
            self._client = chromadb.HttpClient(parts.hostname, port, parts.scheme == "https", headers, settings)
            self._client.heartbeat()
        except Exception as error:  # of httpx, of Chroma, ValueError: whatever a stranger's server makes of it
            raise InputError(f"--chroma {url}: no Chroma server answers there ({type(error).__name__})") from None

    def collections(self, catalogue: "Catalogue") -> list[Any]:
        """What `Catalogue.through` takes. Puts the catalogue's vectors there first, if this generation is not there.
        Raises InputError."""
        try:
            return [_Remote(self._filled(catalogue))]
        except Exception as error:  # as above
            raise InputError(f"{catalogue.dir}: the Chroma server failed ({type(error).__name__})") from None

    def _filled(self, catalogue: "Catalogue") -> Any:
        of = sha256(str(catalogue.dir.resolve()).encode()).hexdigest()[:16]
        number = int(catalogue.folder.name.split("-")[1])
        name = f"snowmelt-{of}-{catalogue.manifest['seal'][:16]}"
        # Chroma's default embedding function would download a model
        there = self._client.get_or_create_collection(
            name, embedding_function=None, metadata={"of": of, "generation": number},
            configuration={"hnsw": {"space": "cosine"}},
        )  # fmt: skip
        self._timeout(_MOVING)
        count = len(catalogue.ids)
        if there.count() != count:  # or another replica is at it: the same rows under the same ids do no harm
            for start in range(0, count, _BATCH):
                rows = range(start, min(start + _BATCH, count))
                there.upsert([str(row) for row in rows], np.array(catalogue.vectors[start : rows.stop]))
        ours = [c for c in self._client.list_collections() if (c.metadata or {}).get("of") == of]
        for old in sorted(ours, key=lambda c: c.metadata["generation"])[:-KEPT]:
            with suppress(Exception):  # another replica was quicker
                self._client.delete_collection(old.name)
        self._timeout(LATE)
        return there

    def _timeout(self, seconds: float) -> None:
        """Chroma's client waits for ever, and has no setting for it."""
        self._client._server._session.timeout = seconds  # type: ignore[attr-defined]


class _Remote:
    """A collection that answers in time, or says that it found nothing: then `Catalogue` searches by itself."""

    def __init__(self, collection: Any) -> None:
        self._collection, self._not_before = collection, 0.0

    def query(
        self, query_embeddings: NDArray[np.float32], n_results: int, include: Sequence[str]
    ) -> dict[str, list[list[str]]]:
        nothing: list[list[str]] = [[] for _ in query_embeddings]
        if time.monotonic() < self._not_before:
            return {"ids": nothing}
        try:
            found = self._collection.query(query_embeddings=query_embeddings, n_results=n_results, include=[])["ids"]
            if len(found) != len(nothing) or not all(id_.isdecimal() for ids in found for id_ in ids):
                raise ValueError("not what was asked for")
        except Exception:  # of httpx, of Chroma, of JSON: a server that fails in any way is left alone for a while
            self._not_before = time.monotonic() + PAUSE
            return {"ids": nothing}
        return {"ids": found}


def _private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:  # a name
        pass
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
        return all(ipaddress.ip_address(str(address).partition("%")[0]).is_private for address in found)
    except (OSError, ValueError):
        return False
