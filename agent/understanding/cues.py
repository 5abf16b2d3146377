"""The words that say how somebody speaks of a thing: likes, dislikes, wants, refuses, has seen, asks, tells of others.

Phrases are folded as in `text` (no apostrophes). English and Chinese are covered properly; German, French, Spanish,
Italian, Portuguese, Japanese and Russian by their plainest words.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from snowmelt.agent.understanding.opinions import Cue, opinions
from snowmelt.agent.understanding.text import Token, key_of, phrases_named, words_named

_REQUESTS = frozenset(["in the mood", "in the mood for", "feel like", "feeling like", "有心情", "没心情"])
_COUNTS = frozenset("一二两三四五六七八九十几多这那每0123456789")
_HAPPENED = frozenset(
    ["have", "has", "had", "ive", "weve", "youve", "hes", "shes", "theyve", "was", "were", "am", "im"]
)
_LIKENED = frozenset(["that", "which", "films", "movies", "求", "来", "要"])
_BEFORE_INTO = words_named("before_into")


@cache
def _table() -> dict[str, str]:
    """Folded phrase -> kind, from cues.tsv; the first line that has a phrase wins."""
    table: dict[str, str] = {}
    for line in files("snowmelt.agent.understanding").joinpath("cues.tsv").read_text("utf-8").splitlines():
        kind, tab, phrases = line.partition("\t")
        if tab and not line.startswith("#"):
            for phrase in phrases.split("|"):
                table.setdefault(key_of(phrase), kind)
    for phrase, kind in list(table.items()):
        if kind in ("like", "dislike") and phrase.isascii() and phrase.isalpha() and len(phrase) > 3:
            for form in _inflected(phrase):
                table.setdefault(form, kind)
    for phrase, kind in list(table.items()):
        for short, long in _CONTRACTED:
            if phrase.startswith(f"{short} ") or f" {short} " in phrase:
                table.setdefault(f" {phrase} ".replace(f" {short} ", f" {long} ").strip(), kind)
    for verb in words_named("must_be"):
        for modal in phrases_named("must"):
            table.setdefault(key_of(f"{modal} {verb}" if verb.isascii() else f"{modal}{verb}"), "must")
    return table


# "I do not care for", "I can not stand": as their short forms
_VERBS = ("do", "does", "did", "is", "are", "was", "were", "has", "have", "could", "would")
_CONTRACTED = (("cant", "cannot"), ("cant", "can not"), *((f"{verb}nt", f"{verb} not") for verb in _VERBS))


def _inflected(verb: str) -> tuple[str, ...]:
    stem = verb.removesuffix("e")
    return f"{verb}s", f"{stem}ed", f"{stem}ing"


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
                if key in ("just", "only") and i and words[i - 1].text in _HAPPENED:
                    continue  # "have just moved"
                if key == "people" and "for" in (t.text for t in words[max(0, i - 3) : i]):
                    continue  # "something for left handed people"
                if key == "要" and _will(words, i):
                    continue  # "下周要考试"
                if key.startswith("feel") and words[i - 1 if i else 0].text in _LIKENED:
                    kind = "like"  # "films that feel like Heat": a likeness, not a mood
                if key == "into" and i and words[i - 1].text not in _BEFORE_INTO:
                    continue  # "turns into"
                found.append(Cue(i, j, kind, key))
        if words[i].text == "是" and (not i or gap[i]) and _refused(words, i):
            found.append(Cue(i, i + 1, "like", "是"))  # "不是恐怖片，是惊悚片"
        if words[i].text == "to" and i > 1 and any(w.text.startswith("prefer") for w in words[max(0, i - 8) : i - 1]):
            found.append(Cue(i, i + 1, "over", "to"))  # "I prefer A to B"
    return found + opinions(words, gap)


def _will(words: Sequence[Token], i: int) -> bool:
    """Does 要 tell what is going to happen: a time before it, and nothing that is looked for after it?"""
    before = "".join(w.text for w in words[max(0, i - 4) : i])
    after = words[i + 1].text if i + 1 < len(words) else ""
    return before.endswith(_SOON) and after not in _SOUGHT


_SOON = ("下周", "明天", "后天", "明早", "马上", "快", "下个月", "待会", "等会", "等会儿", "周一", "月底")
_SOUGHT = tuple("看买找来点些部个一那这")


def _refused(words: Sequence[Token], i: int) -> bool:
    return any(words[k].text == "不" and words[k + 1].text == "是" for k in range(max(0, i - 14), i - 1))


def asks_mood(cue: Cue) -> bool:
    """ "in the mood for", "feel like": today's wish, and with a "not" before it today's refusal."""
    return cue.text in {key_of(r) for r in _REQUESTS}
