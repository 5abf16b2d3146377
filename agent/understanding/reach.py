"""How far a cue reaches: over a list, to what a pronoun takes up, back to what stands before it."""

import itertools
import re
from collections.abc import Sequence

from snowmelt.agent.understanding.clauses import Clause, Mention, State
from snowmelt.agent.understanding.cues import Cue
from snowmelt.agent.understanding.text import words_named

EXCEPT = re.compile(r"except|apart from|aside from|other than|besides|save for|除")
_PRONOUNS = words_named("pronouns")


def subject_between(words: Sequence[str], mention: Mention, cue: Cue) -> bool:
    """Is somebody named between a mention and a cue ("orange I hate", "恐怖片我讨厌")?"""
    return bool({"i", "we", "he", "she", "我", "他", "她"} & set(words[mention.end : cue.start]))


def after_now(words: Sequence[str], cue: Cue, clause: Clause) -> bool:
    near = words[clause.start : clause.end]
    turned = {"now", "anymore", "lately", "nowadays", "since"} & set(near)
    return bool(turned) or any(t in "".join(near) for t in ("现在", "如今", "后来", "这两年", "近来", "最近"))


SHORT = 4  # words of a clause that may speak of the sentence before without a pronoun


def speaks_of(cue: Cue) -> bool:
    """Can it say something of what stands before it, a sentence earlier even?"""
    return cue.kind.startswith("back_") or cue.kind in _SPEAKING


_SPEAKING = frozenset(["like", "dislike", "exclude", "must", "seen", "neutral", "same"])


def takes_up(words: Sequence[str], clause: Clause) -> bool:
    own = words[clause.start : clause.end]
    again = any(a in ("that", "this") and b in _CLASSED for a, b in itertools.pairwise(own))
    return again or any(w in _PRONOUNS and own[max(0, k - 1)] != "其" for k, w in enumerate(own))  # "其他" is no "他"


_CLASSED = frozenset(["brand", "company", "label", "director", "actor", "actress", "genre", "guy", "stuff", "film", "movie", "one"])  # fmt: skip  # noqa: E501


def until_cue(clause: Clause, at: int) -> list[Cue | Mention]:
    out = []
    for element in clause.elements[at + 1 :]:
        if isinstance(element, Cue) and element.kind in ("like", "dislike", "exclude", "must", "seen", "over"):
            break
        out.append(element)
    return out


def heads_list(parts: Sequence[Clause], number: int, at: int) -> bool:
    """Is this cue the last word of its clause, with a list after the colon or comma ("I love: A, B")?"""
    clause = parts[number]
    if at != len(clause.elements) - 1 or number + 1 == len(parts) or parts[number + 1].segment != clause.segment:
        return False
    cue = clause.elements[at]
    following = parts[number + 1].elements
    return cue.end >= clause.end and bool(following) and isinstance(following[0], Mention)


def excepted(here: list[Mention], before: list[Mention]) -> None:
    """ "..., Elf excepted", "恐怖片我不看，但异形是例外": the opposite of what was said of the others."""
    if not here:
        return
    target = here[-1]
    others = [m for m in before if m is not target and m.state != "bare"]
    against = any(m.state in ("dislike", "exclude") for m in others[-1:]) or (
        target.state in ("dislike", "exclude") and not others
    )
    target.state, target.cued, target.contrast = ("like" if against else "dislike"), True, True


def backwards(
    new: State, cue: Cue, clause: Clause, here: list[Mention], before: list[Mention], older: list[Mention],
    words: Sequence[str], parts: Sequence[Clause], number: int, state: State,
) -> None:  # fmt: skip
    """A cue with nothing after it speaks of what stands before: in its clause, its sentence or the one before."""
    target = [
        m
        for m in here
        if not m.cued
        or m.state == "bare"
        or m.cue is None
        or m.cue.start < clause.start
        or m.cue.kind == "want"
        or (m.state == "seen" and new in ("like", "dislike"))
        or (m.cue.kind == "must" and new == "dislike")
    ]
    if not target and here and takes_up(words, clause):
        target = here[-1:]
    if not here and new == "neutral" and cue.start > clause.start and not takes_up(words, clause):
        return  # "weight doesn't matter" has its own subject
    if not here:
        pool = before or (older if takes_up(words, clause) or clause.end - clause.start <= SHORT else [])
        if pool:
            last = max(m.clause for m in pool)
            target = [m for m in pool if m.clause == last]
            if clause.session and not any(m.session for m in target) and new != "neutral":
                for mention in target:
                    mention.again = new if new != "dislike" else "exclude"
                return
            if clause.session is False and new == "like" and any(m.session for m in target):
                for mention in target:  # "not tonight, but usually I like them"
                    if mention.state in ("exclude", "dislike"):
                        mention.again, mention.state, mention.session = mention.state, new, False
                return
            # what was said outright stays, unless a pronoun takes it up again
            if not takes_up(words, clause):
                target = [
                    m
                    for m in target
                    if not m.cued
                    or m.state in ("neutral", "seen")
                    or new == "must"
                    or ((m.cue is not None and m.cue.kind == "want") and new != "like")
                ]
    if cue.text.endswith(" one") and any(_item(m) for m in target):
        target = [m for m in target if _item(m)]
    for mention in target:
        carried = _carried(mention, clause) and mention.state in ("dislike", "exclude")
        if new == "must" and mention.state in ("dislike", "exclude", "neutral", "seen") and not carried:
            continue
        if new == "want" and mention.cued:
            continue
        if new == "like" and mention.cued and mention.state in ("must", "like", "want"):
            continue
        if (
            mention.state == "exclude"
            and new in ("dislike", "neutral", "like")
            and not (new == "like" and takes_up(words, clause))
            and (not _carried(mention, clause) or (mention.cue is not None and EXCEPT.match(mention.cue.text)))
        ):
            continue
        mention.known = mention.known or mention.state == "seen"
        mention.state, mention.cued, mention.cue = new, True, cue
        mention.session = mention.session or bool(clause.session)


def _item(mention: Mention) -> bool:
    return mention.match is not None and mention.match.targets[0].item_id is not None


def _carried(mention: Mention, clause: Clause) -> bool:
    """Does its state come from a clause before ("no plastic, steel I love")?"""
    return mention.cue is not None and mention.cue.start < clause.start <= mention.start
