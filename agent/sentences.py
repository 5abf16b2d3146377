"""Where sentences end: not at an abbreviation, an initial or a decimal.

A rule, not a library: pysbd (MIT, pure Python) knows more abbreviations, but is not maintained any more and is slow; a
sentence left too long is quoted to its first comma, one cut at "Dr." is nonsense. So where a stop may be either, as in
"the U.S. The film", the sentence goes on.
"""

import re

_END = re.compile(r"[.!?…]+[\"”’)\]]*(?=\s|$)|[。！？…]+[”」』）]*")
_TYPED = re.compile(rf"{_END.pattern}|\n+|;(?=\s)|；")
# A stop after these goes on: titles and firms come before more of the name, measures before what is measured.
_SHORT = re.compile(
    r"mrs?|ms|mx|drs?|prof|sts?|mt|ft|sr|jr|gen|col|maj|lt|sgt|capt|cmdr|adm|rev|fr|hon|gov|sen|rep|pres|supt|insp"
    r"|messrs|mme|mlle|eds?|vs?|ca|cf|al|approx|est|dept|assn|bros|inc|ltd|corp|co|oz|lbs?|sq|min|max|avg|incl|excl"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|hr|dipl|ing|bzw"
)
_NUMBERED = re.compile(r"nos?|vols?|pt|ch|fig|pp?|art|sec")  # before a number
_BEFORE = re.compile(r"(?:^|[\s(\[\"“‘'/–—-])((?:[^\W\d_]\.)*[^\W\d_]+)\.$")
_LETTERS = re.compile(r"[^\W\d_](?:\.[^\W\d_])*")  # "J", "U.S", "e.g"


def sentences(text: str, small: bool = False) -> list[str]:
    """The sentences of `text`, each with the space before it; joined they are the text. `small`: as people type, one
    may begin with a small letter, or on a new line."""
    found, start = [], 0
    for end in (_TYPED if small else _END).finditer(text):
        if end.start() >= start and not _goes_on(text[: end.end()], text[end.end() :].lstrip(), small):
            found.append(text[start : end.end()])
            start = end.end()
    return [*found, text[start:]] if text[start:] else found


def _goes_on(before: str, after: str, small: bool) -> bool:
    """Does the sentence go on after a full stop? Where the next word is small, or the stop is an abbreviation's."""
    word = _BEFORE.search(before)
    if not after or not before.endswith("."):
        return False
    if after[:1].islower() and not small:
        return True
    if word is None:
        return False
    said = word[1].casefold()
    if _NUMBERED.fullmatch(said):
        return after[:1].isdigit()
    return bool(_SHORT.fullmatch(said)) or (_LETTERS.fullmatch(word[1]) is not None and said != "i")
