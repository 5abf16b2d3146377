"""Which of the possible matches in a message are meant: the longest first, and everyday words only with support.

"Her", "Up", "It", "Big", "回归" are titles and plain words; they count as titles when quoted, capitalised inside a
sentence, the whole of a clause, or the object of a verb like "loved".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from snowmelt.agent.understanding.cues import Cue
from snowmelt.agent.understanding.polarity import Mention
from snowmelt.agent.understanding.text import Token, everyday, is_cjk, ranks, words_named
from snowmelt.agent.understanding.vocabulary import Match, Target, Vocabulary, corrected, matches, same_name

_CONNECT = words_named("connect")
_BETWEEN = words_named("between")
_NEVER = words_named("never")
_GREETINGS = frozenset({"good morning", "hi mom", "good evening", "good night", "thank you"})
_OWN = words_named("own")
_HOMELY = words_named("homely")
_ABOUT = words_named("about")
_THINGS = words_named("things")


@dataclass(frozen=True)
class Words:
    """A message cut up: its words, the punctuation before each (one more at the end), which stand in quotes."""

    message: str
    tokens: tuple[Token, ...]
    words: tuple[Token, ...]
    at: tuple[int, ...]
    punctuation: tuple[str, ...]
    quoted: tuple[bool, ...]

    @property
    def gap(self) -> list[bool]:
        """Does punctuation other than a hyphen, a slash or a dot inside a name stand before word i?"""
        return [bool(p.strip("-–—/·&'’")) for p in self.punctuation]

    @property
    def texts(self) -> list[str]:
        return [w.text for w in self.words]

    def said(self, start: int, end: int) -> str:
        """The person's own words from word `start` to before word `end`."""
        return self.message[self.words[start].start : self.words[end - 1].end] if end > start else ""


def words_of(message: str, tokens: Sequence[Token]) -> Words:
    words, at, punctuation, quoted = [], [], [], []
    marks, inside = "", False
    for number, token in enumerate(tokens):
        if token.kind in "wc":
            between = message[words[-1].end if words else 0 : token.start]
            if words and words[-1].kind == token.kind == "c" and between.strip(" \t") == "" and between:
                marks += "、"  # a space between Chinese words stands for a comma
            words.append(token)
            at.append(number)
            punctuation.append(marks + ("\n" if "\n" in between and "\n" not in marks else ""))
            quoted.append(inside)
            marks = ""
        else:
            marks += token.text
            if token.kind == '"':
                inside = token.text in "“«《「『〈‘" or (token.text == '"' and not inside)
    punctuation.append(marks)
    return Words(message, tuple(tokens), tuple(words), tuple(at), tuple(punctuation), tuple(quoted))


def chosen(
    w: Words, vocabulary: Vocabulary, found_cues: Sequence[Cue], taken: Sequence[tuple[int, int]]
) -> list[Cue | Mention]:
    """Cues and mentions in order, none overlapping another or a `taken` span (a limit)."""
    gap = w.gap
    candidates: list[tuple[tuple[int, float], int, int, Cue | Match | None]] = []
    for match in matches(w.words, vocabulary, gap):
        if supported(match, w, vocabulary, found_cues):
            bonus = 2.0 if match.kind == "title" and w.quoted[match.start] else 0.0
            after = w.texts[match.end] if match.end < len(w.words) else ""
            year = match.kind == "title" and bool(_YEAR.fullmatch(after)) and "(" in w.punctuation[match.end]
            size = match.end - match.start + 2 * year  # "seen It (2017)": the title, not "seen it"
            candidates.append(((size, match.weight[1] + bonus), match.start, match.end, match))
    for cue in found_cues:
        candidates.append(((cue.end - cue.start, 3.5), cue.start, cue.end, cue))
    for start, end in taken:
        candidates.append(((end - start, 4.5), start, end, None))
    elements, used = _greedy(candidates, len(w.words))
    for element in elements:
        if isinstance(element, Mention) and element.match is not None:
            element.match = dated(element.match, w, vocabulary)
    for match in _misspelt(w, vocabulary, used):
        if not any(used[match.start : match.end]):
            elements.append(Mention(match.start, match.end, match))
            used[match.start : match.end] = [True] * (match.end - match.start)
    return sorted(elements, key=lambda e: e.start)


def _greedy(candidates: list, count: int) -> tuple[list[Cue | Mention], list[bool]]:
    used = [False] * count
    elements: list[Cue | Mention] = []
    for _, start, end, what in sorted(candidates, key=lambda c: (-c[0][0], -c[0][1], c[1])):
        if any(used[start:end]):
            continue
        used[start:end] = [True] * (end - start)
        if isinstance(what, Cue):
            elements.append(what)
        elif what is not None:
            elements.append(Mention(start, end, what))
    return elements, used


def plain(words: Sequence[str]) -> bool:
    """Would anybody say these words without meaning a title?"""
    if all(is_cjk(t[0]) for t in words):
        return len(words) <= 2
    if any(not (everyday(t) or t.isdigit()) and len(t) > 2 for t in words):
        return False
    content = [t for t in words if t not in ("the", "a", "an", "of", "and", "in", "to")]
    if len(words) >= 4:
        return all(ranks().get(t, 1 << 30) < 400 for t in words)
    if len(words) == 3:
        return len(content) < 2 or all(ranks().get(t, 1 << 30) < 1500 for t in words)
    return len(content) < 2 or any(ranks().get(t, 1 << 30) < 700 for t in content)


def supported(match: Match, w: Words, vocabulary: Vocabulary, found_cues: Sequence[Cue]) -> bool:
    texts = w.texts[match.start : match.end]
    before = w.texts[match.start - 1] if match.start else ""
    after = w.texts[match.end] if match.end < len(w.words) else ""
    if match.kind in ("value", "alias"):
        return _value_supported(match, texts, before, after, w, vocabulary, found_cues)
    if match.kind in ("person", "first"):
        word = w.words[match.start]
        if len(texts) == 1 and (everyday(texts[0], 14_000) or match.kind == "first") and not word.capital:
            return False
        if len(texts) == 1 and word.kind == "w":
            # "Nicolas Cage" is not Nicolas Roeg, "Emma Stone" not Oliver Stone: a name written beside it belongs to it
            for near in (match.start - 1, match.end):
                if (
                    0 <= near < len(w.words)
                    and not w.punctuation[max(near, match.start) if near < match.start else near]
                ):
                    other = w.words[near]
                    sentence_start = near == 0 or bool(set(w.punctuation[near]) & set(".!?"))
                    known = any(c.start <= near < c.end for c in found_cues)
                    if (
                        other.capital
                        and other.kind == "w"
                        and not sentence_start
                        and not known
                        and other.text != "i"
                        and not everyday(other.text, 3000)
                    ):
                        return False
        return not (len(texts) == 1 and is_cjk(texts[0][0]))
    if match.kind == "part":
        if all(is_cjk(t[0]) for t in texts):
            return True
        return len(texts) > 1 or not everyday(texts[0]) or w.quoted[match.start]
    if not plain(texts):
        return True
    if w.quoted[match.start] and (match.end == len(w.words) or w.punctuation[match.end]):
        return True
    if " ".join(texts) in _GREETINGS and not w.words[match.end - 1].capital:
        return False
    starts = match.start == 0 or bool(set(w.punctuation[match.start]) & set(".!?。！？；;\n"))
    ends = match.end == len(w.words) or bool(w.punctuation[match.end].strip("'"))
    latin = not is_cjk(texts[0][0])
    if all(t.isdigit() for t in texts) and ("(" in w.punctuation[match.start] or (ends and starts)):
        return False  # "(2010)" is a year
    capital = (
        latin
        and w.words[match.start].capital
        and all(t.capital or t.text in ("of", "and", "the", "in", "a", "to") for t in w.words[match.start : match.end])
    )
    shouting = sum(t.capital for t in w.words) > 0.7 * len(w.words) and len(w.words) > 4
    if capital and not starts and not shouting and texts[0] not in ("i", "no"):
        return True
    if capital and starts and len(texts) > 1 and w.words[match.end - 1].capital and after not in ("", "to"):
        return True
    if capital and starts and after == "by":
        return True
    if (
        capital
        and starts
        and after in ("is", "was", "left", "bored", "made", "gave", "really", "by", "的", "很", "太", "好")
    ):
        return texts[0] not in _NEVER
    if _YEAR.fullmatch(after) and "(" in w.punctuation[match.end]:
        return True  # "Up (2009)"
    if len(texts) == 1 and texts[0] in _NEVER:
        return len(w.words) == 1 and w.words[0].capital and texts[0] in ("her", "it", "us", "them")
    closed = ends or after in _CONNECT or any(c.start == match.end for c in found_cues)
    left = match.start
    while left and (w.texts[left - 1] in _BETWEEN) and not w.punctuation[left]:
        left -= 1
    for cue in found_cues:
        watch = cue.kind == "want" and cue.text in ("watch", "see", "to see", "想 看")
        if (
            (cue.kind in ("like", "dislike", "seen") or watch)
            and cue.end in range(left, match.start + 1)
            and (closed and (is_cjk(texts[0][0]) or cue.text not in ("into", "more of a", "think")))
        ):
            return True
    if is_cjk(texts[0][0]) and len(texts) == 2:
        left_ok = starts or bool(w.punctuation[match.start]) or (before == "的" and match.start > 2)
        if (
            left_ok
            and (ends or after in tuple("我真很太也都这那棒神绝超特"))
            and not (starts and ends and len(w.words) == 2)
        ):
            return before != "的" or ends
    opened = starts or bool(w.punctuation[match.start]) or before in ("and", "or", "和", "跟", "与", "plus")
    if before in ("film", "movie", "watched", "rewatched", "saw", "影"):
        return closed
    if opened and (ends or after in ("and", "or", "和", "跟", "与", "plus", "this", "这", "那")) and len(w.words) < 30:
        return not (starts and ends and match.start > 0) and not (
            match.start == 0 and match.end == len(w.words) and not latin and len(texts) == 1
        )
    return False


def dated(match: Match, w: Words, vocabulary: Vocabulary) -> Match:
    """Of items with the same title, the one of the year said after it ("Jumanji (2017)"), or the nearest."""
    after = w.texts[match.end] if match.end < len(w.words) else ""
    if match.kind != "title":
        return match
    if not _YEAR.fullmatch(after):
        # without a year: the entry that has none, if there is just one
        bare = [t for t in match.targets if not _item_years(t, vocabulary)]
        return Match(match.start, match.end, match.kind, tuple(bare), match.also) if len(bare) == 1 else match
    rows = same_name(vocabulary, " ".join(w.texts[match.start : match.end])) or ()
    targets = tuple(dict.fromkeys((*match.targets, *(vocabulary.item(r) for r in rows))))
    if len(targets) < 2:
        return match
    apart = []
    for target in targets:
        apart.append(min((abs(v - float(after)) for v in _item_years(target, vocabulary)), default=1.5))
    best = min(range(len(apart)), key=apart.__getitem__)
    return Match(match.start, match.end, match.kind, (targets[best],), match.also)


def _item_years(target: Target, vocabulary: Vocabulary) -> list[float]:
    item = vocabulary.catalogue.items[vocabulary.catalogue.rows[target.item_id or ""]]
    return [v for v in item.attributes.values() if isinstance(v, float) and 1800 < v < 2100]


def _value_supported(
    match: Match, texts: list[str], before: str, after: str, w: Words, vocabulary: Vocabulary, found_cues: Sequence[Cue]
) -> bool:
    attribute = vocabulary.schema.attributes[match.targets[0].attribute or ""]
    if len(texts) == 1 and is_cjk(texts[0]):
        # a single character is a word only where nothing is written on to it
        left = (
            match.start == 0
            or not is_cjk(before[0])
            or bool(w.punctuation[match.start])
            or any(c.end == match.start for c in found_cues)
            or before in "和跟与、的带"
        )
        right = (
            match.end == len(w.words)
            or not is_cjk(after[0])
            or bool(w.punctuation[match.end])
            or after in "的色制质片和跟与类也都我就用"
            or any(c.start == match.end for c in found_cues)
        )
        return left and right
    if len(texts) > 1 or is_cjk(texts[0][0]):
        return True
    word = texts[0]
    if word == "cinema" and before not in ("about", "of", "love", "loves", "on"):
        return False
    if before in _OWN and word in _HOMELY:
        return False
    if before in ("my", "our", "your") and after in ("", "is", "was", "has", "and") and word in _HOMELY:
        return False
    if len(attribute.values) <= 60 or not everyday(word, 4000) or (w.words[match.start].capital and match.start > 0):
        return True
    listed = match.start == 0 or bool(w.punctuation[match.start])
    closed = match.end == len(w.words) or bool(w.punctuation[match.end]) or after in ("and", "or")
    governed = any(
        c.end == match.start and c.kind in ("like", "dislike", "exclude", "want", "must", "not") for c in found_cues
    )
    return before in _ABOUT or after in _THINGS or governed or (listed and closed)


def _misspelt(w: Words, vocabulary: Vocabulary, used: Sequence[bool]) -> list[Match]:
    """Matches that a corrected spelling gives, the longest first."""
    found: list[Match] = []
    free = [not u for u in used]
    gap = w.gap
    for i, spelling in corrected(w.words, free, vocabulary):
        low, high = max(0, i - 5), min(len(w.words), i + 6)
        mended = [
            Token(spelling, t.start, t.end, "w", t.capital) if k == i else t
            for k, t in enumerate(w.words[low:high], low)
        ]
        for m in matches(mended, vocabulary, gap[low:high]):
            m = Match(m.start + low, m.end + low, m.kind, m.targets, m.also)
            if m.start <= i < m.end and not any(used[m.start : m.end]):
                plural = w.texts[i] in (f"{spelling}s", spelling.removesuffix("s"))
                if plural and m.kind == "part":
                    continue  # "The Godfather" is not Tokyo Godfathers
                one_common = m.end - m.start == 1 and m.kind == "title" and everyday(spelling)
                if not one_common:
                    found.append(m)
    texts = w.texts
    for i in range(len(texts)):
        for size in (7, 6, 5, 4):
            run = texts[i : i + size]
            if len(run) < size or any(used[i : i + size]) or not all(is_cjk(t[0]) for t in run):
                continue
            for k in range(size):
                rows = vocabulary.near_titles.get(" ".join([*run[:k], "*", *run[k + 1 :]]))
                if rows:
                    found.append(Match(i, i + size, "typo", tuple(vocabulary.item(r) for r in rows)))
    return sorted(found, key=lambda m: m.weight, reverse=True)


_YEAR = re.compile(r"(?:18|19|20)\d\d")
_ORDINALS = {"first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10}  # fmt: skip  # noqa: E501
_HAN_DIGITS = {c: n for n, c in enumerate("一二三四五六七八九十", 1)} | {"两": 2} | {str(n): n for n in range(1, 21)}


def pointed(w: Words, shown: Sequence[str], vocabulary: Vocabulary) -> list[Mention]:
    """ "the second one", "第三部", "number 2", "the last", "the Kurosawa one": items of the list last shown."""
    if not shown:
        return []
    texts, found = w.texts, []

    def add(start: int, end: int, place: int) -> None:
        if place < 0:
            place += len(shown) + 1
        if 1 <= place <= len(shown):
            id_ = shown[place - 1]
            row = vocabulary.catalogue.rows.get(id_)
            if row is not None:
                found.append(Mention(start, end, Match(start, end, "title", (vocabulary.item(row),))))

    for i, text in enumerate(texts):
        before = texts[i - 1] if i else ""
        after = texts[i + 1] if i + 1 < len(texts) else ""
        tail = i + 2 if after in ("one", "film", "movie", "item", "option") else i + 1
        count = {"two": 2, "2": 2, "three": 3, "3": 3, "four": 4}.get(after)
        if text in ("first", "last") and count and count <= len(shown):
            rows = [vocabulary.catalogue.rows.get(i_) for i_ in (shown[:count] if text == "first" else shown[-count:])]
            some = tuple(vocabulary.item(r) for r in rows if r is not None)
            found.append(Mention(i - (before == "the"), i + 2, Match(i, i + 2, "title", some[:1], some[1:])))
        elif text in _ORDINALS and after not in (
            "time",
            "love",
            "thing",
            "things",
            "place",
            "hand",
            "of",
            "grade",
            "class",
            "half",
            "world",
            "person",
        ):
            add(i - (before == "the"), tail, _ORDINALS[text])
        elif text.isdigit() and after in ("st", "nd", "rd", "th") and before == "the":
            add(i - 1, i + 2, int(text))
        elif text == "last" and before == "the" and after in ("one", "", "film", "two", "is", "was", "item", "looks"):
            add(i - 1, tail, -1)
        elif text == "第" and after in _HAN_DIGITS:
            end = i + 3 if i + 2 < len(texts) and texts[i + 2] in "个部款本张件条首" else i + 2
            add(i, end, _HAN_DIGITS[after])
        elif (text == "最" and texts[i + 1 : i + 3] == ["后", "一"]) or (
            text == "最" and texts[i + 1 : i + 3] == ["后", "那"]
        ):
            add(i, min(len(texts), i + 4), -1)
        elif (
            text.isdigit()
            and len(text) < 3
            and (before in ("number", "no", "nr", "like", "option", "item") or len(texts) <= 2)
        ):
            add(i - (before in ("number", "no", "nr", "option", "item")), i + 1, int(text))
    for match in matches(w.words, vocabulary, w.gap):
        if (
            match.kind in ("person", "value", "alias")
            and match.end < len(texts)
            and texts[match.end] in ("one", "那", "的")
        ):
            if texts[match.end] == "one" and not (match.start and texts[match.start - 1] == "the"):
                continue
            if texts[match.end] == "的" and texts[match.end + 1 : match.end + 3] not in (
                ["那", "部"],
                ["那", "个"],
                ["那", "款"],
            ):
                continue
            if match.end + 1 < len(texts) and texts[match.end + 1] in ("where", "about", "with", "who"):
                continue
            fits = [id_ for id_ in shown if any(has(vocabulary, id_, t) for t in match.targets)]
            if len(fits) == 1:
                end = match.end + (1 if texts[match.end] == "one" else 3)
                add(max(0, match.start - 1), min(end, len(texts)), list(shown).index(fits[0]) + 1)
    return found


def has(vocabulary: Vocabulary, item_id: str, target: Target) -> bool:
    """Has the item the target's value?"""
    row = vocabulary.catalogue.rows.get(item_id)
    if row is None:
        return False
    value = vocabulary.catalogue.items[row].attributes.get(target.attribute or "")
    return target.value in value if isinstance(value, tuple) else value == target.value
