"""The words that say how somebody speaks of a thing: likes, dislikes, wants, refuses, has seen, asks, tells of others.

Phrases are folded as in `text` (no apostrophes). English and Chinese are covered properly; German, French, Spanish,
Italian, Portuguese, Japanese and Russian by their plainest words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from snowmelt.agent.understanding.text import Token, key_of, words_named

_REQUESTS = frozenset(["in the mood", "in the mood for", "feel like", "feeling like", "有心情", "没心情"])
_COUNTS = frozenset("一二两三四五六七八九十几多这那每0123456789")
_NOT_BAD = words_named("not_bad")


@dataclass(frozen=True, slots=True)
class Cue:
    start: int
    end: int
    kind: str
    text: str


@cache
def _table() -> dict[str, str]:
    """Folded phrase -> kind, from cues.tsv; the first line that has a phrase wins."""
    table: dict[str, str] = {}
    for line in files("snowmelt.agent.understanding").joinpath("cues.tsv").read_text("utf-8").splitlines():
        kind, tab, phrases = line.partition("\t")
        if tab and not line.startswith("#"):
            for phrase in phrases.split("|"):
                table.setdefault(key_of(phrase), kind)
    return table


@cache
def _longest() -> int:
    return max(len(key.split()) for key in _table())


def cues(words: Sequence[Token], gap: Sequence[bool]) -> list[Cue]:
    """Every cue, overlapping ones too. No cue reaches over punctuation."""
    found, table = [], _table()
    for i in range(len(words)):
        key = ""
        for j in range(i + 1, min(len(words), i + _longest()) + 1):
            if j - 1 > i and gap[j - 1]:
                break
            key = f"{key} {words[j - 1].text}" if key else words[j - 1].text
            if kind := table.get(key):
                if key == "只" and i and words[i - 1].text in _COUNTS:
                    continue  # a measure word: "一只猫"
                found.append(Cue(i, j, kind, key))
        found += _too(words, gap, i)
    return found


def _too(words: Sequence[Token], gap: Sequence[bool], i: int) -> list[Cue]:
    """ "too creepy for me", "太吓人了": of what was named before; praise is none ("太棒了", "too good to miss")."""
    text, n = words[i].text, len(words)
    if (
        text == "too"
        and (not i or words[i - 1].text not in ("nothing", "anything", "not"))
        and i + 1 < n
        and not gap[i + 1]
        and words[i + 1].text not in _NOT_BAD
    ):
        j = i + 2
        while (
            j < min(n, i + 5)
            and not gap[j]
            and words[j].text in ("for", "me", "us", "my", "taste", "tastes", "me", "much")
        ):
            j += 1
        return [Cue(i, j, "back_dislike", "too")]
    if text == "太" and i + 1 < n and words[i + 1].text not in "好棒赞爱美喜经感妙精神可有":
        for j in (i + 2, i + 3, i + 4):
            if j < n and words[j].text in "了啦":
                return [Cue(i, j + 1, "back_dislike", "太")]
            if j == n and j - i == 2:
                return [Cue(i, j, "back_dislike", "太")]
    return []


def asks_mood(cue: Cue) -> bool:
    """ "in the mood for", "feel like": today's wish, and with a "not" before it today's refusal."""
    return cue.text in {key_of(r) for r in _REQUESTS}
