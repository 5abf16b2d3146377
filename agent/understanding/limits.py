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
from snowmelt.agent.understanding.numerals import Line
from snowmelt.retrieval.items import Schema

# dimension -> words in a column's name that say the column is of it
_COLUMNS = {
    "time": "runtime running_time duration length minutes playtime play_time 片长 时长",
    "money": "price cost 价格 售价 价钱",
    "mass": "weight mass 重量",
    "size": "height width depth 高 宽",
    "volume": "capacity volume 容量",
    "year": "year released release published publication date added 年份 日期",
    "age": "age_rating min_age minimum_age age certificate 年龄 分级",
    "stock": "in_stock stock available availability 有货 库存",
}
# words for a dimension in a message (removals, "my budget is")
WORDS = {
    "time": r"(?:running ?time|runtime|run ?time|length|duration|how long (?:it|they) (?:is|are)|time limit|时长|片长|长度|长短|时间)",
    "money": r"(?:budget|price|prices|cost|money|预算|价格|价钱|价位|钱)",
    "mass": r"(?:weight|重量)",
    "size": r"(?:size|height|width)",
    "volume": r"(?:capacity|volume|容量)",
    "year": r"(?:release year|years?|decades?|era|dates?|how old (?:it|they) (?:is|are)|年份|年代|日期)",
    "age": r"(?:age rating|age limit|age|rating|年龄|分级)",
    "stock": r"(?:stock|availability|available|有货|现货|库存)",
}
# unit -> (dimension, factor to minutes, grams, centimetres, millilitres)
_UNITS: tuple[tuple[str, str, float], ...] = (
    (r"个?半小时|个?半钟头", "time", 30.0), (r"minut(?:e|es|en|os|i)?|mins?|分钟|分", "time", 1.0),
    (r"hours?|hrs?|h|stunden?|heures?|horas?|ore|个?小时|个?钟头|个?钟|時間", "time", 60.0), (r"刻钟", "time", 15.0),
    (r"kg|kgs|kilos?|kilograms?|kilogramm|公斤|千克", "mass", 1000.0), (r"grams?|g|克", "mass", 1.0), (r"斤", "mass", 500.0),
    (r"pounds? in weight|lbs?", "mass", 453.6), (r"ounces?|oz", "mass", 28.35),
    (r"centimet(?:re|er)s?|cm|厘米|公分", "size", 1.0), (r"mm|毫米", "size", 0.1), (r"met(?:re|er)s?|m|米", "size", 100.0),
    (r"ml|毫升", "volume", 1.0), (r"lit(?:re|er)s?|l|升", "volume", 1000.0),
    (r"years? old|years? of age|yo|岁", "age", 1.0),
)  # fmt: skip
_CURRENCIES = {
    "EUR": r"€|euros?|eur|欧元|欧", "USD": r"\$|us dollars?|dollars?|usd|美元|美金|刀", "GBP": r"£|pounds?|quid|gbp|英镑",
    "JPY": r"¥|yen|jpy|日元|日圆", "CNY": r"rmb|cny|yuan|人民币", "": r"bucks?|元|块钱?|块",
}  # fmt: skip
_UNIT = "|".join(f"(?:{p})" for p, _, _ in _UNITS)
_MONEY = "|".join(_CURRENCIES.values())
_N = r"(\d+(?:\.\d+)?)"
_AMOUNT = (
    rf"(?:(?P<pre{{0}}>{_MONEY}) ?)?(?P<n{{0}}>\d+(?:\.\d+)?)(?: ?(?P<half{{0}}>个半|and a half|½))?"
    rf"(?: ?(?P<unit{{0}}>{_UNIT}|{_MONEY})(?![a-z])(?P<tail{{0}}>半)?¦*)?(?: ?(?:and )?(?P<more{{0}}>\d+)(?: ?(?:minutes?|mins?|m|分钟|分)(?![a-z])|(?![\d])))?"
)
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
_HEDGE = re.compile(r"(?:preferably|ideally|if possible|would be nice|hopefully|around|about|roughly|approximately|最好|尽量|大概|大约|差不多|左右)")  # fmt: skip
_NEGATED = re.compile(
    r"(?:\bno\b|\bnot\b|\bnothing\b|\b(?:do|does|did|is|are|was|ca|wo|should|must|would|need)nt\b|\bnever\b|without|别|不要|不想)[^,.;，。；]{0,30}$"
)
_ATTITUDE = re.compile(r"(?:hate|dislike|cant stand|sick of)[^,.;，。；]{0,25}$")
_DECADES = {"twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80, "nineties": 90, "noughties": 0, "aughts": 0}  # fmt: skip
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
    r"\b(?:make (?:it|that)|change|actually|instead|should (?:be|say|read)|typo|rather|meant|let ?s (?:say|go)|lets|raise|lower|increase|reduce|up it|bump|extend|mejor|lieber|plutot|meglio)\b|改|换|加到|提高|提到|降到|降低|放宽|还是|应该是|涨到|减到"
)
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]


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


def columns(schema: Schema) -> dict[str, str]:
    """dimension -> the column of it, the first of the schema that fits."""
    found: dict[str, str] = {}
    for dimension, words in _COLUMNS.items():
        kinds = ("boolean",) if dimension == "stock" else ("number", "date") if dimension == "year" else ("number",)
        for word in words.split():
            for name, attribute in schema.attributes.items():
                parts = re.split(r"[\W_]+", name.casefold())
                fits = word in parts or word == name.casefold() or (not word.isascii() and word in name)
                if attribute.kind in kinds and fits:
                    found.setdefault(dimension, name)
    return found


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

    _ages(line.text, cols, add)
    _years(line.text, cols, schema, today, add)
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


def _ages(text: str, cols: dict[str, str], add) -> None:
    column = cols.get("age")
    if column is None:
        return
    n = r"(\d{1,2})"
    patterns = (
        rf"(?:for|with|to)(?: (?:my|a|an|our|the|her|his|kids?|children|child|somebody|someone|son|daughter|niece|nephew|little|aged?|ages|of|who is|who are|two|twins|¤)){{0,5}} {n}(?:(?:,| and|&| to)+ ?(\d{{1,2}}))?(?: |-)?year(?:s|(?: |-)?olds?)(?:(?: |-)?olds?)?",
        rf"(?:suitable|appropriate|ok|okay|fine|good|safe)(?: for)?(?: (?:kids?|children|ages?|aged|a child|of|under))* {n}(?:(?:,| and|&| to)+ ?(\d{{1,2}}))?(?: ?year(?:s|(?: |-)?olds?)(?:(?: |-)?olds?)?)?",
        rf"(?:kids?|children|child|son|daughter|niece|nephew|someone|somebody)(?: who (?:is|are)| of| aged| ages),? {n}(?:(?:,| and|&)+ ?(\d{{1,2}}))?",
        rf"(?:rated|rating|age rating|certificate)(?: of| is| at most| up to| under| no higher than| max)* {n}(?: or (?:lower|under|below|less))?()",
        rf"(?:适合|给|陪|带|和|跟|与|让)[^,.，。]{{0,8}}?{n}岁()?",
        rf"{n}(?:和|、|,)?(\d{{1,2}})?岁(?:的)?(?:以下)?(?:[^,.，。]{{0,6}})(?:能看|可以看|可看|看得|看的|适合|适宜)",
        rf"{n}岁以下()",
        rf"分级(?:在|为|是)?{n}(?:岁)?(?:及|或)?以下()",
        rf"(?:nothing|not|no|dont)[^,.;]{{0,20}}(?:rated|rating|certificate)(?: is| of)? (?:above|over|higher than|more than) {n}()",
        rf"(?:for|with) (?:my|our|a|the|his|her)(?: \w+){{0,2}} {n} ?yo\b()",
        rf"^(?:.*\W)?{n} and (?:under|below|younger)()",
    )
    if re.search(
        r"\b(?:kids?|children|child|niece|nephew|son|daughter|grand\w+)\b|孩子|小孩|小朋友|儿子|女儿|外甥|侄|孙|娃|宝宝",
        text,
    ):
        ages = [float(m) for m in re.findall(r"(\d{1,2})岁", text)]
        ages += [
            float(m)
            for g in re.findall(
                r"(?:kids|children|ones|boys|girls)\W{0,3}(?:aged |are )?(\d{1,2})(?:,? ?(?:and|&) ?(\d{1,2}))?(?! ?(?:film|movie|min))",
                text,
            )
            for m in g
            if m
        ]
        ages += [
            float(m)
            for g in re.findall(r"they(?: a|')?re (\d{1,2})(?:,? (?:and )?(\d{1,2}))?(?:,? and (\d{1,2}))?", text)
            for m in g
            if m
        ]
        watching = re.search(r"\bwatch|\bfilm|\bmovie|\bsee\b|看|适合|一起|片|动画", text)
        told = re.search(r"(?:我|爸|妈|boss|老板)[^,，。]{0,4}\d+岁", text)
        liked = re.search(r"\b(?:loved|liked|loves|likes|hated)\b|喜欢了|迷上", text)
        if ages and watching and not told and not liked:
            match = re.search(
                r"\d{1,2}岁|(?:they(?: a|')?re|(?:kids|children|ones|boys|girls)\W{0,3}(?:aged |are )?) ?\d{1,2}(?:,? (?:and )?\d{1,2})*",
                text,
            )
            if match:
                add(match, column, [("le", min(ages))])
    for pattern in patterns:
        for match in re.finditer(pattern, text):
            youngest = min(float(g) for g in match.groups() if g)
            if youngest <= 99 and not re.search(r"(?:i am|im|我)\s*$", text[: match.start()]):
                add(match, column, [("le", youngest)])


def _years(text: str, cols: dict[str, str], schema: Schema, today: date, add) -> None:
    column = cols.get("year")
    if column is None:
        return
    is_date = schema.attributes[column].kind == "date"

    def low(year: float, month: int = 1) -> float | str:
        return f"{year:04.0f}-{month:02d}-01" if is_date else float(year)

    def high(year: float) -> float | str:
        return f"{year:04.0f}-12-31" if is_date else float(year)

    def bounds(first: float | None, last: float | None) -> list[tuple[str, float | str]]:
        out: list[tuple[str, float | str]] = []
        if first is not None:
            out.append(("ge", low(first)))
        if last is not None:
            out.append(("le", high(last)))
        return out

    year = r"((?:18|19|20)\d\d)"
    decade = r"((?:18|19|20)?\d0) ?(?:s|年代|er|ern|ies)(?![a-z])"
    neg = r"(?:not|nothing|no|dont)[^,.;，。；]{0,20}"

    def of_decade(number: str) -> int:
        value = int(float(number))
        return value if value >= 1000 else (2000 if value < 20 else 1900) + value

    words = {**_DECADES}
    text_decades = rf"(?:{decade}|(?:(nineteen|twenty|19|20)(?: |- ?))?({'|'.join(words)}))"
    for match in re.finditer(r"(\d0)(\d0)年代", text):
        add(match, column, bounds(1900 + int(match[1]), 1909 + int(match[2])))

    def decade_of(match: re.Match[str]) -> int:
        groups = [g for g in match.groups() if g and g not in ("nineteen", "twenty", "19", "20")]
        for g in groups:
            if g[0].isdigit():
                return of_decade(g)
        value = words[groups[-1]]
        return (2000 if value < 20 else 1900) + value

    months = "|".join(_MONTHS)
    if is_date:
        for match in re.finditer(rf"(?:since|after|from|added in) ({months}),? {year}(?: on(?:wards)?)?", text):
            add(match, column, [("ge", low(int(match[2]), _MONTHS.index(match[1]) + 1))])
        for match in re.finditer(rf"{year}年(\d{{1,2}})月(?:份)?(?:以后|之后|以来|起|后)", text):
            add(match, column, [("ge", low(int(match[1]), int(match[2])))])
        for match in re.finditer(rf"before ({months}),? {year}", text):
            add(match, column, [("le", low(int(match[2]), _MONTHS.index(match[1]) + 1))])
    for match in re.finditer(
        rf"(?:between|from|介于)? ?{year}年? ?(?:and|to|-|–|—|~|～|until|till|到|至|和) ?{year}(?:年(?:之间|间)?)?",
        text,
    ):
        add(match, column, bounds(int(match[1]), int(match[2])))
    for match in re.finditer(
        rf"(?:before|pre|prior to|until|up to|older than|no later than|earlier than|not (?:newer|later) than|nothing (?:after|newer than|later than)) (?:the )?{text_decades}(?! ?(?:min|hour|euro))",
        text,
    ):
        d = decade_of(match)
        add(match, column, [("le", high(d - 1))])
    for match in re.finditer(
        rf"(?:after|since|from|newer than|later than) (?:the )?{text_decades} (?:on|onwards?|onward|and later|or later|to (?:now|today))",
        text,
    ):
        add(match, column, bounds(decade_of(match), None))
    for match in re.finditer(
        rf"(?:since|newer than|nothing (?:before|older than)|not before) (?:the )?{text_decades}", text
    ):
        add(match, column, bounds(decade_of(match), None))
    for match in re.finditer(rf"after (?:the )?{text_decades}", text):
        add(match, column, bounds(decade_of(match) + 10, None))
    for match in re.finditer(rf"{text_decades}(?: ?(?:and|or|to|到|至|和|-|、) ?(?:the )?{text_decades})", text):
        numbers = [
            of_decade(g) if g[0].isdigit() else (2000 if words[g] < 20 else 1900) + words[g]
            for g in match.groups()
            if g and g not in ("nineteen", "twenty", "19", "20")
        ]
        add(match, column, bounds(min(numbers), max(numbers) + 9))
    for match in re.finditer(rf"{text_decades}(?:以后|之后|以来)", text):
        add(match, column, bounds(decade_of(match), None))
    for match in re.finditer(rf"{text_decades}(?:以前|之前)", text):
        add(match, column, bounds(None, decade_of(match) - 1))
    for match in re.finditer(rf"(?:(?:from|in|of) )?(?:the )?(?:(early|late) )?{text_decades}(?:的|\b)?", text):
        if match[0].strip() in ("twenties", "thirties", "forties", "fifties", "in my twenties") or re.search(
            rf"(?:my|his|her|their|{neg})\s?$", text[: match.start()]
        ):
            continue
        groups = [g for g in match.groups() if g and g not in ("early", "late", "nineteen", "twenty", "19", "20")]
        d = (
            of_decade(groups[-1])
            if groups[-1][0].isdigit()
            else (2000 if words[groups[-1]] < 20 else 1900) + words[groups[-1]]
        )
        add(match, column, bounds(d, d + 9))
    for match in re.finditer(
        rf"(?:no older than|not older than|nothing older than|nothing before|not before|no earlier than|nothing earlier than|since|starting (?:in|from)|newer than|later than|after|post-?) ?(?:the year )?{year}(?: on(?:wards?)?| or later)?",
        text,
    ):
        add(match, column, bounds(int(match[1]), None))
    for match in re.finditer(
        rf"(?:from )?{year} (?:onwards?|on|or later|or newer|and later|and newer|till now)\b|{year}年?(?:以后|之后|以来|起|后)",
        text,
    ):
        add(match, column, bounds(int(match[1] or match[2]), None))
    for match in re.finditer(
        rf"(?:before|pre-?|prior to|older than|earlier than|until|up to|no later than|nothing (?:after|newer than|later than)|not (?:newer|later) than|no newer than|(?<!不)早于|不晚于) ?{year}年?|{year} or (?:earlier|before|older)|{year}年?(?:以前|之前|前)",
        text,
    ):
        number = int(next(g for g in match.groups() if g))
        turned = _NEGATED.search(text[: match.start()]) and match[0].startswith(("before", "older", "earlier"))
        add(match, column, bounds(number, None) if turned else bounds(None, number))
    for match in re.finditer(rf"(?:(?<!不)晚于|不早于){year}年?", text):
        add(match, column, bounds(int(match[1]), None))
    for match in re.finditer(r"(?:the )?(?:last|past) (\d+) years|(?:最近|近|过去)(\d+)年", text):
        add(match, column, bounds(today.year - int(match[1] or match[2]), None))
    for match in re.finditer(r"\b(?:the )?21(?:st)? (?:st )?century|21世纪", text):
        add(match, column, bounds(2000, None))
    for match in re.finditer(r"\b(?:from |of )?(?:the )?20 th century|20世纪(?!\d)", text):
        add(match, column, bounds(None, 1999))
    for match in re.finditer(r"\bthis year\b|今年", text):
        add(match, column, bounds(today.year, None))
    for match in re.finditer(r"(?:from|released|added|made) last year\b|去年(?:的|上映|出的)", text):
        add(match, column, bounds(today.year - 1, today.year - 1))
    if not is_date:
        for match in re.finditer(
            rf"(?:from|(?:films?|movies?|something|anything|ones?|made|released|shot|out|came out|comedy|drama|thriller|horror|animation) in|of|year) {year}(?! ?(?:minutes|euros))|{year}年(?:的|上映|出品|拍)|\b(?:a|an|any|some) {year} (?=film|movie|book|album|one)",
            text,
        ):
            number = int(next(g for g in match.groups() if g))
            add(match, column, bounds(number, number))


def _amounts(text: str, cols: dict[str, str], schema: Schema, about: str | None, add) -> None:
    first, second = _AMOUNT.replace("{0}", "a"), _AMOUNT.replace("{0}", "b")
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
    text = re.sub(r"\b(an?|one) hour and a half|1 and a half hours?", lambda m: _pad("90 min", m[0]), text)
    text = re.sub(r"(?<!and a )\bhalf an? hour|(?<!and a )\bhalf hour", lambda m: _pad("30 min", m[0]), text)
    text = re.sub(r"\ban hour\b", lambda m: _pad("1 hour", m[0]), text)
    text = re.sub(r"\b(?:a|dun|un|ein) kilo\b", lambda m: _pad("1 kg", m[0]), text)
    text = re.sub(r"\b3 quarters of an hour\b", lambda m: _pad("45 min", m[0]), text)
    text = re.sub(r"(?<![个\d])半(个)?(小时|钟头)", lambda m: _pad("30分", m[0]), text)
    for pattern, kind in patterns:
        for match in re.finditer(pattern, text):
            a = _amount(match, "a", schema, cols, about)
            if kind == "range":
                b = _amount(match, "b", schema, cols, about)
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
                a = _amount(match, "a", schema, cols, b[0], match["unita"] or match["unitb"])
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
            if kind == "ge" and (_NEGATED.search(before) or _ATTITUDE.search(before)):
                if _ATTITUDE.search(before):
                    continue
                op = "le"
            elif kind == "le" and re.search(r"(?:nothing|not|dont want anything|no \w+) $", before):
                op = "ge"
            add(match, attribute, [(op, value)])


def _pad(new: str, old: str) -> str:
    """`new` in the room of `old`, so that character positions stay."""
    return new + "¦" * (len(old) - len(new)) if len(new) <= len(old) else old


def _amount(
    match: re.Match[str], which: str, schema: Schema, cols: dict[str, str], about: str | None, unit: str | None = None
) -> tuple[str | None, float] | None:
    """(column or None where the unit cannot be compared, value in the column's unit); None if it is no limit at all."""
    value = float(match[f"n{which}"])
    unit = unit or match[f"unit{which}"] or match[f"pre{which}"]
    if match[f"half{which}"] or match[f"tail{which}"]:
        value += 0.5
    if unit is None:
        return _bare(value, schema, cols, about)
    for code, pattern in _CURRENCIES.items():
        if re.fullmatch(pattern, unit):
            own = _currency(schema)
            column = cols.get("money")
            if column is None:
                return None
            return (column if not code or own is None or code == own else None), value
    for pattern, dimension, factor in _UNITS:
        if re.fullmatch(pattern, unit):
            value *= factor
            if match[f"more{which}"] and dimension == "time" and factor == 60:
                value += float(match[f"more{which}"])
            column = cols.get(dimension)
            return None if column is None else (column, value / _factor(column, dimension))
    return None


def _factor(column: str, dimension: str) -> float:
    """What one of the column's own unit is in minutes, grams, centimetres, millilitres, by the ending of its name."""
    endings = {
        "time": {"hours": 60.0, "h": 60.0, "seconds": 1 / 60, "s": 1 / 60},
        "mass": {"kg": 1000.0, "lb": 453.6, "oz": 28.35},
        "size": {"mm": 0.1, "m": 100.0},
        "volume": {"l": 1000.0},
    }
    return endings.get(dimension, {}).get(re.split(r"[\W_]+", column.casefold())[-1], 1.0)


def _currency(schema: Schema) -> str | None:
    for name, attribute in schema.attributes.items():
        if "currency" in name.casefold() or "货币" in name:
            return next(iter(attribute.values), None)
    return None


def _bare(value: float, schema: Schema, cols: dict[str, str], about: str | None) -> tuple[str | None, float] | None:
    """A number without a unit: what was asked about, else money, else the one column whose range holds it."""
    if about in schema.attributes and schema.attributes[about].kind == "number":
        return about, value
    if "money" in cols:
        return cols["money"], value
    fits = []
    for name, attribute in schema.attributes.items():
        low, high = attribute.minimum, attribute.maximum
        if (
            name != cols.get("age")
            and attribute.kind == "number"
            and isinstance(low, float)
            and isinstance(high, float)
            and low <= value <= high
        ):
            fits.append(name)
    return (fits[0], value) if len(fits) == 1 else None


def changed(line: Line, constraints: Sequence[Constraint], schema: Schema) -> list[Limit]:
    """A new number for a limit that stands: "actually make it 90 minutes", "预算加到八十"."""
    bounds = [c for c in constraints if c.op in ("le", "ge") and isinstance(c.value, float)]
    if not bounds or not _CHANGE.search(line.text):
        return []
    cols = columns(schema)
    text = re.sub(r"\b(an?|one) hour and a half|1 and a half hours?", lambda m: _pad("90 min", m[0]), line.text)
    text = re.sub(r"\ban hour\b", lambda m: _pad("1 hour", m[0]), text)
    for match in reversed(list(re.finditer(_AMOUNT.replace("{0}", "a"), text))):
        for c in bounds:
            amount = _amount(match, "a", schema, cols, c.attribute)
            if amount is not None and amount[0] == c.attribute and isinstance(c.value, float) and amount[1] != c.value:
                start, end = line.tokens(match.start(), match.end())
                return [Limit(start, end, c.attribute, c.op, amount[1])]
    return []


def lifted(text: str, constraints: Sequence[Constraint], schema: Schema) -> list[Constraint]:
    """Which of `constraints` the message takes back: "forget the budget", "不限预算", "length doesn't matter"."""
    cols = columns(schema)
    gone = []
    for dimension, column in cols.items():
        w = WORDS[dimension]
        pattern = (
            rf"(?:forget|ignore|drop|scrap|remove|lift|cancel|skip|lose|never ?mind|dont (?:care|worry|mind) about|no need for|get rid of|no longer care about|"
            rf"dont have a|no|any|whatever|regardless of)(?: \w+){{0,6}}? {w}(?: limit| cap| restriction)?(?! \d)|"
            rf"{w}(?: limit| cap)?(?: \w+)? (?:doesnt|dont|does not|do not|isnt|is not|no longer|is no longer|is not) (?:really )?(?:matter|important|an issue|a problem|limited|count)|"
            rf"{w} (?:is|are) (?:fine|irrelevant|unimportant|no object|no issue|not important)|"
            rf"(?:不限|不管|不用管|不考虑|别管|取消|去掉|忘了|忘掉|不要管|不在乎|不在意|无所谓|没有)(?:这个|那个|什么|了)?{w}|"
            rf"{w}(?:的)?(?:要求|限制)?(?:都|也|就|已经)?(?:不限|无所谓|没关系|不重要|随意|随便|不用管|不管|取消|可以不管|不是问题|没要求|算了|不考虑)"
        )
        if dimension == "stock":
            pattern += r"|(?:(?:doesnt|does not|dont|do not) (?:have|need) to be|neednt be|no need to be) (?:in stock|available)|(?:out of stock|没货|缺货|没现货)(?: \w+){0,2} ?(?:is |are )?(?:fine|ok|okay|too|也行|也可以|没关系)|不一定要有(?:现)?货"
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
    if re.search(
        r"(?:forget|drop|remove|lift|ignore|clear|cancel) (?:all )?(?:the |my |of my |those )*(?:limits|constraints|restrictions|filters)|(?:取消|去掉|忘掉|清除)(?:所有|全部)?(?:的)?(?:限制|条件)",
        text,
    ):
        gone = list(constraints)
    return gone
