"""What code left open, filled by a language model; whatever it adds must quote the message, or it is dropped.

Only models whose prose may be shown (`writes_well`) are asked. The embedded 135M model copies the prompt's example: on
the development utterances (n 314) exact match is 0.975 with it and without, at seconds a message
(`python benchmarks/understanding.py tests/data/utterances_dev.jsonl --fill local`).
"""

from datetime import date

from pydantic import BaseModel, Field
from snowmelt.agent.llm import LLM, Message, ModelError, validated
from snowmelt.agent.types import Conversation, Entry, Update
from snowmelt.agent.understanding.reading import understand
from snowmelt.agent.understanding.text import key_of, tokenise
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
    prompt = render("understand", message=" ".join(message[:500].split()))
    try:
        answer = llm.complete([Message("user", prompt)], schema=Told, max_tokens=120, deadline=deadline)
        told = Told.model_validate_json(validated(answer.text, Told))
    except ModelError:
        return update
    likes = [e for phrase in told.wants for e in _entries(phrase, message, vocabulary, today)]
    dislikes = [e for phrase in told.refuses for e in _entries(phrase, message, vocabulary, today)]
    return update.model_copy(update={"likes": tuple(likes), "dislikes": tuple(dislikes)})


def _entries(phrase: str, message: str, vocabulary: Vocabulary, today: date | None) -> list[Entry]:
    """The phrase linked as if it had been said alone, else as free text; nothing if it is no quotation."""
    said = _quoted(phrase, message)
    if not said or len(said) > len(message) * 0.9:
        return []
    alone = understand(said, vocabulary, Conversation(), today)
    found = [*alone.likes, *alone.session_likes] or [Entry(text=said)]
    return [e.model_copy(update={"evidence": said}) for e in found]


def _quoted(phrase: str, message: str) -> str:
    """The stretch of the message that has the words of the phrase: the person's own, whatever the model put between."""
    if len(phrase) > 2 * len(message):
        return ""
    wanted = [t.text for t in tokenise(phrase) if t.kind in "wc"]
    there = [t for t in tokenise(message) if t.kind in "wc"]
    for start in range(len(there) - len(wanted) + 1):
        if wanted and [t.text for t in there[start : start + len(wanted)]] == wanted:
            return message[there[start].start : there[start + len(wanted) - 1].end]
    return ""
