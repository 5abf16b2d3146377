"""A profile update laid over a conversation: the newest word wins, and what it displaces goes."""

from snowmelt.agent.types import Constraint, Conversation, Entry, Profile, Removal, Update

FADED, LEAST = 0.6, 0.2  # of the strength with each later wish, and what is left at last


def apply(conversation: Conversation, update: Update) -> Conversation:
    """The conversation with `update` in its profiles. The newest word wins: what it displaces goes."""
    profile = _applied(conversation.profile, update.likes, update.dislikes, update.constraints, update)
    profile = profile.model_copy(
        update={
            "wishes": _limited(profile.wishes, update.wishes),
            "seen": tuple(dict.fromkeys([*profile.seen, *update.seen])),
        }
    )
    session = _applied(
        conversation.session, update.session_likes, update.session_dislikes, update.session_constraints, update
    )
    if (profile, session) == (conversation.profile, conversation.session):
        return conversation
    history = (*conversation.history, (conversation.profile, conversation.session))[-10:]
    return conversation.model_copy(update={"profile": profile, "session": session, "history": history})


def undone(conversation: Conversation) -> Conversation:
    """As it was before the last update that changed anything."""
    if not conversation.history:
        return conversation
    profile, session = conversation.history[-1]
    history = conversation.history[:-1]
    return conversation.model_copy(update={"profile": profile, "session": session, "history": history})


def _applied(
    profile: Profile, likes: tuple[Entry, ...], dislikes: tuple[Entry, ...], new: tuple[Constraint, ...], update: Update
) -> Profile:
    gone = {e.key for e in (*likes, *dislikes)}
    keep_likes = [e for e in profile.likes if e.key not in gone and not _gone(e, update.removed)]
    keep_dislikes = [e for e in profile.dislikes if e.key not in gone and not _gone(e, update.removed)]
    if any(_asked_for(e) for e in likes):
        keep_likes = [_faded(e) if _asked_for(e) else e for e in keep_likes]
    dropped = {(r.attribute, r.op) for r in update.removed if r.op}
    kept = tuple(
        c for c in profile.constraints
        if (c.attribute, c.op) not in dropped and not _overruled(c, likes, dislikes)
    )  # fmt: skip
    wishes = tuple(c for c in profile.wishes if (c.attribute, c.op) not in dropped)
    seen = tuple(i for i in profile.seen if i not in {r.item_id for r in update.removed})
    return profile.model_copy(
        update={
            "likes": (*keep_likes, *likes), "dislikes": (*keep_dislikes, *dislikes),
            "constraints": _limited(kept, new), "wishes": wishes, "seen": seen,
        }
    )  # fmt: skip


def _asked_for(entry: Entry) -> bool:
    return not (entry.item_id or entry.attribute)


def _faded(entry: Entry) -> Entry:
    """As something else is asked for in words, what was asked for before counts less: one who wanted a chair and now
    wants pens is shown pens first."""
    return entry.model_copy(update={"strength": max(FADED * entry.strength, LEAST)})


def _gone(entry: Entry, removed: tuple[Removal, ...]) -> bool:
    return any(
        not r.op
        and (entry.item_id == r.item_id if r.item_id else entry.attribute == r.attribute and entry.text == r.text)
        for r in removed
    )


def _overruled(c: Constraint, likes: tuple[Entry, ...], dislikes: tuple[Entry, ...]) -> bool:
    against = likes if c.op == "none" else dislikes if c.op == "any" else ()
    return isinstance(c.value, tuple) and any(e.attribute == c.attribute and e.text in c.value for e in against)


def _limited(old: tuple[Constraint, ...], new: tuple[Constraint, ...]) -> tuple[Constraint, ...]:
    """`old` then `new`, without old ones on the same attribute and bound, or that would leave an empty range."""
    kept = list(old)
    for c in new:
        kept = [k for k in kept if (k.op == "none" and k != c) or (k.attribute, k.op) != (c.attribute, c.op)]
        if c.op in ("le", "ge"):
            other = "ge" if c.op == "le" else "le"
            kept = [
                k for k in kept
                if not (k.attribute == c.attribute and k.op == other and k not in new and crossed(k, c))
            ]  # fmt: skip
    return (*kept, *new)


def crossed(a: Constraint, b: Constraint) -> bool:
    """Do a lower and an upper bound on the same attribute leave nothing between them?"""
    low, high = (a.value, b.value) if a.op == "ge" else (b.value, a.value)
    return type(low) is type(high) and low > high  # type: ignore[operator]
