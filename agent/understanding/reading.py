"""A message to a profile update, in code: names are linked to the catalogue, limits typed, likes told from dislikes."""

import re
from collections.abc import Sequence
from datetime import date

from snowmelt.agent.sentences import sentences
from snowmelt.agent.types import Command, Constraint, Conversation, Profile, Update
from snowmelt.agent.understanding.asides import command_of, corrections, ironic, meant_otherwise, tampering, told
from snowmelt.agent.understanding.clauses import Clause, Mention, clauses
from snowmelt.agent.understanding.composing import composed
from snowmelt.agent.understanding.cues import Cue, cues
from snowmelt.agent.understanding.describing import described
from snowmelt.agent.understanding.gate import ordered, weighed
from snowmelt.agent.understanding.lifting import changed, lifted, takes_back
from snowmelt.agent.understanding.limits import Limit, Unchecked, limits
from snowmelt.agent.understanding.matching import Match, matches
from snowmelt.agent.understanding.meaning import EMPTY, MODIFIERS, free_texts
from snowmelt.agent.understanding.mentions import chosen
from snowmelt.agent.understanding.numerals import Line, line_of
from snowmelt.agent.understanding.pointing import pointed
from snowmelt.agent.understanding.polarity import judge
from snowmelt.agent.understanding.pruning import pruned
from snowmelt.agent.understanding.reach import SHORT, speaks_of, takes_up
from snowmelt.agent.understanding.support import plain
from snowmelt.agent.understanding.text import tokenise
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words, words_of

LONGEST = 2000  # characters of a message that are read
MOST_SENTENCES = 40  # of a message with more, all are read as they stand
_MOST_LOOSE = 3  # unexplained words beside a bare value that is still believed


def understand(message: str, vocabulary: Vocabulary, conversation: Conversation, today: date | None = None) -> Update:
    """What `message` changes in `conversation` and what it asks for. Every entry keeps the clause that it came from.

    Sentences that tell nothing are left out first, so that they cannot change how the others are read.
    """
    message, today = message[:LONGEST], today or date.today()
    if ironic(message) or tampering(line_of(tokenise(message), digits=False).text):
        return Update()
    return _read(_telling(message, vocabulary, conversation, today), vocabulary, conversation, today)


def _telling(message: str, vocabulary: Vocabulary, conversation: Conversation, today: date) -> str:
    """The message without its sentences that tell a fact about somebody or nothing at all: those that change nothing
    when they are read alone, say nothing of what another sentence names, and name nothing that another speaks of."""
    parts = sentences(message, small=True)
    if not 1 < len(parts) <= MOST_SENTENCES:
        return message
    kept: list[str] = []
    referred = False  # does the sentence after speak of what this one names?
    for part in reversed(parts):
        names, refers = _bearing(part, vocabulary)
        if refers or (names and referred) or _read(part, vocabulary, conversation, today) != Update():
            kept.append(part)
            referred = refers
    return "".join(reversed(kept)).strip()


def _bearing(sentence: str, vocabulary: Vocabulary) -> tuple[bool, bool]:
    """(does it name anything, does it speak of what stands before it or put it right) outside the facts it tells"""
    w = words_of(sentence, tokenise(sentence))
    if not w.words:
        return False, False
    plain_line = line_of(w.tokens).text
    facts = told(w, _line(w, vocabulary))
    elements = [e for e in chosen(w, vocabulary, cues(w.words, w.gap), []) if not facts.covers(w.at[e.start])]
    speaking = {e.start for e in elements if isinstance(e, Cue) and speaks_of(e)}
    judging = [c for c in clauses(w.texts, w.punctuation, elements) if speaking & set(range(c.start, c.end))]
    refers = any(takes_up(w.texts, c) or c.end - c.start <= SHORT for c in judging)
    return any(isinstance(e, Mention) for e in elements), refers or meant_otherwise(plain_line)


def _read(message: str, vocabulary: Vocabulary, conversation: Conversation, today: date) -> Update:
    """The update of a message in which every sentence counts."""
    w = words_of(message, tokenise(message))
    if not w.words:
        return Update()
    plain_line = line_of(w.tokens)
    spoken = line_of(w.tokens, digits=False).text
    profile = conversation.in_force
    asked = conversation.question.about.removeprefix("attribute:") if conversation.question else None
    line = _line(w, vocabulary)
    found, unchecked = limits(line, vocabulary.schema, today, asked)
    facts = told(w, line)
    unchecked = [u for u in unchecked if not facts.covers(u.start) and not _known(u, w, vocabulary)]
    found = [f for f in found if f.sure or not facts.covers(f.start) or "age" in f.attribute] or changed(
        line, profile.constraints, vocabulary.schema
    )
    spans = [w.span(f.start, f.end) for f in found] + [w.span(u.start, u.end) for u in unchecked]
    elements = chosen(w, vocabulary, cues(w.words, w.gap), spans)
    places = pointed(w, conversation.shown, vocabulary)
    elements = _overlaid(elements, places)
    judged = [e.start for e in elements if isinstance(e, Cue) and e.kind.startswith("back_")]
    for start, end, targets in described(w, [e for e in elements if isinstance(e, Mention)], judged, vocabulary):
        if any(start <= p.start < end for p in places) or any(a < end and start < b for a, b in spans):
            continue
        mention = Mention(start, end, Match(start, end, "title", targets))
        elements = _overlaid(elements, [mention])
    covered = _covered(len(w.words), elements, spans)
    parts = clauses(w.texts, w.punctuation, elements)
    named = any(isinstance(e, Mention) for e in elements) or bool(found)
    command = command_of(spoken) or _in_other_words(message, named, vocabulary)
    if command == "skip":
        return Update(command="skip")
    polar = any(isinstance(e, Cue) and e.kind in ("like", "dislike", "exclude", "must") for e in elements)
    any_limit = [Constraint(attribute=name, op="eq", value=True) for name in vocabulary.schema.attributes]
    lifting = takes_back(plain_line.text) or bool(lifted(plain_line.text, any_limit, vocabulary.schema))
    quiet = (command is not None and not polar) or lifting
    extra = [] if quiet else [m for m in free_texts(w, parts, vocabulary, covered) if not facts.covers(w.at[m.start])]
    if extra:
        elements = _overlaid(elements, extra)
        parts = clauses(w.texts, w.punctuation, elements)
    judge(parts, w.texts)
    mentions = [e for e in elements if isinstance(e, Mention)]
    aside = [facts.covers(w.at[m.start]) for m in mentions]
    loose = [_loose(w, m, covered) for m in mentions]
    for mention, fact, others in zip(mentions, aside, loose, strict=True):
        lost = others > _MOST_LOOSE and mention.match is not None and not _names(mention)
        if (fact and _lacked(w, mention)) or (not mention.cued and (fact or lost)):
            mention.state = "neutral"
    correcting = meant_otherwise(plain_line.text) and profile != Profile()
    weighed(w, mentions, vocabulary, aside, loose, mentions if correcting else places)
    mentions = pruned(mentions, w, vocabulary)
    fixed = corrections(w, plain_line.text, mentions, profile, vocabulary)
    mentions = [m for m in mentions if m not in fixed.spent]
    if command == "show" and re.search(
        r"\b(?:never|dont|do not|stop|not)\b[^,.;!?]{0,12}\b(?:show|recommend|suggest)|别(?:再)?(?:给我)?(?:推荐|看)",
        spoken,
    ):
        command = None
    if command in ("start_over", "about_me"):
        return Update(command=command)
    if command == "why":
        return Update(
            command="why",
            about=tuple(
                t for p in mentions if p.match for t in [p.match.targets[0].item_id] if t in conversation.shown
            ),
        )
    found = [f for f in found if _wished(f, w, parts)]
    update = composed(w, vocabulary, parts, mentions, found, conversation)
    if command == "more" and (update.likes or update.dislikes or update.constraints or update.session_likes):
        command = None
    if command == "skip" and not update.empty:
        command = None
    seen = update.seen
    if command == "more" and not seen and conversation.shown and _all_seen(plain_line.text):
        seen = conversation.shown
    return update.model_copy(
        update={
            "removed": fixed.removed,
            "command": command,
            "unchecked": tuple((u.dimension, w.said(*w.span(u.start, u.end))) for u in unchecked),
            "seen": seen,
        }
    )


def _in_other_words(message: str, named: bool, vocabulary: Vocabulary) -> Command | None:
    """The command that a message which names nothing is, or that its last sentence is."""
    last = re.split(r"[.!?;。！？；\n]+\s*", message.strip().rstrip(".!?;。！？； "))
    if not named:
        return ordered(message, vocabulary)
    command = ordered(last[-1], vocabulary) if len(last) > 1 else None
    return command if command in ("show", "more") else None


def _loose(w: Words, mention: Mention, covered: Sequence[str]) -> int:
    """How many words near a mention, in its sentence, say something that nothing else explains: the clause is about
    another thing."""
    start, end = w.sentence(mention.start)
    return sum(
        not covered[i] and w.texts[i] not in EMPTY and w.words[i].kind == "w"
        for i in range(max(start, mention.start - 11), min(end, mention.start + 12))
    )


def _lacked(w: Words, mention: Mention) -> bool:
    """ "I have no garden, no balcony": what somebody has not, in a fact."""
    first, _ = w.sentence(mention.start)
    had = {"have", "has", "ive", "got", "own", "没", "无"} & set(w.texts[first : mention.start])
    return bool(had) and mention.cue is not None and mention.cue.kind == "not"


def _names(mention: Mention) -> bool:
    return mention.match is not None and mention.match.kind in ("title", "typo", "part", "person")


def _known(limit: Unchecked, w: Words, vocabulary: Vocabulary) -> bool:
    """Is the place it names a value of the catalogue ("on Netflix")?"""
    return limit.dimension == "platform" and any(
        t in vocabulary.values for t in w.texts[slice(*w.span(limit.start, limit.end))]
    )


def _wished(limit: Limit, w: Words, parts: list[Clause]) -> bool:
    """Not in a question ("is it in stock?") and not in what was watched ("90 films this year")."""
    start, _ = w.span(limit.start, limit.end)
    clause = next((c for c in parts if c.start <= start < c.end), None)
    if clause is None:
        return True
    kinds = {e.kind for e in clause.elements if isinstance(e, Cue)}
    if clause.question and not kinds & {"want", "must"}:
        return False
    past = limit.op in ("le", "ge") and isinstance(limit.value, float) and limit.value > 1000
    return not (past and kinds & {"seen", "back_seen"} and not kinds & {"want", "must"})


def named_items(message: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Ids of the items that a message names by title, whatever it says of them, in its order."""
    w = words_of(message[:LONGEST], tokenise(message[:LONGEST]))
    found = [e for e in chosen(w, vocabulary, cues(w.words, w.gap), []) if isinstance(e, Mention)]
    ids = [e.match.targets[0].item_id for e in found if e.match is not None]
    return tuple(dict.fromkeys(i for i in ids if i))


def _all_seen(text: str) -> bool:
    return bool(re.search(r"\b(?:seen|watched|know|own|have) (?:all|them all|every)|都(?:看过|有了|买过)", text))


def _line(w: Words, vocabulary: Vocabulary) -> Line:
    """The message for reading limits, with titles that nobody says by chance hidden ("Apollo 11", "3 Idiots")."""
    hidden: set[int] = set()
    for match in matches(w.words, vocabulary, w.gap):
        texts = w.texts[match.start : match.end]
        if (
            match.kind == "title"
            and match.end - match.start > 1
            and not plain(texts)
            and any(not t.isdigit() for t in texts)
        ):
            hidden.update(w.at[i] for i in range(match.start, match.end))
    return line_of(w.tokens, frozenset(hidden))


def _overlaid(elements: list[Cue | Mention], new: list[Mention]) -> list[Cue | Mention]:
    kept = [e for e in elements if not any(n.start < e.end and e.start < n.end for n in new)]
    return sorted([*kept, *new], key=lambda e: e.start)


def _covered(count: int, elements: list[Cue | Mention], spans: list[tuple[int, int]]) -> list[str]:
    """What explains each word: a "mention", a "cue", a "modifier" (of time, of others), a "limit" or nothing ("")."""
    covered = [""] * count
    for element in elements:
        kind = "mention"
        if isinstance(element, Cue):
            kind = "modifier" if element.kind in MODIFIERS else "cue"
        covered[element.start : element.end] = [kind] * (element.end - element.start)
    for start, end in spans:
        covered[start:end] = ["limit"] * (end - start)
    return covered
