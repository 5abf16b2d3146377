"""The whole loop on one screen: understand, ask or answer, retrieve, rank, explain."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from snowmelt.agent.llm import LLM, open_llm
from snowmelt.agent.onboarding import next_question
from snowmelt.agent.ranking import bounded, likelihood, retrieve, standardise
from snowmelt.agent.reasons import explain
from snowmelt.agent.types import Conversation, Profile, Recommendation, Reply, Turn
from snowmelt.agent.understanding import Vocabulary, fold, understand
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.errors import InputError

WEIGHT = 0.5  # of the model's likelihood beside the standardised retrieval signals; not tuned yet (issue 4)
DEADLINE = 20.0  # seconds for the model; then the list stands on retrieval alone and is marked degraded
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


@dataclass
class Recommender:
    """Reads one catalogue with one model (None: retrieval alone). Safe to share between threads: it keeps no person."""

    catalogue: Catalogue
    llm: LLM | None
    deadline: float | None = DEADLINE
    _vocabulary: Vocabulary = field(init=False)

    def __post_init__(self) -> None:
        if self.llm is not None and not self.llm.can_score:
            # better refused than accepted and never asked: ranking is by likelihood alone as yet
            raise InputError(f"model {self.llm.name}: gives no likelihoods, so it cannot rank yet; use local or gguf:/path")
        self._vocabulary = Vocabulary.of(self.catalogue)

    @classmethod
    def open(cls, directory: Path | str, model: str | LLM | None = None) -> "Recommender":
        """`model`: None, "local", "gguf:/path", or an LLM. Raises InputError with one line."""
        llm = open_llm(model) if isinstance(model, str) else model
        return cls(Catalogue.open(directory), llm)

    def recommend(self, profile: Profile, limit: int = 5) -> list[Recommendation]:
        """min(limit, available) distinct items, best first: all constraints met, none seen."""
        return self.ranked(profile, limit)[0]

    def ranked(self, profile: Profile, limit: int) -> tuple[list[Recommendation], bool]:
        """As `recommend`, and whether the model failed (`degraded`)."""
        if limit < 1:
            raise InputError(f"limit {limit}: must be at least 1")
        allowed = self.catalogue.mask(profile.constraints)
        for id_ in {*profile.seen, *profile.liked_ids, *profile.disliked_ids}:
            if id_ in self.catalogue.rows:
                allowed[self.catalogue.rows[id_]] = False
        rows, signals = retrieve(self.catalogue, profile, allowed, max(30, limit))
        if not rows:
            return [], False
        base = np.sum(list(signals.values()), axis=0)
        total, degraded = base, False
        items = [self.catalogue.items[r] for r in rows]
        liked = [
            self.catalogue.items[self.catalogue.rows[i]].title for i in profile.liked_ids if i in self.catalogue.rows
        ]
        liked = liked or [e.text for e in profile.likes]
        if self.llm is not None and self.llm.can_score and liked:
            raw = likelihood(self.llm, liked, [i.title for i in items], self.deadline)
            degraded = raw is None
            if raw is not None:
                signals["llm"] = WEIGHT * standardise(raw)
                total = base + signals["llm"]
        order = bounded(base.tolist(), total.tolist())[:limit]
        return [
            Recommendation(
                item=items[i],
                score=round(float(total[i]), 4),
                reasons=explain(self.catalogue, items[i], profile),
                signals={name: round(float(values[i]), 4) for name, values in signals.items()},
            )
            for i in order
        ], degraded

    def reply(self, conversation: Conversation, text: str) -> tuple[Conversation, Reply]:
        """One turn. The conversation that comes back is all the state there is."""
        text = text.strip()[:2000]
        if _OVER.search(text):
            conversation = Conversation()
            profile = conversation.profile
        else:
            profile = self._update(conversation, text)
        chinese = bool(re.search(r"[一-鿿]", text)) or (
            conversation.language == "zh" and not re.search("[a-zA-Z]{3}", text)
        )
        language = "zh" if chinese else "en"
        if _ABOUT_ME.search(text):
            reply = Reply(text=_describe(profile))
        else:
            question = None
            if not _SHOW.search(text) and not conversation.shown:
                question = next_question(self.catalogue, profile, conversation.asked, language)
            reply = Reply(text=question.text, question=question) if question else self._list(profile, language)
        turns = (*conversation.turns, Turn(role="user", text=text), Turn(role="assistant", text=reply.text))
        asked = (*conversation.asked, reply.question.about) if reply.question else conversation.asked
        shown = tuple(r.item.id for r in reply.recommendations) or conversation.shown
        return Conversation(
            turns=turns, profile=profile, asked=asked, question=reply.question, shown=shown, language=language
        ), reply

    def _update(self, conversation: Conversation, text: str) -> Profile:
        profile = conversation.profile
        if _SKIP.fullmatch(text) or _ABOUT_ME.search(text) or (_SHOW.search(text) and len(fold(text).split()) <= 4):
            return profile
        for word, place in _ORDINAL.items():
            if word in text.casefold() and place < len(conversation.shown):
                title = self.catalogue.items[self.catalogue.rows[conversation.shown[place]]].title
                bad = re.search(r"\bnot\b|不要|不喜欢", text, re.IGNORECASE)
                return understand(f"not {title}" if bad else title, self._vocabulary, profile)
        return understand(text, self._vocabulary, profile)

    def _list(self, profile: Profile, language: str) -> Reply:
        found, degraded = self.ranked(profile, 5)
        if found:
            text = "为你推荐：" if language == "zh" else "Here is what I would try:"
            return Reply(text=text, recommendations=tuple(found), degraded=degraded)
        costs = [
            (int(self.catalogue.mask([c for c in profile.constraints if c != dropped]).sum()), dropped)
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
