"""Text to tokens that can be compared across languages: case, accents and width are folded, apostrophes dropped.

Chinese and Japanese are not spaced, so each of their characters is a token of its own; names inside unspaced text are
then found in the same way as names of several words.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_HARD = ".!?;\n。！？；…"
_SOFT = ",、，:：()（）/|-—–~～+&"
_FACES = "😍❤🥰👍🔥💯😻💕💖🤩🤮👎🥱😴🤢😒💤🙅"
_QUOTES = '"“”„«»《》「」『』〈〉‘’*_`'
_LETTERS, _MORE_THAN_LETTERS = re.compile("[a-z]+"), re.compile(r"[\d'$<>]")  # of ASCII


@dataclass(frozen=True, slots=True)
class Token:
    """`text` folded; `start`, `end` in the message; `kind`: "w" word, "c" CJK character, "," "." or '"' punctuation."""

    text: str
    start: int
    end: int
    kind: str
    capital: bool = False


def is_cjk(char: str) -> bool:
    """Han, kana, Hangul: written without spaces, or with particles glued on."""
    if len(char) != 1:
        return False
    code = ord(char)
    return 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7AF or 0xF900 <= code <= 0xFAFF


def _fold_char(char: str) -> str:
    if char.isascii():
        return char.lower()
    if is_cjk(char):
        return _simplified().get(char, char)  # NFD would take Hangul and voiced kana apart
    decomposed = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", char).casefold())
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn")


@cache
def _simplified() -> dict[str, str]:
    """Traditional characters -> simplified ones (OpenCC's TSCharacters, Apache 2.0), and the commonest Cantonese ones
    -> the written words that they stand for (睇 -> 看)."""
    old, new = files("snowmelt.agent.understanding").joinpath("han.txt").read_text("utf-8").split()
    return dict(zip(old, new, strict=True))


def tokenise(text: str) -> list[Token]:
    """Tokens in order. A decimal number is one word ("3.5", "1,500"); "schindler's" is "schindlers"."""
    tokens: list[Token] = []
    word, start = "", 0
    size = len(text)

    def flush(end: int) -> None:
        nonlocal word
        if word:
            tokens.append(Token(word, start, end, "w", text[start].isupper()))
            word = ""

    for at, char in enumerate(text):
        folded = _fold_char(char)
        if char in "'’" and word and at + 1 < size and text[at + 1].isalpha() and not is_cjk(text[at + 1]):
            continue
        if char in ".," and word[-1:].isdigit() and at + 1 < size and text[at + 1].isdigit():
            if char == ".":
                word += "."
                continue
            if text[at + 1 : at + 4].isdigit() and not text[at + 4 : at + 5].isdigit():
                continue  # thousands
        if len(folded) >= 1 and is_cjk(folded[0]):
            flush(at)
            tokens.append(Token(folded, at, at + 1, "c"))
        elif char in _FACES:
            flush(at)
            tokens.append(Token(char, at, at + 1, "w"))
        elif char in "<>≤≥＜＞" and text[at + 1 : at + 3].strip("= €$£¥")[:1].isdigit():
            flush(at)
            tokens.append(Token("under" if char in "<≤＜" else "over", at, at + 1, "w"))
        elif folded and (folded.isalnum() or char in "€$£¥"):
            if word and (
                (word[-1].isdigit() or word[-1] == ".") != folded[0].isdigit() or char in "€$£¥" or word in "€$£¥"
            ):
                flush(at)  # "90min", "€50": number and unit apart
            if not word:
                start = at
            word += folded
        else:
            flush(at)
            kind = "." if char in _HARD else "," if char in _SOFT else '"' if char in _QUOTES else ""
            if kind:
                tokens.append(Token(char, at, at + 1, kind))
    flush(size)
    return tokens


def key_of(text: str) -> str:
    """The words of `text`, folded, one space between: how names are kept and looked up."""
    if text.isascii() and not _MORE_THAN_LETTERS.search(text):  # most titles; there are hundreds of thousands
        return " ".join(_LETTERS.findall(text.lower()))
    return " ".join(t.text for t in tokenise(text) if t.kind in "wc")


fold = key_of


@cache
def words_named(name: str) -> frozenset[str]:
    """A set of words from words.tsv."""
    for line in files("snowmelt.agent.understanding").joinpath("words.tsv").read_text("utf-8").splitlines():
        if line.startswith(f"{name}\t"):
            return frozenset(line.split("\t")[1].split())
    raise KeyError(name)


@cache
def phrases_named(name: str) -> tuple[str, ...]:
    """Phrases from words.tsv, separated there by "|"."""
    for line in files("snowmelt.agent.understanding").joinpath("words.tsv").read_text("utf-8").splitlines():
        if line.startswith(f"{name}\t"):
            return tuple(line.split("\t")[1].split("|"))
    raise KeyError(name)


@cache
def ranks() -> dict[str, int]:
    """The 24,000 most frequent English word forms, by rank: what nobody means as a title unless they say so.

    From the merge order of the cl100k_base encoding (OpenAI tiktoken, MIT), which follows frequency.
    """
    words = files("snowmelt.agent.understanding").joinpath("common.txt").read_text("utf-8").split()
    return {word: rank for rank, word in enumerate(words)}


def everyday(word: str, within: int = 14_000) -> bool:
    """Is this an ordinary English word (or a plain inflection of one), among the `within` most frequent?"""
    if ranks().get(word, 1 << 30) < within or word in words_named("contracted"):
        return True
    stems = []
    for ending, instead in (
        ("s", ""),
        ("es", ""),
        ("ies", "y"),
        ("ed", ""),
        ("ed", "e"),
        ("ing", ""),
        ("ing", "e"),
        ("er", ""),
        ("ly", ""),
    ):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            stems.append(word[: -len(ending)] + instead)
    return any(ranks().get(stem, 1 << 30) < within for stem in stems)
