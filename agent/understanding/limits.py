"""Limits said in words, typed against the catalogue's own schema: "under two hours", "两百元以内", "from the nineties".

Which column a limit is about follows from its unit ("minutes" -> a column of durations), from a word for it ("budget"),
or from the column's own name; nothing here knows what the catalogue sells.
"""
# ruff: noqa: E501  (a pattern stands on one line, or nobody can read it)

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from snowmelt.agent.types import Constraint
from snowmelt.agent.understanding.ages import ages
from snowmelt.agent.understanding.numerals import Line
from snowmelt.agent.understanding.units import AMOUNT, NEGATED, amount_of, columns, measured
from snowmelt.agent.understanding.years import years
from snowmelt.retrieval.items import Schema

_LE = (
    r"unter|hochstens|maximal|max|weniger als|bis zu|bis|moins(?: de)?|pas plus de|menos de|maximo|como maximo|no mas de|hasta|meno di|al massimo|non piu di|ate|menos que|"
    r"end(?:s)? before|over in|over within|done in|done within|done by|finished in|finish in|under|below|beneath|sub|less than|fewer than|lower than|at (?:the )?(?:very |absolute )?most|max(?:imum)?(?: of)?|a maximum of|(?:an? )?(?:absolute |upper )?(?:limit|ceiling|cap) of|capped at|maxing out at|tops? out at|no (?:more|longer|higher|bigger|heavier|taller|wider|larger|pricier) (?:than|as)|not (?:more|longer|higher|bigger|heavier) (?:than|as)|not over|not above|"
    r"nothing (?:over|above|beyond|past|more than|longer than|heavier than|bigger than|pricier than|that costs more than|that(?:s| is)? (?:over|above|longer than|more than)|exceeding)|not a (?:minute|second|cent|penny|euro|gram) (?:over|more than|longer than)|no(?:t|thing)? (?:going )?(?:past|beyond)|"
    r"up to|within|inside(?: of)?|in under|shorter than|cheaper than|lighter than|smaller than|less expensive than|lower than|not exceeding|not exceed|doesnt exceed|without exceeding|keep (?:it|this|things) (?:under|below|to|within)|limit(?:ed)? (?:it )?to|fits? (?:in|into|within)|squeeze (?:it )?into|"
    r"(?:must|should|does|do|ca|can|may|could|wo|shall)(?:nt|not| not)? (?:not )?(?:exceed|be over|be more than|be longer than|cost more than|go over|go above|run over|run longer than|last longer than|weigh more than)|"
    r"(?:不要|别|不能|不可|不得|不许|不应|千万别|最好别)?(?:不超过|不超|不要超过|别超过|别超|不能超过|不可超过|不得超过|不许超过|超不过|不大于|不高于|不长于|不重于|低于|少于|小于|短于|轻于|便宜过|最多|至多|顶多|撑死|不到|不足|控制在|限制在|压在|压到|压缩在|卡在|封顶|上限(?:是|为)?)"
)
_GE = (
    r"uber|mindestens|mehr als|plus de|au moins|mas de|al menos|como minimo|piu di|almeno|mais de|pelo menos|over|above|more than|at (?:the )?(?:very )?least|longer than|min(?:imum)?(?: of)?|a minimum of|no (?:less|fewer|shorter|lighter|smaller|lower) than|not (?:less|shorter|fewer) than|not (?:under|below)|"
    r"nothing (?:under|below|less than|shorter than|lighter than)|heavier than|bigger than|larger than|pricier than|more expensive than|upwards of|north of|starting at|starting from|exceeding|in excess of|beyond|"
    r"不低于|不少于|不小于|不短于|超过|高于|大于|多于|长于|重于|至少|最少|起码|不下于|下限(?:是|为)?"
)
_LE_AFTER = (
    r"or (?:less|under|fewer|below|shorter|cheaper|lighter|lower|so max)|max(?:imum)?|at (?:the )?(?:very |absolute |outside )?(?:most|max(?:imum)?|outside)|tops|and under|(?:and )?(?:not a (?:minute|cent|penny|second|euro)|no) (?:more|longer)|(?:time |price |budget )?(?:limit|cap|ceiling|budget|window|slot)|"
    r"(?:and )?(?:is|s|thats|that is) (?:all (?:i have|ive got|we have|weve got|ill pay|i can)|(?:my|the|our) (?:limit|max(?:imum)?|absolute max(?:imum)?|ceiling|budget|cap|upper limit)|as (?:high|long|much) as|the most|plenty|max)|hochstens|maximal|maximum|au maximum|maximo|como maximo|massimo|al massimo|"
    r"以内|之内|以下|及以下|内|封顶|打住|为限|为上限|顶天|到顶|撑死|就够|足够|或更短|或以下|或更少|不能再多|不能再长|的(?:预算|上限)"
)
_GE_AFTER = (
    r"or (?:more|over|longer|above|heavier|bigger|higher)|and (?:up|above|over|more|longer)|plus|upwards|at (?:the )?(?:very )?least|minimum|min|mindestens|au moins|minimo|\+|"
    r"以上|及以上|起步|起|打底|往上|朝上|开外|或更长|或以上|或更多"
)
# between a comparison and its amount stand words that say how the amount is spent: "at most I can pay 40", "顶多看一个半钟头"
_FILLED = (
    r"(?: ?(?:the|a|an|about|around|roughly|approximately|like|of|is|just|only|total|be|to|i|we|can|could|will|want to|spend|spending|pay|paying|cost|costs|costing|"
    r"take|takes|taking|last|lasts|lasting|run|runs|running|weigh|weighs|weighing|etwa|environ|unos|要|得|有|是|在|到|大概|大约|差不多|能|只|看|花|用|坐|出|付|给|卖|飞|我|个))*"
)
_ATTITUDE = re.compile(r"(?:hate|dislike|cant stand|sick of|讨厌|受不了)[^,.;，。；]{0,25}$")
# what follows an amount with its comparison: "over two hours is too long", "超过一百的不要"
_REFUSED = re.compile(
    r"^ ?(?:long|in length)? ?(?:is|are|s)? ?(?:just |way |simply )?(?:out\b|too (?:much|long|expensive|heavy|big|dear)|not (?:ok|okay|for me|happening|an option)|no good|a no\b|a dealbreaker|off the table)|"
    r"^的?(?:片子?|电影|东西)?(?:都|就|一律|统统|通通|全)?(?:不要|别|免谈|不看|不考虑|不行|算了|太长|太贵|太重|pass|不买|不想)"
)
# time that somebody has is a limit on how long a thing may take
_HAVE = (
    r"(?:(?:ive|(?:i|we)(?: only| just| really only)? (?:have|get|got)|we have|we ve|weve|we got|you have|with)(?: only| just)?(?: got)?|theres|there is|there are|only|got|spare|just have|nur|seulement|solo|只有|只剩|就剩|我有|还有|就有|就|仅有|刚好有|只能看|能看)"
    r"(?: ?(?:only|just|about|like|exactly|maybe|roughly|got|大概|大约|差不多))*"
)
_MUST_FIT = re.compile(
    r"(?:别|不要|不能)?超过(?:这个|它)|fit (?:in|into|within) (?:that|it|this|there)|(?:within|in|under) that\b|shorter than that|before (?:i|we|it|she|he|they|then)\b|短于这个|比这(?:个)?短|看得完|能看完|看完就|赶得上|来得及",
    re.ASCII,
)
_SPEND = (
    r"(?:budgets?|price limit|limit|spend(?:ing)?|afford|pay(?:ing)?|stretch|go|have|预算|价格|价钱|价位|出得起|最多出|花|掏)"
    r"(?: (?:is|of|to|at|about|max|up|than|the|around|only|as high as|for it|s))*(?:是|在|为|只有|大概|大约|有|就|个|到)?[:： ]*"
)


Bounds = Sequence[tuple[str, float | str | bool]]


@dataclass(frozen=True)
class Limit:
    """A limit and the tokens [start, end) that say it. `soft`: said with "preferably", so not a filter; `sure`: meant
    as a limit though it is told as a fact ("I have 90 minutes")."""

    start: int
    end: int
    attribute: str
    op: str
    value: bool | float | str
    soft: bool = False
    sure: bool = False

    def constraint(self, evidence: str) -> Constraint:
        return Constraint.model_validate(
            {"attribute": self.attribute, "op": self.op, "value": self.value, "evidence": evidence}
        )


class Unchecked(NamedTuple):
    """A limit, tokens [start, end), that the catalogue has no column for (or no such currency)."""

    start: int
    end: int
    dimension: str


def limits(line: Line, schema: Schema, today: date, about: str | None = None) -> tuple[list[Limit], list[Unchecked]]:
    """Every limit said in the line, hard and soft, and those that cannot be checked.

    `about`: the column that the last question was about.
    """
    cols = columns(schema)
    found: list[Limit] = []
    unchecked: list[Unchecked] = []
    taken = [False] * (len(line.text) + 1)

    def add(start: int, end: int, attribute: str | None, bounds: Bounds, dimension: str, sure: bool = False) -> None:
        if any(taken[start:end]) or LIFTS.search(line.text[:start]):
            return
        taken[start:end] = [True] * (end - start)
        first, last = line.tokens(start, end)
        if attribute is None:
            unchecked.append(Unchecked(first, last, dimension))
            return
        before = re.split(r"[,.;，。；]", line.text[:start])[-1]
        after = re.split(r"[,.;，。；]", line.text[end:])[0]
        soft = bool(
            re.search(
                r"preferabl|ideally|if possible|would be nice|hopefully|rather|最好|尽量|可以的话", before + after[:24]
            )
        )
        found.extend(Limit(first, last, attribute, op, value, soft, sure) for op, value in bounds)

    def plain(match: re.Match[str], column: str | None, bounds: Bounds, dimension: str) -> None:
        add(match.start(), match.end(), column, bounds, dimension)

    ages(line.text, cols, plain)
    years(line.text, cols, schema, today, plain)
    _amounts(line.text, cols, schema, about, add)
    for match in _STOCK.finditer(line.text):
        if not _UNASKED.search(line.text[: match.start()]):
            plain(match, cols.get("stock"), [("eq", True)], "stock")
    for match in _PLATFORM.finditer(line.text):
        plain(match, None, [], "platform")
    for name, attribute in schema.attributes.items():
        if attribute.kind == "boolean" and name != cols.get("stock"):
            words = re.escape(" ".join(re.split(r"[\W_]+", name.casefold())))
            for match in re.finditer(rf"(not |no |non |un|不)?\b{words}\b", line.text):
                plain(match, name, [("eq", match[1] is None)], name)
    return found, unchecked


_STOCK = re.compile(
    r"(?<!out of )(?<!not )\b(?:in stock|available(?: now| right now| today)?(?! on\b)|availability|ready to ship|ships? (?:now|today)|auf lager|lieferbar|en stock|disponible|disponibile|in magazzino)\b|(?:现在)?(?<!没)有(?:现)?货|现货|有库存|不缺货|能买到的?|马上能发货|能发货",
    re.ASCII,
)
# where things can be had, unless the catalogue has a value for it (it is then hidden from this line)
_PLATFORM = re.compile(
    r"\b(?:(?:available|streaming|stream(?:able)?|watch(?:able)?|showing|playing|it(?: is|s)|free) )?on (?:netflix|amazon prime|prime video|prime|hulu|disney ?(?:plus|\+)|disney|hbo(?: max)?|apple tv|paramount ?(?:plus|\+)?|peacock|mubi|youtube|spotify|steam|kindle|playstation|xbox|nintendo switch|switch|audible)\b|"
    r"(?:在)?(?:netflix|奈飞|网飞|爱奇艺|腾讯视频|优酷|芒果tv|哔哩哔哩|b站|bilibili|disney)上?(?:能|可以|有|上)(?:看|播|线|的)",
    re.ASCII,
)
LIFTS = re.compile(
    r"(?:\b(?:forget|ignore|drop|scrap|never ?mind|lose|no need for|doesnt have to be|neednt be|not necessarily|not just)(?: about)?(?: the| from| from the| in the| my)*|忘了|忘掉|别管|不用管|不限于|不一定要?(?:是)?|不用是|取消|去掉) ?$",
    re.ASCII,
)
_UNASKED = re.compile(
    r"(?:dont|doesnt|neednt|not|no matter|不管|不一定|不必|forget|ignore|is it|are they|没)[^,.;，。；]{0,25}$"
)


def _amounts(text: str, cols: dict[str, str], schema: Schema, about: str | None, add: Callable[..., None]) -> None:
    first, second = AMOUNT.replace("{0}", "a"), AMOUNT.replace("{0}", "b")
    text = measured(text)
    spread = rf"(?:between|from|entre|zwischen|tra|介于|在)? ?{first} ?(?:and|to|y|et|e|und|a|bis|-|–|—|~|～|到|至|和) ?{second}(?:之间|间)?"
    for match in re.finditer(spread, text):
        b = amount_of(match, "b", schema, cols, about)
        explicit = re.search(r"between|from|entre|zwischen|tra|介于|之间|到|至|-|–|~|to |bis", match[0])
        between = re.search("between|entre|zwischen|介于|之间", match[0])
        if b is None or not explicit or not (match["unitb"] or match["preb"] or match["prea"] or between):
            continue
        a = amount_of(match, "a", schema, cols, b.column, match["unita"] or match["unitb"])
        if a is not None and a.value < b.value:
            add(match.start(), match.end(), a.column, [("ge", a.value), ("le", b.value)], a.dimension)
    for match in re.finditer(first, text):
        amount = amount_of(match, "a", schema, cols, about)
        if amount is None or (not (match["unita"] or match["prea"]) and _COUNTS.match(text[match.end() :])):
            continue
        said = _compared(text, match, amount.dimension)
        if said is not None:
            start, end, op, sure = said
            add(start, end, amount.column, [(op, amount.value)], amount.dimension, sure)


def _compared(text: str, match: re.Match[str], dimension: str) -> tuple[int, int, str, bool] | None:
    """(start, end, op, sure) of the comparison that an amount stands in, None if it is compared with nothing."""
    left, right = text[: match.start()], text[match.end() :]
    for pattern, op in ((_LEFT_LE, "le"), (_LEFT_GE, "ge")):
        if found := pattern.search(left):
            start, end = found.start(), match.end()
            before = text[:start]
            if op == "ge" and _ATTITUDE.search(before):
                return None
            if op == "ge" and (NEGATED.search(before) or _REFUSED.search(right)):
                op = "le"
            elif op == "le" and (
                re.search(r"(?:nothing|not|dont want anything|no \w+) $", before) or _REFUSED.search(right)
            ):
                op = "ge"
            after = _RIGHT_LE.match(right) if op == "le" else None
            return start, end + (after.end() if after else 0), op, False
    for pattern, op in ((_RIGHT_LE, "le"), (_RIGHT_GE, "ge")):
        if found := pattern.match(right):
            refused = _REFUSED.search(right[found.end() :])
            if op == "ge" and _ATTITUDE.search(left):
                return None
            return (
                match.start(),
                match.end() + found.end(),
                ("le" if op == "ge" else "ge") if refused else op,
                op == "le",
            )
    if dimension in ("money", "currency"):
        if found := _LEFT_SPEND.search(left):
            return found.start(), match.end(), "le", True
        if found := re.match(r" ?(?:的)?(?:budget|预算|to spend)|[^.!?;]{0,30}\bthats all (?:i|we|ive)\b", right):
            return match.start(), match.end() + found.end(), "le", True
    if dimension == "time" and not re.match(r" ?(?:ago|later|away|early|late|earlier|前|后|以前|以后|左右)", right):
        if (found := _LEFT_HAVE.search(left)) and not NEGATED.search(left[: found.start()]):
            return found.start(), match.end(), "le", True
        if _MUST_FIT.search(right):
            return match.start(), match.end(), "le", True
    return None


# what a bare number counts if a Chinese word follows that is no comparison: "一百遍"
_COUNTS = re.compile(
    r" ?[一-鿿](?<![以之及内左上到至封打为就够足开往起的块元之])|"
    r" (?!(?:is|was|as|has|its|this|tops|less|plus|yes|us|max|thats|thanks|unless|always|perhaps)\b)[a-z]+s\b"
)
_LEFT_LE = re.compile(rf"(?<![a-z])(?:{_LE}){_FILLED} ?$")
_LEFT_GE = re.compile(rf"(?<![a-z])(?:{_GE}){_FILLED} ?$")
_RIGHT_LE = re.compile(rf" ?(?:long |in length )?(?:{_LE_AFTER})(?![a-z])")
_RIGHT_GE = re.compile(rf" ?(?:long |in length )?(?:{_GE_AFTER})(?![a-z])")
_LEFT_SPEND = re.compile(rf"(?<![a-z])(?:{_SPEND}) ?$")
_LEFT_HAVE = re.compile(rf"(?<![a-z])(?:{_HAVE}) ?$")
