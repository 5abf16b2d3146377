"""What of the catalogue can be mentioned, and where a message mentions it: titles, people, values; typos forgiven.

Everything is built once per catalogue from its own titles and schema. Nothing here knows films from kettles; what
people say for what catalogues call it (scary -> horror, 橡木 -> oak) stands in aliases.tsv.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.understanding.text import Token, everyday, is_cjk, key_of, ranks, words_named
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.items import Schema

LONGEST = 12  # tokens of a name
MANY = 60_000  # items: beyond this only whole titles are indexed, so that memory stays bounded
_ARTICLES = words_named("articles")
_SMALL = words_named("small")
_PLAIN_HAN = frozenset("我你他她它们的了是不在有人这那个一上下来去到说要会可也就都和与之为着过没好很么里得地吧吗呢")
_NAMED = re.compile(
    r"direct|cast|actor|actress|author|artist|writer|star|perform|creator|composer|designer|导演|演员|主演|作者|歌手"
)
_HAN = "一-鿿"


class Target(NamedTuple):
    """What a mention means: an item, or a value of an attribute."""

    item_id: str | None
    attribute: str | None
    value: str


Kind = Literal["title", "part", "value", "person", "alias", "typo", "first"]


@dataclass(frozen=True, slots=True)
class Match:
    """Words [start, end) of a message (indices of its word tokens) that name one of `targets`, the likeliest first.

    All of `also` are meant together with the first ("rom-com" is romance and comedy).
    """

    start: int
    end: int
    kind: Kind
    targets: tuple[Target, ...]
    also: tuple[Target, ...] = ()

    @property
    def weight(self) -> tuple[int, int]:
        order = {"title": 5, "value": 4, "person": 3, "alias": 3, "part": 2, "first": 2, "typo": 1}
        return self.end - self.start, order[self.kind]


@dataclass(frozen=True)
class Vocabulary:
    """Names by their folded words. `titles` (as they are), `variants` (shortened), `parts`: rows of items."""

    titles: dict[str, tuple[int, ...]]
    variants: dict[str, tuple[int, ...]]
    parts: dict[str, tuple[int, ...]]
    values: dict[str, tuple[Target, ...]]
    people: dict[str, tuple[Target, ...]]
    aliases: dict[str, tuple[tuple[Target, ...], tuple[Target, ...]]]
    joined: dict[str, str]
    roles: dict[str, str]
    schema: Schema
    catalogue: Catalogue = field(repr=False)
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, catalogue: Catalogue) -> "Vocabulary":
        """Reads every title once; about 3 s for 100,000 items."""
        schema = catalogue.schema
        titles: dict[str, list[int]] = defaultdict(list)
        variants: dict[str, list[int]] = defaultdict(list)
        parts: dict[str, list[int]] = defaultdict(list)
        whole_only = schema.count > MANY
        for row, item in enumerate(catalogue.items):
            seen: set[str] = set()
            others = [v for n in schema.aliases if isinstance(v := item.attributes.get(n), str)]
            for number, text in enumerate([item.title, *others]):
                for place, key in enumerate(_variants(text, shop=number == 0)):
                    if key not in seen and (place == 0 or not _empty(key)):
                        seen.add(key)
                        (titles if place == 0 else variants)[key].append(row)
            for text in () if whole_only else (item.title, *others):
                for key in _parts(text):
                    if key not in seen:
                        seen.add(key)
                        parts[key].append(row)
        roles = roles_of(schema)
        values, people = _values(schema, roles)
        aliases = _aliases(values, schema)
        joined: dict[str, str] = {}
        for key in (*titles, *variants, *values):
            if " " in key and len(key) > 5 and not is_cjk(key[0]):
                joined.setdefault(key.replace(" ", ""), key)
        return cls(
            {k: tuple(v) for k, v in titles.items()}, {k: tuple(v) for k, v in variants.items()},
            {k: tuple(v) for k, v in parts.items() if len(v) <= 4 and k not in titles and k not in variants},
            values, people, aliases, joined, roles, schema, catalogue,
        )  # fmt: skip

    def item(self, row: int) -> Target:
        return Target(self.catalogue.ids[row], None, self.catalogue.titles[row])

    @cached_property
    def postings(self) -> dict[str, frozenset[int]]:
        """word of a title -> rows, for titles said in another order ("the fox night light")."""
        found: dict[str, set[int]] = defaultdict(set)
        for key, rows in self.titles.items():
            for word in key.split():
                if len(rows) < 50:
                    found[word].update(rows)
        return {w: frozenset(r) for w, r in found.items()}

    def by_words(self, words: Sequence[str]) -> tuple[int, ...]:
        """Rows whose titles hold all of at least two `words`, in any order; () if more than three do."""
        sets = []
        if not words or (is_cjk(words[0]) and len(words) < 4):
            return ()
        for word in words:
            forms = {word, word.removesuffix("s"), f"{word}s"}
            sets.append(frozenset().union(*(self.postings.get(f, frozenset()) for f in forms)))
        if len(sets) < 2 or not all(sets):
            return ()
        rows = frozenset.intersection(*sets)
        return tuple(sorted(rows)) if len(rows) <= 3 else ()

    def shown(self, value: str, language: str) -> str:
        """A value as it is said in `language`: its first Chinese alias, or itself."""
        return self.chinese.get(key_of(value), value) if language == "zh" else value

    @cached_property
    def chinese(self) -> dict[str, str]:
        """Folded value -> its first Chinese alias."""
        found: dict[str, str] = {}
        for spec, phrases in _alias_lines():
            han = next((p for p in phrases if re.fullmatch("[一-鿿]+", p) and not p.endswith("映画")), "")
            for part in re.split(r"[|+]", spec) if han else ():
                found.setdefault(key_of(part.rpartition(":")[2]), han)
        return found

    @cached_property
    def words(self) -> list[str]:
        """Single words of names that nobody uses otherwise: what a misspelt word may have meant."""
        found = {
            w
            for keys in (self.titles, self.variants, self.values)
            for key in keys
            for w in key.split()
            if len(w) > 3 and w.isalpha()
        }
        found |= {w for key in self.aliases for w in key.split() if len(w) > 3 and w.isascii()}
        return sorted(w for w in found if not is_cjk(w[0]))

    @cached_property
    def word_set(self) -> frozenset[str]:
        return frozenset(self.words)

    @cached_property
    def near_titles(self) -> dict[str, tuple[int, ...]]:
        """Chinese titles of four characters and more with one character left out."""
        found: dict[str, set[int]] = defaultdict(set)
        for key, rows in self.titles.items():
            chars = key.split()
            if len(chars) >= 4 and all(len(c) == 1 and is_cjk(c) for c in chars):
                for i in range(len(chars)):
                    found[" ".join([*chars[:i], "*", *chars[i + 1 :]])].update(rows)
        return {k: tuple(v) for k, v in found.items()}

    @cached_property
    def topics(self) -> tuple[list[Target], NDArray[np.float32]]:
        """Values that can be meant in other words (no people), the 600 most frequent per column, and their vectors."""
        targets = [
            Target(None, name, value)
            for name, role in self.roles.items() if role == "topic"
            for value in list(self.schema.attributes[name].values)[:600]
        ]  # fmt: skip
        return targets, self.catalogue.embedder.queries([t.value for t in targets])


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


def _variants(text: str, shop: bool) -> Iterable[str]:
    """A title as people write it: without its article, subtitle, year, size, or "The" moved to the front."""
    out = [text]
    moved = re.fullmatch(r"(.+), (The|A|An|Le|La|Les|Il|El|Das|Der|Die)(?: \(.*\))?", text)
    if moved:
        out.append(f"{moved[2]} {moved[1]}")
    bare = re.sub(r"\s*[\(\[（].*?[\)\]）]\s*", " ", text).strip()
    out.append(bare)
    if shop:
        out.append(
            re.sub(
                r"[,\s]+(?:(?:set|pack|pair) of \d+|pair|\d+(?:[.,]\d+)?\s?(?:cm|mm|m|l|ml|g|kg|\"|inch|pieces?)?|[SMLX]{1,2}|[AE]\d+)$",  # noqa: E501
                "",
                bare,
                flags=re.IGNORECASE,
            )
        )
    out.append(re.sub(r"[ 　]\d+\S*$", "", bare))
    for head, tail in re.findall(r"^(.{4,}?)[:：] ?(.{4,})$", bare):
        out += [head, tail]
    for number, one in enumerate(out):
        key = key_of(one)
        if key:
            yield key
            first, _, rest = key.partition(" ")
            if first in _ARTICLES and rest and (len(rest) > 3 or is_cjk(rest[0])) and number < 3:
                yield rest


def _parts(text: str) -> Iterable[str]:
    """Runs of a title's words that may stand for it: two with a rare one, a rare word, three Chinese characters."""
    words = key_of(text).split()
    if len(words) < 2 or len(words) > 12:
        return
    for i in range(len(words)):
        for j in range(i + 1, min(len(words), i + 5) + 1):
            run = words[i:j]
            if len(run) == len(words) or run[0] in _SMALL or run[-1] in _SMALL:
                continue
            if is_cjk(run[0][0]):
                if len(run) >= 3 and all(is_cjk(w[0]) for w in run) and sum(w not in _PLAIN_HAN for w in run) >= 2:
                    yield " ".join(run)
            elif len(run) > 1:
                if sum(len(w) for w in run) > 6 and not all(everyday(w, 9000) or w.isdigit() for w in run):
                    yield " ".join(run)
            elif len(run[0]) > 4 and not everyday(run[0], 25_000) and not run[0].isdigit():
                yield run[0]


def _empty(key: str) -> bool:
    """Is a shortened title too little to stand for it ("2010", "the one", "a")?"""
    words = key.split()
    if is_cjk(key[0]):
        return len(words) < 2
    return len(key) < 4 or all(w.isdigit() or w in _SMALL or everyday(w, 300) for w in words)


def same_name(v: Vocabulary, key: str) -> tuple[int, ...]:
    """Rows of all items that go by `key`, with or without its article, subtitles dropped: remakes and sequels."""
    first, _, rest = key.partition(" ")
    keys = [key, rest] if first in _ARTICLES and rest else [key, *(f"{a} {key}" for a in ("the", "a"))]
    found = [r for k in keys for table in (v.titles, v.variants) for r in table.get(k, ())]
    return tuple(dict.fromkeys(found))


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


def _values(
    schema: Schema, roles: dict[str, str]
) -> tuple[dict[str, tuple[Target, ...]], dict[str, tuple[Target, ...]]]:
    values: dict[str, list[Target]] = defaultdict(list)
    people: dict[str, dict[str, list[Target]]] = defaultdict(lambda: defaultdict(list))
    counts: dict[str, int] = defaultdict(int)
    for name, role in roles.items():
        for value, count in schema.attributes[name].values.items():
            key = key_of(value)
            target = Target(None, name, value)
            for form in dict.fromkeys(_plurals(key) if role == "topic" else (key,)):
                if form and target not in values[form]:
                    values[form].append(target)
            if role == "person":
                counts[key] += count
                words = key.split()
                pieces = {" ".join(words[i:]) for i in range(1, len(words))} | {" ".join(words[:2])}
                if len(words) > 1 and not everyday(words[0], 8000):
                    pieces.add(f"{words[0]} *")  # a first name: only where it is written with a capital
                for piece in pieces - {key}:
                    if len(piece) > 2 and piece not in _SMALL and not (" " not in piece and len(piece) < 3):
                        people[piece][key].append(target)
    found = {}
    for piece, who in people.items():
        ranked = sorted(who, key=lambda k: -counts[k])
        # a surname that several share means the one most present, if clearly; else all of them are offered
        if len(ranked) == 1 or counts[ranked[0]] >= 2 * counts[ranked[1]]:
            ranked = ranked[:1]
        found[piece] = tuple(t for key in ranked[:4] for t in who[key])
    return {k: tuple(v) for k, v in values.items()}, found


def _alias_lines() -> Iterable[tuple[str, list[str]]]:
    text = files("snowmelt.agent.understanding").joinpath("aliases.tsv").read_text("utf-8")
    for line in text.splitlines():
        spec, tab, phrases = line.partition("\t")
        if tab and not line.startswith("#"):
            yield spec, phrases.split("|")


def _aliases(
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

    for spec, phrases in _alias_lines():
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


def matches(words: Sequence[Token], vocabulary: Vocabulary, gap: Sequence[bool]) -> list[Match]:
    """Every exact match in the words of a message, overlapping ones too. `gap[i]`: punctuation before word i."""
    found: list[Match] = []
    for i in range(len(words)):
        key = joined = ""
        broken = False
        for j in range(i + 1, min(len(words), i + LONGEST) + 1):
            broken = broken or (j - 1 > i and gap[j - 1])
            key = f"{key} {words[j - 1].text}" if key else words[j - 1].text
            joined += words[j - 1].text
            found += _at(i, j, key, vocabulary, broken)
            if not broken and len(joined) > 5 and joined in vocabulary.joined and vocabulary.joined[joined] != key:
                found += _at(i, j, vocabulary.joined[joined], vocabulary, False)
    return found


def _at(i: int, j: int, key: str, v: Vocabulary, broken: bool) -> Iterable[Match]:
    if key in v.titles or key in v.variants:
        rows = v.titles.get(key) or (() if key in v.values else v.variants[key])  # "Kevin Hart" is the man, not a show
    else:
        rows = ()
    if rows:
        yield Match(i, j, "title", tuple(v.item(r) for r in rows))
    if broken:  # "Crouching Tiger, Hidden Dragon" may hold a comma; a value may not
        return
    aliased, also = v.aliases.get(key, ((), ()))
    if key in v.values:
        person = v.roles.get(v.values[key][0].attribute or "") == "person"
        # "french" is a value of languages and another word for France: which one, the words around it tell
        yield Match(i, j, "person" if person else "value", tuple(dict.fromkeys((*v.values[key], *aliased))), also)
    elif aliased:
        person = v.roles.get(aliased[0].attribute or "") == "person"
        yield Match(i, j, "person" if person else "alias", aliased, also)
    if key in v.people and (j - i > 1 or not everyday(key, 8000)):
        yield Match(i, j, "person", v.people[key])
    if j - i == 1 and f"{key} *" in v.people:
        yield Match(i, j, "first", v.people[f"{key} *"])
    if key in v.parts:
        yield Match(i, j, "part", tuple(v.item(r) for r in v.parts[key]))


def corrected(words: Sequence[Token], free: Sequence[bool], vocabulary: Vocabulary) -> list[tuple[int, str]]:
    """(word index, likely spellings): words that nothing knows, as the catalogue's own words would spell them.

    One edit in four to six letters, two from seven on, the first letter kept or swapped (Damerau-Levenshtein).
    """
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extract

    found = []
    known = ranks()
    for i, word in enumerate(words):
        text = word.text
        if not free[i] or word.kind != "w" or len(text) < 4 or not text.isalpha() or text in vocabulary.word_set:
            continue
        if text in known or everyday(text):
            continue
        most = 1 if len(text) < 7 else 2
        for spelling, _, _ in extract(text, vocabulary.words, scorer=OSA.distance, score_cutoff=most, limit=3):
            if spelling[0] == text[0] or spelling[:2] == text[1::-1]:
                found.append((i, spelling))
    return found
