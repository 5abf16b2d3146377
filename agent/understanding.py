"""A message to a profile update, in code: mentions are linked to the catalogue, limits become typed constraints."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from snowmelt.agent.types import Constraint, Entry, Profile
from snowmelt.retrieval.catalogue import Catalogue

_CLAUSE = re.compile(r"[.;!?。；！？\n]+|,|，|\bbut\b|但是|不过")
_NEGATIVE = re.compile(
    r"\b(?:not?|never|hate|dislike|without|except|avoid|don'?t (?:like|want))\b|不要|不喜欢|讨厌|别|除了", re.IGNORECASE
)
_AT_MOST = r"(?:under|below|at most|less than|shorter than|no more than|up to|不超过|少于|低于)"
_HOURS = {"two hours": 120, "an hour and a half": 90, "90 minutes": 90, "two and a half hours": 150, "three hours": 180}
_UNITS = {"minutes": "runtime", "min": "runtime", "分钟": "runtime", "eur": "price", "euros": "price", "€": "price"}


@dataclass(frozen=True)
class Vocabulary:
    """What of the catalogue can be mentioned: titles (also in other languages) and values of list attributes."""

    titles: dict[str, str]
    values: dict[str, tuple[str, str]]
    numbers: frozenset[str]

    @classmethod
    def of(cls, catalogue: Catalogue) -> "Vocabulary":
        titles: dict[str, str] = {}
        counts: Counter[tuple[str, str]] = Counter()
        numbers = set()
        for item in catalogue.items:
            for name, value in item.attributes.items():
                if "title" in name and isinstance(value, str):
                    titles.setdefault(fold(value), item.id)
                elif isinstance(value, tuple):
                    counts.update((name, v) for v in value)
                elif isinstance(value, float):
                    numbers.add(name)
            titles.setdefault(fold(item.title), item.id)
        values: dict[str, tuple[str, str]] = {}
        for (name, value), _ in counts.most_common():
            values.setdefault(fold(value), (name, value))
        return cls(titles, values, frozenset(numbers))


def fold(text: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def mentions(text: str, names: dict[str, object]) -> list[str]:
    """Names that stand in `text` as whole words, longest first, none inside another."""
    folded, found = f" {fold(text)} ", []
    words = folded.split()
    grams = {" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, min(i + 9, len(words) + 1))}
    # Chinese is not spaced: there a name of two or more characters may stand anywhere
    grams |= {n for n in names if len(n) > 1 and not n.isascii() and n in folded}
    for name in sorted((g for g in grams if g in names), key=len, reverse=True):
        if name in folded:
            found.append(name)
            folded = folded.replace(name, " ")
    return found


def understand(message: str, vocabulary: Vocabulary, profile: Profile) -> Profile:
    """`profile` with what `message` adds; every entry keeps the clause that it came from. The newest word wins."""
    likes, dislikes, constraints = list(profile.likes), list(profile.dislikes), list(profile.constraints)
    for clause in (c.strip() for c in _CLAUSE.split(message)):
        if not clause:
            continue
        limits = _limits(clause, vocabulary)
        negative = bool(_NEGATIVE.search(clause)) and not limits
        # A one-word title that is an everyday word ("Her") counts only when it is the whole clause.
        titles = [
            t for t in mentions(clause, dict(vocabulary.titles))
            if len(t) > 4 or not t.isascii() or t == fold(clause)
        ]  # fmt: skip
        rest = fold(clause)
        for title in titles:
            rest = rest.replace(title, " ")
        found = [Entry(text=t, item_id=vocabulary.titles[t], evidence=clause) for t in titles]
        for name in mentions(rest, dict(vocabulary.values)):
            attribute, value = vocabulary.values[name]
            found.append(Entry(text=value, attribute=attribute, evidence=clause))
            if negative:
                limits.append(Constraint(attribute=attribute, op="none", value=(value,), evidence=clause))
        if not found and not limits and len(clause) > 1:
            found = [Entry(text=clause, evidence=clause)]
        keys = {e.key for e in found}
        likes = [e for e in likes if e.key not in keys] + ([] if negative else found)
        dislikes = [e for e in dislikes if e.key not in keys] + (found if negative else [])
        for limit in limits:
            constraints = [
                c for c in constraints if (c.attribute, c.op) != (limit.attribute, limit.op) or c.op == "none"
            ]
            constraints.append(limit)
    seen = tuple(dict.fromkeys([*profile.seen, *(e.item_id for e in [*likes, *dislikes] if e.item_id)]))
    return Profile(likes=tuple(likes), dislikes=tuple(dislikes), constraints=tuple(constraints), seen=seen)


def _limits(clause: str, vocabulary: Vocabulary) -> list[Constraint]:
    text, found = clause.casefold(), []

    def add(attribute: str, op: str, value: float) -> None:
        if attribute in vocabulary.numbers:
            found.append(
                Constraint.model_validate({"attribute": attribute, "op": op, "value": value, "evidence": clause})
            )

    for words, minutes in _HOURS.items():
        if re.search(rf"{_AT_MOST}\s+{words}", text):
            add("runtime", "le", float(minutes))
    if re.search(r"两(?:个)?小时(?:以内|以下|之内)", text):
        add("runtime", "le", 120.0)
    units = "|".join(map(re.escape, _UNITS))
    for pattern in (rf"{_AT_MOST}\s*(\d+(?:\.\d+)?)\s*({units})", rf"(\d+(?:\.\d+)?)\s*({units})(?:以内|以下)"):
        for number, unit in re.findall(pattern, text):
            add(_UNITS[unit], "le", float(number))
    for word, op in (("after", "ge"), ("since", "ge"), ("before", "le")):
        for year in re.findall(rf"{word}\s+((?:19|20)\d\d)", text):
            add("year", op, float(year))
    return found
