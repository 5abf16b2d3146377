"""Generations of a catalogue on disk, and how one follows another.

DIR/current names the generation that readers use. A writer, one at a time, makes a new folder, syncs it to the disk and
swaps the name, so that a kill at any moment leaves the old catalogue or the new one. Readers hold a shared lock on
their generation; the current one, the one before it and any that is read stay.
"""

import fcntl
import json
import mmap
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from hashlib import sha256
from io import BufferedReader
from pathlib import Path
from sqlite3 import Error as SQLiteError
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import chroma
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.items import Item, Schema, from_row
from snowmelt.retrieval.lexical import FIRST_WORDS
from snowmelt.retrieval.locking import locked
from snowmelt.retrieval.tagging import Made

FORMAT = 2
_NAME = re.compile(r"gen-\d+(-[0-9a-f]{6})?")
_IN_MEMORY = 50_000  # items; more are read from the file one by one
_LATEST = 2_000  # of these that stay in memory: a list asks for the same ones again and again


class Items(Sequence[Item]):
    """The items of a generation in row order, read from items.jsonl when asked for. Safe to share between threads."""

    def __init__(
        self, folder: Path, *, scan: bool = False, made: Made | None = None, kinds: Mapping[str, str] | None = None
    ) -> None:
        """`scan`: find the lines anew, of a file whose offsets cannot be trusted. What was `made` of their texts, tags
        of attributes of `kinds`, is laid over the items (`tagging`)."""
        self._made, self._kinds = made or Made(), kinds or {}
        self._offsets = _line_ends(folder / "items.jsonl") if scan else np.load(folder / "offsets.npy")
        self._file = (folder / "items.jsonl").open("rb")
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._latest = lru_cache(_LATEST)(self.read)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, row: int) -> Item: ...
    @overload
    def __getitem__(self, row: slice) -> list[Item]: ...
    def __getitem__(self, row: int | slice) -> Item | list[Item]:
        if len(self) <= _IN_MEMORY:
            return self._all[row]
        if isinstance(row, slice):
            return [self.read(r) for r in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        return self._latest(int(row) % len(self))

    def __iter__(self) -> Iterator[Item]:
        return iter(self._all) if len(self) <= _IN_MEMORY else map(self.read, range(len(self)))

    @cached_property
    def _all(self) -> list[Item]:
        return [self.read(row) for row in range(len(self))]

    def line(self, row: int) -> bytes:
        return self._map[self._offsets[row] : self._offsets[row + 1]]

    def read(self, row: int) -> Item:
        """One item, parsed anew: for whoever passes over all of them once and keeps none."""
        return self._made.over(from_row(json.loads(self.line(row))), self._kinds)


def _line_ends(path: Path) -> NDArray[np.int64]:
    """Raises InputError where the file is missing or a line is no item."""
    offsets = [0]
    if not path.is_file():
        raise InputError(f"{path} is missing; remove {path.parent.parent}, index the source again")
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                from_row(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                where = f"{path}:{number}"
                raise InputError(f"{where} is damaged; remove {path.parent.parent}, index the source again") from None
            offsets.append(offsets[-1] + len(line))
    if len(offsets) == 1:
        raise InputError(f"{path} is empty; remove {path.parent.parent}, index the source again")
    return np.asarray(offsets)


def load_schema(folder: Path) -> Schema:
    return Schema.from_json((folder / "schema.json").read_text(encoding="utf-8"))


def load_names(folder: Path) -> tuple[list[str], list[str]]:
    """Ids and titles in row order (neither holds a tab or a line end)."""
    lines = (folder / "names.tsv").read_text(encoding="utf-8").split("\n")[:-1]
    pairs = [line.split("\t") for line in lines]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def current(out: Path) -> Path | None:
    """The generation that readers use. If that name is damaged, the newest generation that was finished."""
    try:
        name = (out / "current").read_bytes().decode("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if _NAME.fullmatch(name) and (out / name).is_dir():
        return out / name
    return next((folder for folder in reversed(_generations(out)) if (folder / "manifest.json").exists()), None)


@contextmanager
def writing(out: Path, *, wait: bool = False) -> Iterator[None]:
    """The one writer's lock. Raises InputError if another process has it (`wait`: waits for it instead)."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: no folder can be made there ({error.strerror}); give another --out") from None
    taken = f"{out}: another process is writing this catalogue; try again when it is done"
    with locked(out / "lock", None if wait else taken):
        yield


def reading(folder: Path) -> BufferedReader | None:
    """Hold `folder` until what is returned is closed; None if it is gone, or going."""
    try:
        lock = (folder / "readers").open("rb")
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return None
    if not (folder / "readers").exists():  # a writer removed it in between
        lock.close()
        return None
    return lock


def new(out: Path) -> Path:
    """An empty generation after all others; what killed writers left is removed."""
    now = current(out)
    for folder in _generations(out):
        if folder != now and (not (folder / "manifest.json").exists() or (now and _number(folder) > _number(now))):
            shutil.rmtree(folder, ignore_errors=True)
    # The random part keeps the child of a killed writer, should it live a second longer, out of this folder.
    folder = out / f"gen-{(_number(now) if now else 0) + 1}-{secrets.token_hex(3)}"
    folder.mkdir()
    (folder / "readers").touch()
    return folder


def swap(out: Path, folder: Path, manifest: dict[str, Any]) -> None:
    """Make `folder` the current generation, for good: every file and directory is on the disk before its name is."""
    manifest = manifest | {"format": FORMAT, "chromadb": chroma.installed(), "files": _hashes(folder)}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    for path in [*folder.rglob("*"), folder, out]:
        _sync(path)
    (out / "current.new").write_text(folder.name)
    _sync(out / "current.new")
    (out / "current.new").replace(out / "current")
    _sync(out)
    for old in _generations(out)[:-2]:
        with (old / "readers").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(old, ignore_errors=True)


def spec_of(directory: Path) -> str | None:
    """The embedder that a catalogue was made with, so that it need not be named again; None where there is none."""
    folder = current(directory)
    return read_manifest(folder).get("spec") if folder else None


def read_manifest(folder: Path) -> dict[str, Any]:
    """Raises InputError if there is none that this version reads."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        form = manifest["format"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder.parent}: its manifest is missing or broken; index it again") from None
    if form != FORMAT:
        raise InputError(f"{folder.parent}: format {form}, this version reads {FORMAT}; index it again")
    return manifest


def damage(folder: Path, manifest: dict[str, Any]) -> str:
    """Why the generation cannot be used as it is; "" if it can. Reads all of it once, through Chroma nothing."""
    if manifest["chromadb"] != chroma.installed():
        return f"made by chromadb {manifest['chromadb']}, here is {chroma.installed()}"
    if f"bm25/{FIRST_WORDS}" not in manifest["files"]:
        return "made by an earlier version, which took every repeated word of a text at its word"
    try:
        for name, known in manifest["files"].items():
            if _hash(folder / name) != known:
                return f"{name} is not what was written"
        if chroma.seal(folder) != manifest["seal"]:
            return "the Chroma collection is not what was written"
    except (OSError, SQLiteError) as error:
        return f"unreadable ({error})"
    return ""


def intact(folder: Path, manifest: dict[str, Any], name: str) -> bool:
    """Is the file what was written?"""
    return (folder / name).is_file() and _hash(folder / name) == manifest["files"].get(name)


def _generations(out: Path) -> list[Path]:
    return sorted((p for p in out.iterdir() if _NAME.fullmatch(p.name)), key=_number)


def _number(folder: Path) -> int:
    return int(folder.name.split("-")[1])


def _hashes(folder: Path) -> dict[str, str]:
    """Of every file but Chroma's: its seal tells those."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and chroma.FOLDER not in p.relative_to(folder).parts]
    return {p.relative_to(folder).as_posix(): _hash(p) for p in files}


def _hash(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
