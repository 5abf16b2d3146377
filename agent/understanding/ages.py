"""How old somebody is who watches: "with my kids, 7 and 9", "for my niece who's five", "适合六岁孩子看的"."""
# ruff: noqa: E501  (a pattern stands on one line, or nobody can read it)

import re
from collections.abc import Callable

_CHILD = r"kids?|children|child|niece|nephew|sons?|daughters?|grand\w+|toddlers?|little ones?|little one|twins|girls?|boys?|youngest|oldest|eldest|godson|goddaughter|hija|hijo|fille|fils|tochter|sohn|figlia|figlio|kinder|enfants|bambini|ninos"
_CHILD_ZH = r"孩子|小孩|小朋友|儿子|女儿|外甥|侄|孙|娃|宝宝|闺女|老大|老二|双胞胎|小学|弟弟|妹妹|外甥女"
_N = r"(\d{1,2})"
# said of whom it must suit, with no word for a child needed
_OUTRIGHT = (
    rf"(?:for|with|to)(?: (?:my|a|an|our|the|her|his|kids?|children|child|somebody|someone|son|daughter|niece|nephew|little|aged?|ages|of|who is|who are|two|twins|¤)){{0,5}} {_N}(?:(?:,| and|&| to)+ ?(\d{{1,2}}))?(?: |-)?year(?:s|(?: |-)?olds?)(?:(?: |-)?olds?)?",
    rf"(?:suitable|appropriate|ok|okay|fine|good|safe)(?: for)?(?: (?:kids?|children|ages?|aged|a child|of|under))* {_N}(?:(?:,| and|&| to)+ ?(\d{{1,2}}))?(?: ?year(?:s|(?: |-)?olds?)(?:(?: |-)?olds?)?)?(?! ?(?:min|hour|h\b|euro))",
    rf"(?:someone|somebody)(?: who (?:is|are)| of| aged| ages),? {_N}()",
    rf"(?:rated|rating|age rating|certificate)(?: of| is| at most| up to| under| no higher than| max)* {_N}(?: or (?:lower|under|below|less))?()",
    rf"{_N} ?\+? (?:certificate|rating|rated)(?: or (?:lower|under|below|less))?()",
    rf"(?:nothing|not|no|dont)[^,.;]{{0,20}}(?:rated|rating|certificate)(?: is| of)? (?:above|over|higher than|more than) {_N}()",
    rf"(?<![\d]){_N} (?:and|or) (?:under|below|younger)()(?! ?(?:min|hour|euro))",
    rf"(?:适合|给|陪|带|和|跟|与|让)[^,.，。]{{0,8}}?{_N}岁()?",
    rf"{_N}(?:和|、|,)?(\d{{1,2}})?岁(?:的)?(?:以下)?(?:[^,.，。]{{0,6}})(?:能看|可以看|可看|看得|看的|适合|适宜)",
    rf"{_N}岁(?:及)?以下()",
    rf"分级(?:在|为|是)?{_N}(?:岁)?(?:及|或)?以下()",
)
# an age, where a child is spoken of
_AGE = re.compile(
    r"(?:(?:my|our|aged?|ages|turn(?:ed|ing|s)|whos|who is|who are|who just turned|is|are|s|hes|shes|theyre|they re|re|only|nearly|almost|just|even|and|or|de|of|kids|children|ones|boys|girls|twins|mine|two|daughter|son|niece|nephew|grandson|granddaughter|\(|,|¤) ?)(?P<n>\d{1,2})(?! ?(?:film|movie|min|hour|h\b|hrs|euro|bucks|dollar|pound|€|\$|£|year(?!s?[ ,-]*old)|time|of|o ?clock|pm|am|:|\.|th\b|st\b|nd\b|rd\b|more|people|分|小时|块|元|点|个|部|本|年(?!级)))(?:[ ,-]*years?[ ,-]*olds?|yo| anos| ans| jahre| anni)?"
    r"|(?P<z>\d{1,2})(?:和|、|跟|,)?(?P<y>\d{1,2})?岁"
)
_WITH = re.compile(
    r"\b(?:for|with|watch\w*|together|both|suitable|suit|something|anything|film|movie|see|need|we|para|pour|fur|mit|avec|con)\b|看|适合|一起|片|动画|陪|给|带",
    re.ASCII,
)


def ages(text: str, cols: dict[str, str], put: Callable[..., None]) -> None:
    column = cols.get("age")
    for pattern in _OUTRIGHT:
        for match in re.finditer(pattern, text):
            youngest = min(float(g) for g in match.groups() if g)
            if youngest <= 99 and not re.search(r"(?:i am|im|我)\s*$", text[: match.start()]):
                put(match, column, [("le", youngest)], "age")
    child = re.search(
        rf"\b(?:{_CHILD})\b|{_CHILD_ZH}|one of them|them(?: a|')?s\b|\b(?:my|our) \d{{1,2}}(?: |-|,)*year",
        text,
        re.ASCII,
    )
    told = re.search(r"(?:我|爸|妈|boss|老板|岁数)[^,，。]{0,4}\d+岁", text)
    liked = re.search(r"\b(?:loved|liked|hated)\b|喜欢了|迷上", text)
    grown = re.search(r"\b(?:im|i am|my (?:dad|mum|mom|wife|husband|boss))(?: is)? \d", text)
    if not child or not _WITH.search(text) or told or liked or grown:
        return
    found = [m for m in _AGE.finditer(text) if 0 < float(m["n"] or m["z"]) <= 17]
    if found:
        youngest = min(float(g) for m in found for g in (m["n"], m["z"], m["y"]) if g)
        put(found[0], column, [("le", youngest)], "age")
