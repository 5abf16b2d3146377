"""Cues that are no fixed phrases: a word that values, what a thing does to somebody, sayings with a slot."""
# ruff: noqa: E501  (a pattern stands on one line, or nobody can read it)

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from snowmelt.agent.understanding.text import Token, words_named

_NOT_BAD = words_named("not_bad")
_PRAISED = frozenset("好棒赞爱美喜经感妙精神可有绝牛香酷燃对值适舒甜暖会懂")
_COPULA, _DEGREE, _NOT = words_named("copula"), words_named("degree"), words_named("negated")
_GOOD, _BAD, _GEM, _DUD = (words_named(n) for n in ("good", "bad", "gem", "dud"))


@dataclass(frozen=True, slots=True)
class Cue:
    start: int
    end: int
    kind: str
    text: str


def opinions(words: Sequence[Token], gap: Sequence[bool]) -> list[Cue]:
    """Every such cue, overlapping ones too. `gap[i]`: punctuation before word i."""
    found = _han_opinions(words, gap) + _han_unable(words, gap)
    for i in range(len(words)):
        found += _too(words, gap, i) + _idiom(words, gap, i)
        found += _opinion(words, gap, i) or _felt(words, gap, i) or _judged(words, gap, i)
    return found


def _idiom(words: Sequence[Token], gap: Sequence[bool], i: int) -> list[Cue]:
    """Sayings with a slot: "goes completely nuts for", "gone right off", "sick to death of", "creeps my mum out"."""
    end = next((k for k in range(i + 1, min(len(words), i + 7)) if gap[k]), min(len(words), i + 7))
    line = " ".join(w.text for w in words[i:end])
    for pattern, kind in _IDIOMS:
        if match := pattern.match(line):
            return [Cue(i, i + len(match[0].split()), kind, "idiom")]
    return []


_WHOM = r"(?:me|us|him|her|them|my \w+|our \w+)"
_IDIOMS = tuple(
    (re.compile(rf"{pattern}(?!\w)", re.ASCII), kind)
    for pattern, kind in (
        (r"(?:go|goes|going|went|am|is|are|im|hes|shes) (?:\w+ )?(?:nuts|mad|crazy|wild|gaga|bananas|bonkers|potty) (?:for|about|over|on)", "like"),
        (r"(?:go|goes|gone|going|went) (?:\w+ )?off(?= (?!to|on|and|with|for)\w)", "dislike"),
        (r"(?:sick|tired|bored|weary)(?: \w+){0,3} of", "dislike"),
        (rf"(?:creep|freak|gross|weird|put|puts|creeps|freaks|grosses|weirds|creeped|freaked|grossed|weirded) {_WHOM} (?:out|off)", "back_dislike"),
        (rf"(?:bore|bores|bored|drive|drives|drove) {_WHOM} (?:\w+ )?(?:to (?:tears|death|sleep)|senseless|rigid|mad|crazy|nuts|insane|up the wall)", "back_dislike"),
        (rf"(?:get|gets|got|getting|grate|grates) on {_WHOM} nerves", "back_dislike"),
        (r"(?:cant|cannot|could ?nt|can not) (?:be doing|get on|get along|be bothered|deal) with", "dislike"),
        (rf"(?:do|does|did|doing)(?:nt| not)(?: \w+)? (?:do it|do anything|do much|work|click) for {_WHOM}", "back_dislike"),
        (rf"(?:isnt|arent|is not|are not|wasnt|never been) (?:\w+ )?(?:for {_WHOM}|{_WHOM} (?:thing|cup of tea|jam|bag))", "back_dislike"),
        (rf"(?:is|are|s) (?:so |very |right |totally )?(?:{_WHOM} (?:thing|jam|bag|cup of tea)|up my street|right up my alley)", "back_like"),
    )
)  # fmt: skip


def _opinion(words: Sequence[Token], gap: Sequence[bool], i: int) -> list[Cue]:
    """ "was honestly brilliant", "isn't bad", "is Nolan's actual masterpiece": a copula and a word that values.

    Without a copula where the clause has nothing else ("gorgeous.", "what a bore", "a total bore").
    """
    if i and gap[i] and (end := _verdict(words, gap, i)):
        k = next(k for k in range(i, end) if words[k].text in _VALUED)
        good = words[k].text in _GOOD or words[k].text in _GEM
        return [Cue(i, end, "back_like" if good else "back_dislike", "verdict")]
    turned = words[i].text in _NOT and words[i].text not in ("not", "never", "no")
    if words[i].text not in _COPULA and not turned:
        return []
    if words[i].text == "feel" and i + 1 < len(words) and words[i + 1].text == "good":
        return []  # "feel-good"
    loose = 0
    for j in range(i + 1, min(len(words), i + 7)):
        if gap[j]:
            break
        text = words[j].text
        if text in _NOT:
            turned = not turned
        elif text in _GEM or text in _DUD or (loose == 0 and (text in _GOOD or text in _BAD)):
            if text in _GOOD and j + 1 < len(words) and not gap[j + 1] and words[j + 1].text in ("at", "with", "in"):
                break  # "he is good at chess"
            if text == "sick" and (
                _by_somebody(words, i) or [w.text for w in words[j + 1 : j + 2]] in (["of"], ["to"])
            ):
                break
            good = (text in _GOOD or text in _GEM) != turned
            end = j + 1
            while end < len(words) and not gap[end] and words[end].text in ("for", "to", "me", "us", "imo"):
                end += 1
            return [Cue(i, end, "back_like" if good else "back_dislike", "opinion")]
        elif (
            loose == 0
            and words[i].text in _COPULA - {"be", "been"}
            and text in _valence()
            and not _by_somebody(words, i)
        ):
            good = _valence()[text] != turned
            return [Cue(i, j + 1, "back_like" if good else "back_dislike", "valence")]
        elif text in _FELT_ME and _by_somebody(words, i):
            return [Cue(i, j + 1, "back_like" if (text in _TAKEN) != turned else "back_dislike", "felt")]
        elif text not in _DEGREE and not (text.endswith("ly") and len(text) > 4):
            loose += 1
            if loose > 3:
                break
    return []


_TAKEN = words_named("taken")
_FELT_ME = _TAKEN | words_named("put_off")


def _by_somebody(words: Sequence[Token], i: int) -> bool:
    """Is the subject of the copula somebody ("I was bitterly disappointed")?"""
    return words[i].text in ("am", "im", "hes", "shes", "theyre") or (i > 0 and words[i - 1].text in _SOMEBODY)


_SOMEBODY = frozenset(["i", "we", "he", "she", "they", "you", "everyone", "people"])


@cache
def _valence() -> dict[str, bool]:
    """Word that values -> does it praise? From VADER's lexicon (Hutto and Gilbert 2014, MIT), those rated 1.3 or more
    of 4, without what is more often said of something else."""
    good, bad = files("snowmelt.agent.understanding").joinpath("valence.txt").read_text("utf-8").splitlines()
    return dict.fromkeys(good.split(), True) | dict.fromkeys(bad.split(), False)


_VALUED = _GOOD | _BAD | _GEM | _DUD
_RATED = frozenset(["film", "movie", "picture", "book", "one", "thing", "product", "stuff"])  # "very good film"
_EXCLAIMED = _DEGREE | frozenset(["what", "how", "pure", "bit", "of", "just", "mind", "you", "though", "tbh"])


def _verdict(words: Sequence[Token], gap: Sequence[bool], i: int) -> int:
    """The end of a clause that starts at word i if it is only a word that values and its degree, else 0."""
    end = next((k for k in range(i + 1, len(words)) if gap[k]), len(words))
    texts = [w.text for w in words[i:end]]
    valued = sum(t in _VALUED for t in texts)
    return end if len(texts) <= 5 and valued and all(t in _VALUED | _EXCLAIMED | _RATED for t in texts) else 0


def _judged(words: Sequence[Token], gap: Sequence[bool], i: int) -> list[Cue]:
    """ "I find Wes Anderson tiresome": the word that values, with who finds it before what is found so."""
    if words[i].text not in ("find", "found", "consider"):
        return []
    for j in range(i + 2, min(len(words), i + 8)):
        if gap[j]:
            break
        good, bad = words[j].text in _GOOD | _GEM, words[j].text in _BAD | _DUD
        if (good or bad) and (j + 1 == len(words) or gap[j + 1] or words[j + 1].text in ("and", "but", "though")):
            return [Cue(j, j + 1, "back_like" if good else "back_dislike", "opinion")]
    return []


def _felt(words: Sequence[Token], gap: Sequence[bool], i: int) -> list[Cue]:
    """ "left me totally cold", "makes us smile": what a thing does to somebody."""
    texts = [w.text for w in words[i : i + 6]]
    if len(texts) < 3 or texts[0] not in words_named("felt") or texts[1] not in ("me", "us") or gap[i + 1]:
        return []
    for j in range(2, len(texts)):
        if gap[i + j]:
            break
        good, bad = texts[j] in words_named("felt_good"), texts[j] in words_named("felt_bad")
        if good or bad:
            return [Cue(i, i + j + 1, "back_like" if good else "back_dislike", "felt")]
        if texts[j] not in _DEGREE:
            break
    return []


@cache
def _han_pattern() -> re.Pattern[str]:
    good, bad = ("|".join(sorted(words_named(n), key=len, reverse=True)) for n in ("good_zh", "bad_zh"))
    degree = "|".join(sorted(words_named("degree_zh"), key=len, reverse=True))
    return re.compile(
        rf"(?P<not>不算|不是很|不怎么|不够|并不|不太|不)?(?:{degree})*(?:(?P<good>{good})|(?P<bad>{bad}))"
        r"(?:死我了|到哭|极了|死了|得不行|得很|爆了|了|啊|呀|啦)*"
    )


def _han_opinions(words: Sequence[Token], gap: Sequence[bool]) -> list[Cue]:
    """ "真的太好看了", "有点无聊", "不够吓人": of what was named before, unless it only qualifies ("好看的片子")."""
    line = "".join(w.text if w.kind == "c" else "¤" for w in words)
    starts = [k for k, w in enumerate(words) for _ in (w.text if w.kind == "c" else "¤")]
    found = []
    for m in _han_pattern().finditer(line):
        start, end = starts[m.start()], starts[m.end() - 1] + 1
        if any(gap[start + 1 : end]) or (end < len(words) and not gap[end] and words[end].text in "的点些"):
            continue
        good = bool(m["good"]) != bool(m["not"])
        found.append(Cue(start, end, "back_like" if good else "back_dislike", "opinion"))
    return found


_UNABLE = re.compile(r"(?:喜欢|欣赏|爱|提|看|听|吃|接受)(?:得)?不(?:起劲|起兴趣|起来|来|下去|进去|进|下|了)")


def _han_unable(words: Sequence[Token], gap: Sequence[bool]) -> list[Cue]:
    """ "喜欢不起来", "欣赏不来": a verb of liking that does not come off speaks of what stands before it."""
    line = "".join(w.text if w.kind == "c" else "¤" for w in words)
    starts = [k for k, w in enumerate(words) for _ in (w.text if w.kind == "c" else "¤")]
    spans = [(starts[m.start()], starts[m.end() - 1] + 1) for m in _UNABLE.finditer(line)]
    return [Cue(a, b, "back_dislike", "unable") for a, b in spans if not any(gap[a + 1 : b])]


def _too(words: Sequence[Token], gap: Sequence[bool], i: int) -> list[Cue]:
    """ "too creepy for me", "太吓人了": of what was named before; praise is none ("太棒了", "too good to miss")."""
    text, n = words[i].text, len(words)
    if (
        text == "too"
        and (not i or words[i - 1].text not in ("nothing", "anything", "not"))
        and i + 1 < n
        and not gap[i + 1]
        and (words[i + 1].text not in _NOT_BAD or [w.text for w in words[i + 1 : i + 4]] == ["much", "for", "me"])
    ):
        j = i + 2
        while (
            j < min(n, i + 5)
            and not gap[j]
            and words[j].text in ("for", "me", "us", "my", "taste", "tastes", "me", "much")
        ):
            j += 1
        return [Cue(i, j, "back_dislike", "too")]
    if text == "太" and i + 1 < n and words[i + 1].text not in _PRAISED:
        for j in (i + 2, i + 3, i + 4):
            if j < n and words[j].text in "了啦":
                return [Cue(i, j + 1, "back_dislike", "太")]
            if j == n and j - i == 2:
                return [Cue(i, j, "back_dislike", "太")]
    return []
