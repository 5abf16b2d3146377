"""What was made of an item's text: tags where it came without values, and a short profile where the text is long.

Both are kept beside the catalogue, in DIR/tags, and laid over the items when it is opened. Tags are values of the
catalogue's own attributes: such items can be filtered, asked about and found. They are guesses, `Item.guessed` names
them, and nothing is claimed by them. A short profile is shown in the place of the text, `Item.summary`. Both hold for
the text that they were made from, and a tag where the item still has no value of its own.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.items import Item, Value

Tags = Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]]
"""Item id -> (digest of its text, values by attribute)."""
Summaries = Mapping[str, tuple[str, str, str]]
"""Item id -> (digest of its text, the model that made it, the short profile)."""


@dataclass(frozen=True)
class Made:
    """All that was made for one catalogue."""

    tags: Tags = field(default_factory=dict)
    summaries: Summaries = field(default_factory=dict)

    @classmethod
    def of(cls, directory: Path) -> "Made":
        return cls(stored(directory), stored_summaries(directory))

    def over(self, item: Item, kinds: Mapping[str, str]) -> Item:
        """The item with its tags and its short profile. `kinds` of attributes by name."""
        return summarised(tagged(item, self.tags, kinds), self.summaries)


def digest(item: Item) -> str:
    return sha256(f"{item.title}\0{item.description}".encode("utf-8", "replace")).hexdigest()[:16]


def tagged(item: Item, tags: Tags, kinds: Mapping[str, str]) -> Item:
    """The item with its tags where it has no value, if they were made from this text."""
    found = tags.get(item.id)
    if found is None or found[0] != digest(item):
        return item
    more: dict[str, Value] = {
        name: values if kinds[name] == "list" else values[0]
        for name, values in found[1].items() if values and name in kinds and name not in item.attributes
    }  # fmt: skip
    return replace(item, attributes={**item.attributes, **more}, guessed=frozenset(more)) if more else item


def summarised(item: Item, summaries: Summaries) -> Item:
    """The item with its short profile, if it was made from this text."""
    found = summaries.get(item.id)
    return item if found is None or found[0] != digest(item) else replace(item, summary=found[2])


def stored(directory: Path) -> Tags:
    """What `add` left; nothing where nothing was. A line cut short by a kill is left out."""
    found: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {}
    for row in _rows(directory / "tags" / "tags.jsonl"):
        try:
            id_, mark, attributes = row
            found[id_] = mark, {name: tuple(map(str, values)) for name, values in attributes.items()}
        except (ValueError, TypeError, AttributeError):
            continue
    return found


def stored_summaries(directory: Path) -> Summaries:
    """What `add_summaries` left; as `stored`."""
    found: dict[str, tuple[str, str, str]] = {}
    for row in _rows(directory / "tags" / "summaries.jsonl"):
        try:
            id_, mark, model, text = row
            found[id_] = str(mark), str(model), str(text)
        except (ValueError, TypeError):
            continue
    return found


def add(directory: Path, tags: Tags) -> None:
    """Appends to what is stored; the newest line of an item counts. Raises InputError if it cannot be written."""
    rows = ([id_, mark, {n: list(v) for n, v in values.items()}] for id_, (mark, values) in tags.items())
    _append(directory / "tags" / "tags.jsonl", rows)


def add_summaries(directory: Path, summaries: Summaries) -> None:
    """As `add`."""
    _append(directory / "tags" / "summaries.jsonl", ([id_, *made] for id_, made in summaries.items()))


def _rows(path: Path) -> Iterator[Any]:
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _append(path: Path, rows: Iterable[list[Any]]) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:  # a line break first: the line before may have been cut short
            for row in rows:
                file.write(f"\n{json.dumps(row, ensure_ascii=False)}")
            file.write("\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; nothing can be kept there") from None
