"""Reasons for a list: templates around spans of the item and words of the person; only what is `verified` is shown."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from snowmelt.agent.phrases import CHINESE, Language, filled, joined, kinds, label, said_in, short, title_in
from snowmelt.agent.proof import certain, listed, values_of, verified
from snowmelt.agent.quoting import Quote, quotes, stems
from snowmelt.agent.types import Entry, Profile, Reason
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.items import Item

MOST = 2  # reasons for one item
NEWEST = 0.8  # by which what was asked for last is worth more
SECOND = 0.7  # worth of a reason that is not the only one
COMMON = 0.25  # of all items: what more than these share is no reason
_WORDY = 60  # characters of a value that is worth naming
# Columns in which two items agree by chance: only who asked for the value is told of it.
COINCIDENCE = re.compile(
    r"titles?$|title_|countr|nation|region|origin|languages?$|^lang|currenc|year|date|decade|added|rating|stock|size|^unit"
    r"|国家|地区|语言|年份|日期|货币|评级|尺寸", re.IGNORECASE
)  # fmt: skip

# How much a reason says; what is shared and stands in no line here counts 1.4.
_WORTH = {
    "quote": 3.0, "directors": 2.6, "asked": 2.4, "named": 1.2, "cast": 2.2, "themes": 2.2, "moods": 2.0,
    "materials": 2.0,
    "brand": 1.6, "echo": 1.5, "limit": 1.0, "countries": 0.6, "languages": 0.3, "colours": 0.8,
}  # fmt: skip


@dataclass(frozen=True)
class _Made:
    """A reason with what decides whether it is shown. `about`: the liked item or the words that it leans on; `family`:
    one item gets no two of the same (an attribute, "asked", "limit", "words" for quotations)."""

    reason: Reason
    about: str
    family: str
    worth: float


def explain(catalogue: Catalogue, item: Item, profile: Profile) -> tuple[Reason, ...]:
    """The reasons for one item; for a list ask `explain_all`, which does not repeat itself."""
    return explain_all(catalogue, [item], profile)[0]


def explain_all(
    catalogue: Catalogue, items: Sequence[Item], profile: Profile, language: Language | None = None
) -> list[tuple[Reason, ...]]:
    """At most two verified reasons for each item, in the order of `items`, the one that says most first.

    One states a fact (a value shared with a liked item, a value or limit asked for), one quotes the sentence of the
    description that is nearest to what the person likes. Over the list, what was said of one item is avoided for the
    next. `language` None: that of the person's last words. No reason at all where none can be proved.
    """
    language = language or _language(profile)
    used: Counter[object] = Counter()
    chosen = []

    def worth(made: _Made) -> float:
        return made.worth - sum(used[mark] * cost for mark, cost in _marks(made))

    for item, quoted in zip(map(certain, items), quotes(catalogue, items, profile), strict=True):
        found = [*_shared(catalogue, item, profile, language), *_asked(item, profile, language)]
        found += [*_titled(item, profile, language)]
        found += [_quoted(catalogue, quote, language) for quote in quoted]
        mine: list[_Made] = []
        while found and len(mine) < MOST:
            best = max(found, key=worth)
            if mine and worth(best) < SECOND:  # it says little, or was said of others already
                break
            if not verified(best.reason, item, profile, catalogue):
                found.remove(best)
                continue
            mine.append(best)
            used.update(mark for mark, _ in _marks(best))
            found = [m for m in found if m.family != best.family and m.reason.span != best.reason.span]
        chosen.append(tuple(m.reason for m in mine))
    return chosen


def _shared(catalogue: Catalogue, item: Item, profile: Profile, language: Language) -> list[_Made]:
    """What the item has in common with each liked item, an attribute at a time; nothing that is a mere coincidence."""
    made, mine = [], tuple(listed(item))
    for entry in {e.item_id: e for e in profile.likes}.values():
        if entry.item_id not in catalogue.rows or entry.item_id == item.id:
            continue
        other = certain(catalogue.items[catalogue.rows[entry.item_id]])
        title = title_in(other, language)
        both = [(name, v, values_of(other.attributes.get(name))) for name, v in item.attributes.items()]
        for name, value, theirs in [*both, ("tags", mine, listed(other))]:
            values = [v for v in values_of(value) if v in theirs and _tells(catalogue, name, v)]
            if values and not COINCIDENCE.search(name):
                kind, family = name if name in kinds() else "shared", name if name in _WORTH else "shared"
                parts = {"item": joined([said_in(v, language) for v in values[:3]], language), "title": title}
                parts["label"] = label(name, language)
                made.append(_make(kind, language, values[0], entry, title, family, **parts))
    return made


def _tells(catalogue: Catalogue, name: str, value: str) -> bool:
    """Is it short enough to read, and rare enough to mean something?"""
    attribute = catalogue.schema.attributes.get(name)
    known = attribute.values.get(value, 0) if attribute is not None else 0
    return len(value) <= _WORDY and known <= COMMON * len(catalogue.items)


def _asked(item: Item, profile: Profile, language: Language) -> list[_Made]:
    """Values and limits that the person asked for and the item has, each with their words."""
    made = []
    wanted: dict[tuple[str, str], list[str]] = {}
    newest = (profile.likes[-1].evidence or profile.likes[-1].text) if profile.likes else ""
    for entry in profile.likes:
        if entry.attribute and entry.text in values_of(item.attributes.get(entry.attribute)):
            wanted.setdefault((entry.attribute, entry.evidence or entry.text), []).append(entry.text)
    for (name, said), values in wanted.items():
        values = list(dict.fromkeys(values))
        shown = joined([said_in(v, language) for v in values], language)
        parts = {"item": shown, "said": short(said), "label": label(name, language)}
        asked = _make("asked", language, values[0], said, said, "asked", **parts)
        made.append(replace(asked, worth=asked.worth + NEWEST * (said == newest)))
    for limit in profile.constraints:
        value = item.attributes.get(limit.attribute)
        if limit.op in ("le", "ge", "eq") and isinstance(value, float) and not isinstance(value, bool):
            said = limit.evidence or limit.words()
            parts = {"item": f"{value:g}", "said": short(said), "label": label(limit.attribute, language)}
            kind = "runtime" if limit.attribute == "runtime" else "limit"
            made.append(_make(kind, language, f"{value:g}", said, said, "limit", **parts))
    return made


def _titled(item: Item, profile: Profile, language: Language) -> list[_Made]:
    """Words of what was asked for in free text that stand in the title."""
    made = []
    for entry in profile.likes:
        if entry.item_id or entry.attribute:
            continue
        said = entry.evidence or entry.text
        wanted = set(stems(entry.text))
        at = [m.span() for m in re.finditer(r"[^\W\d_]{4,}", item.title) if m[0].casefold()[:5] in wanted]
        if at:
            start, end = at[0]
            for more in at[1:]:  # neighbours make one span
                end = more[1] if item.title[end : more[0]] == " " else end
            made.append(
                _make("named", language, item.title[start:end], said, said, "named", item=item.title[start:end])
            )
    return made


def _quoted(catalogue: Catalogue, quote: Quote, language: Language) -> _Made:
    """Only what is close is called so; another is shown ("words") if there is nothing else to say."""
    like, said = quote.like, quote.like.evidence or quote.like.text
    title = title_in(catalogue.items[catalogue.rows[like.item_id]], language) if like.item_id else ""
    kind = "words" if not quote.close else "echo" if like.item_id else "quote"
    parts = {"item": quote.sentence, "title": title, "said": short(said)}
    made = _make(kind, language, quote.sentence, said, title or said, "words", **parts)
    return made if quote.nearness >= 1 else replace(made, worth=quote.nearness - (kind == "words"))


def _make(kind: str, language: Language, span: str, entry: Entry | str, about: str, family: str, **parts: str) -> _Made:
    said = entry if isinstance(entry, str) else entry.evidence or entry.text
    text = filled(kind, language, parts)
    worth = _WORTH.get(family, _WORTH.get(kind, 1.4))
    return _Made(Reason(text=text, span=span, evidence=said), about, family, worth)


def _marks(made: _Made) -> list[tuple[object, float]]:
    """What a reason would repeat, and how much worse a repetition makes it."""
    return [(made.reason.text, 2.0), ((made.family, made.reason.span), 0.6), ((made.family, made.about), 0.4)]


def _language(profile: Profile) -> Language:
    words = [x.evidence for x in (*profile.likes, *profile.constraints) if x.evidence] or [""]
    return "zh" if CHINESE.search(words[-1]) else "en"
