"""Whether words that could name something do.

"Her", "Up", "It", "Big", "回归" are titles and plain words; they count as titles when quoted, capitalised inside a
sentence, the whole of a clause, or the object of a verb like "loved".
"""

import re
from collections.abc import Sequence

from snowmelt.agent.understanding.cues import Cue
from snowmelt.agent.understanding.matching import Match, same_name
from snowmelt.agent.understanding.text import everyday, is_cjk, ranks, words_named
from snowmelt.agent.understanding.values import Target
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words

_CONNECT = words_named("connect")
_BETWEEN = words_named("between")
_NEVER = words_named("never")
_GREETINGS = frozenset(
    {"早 安", "晚 安", "お は よ う", "good morning", "hi mom", "good evening", "good night", "thank you"}
)
_OWN = words_named("own")
_HOMELY = words_named("homely")
_ABOUT = words_named("about")
_THINGS = words_named("things")
YEAR = re.compile(r"(?:18|19|20)\d\d")


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
    if match.kind == "title" and not w.quoted[match.start] and _goes_on(match, w, found_cues):
        return False  # "The Matrix Reloaded" is not The Matrix
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
    if YEAR.fullmatch(after) and "(" in w.punctuation[match.end]:
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
            (cue.kind in ("like", "dislike", "seen") or watch or (cue.kind == "exclude" and "show" in cue.text))
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
    if (
        starts
        or bool(w.punctuation[match.start])
        or any(c.end == match.start and c.kind == "contrast" for c in found_cues)
    ):
        for cue in found_cues:
            if cue.start == match.end and cue.kind in ("back_like", "back_dislike", "back_except", "back_seen"):
                return texts[0] not in _NEVER and (latin or len(texts) > 1)  # "alien is perfection"
        if len(texts) > 1 and latin and any(c.start == match.end for c in found_cues):
            return True
    if is_cjk(texts[0][0]) and w.texts[match.start - 2 : match.start] in (["那", "个"], ["那", "部"], ["这", "部"]):
        return len(texts) > 1
    if is_cjk(texts[0][0]) and after in ("那", "这") and w.texts[match.end + 1 : match.end + 2] in (["部"], ["片"]):
        return len(texts) > 1
    opened = starts or bool(w.punctuation[match.start]) or before in ("and", "or", "和", "跟", "与", "plus")
    if before in ("film", "movie", "watched", "rewatched", "saw", "影"):
        return closed
    if opened and (ends or after in ("and", "or", "和", "跟", "与", "plus", "this", "这", "那")) and len(w.words) < 30:
        return not (starts and ends and match.start > 0) and not (
            match.start == 0 and match.end == len(w.words) and not latin and len(texts) == 1
        )
    return False


def _goes_on(match: Match, w: Words, found_cues: Sequence[Cue]) -> bool:
    """Is a capitalised word written on to a title in a message that is not all in capitals?"""
    if match.end >= len(w.words) or w.punctuation[match.end] or any(c.start == match.end for c in found_cues):
        return False
    after = w.words[match.end]
    capitals = sum(t.capital for t in w.words) / len(w.words)
    return after.capital and after.kind == "w" and after.text not in _CONNECT and after.text != "i" and capitals < 0.5


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
            or before in "和跟与、的带给"
        )
        right = (
            match.end == len(w.words)
            or not is_cjk(after[0])
            or bool(w.punctuation[match.end])
            or after in "的の色制质片和跟与类也都我就用用"
            or any(c.start == match.end for c in found_cues)
        )
        return left and right
    if texts[0] in ("i", "we") and any(
        match.start < c.end <= match.end and c.kind in ("like", "dislike") for c in found_cues
    ):
        return False  # "I love Radiohead", where listeners have a tag "i love"
    if len(texts) > 1 or is_cjk(texts[0][0]):
        return True
    word = texts[0]
    if word == "love" and after not in ("stories", "story", "films", "", "and") and before not in _ABOUT - {"both"}:
        return False  # "I used to love comedies"
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
    spoken = listed and any(c.start == match.end and c.kind.startswith("back_") for c in found_cues)
    return before in _ABOUT or after in _THINGS or governed or spoken or (listed and closed)


def dated(match: Match, w: Words, vocabulary: Vocabulary) -> Match:
    """Of items with the same title, the one of the year said after it ("Jumanji (2017)"), or the nearest."""
    after = w.texts[match.end] if match.end < len(w.words) else ""
    if match.kind != "title":
        return match
    if not YEAR.fullmatch(after):
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
