"""Amounts: a number with its unit, and the column of the catalogue that it is about."""
# ruff: noqa: E501  (a pattern stands on one line, or nobody can read it)

import re
from dataclasses import dataclass

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
    "time": r"(?:running ?time|runtime|run ?time|length|duration|how long (?:it|they) (?:is|are)|time limit|时长|片长|长度|长短|时间|lange|dauer|laufzeit|duree|duracion|durata|duracao)",
    "money": r"(?:budget|price|prices|cost|money|预算|价格|价钱|价位|钱|preis|prix|precio|presupuesto|prezzo|preco)",
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
    (r"hours?|hrs?|h|stunden?|heures?|horas?|ore|个?小时|个?钟头|个?钟|时间|時間", "time", 60.0), (r"刻钟", "time", 15.0),
    (r"kg|kgs|kilos?|kilograms?|kilogramm|公斤|千克", "mass", 1000.0), (r"grams?|g|克", "mass", 1.0), (r"斤", "mass", 500.0),
    (r"pounds? in weight|lbs?", "mass", 453.6), (r"ounces?|oz", "mass", 28.35),
    (r"centimet(?:re|er)s?|cm|厘米|公分", "size", 1.0), (r"mm|毫米", "size", 0.1), (r"met(?:re|er)s?|m|米", "size", 100.0),
    (r"ml|毫升", "volume", 1.0), (r"lit(?:re|er)s?|l|升", "volume", 1000.0),
    (r"years? old|years? of age|yo|岁", "age", 1.0),
)  # fmt: skip
_CURRENCIES = {
    "EUR": r"€|euros?|eur|欧元|欧", "USD": r"\$|us dollars?|dollars?|usd|(?:元|块钱?)?(?:美元|美金)|刀", "GBP": r"£|pounds?|quid|gbp|英镑",
    "JPY": r"¥|yen|jpy|日元|日圆", "CNY": r"rmb|cny|yuan|(?:元|块钱?)?人民币", "": r"bucks?|元|块钱?|块",
}  # fmt: skip
_UNIT = "|".join(f"(?:{p})" for p, _, _ in _UNITS)
_MONEY = "|".join(_CURRENCIES.values())
AMOUNT = (
    rf"(?:(?P<pre{{0}}>{_MONEY}) ?)?(?P<n{{0}}>\d+(?:\.\d+)?)(?: ?(?P<half{{0}}>个半|and a half|½))?"
    rf"(?: ?(?P<unit{{0}}>{_UNIT}|{_MONEY})(?![a-z])(?P<tail{{0}}>半)?¦*)?(?: ?(?:and )?(?P<more{{0}}>\d+)(?: ?(?:minutes?|mins?|m|分钟|分)(?![a-z])|(?![\d])))?"
)
NEGATED = re.compile(
    r"(?:\bno\b|\bnot\b|\bnothing\b|\b(?:do|does|did|is|are|was|ca|wo|should|must|would|need)nt\b|\bnever\b|without|别|不要|不想)[^,.;，。；]{0,30}$"
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


def pad(new: str, old: str) -> str:
    """`new` in the room of `old`, so that character positions stay."""
    return new + "¦" * (len(old) - len(new)) if len(new) <= len(old) else old


@dataclass(frozen=True)
class Amount:
    """A number in the column's own unit. `column` None: the catalogue has none for `dimension`, or not that currency."""

    column: str | None
    value: float
    dimension: str


def amount_of(
    match: re.Match[str], which: str, schema: Schema, cols: dict[str, str], about: str | None, unit: str | None = None
) -> Amount | None:
    """What the groups `which` of a match of AMOUNT say; None if it cannot be told what the number counts."""
    value = float(match[f"n{which}"])
    before = match[f"pre{which}"]
    unit = unit or match[f"unit{which}"] or before
    if before and unit and re.fullmatch(_CURRENCIES[""], unit):
        unit = before  # "人民币200元"
    if match[f"half{which}"] or match[f"tail{which}"]:
        value += 0.5
    if unit is None:
        column = _bare(value, schema, cols, about)
        return None if column is None else Amount(column, value, _dimension(column, cols))
    for code, pattern in _CURRENCIES.items():
        if re.fullmatch(pattern, unit):
            own, column = _currency(schema), cols.get("money")
            if column is None:
                return Amount(None, value, "money")
            same = not code or own is None or code == own
            return Amount(column, value, "money") if same else Amount(None, value, "currency")
    for pattern, dimension, factor in _UNITS:
        if re.fullmatch(pattern, unit):
            value *= factor
            if match[f"more{which}"] and dimension == "time" and factor == 60:
                value += float(match[f"more{which}"])
            column = cols.get(dimension)
            return Amount(column, value if column is None else value / _factor(column, dimension), dimension)
    return None


def _dimension(column: str, cols: dict[str, str]) -> str:
    return next((d for d, c in cols.items() if c == column), "number")


def measured(text: str) -> str:
    """Lengths and weights that are no number and unit, as such: "an hour and a half", "half a kilo", "半小时"."""
    for pattern, new in _SPELT:
        text = pattern.sub(lambda m, new=new: pad(new, m[0]), text)
    return text


_SPELT = tuple(
    (re.compile(p, re.ASCII), new)
    for p, new in (
        (r"(?<=[时头钟])(?:零|又)?1刻钟?", "15"),
        (r"(?<=[时头钟])(?:零|又)?3刻钟?", "45"),
        (r"(?:\b(?:an?|one) |1 )hour and a half|1 and a half hours?|(?<!\d )\bhour and a half", "90 min"),
        (r"(?<!and a )\bhalf an? hour|(?<!and a )\bhalf hour|demi heure|halbe stunde|media hora|mezz ?ora", "30 min"),
        (r"(?:\b(?:an?|one) |\b1 )hour and 3 quarters", "105 min"),
        (r"(?:\b(?:an?|one) |\b1 )hour and (?:a|one|1) quarter", "75 min"),
        (r"\b2 hours and (?:a|one|1) quarter", "135 min"),
        (r"\b2 hours and 3 quarters", "165 min"),
        (r"\b3 quarters of an hour|dreiviertelstunde", "45 min"),
        (r"\b(?:an|a|une|eine|una|un) (?:hour|heure|stunde|hora|ora)\b", "1 h"),
        (r"\b(?:a )?couple (?:of )?hours", "2 h"),
        (r"\bhalf a (?:kilo|kg|kilogram)\b|\bmedio kilo\b|半(?:公斤|千克|个?公斤)", "500g"),
        (r"\b(?:a|dun|un|ein|une) (?:kilo|kg)\b", "1 kg"),
        (r"\bhalf a (?:litre|liter|l)\b|半升", "0.5l"),
        (r"(?<![个\d])半个?(?:小时|钟头)", "30分"),
    )
)


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


def _bare(value: float, schema: Schema, cols: dict[str, str], about: str | None) -> str | None:
    """A number without a unit: what was asked about, else money, else the one column whose range holds it."""
    if about in schema.attributes and schema.attributes[about].kind == "number":
        return about
    if "money" in cols:
        return cols["money"]
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
    return fits[0] if len(fits) == 1 else None
