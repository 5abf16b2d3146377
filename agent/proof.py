"""What may be said of an item: spans of its own text and values, never what was only guessed of it.

`verified` is the gate through which every reason goes; what does not pass it is not shown.
"""

import re
from dataclasses import replace

from snowmelt.agent.phrases import LANGUAGES, label, parsed, said_in, titles
from snowmelt.agent.types import Profile, Reason
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.items import Item

_PIECE = r"[^\s,;]+(?: [^\s,;]+){0,3}"
LIST = re.compile(rf"(?:[^,;:]{{2,30}}:\s*(?:{_PIECE}[,;]\s*){{2,}}|(?:{_PIECE}[,;]\s*){{6,}}){_PIECE}\.?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def verified(reason: Reason, item: Item, profile: Profile, catalogue: Catalogue | None = None) -> bool:
    """Is the text one of the templates, filled with nothing but spans of `item`, titles that the person likes and words
    that they said; and do `span` and `evidence` stand there too? Without `catalogue` a liked item is known only by the
    name that the person called it."""
    item = certain(item)
    said = {e.evidence or e.text for e in profile.likes} | {c.evidence or c.words() for c in profile.constraints}
    if reason.evidence not in said or not _in_item(reason.span, item):
        return False
    named = {e.text.casefold() for e in profile.likes if e.item_id}
    for id_ in profile.liked_ids:
        if catalogue is not None and id_ in catalogue.rows:
            named |= {t.casefold() for t in titles(catalogue.items[catalogue.rows[id_]])}
    labels = {label(name, language).casefold() for name in item.attributes for language in LANGUAGES}
    checks = {
        "item": lambda text: _in_item(text, item) or _in_item(text[:1].lower() + text[1:], item),  # it may begin it
        "title": lambda text: text.casefold() in named,
        "said": lambda text: any(text in words for words in said),
        "label": lambda text: text.casefold() in labels,
    }
    return any(all(checks[name](part) for name, part in parts.items()) for parts in parsed(reason.text))


def certain(item: Item) -> Item:
    """The item without what was guessed of it."""
    if not item.guessed:
        return item
    return replace(item, attributes={n: v for n, v in item.attributes.items() if n not in item.guessed})


def values_of(value: object) -> list[str]:
    """Strings of a list, category or text; nothing for numbers, booleans and dates."""
    if isinstance(value, tuple):
        return list(value)
    return [value] if isinstance(value, str) and not _DATE.fullmatch(value) else []


def listed(item: Item) -> list[str]:
    """What a description lists instead of telling ("Listener tags: darkwave, german, gothic")."""
    found = []
    for sentence in re.split(r"(?<=[.!?])\s+|\n", item.description):
        if LIST.fullmatch(sentence):
            found += [part.strip() for part in re.split(r"[,;]", sentence.partition(":")[2] or sentence)]
    return [part for part in found if part]


def _in_item(text: str, item: Item) -> bool:
    """Is it a span of the title or description, a value or a number of the item, or a list of its values?"""
    if not text.strip():
        return False
    if any(text in t for t in (item.title, item.description, *titles(item))):
        return True
    values = [v for value in item.attributes.values() for v in values_of(value)]
    numbers = [f"{v:g}" for v in item.attributes.values() if isinstance(v, float)]
    if text in numbers or any(text in v for v in item.attributes.values() if isinstance(v, str)):
        return True
    left = text
    names = {*values, *(said_in(v, "zh") for v in values), *listed(item)}
    for name in sorted(names, key=len, reverse=True):
        left = left.replace(name, "\0")
    return re.fullmatch(r"\0(?:(?:, | and |、)\0)*", left) is not None
