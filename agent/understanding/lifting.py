"""Limits taken back or changed: "forget the budget", "length doesn't matter", "预算加到八十"."""
# ruff: noqa: E501  (a pattern stands on one line, or nobody can read it)

import re
from collections.abc import Sequence

from snowmelt.agent.types import Constraint
from snowmelt.agent.understanding.limits import LIFTS, Limit
from snowmelt.agent.understanding.numerals import Line
from snowmelt.agent.understanding.units import AMOUNT, WORDS, amount_of, columns, measured
from snowmelt.agent.understanding.years import DECADES
from snowmelt.retrieval.items import Schema

_NAMES_ZH = {
    "colours": "颜色",
    "colour": "颜色",
    "materials": "材质|材料",
    "brand": "品牌|牌子",
    "category": "类别|品类|种类",
    "languages": "语言",
    "countries": "国家|地区",
    "genres": "类型",
    "directors": "导演",
    "cast": "演员",
}
_CHANGE = re.compile(
    r"\b(?:make (?:it|that)|change|actually|instead|should (?:be|say|read)|typo|rather|meant|stretch|can (?:go|do|manage|pay|afford)|go up to|go as high as|push it|happy to pay|willing to|fine up to|better|lower it|higher|let ?s (?:say|go)|lets|raise|lower|increase|reduce|up it|bump|extend|mejor|lieber|plutot|meglio)\b|改|换|加到|加|提|可以到|能到|放到|最多能|也行|也可以|涨|提高|提到|降到|降低|放宽|还是|应该是|涨到|减到"
)


_ALSO = r"(?: \w+){0,2} (?:is|are|s|re|would be|will be) (?:also |totally |perfectly |absolutely )?(?:fine|ok|okay|alright|welcome|good|great|allowed|no problem)"
_ALSO_ZH = r"(?:一点|些|的|点)*(?:片子?|电影)?(?:也|都)(?:行|可以|没关系|没问题|无所谓|ok|好|看)"
# words for what a bound kept out, and the bound: "older films are fine too", "贵一点也行"
_LOOSER = tuple(
    (dimension, op, re.compile(rf"\b(?:{words}){_ALSO}|(?:{han}){_ALSO_ZH}|\bdont mind (?:if (?:it|they)(?: is|re|s| are) )?(?:a bit |something )?(?:{words})", re.ASCII))
    for dimension, op, words, han in (
        ("year", "ge", "older|old", "老|旧"), ("year", "le", "newer|new|more recent|recent", "新"),
        ("time", "le", "longer|long", "长"), ("time", "ge", "shorter|short", "短"),
        ("money", "le", "pricier|more expensive|expensive|dearer", "贵"), ("money", "ge", "cheaper|cheap", "便宜"),
        ("mass", "le", "heavier|heavy", "重"), ("mass", "ge", "lighter|light", "轻"),
    )
)  # fmt: skip


def changed(line: Line, constraints: Sequence[Constraint], schema: Schema) -> list[Limit]:
    """A new number for a limit that stands: "actually make it 90 minutes", "预算加到八十"."""
    bounds = [c for c in constraints if c.op in ("le", "ge") and isinstance(c.value, float)]
    if not bounds or not _CHANGE.search(line.text):
        return []
    cols = columns(schema)
    text = measured(line.text)
    for match in reversed(list(re.finditer(AMOUNT.replace("{0}", "a"), text))):
        for c in bounds:
            amount = amount_of(match, "a", schema, cols, c.attribute)
            bare = not (match["unita"] or match["prea"])
            if bare and isinstance(c.value, float) and not 0.2 * c.value <= float(match["na"]) <= 5 * c.value:
                continue  # "换一批" is no new limit
            if amount is not None and amount.column == c.attribute and amount.value != c.value:
                start, end = line.tokens(match.start(), match.end())
                return [Limit(start, end, c.attribute, c.op, amount.value)]
    return []


_WORDS = "|".join(WORDS.values())
_TAKEN_BACK = re.compile(
    rf"\b(?:forget|ignore|drop|scrap|lift|never ?mind|nvm|dont (?:care|worry) about)(?: about)?(?: the| my| that)* (?:{_WORDS})(?: limit| cap| restriction)?\b|(?:不限|忘了|忘掉|取消|别管)(?:那个|这个|的)?(?:{_WORDS})"
)


def takes_back(text: str) -> bool:
    """Does the message take a limit back, whether or not one stands, or the catalogue could have one?"""
    return bool(_TAKEN_BACK.search(text))


def lifted(text: str, constraints: Sequence[Constraint], schema: Schema) -> list[Constraint]:
    """Which of `constraints` the message takes back: "forget the budget", "不限预算", "length doesn't matter"."""
    cols = columns(schema)
    gone = []
    for dimension, column in cols.items():
        w = WORDS[dimension]
        pattern = (
            rf"(?:forget|ignore|drop|scrap|remove|lift|cancel|skip|lose|never ?mind|nvm|dont (?:care|worry|mind) about|no need for|get rid of|no longer care about|"
            rf"dont have a|no|any|whatever|regardless of)(?: \w+){{0,6}}? {w}(?: limit| cap| restriction)?(?! \d)|"
            rf"{w}(?: limit| cap)?(?: \w+)? (?:doesnt|dont|does not|do not|isnt|is not|no longer|is no longer|is not) (?:really |actually )?(?:matter|important|an issue|a problem|limited|count)|"
            rf"{w}(?: \w+){{0,3}} (?:egal|na pas dimportance|n ?est pas important\w*|no importa|non importa|nao importa|importe peu)|(?:egal|peu importe|no importa|non importa)(?: \w+){{0,2}} {w}|"
            rf"{w} (?:is|are) (?:fine|irrelevant|unimportant|no object|no issue|not important)|"
            rf"(?:不限|不管|不用管|不考虑|别管|取消|去掉|忘了|忘掉|不要管|不在乎|不在意|无所谓|没有)(?:这个|那个|什么|了)?{w}|"
            rf"{w}(?:的)?(?:要求|限制)?(?:都|也|就|已经)?(?:不限|无所谓|没关系|不重要|随意|随便|不用管|不管|取消|可以不管|不是问题|没要求|算了|不考虑)"
        )
        if dimension == "year":
            pattern += (
                rf"|{LIFTS.pattern.rstrip('$')}(?:(?:early |late )?(?:\d+ ?s|\d{{4}}|{'|'.join(DECADES)})|\d+年代)"
            )
        if dimension == "stock":
            pattern += r"|(?:(?:doesnt|does not|dont|do not) (?:have|need) to be|neednt be|no need to be) (?:in stock|available)|(?:out of stock|没货|缺货|没现货)(?: \w+){0,2}(?:的)? ?(?:is |are )?(?:fine|ok|okay|too|也行|也可以|都行|都可以|没关系)|不一定要有(?:现)?货"
        if re.search(pattern, text):
            gone += [c for c in constraints if c.attribute == column]
    for name in schema.attributes:
        w = _NAMES_ZH.get(name, "")
        single = re.sub(r"(?:ies)$", "y", " ".join(re.split(r"[\W_]+", name.casefold())))
        single = re.escape(re.sub(r"s$", "", single))
        pattern = (
            rf"\b{single}s?(?: thing| limit)? (?:doesnt|dont|does not|do not|isnt|is not|no longer) (?:really )?(?:matter|important|count)|"
            rf"(?:any|forget(?: about)?|ignore|drop|no matter|dont (?:care|mind) about|whatever)(?: the| my| what| which)* {single}s?(?: thing| limit)?(?: is| are)?(?: fine| ok| okay| will do| works| it is)?"
        ) + (
            rf"|{w}(?:都|也|就)?(?:不限|无所谓|没关系|不重要|随意|随便|不用管|不管|都行|都可以|不要求)|(?:不限|不管|什么|任何){w}(?:都行|都可以|都好|不重要)?"
            if w
            else ""
        )
        if re.search(pattern, text):
            gone += [c for c in constraints if c.attribute == name and c not in gone]
    for dimension, op, pattern in _LOOSER:
        if dimension in cols and pattern.search(text):
            gone += [c for c in constraints if c.attribute == cols[dimension] and c.op == op and c not in gone]
    if re.search(
        r"(?:forget|drop|remove|lift|ignore|clear|cancel) (?:all )?(?:the |my |of my |those )*(?:limits|constraints|restrictions|filters)|(?:取消|去掉|忘掉|清除)(?:所有|全部)?(?:的)?(?:限制|条件)",
        text,
    ):
        gone = list(constraints)
    return gone
