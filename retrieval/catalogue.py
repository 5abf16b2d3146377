"""An indexed catalogue as readers hold it: items, vectors, filters and BM25 of one generation."""

import logging
import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import chroma, generation
from snowmelt.retrieval.columns import Columns
from snowmelt.retrieval.embedding import Embedder, open_embedder
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.filters import Filter
from snowmelt.retrieval.generation import Items
from snowmelt.retrieval.indexing import build, write
from snowmelt.retrieval.items import Schema, item_text
from snowmelt.retrieval.lexical import Lexical
from snowmelt.retrieval.tagging import Made

__all__ = ["Catalogue", "build"]

_EXACT = 5_000  # allowed items up to which numpy's exact search is as quick as the index
_MORE = 100  # neighbours asked beyond those needed: HNSW finds more of the true ones when it looks for more
_MOST_ASKED = 2_000  # neighbours asked of the index before exact search is quicker


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What readers hold. Arrays are in row order; `rows` maps an item's id to its row. Safe to share between threads.

    `dir` is what `snowmelt index --out` named, `folder` the generation in it. `vectors`: float32 [items, dim], length
    1, mapped from the disk. A swapped index changes nothing here: `fresh()` gives the catalogue as it is now.
    """

    dir: Path
    folder: Path
    manifest: Mapping[str, Any]
    schema: Schema
    items: Items
    ids: list[str]
    titles: list[str]
    vectors: NDArray[np.float32]
    embedder: Embedder
    _made: Made
    _held: BufferedReader  # the lock that keeps `folder` there

    @classmethod
    def open(cls, directory: Path | str, embedder: Embedder | None = None) -> "Catalogue":
        """The current generation; `embedder` None opens the one that it was made with.

        What does not match the manifest (hashes, count, Chroma's version, its files) is rebuilt from the items first,
        with a warning on the log "snowmelt". Raises InputError if there is no catalogue, the embedder is another one,
        or the items themselves are damaged.
        """
        directory = Path(directory)
        for _ in range(100):
            folder = generation.current(directory)
            if folder is None:
                hint = f"make one with `snowmelt index ITEMS --out {directory}`"
                raise InputError(f"{directory}: no catalogue here; {hint}")
            held = generation.reading(folder)
            if held is None:
                continue  # swapped and removed since we looked
            manifest = generation.read_manifest(folder)
            embedder = embedder or open_embedder(manifest["spec"])
            if manifest["embedder"] != embedder.id:
                made = f"made with {manifest['embedder']}, here is {embedder.id}"
                raise InputError(f"{directory}: {made}; index it again, or open it with that embedder")
            if reason := generation.damage(folder, manifest):
                _repair(directory, folder, embedder, reason)
                continue
            ids, titles = generation.load_names(folder)
            vectors = np.load(folder / "vectors.npy", mmap_mode="r")
            schema, made = generation.load_schema(folder), Made.of(directory)
            items = Items(folder, made=made, kinds={name: a.kind for name, a in schema.attributes.items()})
            return cls(directory, folder, manifest, schema, items, ids, titles, vectors, embedder, made, held)
        raise InputError(f"{directory}: its current generation cannot be opened; remove {directory}, index again")

    def fresh(self) -> "Catalogue":
        """This catalogue, or the one that was swapped in since. Cheap (one small read): call it for each request."""
        now = generation.current(self.dir)
        return self if now == self.folder or now is None else Catalogue.open(self.dir, self.embedder)

    def text(self, row: int) -> str:
        """What was embedded and indexed of the item, and may be quoted."""
        return item_text(self.items[row], self.schema)

    @cached_property
    def rows(self) -> dict[str, int]:
        return {id_: row for row, id_ in enumerate(self.ids)}

    @cached_property
    def lexical(self) -> Lexical:
        return Lexical.load(self.folder / "bm25", self.titles)

    @cached_property
    def columns(self) -> Columns:
        more: dict[str, list[tuple[int, str]]] = {}
        for row in (self.rows[id_] for id_ in self._made.tags if id_ in self.rows):
            item = self.items[row]
            for name in item.guessed:
                value = item.attributes[name]
                more.setdefault(name, []).extend(
                    (row, v) for v in (value if isinstance(value, tuple) else (str(value),))
                )
        return Columns.load(self.folder / "columns.npz", self.schema).with_values(more)

    @cached_property
    def _collections(self) -> list[Any]:
        client = chroma.client(self.folder)
        weakref.finalize(self, client.close)  # or each generation that was ever read keeps its index in memory
        return chroma.collections(client)

    def through(self, collections: list[Any]) -> "Catalogue":
        """This catalogue, its neighbours looked up in these (see `chroma_server`), not in the files' own index."""
        self.__dict__["_collections"] = collections
        return self

    def mask(self, filters: Sequence[Filter]) -> NDArray[np.bool_]:
        """bool [items]: True where an item passes all filters. Raises InputError as `Columns.mask` does."""
        return self.columns.mask(filters)

    def nearest(
        self, vectors: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows [q, k'] and cosines [q, k'] of the nearest items where `mask` is True; k' = min(k, how many there are).

        `vectors`: float32 [q, dim]. From Chroma's HNSW index, over-asked by what the mask leaves out; exact where the
        mask leaves little, or the index does not find enough.
        """
        count = len(self.ids)
        allowed = count if mask is None else int(np.count_nonzero(mask))
        k = min(k, allowed)
        queries = np.asarray(vectors, np.float32)
        queries = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-9)
        if k <= 0 or not len(queries):
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        asked = math.ceil(2 * k * count / allowed) + _MORE
        indexed = allowed == count or (allowed > _EXACT and asked <= _MOST_ASKED)
        found = self._ask(queries, min(asked, count)) if indexed else [np.empty(0, np.int64)] * len(queries)
        rows, cosines = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        every = None
        for i, (query, near) in enumerate(zip(queries, found, strict=True)):
            if mask is not None:
                near = near[mask[near]]
            if len(near) < k:
                if every is None:
                    every = np.arange(count) if mask is None else np.flatnonzero(mask)
                near = every
            cosine = (self.vectors if near is every and mask is None else self.vectors[near]) @ query
            if len(near) > k:
                least = np.partition(cosine, -k)[-k]
                near, cosine = near[cosine >= least], cosine[cosine >= least]
            order = np.lexsort((near, -cosine))[:k]
            rows[i], cosines[i] = near[order], cosine[order]
        return rows, cosines

    def _ask(self, queries: NDArray[np.float32], k: int) -> list[NDArray[np.int64]]:
        """Rows of the nearest `k` of each collection, for each query."""
        asked = [c.query(query_embeddings=queries, n_results=k, include=[])["ids"] for c in self._collections]
        return [np.array([int(id_) for part in ids for id_ in part], np.int64) for ids in zip(*asked, strict=True)]


def _repair(directory: Path, damaged: Path, embedder: Embedder, reason: str) -> None:
    logging.getLogger("snowmelt").warning("%s: %s; rebuilding it from its items", directory, reason)
    with generation.writing(directory, wait=True):
        if generation.current(directory) != damaged:
            return  # another process has done it
        manifest = generation.read_manifest(damaged)
        kinds: dict[str, str] = {}
        if generation.intact(damaged, manifest, "schema.json"):
            schema = generation.load_schema(damaged)
            kinds = {name: attribute.kind for name, attribute in schema.attributes.items()}
        items = Items(damaged, scan=True)
        write(items, directory, embedder, {}, kinds, strict=True, prune=True, known={}, progress=None)
