"""What is said back to a person before the answer: what was understood, what it displaces, what cannot be checked."""

from typing import TYPE_CHECKING

from snowmelt.agent.phrases import said_in
from snowmelt.agent.types import Constraint, Conversation, Entry, Update
from snowmelt.agent.understanding.update import crossed
from snowmelt.agent.wording import Language, limit_words, say, title_of

if TYPE_CHECKING:
    from snowmelt.agent.recommender import Recommender

_UNITS = {"runtime": (" min", " 分钟"), "weight_g": (" g", " 克")}
SHOWN = 40  # characters of free text that are said back


def acknowledged(r: "Recommender", update: Update, language: Language) -> str:
    """What the message changed, in a line ("Noted: Heat and Alien; no horror."); "" if nothing."""
    likes = [*_named(r, update.likes, language), *_named(r, update.session_likes, language)]
    limits = [*update.constraints, *update.session_constraints]
    banned = {v.casefold() for c in limits if c.op == "none" and isinstance(c.value, tuple) for v in c.value}
    refused = [e for e in (*update.dislikes, *update.session_dislikes) if e.text.casefold() not in banned]
    named = {e.item_id for e in (*update.likes, *update.session_likes, *update.dislikes, *update.session_dislikes)}
    seen = [_title(r, i, language) for i in update.seen if i not in named]
    parts = [_and(likes, language)] if likes else []
    parts += [say("noted_not", language, what=name) for name in _named(r, refused, language)]
    parts += [_limit(c, language) for c in limits]
    parts += [say("noted_rather", language, what=_limit(c, language)) for c in update.wishes]
    parts += [say("noted_seen", language, what=_and(seen, language))] if seen else []
    parts = list(dict.fromkeys(parts))
    if parts:
        today = bool(update.session_likes or update.session_dislikes or update.session_constraints)
        lasting = bool(update.likes or update.dislikes or update.constraints or update.wishes or update.seen)
        what = ("; " if language == "en" else "；").join(parts)
        return say("noted_today" if today and not lasting else "noted", language, what=what)
    return say("taken_back", language) if update.removed else ""


def _limit(c: Constraint, language: Language) -> str:
    if c.op == "none" and isinstance(c.value, tuple):
        words = _and([said_in(v, language) for v in c.value], language, "or")
        return say("noted_no", language, what=words)
    unit = _UNITS.get(c.attribute, ("", ""))[language == "zh"] if c.op in ("le", "ge") else ""
    return limit_words(c, language) + unit


def _named(r: "Recommender", entries: tuple[Entry, ...] | list[Entry], language: Language) -> list[str]:
    found = []
    for e in entries:
        if e.item_id:
            found.append(_title(r, e.item_id, language))
        elif e.attribute:
            found.append(said_in(e.text, language))
        else:
            short = e.text if len(e.text) <= SHOWN else e.text[:SHOWN].rsplit(" ", 1)[0] + "…"
            found.append(f"“{short}”")
    return list(dict.fromkeys(found))


def _title(r: "Recommender", id_: str, language: Language) -> str:
    if id_ not in r.catalogue.rows:
        return id_
    title = title_of(r.catalogue.items[r.catalogue.rows[id_]], language)
    return f"《{title}》" if language == "zh" else title


def _and(words: list[str], language: Language, last: str = "and") -> str:
    if language == "zh":
        return "、".join(words)
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def warnings(r: "Recommender", before: Conversation, update: Update, language: Language) -> list[str]:
    """Contradictions pointed out (the newest word wins), and limits that cannot be compared."""
    notes = []
    for c in (*update.constraints, *update.session_constraints):
        for old in before.in_force.constraints:
            other_bound = {old.op, c.op} == {"le", "ge"} and old.attribute == c.attribute
            empty = other_bound and crossed(old, c)
            same = (
                (old.attribute, old.op) == (c.attribute, c.op) and old.op in ("le", "ge", "eq") and old.value != c.value
            )
            if empty or same:
                notes.append(say("contradiction", language, old=limit_words(old, language)))
    liked = {e.key for e in before.in_force.likes}
    notes += [say("contradiction", language, old=e.text) for e in update.dislikes if e.key in liked]
    for about, words in update.unchecked:
        currency = next(
            (next(iter(a.values), "") for n, a in r.catalogue.schema.attributes.items() if "currency" in n.casefold()),
            "",
        )
        notes.append(say(f"unchecked_{about}", language, words=words, currency=currency or "?"))
    return list(dict.fromkeys(notes))
