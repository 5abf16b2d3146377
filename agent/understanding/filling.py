"""What code left open, filled by a language model; whatever it adds must quote the message, or it is dropped.

Only models whose prose may be shown (`writes_well`) are asked. The embedded 135M model copies the prompt's example: on
the development utterances (n 314) exact match is 0.975 with it and without, at seconds a message
(`python benchmarks/understanding.py tests/data/utterances_dev.jsonl --fill local`).
"""

from datetime import date

from pydantic import BaseModel, Field
from snowmelt.agent.llm import LLM, Message, ModelError
from snowmelt.agent.types import Conversation, Entry, Update
from snowmelt.agent.understanding.reading import understand
from snowmelt.agent.understanding.text import key_of
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.prompts import render

FEWEST = 3  # words: in less there is nothing that code does not see
MOST = 4  # entries of each kind


class Told(BaseModel):
    """The flat schema that the model fills."""

    wants: list[str] = Field(default=[], max_length=MOST)
    refuses: list[str] = Field(default=[], max_length=MOST)


def filled(
    update: Update, message: str, vocabulary: Vocabulary, conversation: Conversation, llm: LLM, *,
    deadline: float | None = 5.0, today: date | None = None,
) -> Update:  # fmt: skip
    """`update`, or, if the code found nothing at all, what the model finds. A model that fails adds nothing."""
    if not update.empty or update.command or len(key_of(message).split()) < FEWEST:
        return update
    prompt = render("understand", message=message[:500])
    try:
        answer = llm.complete([Message("user", prompt)], schema=Told, max_tokens=120, deadline=deadline)
    except ModelError:
        return update
    told = Told.model_validate_json(answer.text)
    likes = [e for phrase in told.wants for e in _entries(phrase, message, vocabulary, today)]
    dislikes = [e for phrase in told.refuses for e in _entries(phrase, message, vocabulary, today)]
    return update.model_copy(update={"likes": tuple(likes), "dislikes": tuple(dislikes)})


def _entries(phrase: str, message: str, vocabulary: Vocabulary, today: date | None) -> list[Entry]:
    """The phrase linked as if it had been said alone, else as free text; nothing if it is no quotation."""
    key = key_of(phrase)
    if not key or f" {key} " not in f" {key_of(message)} " or len(key) > len(key_of(message)) * 0.9:
        return []
    alone = understand(phrase, vocabulary, Conversation(), today)
    found = [*alone.likes, *alone.session_likes] or [Entry(text=phrase)]
    return [e.model_copy(update={"evidence": phrase}) for e in found]
