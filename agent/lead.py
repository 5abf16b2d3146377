"""The sentence above a list or a question in a model's own words, where the model writes well; each is checked first.

The question, the list and its reasons stay code's. A sentence is shown once it is whole and has passed `phrasing`; the
first that does not ends the model's part, and if it was the very first the template speaks.
"""

from collections.abc import Iterator

from snowmelt.agent.llm import LLM, Message, ModelError
from snowmelt.agent.phrasing import LONGEST, fit_to_show
from snowmelt.agent.sentences import sentences
from snowmelt.agent.types import Conversation, Reply
from snowmelt.agent.understanding import Vocabulary
from snowmelt.prompts import render

MOST = 3  # sentences
TOKENS, DEADLINE = 120, 8.0  # of the model's part; then what was said so far stands
LANGUAGES = {"en": "English", "zh": "Chinese"}


def phrased(
    llm: LLM, vocabulary: Vocabulary, conversation: Conversation, reply: Reply, said: str, template: str
) -> Iterator[str]:
    """Checked sentences in the place of `template`, as the model writes them; none if it fails or says what it may not.

    It may name the items of the reply, and what `template` and the person's message `said` hold.
    """
    shown = [r.item for r in reply.recommendations]
    prompt = render(
        "lead", language=LANGUAGES[conversation.language], said=said[:500], template=template,
        titles="; ".join(i.title for i in shown) or "no list, a question", below="a list" if shown else "a question",
    )  # fmt: skip
    allowed = [said, template, *(text for i in shown for text in (i.title, i.description))]
    written, given = "", ""
    try:
        for piece in llm.stream([Message("user", prompt)], max_tokens=TOKENS, deadline=DEADLINE):
            written += piece
            if len(written) > 2 * LONGEST:  # it does not end: no more of it is read
                return
            for sentence in filter(str.strip, sentences(written[len(given) :])[:-1]):
                if not _may(sentence, given, vocabulary, [i.id for i in shown], allowed):
                    return
                given += sentence
                yield sentence
    except ModelError:
        return
    last = written[len(given) :].rstrip()
    if last and last[-1] in ".!。！…" and _may(last, given, vocabulary, [i.id for i in shown], allowed):
        yield last


def _may(sentence: str, given: str, vocabulary: Vocabulary, ids: list[str], allowed: list[str]) -> bool:
    enough = len(sentences(given)) >= MOST or len(given) + len(sentence) > LONGEST
    asks = "?" in sentence or "？" in sentence  # what is asked is settled in code
    return not enough and not asks and fit_to_show(sentence, vocabulary, ids, allowed)
