"""A message cut up into words, with the punctuation between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from snowmelt.agent.understanding.text import Token

HARD = frozenset(".!?;\n。！？；…")  # punctuation that ends a sentence


@dataclass(frozen=True)
class Words:
    """A message cut up: its words, the punctuation before each (one more at the end), which stand in quotes."""

    message: str
    tokens: tuple[Token, ...]
    words: tuple[Token, ...]
    at: tuple[int, ...]
    punctuation: tuple[str, ...]
    quoted: tuple[bool, ...]

    @property
    def gap(self) -> list[bool]:
        """Does punctuation other than a hyphen, a slash or a dot inside a name stand before word i?"""
        return [bool(p.strip("-–—/·&'’")) for p in self.punctuation]

    @property
    def texts(self) -> list[str]:
        return [w.text for w in self.words]

    def sentence(self, word: int) -> tuple[int, int]:
        """The words [first, last) of the sentence that `word` stands in."""
        start = end = word
        while start > 0 and not HARD & set(self.punctuation[start]):
            start -= 1
        end += 1
        while end < len(self.words) and not HARD & set(self.punctuation[end]):
            end += 1
        return start, end

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Token span to word span."""
        inside = [i for i, at in enumerate(self.at) if start <= at < end]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)

    def said(self, start: int, end: int) -> str:
        """The person's own words from word `start` to before word `end`."""
        return self.message[self.words[start].start : self.words[end - 1].end] if end > start else ""


def words_of(message: str, tokens: Sequence[Token]) -> Words:
    words, at, punctuation, quoted = [], [], [], []
    marks, inside = "", False
    for number, token in enumerate(tokens):
        if token.kind in "wc":
            between = message[words[-1].end if words else 0 : token.start]
            if words and words[-1].kind == token.kind == "c" and between.strip(" \t") == "" and between:
                marks += "、"  # a space between Chinese words stands for a comma
            words.append(token)
            at.append(number)
            punctuation.append(marks + ("\n" if "\n" in between and "\n" not in marks else ""))
            quoted.append(inside)
            marks = ""
        else:
            marks += token.text
            if token.kind == '"':
                inside = token.text in "“«《「『〈‘" or (token.text == '"' and not inside)
    punctuation.append(marks)
    return Words(message, tuple(tokens), tuple(words), tuple(at), tuple(punctuation), tuple(quoted))
