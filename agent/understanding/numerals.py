"""Numbers in words, English and Chinese, and the line of text that limits are read from."""

from collections.abc import Sequence
from dataclasses import dataclass

from snowmelt.agent.understanding.text import Token, words_named

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"  # noqa: E501
_WORDS = {w: float(i) for i, w in enumerate(_ONES.split())}
_TENS = {
    w: float(10 * i)
    for i, w in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_ZH = {c: float(i) for i, c in enumerate("零一二三四五六七八九")} | {"两": 2.0, "俩": 2.0, "〇": 0.0, "幺": 1.0}
_ZH_UNITS = {"十": 10.0, "百": 100.0, "千": 1000.0, "万": 10000.0}
_FOREIGN = {w: float(n) for w, _, n in (pair.partition("=") for pair in words_named("foreign_numbers"))}
_FOREIGN_COUNTED = words_named("foreign_counted")
_NOT_COUNTED = frozenset("起些直般样定点下边面切共旦会致同向")
_COUNTED = words_named("counted")


@dataclass(frozen=True)
class Line:
    """A message with numbers as digits, for regular expressions; `owner[i]` is the token that character i came from."""

    text: str
    owner: tuple[int, ...]

    def tokens(self, start: int, end: int) -> tuple[int, int]:
        """The token span [first, last) of characters [start, end)."""
        found = [o for o in self.owner[start:end] if o >= 0]
        return (min(found), max(found) + 1) if found else (0, 0)


def line_of(tokens: Sequence[Token], hidden: frozenset[int] = frozenset(), digits: bool = True) -> Line:
    """Words with one space between, Chinese unspaced, `hidden` tokens (names) as "¤"; with `digits` numbers in words
    become digits."""
    parts: list[tuple[str, int]] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if at in hidden:
            text, after = "¤", at + 1
        else:
            value, after = number_at(tokens, at) if digits else (None, at + 1)
            text = token.text if value is None else f"{value:g}" if value < 1e6 else f"{value:.0f}"
        parts.append((text, at))
        at = after
    out, owner = "", []
    for number, (text, at) in enumerate(parts):
        token = tokens[at]
        if number:
            before = tokens[parts[number - 1][1]]
            if (before.kind == "w" and token.kind == "w") or (
                "c" not in (before.kind, token.kind) and before.kind in ".,"
            ):
                out, owner = out + " ", [*owner, -1]
        out += text
        owner += [at] * len(text)
    return Line(out, tuple(owner))


def number_at(tokens: Sequence[Token], at: int) -> tuple[float | None, int]:
    """(the number that starts at token `at` or None, the token after it). Ordinals and a bare "one" are no numbers."""
    token = tokens[at]
    if token.kind == "c":
        if token.text == "第" or (at and tokens[at - 1].text in "第老"):
            return None, at + 1
        return _chinese(tokens, at)
    text = token.text.replace(",", "")
    if text[:1].isdigit():
        try:
            value = float(text)
        except ValueError:
            return None, at + 1
        after = at + 1
        if after < len(tokens) and tokens[after].text in ("k", "千", "百", "万") and tokens[after].start == token.end:
            value *= {"k": 1000.0, "百": 100.0, "万": 10000.0}.get(tokens[after].text, 1000.0)
            after += 1
        return value, after
    return _english(tokens, at)


def _english(tokens: Sequence[Token], at: int) -> tuple[float | None, int]:
    total: float | None = None
    here = at
    while here < len(tokens):
        word = tokens[here].text
        after = tokens[here + 1].text if here + 1 < len(tokens) else ""
        if word == "-" and total is not None and total % 10 == 0 and after in _WORDS:
            here += 1  # "forty-five"
            continue
        if total is None and word in _FOREIGN and after in _FOREIGN_COUNTED:
            return _FOREIGN[word], here + 1
        if word in _TENS:
            if total is not None and total % 100 != 0:
                # "nineteen ninety": a year said in two halves
                if 13 <= total <= 20:
                    total = total * 100 + _TENS[word]
                    here += 1
                    continue
                break
            total = (total or 0) + _TENS[word]
        elif word in _WORDS:
            if (
                word == "one"
                and total is None
                and after not in _COUNTED
                and after not in ("hundred", "thousand", "and")
            ):
                return None, at + 1
            if total is not None and total % 10 != 0:
                break
            total = (total or 0) + _WORDS[word]
        elif word == "hundred" and total is not None:
            total *= 100
        elif word == "thousand" and total is not None:
            total *= 1000
        elif word == "a" and total is None and after in ("hundred", "thousand"):
            total = 1.0
        elif word == "and" and total is not None and total % 100 == 0 and (after in _WORDS or after in _TENS):
            pass
        else:
            break
        here += 1
    return (total, here) if total is not None else (None, at + 1)


def _chinese(tokens: Sequence[Token], at: int) -> tuple[float | None, int]:
    digits: list[float] = []
    total, last_unit, here, any_unit = 0.0, 1.0, at, False
    while here < len(tokens) and tokens[here].kind == "c":
        char = tokens[here].text
        if char in _ZH:
            after = "".join(t.text for t in tokens[here + 1 : here + 3])
            if not digits and len(after) == 2 and after[1] == "十" and _ZH.get(after[0]) == _ZH[char] + 1:
                return 10 * _ZH[char], here + 1  # "五六十年代": the fifties and sixties
            digits.append(_ZH[char])
        elif char in _ZH_UNITS and (digits or char == "十"):
            total += (digits[-1] if digits else 1.0) * _ZH_UNITS[char]
            digits, last_unit, any_unit = [], _ZH_UNITS[char], True
        else:
            break
        here += 1
    if here == at or (here == at + 1 and not any_unit and here < len(tokens) and tokens[here].text in _NOT_COUNTED):
        return None, at + 1
    if any_unit:
        # "一百五" is 150, "二十五" is 25, "一百零五" is 105
        rest = digits[-1] if digits else 0.0
        return total + (rest * last_unit / 10 if len(digits) == 1 and last_unit > 10 else rest), here
    return float("".join(f"{d:.0f}" for d in digits)), here
