"""A message cut into clauses, and what each mention in them is said to be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from snowmelt.agent.understanding.cues import Cue
from snowmelt.agent.understanding.matching import Match
from snowmelt.agent.understanding.words import HARD

State = Literal["like", "dislike", "exclude", "must", "seen", "neutral", "want", "bare"]

_ASKS = re.compile(
    r"(?:whats|what is|what was|who|whose|when (?:is|was|did)|where (?:is|was|did)|how (?:long|many|old)|is|are|was|were|does|did|which)\b"  # noqa: E501
)
_OFFERED = re.compile(r"are there|is there|do you|have you|does (?:it|the)|did you")
_ASKS_ZH = re.compile(r"是不是|难道|好看吗$|好不好看$|怎么样$|多久能|几点|谁演的|哪年的$|多少钱$|什么时候")


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
        hard = bool(HARD & set(marks)) and i not in inside
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


def sessions(parts: Sequence[Clause]) -> None:
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
