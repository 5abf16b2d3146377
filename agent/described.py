"""Things meant by description: "that Kurosawa film where seven fighters defend a village", "讲猫的那部土耳其纪录片".

The description is searched by meaning and by words among the items that have the people and values it names; it counts
when the best is clearly ahead, and becomes a question when two are close.
"""

import re
from collections.abc import Sequence

import numpy as np
from snowmelt.agent.linking import Match, Target, Vocabulary
from snowmelt.agent.mentions import Words, has
from snowmelt.agent.polarity import Mention

LEAST, AHEAD = 0.30, 0.06  # of cosine + 0.02 BM25; tuned on 25 descriptions of our own (benchmarks/understanding.py)
_NOUN = frozenset("one film movie book picture flick documentary cartoon classic thriller comedy show album anime drama musical western".split())
_LINK = frozenset("where about with in when who set starring featuring which that and on".split())
_STOP = frozenset("was is were made really i and so it totally absolutely has loved".split())


def described(w: Words, mentions: Sequence[Mention], vocabulary: Vocabulary) -> list[tuple[int, int, tuple[Target, ...]]]:
    """(first word, last + 1, candidates: one if clear, several if not) for every description in the message."""
    found = []
    for start, end, people in [*_english(w), *_chinese(w)]:
        inside = [m for m in mentions if start <= m.start and m.end <= end and m.match is not None]
        if any(m.match is not None and m.match.kind in ("title", "typo") and m.match.targets[0].item_id and m.end - m.start > 1 for m in inside):
            continue
        before = [m for m in mentions if m.end <= start and start - m.end < 12 and m.match is not None and m.match.targets[0].item_id and m.match.kind == "title"]
        if before and w.words[start].kind == "c" and not any(set(w.punctuation[i]) & set("。.!！;；") for i in range(before[-1].end, start + 1)):
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
    if narrowed and fits.sum() == 1 or len(order) == 1 or best - float(score[order[1]]) >= (0.03 if narrowed else AHEAD):
        return (vocabulary.item(int(order[0])),)
    return tuple(vocabulary.item(int(r)) for r in order if best - float(score[r]) < AHEAD)


def _english(w: Words) -> list[tuple[int, int, bool]]:
    texts, found, i = w.texts, [], 0
    while i < len(texts):
        if texts[i] in ("the", "that") and (not i or texts[i - 1] not in ("of", "in", "all")):
            for j in range(i + 1, min(len(texts) - 2, i + 8)):
                if w.punctuation[j]:
                    break
                noun = texts[j] in _NOUN or (texts[i] == "that" and j - i >= 1 and texts[j + 1] in ("where", "with", "about") and texts[j] not in ("thing", "stuff", "kind", "sort"))
                if noun and texts[j + 1] in _LINK or (texts[j] == "with" and texts[i] == "the" and j - i in (2, 3)):
                    end = _end(w, j + 2)
                    if end - j > 2 or not noun:
                        found.append((i, end, noun))
                        i = end - 1
                    break
        i += 1
    return found


def _end(w: Words, at: int) -> int:
    while at < len(w.words):
        if w.punctuation[at].strip("'\"’") or w.texts[at] in ("but", "though", "was", "were", "is") and w.texts[at - 1] not in ("who", "that", "which", "he", "she", "it", "they"):
            break
        at += 1
    return at


def _chinese(w: Words) -> list[tuple[int, int, bool]]:
    """Everything from the start of the clause to "...的那部(电影)", or "那部...的(电影)" to its end."""
    texts, found = w.texts, []
    for i in range(len(texts) - 1):
        if texts[i] == "那" and texts[i + 1] in "部个本款只条张首":
            start = i
            while start and not w.punctuation[start]:
                start -= 1
            skip = re.match(r"(?:我|很|超|特别|最|比较|喜|欢|爱|看|过|想|找|要|来)+", "".join(texts[start:i]))
            if (i - start >= 3 and texts[i - 1] == "的") or i - start >= 6:
                first = start + (skip.end() if skip else 0)
                end = i + 2
                while end < len(texts) and not w.punctuation[end] and end - i < 10 and "".join(texts[end : end + 2]) not in ("很好", "好治", "真好", "太好", "我很", "我超", "我最", "我特", "我喜"):
                    end += 1
                found.append((first, end, True))
                continue
            end = i + 2
            while end < len(texts) and not w.punctuation[end]:
                end += 1
            if end - i >= 7 and "的" in texts[i:end]:
                found.append((i, end, True))
    return found
