"""Which of the possible matches in a message are meant: the longest first, and everyday words only with support."""

from collections.abc import Sequence

from snowmelt.agent.understanding.clauses import Mention
from snowmelt.agent.understanding.cues import Cue
from snowmelt.agent.understanding.matching import Match, corrected, matches
from snowmelt.agent.understanding.support import YEAR, dated, supported
from snowmelt.agent.understanding.text import Token, everyday, is_cjk, key_of
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words


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
            year = match.kind == "title" and bool(YEAR.fullmatch(after)) and "(" in w.punctuation[match.end]
            size = match.end - match.start + 2 * year  # "seen It (2017)": the title, not "seen it"
            candidates.append(((size, match.weight[1] + bonus), match.start, match.end, match))
    named = [c[3] for c in candidates if isinstance(c[3], Match)]
    for cue in found_cues:
        if cue.text == "valence" and any(m.start < cue.end and cue.start < m.end for m in named):
            continue  # "something that is funny"
        if cue.text == "opinion" and not any(m.end <= cue.start for m in named):
            inside = [m for m in named if cue.start <= m.start and m.end <= cue.end]
            if inside and w.words[cue.start].kind == "c":
                continue  # "又好笑又感人": wanted, as nothing was named that could be so
        candidates.append(((cue.end - cue.start, 3.5), cue.start, cue.end, cue))
    for start, end in taken:
        candidates.append(((end - start, 4.5), start, end, None))
    elements, used = _greedy(candidates, len(w.words))
    for element in elements:
        if isinstance(element, Mention) and element.match is not None:
            element.match = dated(element.match, w, vocabulary)
    for match in _misspelt(w, vocabulary, used):
        over = [e for e in elements if e.start < match.end and match.start < e.end]
        if not any(used[match.start : match.end]) or (over and all(_within(e, match) for e in over)):
            elements = [e for e in elements if e not in over]
            elements.append(Mention(match.start, match.end, match))
            used[match.start : match.end] = [True] * (match.end - match.start)
    return sorted(elements, key=lambda e: e.start)


def _beside_a_name(w: Words, i: int) -> bool:
    return any(0 <= k < len(w.words) and w.words[k].capital and w.texts[k] != "i" and k > 0 for k in (i - 1, i + 1))


def _near(text: str, spelling: str) -> bool:
    """One edit apart, and long enough for it to tell?"""
    from rapidfuzz.distance import OSA

    return text == f"{spelling}s" or (len(spelling) >= 6 and OSA.distance(text, spelling) <= 1)


def _within(element: Cue | Mention, match: Match) -> bool:
    """Is it a value that only repeats a part of a title ("kung fu" in "kung fu hustel")?"""
    inside = match.start <= element.start and element.end <= match.end
    return (
        isinstance(element, Mention)
        and inside
        and element.match is not None
        and element.match.kind in ("value", "alias")
    )


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
            if m.start <= i < m.end and (m.kind == "title" or not any(used[m.start : m.end])):
                plural = w.texts[i] in (f"{spelling}s", spelling.removesuffix("s"))
                if plural and m.kind == "part":
                    continue  # "The Godfather" is not Tokyo Godfathers
                if m.kind == "first" or (
                    m.kind == "person" and m.end - m.start == 1 and not _near(w.texts[i], spelling)
                ):
                    continue  # "Namaste" is not Nagase
                if m.kind == "part" and m.end - m.start == 1 and _beside_a_name(w, i):
                    continue  # "Nicolas Cage" is not Little Nicholas
                one_common = m.end - m.start == 1 and m.kind == "title" and everyday(spelling)
                if not one_common:
                    found.append(m)
    found += _one_off(w, vocabulary, used)
    return sorted(found, key=lambda m: m.weight, reverse=True)


def _spelt_nearly(words: Sequence[str], row: int, vocabulary: Vocabulary) -> bool:
    """Is the item's title these two words, but for one letter in the first?"""
    from rapidfuzz.distance import OSA

    name = key_of(vocabulary.catalogue.titles[row]).split()
    return len(name) == 2 and name[1] == words[1] and OSA.distance(name[0], words[0]) == 1


def _one_off(w: Words, vocabulary: Vocabulary, used: Sequence[bool]) -> list[Match]:
    """Long names with one word or character wrong: "singing in the rain", "千与千巡", "宫崎峻"."""
    from rapidfuzz.distance import OSA

    texts, found = w.texts, []
    for i in range(len(texts) - 1):
        rows = vocabulary.postings.get(texts[i + 1], frozenset()) if len(texts[i]) > 4 and w.words[i].capital else ()
        named = [
            r
            for r in rows
            if 0 < len(rows) <= 3 and not w.gap[i + 1] and _spelt_nearly(texts[i : i + 2], r, vocabulary)
        ]
        if named:
            found.append(Match(i, i + 2, "typo", tuple(vocabulary.item(r) for r in named)))
    for i in range(len(texts)):
        for size in range(min(8, len(texts) - i), 2, -1):
            run = texts[i : i + size]
            han = all(is_cjk(t[0]) for t in run)
            if (han and any(used[i : i + size])) or any(w.gap[i + 1 : i + size]):
                continue
            for k in range(size):
                key = " ".join([*run[:k], "*", *run[k + 1 :]])
                rows = vocabulary.near_titles.get(key, ())
                if not han:
                    names = {r: key_of(vocabulary.catalogue.titles[r]).split() for r in rows}
                    rows = tuple(
                        r for r, n in names.items()
                        if len(n) == size and len(n[k]) > 3 and OSA.distance(n[k], run[k]) <= 2
                    )  # fmt: skip
                if rows:
                    found.append(Match(i, i + size, "typo", tuple(vocabulary.item(r) for r in rows)))
                elif han and key in vocabulary.near_people:
                    found.append(Match(i, i + size, "person", vocabulary.near_people[key]))
    return found
