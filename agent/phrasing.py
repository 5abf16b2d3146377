"""A sentence of a model, checked before a person reads it: it names nothing and counts nothing that code did not.

What cannot be checked is not shown; the templates say it instead. The check is strict in English, where names begin
with capitals; in Chinese it knows the catalogue's titles and what stands in quotation marks.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from snowmelt.agent.sentences import sentences
from snowmelt.agent.understanding import Vocabulary, named_items
from snowmelt.agent.understanding.text import everyday, is_cjk, key_of
from snowmelt.retrieval.items import visible

LONGEST = 400  # characters
RUN = 6  # words on end of a prompt that may not be said
_STRANGE = re.compile(r"https?:|www\.|@|[<>{}\[\]|`#*_\\]|\n\s*(?:[-•]|\d+[.)])")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_COUNTED = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|seventy"
    r"|eighty|ninety|hundred|thousand|million|dozen)s?\b|[一二两三四五六七八九十百千万]+(?=个?(?:分钟|小时|年|岁|元|块|欧|美元))",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[“\"«「『《]([^“”\"«»「」『』《》]{1,120})[”\"»」』》]")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_OWN = frozenset(["i", "i'm", "i'd", "i'll", "i've", "ok"])


def fit_to_show(text: str, vocabulary: Vocabulary, shown: Iterable[str], allowed: Iterable[str]) -> bool:
    """May a person read this? `shown`: ids of the items that it may name; `allowed`: texts (titles, the person's words,
    the question) that names, quotations and numbers must come from."""
    plain = text.replace("’", "'")
    if not plain.strip() or len(plain) > LONGEST or _STRANGE.search(plain) or visible(text) != text:
        return False
    if not _runs(plain).isdisjoint(_prompts()):
        return False
    source = " \n ".join(allowed).replace("’", "'").casefold()
    numbers = {*_NUMBER.findall(source)}
    if any(n not in numbers for n in _NUMBER.findall(plain)):
        return False
    if any(m[0].casefold() not in source for m in _COUNTED.finditer(plain)):
        return False
    if any(m[1].strip(" .,!?。，！？").casefold() not in source for m in _QUOTED.finditer(plain)):
        return False
    if not all(_known(word, first, source) for word, first in _words(plain)):
        return False
    return {*named_items(plain, vocabulary)} <= {*shown} | {*named_items(source, vocabulary)}


def _runs(text: str) -> frozenset[str]:
    """Every `RUN` words on end, folded."""
    words = key_of(text).split()
    return frozenset(" ".join(words[i : i + RUN]) for i in range(len(words) - RUN + 1))


@cache
def _prompts() -> frozenset[str]:
    """The runs of words of everything that is said to models; a model may not recite it."""
    texts = [p.read_text("utf-8") for p in files("snowmelt.prompts").iterdir() if p.name.endswith(".md")
             and not p.name.startswith(("say.", "reasons."))]  # fmt: skip
    return frozenset().union(*map(_runs, texts))


def _words(text: str) -> Iterable[tuple[str, bool]]:
    """Words with a capital, and whether each stands at the beginning of a sentence."""
    for sentence in sentences(text):
        first = True
        for match in _WORD.finditer(sentence):
            word = match[0]
            if word[:1].isupper() and not is_cjk(word[0]):
                yield word, first
            first = False


def _known(word: str, first: bool, source: str) -> bool:
    """A capital is for words of the source, for "I", and for ordinary words that begin a sentence."""
    folded = word.casefold()
    if folded in _OWN or re.search(rf"(?<!\w){re.escape(folded)}(?!\w)", source):
        return True
    return first and everyday(folded.partition("'")[0])
