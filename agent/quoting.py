"""Sentences of a description that are near to what a person likes: what a reason can quote."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.phrases import CHINESE
from snowmelt.agent.proof import LIST
from snowmelt.agent.sentences import sentences
from snowmelt.agent.types import Entry, Profile
from snowmelt.agent.understanding.text import everyday
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.embedding import Embedder
from snowmelt.retrieval.items import Item

SENTENCES = 160  # of the items together that are compared with what the person said (600 a second with the default)
KEPT = 5000  # sentences whose vectors are kept for the next list (10 MB with the default embedder)
NEAR = 2.0  # deviations by which a sentence is nearer to a like than items are: a good quotation. Half: a poor one
_SHORT, _LONG = 15, 200  # characters of a sentence worth quoting


@dataclass(frozen=True)
class Quote:
    """The sentence of an item that is nearest to a like. `nearness`: how much nearer than items are, 1 being clearly;
    `close`: may it be said to be about that? Without, it is a sentence of the item and no more."""

    sentence: str
    like: Entry
    nearness: float
    close: bool


def quotes(catalogue: Catalogue, items: Sequence[Item], profile: Profile) -> list[list[Quote]]:
    """For each item one quotation for each like that says something; none for items without a sentence."""
    most = max(2, min(8, SENTENCES // max(len(items), 1)))
    quotable = [_sentences(item)[:most] for item in items]
    flat = [s for part in quotable for s in part]
    likes = list(
        {e.item_id or e.evidence or e.text: e for e in profile.likes if _says_something(e, catalogue)}.values()
    )
    if not flat or not likes:
        return [[] for _ in items]
    texts = [e.evidence or e.text for e in likes if not e.item_id]
    said = iter(catalogue.embedder.queries(texts)) if texts else iter(())
    targets = np.array([catalogue.vectors[catalogue.rows[e.item_id]] if e.item_id else next(said) for e in likes])
    near = _vectors(catalogue.embedder, flat) @ targets.T  # [sentences, likes]
    usual = catalogue.vectors[:: max(1, len(catalogue.items) // 500)] @ targets.T
    above: NDArray[np.float64] = (near - usual.mean(0)) / np.maximum(usual.std(0), 1e-6) / NEAR
    found, at = [], 0
    for part in quotable:
        mine = []
        for j, like in enumerate(likes if part else ()):
            best = int(above[at : at + len(part), j].argmax())
            nearness = float(above[at + best, j])
            close = nearness >= 1 or (not like.item_id and _share_a_word(like.evidence or like.text, part[best]))
            mine.append(Quote(part[best], like, nearness, close))
        found.append(mine)
        at += len(part)
    return found


_known: dict[tuple[str, str], NDArray[np.float32]] = {}


def _vectors(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """[texts, dim]. The same few items are recommended to many: their sentences are embedded once."""
    found = {text: _known.get((embedder.id, text)) for text in texts}
    missing = [text for text, vector in found.items() if vector is None]
    if missing:
        found |= zip(missing, embedder.documents(missing), strict=True)
        if len(_known) > KEPT:
            _known.clear()
        _known.update({(embedder.id, text): vector for text in missing if (vector := found[text]) is not None})
    return np.array([found[text] for text in texts])


def _says_something(entry: Entry, catalogue: Catalogue) -> bool:
    """Is there something to compare a sentence with? Of a known value ("something warm") the fact says more."""
    return entry.item_id in catalogue.rows if entry.item_id else not entry.attribute


def _share_a_word(said: str, sentence: str) -> bool:
    """A word of four letters or more by its first five ("friendship" and "friends" agree), or two Chinese characters
    together."""
    theirs = set(stems(sentence))
    return any(stem in theirs for stem in stems(said))


def stems(text: str) -> list[str]:
    """What words are compared by: five letters, two Chinese characters; no everyday words."""
    han = [text[i : i + 2] for i in range(len(text) - 1) if len(CHINESE.findall(text[i : i + 2])) == 2]
    return han + [w[:5] for w in re.findall(r"[^\W\d_]{4,}", text.casefold()) if not everyday(w, 2500)]


def _sentences(item: Item) -> list[str]:
    """Sentences of the description that are worth quoting, each an exact span of it; long ones end at a comma."""
    found = []
    for whole in map(str.strip, sentences(item.description)):
        text = whole
        if len(text) > _LONG:
            end = max(text.rfind(mark, _SHORT, _LONG) for mark in (", ", "; ", ": ", "，", "；"))
            text = text[: end if end > 0 else max(text.rfind(" ", _SHORT, _LONG), 0)].strip()
        least = _SHORT // 3 if CHINESE.search(text) else _SHORT
        told = text.rstrip(".").casefold()
        if least <= len(text) and told not in item.title.casefold() and not LIST.fullmatch(whole):
            found.append(text)
    return found
