"""What values the catalogue has, what kind of thing each column holds, and what else people call them."""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from snowmelt.agent.understanding.names import SMALL
from snowmelt.agent.understanding.text import everyday, key_of
from snowmelt.retrieval.items import Schema

# columns of names that mean nothing but themselves: who wants pens does not want "Manuscript Pen"
MAKERS = re.compile(r"brand|maker|manufactur|publisher|label|studio|seller|vendor|store|compan|品牌|厂|出版社|商家|店")
_NAMED = re.compile(
    r"direct|cast|actor|actress|author|artist|writer|star|perform|creator|composer|designer|导演|演员|主演|作者|歌手"
)


class Target(NamedTuple):
    """What a mention means: an item, or a value of an attribute."""

    item_id: str | None
    attribute: str | None
    value: str


def roles_of(schema: Schema) -> dict[str, str]:
    """column -> "person" or "topic", for columns whose values can be mentioned; the most telling columns first.

    A column whose values are mostly names of two words and more, and many, holds people. A column with one value, or
    one of codes, is left out.
    """
    roles = {}
    for name, a in schema.attributes.items():
        if a.kind not in ("list", "category") or len(a.values) < 2 or name in schema.aliases:
            continue
        if re.search(r"(?:^|_)(?:id|ids|url|image|code|sku|asin)$", name.casefold()):
            continue
        sample = list(a.values)[:300]
        named = sum(len(v.split()) > 1 and v[:1].isupper() for v in sample) / len(sample)
        roles[name] = (
            "person"
            if (_NAMED.search(name.casefold()) and named > 0.4) or (named > 0.7 and len(a.values) > 60)
            else "topic"
        )
    return dict(
        sorted(
            roles.items(),
            key=lambda r: (
                len(schema.attributes[r[0]].values) > 200,
                _order(r[0]),
                len(schema.attributes[r[0]].values),
            ),
        )
    )


def _order(name: str) -> int:
    """Genre before mood before theme, category before tags: where one word is a value of several columns."""
    ranked = (
        "genre",
        "categor",
        "mood",
        "theme",
        "director",
        "author",
        "artist",
        "cast",
        "material",
        "colour",
        "color",
        "tag",
    )
    return next((i for i, part in enumerate(ranked) if part in name.casefold()), 6)


def _plurals(key: str) -> Iterable[str]:
    yield key
    head, _, last = key.rpartition(" ")
    head = f"{head} " if head else ""
    if not last.isascii() or len(last) < 3:
        return
    if last.endswith("y") and last[-2] not in "aeiou":
        yield f"{head}{last[:-1]}ies"
    elif last.endswith(("s", "x", "ch", "sh")):
        yield f"{head}{last}es"
        if last.endswith("ies"):
            yield f"{head}{last[:-3]}y"
        elif last.endswith("s") and not last.endswith("ss"):
            yield f"{head}{last[:-1]}"
    else:
        yield f"{head}{last}s"


def values_of(
    schema: Schema, roles: dict[str, str]
) -> tuple[dict[str, tuple[Target, ...]], dict[str, tuple[Target, ...]]]:
    values: dict[str, list[Target]] = defaultdict(list)
    people: dict[str, dict[str, list[Target]]] = defaultdict(lambda: defaultdict(list))
    counts: dict[str, int] = defaultdict(int)
    for name, role in roles.items():
        for value, count in schema.attributes[name].values.items():
            key = key_of(value)
            target = Target(None, name, value)
            forms = [*_plurals(key)] if role == "topic" else [key]
            if "&" in value:
                forms.append(key_of(value.replace("&", " and ")))
            for form in dict.fromkeys(forms):
                if form and target not in values[form]:
                    values[form].append(target)
            if role == "person":
                counts[key] += count
                words = key.split()
                pieces = {" ".join(words[i:]) for i in range(1, len(words))} | {" ".join(words[:2])}
                if len(words) > 1 and not everyday(words[0], 8000):
                    pieces.add(f"{words[0]} *")  # a first name: only where it is written with a capital
                for piece in pieces - {key}:
                    if len(piece) > 2 and piece not in SMALL and not (" " not in piece and len(piece) < 3):
                        people[piece][key].append(target)
    found = {}
    for piece, who in people.items():
        ranked = sorted(who, key=lambda k: -counts[k])
        # a surname that several share means the one most present, if clearly; else all of them are offered
        if len(ranked) == 1 or counts[ranked[0]] >= 2 * counts[ranked[1]]:
            ranked = ranked[:1]
        found[piece] = tuple(t for key in ranked[:4] for t in who[key])
    return {k: tuple(v) for k, v in values.items()}, found


def alias_lines() -> Iterable[tuple[str, list[str]]]:
    text = files("snowmelt.agent.understanding").joinpath("aliases.tsv").read_text("utf-8")
    for line in text.splitlines():
        spec, tab, phrases = line.partition("\t")
        if tab and not line.startswith("#"):
            yield spec, phrases.split("|")


@cache
def chinese_names() -> dict[str, str]:
    """Folded value -> its first Chinese alias, how it is said in Chinese."""
    found: dict[str, str] = {}
    for spec, phrases in alias_lines():
        han = next((p for p in phrases if re.fullmatch("[一-鿿]+", p) and not p.endswith("映画")), "")
        for part in re.split(r"[|+]", spec) if han else ():
            found.setdefault(key_of(part.rpartition(":")[2]), han)
    return found


def aliases_of(
    values: dict[str, tuple[Target, ...]], schema: Schema
) -> dict[str, tuple[tuple[Target, ...], tuple[Target, ...]]]:
    """phrase -> (targets, others meant with the first): the lines of aliases.tsv that this catalogue can use."""
    found: dict[str, tuple[tuple[Target, ...], tuple[Target, ...]]] = {}

    def resolve(spec: str) -> tuple[Target, ...]:
        for one in spec.split("|"):
            column, _, value = one.rpartition(":")
            hits = tuple(t for t in values.get(key_of(value), ()) if not column or t.attribute == column)
            hits = tuple(t for t in hits if key_of(t.value) == key_of(value)) or hits
            if hits:
                return hits
        return ()

    for spec, phrases in alias_lines():
        together = [resolve(part) for part in spec.split("+")]
        if not together[0]:
            continue
        also = tuple(t[0] for t in together[1:] if t)
        for phrase in phrases:
            key = key_of(phrase)
            targets = together[0]
            if key in found:
                targets = (*found[key][0], *(t for t in targets if t not in found[key][0]))
            if key:
                found[key] = (targets, also)
    return found
