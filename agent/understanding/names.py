"""What a title goes by: without its article or subtitle, by a telling part of it."""

import re
from collections.abc import Iterable

from snowmelt.agent.understanding.text import everyday, is_cjk, key_of, words_named

ARTICLES = words_named("articles")
SMALL = words_named("small")
_PLAIN_HAN = frozenset("我你他她它们的了是不在有人这那个一上下来去到说要会可也就都和与之为着过没好很么里得地吧吗呢")


def variants_of(text: str, shop: bool) -> Iterable[str]:
    """A title as people write it: without its article, subtitle, year, size, or "The" moved to the front."""
    out = [text]
    moved = re.fullmatch(r"(.+), (The|A|An|Le|La|Les|Il|El|Das|Der|Die)(?: \(.*\))?", text)
    if moved:
        out.append(f"{moved[2]} {moved[1]}")
    bare = re.sub(r"\s*[\(\[（].*?[\)\]）]\s*", " ", text).strip()
    out.append(bare)
    if shop:
        out.append(
            re.sub(
                r"[,\s]+(?:(?:set|pack|pair) of \d+|pair|\d+(?:[.,]\d+)?\s?(?:cm|mm|m|l|ml|g|kg|\"|inch|pieces?)?|[SMLX]{1,2}|[AE]\d+)$",  # noqa: E501
                "",
                bare,
                flags=re.IGNORECASE,
            )
        )
    out.append(re.sub(r"[ 　]\d+\S*$", "", bare))
    for head, tail in re.findall(r"^(.{4,}?)[:：] ?(.{4,})$", bare):
        out += [head, tail]
    for number, one in enumerate(out):
        if one in out[:number]:
            continue
        key = key_of(one)
        if key:
            yield key
            if " and " in f" {key} " or "&" in one:  # "Kind Hearts & Coronets": the sign is no word
                yield key_of(one.replace("&", " and ")) if "&" in one else key.replace(" and ", " ")
            first, _, rest = key.partition(" ")
            if first in ARTICLES and rest and (len(rest) > 3 or is_cjk(rest[0])) and number < 3:
                yield rest


def parts_of(text: str) -> Iterable[str]:
    """Runs of a title's words that may stand for it: two with a rare one, a rare word, three Chinese characters."""
    words = key_of(text).split()
    if len(words) < 2 or len(words) > 12:
        return
    for i in range(len(words)):
        for j in range(i + 1, min(len(words), i + 5) + 1):
            run = words[i:j]
            if len(run) == len(words) or run[0] in SMALL or run[-1] in SMALL:
                continue
            if is_cjk(run[0][0]):
                if len(run) >= 3 and all(is_cjk(w[0]) for w in run) and sum(w not in _PLAIN_HAN for w in run) >= 2:
                    yield " ".join(run)
            elif len(run) > 1:
                if sum(len(w) for w in run) > 6 and not all(everyday(w, 9000) or w.isdigit() for w in run):
                    yield " ".join(run)
            elif len(run[0]) > 4 and not everyday(run[0], 25_000) and not run[0].isdigit():
                yield run[0]


def empty(key: str) -> bool:
    """Is a shortened title too little to stand for it ("2010", "the one", "a")?"""
    words = key.split()
    if is_cjk(key[0]):
        return len(words) < 2
    return len(key) < 4 or all(w.isdigit() or w in SMALL or everyday(w, 300) for w in words)
