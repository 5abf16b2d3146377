"""For all tests: no network but loopback, no API keys, and the demo films indexed once with the real Chroma."""

import os
import signal
import socket
from collections.abc import Iterator
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.demo import known_vectors
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.indexing import build

settings.register_profile("long", max_examples=20_000, deadline=None)

for _name in [name for name in os.environ if name.endswith(("_API_KEY", "_MASTER_KEY"))]:
    del os.environ[_name]  # a test that finds a key would spend money with it


# A shell's background jobs ignore Ctrl-C and so would the commands that tests start and stop by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _loopback(host: object) -> bool:
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost"):
        return True
    try:
        return ip_address(str(host)).is_loopback or ip_address(str(host)).is_unspecified
    except ValueError:
        return False


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Whoever asks for another machine than this one fails, and no name is looked up."""
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def refuse(host: object) -> None:
        if not _loopback(host):
            raise RuntimeError(f"a test wants the network: {host!r}")

    def guarded(original: Any) -> Any:
        def call(self: socket.socket, address: Any, /) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                refuse(address[0])
            return original(self, address)

        return call

    def named(host: Any, *args: Any, **kwargs: Any) -> Any:
        refuse(host)
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(connect))
        patch.setattr(socket.socket, "connect_ex", guarded(connect_ex))
        patch.setattr(socket, "getaddrinfo", named)
        yield


@pytest.fixture(scope="session")
def films_path() -> Path:
    return Path(str(files("snowmelt.retrieval.demo") / "films.jsonl"))


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory, films_path: Path) -> Catalogue:
    out, embedder = tmp_path_factory.mktemp("films"), open_embedder()
    report = build(films_path, out, embedder, known=known_vectors(embedder.id))
    assert not report.bad
    return Catalogue.open(out)
