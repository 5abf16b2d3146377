"""A model that says what a test tells it to."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from snowmelt.agent.llm import Completion, Message, ModelError, Scores, Unsupported, validated

Answer = str | ModelError | Callable[[Sequence[Message]], str]


class ScriptedLLM:
    """Gives `replies` one after another: a text, an error to raise, or a function of the messages.

    `asked` holds the messages of every call. `score` is the function `scorer(prefix, continuation) -> mean log p`, and
    `chooser(messages, label) -> log p` answers `choose`; without them the model cannot do either. With no reply left a
    call fails the test.
    """

    def __init__(
        self,
        replies: Sequence[Answer] = (),
        *,
        scorer: Callable[[str, str], float] | None = None,
        chooser: Callable[[Sequence[Message], str], float] | None = None,
        writes_well: bool = True,
        name: str = "scripted",
    ) -> None:
        self.name, self.can_score, self.writes_well = name, scorer is not None, writes_well
        self.asked: list[Sequence[Message]] = []
        self.scored: list[tuple[str, list[str]]] = []
        self.closed = False
        self._replies, self._scorer, self._chooser = list(replies), scorer, chooser

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 256,
        deadline: float | None = None,
    ) -> Completion:
        self.asked.append(list(messages))
        assert self._replies, "ScriptedLLM: asked more often than there are replies"
        reply = self._replies.pop(0)
        if isinstance(reply, ModelError):
            raise reply
        text = reply if isinstance(reply, str) else reply(messages)
        text = validated(text, schema) if schema else text
        asked = sum(self.count_tokens(m.content) for m in messages)
        return Completion(text, asked, self.count_tokens(text), 0.0, "stop")

    def stream(self, messages: Sequence[Message], **limits: Any) -> Iterator[str]:
        text = self.complete(messages, **limits).text
        yield from (text[i : i + 3] for i in range(0, len(text), 3))

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        if self._scorer is None:
            raise Unsupported("this model was not told how to score")
        self.scored.append((prefix, list(continuations)))
        means = [self._scorer(prefix, c) for c in continuations]
        sums = [m * self.count_tokens(c) for m, c in zip(means, continuations, strict=True)]
        return Scores(means, sums, self.count_tokens(prefix), 0.0)

    def choose(
        self, messages: Sequence[Message], letters: Sequence[str], *, deadline: float | None = None
    ) -> list[float]:
        if self._chooser is None:
            raise Unsupported("this model was not told how to choose")
        self.asked.append(list(messages))
        return [self._chooser(messages, letter) for letter in letters]

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def close(self) -> None:
        self.closed = True
