"""A message to a profile update, in code: names are linked to the catalogue, limits typed, likes told from dislikes."""

import re
from collections.abc import Sequence
from datetime import date

from snowmelt.agent.types import Constraint, Conversation, Entry, Option, Unclear, Update
from snowmelt.agent.understanding.asides import command_of, corrections, ironic, tampering, told
from snowmelt.agent.understanding.cues import Cue, cues
from snowmelt.agent.understanding.lifting import changed, lifted
from snowmelt.agent.understanding.limits import Limit, Unchecked, limits
from snowmelt.agent.understanding.matching import Match, matches
from snowmelt.agent.understanding.meaning import EMPTY as _EMPTY
from snowmelt.agent.understanding.meaning import described, free_texts
from snowmelt.agent.understanding.mentions import chosen
from snowmelt.agent.understanding.numerals import Line, line_of
from snowmelt.agent.understanding.pointing import has, pointed
from snowmelt.agent.understanding.polarity import Clause, Mention, clauses, judge
from snowmelt.agent.understanding.support import plain
from snowmelt.agent.understanding.text import key_of, phrases_named, tokenise
from snowmelt.agent.understanding.values import Target
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words, words_of

LONGEST = 2000  # characters of a message that are read


def understand(message: str, vocabulary: Vocabulary, conversation: Conversation, today: date | None = None) -> Update:
    """What `message` changes in `conversation` and what it asks for. Every entry keeps the clause that it came from."""
    message = message[:LONGEST]
    w = words_of(message, tokenise(message))
    if not w.words or ironic(message):
        return Update()
    plain_line = line_of(w.tokens)
    spoken = line_of(w.tokens, digits=False).text
    if tampering(spoken):
        return Update()
    profile, today = conversation.in_force, today or date.today()
    asked = conversation.question.about.removeprefix("attribute:") if conversation.question else None
    line = _line(w, vocabulary)
    found, unchecked = limits(line, vocabulary.schema, today, asked)
    facts = told(w, line)
    unchecked = [u for u in unchecked if not facts.covers(u.start) and not _known(u, w, vocabulary)]
    found = [f for f in found if f.sure or not facts.covers(f.start) or "age" in f.attribute] or changed(
        line, profile.constraints, vocabulary.schema
    )
    spans = [_words(w, f.start, f.end) for f in found] + [_words(w, u.start, u.end) for u in unchecked]
    elements = chosen(w, vocabulary, cues(w.words, w.gap), spans)
    places = pointed(w, conversation.shown, vocabulary)
    elements = _overlaid(elements, places)
    unclear: list[Unclear] = []
    for start, end, targets in described(w, [e for e in elements if isinstance(e, Mention)], vocabulary):
        if any(start <= p.start < end for p in places):
            continue
        mention = Mention(start, end, Match(start, end, "title", targets))
        elements = _overlaid(elements, [mention])
    covered = _covered(len(w.words), elements, spans)
    parts = clauses(w.texts, w.punctuation, elements)
    command = command_of(spoken)
    if command == "skip":
        return Update(command="skip")
    polar = any(isinstance(e, Cue) and e.kind in ("like", "dislike", "exclude", "must") for e in elements)
    any_limit = [Constraint(attribute=name, op="eq", value=True) for name in vocabulary.schema.attributes]
    quiet = (command is not None and not polar) or bool(lifted(plain_line.text, any_limit, vocabulary.schema))
    extra = [] if quiet else [m for m in free_texts(w, parts, vocabulary, covered) if not facts.covers(w.at[m.start])]
    if extra:
        elements = _overlaid(elements, extra)
        parts = clauses(w.texts, w.punctuation, elements)
    judge(parts, w.texts)
    mentions = [e for e in elements if isinstance(e, Mention)]
    mentions = _pruned([m for m in mentions if m.cued or not facts.covers(w.at[m.start])], w, vocabulary, covered)
    fixed = corrections(plain_line.text, mentions, profile, vocabulary)
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
    update = _update(w, vocabulary, parts, mentions, found, conversation)
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
            "unchecked": tuple((u.dimension, w.said(*_words(w, u.start, u.end))) for u in unchecked),
            "seen": seen,
            "unclear": tuple(unclear) + update.unclear,
        }
    )


def _known(limit: Unchecked, w: Words, vocabulary: Vocabulary) -> bool:
    """Is the place it names a value of the catalogue ("on Netflix")?"""
    return limit.dimension == "platform" and any(
        t in vocabulary.values for t in w.texts[slice(*_words(w, limit.start, limit.end))]
    )


def _wished(limit: Limit, w: Words, parts: list[Clause]) -> bool:
    """Not in a question ("is it in stock?") and not in what was watched ("90 films this year")."""
    start, _ = _words(w, limit.start, limit.end)
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


def _words(w: Words, start: int, end: int) -> tuple[int, int]:
    """Token span to word span."""
    inside = [i for i, at in enumerate(w.at) if start <= at < end]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _overlaid(elements: list[Cue | Mention], new: list[Mention]) -> list[Cue | Mention]:
    kept = [e for e in elements if not any(n.start < e.end and e.start < n.end for n in new)]
    return sorted([*kept, *new], key=lambda e: e.start)


def _covered(count: int, elements: list[Cue | Mention], spans: list[tuple[int, int]]) -> list[bool]:
    covered = [False] * count
    for start, end in [*((e.start, e.end) for e in elements), *spans]:
        covered[start:end] = [True] * (end - start)
    return covered


def _pruned(mentions: list[Mention], w: Words, vocabulary: Vocabulary, covered: list[bool]) -> list[Mention]:
    """Without those that only explain another (the director of a title named beside it, the brand of an item), and
    without bare ones in a clause that is about something else."""
    kept = []
    for mention in mentions:
        match = mention.match
        after = w.texts[mention.end : mention.end + 1]
        near = [m for m in mentions if m is not mention and abs(m.start - mention.end) < 8]
        named = match is not None and match.targets[0].item_id and after and after[0] in _WHO
        if named and any(_person(m, vocabulary) for m in near):
            continue  # "the Pan's Labyrinth guy, del Toro": said only to say who is meant
        if match is not None and match.targets[0].attribute:
            person = vocabulary.roles.get(match.targets[0].attribute) == "person"
            explained = False
            for other in mentions:
                if (
                    other is mention
                    or other.sentence != mention.sentence
                    or (other.match and not other.match.targets[0].item_id)
                ):
                    continue
                after, before = w.texts[mention.end : other.start], w.texts[other.end : mention.start]
                gap = set(
                    "".join(
                        w.punctuation[mention.end : other.start + 1]
                        if mention.end <= other.start
                        else w.punctuation[other.end : mention.start + 1]
                    )
                )
                linked = (
                    mention.end <= other.start
                    and after
                    in ([], ["的"], ["s"], ["の"], ["拍", "的"], ["导", "演", "的"], ["执", "导", "的"], ["演", "的"])
                ) or (other.end <= mention.start and tuple(before) in _BELONGS)
                if not linked or gap & set(",.;!?，。；！？、"):
                    continue
                if other.match is None:
                    explained = explained or (person and after in (["的"], ["s"]))
                elif any(has(vocabulary, other.match.targets[0].item_id or "", t) for t in match.targets):
                    explained = True
            if explained:
                continue
        if not mention.cued and match is not None and match.kind not in ("title", "typo", "part", "person"):
            loose = sum(
                1
                for i in range(len(w.words))
                if not covered[i]
                and w.texts[i] not in _EMPTY
                and w.words[i].kind == "w"
                and abs(i - mention.start) < 12
            )
            if loose > 3:
                continue
        kept.append(mention)
    return kept


_BELONGS = frozenset(
    tuple(words.split())
    for words in ("by", "from", "of", "with", "w", "in", "with the", "w the", "with a", "directed by", "starring")
)
_WHO = frozenset(["director", "guy", "actor", "actress", "man", "lady", "woman", "star", "writer"])


def _person(mention: Mention, vocabulary: Vocabulary) -> bool:
    return mention.match is not None and vocabulary.roles.get(mention.match.targets[0].attribute or "") == "person"


def _update(
    w: Words, vocabulary: Vocabulary, parts: list[Clause], mentions: list[Mention], found: list[Limit], conversation: Conversation  # noqa: E501
) -> Update:  # fmt: skip
    lists: dict[str, list[Entry]] = {name: [] for name in ("likes", "dislikes", "session_likes", "session_dislikes")}
    constraints: list[Constraint] = []
    session_constraints: list[Constraint] = []
    seen: list[str] = []
    unclear: list[Unclear] = []
    must: dict[tuple[int, str, bool, int], list[tuple[str, str]]] = {}

    def put(mention: Mention, state: str, session: bool) -> None:
        evidence = _evidence(w, parts, mention)
        strength = strength_of(evidence)
        if state in ("like", "must", "want", "bare"):
            kind = "likes"
        elif state in ("dislike", "exclude"):
            kind = "dislikes"
        else:
            return
        if mention.match is None:
            lists[f"session_{kind}" if session else kind].append(
                Entry(text=w.said(mention.start, mention.end), evidence=evidence, strength=strength)
            )
            return
        targets = mention.match.targets
        if targets[0].item_id and len(targets) > 1:
            options = tuple(Option(text=_title(vocabulary, t), item_id=t.item_id) for t in targets[:4])
            unclear.append(Unclear(text=w.said(mention.start, mention.end), options=options, liked=kind == "likes"))
            return
        for target in (_role(w, mention, targets, vocabulary, mentions), *mention.match.also):
            entry = Entry(
                text=target.value,
                item_id=target.item_id,
                attribute=target.attribute,
                evidence=evidence,
                strength=strength,
            )
            lists[f"session_{kind}" if session else kind].append(entry)
            if target.attribute and state == "must":
                group = len(must) if _both(w, parts, mention) else -1
                must.setdefault((mention.sentence, target.attribute, session, group), []).append(
                    (target.value, evidence)
                )
            elif target.attribute and state == "exclude" and not mention.hedged and not mention.contrast:
                for name, value in ((target.attribute, target.value), *_twins(target, targets)):
                    limit = Constraint(attribute=name, op="none", value=(value,), evidence=evidence)
                    (session_constraints if session else constraints).append(limit)

    for mention in mentions:
        if mention.state == "seen":
            if mention.match and mention.match.targets[0].item_id:
                seen += [t.item_id for t in (mention.match.targets[0], *mention.match.also) if t.item_id]
            continue
        if mention.known and mention.match and mention.match.targets[0].item_id:
            seen.append(mention.match.targets[0].item_id)
        put(mention, mention.state, mention.session)
        if mention.again:
            put(mention, mention.again, True)
    for (_, attribute, session, _), values in must.items():
        limit = Constraint(
            attribute=attribute, op="any", value=tuple(dict.fromkeys(v for v, _ in values)), evidence=values[0][1]
        )
        (session_constraints if session else constraints).append(limit)
    wishes = []
    for limit in found:
        start, end = _words(w, limit.start, limit.end)
        clause = next((c for c in parts if c.start <= start < c.end), None)
        constraint = limit.constraint(w.said(clause.start, clause.end) if clause else w.said(start, end))
        if limit.soft:
            wishes.append(constraint)
        elif clause is not None and clause.session:
            session_constraints.append(constraint)
        else:
            constraints.append(constraint)
    said = {name: tuple({e.key: e for e in entries}.values()) for name, entries in lists.items()}
    return Update(
        likes=said["likes"], dislikes=said["dislikes"], session_likes=said["session_likes"],
        session_dislikes=said["session_dislikes"],
        constraints=tuple(dict.fromkeys(constraints)), session_constraints=tuple(dict.fromkeys(session_constraints)),
        wishes=tuple(wishes), seen=tuple(dict.fromkeys(seen)), unclear=tuple(unclear),
    )  # fmt: skip


def _twins(target: Target, targets: Sequence[Target]) -> list[tuple[str, str]]:
    """The same kind of thing under the same name in another column (genres of two sources): excluded with it."""

    def genre(t: Target) -> bool:
        return any(k in (t.attribute or "").casefold() for k in ("genre", "categor"))

    key = key_of(target.value)
    others = [t for t in targets if t.attribute != target.attribute and genre(t) and key_of(t.value) == key]
    return [(t.attribute or "", t.value) for t in others] if genre(target) else []


def _both(w: Words, parts: list[Clause], mention: Mention) -> bool:
    """Must it have this and another value at once ("both funny and moving", "既好笑又感人")?"""
    clause = parts[mention.clause]
    texts = w.texts[clause.start : clause.end]
    return bool({"both", "既", "又"} & set(texts)) or "同时" in "".join(texts)


def _evidence(w: Words, parts: list[Clause], mention: Mention) -> str:
    clause = parts[mention.clause] if mention.clause < len(parts) else None
    if clause is None or not clause.start <= mention.start < clause.end:
        return w.said(mention.start, mention.end)
    return w.said(clause.start, max(clause.end, mention.end))


def strength_of(evidence: str) -> float:
    """How strongly something is said: 1 plainly, 1.5 "absolutely love", "最讨厌", 0.5 "kind of like", "不太喜欢"."""
    said = f" {line_of(tokenise(evidence), digits=False).text} "
    for kind, strength in (("faint", 0.5), ("strong", 1.5)):
        if any((f" {p} " if p.isascii() else p) in said for p in phrases_named(kind)):
            return strength
    return 1.0


def _title(vocabulary: Vocabulary, target: Target) -> str:
    item = vocabulary.catalogue.items[vocabulary.catalogue.rows[target.item_id or ""]]
    year = item.attributes.get("year")
    return f"{item.title} ({year:.0f})" if isinstance(year, float) else item.title


def _role(
    w: Words, mention: Mention, targets: tuple[Target, ...], vocabulary: Vocabulary, others: Sequence[Mention]
) -> Target:
    """Of several columns that hold the value, the one that the words around it speak of."""
    if len(targets) == 1 or targets[0].item_id:
        return targets[0]
    near = w.texts[max(0, mention.start - 3) : mention.start] + w.texts[mention.end : mention.end + 2]
    before = w.texts[max(0, mention.start - 1) : mention.start]
    for target in targets:
        name = (target.attribute or "").casefold()
        if ("cast" in name or "actor" in name or "star" in name) and {
            "with",
            "starring",
            "演",
            "actor",
            "actress",
            "guy",
        } & set(near):
            return target
        if "languag" in name and (
            before in (["in"], ["语"]) or {"language", "speaking", "dialogue", "dubbed", "语", "subtitles"} & set(near)
        ):
            return target
    for other in others:
        # "in Korean or Japanese": the same column for both
        if (
            other.match
            and other.end < mention.start <= other.end + 1
            and w.texts[other.end : mention.start] in (["or"], ["and"], ["或"], ["和"])
        ):
            column = _role(w, other, other.match.targets, vocabulary, [])
            same = [t for t in targets if t.attribute == column.attribute]
            if same:
                return same[0]
    for target in targets:
        if "countr" in (target.attribute or "").casefold() and before != ["in"]:
            return target
    return targets[0]
