"""Items that are meant by description: "that Swedish thing where a knight plays chess", "the fox night light"."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.understanding.clauses import Mention
from snowmelt.agent.understanding.matching import Match
from snowmelt.agent.understanding.pointing import has
from snowmelt.agent.understanding.text import words_named
from snowmelt.agent.understanding.values import Target
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words

LEAST, AHEAD = 0.30, 0.045  # of cosine + 0.02 BM25; tuned on 25 descriptions of our own (benchmarks/understanding.py)
_NOUN = words_named("noun")
_LINK = words_named("link")
_FORGOTTEN = re.compile(r"想不起|叫什么|忘了名字|记不得|名字忘|不记得名")


def described(
    w: Words, mentions: Sequence[Mention], judged: Sequence[int], vocabulary: Vocabulary
) -> list[tuple[int, int, tuple[Target, ...]]]:
    """(first word, last + 1, candidates: one if clear, several if not) for every description in the message. `judged`:
    words from which something is said of what stands before them ("bored me"); a description ends there."""
    found = []
    spans = _belonging(w, mentions, judged, vocabulary)
    spans += [s for s in (*_english(w), *_chinese(w)) if not any(s[0] < b and a < s[1] for a, b, _ in spans)]
    for start, end in _definite(w):
        taken = [(a, b) for a, b, _ in (*spans, *found)]
        if not any(a < end and start < b for a, b in taken) and not any(
            m.start < end and start < m.end and _is_item(m) for m in mentions
        ):
            row = _one(w.said(start, end), vocabulary)
            if row is not None:
                found.append((start, end, (vocabulary.item(row),)))
    for start, end, people in spans:
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


_ENDS = words_named("ends")
_PEOPLE = frozenset(["guy", "director", "actor", "actress", "man", "woman", "lady", "person", "writer", "star"])
CLEAR, CLEAR_AHEAD = 0.34, 0.12  # for things named by their kind alone; on all labelled utterances


def _is_item(mention: Mention) -> bool:
    return mention.match is not None and mention.match.targets[0].item_id is not None


def _definite(w: Words) -> list[tuple[int, int]]:
    """Spans of definite things of two words and more, the longest of each first: "the fox night light", "that Swedish
    thing where a knight plays chess", "the other Korean one, zombies on a train"."""
    found, texts = [], w.texts
    for i, text in enumerate(texts):
        if text not in ("the", "that", "this", "those") or (i and texts[i - 1] in ("of", "in", "all")):
            continue
        end = i + 1
        while end < len(texts) and not w.punctuation[end].strip("'’\"-") and texts[end] not in _ENDS:
            end += 1
        if _PEOPLE & set(texts[i:end]):
            continue
        clause = _end(w, end) if end < len(texts) else end
        if texts[end - 1] in _NOUN and end < len(texts) and set(w.punctuation[end]) <= set(", ("):
            found.append((i, _end(w, end + 1)))
        elif _LINK & set(texts[i:clause]) and clause > end:
            found.append((i, clause))
        if 3 <= end - i <= 14:
            found.append((i, end))
    return found


def _one(text: str, vocabulary: Vocabulary) -> int | None:
    """The row of the item that is by far the nearest to `text`, or None."""
    score = _scores(text, vocabulary)
    if len(score) < 2:
        return None
    second, first = np.argsort(score, kind="stable")[-2:]
    clear = score[first] >= CLEAR and score[first] - score[second] >= CLEAR_AHEAD
    return int(first) if clear else None


def _scores(text: str, vocabulary: Vocabulary) -> NDArray[np.floating]:
    """[items] how near each is to a description: cosine and a little of BM25."""
    catalogue = vocabulary.catalogue
    query = catalogue.embedder.queries([text])[0]
    return np.asarray(catalogue.vectors @ query) + 0.02 * np.asarray(catalogue.lexical.scores(text))


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
    score = np.where(fits, _scores(text, vocabulary), -1.0)
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


def _belonging(
    w: Words, mentions: Sequence[Mention], judged: Sequence[int], vocabulary: Vocabulary
) -> list[tuple[int, int, bool]]:
    """ "Clouzot's film about the headmaster", "Bong's monster movie", "the Wong Kar-wai with the lovesick cops"."""
    found = []
    for m in mentions:
        if m.match is None or vocabulary.roles.get(m.match.targets[0].attribute or "") != "person":
            continue
        name = m.end + (w.punctuation[m.end] == "-" and m.end < len(w.words))
        end = min([_end(w, name), *(k for k in judged if k >= name)])
        after = w.texts[name:end]
        of_them = w.said(m.start, name)[-2:].casefold() in ("'s", "’s")
        if of_them and len(after) > 1 and _ONE_WORK & set(after):
            found.append((m.start - (w.texts[m.start - 1 : m.start] == ["the"]), end, True))
        elif m.start and w.texts[m.start - 1] in ("the", "that") and len(after) > 2 and after[0] in _LINK:
            found.append((m.start - 1, end, True))
    return found


_MANY = frozenset(["films", "movies", "ones", "books", "things", "shows", "pictures", "products"])
_ONE_WORK = frozenset(
    ["film", "movie", "picture", "one", "documentary", "thriller", "comedy", "drama", "book", "story"]
)


def _english(w: Words) -> list[tuple[int, int, bool]]:
    texts, found, i = w.texts, [], 0
    while i < len(texts):
        part = i > 1 and texts[i - 1] in ("of", "in", "all") and texts[i - 2] not in ("thinking", "think")
        if texts[i] in ("the", "that") and not part:
            for j in range(i + 1, min(len(texts) - 2, i + 8)):
                if w.punctuation[j]:
                    break
                if texts[j] in _MANY:
                    break  # "the films with a serial killer"
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


# "有部意大利老电影，爸爸的自行车被人偷了，我想看那部"
_TOLD_OF = re.compile(
    r"有[一]?[部个]\w{0,8}(?:电影|片子?|动画|剧)\w{6,60}?(?=(?:我|就|想|要|最|喜|看){1,4}\w{0,4}那[部个])"
)


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
    line = "".join(texts)
    if (told := _TOLD_OF.search(line)) and len(texts) == len(line):
        return [(told.start(), told.end(), True)]
    for i in range(len(texts) - 1):
        if texts[i] == "那" and texts[i + 1] in "部个本款只条张首":
            start = i
            while start and not w.punctuation[start]:
                start -= 1
            skip = re.match(
                r"(?:我|很|超|特别|最|比较|喜|欢|爱|看|过|想|找|要|来|还|有|再|和|跟)+", "".join(texts[start:i])
            )
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
                first = start + (skip.end() if skip else 0)
                found.append((first if i - first <= 3 else i, end, True))
    return found
