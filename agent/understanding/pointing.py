"""Items of the list last shown, by place or by what sets them apart: "the second one", "第三部", "the Kurosawa one"."""
# ruff: noqa: E501  (a pattern stands on one line, or nobody can read it)

import re
from collections.abc import Sequence

from snowmelt.agent.understanding.clauses import Mention
from snowmelt.agent.understanding.matching import Match, matches
from snowmelt.agent.understanding.values import Target
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words

_ORDINALS = {"first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10}  # fmt: skip
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_HAN_DIGITS = {c: n for n, c in enumerate("一二三四五六七八九十", 1)} | {"两": 2} | {str(n): n for n in range(1, 21)}


_FROM_THE_END = re.compile(
    r"(?:\bthe )?\b(?:second (?:to |from )?(?:the )?last|last but one|next to last|penultimate)(?: one| film)?\b|倒 数 第 (?P<n>[一二三四五])(?: [个部本款])?"
)


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

    for match in _FROM_THE_END.finditer(" ".join(texts)):
        start = len(" ".join(texts)[: match.start()].split())
        add(start, start + len(match[0].split()), -_HAN_DIGITS[match["n"]] if match["n"] else -2)
    for i, text in enumerate(texts):
        if any(f.start <= i < f.end for f in found):
            continue
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
            "thought",
            "thoughts",
            "look",
            "chance",
            "viewing",
        ):
            add(i - (before == "the"), tail, _ORDINALS[text])
        elif text.isdigit() and after in ("st", "nd", "rd", "th") and before == "the":
            add(i - 1, i + 2, int(text))
        elif text == "last" and before == "the" and after in ("one", "", "film", "two", "is", "was", "item", "looks"):
            add(i - 1, tail, -1)
        elif (
            (
                (text in _NUMBERS or (text.isdigit() and len(text) < 3))
                and after in ("is", "s", "looks", "sounds", "seems", "was", "please")
            )
            or text in ("ones", "twos", "threes", "fours", "fives")
        ) and (not i or bool(w.punctuation[i])):  # "two's too long, three looks lovely"
            add(i, i + 1, int(text) if text.isdigit() else _NUMBERS[text.removesuffix("s")])
        elif text == "第" and after in _HAN_DIGITS:
            end = i + 3 if i + 2 < len(texts) and texts[i + 2] in "个部款本张件条首" else i + 2
            add(i, end, _HAN_DIGITS[after])
        elif (text == "最" and texts[i + 1 : i + 3] == ["后", "一"]) or (
            text == "最" and texts[i + 1 : i + 3] == ["后", "那"]
        ):
            add(i, min(len(texts), i + 4), -1)
        elif (
            (text.isdigit() or (text in _NUMBERS and before in ("number", "option", "item")))
            and len(text) < 3 + 3 * (not text.isdigit())
            and (before in ("number", "no", "nr", "like", "option", "item") or len(texts) <= 2)
        ):
            place = int(text) if text.isdigit() else _NUMBERS[text]
            add(i - (before in ("number", "no", "nr", "option", "item")), i + 1, place)
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
