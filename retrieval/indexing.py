"""From a source of items to a new generation of a catalogue, in memory that does not grow with the texts.

Three passes: the source is read once into a staging file while the kinds of its columns are inferred; typed items,
columns and text hashes are written from that; texts without a vector are embedded while a second process writes BM25
and Chroma (`chroma`).
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from filecmp import cmp
from hashlib import sha256
from pathlib import Path
from shutil import rmtree

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import generation
from snowmelt.retrieval.columns import ColumnsBuilder
from snowmelt.retrieval.embedding import Embedder
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.generation import Items
from snowmelt.retrieval.inference import Inference, Raw
from snowmelt.retrieval.items import Item, Kind, Schema, item_text, to_row
from snowmelt.retrieval.reading import BadRows, good_rows
from snowmelt.retrieval.vectors import fill_vectors

Progress = Callable[[str, int, int | None], None]
"""Called with the stage ("reading", "embedding", "indexing"), how many are done, and of how many (None: not known)."""


@dataclass
class IndexReport:
    """What `build` did, in items. `bad` holds the first 100 of `bad_count` lines "file:line field: reason".

    `added`, `changed`, `removed` are against the generation before; `kept` are no longer in the source and stay
    because nothing was pruned. `embedded` texts had no vector. `shortened` descriptions were cut at 20,000 characters.
    `unchanged`: there was nothing to write.
    """

    count: int = 0
    embedded: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0
    bad_count: int = 0
    bad: list[str] = field(default_factory=list)
    shortened: int = 0
    unchanged: bool = False
    seconds: float = 0.0


def build(
    source: Path | Iterable[Item],
    out: Path,
    embedder: Embedder,
    *,
    fields: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    strict: bool = False,
    prune: bool = False,
    known: Mapping[str, NDArray[np.float32]] | None = None,
    progress: Progress | None = None,
) -> IndexReport:
    """Index `source` (a file, see `reading`, or items) as the catalogue `out`: all of it at the end, or nothing.

    `fields` maps our names to the source's ({"title": "name"}), `kinds` overrides inferred kinds ({"price": "number"}).
    `strict` stops at the first bad row. Items of the catalogue that the source no longer has stay, unless `prune`.
    `known` has vectors made by this very embedder: sha256 (hex) of `item_text` -> float32 [dim].
    Raises InputError for bad input, and if another process is writing.
    """
    started = time.monotonic()
    with generation.writing(out):
        report = write(source, out, embedder, fields or {}, kinds or {}, strict, prune, known or {}, progress)
    report.seconds = time.monotonic() - started
    return report


def write(
    source: Path | Iterable[Item],
    out: Path,
    embedder: Embedder,
    fields: Mapping[str, str],
    kinds: Mapping[str, str],
    strict: bool,
    prune: bool,
    known: Mapping[str, NDArray[np.float32]],
    progress: Progress | None,
) -> IndexReport:
    """`build` for a caller that holds the writer's lock."""
    report, tell = IndexReport(), progress or (lambda *_: None)
    old = generation.current(out)
    folder = generation.new(out)
    try:
        bad, inference = BadRows(strict), Inference(kinds, fields.get("title", "title"))
        before = _Before(old, prune)
        staged = folder / "staged.jsonl"
        _stage(source, fields, staged, bad, inference, before, prune, report, tell)
        schema = _write_items(staged, folder, inference, bad, before, report)
        staged.unlink()
        report.bad_count, report.bad = bad.count, bad.lines
        if old and before.same_as(folder, embedder):
            report.unchanged = True
            rmtree(folder)
            return report
        report.embedded, seal = fill_vectors(folder, schema, embedder, before.folder, known, tell)
        manifest = {"count": report.count, "embedder": embedder.id, "spec": embedder.spec, "dim": embedder.dim}
        generation.swap(out, folder, manifest | {"seal": seal})
    except BaseException:
        if generation.current(out) != folder:  # Ctrl-C may come after the swap
            rmtree(folder, ignore_errors=True)
        raise
    return report


class _Before:
    """The generation before this one, as far as it can be read: ids to rows, and their lines. Where its items cannot be
    read, InputError, unless `prune`: nothing of it would stay anyway."""

    def __init__(self, folder: Path | None, prune: bool) -> None:
        self.folder: Path | None = None
        self.items: Items | None = None
        self.rows: dict[str, int] = {}
        if folder is None:
            return
        try:
            self.manifest = generation.read_manifest(folder)
        except InputError:  # of another format, or lost: its items are read, all else is made anew
            self.healthy = False
        else:
            self.folder, self.healthy = folder, not generation.damage(folder, self.manifest)
        try:
            self.items = Items(folder, scan=not self.healthy)
        except InputError:
            if not prune:
                raise
            self.folder = None
            return
        ids = generation.load_names(folder)[0] if self.healthy else (item.id for item in self.items)
        self.rows = {id_: row for row, id_ in enumerate(ids)}

    def same_as(self, folder: Path, embedder: Embedder) -> bool:
        """Would the new `folder` be this generation again?"""
        names = ("items.jsonl", "schema.json")
        return (
            self.folder is not None
            and self.healthy
            and self.manifest["embedder"] == embedder.id
            and all(cmp(self.folder / name, folder / name, shallow=False) for name in names)
        )


def _stage(
    source: Path | Iterable[Item],
    fields: Mapping[str, str],
    staged: Path,
    bad: BadRows,
    inference: Inference,
    before: _Before,
    prune: bool,
    report: IndexReport,
    tell: Progress,
) -> None:
    left = dict(before.rows)
    with staged.open("w", encoding="utf-8") as file:

        def put(where: str, id_: str, title: str, description: str, values: Mapping[str, Raw]) -> None:
            inference.see(values)
            file.write(json.dumps([where, id_, title, description, values], ensure_ascii=False) + "\n")
            report.count += 1
            if report.count % 256 == 0:
                tell("reading", report.count, None)

        for row in good_rows(source, fields, bad):
            left.pop(row.id, None)
            report.shortened += row.shortened
            put(row.where, row.id, row.title, row.description, row.values)
        if prune:
            report.removed = len(left)
        elif before.items is not None:
            for row in left.values():
                item = to_row(before.items.read(row))
                put("kept", item["id"], item["title"], item["description"], item["attributes"])
            report.kept = len(left)
    tell("reading", report.count, report.count)


def _write_items(
    staged: Path, folder: Path, inference: Inference, bad: BadRows, before: _Before, report: IndexReport
) -> Schema:
    inference.decide()
    kinds: dict[str, Kind] = {name: kind for name, (kind, _) in inference.kinds.items()}
    columns = ColumnsBuilder(kinds, report.count)
    plain = columns.schema(inference.aliases)  # kinds and aliases are all that item_text reads of it
    offsets, keys = np.zeros(report.count + 1, np.int64), np.empty((report.count, 32), np.uint8)
    with (
        staged.open(encoding="utf-8") as lines,
        (folder / "items.jsonl").open("wb") as items,
        (folder / "names.tsv").open("w", encoding="utf-8", newline="") as names,
    ):
        for row, line in enumerate(lines):
            where, id_, title, description, values = json.loads(line)
            attributes, problems = inference.attributes(values)
            for problem in problems:
                bad.add(where, problem)
            item = Item(id_, title, description, attributes)
            written = (json.dumps(to_row(item), ensure_ascii=False) + "\n").encode()
            items.write(written)
            offsets[row + 1] = offsets[row] + len(written)
            names.write(f"{id_}\t{title}\n")
            columns.add(row, attributes)
            keys[row] = np.frombuffer(sha256(item_text(item, plain).encode()).digest(), np.uint8)
            old = before.rows.get(id_)
            if old is None:
                report.added += 1
            elif before.items is not None and before.items.line(old) != written:
                report.changed += 1
    np.save(folder / "offsets.npy", offsets)
    np.save(folder / "keys.npy", keys)
    columns.save(folder / "columns.npz")
    schema = columns.schema(inference.aliases)
    (folder / "schema.json").write_text(schema.to_json(), encoding="utf-8")
    return schema
