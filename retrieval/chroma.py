"""The Chroma collection of a generation: filled and probed in processes of their own, opened when known to be whole.

A damaged HNSW file crashes the process that opens it, so `python -m snowmelt.retrieval.chroma FOLDER` fills it and
opens it first, and `seal` says what the probed files held. No text and nothing of a person goes in: vectors by row.
"""

import os
import signal
import sqlite3
import sys
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = "chroma"
_SQLITE = "chroma.sqlite3"
_BATCH = 2_000  # Chroma takes 5,461 at once; each add is one transaction and one fsync


def installed() -> str:
    """The version of Chroma, without its slow import."""
    return version("chromadb")


def client(folder: Path) -> Any:
    """A client of the generation `folder`. Whoever opens it closes it."""
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(str(folder / FOLDER), Settings(anonymized_telemetry=False))


def collection(opened: Any) -> Any:
    return opened.get_collection("items", embedding_function=None)  # Chroma's default downloads a model


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


def _fill(folder: Path) -> None:
    """Add vectors as lines on stdin say how many are ready (they come from one embedder). The BM25 index goes first."""
    from snowmelt.retrieval.generation import Items, load_schema
    from snowmelt.retrieval.items import item_text
    from snowmelt.retrieval.lexical import Lexical

    items, schema = Items(folder), load_schema(folder)
    texts = (item_text(items.read(row), schema) for row in range(len(items)))
    Lexical(texts).save(folder / "bm25")  # while the embedder is at work
    vectors: NDArray[np.float32] = np.load(folder / "vectors.npy", mmap_mode="r")
    count, done = len(vectors), 0
    opened = client(folder)
    # sync_threshold: the index is written once, at the end, not whole again after every 1,000 items.
    hnsw = {"space": "cosine", "sync_threshold": max(2, count), "batch_size": max(2, min(count, _BATCH))}
    into = opened.create_collection("items", embedding_function=None, configuration={"hnsw": hnsw})
    for line in sys.stdin:
        ready = int(line)
        while done < ready and (ready == count or ready - done >= _BATCH):
            end = min(done + _BATCH, ready)
            into.add(ids=[str(row) for row in range(done, end)], embeddings=np.array(vectors[done:end]))
            done = end
            sys.stdout.write(f"{done}\n")
            sys.stdout.flush()
        if done == count:
            break
    opened.close()
    if done < count:
        sys.exit("the writer went away")
    connection = sqlite3.connect(folder / FOLDER / _SQLITE)
    connection.execute("VACUUM")  # the vectors passed through its queue
    connection.close()


def _probe(folder: Path) -> str:
    """Open, count, query; the seal."""
    vectors: NDArray[np.float32] = np.load(folder / "vectors.npy", mmap_mode="r")
    opened = client(folder)
    found = collection(opened)
    if found.count() != len(vectors):
        sys.exit(f"{found.count()} vectors instead of {len(vectors)}")
    row = len(vectors) - 1
    if not found.query(query_embeddings=np.array(vectors[row:]), n_results=1, include=[])["ids"][0]:
        sys.exit("a query found nothing")
    if not np.allclose(found.get(ids=[str(row)], include=["embeddings"])["embeddings"][0], vectors[row], atol=1e-3):
        sys.exit("a vector came back changed")
    opened.close()
    return seal(folder)


def _main(folder: Path) -> None:
    """Fill in a fork, then probe here, where nothing of Chroma is open yet: two processes for one slow import."""
    import chromadb  # noqa: F401

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it closes stdin
    filling = os.fork()
    if not filling:
        _fill(folder)
        return
    _, status = os.waitpid(filling, 0)
    if status:
        sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else f"signal {os.WTERMSIG(status)}")
    sys.stdout.write(f"sealed {_probe(folder)}\n")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
