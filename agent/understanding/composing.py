"""What is said of each mention, put together to a profile update: entries, hard limits, wishes, what was seen."""

from collections.abc import Sequence

from snowmelt.agent.types import Constraint, Conversation, Entry, Option, Unclear, Update
from snowmelt.agent.understanding.clauses import Clause, Mention
from snowmelt.agent.understanding.limits import Limit
from snowmelt.agent.understanding.numerals import line_of
from snowmelt.agent.understanding.text import key_of, phrases_named, tokenise
from snowmelt.agent.understanding.values import Target
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words


def composed(
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
        start, end = w.span(limit.start, limit.end)
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
            "acts",
            "acted",
            "acting",
            "star",
            "stars",
            "plays",
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
