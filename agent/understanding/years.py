"""Years, decades, months and centuries as limits: "from the nineties", "零零年代以前", "since June 2026"."""
# ruff: noqa: E501  (a pattern stands on one line, or nobody can read it)

import re
from collections.abc import Callable
from datetime import date

from snowmelt.agent.understanding.units import NEGATED
from snowmelt.retrieval.items import Schema

DECADES = {"twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80, "nineties": 90, "noughties": 0, "aughts": 0}  # fmt: skip
DECADES |= {"cinquanta": 50, "sessanta": 60, "settanta": 70, "ottanta": 80, "novanta": 90, "cincuenta": 50, "sesenta": 60, "setenta": 70, "ochenta": 80, "noventa": 90, "funfziger": 50, "sechziger": 60, "siebziger": 70, "achtziger": 80, "neunziger": 90}  # fmt: skip
_NOT = re.compile(
    r"(?:\bnothing|\bnot|\bno|\bnever|\bisnt|\barent|\bavoid|\bskip)(?: \w+){0,3} (?:made |released |from |shot )?$",
    re.ASCII,
)
_REFUSED = re.compile(r"(?:不要|不想要?|不看|不想看|别给我|别|除了|拒绝|不考虑)(?:看|推荐|推|那些|任何|是)*$")
_OF_FILMS = re.compile(
    r" (?:\w+ )?(?:films?|movies?|noirs?|comed|thrill|drama|musical|western|classic|style|hollywood|horror|cinema)"
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


def years(text: str, cols: dict[str, str], schema: Schema, today: date, put: Callable[..., None]) -> None:
    column = cols.get("year")
    is_date = column is not None and schema.attributes[column].kind == "date"

    def add(match: re.Match[str], column: str | None, limits: list[tuple[str, float | str]]) -> None:
        put(match, column, limits, "year")

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
    decade = r"((?:18|19|20)?\d0|(?<!\d)0) ?(?:s|年代|년 ?대|er|ern|ies)(?![a-z])"
    neg = r"(?:not|nothing|no|dont|but|except|besides|other than|apart from|avoid|除了|不要)(?: anything| something| films?| movies?| stuff| from| in| the| made)* ?"

    def of_decade(number: str) -> int:
        value = int(float(number))
        return value if value >= 1000 else (2000 if value < 20 else 1900) + value

    words = {**DECADES}
    text_decades = rf"(?:{decade}|(?:(nineteen|twenty|19|20)(?: |- ?))?({'|'.join(words)}))(?: jahren?)?"
    for match in re.finditer(r"\b(?:annees|anos|anni) (?:19)?(\d0)\b(?! ?(?:min|ans))", text):
        add(match, column, bounds(of_decade(match[1]), of_decade(match[1]) + 9))
    text = re.sub(
        r"\b(?:anni|anos) (?=cinq|sess|sett|otta|nova|cinc|sese|sete|oche|nove)", lambda m: " " * len(m[0]), text
    )

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
        rf"(?:(?:after|since|from|newer than|later than) )?(?:the )?{text_decades} (?:on\b(?! the)|onwards?|and later|or later|to (?:now|today))",
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
        if match[0].strip() in ("twenties", "thirties", "forties") and not _OF_FILMS.match(text[match.end() :]):
            continue
        if re.search(rf"(?:my|his|her|their|{neg})\s?$", text[: match.start()]):
            continue
        groups = [g for g in match.groups() if g and g not in ("early", "late", "nineteen", "twenty", "19", "20")]
        d = (
            of_decade(groups[-1])
            if groups[-1][0].isdigit()
            else (2000 if words[groups[-1]] < 20 else 1900) + words[groups[-1]]
        )
        add(match, column, bounds(d, d + 9))
    for match in re.finditer(
        rf"(?<![a-z])(?:no older than|not older than|nothing older than|nothing before|not before|no earlier than|nothing earlier than|nothing (?:pre|from before|older)|since|starting (?:in|from)|newer than|more recent than|later than|after|past|post-?|apres|depuis|despues de|desde|nach|seit|ab|dopo il|dal|a partir de) ?(?:the year )?{year}(?: on(?:wards?)?| or later)?",
        text,
    ):
        later = match[0].startswith(("newer", "more recent", "later", "after", "past", "post"))
        turned = later and _NOT.search(text[: match.start()])
        add(match, column, bounds(None, int(match[1])) if turned else bounds(int(match[1]), None))
    for match in re.finditer(
        rf"(?:from )?{year} (?:onwards?|on|or later|or newer|and later|and newer|till now)\b|{year}年?(?:以后|之后|以来|起|后)",
        text,
    ):
        number, refused = int(match[1] or match[2]), _REFUSED.search(text[: match.start()])
        add(match, column, bounds(None, number) if refused else bounds(number, None))
    for match in re.finditer(
        rf"(?<![a-z])(?:before|pre-?|prior to|older than|earlier than|until|up to|no later than|nothing (?:after|newer than|later than|past)|not (?:newer|later) than|no newer than|davant|avant|vor|antes de|anterior a|prima del|predating|anything (?:before|pre)|(?<!不)早于|不晚于) ?{year}年?|{year} (?:or (?:earlier|before|older)|at (?:the )?(?:very )?latest)|{year}年?(?:以前|之前|前)",
        text,
    ):
        number = int(next(g for g in match.groups() if g))
        turned = NEGATED.search(text[: match.start()]) and match[0].startswith(("before", "older", "earlier"))
        turned = turned or _REFUSED.search(text[: match.start()])
        add(match, column, bounds(number, None) if turned else bounds(None, number))
    for match in re.finditer(rf"(?:(?<!不)晚于|不早于){year}年?", text):
        add(match, column, bounds(int(match[1]), None))
    for match in re.finditer(
        r"(?:the )?(?:last|past|previous) (\d+) (?:or so )?years|(?:最近|近|过去|这|前)(\d+)年(?!代)", text
    ):
        add(match, column, bounds(today.year - int(match[1] or match[2]), None))
    for match in re.finditer(
        r"\b(?:the )?21(?:st)? (?:st )?century|\bthis century\b|21世纪|本世纪|(?<!\d)2000后", text
    ):
        add(match, column, bounds(2000, None))
    for match in re.finditer(
        r"\b(?:from |of )?(?:the )?20 th century|\blast century\b|20世纪(?!\d)|上(?:个)?世纪(?!\d)", text
    ):
        add(match, column, bounds(None, 1999))
    for match in re.finditer(r"\bthis year\b|\bde este ano\b|\bde cette annee\b|\bdieses jahr\b|今年", text):
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
