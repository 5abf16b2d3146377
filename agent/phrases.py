"""The wording of reasons: templates from prompts/reasons.*.md, and back from a text to what stands in its places."""

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from string import Template
from typing import Literal

from snowmelt.agent.understanding.text import key_of
from snowmelt.agent.understanding.values import chinese_names
from snowmelt.retrieval.items import Item

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, Language] = ("en", "zh")

SAID = 90  # characters of a person's words that are shown
CHINESE = re.compile(r"[\u3400-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")


@cache
def _lines(language: Language) -> dict[str, str]:
    text = files("snowmelt.prompts").joinpath(f"reasons.{language}.md").read_text("utf-8")
    return dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith("#"))


@cache
def kinds() -> frozenset[str]:
    return frozenset(name for name in _lines("en"))


def filled(kind: str, language: Language, parts: dict[str, str]) -> str:
    text = Template(_lines(language)[kind]).substitute(parts)
    return text[0].upper() + text[1:]


@cache
def _patterns() -> list[re.Pattern[str]]:
    return [
        re.compile(re.sub(r"\\\$([a-z]+)", r"(?P<\1>.+)", re.escape(line)), re.IGNORECASE | re.DOTALL)
        for language in LANGUAGES
        for name, line in _lines(language).items()
        if not name.startswith("label ")
    ]


def parsed(text: str) -> Iterator[dict[str, str]]:
    """What stands in the places ("item", "title", "said", "label") of each template that the whole text fits."""
    for pattern in _patterns():
        if match := pattern.fullmatch(text):
            yield match.groupdict()


def label(name: str, language: Language) -> str:
    return _lines(language).get(f"label {name}", name.replace("_", " "))


@lru_cache(maxsize=20_000)  # asked of every value of every item that is shown: 80 % of the time of a list
def said_in(value: str, language: Language) -> str:
    """A value of an attribute as it is said: in Chinese by its Chinese name, where it has one."""
    return chinese_names().get(key_of(value), value) if language == "zh" else value


def titles(item: Item) -> list[str]:
    return [item.title, *(v for k, v in item.attributes.items() if "title" in k and isinstance(v, str))]


def title_in(item: Item, language: Language) -> str:
    """In Chinese the Chinese title, where there is one (and not the Japanese one)."""
    chinese = [t for t in titles(item) if CHINESE.search(t) and not _KANA.search(t)]
    return chinese[0] if language == "zh" and chinese else item.title


def joined(values: Sequence[str], language: Language) -> str:
    if language == "zh":
        return "、".join(values)
    return " and ".join([", ".join(values[:-1]), values[-1]]) if len(values) > 1 else values[0]


def short(said: str) -> str:
    """The beginning of a person's words, to a whole word."""
    if len(said) <= SAID:
        return said
    end = said.rfind(" ", 0, SAID)
    return said[: end if end > 0 else SAID]
