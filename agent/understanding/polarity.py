"""Who likes what: the cues and mentions of a message read from left to right, sentence by sentence.

A cue governs what follows it up to the next cue, the next sentence or a contrast ("but"); one with nothing after it
governs what stands before it ("horror I hate", "恐怖片就算了"). Negations turn the cue that follows them.
"""

import re
from collections.abc import Sequence

from snowmelt.agent.understanding.clauses import Clause, Mention, State, sessions
from snowmelt.agent.understanding.cues import Cue, asks_mood
from snowmelt.agent.understanding.reach import (
    EXCEPT,
    after_now,
    backwards,
    excepted,
    heads_list,
    subject_between,
    takes_up,
    until_cue,
)  # fmt: skip
from snowmelt.agent.understanding.text import words_named

_ONWARD = re.compile(r"nothing|without|anything|everything|except|excluding|no more|leave out|rule out")
_FRESH = words_named("fresh")
_FINAL = {"no": "exclude", "not really": "dislike", "not so much": "dislike", "not at all": "dislike"}
_NEAR = 4  # words between a negation and what it turns
_TURNED = {"like": "dislike", "dislike": "neutral", "want": "exclude", "exclude": "neutral", "must": "neutral", "seen": "neutral", "neutral": "neutral"}  # fmt: skip  # noqa: E501


def judge(parts: Sequence[Clause], words: Sequence[str]) -> None:
    """Give every mention its state. Clauses and mentions are changed in place."""
    sessions(parts)
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
                excepted(here, before if len(before) > 1 else [*older, *before])
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
                state, last_cue = (said[-1] if said else "like"), element  # type: ignore[assignment]
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
                if kind == "exclude" and EXCEPT.match(element.text) and before:
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
                    and not after_now(words, element, clause)
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
                    and subject_between(words, here[-1], element)
                )
                forward = not back and any(isinstance(e, Mention) for e in until_cue(clause, at))
                refused = kind == "exclude" and bool(here) and not here[-1].cued  # "狗狗用的不要，我是给猫买"
                if not forward and not back and not inverted and not refused and heads_list(parts, number, at):
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
                    and not takes_up(words, clause)
                    and not (kind == "want" and any(m.state == "neutral" for m in before))
                    and not (kind in ("must", "seen") and here)
                ):
                    state, last_cue = new, element
                else:
                    backwards(new, element, clause, here, before, older, words, parts, number, state)
                    if not here:
                        state = "bare" if new in ("neutral", "seen") else state
                pending = []
        if here and nots and nots[-1].text in _FINAL and nots[-1].end == clause.end and here[-1].end <= nots[-1].start:
            final: State = _FINAL[nots[-1].text]  # type: ignore[assignment]
            here[-1].state, here[-1].cued, here[-1].cue = final, True, nots[-1]  # "thrillers yes, horror no"
        trailing = not here and bool(nots) and nots[-1].end >= clause.end - 2 and bool(before) and len(nots) % 2 == 1
        if trailing and (clause.session or nots[-1].text in ("no", "不")):
            # "I usually love thrillers, just not tonight": a negation with nothing of its own, at the end of its clause
            backwards(
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
    _settle(parts)


def _settle(parts: Sequence[Clause]) -> None:
    """What only the whole message tells: exceptions named first, refusals for today, questions."""
    said = [m for c in parts for m in c.elements if isinstance(m, Mention)]
    for place, mention in enumerate(said):
        excepted = mention.state == "exclude" and mention.cue is not None and EXCEPT.match(mention.cue.text)
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
