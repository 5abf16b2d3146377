"""How old somebody is who watches: "with my kids, 7 and 9", "for my niece who's five", "适合六岁孩子看的"."""
# ruff: noqa: E501  (a pattern stands on one line, or nobody can read it)

import re
from collections.abc import Callable

_CHILD = (
    r"(?:kids?|children|child|sis|bro|sisters?|brothers?|niece|nephew|sons?|daughters?|grand\w+|toddlers?|little ones?|twins|girls?|boys?|cousins?|"
    r"youngest|oldest|eldest|youngster|godson|goddaughter|lad|lass|hija|hijo|fille|fils|tochter|sohn|figlia|figlio|"
    r"kinder|enfants|bambini|ninos)"
)
_CHILD_ZH = r"(?:孩子|小孩|小朋友|儿子|女儿|外甥女|外甥|侄|孙|娃|宝宝|闺女|老大|老二|双胞胎|弟弟|妹妹|儿童|最小的|大的|小的|姑娘)"
# One age or several; not a count of children ("two girls"), of films, of minutes or of money.
_UNIT = (
    rf"(?! ?(?:(?:\w+ )?{_CHILD}\b|of (?:them|us)|films?|movies?|min|hours?\b|h\b|hrs|euro|bucks|dollar|pound|€|\$|£|time|"
    r"o ?clock|pm\b|am\b|:|\.\d|th\b|st\b|nd\b|rd\b|more|people|days|weeks|months|hundred|分|小时|个|块|元|点|部|本|年|月|天|次|遍|只|条))"
)
_ONE = r"(?<![\d.])\d{1,2}(?![\d.]*\d)"
_SEVERAL = rf"{_ONE}(?: ?(?:,|and|&|or|to|-|和|、|跟|y|und|et|e) ?{_ONE})*"
_OLD = r"(?:(?: |-)?years?(?: |-)?(?:olds?|of age)|(?: |-)?yo\b|(?: |-)?yr?s?(?: |-)?olds?|岁)"
_IS = r"(?:(?:,|\(| |is|are|was|whos?|who is|who are|s|re|aged?|ages|of|turned|turns|turning|just|only|nearly|almost|about|now|才|今年|都|刚|刚满|是|有|:) ?)*"
_BOUND = r"(?: ?(?:is|of|at|up|to|most|max|no|not|higher|above|over|than|under|below|more|for|:))*"
_RATED = re.compile(
    rf"(?:\b(?:rated|rating|age rating|certificate|certified|classification)|分级){_BOUND}(?:在|为|是|到|不超过|不高于|低于)? ?(?P<n>{_ONE})(?:岁)?(?:及|或)?(?:以下)?(?: or (?:lower|under|below|less))?|"
    rf"(?<![\d.])(?P<m>\d{{1,2}}) ?\+? (?:certificate|rating|rated)(?: or (?:lower|under|below|less))?|"
    rf"(?<![\d.])(?P<y>\d{{1,2}}) (?:and|or) (?:under|below|younger)(?! ?(?:min|hour|euro))|(?P<z>{_ONE})岁(?:及)?以下"
)
_SUITS = re.compile(
    rf"\b(?:suitable|appropriate|ok|okay|fine|good|safe|right|suits?)(?: for)?(?: (?:kids?|children|ages?|aged|a child|an?|of|under|somebody|someone))* (?P<n>{_SEVERAL})(?:{_OLD}|(?: |-)?years?)?{_UNIT}|"
    rf"(?:适合|给|陪|带|和|跟|与|让)[^,.，。]{{0,8}}?(?P<z>{_ONE})岁|"
    rf"\b(?:for|with) (?:someone|somebody|an?|my|our)(?: who (?:is|are)| of| aged| ages|,)* ?(?P<m>{_SEVERAL})(?:{_OLD}|$|(?= ?[,.;!?]))"
)
# an age, where a child is spoken of: with its unit, after the child, or after a pronoun for one
_AGE = re.compile(
    rf"(?P<n>{_SEVERAL}){_OLD}|"
    rf"(?:\b{_CHILD}|{_CHILD_ZH}){_IS}(?P<m>{_SEVERAL}){_UNIT}(?:{_OLD})?|"
    rf"\b(?:they|he|she|theyre|hes|shes|one|other|mine|aged?|ages|turn(?:ed|ing|s)?|whos?){_IS}(?P<y>{_SEVERAL}){_UNIT}(?:{_OLD})?|"
    rf"(?P<z>{_ONE})(?: ?(?:anos|ans|jahre|anni))"
)
_SPOKEN_OF = re.compile(
    rf"\b{_CHILD}\b|{_CHILD_ZH}|小学|one of them|\b(?:my|our|a|an) \d{{1,2}}(?: |-)*year|\d{{1,2}}(?: |-)year(?: |-)olds",
    re.ASCII,
)
_WATCHES = re.compile(
    r"\b(?:for|with|w|watch\w*|together|both|suitable|suit|something|anything|film|movie|see|need|we|show|join\w*|para|pour|fur|mit|avec|con)\b|看|适合|一起|片|动画|陪|给|带",
    re.ASCII,
)
_OTHERWISE = re.compile(
    r"\b(?:loved|liked|hated|obsessed)\b|\b(?:im|i am|i was|my (?:dad|mum|mom|wife|husband|boss|partner|flat|house))(?: is)? \d|喜欢了|迷上|(?:我|爸|妈|老板|岁数)[^,，。]{0,4}\d+岁",
    re.ASCII,
)
ADULT = 17  # nobody older is spoken of as a child


def ages(text: str, cols: dict[str, str], put: Callable[..., None]) -> None:
    """Every age limit in a folded line with digits is given to `put(match, column, bounds, "age")`; of several
    children the youngest counts (rule 8 of tests/data/UTTERANCES.md)."""
    column = cols.get("age")
    found = [*_RATED.finditer(text), *_SUITS.finditer(text)]
    if not found and _SPOKEN_OF.search(text) and _WATCHES.search(text) and not _OTHERWISE.search(text):
        found = [m for m in _AGE.finditer(text) if _youngest(m) <= ADULT]
        found = sorted(found, key=_youngest)[:1]
    for match in found:
        if not re.search(r"\b(?:i am|im)\s*$|我\s*$", text[: match.start()]):
            put(match, column, [("le", _youngest(match))], "age")


def _youngest(match: re.Match[str]) -> float:
    said = next(g for g in match.groups() if g)
    return min(float(n) for n in re.findall(r"\d+", said))
