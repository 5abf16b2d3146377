"""Files of items, one row at a time: JSON lines, CSV (or TSV), Parquet. A bad row is told, not fatal."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.inference import Inference, Raw, raw_value
from snowmelt.retrieval.items import LONGEST, Item, Value, clean, clean_id, visible

ENDINGS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_LONGEST_CELL = 16 * 2**20  # characters; an unclosed quote must not swallow gigabytes


@dataclass(frozen=True, slots=True)
class Row:
    """A row as read. `where` is "file:line". With a `problem` ("field: reason") it holds no item.

    `notes` are problems of single values, which are left out. `shortened`: the description was cut at `LONGEST`.
    """

    where: str
    problem: str = ""
    id: str = ""
    title: str = ""
    description: str = ""
    values: dict[str, Raw] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shortened: bool = False


@dataclass
class BadRows:
    """Counts what is wrong and keeps the first 100 lines ("file:line field: reason"); `strict` raises at the first."""

    strict: bool = False
    count: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, where: str, problem: str) -> None:
        line = f"{where} {problem}"
        if self.strict:
            raise InputError(f"{line}; mend it or leave out --strict")
        self.count += 1
        if len(self.lines) < 100:
            self.lines.append(line)


def read_items(
    path: Path,
    *,
    fields: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    strict: bool = False,
) -> tuple[list[Item], list[str]]:
    """All items of a file in memory, typed, and one line for each bad row or value (the first 100).

    For small catalogues and tests; `indexing.build` streams. Raises InputError as `good_rows` does.
    """
    bad, inference = BadRows(strict), Inference(kinds or {}, (fields or {}).get("title", "title"))
    rows = list(good_rows(path, fields or {}, bad))
    for row in rows:
        inference.see(row.values)
    inference.decide()
    items = []
    for row in rows:
        attributes, problems = inference.attributes(row.values)
        for problem in problems:
            bad.add(row.where, problem)
        items.append(Item(row.id, row.title, row.description, attributes))
    return items, bad.lines


def good_rows(source: Path | Iterable[Item], fields: Mapping[str, str], bad: BadRows) -> Iterator[Row]:
    """Rows that hold an item; of two with the same id the first. What is wrong goes to `bad`.

    `fields` maps our names to the source's: {"title": "name"}. Raises InputError if the file cannot be read at all,
    lacks a column of `fields`, id or title, or holds no good row.
    """
    rows = _rows(source, fields) if isinstance(source, Path) else _rows_of(source)
    seen: set[int] = set()  # hashes, not ids: a million fit; two equal ones among them have a chance of 1 in 10 million
    for row in rows:
        problem = row.problem
        if not problem and hash(row.id) in seen:
            problem = f"id: {row.id!r} is there already"
        if problem:
            bad.add(row.where, problem)
            continue
        for note in row.notes:
            bad.add(row.where, note)
        seen.add(hash(row.id))
        yield row
    if not seen:
        name = source if isinstance(source, Path) else "items"
        raise InputError(f"{name}: no usable item" + (f" (first: {bad.lines[0]})" if bad.lines else "; it is empty"))


def _rows_of(items: Iterable[Item]) -> Iterator[Row]:
    for number, item in enumerate(items, 1):
        values: dict[str, Raw] = {k: _seen(v) for k, v in item.attributes.items()}
        texts = [" ".join(visible(text).split()) for text in (item.title, item.description)]
        id_, problem = clean_id(item.id), "" if texts[0] and item.id.strip() else "id or title: missing or empty"
        yield Row(f"item {number}", problem, id_, texts[0], texts[1][:LONGEST], values)


def _seen(value: Value) -> Raw:
    if isinstance(value, tuple):
        return [visible(part) for part in value]
    return visible(value) if isinstance(value, str) else value


def _rows(path: Path, fields: Mapping[str, str]) -> Iterator[Row]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a file of items ({', '.join(ENDINGS)})")
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: {path.suffix or 'no ending'} is not read; give one of {', '.join(ENDINGS)}")
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError(f"{path}: UTF-16, not UTF-8; convert it first (iconv -f utf-16 -t utf-8)")
    suffix = path.suffix.lower()
    cells = _parquet(path, fields) if suffix == ".parquet" else _json(path) if "js" in suffix else _csv(path, fields)
    for line, found in cells:
        where = f"{path}:{line}"
        if isinstance(found, str):
            yield Row(where, found)
            continue
        try:
            yield _row(where, found, fields)
        except ValueError as error:
            yield Row(where, str(error))


def _json(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            try:
                found = json.loads(line.decode())
            except UnicodeDecodeError as error:
                yield number, f"line: not UTF-8 (byte 0x{line[error.start]:02x} at {error.start + 1}); convert the file"
            except (ValueError, RecursionError) as error:
                yield number, f"line: broken JSON ({error})"
            else:
                yield number, found if isinstance(found, dict) else "line: not a JSON object"


def _csv(path: Path, fields: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    csv.field_size_limit(_LONGEST_CELL)
    # surrogateescape lets a row of another encoding be told by its line, instead of ending the file.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        first = file.readline()
        delimiter = max(",;\t|", key=first.count)
        reader = csv.reader(chain([first], file), delimiter=delimiter)
        header = [name.strip() for name in next(reader, [])]
        _columns_there(path, header, fields)
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, f"line: broken CSV ({error})"
                continue
            if not row:
                continue
            if len(row) != len(header):
                yield line, f"line: {len(row)} cells, the header has {len(header)}"
            elif any(map(_undecoded, row)):
                name = next(n for n, cell in zip(header, row, strict=True) if _undecoded(cell))
                yield line, f"{name}: not UTF-8; convert the file (iconv -f ... -t utf-8)"
            else:
                yield line, {name: cell for name, cell in zip(header, row, strict=True) if name and cell}


def _undecoded(cell: str) -> bool:
    return not cell.isascii() and any("\udc80" <= c <= "\udcff" for c in cell)


def _parquet(path: Path, fields: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise InputError(f"{path}: reading Parquet needs pyarrow; pip install 'snowmelt[parquet]'") from None
    try:
        with ParquetFile(path) as file:
            _columns_there(path, file.schema_arrow.names, fields)
            rows = (row for batch in file.iter_batches(batch_size=1000) for row in batch.to_pylist())
            yield from enumerate(rows, 1)
    except ArrowException as error:
        raise InputError(f"{path}: broken Parquet ({str(error).splitlines()[0]})") from None


def _columns_there(path: Path, header: list[str], fields: Mapping[str, str]) -> None:
    if double := next((name for name in header if header.count(name) > 1), None):
        raise InputError(f"{path}:1 {double}: two columns have this name; rename one")
    for ours in dict.fromkeys(["id", "title", *fields]):
        name = fields.get(ours, ours)
        if name not in header:
            raise InputError(
                f"{path}:1 {ours}: no column {name!r}; there are {', '.join(header)}; fields can be mapped"
            )


def _row(where: str, cells: dict[str, Any], fields: Mapping[str, str]) -> Row:
    if fields:
        theirs = {name: ours for ours, name in fields.items()}
        cells = {theirs.get(name, name): v for name, v in cells.items() if name in theirs or name not in fields}
    id_, title = _name(cells.get("id"), "id", clean_id), _name(cells.get("title"), "title", clean)
    if len(id_) > 500:
        raise ValueError("id: longer than 500 characters")
    text = cells.get("description") or ""
    text = " ".join(map(str, text)) if isinstance(text, list) else str(text)
    values: dict[str, Raw] = {}
    notes = []
    for key, value in cells.items():
        if key in ("id", "title", "description"):
            continue
        try:
            raw = raw_value(value)
        except ValueError as error:
            notes.append(f"{key}: {error}")
        else:
            if raw is not None and (name := clean(str(key))[:100]):
                values[name] = raw
    description = clean(text)
    shortened = len(text) > LONGEST and len(description) > LONGEST - 100
    return Row(where, "", id_, title, description, values, tuple(notes), shortened)


def _name(value: Any, field_name: str, cleaned: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas turns whole columns into floats where one cell is empty
    if isinstance(value, bool) or not isinstance(value, str | int) or not (text := cleaned(str(value))):
        raise ValueError(f"{field_name}: missing or empty")
    return text
