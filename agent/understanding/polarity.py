"""Who likes what: the cues and mentions of a message read from left to right, sentence by sentence.

A cue governs what follows it up to the next cue, the next sentence or a contrast ("but"); one with nothing after it
governs what stands before it ("horror I hate", "恐怖片就算了"). Negations turn the cue that follows them.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from snowmelt.agent.understanding.cues import Cue, asks_mood
from snowmelt.agent.understanding.matching import Match
from snowmelt.agent.understanding.text import words_named

State = Literal["like", "dislike", "exclude", "must", "seen", "neutral", "want", "bare"]

_ASKS = re.compile(
    r"(?:whats|what is|what was|who|whose|when (?:is|was|did)|where (?:is|was|did)|how (?:long|many|old)|is|are|was|were|does|did|which)\b"  # noqa: E501
)
_OFFERED = re.compile(r"are there|is there|do you|have you|does (?:it|the)|did you")
_ASKS_ZH = re.compile(r"是不是|难道|好看吗$|好不好看$|怎么样$|多久能|几点|谁演的|哪年的$|多少钱$|什么时候")
_EXCEPT = re.compile(r"except|apart from|aside from|other than|besides|save for|除")
_ONWARD = re.compile(r"nothing|without|anything|everything|except|excluding|no more|leave out|rule out")
_FRESH = words_named("fresh")
_FINAL = {"no": "exclude", "not really": "dislike", "not so much": "dislike", "not at all": "dislike"}
_HARD = frozenset(".!?;\n。！？；…")
_NEAR = 4  # words between a negation and what it turns
_TURNED = {"like": "dislike", "dislike": "neutral", "want": "exclude", "exclude": "neutral", "must": "neutral", "seen": "neutral", "neutral": "neutral"}  # fmt: skip  # noqa: E501
_PRONOUNS = words_named("pronouns")


@dataclass
class Mention:
    """A match (None: free text) and how it is spoken of.

    `again`: a second word on it, for today only. `known`: said to be seen, whatever else was said.
    """

    start: int
    end: int
    match: Match | None
    state: State = "bare"
    cued: bool = False
    hedged: bool = False
    contrast: bool = False
    session: bool = False
    clause: int = 0
    sentence: int = 0
    again: State | None = None
    known: bool = False
    asked: bool = False
    cue: Cue | None = None


@dataclass
class Clause:
    """Words [start, end) between punctuation; `segment` counts sentences and contrasts."""

    start: int
    end: int
    sentence: int
    segment: int
    question: bool = False
    session: bool | None = None
    elements: list[Cue | Mention] = field(default_factory=list)


def clauses(words: Sequence[str], punctuation: Sequence[str], elements: Sequence[Cue | Mention]) -> list[Clause]:
    """Cut `words` at punctuation (`punctuation[i]` stands before word i) and at contrast cues."""
    count = len(words)
    inside = {i for e in elements for i in range(e.start + 1, e.end)}
    starts = {e.start for e in elements if isinstance(e, Cue) and e.kind == "contrast"}
    found: list[Clause] = []
    sentence = segment = start = 0
    for i in range(1, count + 1):
        marks = punctuation[i] if i <= count else ""
        hard = bool(_HARD & set(marks)) and i not in inside
        soft = bool(marks.strip("\"“”'«»《》「」*_`-—–/&+")) and i not in inside
        if i == count or hard or soft or i in starts:
            end_marks = punctuation[i] if i <= count else ""
            found.append(Clause(start, i, sentence, segment, question=bool(set("?？") & set(end_marks))))
            start = i
            if hard:
                sentence, segment = sentence + 1, segment + 1
            elif i in starts:
                segment += 1
    for clause in found:
        clause.elements = [e for e in elements if clause.start <= e.start < clause.end]
    asked: list[Clause] = []
    for clause in found:
        head = " ".join(words[clause.start : clause.start + 2])
        if _ASKS_ZH.search("".join(words[clause.start : clause.end])):
            asked.append(clause)
        wanted = any(isinstance(e, Cue) and e.kind == "want" for e in clause.elements)
        if _ASKS.match(head) and not wanted:
            asked.append(clause)
        if clause.question and _OFFERED.match(head):  # "are there any Iranian films?" asks what there is
            for element in clause.elements:
                if isinstance(element, Mention):
                    element.asked = True
    for number, clause in enumerate(found[:-1]):
        if clause.question and _topic(clause) and not any(isinstance(e, Mention) for e in found[number + 1].elements):
            clause.question, found[number + 1].sentence = False, clause.sentence  # "Alien? masterpiece"
            for later in found[number + 2 :]:
                if later.segment == found[number + 1].segment:
                    later.sentence = clause.sentence
    for clause in found:  # a question mark closes its whole sentence
        if clause.question:
            for other in found:
                if other.segment == clause.segment:
                    other.question = True
    for clause in asked:
        clause.question = True
    return found


def _topic(clause: Clause) -> bool:
    """Does it only name a thing, as what the next clause is about?"""
    mentions = [e for e in clause.elements if isinstance(e, Mention)]
    named = sum(m.end - m.start for m in mentions)
    cued = any(isinstance(e, Cue) and e.kind not in ("word", "contrast") for e in clause.elements)
    return bool(mentions) and not cued and clause.end - clause.start - named <= 2


def judge(parts: Sequence[Clause], words: Sequence[str]) -> None:
    """Give every mention its state. Clauses and mentions are changed in place."""
    _sessions(parts)
    past = general = False
    state: State = "bare"
    last_cue: Cue | None = None
    inherited: Mention | None = None
    before: list[Mention] = []  # mentions of the sentence so far
    older: list[Mention] = []  # of the sentence before
    for number, clause in enumerate(parts):
        if number == 0 or clause.sentence != parts[number - 1].sentence:
            past = general = False
            state, last_cue, older, before = "bare", None, before or older, []
        elif clause.segment != parts[number - 1].segment:
            general, state, last_cue = False, "bare", None
        nots: list[Cue] = []
        hedged = False
        pending: list[Cue] = []  # modifiers with nothing to turn yet
        here: list[Mention] = []
        fresh = state in ("exclude", "dislike") and words[clause.start] in _FRESH
        loose = sum(e.end - e.start for e in clause.elements) + 3 <= clause.end - clause.start
        if state == "must" and loose and number and clause.start != parts[number - 1].start:
            state, last_cue = "bare", None  # "must be in Spanish, and if Darín is in it even better"
        if state == "neutral" or (fresh and number and clause.sentence == parts[number - 1].sentence):
            state, last_cue = "bare", None
        for at, element in enumerate(clause.elements):
            if isinstance(element, Mention):
                element.clause, element.sentence = number, clause.sentence
                turned = [c for c in nots if element.start - c.end <= 3]
                element.session = bool(clause.session)
                element.hedged, element.cue = hedged, last_cue
                if turned and len(nots) % 2:
                    element.state, element.cued = "exclude", True
                    # "A but not B", "A, not B", "neither ... is for me" tell a taste; "not B" alone is a request
                    rest = " ".join(words[element.end : clause.end])
                    taste = any(
                        t in rest
                        for t in ("for me", "my thing", "my cup", "my style", "person", "guy", "lover", "type of")
                    )
                    element.contrast = taste or (
                        turned[-1].text == "not" and any(m.state in ("bare", "like", "want") for m in before)
                    )
                    state, last_cue = "exclude", turned[-1]
                elif general and state != "neutral":
                    element.state, element.cued = "neutral", True
                else:
                    element.state, element.cued = state, state != "bare"
                    if state == "exclude" and inherited is not None:
                        element.contrast = inherited.contrast
                if clause.question and element.state in ("bare", "seen"):
                    element.state = "neutral"
                nots = []
                inherited = element
                here.append(element)
                before.append(element)
                continue
            kind = element.kind
            if kind == "back_except" or (element.text == "除 外" and any(m not in here and m.cued for m in before)):
                _except(here, before if len(before) > 1 else [*older, *before])
                continue
            if kind == "not":
                nots.append(element)
                pending.append(element)
            elif kind == "past":
                past = True
            elif kind == "general":
                general = True
            elif kind == "same" and (before or older):
                said = [m.state for m in (*older, *before) if m.state not in ("bare", "neutral")]
                state, last_cue = (said[-1] if said else "like"), element
            elif kind == "hedge":
                hedged = True
                if (
                    element.text
                    in (
                        "not too",
                        "nothing too",
                        "anything too",
                        "not so",
                        "not very",
                        "rather not",
                        "would rather not",
                        "id rather not",
                    )
                    or {"not", "avoid", "skip"} & set(element.text.split())
                    or "不" in element.text
                    or "别" in element.text
                ):
                    state, last_cue, nots = "exclude", element, []
            elif kind == "over":
                rather = {"rather", "prefer", "more", "better", "sooner", "take", "choose", "pick", "have"} & set(
                    words[clause.start : element.start]
                )
                spoken = last_cue is not None and last_cue.text.startswith(("prefer", "rather", "like", "love"))
                if here and (spoken or (rather and element.text in ("than", "over"))):
                    state, last_cue = "neutral", element
            elif kind in ("session", "lasting", "contrast", "word"):
                if kind == "session" and asks_mood(element):
                    turned = [c for c in nots if element.start - c.end <= _NEAR] or element.text.startswith("没")
                    state, last_cue, nots = ("exclude" if turned else "want"), element, []
                elif kind == "session" and element.text in ("not feeling", "没 心 情"):
                    state, last_cue = "exclude", element
            else:
                turned = [c for c in nots if element.start - c.end <= _NEAR]
                back = kind.startswith("back_")
                if element.text.endswith(("more than", "没 有 什 么 比", "没 什 么 比", "没 有 比")):
                    turned = []  # "no film I hate more than"
                new: State = kind.removeprefix("back_")  # type: ignore[assignment]
                if kind == "exclude" and _EXCEPT.match(element.text) and before:
                    said = [m.state for m in before if m.state != "bare"]
                    if said and said[-1] in ("dislike", "exclude"):
                        new = "like"  # "I hate horror, except for Alien"
                for _ in turned:
                    new = _turn(new)
                if len(turned) >= 2:
                    new = "neutral"
                nots = []
                inherited = None
                if (
                    new == "want"
                    and state in ("exclude", "dislike", "must")
                    and last_cue is not None
                    and not any(last_cue.end <= m.start for m in here)
                    and last_cue.start >= clause.start
                ):
                    continue  # "never show me anything by", "only something funny": the first word stands
                if (
                    past
                    and new in ("like", "dislike")
                    and kind != "back_dislike"
                    and not _after_now(words, element, clause)
                ):
                    new = "neutral"
                if general and new in ("like", "dislike", "want"):
                    new = "neutral" if not _mine(words, clause, element) else new
                if (
                    kind == "must"
                    and element.text == "just"
                    and not any(isinstance(e, Mention) for e in clause.elements[at:])
                ):
                    continue  # "I just never pick them"
                if (
                    kind == "exclude"
                    and not any(isinstance(e, Mention) for e in clause.elements[at:])
                    and _ONWARD.match(element.text)
                ):
                    continue  # "a whodunit, but nothing made before 1960"
                inverted = (
                    element.end == clause.end
                    and bool(here)
                    and not here[-1].cued
                    and _subject(words, here[-1], element)
                )
                forward = not back and any(isinstance(e, Mention) for e in _until_cue(clause, at))
                if not forward and not back and not inverted and _heads_list(parts, number, at):
                    forward = True
                if element.text in ("too", "太") and not before and not older:
                    forward = True  # "too long, the third one"
                if forward or (not back and not before and not older):
                    if new == "exclude" and hedged:
                        pass
                    state, last_cue = new, element
                elif (
                    not back
                    and kind in ("want", "seen", "must")
                    and not _pronoun(words, clause)
                    and not (kind == "want" and any(m.state == "neutral" for m in before))
                    and not (kind in ("must", "seen") and here)
                ):
                    state, last_cue = new, element
                else:
                    _backwards(new, element, clause, here, before, older, words, parts, number, state)
                    if not here:
                        state = "bare" if new in ("neutral", "seen") else state
                pending = []
        if here and nots and nots[-1].text in _FINAL and nots[-1].end == clause.end and here[-1].end <= nots[-1].start:
            final: State = _FINAL[nots[-1].text]  # type: ignore[assignment]
            here[-1].state, here[-1].cued, here[-1].cue = final, True, nots[-1]  # "thrillers yes, horror no"
        trailing = not here and bool(nots) and nots[-1].end >= clause.end - 2 and bool(before) and len(nots) % 2 == 1
        if trailing and (clause.session or nots[-1].text in ("no", "不")):
            # "I usually love thrillers, just not tonight": a negation with nothing of its own, at the end of its clause
            _backwards(
                "exclude" if clause.session else "dislike",
                nots[-1],
                clause,
                here,
                before,
                older,
                words,
                parts,
                number,
                state,
            )

    said = [m for c in parts for m in c.elements if isinstance(m, Mention)]
    for place, mention in enumerate(said):
        excepted = mention.state == "exclude" and mention.cue is not None and _EXCEPT.match(mention.cue.text)
        if excepted and any(m.sentence == mention.sentence and m.state == "dislike" for m in said[place + 1 :]):
            mention.state = "like"  # "除了卧虎藏龙，李安的都不喜欢"
        if mention.session and mention.state == "dislike" and not mention.hedged:
            mention.state = "exclude"  # what is not wanted today is not shown today

    for clause in parts:
        if clause.question:  # "is Alien scary?" tells nothing; "can you find me a comedy?" does
            for m in clause.elements:
                if isinstance(m, Mention) and m.cue is not None and m.cue.start >= clause.end:
                    continue  # "horror? no thanks"
                if isinstance(m, Mention) and m.asked:
                    m.state = "neutral"
                    continue
                if isinstance(m, Mention) and m.cue is not None and m.cue.text.startswith(("who ", "谁 ", "how could")):
                    continue  # "who doesn't love Chaplin?"
                if isinstance(m, Mention) and not (
                    m.cue is not None
                    and m.cue.kind in ("want", "must", "exclude", "not", "session")
                    and m.cue.start < m.start
                    and m.state != "neutral"
                ):
                    m.state = "neutral"


def _turn(state: State) -> State:
    return _TURNED.get(state, state)  # type: ignore[return-value]


def _mine(words: Sequence[str], clause: Clause, cue: Cue) -> bool:
    return any(w in ("i", "me", "my", "我") for w in words[max(clause.start, cue.start - 3) : cue.end])


def _subject(words: Sequence[str], mention: Mention, cue: Cue) -> bool:
    """Is somebody named between a mention and a cue ("orange I hate", "恐怖片我讨厌")?"""
    return bool({"i", "we", "he", "she", "我", "他", "她"} & set(words[mention.end : cue.start]))


def _after_now(words: Sequence[str], cue: Cue, clause: Clause) -> bool:
    near = words[clause.start : clause.end]
    turned = {"now", "anymore", "lately", "nowadays", "since"} & set(near)
    return bool(turned) or any(t in "".join(near) for t in ("现在", "如今", "后来", "这两年", "近来", "最近"))


def _pronoun(words: Sequence[str], clause: Clause) -> bool:
    own = words[clause.start : clause.end]
    again = any(a in ("that", "this") and b in _CLASSED for a, b in itertools.pairwise(own))
    return again or any(w in _PRONOUNS and own[max(0, k - 1)] != "其" for k, w in enumerate(own))  # "其他" is no "他"


_CLASSED = frozenset(["brand", "company", "label", "director", "actor", "actress", "genre", "guy", "stuff", "film", "movie", "one"])  # fmt: skip  # noqa: E501


def _until_cue(clause: Clause, at: int) -> list[Cue | Mention]:
    out = []
    for element in clause.elements[at + 1 :]:
        if isinstance(element, Cue) and element.kind in ("like", "dislike", "exclude", "must", "seen", "over"):
            break
        out.append(element)
    return out


def _heads_list(parts: Sequence[Clause], number: int, at: int) -> bool:
    """Is this cue the last word of its clause, with a list after the colon or comma ("I love: A, B")?"""
    clause = parts[number]
    if at != len(clause.elements) - 1 or number + 1 == len(parts) or parts[number + 1].segment != clause.segment:
        return False
    cue = clause.elements[at]
    following = parts[number + 1].elements
    return cue.end >= clause.end and bool(following) and isinstance(following[0], Mention)


def _except(here: list[Mention], before: list[Mention]) -> None:
    """ "..., Elf excepted", "恐怖片我不看，但异形是例外": the opposite of what was said of the others."""
    if not here:
        return
    target = here[-1]
    others = [m for m in before if m is not target and m.state != "bare"]
    against = any(m.state in ("dislike", "exclude") for m in others[-1:]) or (
        target.state in ("dislike", "exclude") and not others
    )
    target.state, target.cued, target.contrast = ("like" if against else "dislike"), True, True


def _backwards(
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
    if not target and here and _pronoun(words, clause):
        target = here[-1:]
    if not here:
        pool = before or (older if _pronoun(words, clause) or clause.end - clause.start <= 4 else [])
        if pool:
            last = max(m.clause for m in pool)
            target = [m for m in pool if m.clause == last]
            if clause.session and not any(m.session for m in target) and new != "neutral":
                for mention in target:
                    mention.again = new if new != "dislike" else "exclude"
                return
            # what was said outright stays, unless a pronoun takes it up again
            if not _pronoun(words, clause):
                target = [
                    m
                    for m in target
                    if not m.cued
                    or m.state in ("neutral", "seen")
                    or new == "must"
                    or ((m.cue is not None and m.cue.kind == "want") and new != "like")
                ]
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
            and not (new == "like" and _pronoun(words, clause))
            and (not _carried(mention, clause) or (mention.cue is not None and _EXCEPT.match(mention.cue.text)))
        ):
            continue
        mention.known = mention.known or mention.state == "seen"
        mention.state, mention.cued, mention.cue = new, True, cue
        mention.session = mention.session or bool(clause.session)


def _carried(mention: Mention, clause: Clause) -> bool:
    """Does its state come from a clause before ("no plastic, steel I love")?"""
    return mention.cue is not None and mention.cue.start < clause.start <= mention.start


def _sessions(parts: Sequence[Clause]) -> None:
    """Which clauses hold for today only: those with such a word, and their neighbours of the same segment."""
    own: dict[int, bool] = {}
    for number, clause in enumerate(parts):
        for element in clause.elements:
            if isinstance(element, Cue) and element.kind in ("session", "lasting"):
                weak = element.text in ("now", "现 在")
                others = [e for c in parts if c.sentence == clause.sentence for e in c.elements if isinstance(e, Cue)]
                if weak and (
                    any(e.kind in ("like", "dislike", "back_dislike") for e in clause.elements if isinstance(e, Cue))
                    or any(e.kind == "past" for e in others)
                ):
                    continue  # "now" that means nowadays
                own[number] = element.kind == "session"
                clause.session = own[number]
                if weak:
                    own.pop(number)
    for number, clause in enumerate(parts):
        if clause.session is None:
            same = [
                n for n in own
                if parts[n].sentence == clause.sentence and parts[n].segment == clause.segment and n - number <= 1
            ]  # fmt: skip
            if same:
                nearest = [n for n in same if n < number] or same
                clause.session = own[nearest[-1] if nearest[0] < number else nearest[0]]
