"""What no name says: things meant by description, and what the catalogue has no word for."""

import re
from collections.abc import Sequence

import numpy as np
from snowmelt.agent.understanding.cues import Cue, asks_mood
from snowmelt.agent.understanding.matching import Match
from snowmelt.agent.understanding.pointing import has
from snowmelt.agent.understanding.polarity import Clause, Mention
from snowmelt.agent.understanding.text import is_cjk, words_named
from snowmelt.agent.understanding.units import columns
from snowmelt.agent.understanding.values import Target
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words

LEAST, AHEAD = 0.30, 0.045  # of cosine + 0.02 BM25; tuned on 25 descriptions of our own (benchmarks/understanding.py)
_NOUN = words_named("noun")
_LINK = words_named("link")
_STOP = words_named("stop")


def described(
    w: Words, mentions: Sequence[Mention], vocabulary: Vocabulary
) -> list[tuple[int, int, tuple[Target, ...]]]:
    """(first word, last + 1, candidates: one if clear, several if not) for every description in the message."""
    found = []
    for start, end, people in [*_english(w), *_chinese(w)]:
        inside = [m for m in mentions if start <= m.start and m.end <= end and m.match is not None]
        if any(
            m.match is not None
            and m.match.kind in ("title", "typo")
            and m.match.targets[0].item_id
            and m.end - m.start > 1
            for m in inside
        ):
            continue
        before = [
            m
            for m in mentions
            if m.end <= start
            and start - m.end < 12
            and m.match is not None
            and m.match.targets[0].item_id
            and m.match.kind == "title"
        ]
        if (
            before
            and w.words[start].kind == "c"
            and not any(set(w.punctuation[i]) & set("。.!！;；") for i in range(before[-1].end, start + 1))
        ):
            continue  # "钢铁巨人，那个大机器人和小男孩的": the title was said
        targets = resolve(w.said(start, end), [m.match for m in inside if m.match is not None], vocabulary, people)
        if targets:
            found.append((start, end, targets))
    return found


def resolve(text: str, inside: Sequence[Match], vocabulary: Vocabulary, strict: bool = True) -> tuple[Target, ...]:
    """The item that `text` describes among those that fit the values in it; () if none is near enough."""
    catalogue = vocabulary.catalogue
    fits = np.ones(len(catalogue.ids), bool)
    narrowed = False
    for match in inside:
        if match.kind != "person" and not (match.targets[0].attribute and "countr" in match.targets[0].attribute):
            continue
        ok = np.zeros(len(fits), bool)
        for row in range(len(fits)) if len(fits) <= 20_000 else ():
            ok[row] = any(has(vocabulary, catalogue.ids[row], t) for t in match.targets)
        if (fits & ok).any():
            fits, narrowed = fits & ok, True
    query = catalogue.embedder.queries([text])[0]
    score = np.asarray(catalogue.vectors @ query) + 0.02 * np.asarray(catalogue.lexical.scores(text))
    score = np.where(fits, score, -1.0)
    order = np.argsort(-score, kind="stable")[:3]
    best = float(score[order[0]])
    if best < (0.12 if narrowed else LEAST):
        return ()
    if (
        (narrowed and fits.sum() == 1)
        or len(order) == 1
        or best - float(score[order[1]]) >= (0.03 if narrowed else AHEAD)
    ):
        return (vocabulary.item(int(order[0])),)
    return tuple(vocabulary.item(int(r)) for r in order if best - float(score[r]) < AHEAD)


def _english(w: Words) -> list[tuple[int, int, bool]]:
    texts, found, i = w.texts, [], 0
    while i < len(texts):
        if texts[i] in ("the", "that") and (not i or texts[i - 1] not in ("of", "in", "all")):
            for j in range(i + 1, min(len(texts) - 2, i + 8)):
                if w.punctuation[j]:
                    break
                noun = texts[j] in _NOUN or (
                    texts[i] == "that"
                    and j - i >= 1
                    and texts[j + 1] in ("where", "with", "about")
                    and texts[j] not in ("thing", "stuff", "kind", "sort")
                )
                if (noun and texts[j + 1] in _LINK) or (texts[j] == "with" and texts[i] == "the" and j - i in (2, 3)):
                    end = _end(w, j + 2)
                    if end - j > 2 or not noun:
                        found.append((i, end, noun))
                        i = end - 1
                    break
        i += 1
    return found


def _end(w: Words, at: int) -> int:
    while at < len(w.words):
        if w.punctuation[at].strip("'\"’") or (
            w.texts[at] in ("but", "though", "was", "were", "is")
            and w.texts[at - 1] not in ("who", "that", "which", "he", "she", "it", "they")
        ):
            break
        at += 1
    return at


def _chinese(w: Words) -> list[tuple[int, int, bool]]:
    """Everything from the start of the clause to "...的那部(电影)", or "那部...的(电影)" to its end."""
    texts, found = w.texts, []
    if _FORGOTTEN.search(w.message) and "讲" in texts:
        start = texts.index("讲")
        end = next((k for k in range(start + 1, len(texts)) if w.punctuation[k]), len(texts))
        return [(start, end, True)]
    for i in range(len(texts) - 1):
        if texts[i] == "那" and texts[i + 1] in "部个本款只条张首":
            start = i
            while start and not w.punctuation[start]:
                start -= 1
            skip = re.match(r"(?:我|很|超|特别|最|比较|喜|欢|爱|看|过|想|找|要|来)+", "".join(texts[start:i]))
            if (i - start >= 3 and texts[i - 1] == "的") or i - start >= 6:
                first = start + (skip.end() if skip else 0)
                end = i + 2
                while (
                    end < len(texts)
                    and not w.punctuation[end]
                    and end - i < 10
                    and "".join(texts[end : end + 2])
                    not in ("很好", "好治", "真好", "太好", "我很", "我超", "我最", "我特", "我喜")
                ):
                    end += 1
                found.append((first, end, True))
                continue
            end = i + 2
            while end < len(texts) and not w.punctuation[end]:
                end += 1
            if end - i >= 7 and "的" in texts[i:end]:
                found.append((i, end, True))
    return found


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
_FORGOTTEN = re.compile(r"想不起|叫什么|忘了名字|记不得|名字忘|不记得名")


def free_texts(w: Words, parts: Sequence[Clause], vocabulary: Vocabulary, covered: Sequence[bool]) -> list[Mention]:
    """Mentions of free text, and of values said in other words ("heartwarming"), where nothing else was found."""
    found: list[Mention] = []
    texts = w.texts
    spoken = any(isinstance(e, Cue) and e.kind in _GOVERN for c in parts for e in c.elements)
    short = sum(not c for c in covered) <= 5 and len(w.words) <= 6 and not spoken
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
        told = texts[clause.start] in ("it", "he", "she", "they", "i", "we", "you", "there", "that", "this", "these")
        if not polar and bare and not clause.elements and not told:
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
        for mention in found:
            if clause.start <= mention.start < clause.end:
                mention.clause = number
    return found


def _too(cue: Cue) -> bool:
    """ "nothing too gory", "别太血腥"."""
    return cue.kind == "hedge" and cue.text.endswith(("too", "太"))


def _chunks(
    w: Words, start: int, end: int, covered: Sequence[bool], vocabulary: Vocabulary, first: bool
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


def _heads(w: Words, clause: Clause, covered: Sequence[bool], vocabulary: Vocabulary) -> list[Mention]:
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
        if j > i and before and (after_known or article):
            free = [False] * len(covered) if article else covered
            mention = _phrase(w, i, j, vocabulary, free)
            if mention is not None:
                return [mention]
        i = max(j, i) + 1
    return []


def _members(w: Words, clause: Clause, covered: Sequence[bool], vocabulary: Vocabulary) -> list[Mention]:
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


def _phrase(w: Words, i: int, j: int, vocabulary: Vocabulary, covered: Sequence[bool]) -> Mention | None:
    texts = w.texts
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
            and covered[j]
            and not w.punctuation[j]
            and texts[j - 1] not in ("s",)
            and texts[j] not in _LINKS
        )
    ):
        return None
    if "的" in texts[i:j] and is_cjk(texts[i]):
        j = i + texts[i:j].index("的")  # "爱爬山的朋友": what is loved stands before
    phrase = w.said(i, j)
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
