"""A catalogue on disk: items.jsonl is the truth; vectors and a Chroma collection stand beside it.

DIR/current names the generation that readers use. A build writes a new folder and swaps the name at the end, so that a
kill at any moment leaves the old catalogue or the new one.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.embedding import Embedder, open_embedder
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.filters import Filter
from snowmelt.retrieval.items import Item
from snowmelt.retrieval.lexical import Lexical

FORMAT = 1


def build(items: Sequence[Item], out: Path, embedder: Embedder) -> tuple[int, int]:
    """Write `items` as the new generation of `out`. Returns (texts embedded, items). One writer at a time."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it when a writer is killed
        except BlockingIOError:
            raise InputError(f"{out}: another process is writing this catalogue; try again when it is done") from None
        old = (out / "current").read_text() if (out / "current").exists() else None
        known = _known(out / old, embedder.id) if old else {}
        for path in out.glob("gen-*"):
            if path.name != old:
                shutil.rmtree(path)
        name = f"gen-{int(old.split('-')[1]) + 1 if old else 1}"
        folder = out / name
        folder.mkdir()
        keys = [_key(item) for item in items]
        new = [i for i, key in enumerate(keys) if key not in known]
        fresh = embedder.documents([items[i].text for i in new])
        vectors = np.empty((len(items), embedder.dim), np.float32)
        for i, key in enumerate(keys):
            if key in known:
                vectors[i] = known[key]
        vectors[new] = fresh
        np.save(folder / "vectors.npy", vectors)
        with (folder / "items.jsonl").open("w", encoding="utf-8") as file:
            for item in items:
                row = {"id": item.id, "title": item.title, "description": item.description}
                file.write(json.dumps(row | {"attributes": dict(item.attributes)}, ensure_ascii=False) + "\n")
        _fill_chroma(folder, items, vectors)
        manifest = {"format": FORMAT, "count": len(items), "embedder": embedder.id, "dim": embedder.dim}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        for path in (folder / "vectors.npy", folder / "items.jsonl", folder / "manifest.json"):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        (out / "current.new").write_text(name)
        (out / "current.new").replace(out / "current")
    return len(new), len(items)


def _key(item: Item) -> str:
    return hashlib.sha256(item.text.encode()).hexdigest()


def _known(folder: Path, embedder_id: str) -> dict[str, NDArray[np.float32]]:
    manifest = json.loads((folder / "manifest.json").read_text())
    if manifest["embedder"] != embedder_id:
        return {}
    vectors = np.load(folder / "vectors.npy")
    return {_key(item): vectors[i] for i, item in enumerate(_items(folder))}


def _items(folder: Path) -> list[Item]:
    items = []
    for line in (folder / "items.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        attributes = {k: tuple(v) if isinstance(v, list) else v for k, v in row["attributes"].items()}
        items.append(Item(row["id"], row["title"], row["description"], attributes))
    return items


def _client(folder: Path) -> Any:
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(str(folder / "chroma"), Settings(anonymized_telemetry=False))


def _fill_chroma(folder: Path, items: Sequence[Item], vectors: NDArray[np.float32]) -> None:
    # embedding_function=None: Chroma's default downloads a model. No person's text or vector ever goes in here.
    collection = _client(folder).create_collection(
        "items", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    for start in range(0, len(items), 1000):
        part = items[start : start + 1000]
        collection.add(
            ids=[str(start + i) for i in range(len(part))],
            embeddings=vectors[start : start + 1000],
            documents=[item.text for item in part],
        )


@dataclass(frozen=True)
class Catalogue:
    """What readers hold. Arrays are in row order; `rows` maps an item's id to its row."""

    folder: Path
    items: list[Item]
    vectors: NDArray[np.float32]
    embedder: Embedder

    @classmethod
    def open(cls, directory: Path | str) -> "Catalogue":
        directory = Path(directory)
        if not (directory / "current").is_file():
            raise InputError(f"{directory}: no catalogue here; make one with `snowmelt index ITEMS --out {directory}`")
        folder = directory / (directory / "current").read_text()
        manifest = json.loads((folder / "manifest.json").read_text())
        embedder = open_embedder()
        if manifest["format"] != FORMAT or manifest["embedder"] != embedder.id:
            raise InputError(f"{directory}: made with {manifest['embedder']}, here is {embedder.id}; index it again")
        return cls(folder, _items(folder), np.load(folder / "vectors.npy"), embedder)

    @cached_property
    def rows(self) -> dict[str, int]:
        return {item.id: row for row, item in enumerate(self.items)}

    @cached_property
    def lexical(self) -> Lexical:
        return Lexical([item.text for item in self.items])

    @cached_property
    def _collection(self) -> Any:
        return _client(self.folder).get_collection("items", embedding_function=None)

    def nearest(self, vectors: NDArray[np.float32], k: int) -> list[list[int]]:
        """For each of the vectors [q, dim], the rows of its k nearest items by cosine, from Chroma."""
        found = self._collection.query(query_embeddings=vectors, n_results=min(k, len(self.items)), include=[])
        return [[int(i) for i in ids] for ids in found["ids"]]

    def mask(self, filters: Sequence[Filter]) -> NDArray[np.bool_]:
        """True where an item passes all filters (semantics: `Filter`). Raises InputError for an unknown attribute."""
        keep = np.ones(len(self.items), bool)
        for f in filters:
            if not any(f.attribute in item.attributes for item in self.items):
                raise InputError(f"constraint on {f.attribute!r}: no item of this catalogue has that attribute")
            keep &= np.array([_passes(item.attributes.get(f.attribute), f) for item in self.items])
        return keep


def _passes(value: Any, f: Filter) -> bool:
    if f.op in ("any", "none"):
        have = {str(v).casefold() for v in (value if isinstance(value, tuple) else (value,)) if v is not None}
        wanted = {str(v).casefold() for v in (f.value if isinstance(f.value, tuple) else (f.value,))}
        return bool(have & wanted) == (f.op == "any")
    if value is None or isinstance(value, tuple) or type(value) is not type(f.value):
        return False
    return value <= f.value if f.op == "le" else value >= f.value if f.op == "ge" else value == f.value
