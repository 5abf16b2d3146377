"""Limits said in words, typed against the catalogue's own schema: "under two hours", "两百元以内", "from the nineties".

Which column a limit is about follows from its unit ("minutes" -> a column of durations), from a word for it ("budget"),
or from the column's own name; nothing here knows what the catalogue sells.
"""
# ruff: noqa: E501  (a pattern stands on one line, or nobody can read it)

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from snowmelt.agent.types import Constraint
from snowmelt.agent.understanding.ages import ages
from snowmelt.agent.understanding.numerals import Line
from snowmelt.agent.understanding.units import AMOUNT, NEGATED, amount_of, columns, pad
from snowmelt.agent.understanding.years import years
from snowmelt.retrieval.items import Schema

_LE = (
    r"unter|hochstens|maximal|weniger als|bis zu|moins(?: de)?|pas plus de|menos de|maximo|como maximo|hasta|meno di|al massimo|ate|end(?:s)? before|over in|done in|finished in|under|below|beneath|less than|fewer than|lower than|at most|max(?:imum)?(?: of)?|no more than|not more than|not over|not above|"
    r"up to|within|in under|shorter than|no longer than|not longer than|no longer|not exceeding|not exceed|no higher than|"
    r"cheaper than|lighter than|no heavier than|smaller than|nothing over|nothing above|nothing longer than|"
    r"(?:must|should|does|do|can|may|could|wo)nt? (?:not )?(?:exceed|be over|be more than|be longer than|cost more than|go over)|"
    r"不超过|不要超过|别超过|不能超过|不可超过|不大于|不高于|低于|少于|小于|短于|最多|至多|顶多|不到"
)
_GE = (
    r"uber|mindestens|mehr als|plus de|au moins|mas de|al menos|piu di|almeno|mais de|over|above|more than|at least|longer than|min(?:imum)?(?: of)?|no less than|not less than|no fewer than|not under|"
    r"no shorter than|not shorter than|heavier than|bigger than|larger than|upwards of|starting at|exceeding|"
    r"不低于|不少于|不小于|超过|高于|大于|多于|长于|至少|最少|起码"
)
_LE_AFTER = r"or less|or under|or fewer|or below|or shorter|or cheaper|max(?:imum)?|at (?:the )?most|tops|and under|以内|之内|以下|及以下|内|封顶|或更短|或以下"
_GE_AFTER = (
    r"or more|or over|or longer|or above|and up|and above|plus|at least|minimum|min|\+|以上|及以上|起|或更长|或以上"
)
_ATTITUDE = re.compile(r"(?:hate|dislike|cant stand|sick of)[^,.;，。；]{0,25}$")


@dataclass(frozen=True)
class Limit:
    """A limit and the tokens [start, end) that say it. `soft`: said with "preferably", so not a filter."""

    start: int
    end: int
    attribute: str
    op: str
    value: bool | float | str
    soft: bool = False

    def constraint(self, evidence: str) -> Constraint:
        return Constraint.model_validate(
            {"attribute": self.attribute, "op": self.op, "value": self.value, "evidence": evidence}
        )


def limits(
    line: Line, schema: Schema, today: date, about: str | None = None
) -> tuple[list[Limit], list[tuple[int, int]]]:
    """Every limit said in the line, hard and soft, and the token spans of those in another currency.

    `about`: the column that the last question was about.
    """
    cols = columns(schema)
    found: list[Limit] = []
    foreign: list[tuple[int, int]] = []
    taken = [False] * (len(line.text) + 1)

    def add(match: re.Match[str], attribute: str | None, bounds: Sequence[tuple[str, float | str | bool]]) -> None:
        if any(taken[match.start() : match.end()]):
            return
        for i in range(match.start(), match.end()):
            taken[i] = True
        if attribute is None:
            foreign.append(line.tokens(match.start(), match.end()))
            return
        before = re.split(r"[,.;，。；]", line.text[: match.start()])[-1]
        after = re.split(r"[,.;，。；]", line.text[match.end() :])[0]
        soft = bool(
            re.search(r"preferabl|ideally|if possible|would be nice|hopefully|rather|最好|尽量", before + after[:24])
        )
        start, end = line.tokens(match.start(), match.end())
        found.extend(Limit(start, end, attribute, op, value, soft) for op, value in bounds)

    ages(line.text, cols, add)
    years(line.text, cols, schema, today, add)
    _amounts(line.text, cols, schema, about, add)
    if "stock" in cols:
        pattern = r"(?<!out of )\b(?:in stock|available|availability)\b|(?:现在)?有(?:现)?货|现货|有库存|能买到的?"
        for match in re.finditer(pattern, line.text):
            if not re.search(
                r"(?:dont|doesnt|neednt|not|no matter|不管|不一定|不必|forget|ignore)[^,.;，。；]{0,25}$",
                line.text[: match.start()],
            ):
                add(match, cols["stock"], [("eq", True)])
    for name, attribute in schema.attributes.items():
        if attribute.kind == "boolean" and name != cols.get("stock"):
            words = re.escape(" ".join(re.split(r"[\W_]+", name.casefold())))
            for match in re.finditer(rf"(not |no |non |un|不)?\b{words}\b", line.text):
                add(match, name, [("eq", match[1] is None)])
    return found, foreign


def _amounts(text: str, cols: dict[str, str], schema: Schema, about: str | None, add) -> None:
    first, second = AMOUNT.replace("{0}", "a"), AMOUNT.replace("{0}", "b")
    budget = rf"(?:budget|price limit|limit|spend(?:ing)?|预算|价格|价钱)(?: (?:is|of|to|at|about|max|up to|than|the))*(?:是|在|为|只有|大概|大约|有|就)?[:： ]*{first}(?:以内|以下|左右|之内)?"
    patterns: tuple[tuple[str, str], ...] = (
        (
            rf"(?:between|from|entre|zwischen|tra|介于|在)? ?{first} ?(?:and|to|y|et|e|und|a|bis|-|–|—|~|～|到|至|和) ?{second}(?:之间|间)?",
            "range",
        ),
        (rf"(?P<op>{_LE}) ?(?:the |a |an |(?:about|around|roughly) )?{first}", "le"),
        (rf"(?P<op>{_GE}) ?(?:the |a |an )?{first}", "ge"),
        (rf"{first} ?(?:{_LE_AFTER})(?![a-z])", "le"),
        (rf"{first} ?(?:{_GE_AFTER})(?![a-z])", "ge"),
        (budget, "budget"),
        (rf"{first} ?(?:的)?(?:budget|预算)", "budget"),
    )
    text = re.sub(r"\b(an?|one) hour and a half|1 and a half hours?", lambda m: pad("90 min", m[0]), text)
    text = re.sub(r"(?<!and a )\bhalf an? hour|(?<!and a )\bhalf hour", lambda m: pad("30 min", m[0]), text)
    text = re.sub(r"\ban hour\b", lambda m: pad("1 hour", m[0]), text)
    text = re.sub(r"\b(?:a|dun|un|ein) kilo\b", lambda m: pad("1 kg", m[0]), text)
    text = re.sub(r"\b3 quarters of an hour\b", lambda m: pad("45 min", m[0]), text)
    text = re.sub(r"(?<![个\d])半(个)?(小时|钟头)", lambda m: pad("30分", m[0]), text)
    for pattern, kind in patterns:
        for match in re.finditer(pattern, text):
            a = amount_of(match, "a", schema, cols, about)
            if kind == "range":
                b = amount_of(match, "b", schema, cols, about)
                explicit = re.search(r"between|from|entre|zwischen|tra|介于|之间|到|至|-|–|~|to |bis", match[0])
                if (
                    b is None
                    or not explicit
                    or (
                        match["unitb"] is None
                        and match["preb"] is None
                        and match["prea"] is None
                        and not re.search("between|entre|zwischen|介于|之间", match[0])
                    )
                ):
                    continue
                a = amount_of(match, "a", schema, cols, b[0], match["unita"] or match["unitb"])
                if a is not None and a[0] is not None and a[1] < b[1]:
                    add(match, a[0], [("ge", a[1]), ("le", b[1])])
                continue
            if a is None:
                continue
            attribute, value = a
            op = "le" if kind == "budget" else kind
            if kind == "budget" and attribute != cols.get("money"):
                continue
            before = text[: match.start()]
            if kind == "ge" and (NEGATED.search(before) or _ATTITUDE.search(before)):
                if _ATTITUDE.search(before):
                    continue
                op = "le"
            elif kind == "le" and re.search(r"(?:nothing|not|dont want anything|no \w+) $", before):
                op = "ge"
            add(match, attribute, [(op, value)])
