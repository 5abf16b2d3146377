"""The Chroma collections of a generation: filled and probed in processes of their own, opened when known to be whole.

A damaged HNSW file crashes the process that opens it, so `python -m snowmelt.retrieval.chroma FOLDER` fills it and
opens it first, and `seal` says what the probed files held. No text and nothing of a person goes in: vectors by row.
An HNSW index stands in memory whole while it is made, so a collection holds `SHARD` rows at most, and each is filled
and probed by a fork that takes its memory with it when it ends: indexing needs no more for a million rows.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import version
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = "chroma"
_SQLITE = "chroma.sqlite3"
_BATCH = 2_000  # Chroma takes 5,461 at once; each add is one transaction and one fsync
SHARD = 100_000  # rows of a collection


def installed() -> str:
    """The version of Chroma, without its slow import."""
    return version("chromadb")


def client(folder: Path) -> Any:
    """A client of the generation `folder`. Whoever opens it closes it."""
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(str(folder / FOLDER), Settings(anonymized_telemetry=False))


def collections(opened: Any) -> list[Any]:
    """All collections; together they hold every row, its number as the id."""
    # Chroma's default embedding function would download a model
    return [opened.get_collection(found.name, embedding_function=None) for found in opened.list_collections()]


def _name(start: int) -> str:
    return f"items-{start}" if start else "items"


def seal(folder: Path) -> str:
    """A hash of what the collection is: its index files, and the rows of its SQLite file.

    Not of the SQLite file's bytes: Chroma writes a line into `acquire_write` at each opening. Raises OSError or
    sqlite3.Error if something is missing or broken.
    """
    digest = sha256()
    for path in sorted((folder / FOLDER).rglob("*")):
        if path.is_file() and not path.name.startswith(_SQLITE):
            digest.update(path.relative_to(folder).as_posix().encode())
            with path.open("rb") as file:
                while part := file.read(2**20):
                    digest.update(part)
    database = folder / FOLDER / _SQLITE
    if not database.is_file():
        raise FileNotFoundError(database)
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    try:
        if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("integrity check")
        for name, sql in connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall():
            digest.update(f"{name} {sql}".encode())
            if (sql or "").startswith("CREATE TABLE") and name not in ("acquire_write", "sqlite_sequence"):
                for row in connection.execute(f'SELECT * FROM "{name}"'):
                    digest.update(repr(row).encode())
    finally:
        connection.close()
    return digest.hexdigest()


def _index_words(folder: Path) -> None:
    """The BM25 index, while the embedder is at work."""
    from snowmelt.retrieval.generation import Items, load_schema
    from snowmelt.retrieval.items import item_text
    from snowmelt.retrieval.lexical import Lexical

    items, schema = Items(folder), load_schema(folder)
    Lexical(item_text(items.read(row), schema) for row in range(len(items))).save(folder / "bm25")


def _vectors(folder: Path) -> NDArray[np.float32]:
    return np.load(folder / "vectors.npy", mmap_mode="r")


def _fill(folder: Path, start: int, ready: mmap) -> None:
    """Add the rows of one collection as lines on stdin say how many vectors are there (they come from one embedder).
    `ready` keeps the last such number for the next fork."""
    vectors = _vectors(folder)
    done, end = start, min(start + SHARD, len(vectors))
    opened = client(folder)
    # sync_threshold: the index is written once, at the end, not whole again after every 1,000 items.
    most = max(2, end - start)
    hnsw = {"space": "cosine", "sync_threshold": most, "batch_size": min(most, _BATCH)}
    into = opened.create_collection(_name(start), embedding_function=None, configuration={"hnsw": hnsw})
    with open(0, "rb", buffering=0, closefd=False) as stdin:  # unbuffered: the next fork reads on
        while done < end:
            there = min(int.from_bytes(ready[:8], "big"), end)
            if there < end and there - done < _BATCH:
                line = stdin.readline()
                if not line:
                    sys.exit("the writer went away")
                ready[:8] = int(line).to_bytes(8, "big")
                continue
            last = min(done + _BATCH, there)
            into.add(ids=[str(row) for row in range(done, last)], embeddings=np.array(vectors[done:last]))
            done = last
            sys.stdout.write(f"{done}\n")
            sys.stdout.flush()
    opened.close()


def _probe(folder: Path, start: int) -> None:
    """Open, count, query one collection."""
    vectors = _vectors(folder)
    row = min(start + SHARD, len(vectors)) - 1
    opened = client(folder)
    found = opened.get_collection(_name(start), embedding_function=None)
    if found.count() != row + 1 - start:
        sys.exit(f"{found.count()} vectors instead of {row + 1 - start}")
    if not found.query(query_embeddings=np.array(vectors[row : row + 1]), n_results=1, include=[])["ids"][0]:
        sys.exit("a query found nothing")
    if not np.allclose(found.get(ids=[str(row)], include=["embeddings"])["embeddings"][0], vectors[row], atol=1e-3):
        sys.exit("a vector came back changed")
    opened.close()


def _main(folder: Path) -> None:
    """Each part in a fork, so that Chroma's slow import is done once and nothing of it is open here."""
    import chromadb  # noqa: F401

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it closes stdin
    _apart(_index_words, folder)
    count, ready = len(_vectors(folder)), mmap(-1, 8)
    for start in range(0, count, SHARD):
        _apart(_fill, folder, start, ready)
    connection = sqlite3.connect(folder / FOLDER / _SQLITE)
    connection.execute("VACUUM")  # the vectors passed through its queue
    connection.close()
    for start in range(0, count, SHARD):
        _apart(_probe, folder, start)
    sys.stdout.write(f"sealed {seal(folder)}\n")


def _apart(work: Callable[..., None], *args: Any) -> None:
    """In a fork; where that fails, this process ends as it did."""
    sys.stdout.flush()
    fork = os.fork()
    if not fork:
        work(*args)
        sys.exit()
    _, status = os.waitpid(fork, 0)
    if status:
        sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else f"signal {os.WTERMSIG(status)}")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
