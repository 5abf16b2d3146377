"""What the catalogue has no name for: free text, and its values said in other words."""

import re
from collections.abc import Sequence

from snowmelt.agent.understanding.clauses import Clause, Mention
from snowmelt.agent.understanding.cues import Cue, asks_mood
from snowmelt.agent.understanding.matching import Match
from snowmelt.agent.understanding.text import is_cjk, words_named
from snowmelt.agent.understanding.units import columns
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words

NEAR = 0.68  # cosine to a value's name from which other words for it are believed; tuned on the development half
EMPTY = words_named("empty")
_CUT = words_named("cut")
_AND = words_named("and")
_LINKS = frozenset(["like", "similar", "such", "about", "in", "along"])
_PAIRS = words_named("pairs")
_WHO = re.compile(
    r"(?:给|送)?(?:我|他|她)?的?(?:女朋友|男朋友|朋友|妈妈|爸爸|老妈|老爸|老婆|老公|孩子|小孩|儿子|女儿|同事|老师|父母|家人|爱人|闺蜜|外甥|侄子|奶奶|爷爷|女友|男友)"
)
_GOVERN = frozenset(["like", "dislike", "exclude", "want", "must", "not"])


def free_texts(w: Words, parts: Sequence[Clause], vocabulary: Vocabulary, covered: Sequence[str]) -> list[Mention]:
    """Mentions of free text, and of values said in other words ("heartwarming"), where nothing else was found."""
    found: list[Mention] = []
    texts = w.texts
    spoken = any(isinstance(e, Cue) and e.kind in _GOVERN for c in parts for e in c.elements)
    loose = sum(not c and t not in EMPTY for c, t in zip(covered, texts, strict=True))
    short = loose <= 5 and len(w.words) <= 8 and not spoken
    bare = len(w.words) <= 10
    goods = "money" in columns(vocabulary.schema)
    for number, clause in enumerate(parts):
        if clause.question:
            continue
        polar = [e for e in clause.elements if isinstance(e, Cue) and (e.kind in _GOVERN or asks_mood(e) or _too(e))]
        for i, cue in enumerate(polar):
            if cue.kind == "not" and (
                (i + 1 < len(polar) and polar[i + 1].start - cue.end <= 3) or cue.text not in ("no", "not", "不是")
            ):
                continue
            until = min(
                [e.start for e in clause.elements if e.start >= cue.end and isinstance(e, Cue) and e.kind != "word"]
                or [clause.end]
            )
            if (
                cue.end < len(texts)
                and texts[cue.end] in ("it", "them", "those", "that", "these", "him", "her")
                and cue.kind in ("like", "dislike")
            ):
                continue
            found += _chunks(w, cue.end, until, covered, vocabulary, first=True)
        for i in range(clause.start, clause.end - 1):
            if texts[i] in ("about", "关", "讲") and not covered[i] and not w.texts[i + 1].isdigit():
                begin = i + 2 if texts[i] == "关" else i + 1
                if not any(f.start < clause.end and begin <= f.start for f in found) and clause.elements:
                    found += [
                        m
                        for m in _chunks(w, begin, clause.end, covered, vocabulary, first=True)
                        if not any(m.start < f.end and f.start < m.end for f in found)
                    ]
        backs = [
            e for e in clause.elements if isinstance(e, Cue) and e.kind in ("back_like", "back_dislike", "back_exclude")
        ]
        ends = [e for e in polar if e.kind in ("like", "dislike") and e.end >= clause.end - 1]
        subject = next((k for k in range(clause.start, clause.end) if texts[k] in ("i", "we", "我")), clause.start)
        if ends and subject > clause.start and not any(isinstance(e, Mention) for e in clause.elements):
            found += _chunks(w, clause.start, subject, covered, vocabulary, first=False)  # "vertigo I didn't like"
        if backs and not polar and not any(isinstance(e, Mention) for e in clause.elements):
            found += _chunks(w, clause.start, backs[0].start, covered, vocabulary, first=False)
        said = texts[clause.start : clause.end]
        told = said[0] in _TELLS or bool(_FINITE & set(said)) or "!" in w.punctuation[clause.end]
        plain = all(isinstance(e, Cue) and e.kind in MODIFIERS for e in clause.elements)
        if not polar and bare and plain and not told:
            found += [
                m
                for m in _chunks(w, clause.start, clause.end, covered, vocabulary, first=False)
                if short or m.match is not None
            ]
        elif not polar and bare and not any(isinstance(e, Cue) and e.kind != "word" for e in clause.elements):
            found += _members(w, clause, covered, vocabulary)
        elif (
            not polar
            and not any(isinstance(e, Cue) for e in clause.elements)
            and number
            and parts[number - 1].segment == clause.segment
        ):
            # the next member of a list ("I love Amélie, Inception")
            before = parts[number - 1]
            if (
                before.elements
                and clause.end - clause.start <= 4
                and not clause.elements
                and any(f.clause == number - 1 for f in found)
            ):
                found += _chunks(w, clause.start, clause.end, covered, vocabulary, first=False)
        if (goods and bare) or (goods and polar):
            found += [
                m
                for m in _heads(w, clause, covered, vocabulary)
                if not any(m.start < f.end and f.start < m.end for f in found)
            ]
        found = [_purposed(m, w, clause, covered) for m in found]
        chained = number and any(f.match is None and parts[number - 1].start <= f.start < clause.start for f in found)
        listed = _beside_titles(parts, number) or (chained and number > 1 and _beside_titles(parts, number - 1))
        if listed and clause.end - clause.start <= 5 and not any(clause.start <= f.start < clause.end for f in found):
            start = clause.start
            while start < clause.end and texts[start] in EMPTY and not w.words[start].capital:
                start += 1
            unknown = sum(not covered[i] and texts[i] not in EMPTY for i in range(start, clause.end))
            partly = any(covered[i] for i in range(start, clause.end))
            if (
                unknown
                and not any(texts[i] in _FUNCTION for i in range(start, clause.end))
                and (unknown > 1 or not partly)
            ):
                found.append(Mention(start, clause.end, None))
        for mention in found:
            if clause.start <= mention.start < clause.end:
                mention.clause = number
    return found


_WHOM = frozenset(["my", "our", "his", "her", "their", "me", "us", "him", "them", "you", "somebody", "someone", "a", "an", "under", "less"])  # fmt: skip  # noqa: E501
MODIFIERS = frozenset(["session", "lasting", "general", "contrast", "hedge", "past"])  # cues that say when, or who
_FUNCTION = words_named("function")
_TELLS = frozenset(["it", "he", "she", "they", "i", "we", "you", "there", "that", "this", "these"])
_FINITE = words_named("finite")  # a clause with such a verb is told, and names nothing by itself


def _purposed(mention: Mention, w: Words, clause: Clause, covered: Sequence[str]) -> Mention:
    """With what it is for: "pens for left handed writing", but not whom ("pens for my kids")."""
    end = mention.end
    if mention.match is not None or w.texts[end : end + 1] != ["for"] or not clause.start <= mention.start < clause.end:
        return mention
    stop = end + 1
    while stop < min(clause.end, end + 6) and w.texts[stop] not in _CUT and not any(c.isdigit() for c in w.texts[stop]):
        stop += 1
    purpose = w.texts[end + 1 : stop]
    known = [bool(c) or t in EMPTY for c, t in zip(covered[end + 1 : stop], purpose, strict=True)]
    if _WHOM & set(purpose) or all(known):
        return mention
    return Mention(mention.start, stop, None, clause=mention.clause)


def _beside_titles(parts: Sequence[Clause], number: int) -> bool:
    """Is it a short member of a list whose other members are titles ("the third man, double indemnity")?"""
    clause = parts[number]
    if clause.end - clause.start > 5 or any(isinstance(e, Cue) for e in clause.elements):
        return False
    if any(isinstance(e, Mention) and e.match and e.match.targets[0].item_id for e in clause.elements):
        return False
    beside = [parts[k] for k in (number - 1, number + 1) if 0 <= k < len(parts)]
    return any(
        isinstance(e, Mention)
        and e.match is not None
        and e.match.kind in ("title", "part", "typo")
        and e.match.targets[0].item_id is not None
        and e.end - e.start >= other.end - other.start - 2
        and other.segment == clause.segment
        for other in beside for e in other.elements
    )  # fmt: skip


def _too(cue: Cue) -> bool:
    """ "nothing too gory", "别太血腥"."""
    return cue.kind == "hedge" and cue.text.endswith(("too", "太"))


def _chunks(
    w: Words, start: int, end: int, covered: Sequence[str], vocabulary: Vocabulary, first: bool
) -> list[Mention]:
    """The object of a cue: up to the first word that ends a phrase, or "A and B" as two."""
    texts, found = w.texts, []
    i = start
    while i < end:
        j = i
        while j < end and (texts[j] not in _CUT or "_".join(texts[j - 1 : j + 2]) in _PAIRS) and not covered[j]:
            j += 1
        mention = _phrase(w, i, j, vocabulary, covered)
        joined = j < end and texts[j] in ("and", "or", "和", "跟", "与", "或", "nor", "about", "y", "und", "et", "e")
        if mention is not None:
            found.append(mention)
        elif j < end and covered[j]:
            while j < end and covered[j]:
                j += 1
            joined = j < end and texts[j] in ("and", "or", "和", "跟", "与", "或", "about", "nor")
            if not joined:
                break
        if not joined:
            if (
                mention is None
                and j < end
                and all(t in EMPTY for t in texts[i:j])
                and texts[j] in ("with", "about", "in", "by", "from", "on", "for", "to", "of")
            ):
                i = j + 1
                continue
            break
        i = j + 1
    return found


def _heads(w: Words, clause: Clause, covered: Sequence[str], vocabulary: Vocabulary) -> list[Mention]:
    """Where things are sold: the thing itself, after its known qualities ("a blue towel", "一百以内的台灯")."""
    i = clause.start
    before = any(covered[clause.start : clause.end])
    while i < clause.end:
        j = i
        while j < clause.end and not covered[j] and w.texts[j] not in _CUT:
            j += 1
        after_known = any(
            isinstance(e, Mention) and e.end == i and e.match is not None and e.match.targets[0].attribute
            for e in clause.elements
        )
        article = j > i and w.texts[i] in ("a", "an", "some")
        after_known = after_known or (i > 0 and covered[i - 1] == "limit" and w.texts[i : i + 1] == ["的"])
        if j > i and before and (after_known or article):
            free = [""] * len(covered) if article else covered
            mention = _phrase(w, i, j, vocabulary, free)
            if mention is not None:
                return [mention]
        i = max(j, i) + 1
    return []


def _members(w: Words, clause: Clause, covered: Sequence[str], vocabulary: Vocabulary) -> list[Mention]:
    """The unknown members of a list that names known things ("Le Cinquième Élément et Léon")."""
    found, i = [], clause.start
    for j in range(clause.start, clause.end + 1):
        if j == clause.end or w.texts[j] in _AND:
            start = i
            while any(covered[i:j]):
                i += 1
            if (j > i and j < clause.end) or j > i == start > clause.start:
                mention = _phrase(w, i, j, vocabulary, covered)
                if mention is not None:
                    found.append(mention)
            i = j + 1
    return found


def _phrase(w: Words, i: int, j: int, vocabulary: Vocabulary, covered: Sequence[str]) -> Mention | None:
    texts = w.texts
    article = texts[i] in ("a", "an", "some")
    while i < j and texts[i] in EMPTY and not w.words[i].capital:
        i += 1
    while i < j and texts[i] in EMPTY:
        i += 1
    while j > i and texts[j - 1] in EMPTY:
        j -= 1
    if (
        j <= i
        or j - i > 6 + 6 * is_cjk(texts[i][0])
        or (
            j < len(texts)
            and covered[j] not in ("", "modifier")
            and not (covered[j] == "limit" and (article or texts[j - 1].endswith("s")))
            and not w.punctuation[j]
            and texts[j - 1] not in ("s",)
            and texts[j] not in _LINKS
        )
    ):
        return None
    if "的" in texts[i:j] and is_cjk(texts[i]):
        k = i + texts[i:j].index("的")
        after = w.said(k + 1, j)
        if all(t in EMPTY for t in texts[k + 1 : j]) or _WHO.fullmatch(after):
            j = k  # "爱爬山的朋友": what is loved stands before
    phrase = w.said(i, j)
    if set("我你他她它是") & set(texts[i:j]):
        return None  # a clause of its own, no name of a thing
    if _WHO.fullmatch(phrase) or len(phrase) < 2 or any(t.isdigit() for t in texts[i:j]):
        return None
    key = " ".join(texts[i:j])
    if key in vocabulary.values or (key in vocabulary.titles and is_cjk(key[0])):
        return None  # a value or a title that was not meant as one
    rows = vocabulary.by_words([t for t in texts[i:j] if t not in ("the", "a", "an", "of", "for", "with")])
    if rows:
        return Mention(i, j, Match(i, j, "part", tuple(vocabulary.item(r) for r in rows)))
    return Mention(i, j, topical(phrase, i, j, vocabulary))


def topical(phrase: str, i: int, j: int, vocabulary: Vocabulary) -> Match | None:
    """The value of the catalogue that `phrase` is another word for, or None."""
    targets, vectors = vocabulary.topics
    if not targets:
        return None
    near = vectors @ vocabulary.catalogue.embedder.queries([phrase])[0]
    best = int(near.argmax())
    if near[best] < NEAR:
        return None
    return Match(i, j, "alias", (targets[best],))
