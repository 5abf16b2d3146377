"""Tags of new items: values of the catalogue's own attributes that an item came without, kept beside it in DIR/tags.

They are laid over the items when a catalogue is opened: such items can be filtered, asked about and found. They are
guesses, `Item.guessed` names them, and nothing is claimed by them. A tag holds for the text that it was made from and
where the item still has no value of its own.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.items import Item, Value

Tags = Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]]
"""Item id -> (digest of its text, values by attribute)."""


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


def stored(directory: Path) -> Tags:
    """What `add` left; nothing where nothing was. A line cut short by a kill is left out."""
    found: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {}
    path = directory / "tags" / "tags.jsonl"
    if not path.exists():
        return found
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                id_, mark, attributes = json.loads(line)
                found[id_] = mark, {name: tuple(map(str, values)) for name, values in attributes.items()}
            except (ValueError, TypeError, AttributeError):
                continue
    return found


def add(directory: Path, tags: Tags) -> None:
    """Appends to what is stored; the newest line of an item counts. Raises InputError if it cannot be written."""
    path = directory / "tags" / "tags.jsonl"
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:  # a line break first: the line before may have been cut short
            for id_, (mark, values) in tags.items():
                file.write(f"\n{json.dumps([id_, mark, {n: list(v) for n, v in values.items()}], ensure_ascii=False)}")
            file.write("\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; tags cannot be kept there") from None
