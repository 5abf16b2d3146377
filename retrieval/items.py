"""What a catalogue holds: items, their schema, and the one text of an item that is embedded, indexed and quoted."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import unescape
from typing import Any, Literal, get_args

Value = bool | float | str | tuple[str, ...]
"""number -> float, date -> "YYYY-MM-DD", list -> tuple of strings, category and text -> str."""

Kind = Literal["number", "date", "category", "list", "text", "boolean"]
KINDS: tuple[str, ...] = get_args(Kind)

LONGEST = 20_000  # characters of a text; what follows is cut

# An address or a code ("https://...", "tt0114709", "4006381333931"): one word with digits or slashes, nothing to read.
# ASCII only: a Chinese sentence has no spaces either.
_CODE = re.compile(r"(?=[!-~]*[\d/])[!-~]{6,}")
# Controls, bidi marks, overrides and isolates, zero-width and filler characters, variation selectors, tags, lone
# surrogates: invisible, and used to hide text from people or bytes from everybody (Unicode tags spell ASCII). Joiners
# and the two selectors of emoji stay, two in a row at most: Persian and emoji need them, a longer row is a code.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e"
    "\u200f\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff"
    "\U000e0000-\U000e0fff]|(?<=[\u200c\u200d\ufe0e\ufe0f]{2})[\u200c\u200d\ufe0e\ufe0f]+"
)
_BREAK = re.compile("\r\n?|[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_TAG = re.compile(r"<!--|-->|</?[a-zA-Z][^<>]*>")
_HIDDEN = re.compile(r"<(!--|script\b|style\b)", re.IGNORECASE)  # what stands inside is not for people either
_WORDS = re.compile(r"[A-Z]?[^\W_A-Z]+|[A-Z]+")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be recommended. `attributes` holds only what is known of it, already typed; those named in
    `guessed` were read out of its text (`tagging`): nothing may be claimed by them. `summary`: the text in a sentence
    or two, where it is long and that was made."""

    id: str
    title: str
    description: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    guessed: frozenset[str] = frozenset()
    summary: str = ""


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
    """Attributes sorted by name, over `count` items. `aliases` name those that hold other titles of an item.

    The order of the rows it was inferred from changes nothing in it.
    """

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


def is_alias(name: str, title_field: str = "title") -> bool:
    """Does an attribute of this name hold other titles ("original_title", "titleZh", "aka"), not a "subtitle"?

    `title_field` is what the source calls the title: where that is "name", so is "name_zh".
    """
    words = {word.casefold() for word in _WORDS.findall(name)}
    return bool(words & {"title", "titles", "aka", "alias", "aliases", title_field.casefold()})


def item_text(item: Item, schema: Schema) -> str:
    """What is embedded, indexed by BM25 and may be quoted in a reason. Plain text; the same for the same input.

    Title, other titles, list, category and text attributes in the order of the schema (by name), description.
    Numbers, dates and booleans are left out (they are filters), and so are web addresses and codes in text attributes.
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


def _joined(item: Item, names: Sequence[str]) -> str:
    parts = [item.title]
    for name in names:
        value = item.attributes.get(name)
        if isinstance(value, tuple):
            parts.append(", ".join(value))
        elif isinstance(value, str):
            parts.append(value)
    return ". ".join(dict.fromkeys(p for p in [*parts, item.description] if p))


def clean(text: str) -> str:
    """Plain text: no markup, no invisible characters, NFC, white space folded, at most `LONGEST` characters."""
    if text.isascii() and text.isprintable() and "<" not in text and "&" not in text:
        return " ".join(text[:LONGEST].split())
    text = text[: 4 * LONGEST]
    if "<" in text or "&" in text:
        text = _without_markup(unescape(_without_markup(text)))  # twice: shops escape their markup, too
    return " ".join(unicodedata.normalize("NFC", _INVISIBLE.sub("", text)).split())[:LONGEST]


def visible(text: str) -> str:
    """What a person sees of a text, as it was written: no invisible characters, "\\n" for every kind of line break."""
    if text.isascii() and text.isprintable():
        return text
    return _INVISIBLE.sub("", _BREAK.sub("\n", text))


def clean_id(text: str) -> str:
    """An id as it came, "<", "&" and "/" included, without invisible characters and with white space folded."""
    return " ".join(_INVISIBLE.sub("", text).split())


def _without_markup(text: str) -> str:
    kept, at = [], 0
    while start := _HIDDEN.search(text, at):
        end = text.find("-->", start.end()) if start[1] == "!--" else _closing(text, start[1], start.end())
        if end < 0:
            break
        kept.append(text[at : start.start()])
        at = end
    return _TAG.sub(" ", " ".join([*kept, text[at:]]))


def _closing(text: str, name: str, at: int) -> int:
    found = re.compile(f"</{name}", re.IGNORECASE).search(text, at)
    return found.start() if found else -1


def to_row(item: Item) -> dict[str, Any]:
    """A line of items.jsonl, as JSON sees it; `from_row` turns it back."""
    return {
        "id": item.id,
        "title": item.title,
        "description": item.description,
        "attributes": {k: list(v) if isinstance(v, tuple) else v for k, v in item.attributes.items()},
    }


def from_row(row: Mapping[str, Any]) -> Item:
    attributes = {k: tuple(v) if isinstance(v, list) else v for k, v in row["attributes"].items()}
    return Item(row["id"], row["title"], row["description"], attributes)
