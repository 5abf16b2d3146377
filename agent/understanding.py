"""A message to a profile update, in code: names are linked to the catalogue, limits typed, likes told from dislikes."""


from datetime import date

from snowmelt.agent.commands import command_of, ironic, tampering
from snowmelt.agent.constraints import Limit, limits
from snowmelt.agent.corrections import corrections
from snowmelt.agent.cues import Cue, cues
from snowmelt.agent.described import described
from snowmelt.agent.facts import told
from snowmelt.agent.freetext import free_texts
from snowmelt.agent.linking import Match, Target, Vocabulary
from snowmelt.agent.mentions import Words, chosen, has, plain, pointed, words_of
from snowmelt.agent.numerals import Line, line_of
from snowmelt.agent.polarity import Clause, Mention, clauses, judge
from snowmelt.agent.tokens import fold, tokenise
from snowmelt.agent.types import Constraint, Conversation, Entry, Option, Profile, Removal, Unclear, Update

__all__ = ["Vocabulary", "apply", "fold", "understand"]

LONGEST = 2000  # characters of a message that are read


def understand(message: str, vocabulary: Vocabulary, conversation: Conversation, today: date | None = None) -> Update:
    """What `message` changes in `conversation` and what it asks for. Every entry keeps the clause that it came from."""
    message = message[:LONGEST]
    w = words_of(message, tokenise(message))
    if not w.words or ironic(message):
        return Update()
    plain_line = line_of(w.tokens)
    if tampering(plain_line.text):
        return Update()
    profile, today = conversation.in_force, today or date.today()
    asked = conversation.question.about if conversation.question else None
    line, hidden = _line(w, vocabulary)
    found, foreign = limits(line, vocabulary.schema, today, asked)
    facts = told(w, line)
    found = [f for f in found if not facts.covers(f.start)]
    spans = [_words(w, f.start, f.end) for f in found] + [_words(w, *f) for f in foreign]
    elements = chosen(w, vocabulary, cues(w.words, [bool(p) for p in w.punctuation]), spans)
    places = pointed(w, conversation.shown, vocabulary)
    elements = _overlaid(elements, places)
    unclear: list[Unclear] = []
    for start, end, targets in described(w, [e for e in elements if isinstance(e, Mention)], vocabulary):
        if any(start <= p.start < end for p in places):
            continue
        mention = Mention(start, end, Match(start, end, "title", targets))
        elements = _overlaid(elements, [mention])
    covered = _covered(len(w.words), elements, spans)
    parts = clauses(len(w.words), w.punctuation, elements)
    extra = [m for m in free_texts(w, parts, vocabulary, covered) if not facts.covers(w.at[m.start])]
    if extra:
        elements = _overlaid(elements, extra)
        parts = clauses(len(w.words), w.punctuation, elements)
    judge(parts, w.texts)
    mentions = [e for e in elements if isinstance(e, Mention)]
    mentions = _pruned([m for m in mentions if m.cued or not facts.covers(w.at[m.start])], w, vocabulary, covered)
    fixed = corrections(plain_line.text, mentions, profile, vocabulary)
    mentions = [m for m in mentions if m not in fixed.spent]
    command = command_of(plain_line.text)
    if command in ("start_over", "about_me"):
        return Update(command=command)
    if command == "why":
        return Update(command="why", about=tuple(t for p in mentions if p.match for t in [p.match.targets[0].item_id] if t in conversation.shown))
    update = _update(w, vocabulary, parts, mentions, found, conversation)
    if command == "more" and (update.likes or update.dislikes or update.constraints or update.session_likes):
        command = None
    if command == "skip" and not update.empty:
        command = None
    seen = update.seen
    if command == "more" and not seen and conversation.shown and _all_seen(plain_line.text):
        seen = conversation.shown
    odd = tuple(w.said(*_words(w, *f)) for f in foreign)
    return update.model_copy(
        update={"removed": fixed.removed, "command": command, "incomparable": odd, "seen": seen, "unclear": tuple(unclear) + update.unclear}
    )


def _all_seen(text: str) -> bool:
    import re

    return bool(re.search(r"\b(?:seen|watched|know|own|have) (?:all|them all|every)|都(?:看过|有了|买过)", text))


def _line(w: Words, vocabulary: Vocabulary) -> tuple[Line, frozenset[int]]:
    """The message for reading limits, with titles that nobody says by chance hidden ("Apollo 11", "3 Idiots")."""
    from snowmelt.agent.linking import matches

    hidden: set[int] = set()
    for match in matches(w.words, vocabulary, [bool(p) for p in w.punctuation]):
        texts = w.texts[match.start : match.end]
        if match.kind == "title" and match.end - match.start > 1 and not plain(texts) and any(not t.isdigit() for t in texts):
            hidden.update(w.at[i] for i in range(match.start, match.end))
    return line_of(w.tokens, frozenset(hidden)), frozenset(hidden)


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
    """Without those that only explain another: the director of a title named beside it."""
    kept = []
    for mention in mentions:
        if mention.match is not None and mention.match.kind in ("person",):
            near = [m for m in mentions if m is not mention and m.match and m.match.targets[0].item_id and m.sentence == mention.sentence]
            glue = [m for m in near if (0 <= m.start - mention.end <= 3 and w.texts[mention.end : m.start] in ([], ["的"], ["s"], ["の"], ["拍", "的"], ["导", "演", "的"]))
                    or (0 <= mention.start - m.end <= 2 and w.texts[m.end : mention.start] in (["by"], ["from"], ["of"], ["with"]))]  # fmt: skip
            if any(has(vocabulary, m.match.targets[0].item_id or "", t) for m in glue if m.match for t in mention.match.targets):
                continue
        kept.append(mention)
    return kept


def _update(
    w: Words, vocabulary: Vocabulary, parts: list[Clause], mentions: list[Mention], found: list[Limit], conversation: Conversation
) -> Update:  # fmt: skip
    lists: dict[str, list[Entry]] = {name: [] for name in ("likes", "dislikes", "session_likes", "session_dislikes")}
    constraints: list[Constraint] = []
    session_constraints: list[Constraint] = []
    seen: list[str] = []
    unclear: list[Unclear] = []
    must: dict[tuple[int, str, bool], list[tuple[str, str]]] = {}

    def put(mention: Mention, state: str, session: bool) -> None:
        evidence = _evidence(w, parts, mention)
        if state in ("like", "must", "want", "bare"):
            kind = "likes"
        elif state in ("dislike", "exclude"):
            kind = "dislikes"
        else:
            return
        if mention.match is None:
            lists[f"session_{kind}" if session else kind].append(Entry(text=w.said(mention.start, mention.end), evidence=evidence))
            return
        targets = mention.match.targets
        if targets[0].item_id and len(targets) > 1:
            options = tuple(Option(text=_title(vocabulary, t), item_id=t.item_id) for t in targets[:4])
            unclear.append(Unclear(text=w.said(mention.start, mention.end), options=options, liked=kind == "likes"))
            return
        for target in (_role(w, mention, targets, vocabulary), *mention.match.also):
            entry = Entry(text=target.value, item_id=target.item_id, attribute=target.attribute, evidence=evidence)
            lists[f"session_{kind}" if session else kind].append(entry)
            if target.attribute and state == "must":
                must.setdefault((mention.sentence, target.attribute, session), []).append((target.value, evidence))
            elif target.attribute and state == "exclude" and not mention.hedged and not mention.contrast:
                limit = Constraint(attribute=target.attribute, op="none", value=(target.value,), evidence=evidence)
                (session_constraints if session else constraints).append(limit)

    for mention in mentions:
        if mention.state == "seen":
            if mention.match and mention.match.targets[0].item_id:
                seen.append(mention.match.targets[0].item_id)
            continue
        put(mention, mention.state, mention.session)
        if mention.again:
            put(mention, mention.again, True)
    for (_, attribute, session), values in must.items():
        limit = Constraint(attribute=attribute, op="any", value=tuple(dict.fromkeys(v for v, _ in values)), evidence=values[0][1])
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
    return Update(
        **{name: tuple({e.key: e for e in entries}.values()) for name, entries in lists.items()},
        constraints=tuple(dict.fromkeys(constraints)), session_constraints=tuple(dict.fromkeys(session_constraints)),
        wishes=tuple(wishes), seen=tuple(dict.fromkeys(seen)), unclear=tuple(unclear),
    )  # fmt: skip


def _evidence(w: Words, parts: list[Clause], mention: Mention) -> str:
    clause = parts[mention.clause] if mention.clause < len(parts) else None
    if clause is None or not clause.start <= mention.start < clause.end:
        return w.said(mention.start, mention.end)
    return w.said(clause.start, max(clause.end, mention.end))


def _title(vocabulary: Vocabulary, target: Target) -> str:
    item = vocabulary.catalogue.items[vocabulary.catalogue.rows[target.item_id or ""]]
    year = item.attributes.get("year")
    return f"{item.title} ({year:.0f})" if isinstance(year, float) else item.title


_ROLES = {
    "direct": ("directed", "director", "director's", "by", "films", "拍", "导", "片"),
    "cast": ("with", "starring", "acted", "actor", "actress", "playing", "演", "star", "in", "guy"),
}


def _role(w: Words, mention: Mention, targets: tuple[Target, ...], vocabulary: Vocabulary) -> Target:
    """Of several columns that hold the value, the one that the words around it speak of."""
    if len(targets) == 1 or targets[0].item_id:
        return targets[0]
    near = w.texts[max(0, mention.start - 3) : mention.start] + w.texts[mention.end : mention.end + 2]
    before = w.texts[max(0, mention.start - 1) : mention.start]
    for target in targets:
        name = (target.attribute or "").casefold()
        if ("cast" in name or "actor" in name or "star" in name) and {"with", "starring", "演", "actor", "actress", "guy"} & set(near):
            return target
        if "languag" in name and (before in (["in"], ["语"]) or {"language", "speaking", "dialogue", "dubbed", "语", "subtitles"} & set(near)):
            return target
    for target in targets:
        if "countr" in (target.attribute or "").casefold() and not before == ["in"]:
            return target
    return targets[0]


def apply(conversation: Conversation, update: Update) -> Conversation:
    """The conversation with `update` in its profiles. The newest word wins: what it displaces goes."""
    profile = _applied(conversation.profile, update.likes, update.dislikes, update.constraints, update)
    profile = profile.model_copy(
        update={
            "wishes": _limited(profile.wishes, update.wishes),
            "seen": tuple(dict.fromkeys([*profile.seen, *update.seen])),
        }
    )
    session = _applied(conversation.session, update.session_likes, update.session_dislikes, update.session_constraints, update)
    if (profile, session) == (conversation.profile, conversation.session):
        return conversation
    history = (*conversation.history, (conversation.profile, conversation.session))[-10:]
    return conversation.model_copy(update={"profile": profile, "session": session, "history": history})


def _applied(
    profile: Profile, likes: tuple[Entry, ...], dislikes: tuple[Entry, ...], new: tuple[Constraint, ...], update: Update
) -> Profile:
    gone = {e.key for e in (*likes, *dislikes)}
    keep_likes = [e for e in profile.likes if e.key not in gone and not _gone(e, update.removed)]
    keep_dislikes = [e for e in profile.dislikes if e.key not in gone and not _gone(e, update.removed)]
    dropped = {(r.attribute, r.op) for r in update.removed if r.op}
    kept = tuple(c for c in profile.constraints if (c.attribute, c.op) not in dropped)
    kept = tuple(c for e in (kept,) for c in e if not _overruled(c, likes, dislikes))
    wishes = tuple(c for c in profile.wishes if (c.attribute, c.op) not in dropped)
    seen = tuple(i for i in profile.seen if i not in {r.item_id for r in update.removed})
    return profile.model_copy(
        update={
            "likes": (*keep_likes, *likes), "dislikes": (*keep_dislikes, *dislikes),
            "constraints": _limited(kept, new), "wishes": wishes, "seen": seen,
        }
    )  # fmt: skip


def _gone(entry: Entry, removed: tuple[Removal, ...]) -> bool:
    return any(
        not r.op and (entry.item_id == r.item_id if r.item_id else entry.attribute == r.attribute and entry.text == r.text) for r in removed
    )


def _overruled(c: Constraint, likes: tuple[Entry, ...], dislikes: tuple[Entry, ...]) -> bool:
    against = likes if c.op == "none" else dislikes if c.op == "any" else ()
    return isinstance(c.value, tuple) and any(e.attribute == c.attribute and e.text in c.value for e in against)


def _limited(old: tuple[Constraint, ...], new: tuple[Constraint, ...]) -> tuple[Constraint, ...]:
    """`old` then `new`, without old ones on the same attribute and bound, or that would leave an empty range."""
    kept = list(old)
    for c in new:
        kept = [k for k in kept if k.op == "none" and k != c or (k.attribute, k.op) != (c.attribute, c.op)]
        if c.op in ("le", "ge"):
            other = "ge" if c.op == "le" else "le"
            kept = [
                k for k in kept
                if not (k.attribute == c.attribute and k.op == other and k not in new and _crossed(k, c))
            ]  # fmt: skip
    return (*kept, *new)


def _crossed(a: Constraint, b: Constraint) -> bool:
    low, high = (a.value, b.value) if a.op == "ge" else (b.value, a.value)
    return type(low) is type(high) and low > high  # type: ignore[operator]
