"""Columns of unknown kind, seen one value at a time: what each of them is, and its values as that kind.

Only counts are kept, so a stream of any length fits, and the order of the rows does not matter. With "most" meaning
nine tenths of the known values, and the first rule that holds:
1. A value that is a list (in JSON, or a cell like `["a", "b"]` or `['a', 'b']`) makes the column a list.
2. Most are true/false (or yes/no): boolean.
3. Most are numbers: number. Digits in a string count, with thousands commas and a currency sign ("$1,299.00"); digits
   that start with a needless zero do not: they are a code. A year is a number.
4. Most start with an ISO date: date.
5. A tenth or more contain "|" (or else ";"), and no part between is longer than 60 characters: list.
6. No value is longer than 80 characters, and there are at most ten different ones, or at most 50,000 and four fifths
   of the known: category. Columns that hold other titles never are.
7. Anything else: text.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, cast

from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.items import KINDS, Kind, Value, clean, is_alias

Raw = bool | int | float | str | list[str]
"""A value as read, before its column's kind is known; JSON can hold it."""

MOST = 0.9
_NUMBER = re.compile(r"([$€£¥]\s*)?-?(0|[1-9]\d{0,14}|[1-9]\d{0,2}(,\d{3})+)(\.\d+)?(\s*[€£¥]|\s(EUR|USD|GBP|CNY))?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)")
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
_ABSENT = {"", "null", "none", "nan", "n/a", "#n/a"}
_DELIMITERS = ("|", ";")


def raw_value(value: Any) -> Raw | None:
    """What a reader hands on: plain text, finite numbers, lists of texts; None where nothing is known.

    Of an object in a list its "name" is taken. Raises ValueError with the reason for other nested values.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if value != value or value in (float("inf"), float("-inf")):
            return None
        return value if abs(value) < 2**53 else f"{value:d}" if isinstance(value, int) else f"{value:.0f}"
    if isinstance(value, str):
        text = clean(value)
        if text[:1] == "[" and text[-1:] == "]":
            parsed = _written_list(text)
            if parsed is not None:
                return raw_value(parsed)
        return None if text.casefold() in _ABSENT else text
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        parts = [v.get("name") if isinstance(v, Mapping) else v for v in value]
        if any(isinstance(v, Mapping | list | tuple) for v in parts):
            raise ValueError("lists inside lists are not read; make it a list of texts")
        texts = (_text(raw) for part in parts if (raw := raw_value(part)) is not None)
        return list(dict.fromkeys(filter(None, texts))) or None
    if isinstance(value, Mapping):
        raise ValueError("objects are not read; give its parts columns of their own")
    return raw_value(str(value))  # decimals, bytes-free scalars of Arrow


def _written_list(text: str) -> list[Any] | None:
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return value if isinstance(value, list) else None
    return None


def _text(raw: Raw) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, list):
        return ", ".join(raw)
    return f"{raw:.15g}" if isinstance(raw, float) else str(raw)


@dataclass
class Column:
    """Counts over the values of one column."""

    known: int = 0
    lists: int = 0
    booleans: int = 0
    numbers: int = 0
    dates: int = 0
    longest: int = 0
    delimited: list[int] = field(default_factory=lambda: [0] * len(_DELIMITERS))
    longest_part: list[int] = field(default_factory=lambda: [0] * len(_DELIMITERS))
    different: set[int] = field(default_factory=set)

    def see(self, raw: Raw) -> None:
        self.known += 1
        if isinstance(raw, bool):
            self.booleans += 1
        elif isinstance(raw, int | float):
            self.numbers += 1
        elif isinstance(raw, list):
            self.lists += 1
            return
        else:
            if _NUMBER.fullmatch(raw):
                self.numbers += 1
            elif _DATE.match(raw):
                self.dates += 1
            elif raw.casefold() in _BOOLEANS:
                self.booleans += 1
            for i, delimiter in enumerate(_DELIMITERS):
                if delimiter in raw:
                    self.delimited[i] += 1
                    self.longest_part[i] = max(self.longest_part[i], *map(len, map(str.strip, raw.split(delimiter))))
        text = _text(raw)
        self.longest = max(self.longest, len(text))
        if len(self.different) <= 50_000:
            self.different.add(hash(text))  # equal within a process, which is all that counting needs

    def kind(self, alias: bool) -> tuple[Kind, str]:
        """The kind and, for a list of strings, the delimiter ("" if it has none)."""
        if self.lists:
            return "list", ""
        counts: tuple[tuple[Kind, int], ...] = (
            ("boolean", self.booleans),
            ("number", self.numbers),
            ("date", self.dates),
        )
        for kind, count in counts:
            if count >= MOST * self.known:
                return kind, ""
        for i, delimiter in enumerate(_DELIMITERS):
            if self.delimited[i] >= 0.1 * self.known and self.longest_part[i] <= 60:
                return "list", delimiter
        few = len(self.different) <= max(10, min(50_000, 0.8 * self.known))
        return ("category" if few and self.longest <= 80 and not alias else "text"), ""

    def delimiter(self) -> str:
        """For a column that the user calls a list: the delimiter that most of its cells have, "," if none has any."""
        best = max(range(len(_DELIMITERS)), key=lambda i: self.delimited[i])
        return _DELIMITERS[best] if self.delimited[best] else ","


def typed(raw: Raw, kind: Kind, delimiter: str) -> Value:
    """`raw` as `kind`. Raises ValueError with the reason where it is none."""
    if kind == "number":
        if isinstance(raw, str) and _NUMBER.fullmatch(raw):
            return float(re.sub(r"[^\d.-]", "", raw))
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            return float(raw)
    elif kind == "boolean":
        if isinstance(raw, str):
            raw = _BOOLEANS.get(raw.casefold(), raw)
        if raw in (True, False):
            return bool(raw)
        if raw in ("0", "1"):
            return raw == "1"
    elif kind == "date":
        if isinstance(raw, str) and _DATE.match(raw):
            return date.fromisoformat(raw[:10]).isoformat()
    elif kind == "list":
        if isinstance(raw, str) and delimiter:
            raw = [part for part in map(str.strip, raw.split(delimiter)) if part]
        return tuple(dict.fromkeys(raw if isinstance(raw, list) else [_text(raw)]))
    else:
        return _text(raw)
    raise ValueError(f"{_text(raw)[:40]!r} is not a {kind}")


class Inference:
    """The columns of a stream: `see` every row's values, `decide` once, then `attributes` types each row's values."""

    def __init__(self, kinds: Mapping[str, str], title_field: str = "title") -> None:
        """`kinds` overrides what is inferred, by column. Raises InputError for an unknown kind."""
        for name, kind in kinds.items():
            if kind not in KINDS:
                raise InputError(f"kind {kind!r} of {name!r} is not known; there are {', '.join(KINDS)}")
        self.aliases: tuple[str, ...] = ()
        self._columns: dict[str, Column] = {}
        self._overrides, self._title_field = kinds, title_field
        self.kinds: dict[str, tuple[Kind, str]] = {}

    def see(self, values: Mapping[str, Raw]) -> None:
        for name, raw in values.items():
            column = self._columns.get(name)
            if column is None:
                if len(self._columns) == 1000:
                    raise InputError("more than 1,000 different columns; put what varies into one list or text column")
                column = self._columns[name] = Column()
            column.see(raw)

    def decide(self) -> None:
        """Settle the kinds, sorted by name. Raises InputError if an override names a column that is not there."""
        for name in self._overrides:
            if name not in self._columns:
                there = ", ".join(sorted(self._columns)) or "none"
                raise InputError(f"kind of {name!r}: no such column; there are {there}")
        aliases = []
        for name, column in sorted(self._columns.items()):
            alias = is_alias(name, self._title_field)
            kind, delimiter = column.kind(alias)
            if override := self._overrides.get(name):
                kind, delimiter = cast(Kind, override), column.delimiter()
            self.kinds[name] = kind, delimiter
            if alias and kind in ("text", "category", "list"):
                aliases.append(name)
        self.aliases = tuple(aliases)

    def attributes(self, values: Mapping[str, Raw]) -> tuple[dict[str, Value], list[str]]:
        """Typed values sorted by name, and a "field: reason" for each one that is left out."""
        attributes, problems = {}, []
        for name in sorted(values):
            try:
                value = typed(values[name], *self.kinds[name])
            except ValueError as error:
                problems.append(f"{name}: {error}")
            else:
                if value != ():
                    attributes[name] = value
        return attributes, problems
