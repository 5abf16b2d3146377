"""One turn of the conversation: what was said, then a question or a list."""

import re
from typing import TYPE_CHECKING

from snowmelt.agent.onboarding import next_question
from snowmelt.agent.types import Conversation, Profile, Reply, Turn
from snowmelt.agent.understanding import fold, understand

if TYPE_CHECKING:
    from snowmelt.agent.recommender import Recommender

_SHOW = re.compile(r"just show|recommend|show me|surprise me|直接推荐|推荐", re.IGNORECASE)
_ABOUT_ME = re.compile(r"know about me|了解我|知道我", re.IGNORECASE)
_OVER = re.compile(r"start over|重新开始", re.IGNORECASE)
# said to be polite or to pass: nothing about taste is in it
_SKIP = re.compile(
    r"(skip|hi|hello|hey|你好|您好|any(thing)?|i?\s*don'?t know|no idea|随便|不知道|跳过)[.!。]?", re.IGNORECASE
)
_ORDINAL = {
    "first": 0,
    "second": 1,
    "third": 2,
    "fourth": 3,
    "fifth": 4,
    "第一": 0,
    "第二": 1,
    "第三": 2,
    "第四": 3,
    "第五": 4,
}


def turn(recommender: "Recommender", conversation: Conversation, text: str) -> tuple[Conversation, Reply]:
    """One turn. The conversation that comes back is all the state there is."""
    text = text.strip()[:2000]
    if _OVER.search(text):
        conversation = Conversation()
        profile = conversation.profile
    else:
        profile = _update(recommender, conversation, text)
    chinese = bool(re.search(r"[一-鿿]", text)) or (
        conversation.language == "zh" and not re.search("[a-zA-Z]{3}", text)
    )
    language = "zh" if chinese else "en"
    if _ABOUT_ME.search(text):
        reply = Reply(text=_describe(profile))
    else:
        question = None
        if not _SHOW.search(text) and not conversation.shown:
            question = next_question(recommender.catalogue, profile, conversation.asked, language)
        reply = Reply(text=question.text, question=question) if question else _list(recommender, profile, language)
    turns = (*conversation.turns, Turn(role="user", text=text), Turn(role="assistant", text=reply.text))
    asked = (*conversation.asked, reply.question.about) if reply.question else conversation.asked
    shown = tuple(r.item.id for r in reply.recommendations) or conversation.shown
    return Conversation(
        turns=turns, profile=profile, asked=asked, question=reply.question, shown=shown, language=language
    ), reply


def _update(recommender: "Recommender", conversation: Conversation, text: str) -> Profile:
    profile = conversation.profile
    if _SKIP.fullmatch(text) or _ABOUT_ME.search(text) or (_SHOW.search(text) and len(fold(text).split()) <= 4):
        return profile
    for word, place in _ORDINAL.items():
        if word in text.casefold() and place < len(conversation.shown):
            title = recommender.catalogue.items[recommender.catalogue.rows[conversation.shown[place]]].title
            bad = re.search(r"\bnot\b|不要|不喜欢", text, re.IGNORECASE)
            return understand(f"not {title}" if bad else title, recommender.vocabulary, profile)
    return understand(text, recommender.vocabulary, profile)


def _list(recommender: "Recommender", profile: Profile, language: str) -> Reply:
    found, degraded = recommender.ranked(profile, 5)
    if found:
        text = "为你推荐：" if language == "zh" else "Here is what I would try:"
        return Reply(text=text, recommendations=tuple(found), degraded=degraded)
    costs = [
        (int(recommender.catalogue.mask([c for c in profile.constraints if c != dropped]).sum()), dropped)
        for dropped in profile.constraints
    ]
    if not costs or max(costs, key=lambda c: c[0])[0] == 0:
        return Reply(text="没有符合条件的内容。" if language == "zh" else "Nothing here meets all of that.")
    count, worst = max(costs, key=lambda c: c[0])
    if language == "zh":
        return Reply(text=f"没有符合全部条件的内容。放宽“{worst.evidence}”后有 {count} 个。")
    return Reply(text=f"Nothing here meets all of that. Without “{worst.words()}” there are {count}.")


def _describe(profile: Profile) -> str:
    """The profile in plain words, with the person's own as evidence."""
    lines = [f"You like {e.text} (you said “{e.evidence}”)." for e in profile.likes]
    lines += [f"You do not like {e.text} (you said “{e.evidence}”)." for e in profile.dislikes]
    lines += [f"A limit: {c.words()} (you said “{c.evidence}”)." for c in profile.constraints]
    return "\n".join(lines) or "Nothing yet."
