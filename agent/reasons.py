"""Reasons that can be checked: each is a template around spans of the item and words of the person, and nothing else.

`explain_all` makes them for a whole list; `verified` is the gate, and what does not pass it is not shown.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.phrases import (
    CHINESE,
    LANGUAGES,
    Language,
    filled,
    joined,
    kinds,
    label,
    parsed,
    said_in,
    short,
    title_in,
    titles,
)
from snowmelt.agent.sentences import sentences
from snowmelt.agent.types import Entry, Profile, Reason
from snowmelt.agent.understanding.text import everyday
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.embedding import Embedder
from snowmelt.retrieval.items import Item

MOST = 2  # reasons for one item
NEWEST = 0.8  # by which what was asked for last is worth more
SECOND = 0.7  # worth of a reason that is not the only one
SENTENCES = 160  # of the items together that are compared with what the person said (600 a second with the default)
KEPT = 5000  # sentences whose vectors are kept for the next list (10 MB with the default embedder)
NEAR = 2.0  # deviations by which a sentence is nearer to a like than items are: a good quotation. Half: a poor one
COMMON = 0.25  # of all items: what more than these share is no reason
_SHORT, _LONG = 15, 200  # characters of a sentence worth quoting
_WORDY = 60  # characters of a value that is worth naming
# Columns in which two items agree by chance: only who asked for the value is told of it.
COINCIDENCE = re.compile(
    r"titles?$|title_|countr|nation|region|origin|languages?$|^lang|currenc|year|date|decade|added|rating|stock|size|^unit"
    r"|国家|地区|语言|年份|日期|货币|评级|尺寸", re.IGNORECASE
)  # fmt: skip
_PIECE = r"[^\s,;]+(?: [^\s,;]+){0,3}"
_LIST = re.compile(rf"(?:[^,;:]{{2,30}}:\s*(?:{_PIECE}[,;]\s*){{2,}}|(?:{_PIECE}[,;]\s*){{6,}}){_PIECE}\.?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")

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
    quotes = _quotes(catalogue, items, profile, language)
    used: Counter[object] = Counter()
    chosen = []

    def worth(made: _Made) -> float:
        return made.worth - sum(used[mark] * cost for mark, cost in _marks(made))

    for item, quoted in zip(map(certain, items), quotes, strict=True):
        found = [*_shared(catalogue, item, profile, language), *_asked(item, profile, language)]
        found += [*_titled(item, profile, language), *quoted]
        found = [m for m in found if verified(m.reason, item, profile, catalogue)]
        mine: list[_Made] = []
        while found and len(mine) < MOST:
            best = max(found, key=worth)
            if mine and worth(best) < SECOND:  # it says little, or was said of others already
                break
            mine.append(best)
            used.update(mark for mark, _ in _marks(best))
            found = [m for m in found if m.family != best.family and m.reason.span != best.reason.span]
        chosen.append(tuple(m.reason for m in mine))
    return chosen


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


def _shared(catalogue: Catalogue, item: Item, profile: Profile, language: Language) -> list[_Made]:
    """What the item has in common with each liked item, an attribute at a time; nothing that is a mere coincidence."""
    made, listed = [], _listed(item)
    for entry in {e.item_id: e for e in profile.likes}.values():
        if entry.item_id not in catalogue.rows or entry.item_id == item.id:
            continue
        other = certain(catalogue.items[catalogue.rows[entry.item_id]])
        title = title_in(other, language)
        both = [(name, v, _values(other.attributes.get(name))) for name, v in item.attributes.items()]
        for name, value, theirs in [*both, ("tags", tuple(listed), _listed(other))]:
            values = [v for v in _values(value) if v in theirs and _tells(catalogue, name, v)]
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
        if entry.attribute and entry.text in _values(item.attributes.get(entry.attribute)):
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
        wanted = set(_stems(entry.text))
        at = [m.span() for m in re.finditer(r"[^\W\d_]{4,}", item.title) if m[0].casefold()[:5] in wanted]
        if at:
            start, end = at[0]
            for more in at[1:]:  # neighbours make one span
                end = more[1] if item.title[end : more[0]] == " " else end
            made.append(
                _make("named", language, item.title[start:end], said, said, "named", item=item.title[start:end])
            )
    return made


def _quotes(catalogue: Catalogue, items: Sequence[Item], profile: Profile, language: Language) -> list[list[_Made]]:
    """For each item and like the nearest sentence. Only one that shares a word with what was said, or is clearly nearer
    than items are, is called close to it; another is shown ("words") if there is nothing else to say."""
    most = max(2, min(8, SENTENCES // max(len(items), 1)))
    quotable = [_sentences(item)[:most] for item in items]
    flat = [s for part in quotable for s in part]
    likes = list(
        {e.item_id or e.evidence or e.text: e for e in profile.likes if _says_something(e, catalogue)}.values()
    )
    if not flat or not likes:
        return [[] for _ in items]
    texts = [e.evidence or e.text for e in likes if not e.item_id]
    said = iter(catalogue.embedder.queries(texts)) if texts else iter(())
    targets = np.array([catalogue.vectors[catalogue.rows[e.item_id]] if e.item_id else next(said) for e in likes])
    near = _vectors(catalogue.embedder, flat) @ targets.T  # [sentences, likes]
    usual = catalogue.vectors[:: max(1, len(catalogue.items) // 500)] @ targets.T
    above: NDArray[np.float64] = (near - usual.mean(0)) / np.maximum(usual.std(0), 1e-6)
    made, at = [], 0
    for part in quotable:
        mine = []
        for j, entry in enumerate(likes if part else ()):
            best = int(above[at : at + len(part), j].argmax())
            strength = float(above[at + best, j])
            said_words = entry.evidence or entry.text
            title = title_in(catalogue.items[catalogue.rows[entry.item_id]], language) if entry.item_id else ""
            parts = {"item": part[best], "title": title, "said": short(said_words)}
            kind = "echo" if entry.item_id else "quote"
            close = strength >= NEAR or (kind == "quote" and _share_a_word(said_words, part[best]))
            kind = kind if close else "words"
            quote = _make(kind, language, part[best], said_words, title or said_words, "words", **parts)
            if strength < NEAR:
                quote = replace(quote, worth=min(strength / NEAR, 1.0) - (kind == "words"))
            mine.append(quote)
        made.append(mine)
        at += len(part)
    return made


_known: dict[tuple[str, str], NDArray[np.float32]] = {}


def _vectors(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """[texts, dim]. The same few items are recommended to many: their sentences are embedded once."""
    found = {text: _known.get((embedder.id, text)) for text in texts}
    missing = [text for text, vector in found.items() if vector is None]
    if missing:
        found |= zip(missing, embedder.documents(missing), strict=True)
        if len(_known) > KEPT:
            _known.clear()
        _known.update({(embedder.id, text): vector for text in missing if (vector := found[text]) is not None})
    return np.array([found[text] for text in texts])


def _says_something(entry: Entry, catalogue: Catalogue) -> bool:
    """Is there something to compare a sentence with? Of a known value ("something warm") the fact says more."""
    return entry.item_id in catalogue.rows if entry.item_id else not entry.attribute


def _share_a_word(said: str, sentence: str) -> bool:
    """A word of four letters or more by its first five ("friendship" and "friends" agree), or two Chinese characters
    together."""
    theirs = set(_stems(sentence))
    return any(stem in theirs for stem in _stems(said))


def _stems(text: str) -> list[str]:
    han = [text[i : i + 2] for i in range(len(text) - 1) if len(CHINESE.findall(text[i : i + 2])) == 2]
    return han + [w[:5] for w in re.findall(r"[^\W\d_]{4,}", text.casefold()) if not everyday(w, 2500)]


def _listed(item: Item) -> list[str]:
    """What a description lists instead of telling ("Listener tags: darkwave, german, gothic")."""
    found = []
    for sentence in re.split(r"(?<=[.!?])\s+|\n", item.description):
        if _LIST.fullmatch(sentence):
            found += [part.strip() for part in re.split(r"[,;]", sentence.partition(":")[2] or sentence)]
    return [part for part in found if part]


def _make(kind: str, language: Language, span: str, entry: Entry | str, about: str, family: str, **parts: str) -> _Made:
    said = entry if isinstance(entry, str) else entry.evidence or entry.text
    text = filled(kind, language, parts)
    worth = _WORTH.get(family, _WORTH.get(kind, 1.4))
    return _Made(Reason(text=text, span=span, evidence=said), about, family, worth)


def _marks(made: _Made) -> list[tuple[object, float]]:
    """What a reason would repeat, and how much worse a repetition makes it."""
    return [(made.reason.text, 2.0), ((made.family, made.reason.span), 0.6), ((made.family, made.about), 0.4)]


def _sentences(item: Item) -> list[str]:
    """Sentences of the description that are worth quoting, each an exact span of it; long ones end at a comma."""
    found = []
    for whole in map(str.strip, sentences(item.description)):
        text = whole
        if len(text) > _LONG:
            end = max(text.rfind(mark, _SHORT, _LONG) for mark in (", ", "; ", ": ", "，", "；"))
            text = text[: end if end > 0 else max(text.rfind(" ", _SHORT, _LONG), 0)].strip()
        least = _SHORT // 3 if CHINESE.search(text) else _SHORT
        told = text.rstrip(".").casefold()
        if least <= len(text) and told not in item.title.casefold() and not _LIST.fullmatch(whole):
            found.append(text)
    return found


def _in_item(text: str, item: Item) -> bool:
    """Is it a span of the title or description, a value or a number of the item, or a list of its values?"""
    if not text.strip():
        return False
    if any(text in t for t in (item.title, item.description, *titles(item))):
        return True
    values = [v for value in item.attributes.values() for v in _values(value)]
    numbers = [f"{v:g}" for v in item.attributes.values() if isinstance(v, float)]
    if text in numbers or any(text in v for v in item.attributes.values() if isinstance(v, str)):
        return True
    left = text
    names = {*values, *(said_in(v, "zh") for v in values), *_listed(item)}
    for name in sorted(names, key=len, reverse=True):
        left = left.replace(name, "\0")
    return re.fullmatch(r"\0(?:(?:, | and |、)\0)*", left) is not None


def _values(value: object) -> list[str]:
    """Strings of a list, category or text; nothing for numbers, booleans and dates."""
    if isinstance(value, tuple):
        return list(value)
    return [value] if isinstance(value, str) and not _DATE.fullmatch(value) else []


def _language(profile: Profile) -> Language:
    words = [x.evidence for x in (*profile.likes, *profile.constraints) if x.evidence] or [""]
    return "zh" if CHINESE.search(words[-1]) else "en"
