"""One turn of the conversation: what was said is understood, then comes a list, a question, or both."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from snowmelt.agent.answers import nothing_fits, why
from snowmelt.agent.belief import Grounds
from snowmelt.agent.onboarding import MOST
from snowmelt.agent.questions import answered, as_update, grounds_of, next_question
from snowmelt.agent.types import LONGEST, Conversation, Question, Reply, Turn, Update
from snowmelt.agent.understanding import apply, filled, understand
from snowmelt.agent.understanding.feedback import relative
from snowmelt.agent.understanding.text import is_cjk
from snowmelt.agent.wording import Language, about_me, limit_words, say
from snowmelt.retrieval.items import visible

if TYPE_CHECKING:
    from snowmelt.agent.recommender import Recommender

SHOWN = 5
ENOUGH = 2  # things told, one of them liked: from there a list comes with each question
MOST_IN_ALL = 5  # questions, those that come with a list included
_GREETING = re.compile(
    r"\W*(?:hi|hello|hey|good (?:morning|evening|afternoon|day)|你好|您好|嗨|哈喽|早上好|晚上好)\W*", re.IGNORECASE
)
_THANKS = re.compile(r"\W*(?:(?:ok|okay|great|perfect|cool)\W*)?(?:thanks?(?: you)?(?: so much| a lot)?|cheers|bye|goodbye|谢谢(?:你|您)?|多谢|再见)\W*", re.IGNORECASE)  # fmt: skip  # noqa: E501


def turn(recommender: "Recommender", conversation: Conversation, text: str) -> tuple[Conversation, Reply]:
    """One turn. The conversation that comes back is all the state there is."""
    heard = hear(recommender, conversation, text)
    reply = _reply(recommender, conversation, heard.conversation, heard.update, heard.text)
    return told(heard, reply), reply


@dataclass(frozen=True)
class Heard:
    """A message understood: `conversation` with the update in it, its turns and question still those before."""

    text: str
    update: Update
    conversation: Conversation


def hear(recommender: "Recommender", conversation: Conversation, text: str) -> Heard:
    """What the message changes, by code (and the model, if it writes well), before anything is answered."""
    text = visible(text[: 4 * LONGEST]).strip()[:LONGEST]
    language = language_of(text, conversation.language)
    picked, passed, whole = answered(text, conversation.question) if conversation.question else ((), (), False)
    if whole:
        update = as_update(picked, text, liked=not conversation.question.about.startswith("unclear not"))  # type: ignore[union-attr]
    else:
        update = understand(text, recommender.vocabulary, conversation)
        if recommender.llm is not None and recommender.llm.writes_well:
            update = filled(update, text, recommender.vocabulary, conversation, recommender.llm)
        update = relative(text, update, conversation, recommender.vocabulary)
    if passed:
        conversation = conversation.model_copy(update={"declined": (*conversation.declined, *passed)})
    if update.command == "start_over":
        conversation = Conversation(language=language, turns=conversation.turns)
    elif update.command == "undo":
        if conversation.history:
            profile, session = conversation.history[-1]
            conversation = conversation.model_copy(
                update={"profile": profile, "session": session, "history": conversation.history[:-1]}
            )
    else:
        conversation = apply(conversation, update)
    return Heard(text, update, conversation.model_copy(update={"language": language}))


def told(heard: Heard, reply: Reply) -> Conversation:
    """The conversation after the message and its reply."""
    conversation = heard.conversation
    shown = tuple(r.item.id for r in reply.recommendations)
    return conversation.model_copy(
        update={
            "turns": (*conversation.turns, Turn(role="user", text=heard.text), Turn(role="assistant", text=reply.text)),
            "asked": (
                *conversation.asked,
                *([reply.question.about] if reply.question else []),
                *(["enough"] if heard.update.command == "show" else []),
            ),
            "asked_ids": (*conversation.asked_ids, *(o.item_id for o in reply.question.options if o.item_id))
            if reply.question
            else conversation.asked_ids,
            "question": reply.question,
            "shown": shown or conversation.shown,
            "offered": tuple(dict.fromkeys([*conversation.offered, *shown])),
        }
    )


def language_of(text: str, before: Language) -> Language:
    """ "zh" if Chinese characters are said, "en" if words are and no Chinese; else as before."""
    if any(is_cjk(c) and c >= "㐀" and not "가" <= c <= "힣" for c in text):
        return "zh"
    return "en" if re.search(r"[a-zA-Z]{3}", text) else before


def _reply(r: "Recommender", before: Conversation, now: Conversation, update: Update, text: str) -> Reply:
    language = now.language
    if update.command == "about_me":
        return Reply(text=about_me(now, r.vocabulary, language))
    if update.command == "why":
        return Reply(text=why(r, now, update.about, language))
    if update.command == "undo":
        if before.history and now.shown:
            return _list(r, now, say("undone", language))
        return Reply(text=say("undone" if before.history else "nothing_to_undo", language))
    if update.command == "start_over":
        question = _question(r, now)
        return Reply(text=say("start_over", language, question=question.text if question else ""), question=question)
    notes = _notes(r, before, update, language)
    if update.unclear:
        first = update.unclear[0]
        question = Question(
            kind="items",
            about=f"{'unclear' if first.liked else 'unclear not'}: {first.text}",
            text=say("unclear", language, words=first.text),
            options=first.options,
        )
        return Reply(text=_joined(*notes, _with_options(question)), question=question)
    if _THANKS.fullmatch(text):
        return Reply(text=say("thanks", language))
    if notes and update.empty and not update.command:
        return Reply(text=_joined(*notes))
    if update.command in ("show", "more") or (now.shown and not _GREETING.fullmatch(text)):
        few = len(now.in_force.likes) + len(now.in_force.constraints) < 4
        return _list(r, now, *notes, more=update.command == "more", ask=few and update.command is None)
    told = now.in_force
    if len(told.likes) + len(told.constraints) + len(told.wishes) >= ENOUGH and told.likes:
        return _list(r, now, *notes, ask=True)  # something to look at, while the questions go on
    question = _question(r, now)
    if question is None:
        return _list(r, now, *notes)
    words = say("hello", language, question=question.text) if _GREETING.fullmatch(text) else question.text
    return Reply(text=_joined(*notes, words), question=question)


def _question(r: "Recommender", now: Conversation, most: int = MOST) -> Question | None:
    if "enough" in now.asked:  # "just show me", "stop asking"
        return None
    return next_question(now, grounds(r), r.vocabulary, most=most)


def grounds(r: "Recommender") -> Grounds:
    """What questions are chosen from; made at the first question and kept with the vocabulary it belongs to."""
    kept = r.vocabulary.kept
    if "grounds" not in kept:
        known = r.prior  # standardised, or None where nothing tells what people know
        kept["grounds"] = grounds_of(r.vocabulary, None if known is None else np.exp(np.clip(known, -3, 4)))
    return kept["grounds"]


def _joined(*parts: str) -> str:
    return " ".join(p for p in parts if p)


def _with_options(question: Question) -> str:
    return question.text + " " + " / ".join(o.text for o in question.options)


def _notes(r: "Recommender", before: Conversation, update: Update, language: str) -> list[str]:
    """Contradictions pointed out (the newest word wins), and limits that cannot be compared."""
    notes = []
    for c in (*update.constraints, *update.session_constraints):
        for old in before.in_force.constraints:
            other_bound = {old.op, c.op} == {"le", "ge"} and old.attribute == c.attribute
            crossed = other_bound and not _room(old.value, c.value, old.op)
            same = (
                (old.attribute, old.op) == (c.attribute, c.op) and old.op in ("le", "ge", "eq") and old.value != c.value
            )
            if crossed or same:
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


def _room(old: object, new: object, old_op: str) -> bool:
    if type(old) is not type(new):
        return True
    low, high = (old, new) if old_op == "ge" else (new, old)
    return low <= high  # type: ignore[operator]


def _list(r: "Recommender", now: Conversation, *notes: str, more: bool = False, ask: bool = False) -> Reply:
    language, profile = now.language, now.in_force
    if more:  # "another five": none of those already offered
        profile = profile.model_copy(update={"seen": tuple(dict.fromkeys([*profile.seen, *now.offered]))})
    question = None if more or not ask else _question(r, now, most=MOST_IN_ALL)
    found, degraded = r.ranked(profile, SHOWN)
    if not found:
        return Reply(text=_joined(*notes, nothing_fits(r.catalogue, profile, language)))
    head = "list_more" if more else "list" if profile.likes else "list_unsure"
    words = say("list_asking", language, question=question.text) if question else say(head, language)
    return Reply(text=_joined(*notes, words), question=question, recommendations=tuple(found), degraded=degraded)
