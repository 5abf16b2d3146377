"""A vector for each item of a new generation: taken over by the hash of its text, or embedded, as Chroma is written."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import generation
from snowmelt.retrieval.embedding import Embedder
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.generation import Items
from snowmelt.retrieval.items import Schema, item_text

BATCH = 256  # texts a call of the embedder


def fill_vectors(
    folder: Path,
    schema: Schema,
    embedder: Embedder,
    before: Path | None,
    known: Mapping[str, NDArray[np.float32]],
    tell: Any,
) -> tuple[int, str]:
    """Write vectors.npy, bm25/ and chroma/ of `folder`. Returns (texts embedded, the seal of the probed collection).

    Vectors come from `before` and `known` where the text is the same. Raises InputError if the embedder gives other
    than float [texts, dim], or the collection does not answer a process that opens it afresh.
    """
    keys = np.load(folder / "keys.npy")
    count = len(keys)
    # A million vectors of 512 are 2 GB: mapped, and now and then let go of.
    path = folder / "vectors.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (count, embedder.dim))
    fresh = _take_over(path, keys, before, embedder, known)
    vectors = np.load(path, mmap_mode="r+")
    seal = ""
    with _filling(folder) as child:
        items = Items(folder)
        for start in range(0, len(fresh), BATCH):
            rows = fresh[start : start + BATCH]
            vectors[rows] = _embedded(embedder, [item_text(items.read(int(row)), schema) for row in rows])
            tell("embedding", start + len(rows), len(fresh))
            if start % (64 * BATCH) == 0:
                vectors.flush()
                vectors = np.load(path, mmap_mode="r+")
            if start + BATCH < len(fresh):
                child.say(int(fresh[start + BATCH]))
        vectors.flush()
        child.say(count)
        for line in child.lines():
            if line.startswith("sealed "):
                seal = line.split()[1]
            else:
                tell("indexing", int(line), count)
        child.end()
    return len(fresh), seal


def _embedded(embedder: Embedder, texts: list[str]) -> NDArray[np.float32]:
    found = np.asarray(embedder.documents(texts), np.float32)
    if found.shape != (len(texts), embedder.dim) or not np.isfinite(found).all():
        wanted = f"{len(texts)} vectors of {embedder.dim} finite numbers"
        raise InputError(f"embedder {embedder.id}: not {wanted} (shape {found.shape}); is it another model?")
    return _unit(found)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _take_over(
    path: Path,
    keys: NDArray[np.uint8],
    before: Path | None,
    embedder: Embedder,
    known: Mapping[str, NDArray[np.float32]],
) -> NDArray[np.int64]:
    """Fill in what is known already of vectors.npy at `path`; the rows that are not, ascending."""
    missing = np.ones(len(keys), bool)
    if before and _same_embedder(before, embedder):
        old_keys = np.load(before / "keys.npy")
        prefix = old_keys[:, :8].copy().view(np.uint64)[:, 0]
        order = np.argsort(prefix, kind="stable")
        found = np.searchsorted(prefix[order], keys[:, :8].copy().view(np.uint64)[:, 0])
        rows = order[np.minimum(found, len(order) - 1)]
        same = (old_keys[rows] == keys).all(1)
        for start in range(0, len(keys), 10_000):
            part = np.flatnonzero(same[start : start + 10_000]) + start
            old, vectors = np.load(before / "vectors.npy", mmap_mode="r"), np.load(path, mmap_mode="r+")
            vectors[part] = old[rows[part]]
        missing &= ~same
    if known:
        vectors = np.load(path, mmap_mode="r+")
        for row in np.flatnonzero(missing):
            vector = known.get(keys[row].tobytes().hex())
            if vector is not None and np.shape(vector) == (embedder.dim,):
                vectors[row] = _unit(np.asarray(vector, np.float32))
                missing[row] = False
    return np.flatnonzero(missing)


def _same_embedder(before: Path, embedder: Embedder) -> bool:
    manifest = generation.read_manifest(before)
    if manifest["embedder"] != embedder.id or manifest["dim"] != embedder.dim:
        return False
    return all(generation.intact(before, manifest, name) for name in ("keys.npy", "vectors.npy"))


class _Child:
    """The process that writes Chroma: told by lines how many vectors are ready, it answers by lines how many it has."""

    def __init__(self, folder: Path, errors: IO[str]) -> None:
        self._folder, self._errors = folder, errors
        command, pipe = [sys.executable, "-m", "snowmelt.retrieval.chroma", str(folder)], subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True)

    def say(self, ready: int) -> None:
        try:
            self.process.stdin.write(f"{ready}\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            self.end()

    def lines(self) -> Iterator[str]:
        return iter(self.process.stdout.readline, "")  # type: ignore[union-attr]

    def end(self) -> None:
        """Wait for it. Raises InputError, with its last word, if it failed."""
        if code := self.process.wait():
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or [f"exit {code}"])[-1]
            raise InputError(f"{self._folder.parent}: Chroma could not be written ({last}); the catalogue is as it was")


@contextmanager
def _filling(folder: Path) -> Iterator[_Child]:
    with TemporaryFile("w+") as errors:
        child = _Child(folder, errors)
        try:
            yield child
        finally:
            child.process.kill()
            child.process.communicate()  # closes its stdin, which ends its fork, and waits for both
