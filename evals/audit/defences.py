"""What the cleaning of texts takes from honest items: words that a browser would show and the catalogue has not."""

import re
from html.parser import HTMLParser
from typing import Any

from snowmelt.evals.audit.figures import Figure, figure
from snowmelt.evals.audit.subject import Subject
from snowmelt.retrieval.items import LONGEST, clean

_WORDS = re.compile(r"[^\W_]+")


class _Visible(HTMLParser):
    """Text outside of tags, comments, scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.inside = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.inside += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.inside -= tag in ("script", "style") and self.inside > 0

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.parts.append(data)


def lost_words(text: str) -> int:
    """Words of `text` that a browser shows and `clean` does not keep."""
    parser = _Visible()
    parser.feed(text)
    parser.close()
    return len(set(_WORDS.findall(" ".join(parser.parts))) - set(_WORDS.findall(clean(text))))


def false_positives(subject: Subject) -> tuple[list[dict[str, Any]], Figure]:
    """(a row, the share of untouched items of which a visible word of title or description was taken)."""
    texts = [f"{r.get('title') or ''} {r.get('description') or ''}"[:LONGEST] for r in subject.data.records]
    hurt = [float(bool("<" in t or "&" in t or not t.isascii()) and lost_words(t) > 0) for t in texts]
    told = figure(hurt, subject.seed)
    what = "cleaning of texts (markup, invisible characters)"
    row = {"defence": what, "items": len(texts), "items that lose words": told}
    return [row], told
