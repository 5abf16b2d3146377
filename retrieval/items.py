"""What a catalogue holds: items, and the schema that ingestion infers for their attributes."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from html import unescape
from pathlib import Path
from typing import Any, Literal

from snowmelt.retrieval.errors import InputError

Value = bool | float | str | tuple[str, ...]
"""number -> float, date -> "YYYY-MM-DD", list -> tuple of strings, category and text -> str."""

Kind = Literal["number", "date", "category", "list", "text", "boolean"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# An address or a code ("https://...", "tt0114709", "4006381333931"): one word with digits or slashes, nothing to read.
# ASCII only: a Chinese sentence has no spaces either.
_CODE = re.compile(r"(?=[!-~]*[\d/])[!-~]{6,}")

LONGEST = 20_000  # characters of a description; what follows is cut
# C0/C1 controls, bidi overrides and isolates, zero-width space, BOM: invisible, and used to hide text from people.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|</?[a-zA-Z][^<>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be recommended. `attributes` holds only what is known of it, already typed."""

    id: str
    title: str
    description: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """`item_text` for code that has no schema at hand: nothing is left out but numbers, booleans and dates."""
        names = [n for n, v in self.attributes.items() if not isinstance(v, str) or not _DATE.fullmatch(v)]
        return _joined(self, sorted(names, key=lambda name: not is_alias(name)))


@dataclass(frozen=True, slots=True)
class Attribute:
    """One column: its kind and what is known of its values.

    `known` counts the items that have it. `minimum` and `maximum` are numbers or ISO dates, None for other kinds.
    `values` (category, list) counts items per value, the 5,000 most frequent, descending.
    """

    name: str
    kind: Kind
    known: int = 0
    minimum: float | str | None = None
    maximum: float | str | None = None
    values: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schema:
    """Attributes in the order of the file, over `count` items. `aliases` name those that hold other titles."""

    attributes: dict[str, Attribute] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    count: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Schema":
        raw = json.loads(text)
        attributes = {name: Attribute(**attribute) for name, attribute in raw["attributes"].items()}
        return cls(attributes, tuple(raw["aliases"]), raw["count"])


def is_alias(name: str) -> bool:
    """Does an attribute of this name hold other titles of the item ("original_title", "title_zh")?"""
    return "title" in name.casefold()


def item_text(item: Item, schema: Schema) -> str:
    """What is embedded, indexed by BM25 and may be quoted in a reason. Plain text; the same for the same input.

    Title, other titles, list, category and text attributes in the order of the schema, description. Numbers, dates,
    booleans are left out (they are filters), and so are web addresses and codes in text attributes.
    """
    names = [*schema.aliases]
    for name, attribute in schema.attributes.items():
        if name in schema.aliases or attribute.kind not in ("list", "category", "text"):
            continue
        value = item.attributes.get(name)
        if attribute.kind == "text" and isinstance(value, str) and _CODE.fullmatch(value):
            continue
        names.append(name)
    return _joined(item, names)


def _joined(item: Item, names: list[str]) -> str:
    parts = [item.title]
    for name in names:
        value = item.attributes.get(name)
        if isinstance(value, tuple):
            parts.append(", ".join(value))
        elif isinstance(value, str):
            parts.append(value)
    return ". ".join(dict.fromkeys(p for p in [*parts, item.description] if p))


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
