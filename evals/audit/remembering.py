"""A model that is asked once: the audit asks the same again and again, of catalogues that differ in a few items."""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from snowmelt.agent.llm import LLM, Completion, Message, Scores


class Remembering:
    """`llm`, with what it said of each continuation of a prefix and of each question kept in memory.

    A continuation is scored by itself whatever stands beside it, so that what is kept is what would be said again.
    `kept`: a file of scores that outlives the process, so that an audit that was cut goes on where it was.
    """

    def __init__(self, llm: LLM, kept: Path | None = None) -> None:
        self.llm, self.name, self.can_score, self.writes_well = llm, llm.name, llm.can_score, llm.writes_well
        self.path: Path | None = getattr(llm, "path", None)
        self._scores: dict[tuple[str, str], tuple[float, float]] = {}
        self._answers: dict[tuple[Any, ...], Any] = {}
        self._kept = kept
        if kept is not None and kept.is_file():
            for line in kept.read_text(encoding="utf-8").splitlines():
                try:
                    key, continuation, mean, total = json.loads(line)
                except ValueError:  # the line at which it was cut
                    continue
                self._scores[key, continuation] = (mean, total)

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        key = sha256(prefix.encode()).hexdigest()[:24]
        new = [c for c in dict.fromkeys(continuations) if (key, c) not in self._scores]
        tokens, seconds = 0, 0.0
        if new:
            found = self.llm.score(prefix, new, deadline=deadline)
            tokens, seconds = found.tokens_in, found.seconds
            pairs = zip(found.logprobs, found.sums, strict=True)
            self._scores |= {(key, c): pair for c, pair in zip(new, pairs, strict=True)}
            if self._kept is not None:
                with self._kept.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps([key, c, *self._scores[key, c]]) + "\n" for c in new)
        known = [self._scores[key, c] for c in continuations]
        return Scores([mean for mean, _ in known], [total for _, total in known], tokens, seconds)

    def choose(
        self, messages: Sequence[Message], letters: Sequence[str], *, deadline: float | None = None
    ) -> list[float]:
        key = ("choose", tuple(messages), tuple(letters))
        if key not in self._answers:
            self._answers[key] = self.llm.choose(messages, letters, deadline=deadline)
        return self._answers[key]

    def complete(
        self, messages: Sequence[Message], *, schema: type[BaseModel] | None = None, max_tokens: int = 256,
        deadline: float | None = None,
    ) -> Completion:  # fmt: skip
        key = ("complete", tuple(messages), schema, max_tokens)
        if key not in self._answers:
            self._answers[key] = self.llm.complete(messages, schema=schema, max_tokens=max_tokens, deadline=deadline)
        return self._answers[key]

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int = 256, deadline: float | None = None
    ) -> Iterator[str]:
        return self.llm.stream(messages, max_tokens=max_tokens, deadline=deadline)

    def count_tokens(self, text: str) -> int:
        return self.llm.count_tokens(text)

    def close(self) -> None:
        self.llm.close()
