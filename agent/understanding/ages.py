"""How old somebody is who watches: "with my kids, 7 and 9", "适合六岁孩子看的"."""
# ruff: noqa: E501  (a pattern stands on one line, or nobody can read it)

import re


def ages(text: str, cols: dict[str, str], add) -> None:
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
