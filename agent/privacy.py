"""What is masked before a text goes to a hosted model: e-mail addresses, phone, card and account numbers.

Patterns find what has a form. A name, a street or a story has none: nothing here takes those out.
"""

import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel
from snowmelt.agent.llm import LLM, Completion, Message, Scores

_EMAIL = re.compile(r"[\w.+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![A-Za-z0-9])")
_CHINESE_ID = re.compile(r"(?<!\d)\d{17}[\dXx](?![\dXx])")
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.])")
# +49 30 1234567 · (555) 123-4567 · 030/1234567 · 138 1234 5678; not 1999-2004, 12.99 or 2024-01-15
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_.])(?:\+\d{1,3}[ ./-]?(?:\(?\d{1,4}\)?[ ./-]?){2,5}\d{2,4}|\(\d{2,5}\)[ ./-]?\d{3,4}[ ./-]?\d{3,4}"
    r"|0\d{1,4}[ ./-]\d{3,4}[ ./-]?\d{2,5}|0\d{8,11}|1[3-9]\d[ -]?\d{4}[ -]?\d{4}|\d{3}[ .-]\d{3}[ .-]\d{4})"
    r"(?![A-Za-z0-9_.]*\d)"
)
_EXAMPLES = (
    "I loved Ratatouille, write me at anna.schmidt+films@example.org",
    "call 030/1234567 or +49 171 2345678",
    "my card is 4111 1111 1111 1111, the account DE89 3704 0044 0532 0130 00",
    "我的手机是 138 1234 5678，邮箱 li@example.cn",
    "films from 1999-2004 under 120 minutes and 12.99 EUR",
    "I am Anna Schmidt and live at 12 Rose Street",
)


def masked(text: str) -> str:
    """`text` with what has the form of an address or a number of a person replaced by [email], [phone], ..."""
    text = _EMAIL.sub("[email]", text)
    text = _IBAN.sub("[account]", text)
    text = _CHINESE_ID.sub("[id]", text)
    text = _CARD.sub(lambda m: "[card]" if _luhn(m[0]) else m[0], text)
    return _PHONE.sub("[phone]", text)


def _luhn(text: str) -> bool:
    digits = [int(c) for c in reversed(text) if c.isdigit()]
    return sum(digits[::2]) + sum(sum(divmod(2 * d, 10)) for d in digits[1::2]) in range(0, 1000, 10)


def shown() -> list[tuple[str, str]]:
    """Examples for `snowmelt doctor --privacy`: (what a person wrote, what a hosted model would get)."""
    return [(text, masked(text)) for text in _EXAMPLES]


class Masked:
    """An LLM (see `LLM`) that gets masked texts only. Stands in front of every hosted model of the service."""

    def __init__(self, llm: LLM) -> None:
        self.name, self.can_score, self.writes_well, self._llm = llm.name, llm.can_score, llm.writes_well, llm

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 256,
        deadline: float | None = None,
    ) -> Completion:
        return self._llm.complete(_all(messages), schema=schema, max_tokens=max_tokens, deadline=deadline)

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int = 256, deadline: float | None = None
    ) -> Iterator[str]:
        return self._llm.stream(_all(messages), max_tokens=max_tokens, deadline=deadline)

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        return self._llm.score(masked(prefix), continuations, deadline=deadline)

    def choose(
        self, messages: Sequence[Message], letters: Sequence[str], *, deadline: float | None = None
    ) -> list[float]:
        return self._llm.choose(_all(messages), letters, deadline=deadline)

    def count_tokens(self, text: str) -> int:
        return self._llm.count_tokens(text)

    def close(self) -> None:
        self._llm.close()


def _all(messages: Sequence[Message]) -> list[Message]:
    return [Message(m.role, masked(m.content)) for m in messages]
