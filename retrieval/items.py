"""An item of the catalogue, and how items are read from JSONL or CSV."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from snowmelt.retrieval.errors import InputError

Value = bool | float | str | tuple[str, ...]
LONGEST = 20_000  # characters of a description; what follows is cut
# C0/C1 controls, bidi overrides and isolates, zero-width space, BOM: invisible, and used to hide text from people.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|</?[a-zA-Z][^<>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Item:
    id: str
    title: str
    description: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What is embedded, searched and may be quoted in a reason: title, words of the attributes, description."""
        parts = [self.title]
        for value in self.attributes.values():
            if isinstance(value, tuple):
                parts.append(", ".join(value))
            elif isinstance(value, str):
                parts.append(value)
        return ". ".join(p for p in [*parts, self.description] if p)


def clean(text: str) -> str:
    """Plain text: no markup, no invisible characters, white space folded."""
    return " ".join(unescape(_TAG.sub(" ", _INVISIBLE.sub("", text[: 2 * LONGEST]))).split())[:LONGEST]


def read_items(path: Path, *, strict: bool = False) -> tuple[list[Item], list[str]]:
    """Items and one line for each bad row ("file:line field: reason"). The first of two rows with the same id stays.

    Raises InputError if the file cannot be read at all, holds no good row, or, with `strict`, at the first bad row.
    """
    items: dict[str, Item] = {}
    bad: list[str] = []
    for line, row in _rows(path):
        try:
            item = row if isinstance(row, str) else _item(row)
            if isinstance(item, Item) and item.id in items:
                item = f"id: {item.id!r} is there already"
        except ValueError as error:
            item = str(error)
        if isinstance(item, Item):
            items[item.id] = item
            continue
        bad.append(f"{path}:{line} {item}")
        if strict:
            raise InputError(f"{bad[0]}; mend it or leave out --strict")
    if not items:
        raise InputError(f"{path}: no usable item" + (f" (first: {bad[0]})" if bad else "; the file is empty"))
    return list(items.values()), bad


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a .jsonl or .csv file of items")
    if path.suffix not in (".jsonl", ".csv"):
        raise InputError(f"{path}: {path.suffix or 'no ending'} is not read; give .jsonl or .csv")
    try:
        with path.open(encoding="utf-8-sig", newline="" if path.suffix == ".csv" else None) as file:
            if path.suffix == ".csv":
                reader = csv.DictReader(file)
                for row in reader:
                    yield reader.line_num, {k: v for k, v in row.items() if k and v}
                return
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    yield number, f"line: broken JSON ({error})"
                    continue
                yield number, row if isinstance(row, dict) else "line: not a JSON object"
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; convert it first (iconv -f ... -t utf-8)") from None


def _item(row: dict[str, Any]) -> Item:
    names = {}
    for name in ("id", "title"):
        value = row.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int) or not clean(str(value)):
            raise ValueError(f"{name}: missing or empty")
        names[name] = clean(str(value))
    description = row.get("description") or ""
    attributes = {
        clean(str(k)): v
        for k, raw in row.items()
        if k not in ("id", "title", "description") and (v := _value(raw)) != ""
    }
    return Item(names["id"], names["title"], clean(str(description)), attributes)


def _value(raw: Any) -> Value:
    """A number where it is one, a tuple for a list, else clean text; "" where there is nothing."""
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, int | float):
        return float(raw) if raw == raw and abs(raw) < 1e18 else ""
    if isinstance(raw, list):
        return tuple(t for v in raw if (t := clean(str(v)))) or ""
    text = clean(str(raw)) if raw is not None else ""
    return float(text) if re.fullmatch(r"-?\d{1,15}(\.\d+)?", text) else text
