"""One turn of the conversation: what was said is understood, then comes a list, a question, or both."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from snowmelt.agent.answers import facts, nothing_fits, why
from snowmelt.agent.belief import Grounds, Together
from snowmelt.agent.lead import phrased
from snowmelt.agent.notes import acknowledged, warnings
from snowmelt.agent.onboarding import MOST
from snowmelt.agent.questions import (
    about_taste,
    answered,
    as_update,
    grounds_of,
    leaning,
    limits_question,
    next_question,
)
from snowmelt.agent.types import LONGEST, Conversation, Profile, Question, Reply, Turn, Update
from snowmelt.agent.understanding import apply, filled, understand
from snowmelt.agent.understanding.feedback import relative
from snowmelt.agent.understanding.pointing import has
from snowmelt.agent.understanding.text import is_cjk, key_of
from snowmelt.agent.understanding.update import undone
from snowmelt.agent.understanding.values import Target
from snowmelt.agent.wording import Language, about_me, say
from snowmelt.retrieval.items import visible

if TYPE_CHECKING:
    from snowmelt.agent.recommender import Recommender

SHOWN = 5
TIRED = 2  # lists that an item was on without a word about it
LEAD = 3  # times that what was said just now counts
MOST_IN_ALL = 5  # questions, those that come with a list included
BY_CODE = ("about_me", "why", "undo", "start_over")  # commands whose answer says what happened: nothing to add to it
_GREETING = re.compile(
    r"\W*(?:(?:hi|hello|hey)(?: there| again)?|good (?:morning|evening|afternoon|day)"
    r"|你好|您好|嗨|哈喽|早上好|晚上好)\W*",
    re.IGNORECASE,
)
_ASKED = re.compile(  # for a list: that it is wanted is understood
    r"\b(?:recommend\w*|suggest\w*|ideas?|help|choos\w+|pick\w*|looking for|show me)\b|推荐|介绍|帮我|挑|选",
    re.IGNORECASE,
)
_THANKS = re.compile(r"\W*(?:(?:ok|okay|great|perfect|cool)\W*)?(?:thanks?(?: you)?(?: so much| a lot)?|cheers|bye|goodbye|谢谢(?:你|您)?|多谢|再见)\W*", re.IGNORECASE)  # fmt: skip  # noqa: E501


def turn(recommender: "Recommender", conversation: Conversation, text: str) -> tuple[Conversation, Reply]:
    """One turn. The conversation that comes back is all the state there is."""
    *_, done = stream(recommender, conversation, text)
    assert not isinstance(done, str)
    return done


def stream(
    recommender: "Recommender", conversation: Conversation, text: str
) -> Iterator[str | tuple[Conversation, Reply]]:
    """One turn in pieces: those of the reply's text as they come (joined they are the text), and at last what `turn`
    gives. What was understood comes before anything is looked for; a model that writes well says it in its own words,
    a checked sentence at a time."""
    heard = hear(recommender, conversation, text)
    now, update = heard.conversation, heard.update
    notes = _notes(recommender, conversation, heard)
    llm = recommender.llm
    own = llm is not None and llm.writes_well and update.command in (None, "show", "more")
    first = "" if own else _joined(*notes)
    if first:
        yield first
    reply = _reply(recommender, conversation, now, update, heard.text, notes)
    if (  # a model might leave warnings out
        llm is not None and own and (lead := _lead(reply))
        and not warnings(recommender, conversation, update, now.language)
    ):  # fmt: skip
        words = ""
        for sentence in phrased(llm, recommender.vocabulary, now, reply, heard.text, lead):
            words += sentence
            yield sentence
        if words:
            rest = reply.text[len(lead) :]
            reply = reply.model_copy(update={"text": words + (rest if rest[:1] in ("", " ") else f" {rest}")})
            first = words
    if rest := reply.text[len(first) :]:
        yield rest
    yield told(heard, reply), reply


def _lead(reply: Reply) -> str:
    """The part of the text that may be said in other words: what stands above the list or before the question."""
    if reply.recommendations:
        return reply.text
    if reply.question is not None and reply.text.endswith(reply.question.text):
        return reply.text.removesuffix(reply.question.text).strip()
    return ""


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
        if conversation.question is not None and about_taste(conversation.question, text):
            update = leaning(update)
    if passed:
        conversation = conversation.model_copy(update={"declined": (*conversation.declined, *passed)})
    if update.command == "start_over":
        conversation = Conversation(language=language, turns=conversation.turns)
    elif update.command == "undo":
        conversation = undone(conversation)
    else:
        conversation = apply(conversation, update)
    return Heard(text, update, conversation.model_copy(update={"language": language}))


def told(heard: Heard, reply: Reply) -> Conversation:
    """The conversation after the message and its reply."""
    conversation = heard.conversation
    shown = tuple(r.item.id for r in reply.recommendations)
    said = f"{reply.text}\n{reply.question.text}" if shown and reply.question else reply.text
    return conversation.model_copy(
        update={
            "turns": (*conversation.turns, Turn(role="user", text=heard.text), Turn(role="assistant", text=said)),
            "asked": (
                *conversation.asked,
                *([reply.question.about] if reply.question else []),
                *(["enough"] if heard.update.command == "show" and conversation.asked else []),  # else: none yet
            ),
            "asked_ids": (*conversation.asked_ids, *(o.item_id for o in reply.question.options if o.item_id))
            if reply.question
            else conversation.asked_ids,
            "question": reply.question,
            "shown": shown or conversation.shown,
            "offered": (*conversation.offered, *shown),
        }
    )


def language_of(text: str, before: Language) -> Language:
    """ "zh" if Chinese characters are said, "en" if words are and no Chinese; else as before."""
    if any(is_cjk(c) and c >= "㐀" and not "가" <= c <= "힣" for c in text):
        return "zh"
    return "en" if re.search(r"[a-zA-Z]{3}", text) else before


def _notes(r: "Recommender", before: Conversation, heard: Heard) -> list[str]:
    """What is said before the answer; nothing where the answer itself says what happened."""
    update, language = heard.update, heard.conversation.language
    if update.command in BY_CODE or _THANKS.fullmatch(heard.text):
        return []
    notes = [acknowledged(r, update, language), *warnings(r, before, update, language)]
    passed = heard.conversation.declined != before.declined
    said = not before.shown and not _ASKED.search(heard.text) and _says_something(heard.text)
    if update.empty and not any(notes) and update.command is None and not passed and said:
        notes = [say("nothing_caught", language)]
    return [note for note in notes if note]


def _says_something(text: str) -> bool:
    """Long enough that a person expects it to matter: three words, or five Chinese characters."""
    words = key_of(text).split()
    return not _GREETING.fullmatch(text) and len(words) >= (5 if any(is_cjk(c) for c in text) else 3)


def _reply(
    r: "Recommender", before: Conversation, now: Conversation, update: Update, text: str, notes: list[str]
) -> Reply:
    language = now.language
    if update.command == "about_me":
        return Reply(text=about_me(now, r.vocabulary, language))
    if update.command == "why":
        return Reply(text=why(r, now, update.about, language))
    if update.command == "undo":
        if before.history and now.shown:
            return _list(r, now, update, say("undone", language))
        return Reply(text=say("undone" if before.history else "nothing_to_undo", language))
    if update.command == "start_over":
        question = _question(r, now)
        return Reply(text=say("start_over", language, question=question.text if question else ""), question=question)
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
    if update.unchecked and update.empty and not update.command:
        return Reply(text=_joined(*notes))
    nothing = update.empty and update.command is None and now.declined == before.declined
    if now.shown and nothing and not _GREETING.fullmatch(text):  # the same list once more would be no answer
        known = facts(r, now, text, language)
        return Reply(text=known or _joined(say("nothing_caught", language), say("try_words", language)))
    if update.command in ("show", "more") or (now.shown and not _GREETING.fullmatch(text)):
        few = len(now.in_force.likes) + len(now.in_force.constraints) < 4
        return _list(r, now, update, *notes, more=update.command == "more", ask=few and update.command is None)
    told = now.in_force
    if told.likes:
        return _list(r, now, update, *notes, ask=True)  # something to look at, while the questions go on
    question = _question(r, now)
    if question is None:
        return _list(r, now, update, *notes)
    words = say("hello", language, question=question.text) if _GREETING.fullmatch(text) else question.text
    return Reply(text=_joined(*notes, words), question=question)


def _question(r: "Recommender", now: Conversation, most: int = MOST, listed: bool = False) -> Question | None:
    if "enough" in now.asked:  # "just show me", "stop asking"
        return None
    return next_question(now, grounds(r), r.vocabulary, most=most, listed=listed)


def grounds(r: "Recommender") -> Grounds:
    """What questions are chosen from; made at the first question and kept with the vocabulary it belongs to."""
    kept = r.vocabulary.kept
    if "grounds" not in kept:
        known = r.prior  # standardised, or None where nothing tells what people know
        together = Together.of(r.learned) if r.learned is not None else None
        prior = None if known is None else np.exp(np.clip(known, -3, 4))
        kept["grounds"] = grounds_of(r.vocabulary, prior, together)
    return kept["grounds"]


def _joined(*parts: str) -> str:
    return " ".join(p for p in parts if p)


def _with_options(question: Question) -> str:
    return question.text + " " + " / ".join(o.text for o in question.options)


def _list(
    r: "Recommender", now: Conversation, update: Update, *notes: str, more: bool = False, ask: bool = False
) -> Reply:
    """A list, and perhaps a question to go below it. What was asked for just now leads; what was offered twice without
    a word about it goes to the end when something new is said."""
    language, profile = now.language, now.in_force
    if more:  # "another five": none of those already offered
        profile = profile.model_copy(update={"seen": tuple(dict.fromkeys([*profile.seen, *now.offered]))})
    question = _question(r, now, most=MOST_IN_ALL, listed=True) if ask and not more else None
    if more and "enough" not in now.asked:
        question = limits_question(now, grounds(r), r.vocabulary)
    tired = {i for i, n in Counter(now.offered).items() if n >= TIRED} if not update.empty else set()
    found, degraded = r.ranked(_leading(profile, update), SHOWN + min(len(tired), SHOWN), language=language)
    if not found:
        return Reply(text=_joined(*notes, nothing_fits(r.catalogue, profile, language)))
    found = sorted(found, key=lambda x: x.item.id in tired)[:SHOWN]
    wanted = [Target(None, e.attribute, e.text) for e in profile.likes if e.attribute]
    far = len(wanted) > 1 and not any(has(r.vocabulary, x.item.id, t) for x in found for t in wanted)
    head = "list_more" if more else "list_closest" if far else "list" if profile.likes else "list_unsure"
    head = say(head, language)
    return Reply(text=_joined(*notes, head), question=question, recommendations=tuple(found), degraded=degraded)


def _leading(profile: Profile, update: Update) -> Profile:
    """The profile with what the newest message likes and wishes said more often, for this list only: so every signal
    counts it."""
    newest = {e.key for e in (*update.likes, *update.session_likes)}
    likes = tuple(e for e in profile.likes if e.key in newest) if len(newest) < len(profile.likes) else ()
    return profile.model_copy(
        update={
            "likes": (*profile.likes, *likes * (LEAD - 1)),
            "wishes": profile.wishes * LEAD,
        }
    )
