"""Our format on disk, read and written; how publishers lay their sets out is in `publishers.py`.

A folder of `items.jsonl` (`id`, `title`, optional `description`, any attributes), `interactions.csv` (`user,item`,
optional `rating`, `timestamp`) and, where they exist, `impressions.jsonl` (`user`, `history`, `candidates`, `clicked`)
and `dialogues.jsonl` (ReDial's shape).
"""

import csv
import json
from array import array
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from snowmelt.evals.data import Dataset, Impression, Record
from snowmelt.retrieval.errors import InputError


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Objects of a JSON Lines file. Raises InputError with file:line at the first line that is not one."""
    result = []
    with _open(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}:{number} is not JSON ({error.msg}): one object a line is expected") from None
            if not isinstance(value, dict):
                raise InputError(f"{path}:{number} is not a JSON object: one object a line is expected")
            result.append(value)
    return result


def _open(path: Path) -> Any:
    try:
        return path.open(encoding="utf-8-sig", errors="strict", newline="")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


class Builder:
    """Collects interactions in compact columns while a loader streams its files."""

    def __init__(self, name: str, records: Iterable[Record], source: Path) -> None:
        self.name, self.source = name, source
        self.records = tuple(records)
        self.rows: dict[str, int] = {}
        for position, record in enumerate(self.records, 1):
            identifier = record.get("id")
            if not isinstance(identifier, str | int) or identifier == "":
                raise InputError(f"{source}: item {position} has no id")
            if self.rows.setdefault(str(identifier), position - 1) != position - 1:
                raise InputError(f"{source}: item {position} repeats the id {identifier!r}; ids must be unique")
        if not self.records:
            raise InputError(f"{source} has no items")
        self.users: dict[str, int] = {}
        self.columns: tuple[Any, ...] = (array("i"), array("i"), array("f"), array("d"))

    def add(self, user: str, item: str, rating: float, time: float, where: str) -> None:
        row = self.rows.get(item)
        if row is None:
            raise InputError(f"{where} item: {item!r} is not in {self.source.name}; add the item or remove the row")
        values = (self.users.setdefault(user, len(self.users)), row, rating, time)
        for column, value in zip(self.columns, values, strict=True):
            column.append(value)

    def row(self, identifier: object, where: str) -> int:
        row = self.rows.get(str(identifier))
        if row is None:
            raise InputError(f"{where}: item {identifier!r} is not in {self.source.name}")
        return row

    def build(self, impressions: Iterable[Impression] = (), dialogues: Iterable[Record] = ()) -> Dataset:
        """Repeats of one (user, item) become one row: the first time, the last rating."""
        user, item, rating, time = (np.array(c, t) for c, t in zip(self.columns, "iifd", strict=True))
        if not np.isfinite(rating).all() or not np.isfinite(time).all():
            raise InputError(f"{self.source.parent}: a rating or timestamp is not a finite number")
        order = np.lexsort((np.arange(len(time)), time))
        key = user[order].astype(np.int64) * len(self.records) + item[order]
        _, first = np.unique(key, return_index=True)
        _, from_end = np.unique(key[::-1], return_index=True)
        last = order[len(key) - 1 - from_end]
        first = order[first]
        keep = np.argsort(first, kind="stable")
        return Dataset(
            self.name, self.records, tuple(self.users), user[first][keep], item[first][keep],
            rating[last][keep], time[first][keep], tuple(impressions), tuple(dialogues),
        )  # fmt: skip


def number(text: str | None, default: float, where: str) -> float:
    """A cell as a number; empty is `default`. Raises InputError naming the cell."""
    if text is None or not text.strip():
        return default
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{where}: {text!r} is not a number") from None


def _ours(folder: Path) -> Dataset:
    build = Builder(folder.resolve().name, read_jsonl(folder / "items.jsonl"), folder / "items.jsonl")
    path = folder / "interactions.csv"
    with _open(path) as lines:
        table = csv.DictReader(lines)
        missing = {"user", "item"} - set(table.fieldnames or ())
        if missing:
            raise InputError(f"{path}:1 has no column {sorted(missing)[0]!r}; the header must name user and item")
        for row in table:
            where = f"{path}:{table.line_num}"
            if not row["user"] or not row["item"]:
                raise InputError(f"{where} has no user or no item")
            rating = number(row.get("rating"), 1.0, f"{where} rating")
            build.add(row["user"], row["item"], rating, number(row.get("timestamp"), 0.0, f"{where} timestamp"), where)
    impressions = []
    shown = folder / "impressions.jsonl"
    for i, line in enumerate(read_jsonl(shown) if shown.exists() else (), 1):
        where, lists = f"{shown}:{i}", []
        for name in ("history", "candidates", "clicked"):
            if not isinstance(line.get(name), list):
                raise InputError(f"{where} {name}: a list of item ids is expected")
            lists.append(np.array([build.row(id_, f"{where} {name}") for id_ in line[name]], np.int32))
        impressions.append(Impression(str(line.get("user", i)), *lists))
    talks = folder / "dialogues.jsonl"
    return build.build(impressions, read_jsonl(talks) if talks.exists() else ())


def load(folder: str | Path) -> Dataset:
    """Read a data set in our format or as its publisher lays it out. Raises InputError saying what is wrong where."""
    from snowmelt.evals.publishers import LAYOUTS

    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a folder of items.jsonl and interactions.csv")
    layouts: tuple[tuple[tuple[str, ...], Any], ...] = ((("items.jsonl", "interactions.csv"), _ours), *LAYOUTS)
    for patterns, loader in layouts:
        if all(next(folder.glob(pattern), None) for pattern in patterns):
            try:
                return _shuffled(loader(folder))
            except UnicodeDecodeError as error:
                raise InputError(f"{folder}: a file is not UTF-8 text ({error.reason})") from None
            except csv.Error as error:
                raise InputError(f"{folder}: a CSV file cannot be read ({error})") from None
    known = "; ".join(" + ".join(patterns) for patterns, _ in layouts)
    raise InputError(f"{folder} has no layout that is known. Expected one of: {known}")


def _shuffled(data: Dataset) -> Dataset:
    """The same data with its items in the order of their ids' hashes: files often list items as people met them, so
    that neighbours in the file were liked together, and a row number would tell of held-out people."""
    order = np.array(sorted(range(len(data.ids)), key=lambda r: sha256(data.ids[r].encode()).digest()), np.int64)
    new = np.empty(len(order), np.int32)
    new[order] = np.arange(len(order), dtype=np.int32)
    shown = (Impression(s.user, new[s.history], new[s.candidates], new[s.clicked]) for s in data.impressions)
    records = tuple(data.records[r] for r in order)
    return replace(data, records=records, item=new[data.item], impressions=tuple(shown))


def write(data: Dataset, folder: Path) -> None:
    """Write our format. Raises InputError when `folder` already holds one."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "items.jsonl").exists():
        raise InputError(f"{folder} already holds an items.jsonl; give a new folder")

    def lines(name: str, records: Iterable[Record]) -> None:
        with (folder / name).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)

    lines("items.jsonl", data.records)
    with (folder / "interactions.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("user", "item", "rating", "timestamp"))
        for u, i, rating, time in zip(data.user, data.item, data.rating, data.time, strict=True):
            table.writerow((data.users[u], data.ids[i], f"{rating:g}", repr(float(time)).removesuffix(".0")))
    if data.impressions:
        ids = data.ids
        shown = (
            {"user": s.user, **{n: [ids[r] for r in getattr(s, n)] for n in ("history", "candidates", "clicked")}}
            for s in data.impressions
        )
        lines("impressions.jsonl", shown)
    if data.dialogues:
        lines("dialogues.jsonl", data.dialogues)
