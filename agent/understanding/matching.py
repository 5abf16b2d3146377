"""Where a message mentions the catalogue: every exact match, and what misspelt words may have meant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from snowmelt.agent.understanding.names import ARTICLES
from snowmelt.agent.understanding.text import Token, everyday, ranks
from snowmelt.agent.understanding.values import Target
from snowmelt.agent.understanding.vocabulary import LONGEST, Vocabulary

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
            if j - i == LONGEST:
                for title in vocabulary.longer.get(key, ()):
                    end = i + title.count(" ") + 1
                    if " ".join(word.text for word in words[i:end]) == title:
                        found += _at(i, end, title, vocabulary, True)
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


def same_name(v: Vocabulary, key: str) -> tuple[int, ...]:
    """Rows of all items that go by `key`, with or without its article, subtitles dropped: remakes and sequels."""
    first, _, rest = key.partition(" ")
    keys = [key, rest] if first in ARTICLES and rest else [key, *(f"{a} {key}" for a in ("the", "a"))]
    found = [r for k in keys for table in (v.titles, v.variants) for r in table.get(k, ())]
    return tuple(dict.fromkeys(found))


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
