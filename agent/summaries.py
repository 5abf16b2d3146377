"""A short profile of each item whose description is long: a sentence or two that say what it is.

A model that writes well says it in its own words, and each sentence is checked against the item: names, numbers and
quotations as `phrasing` does, every other word of content by its stem, all of them from two places of the text at most,
and no "not" that is not there or gone. What does not check is dropped. Where nothing is left, or the model is a small
one, sentences of the description stand for it: those nearest in meaning to the whole. So a short profile says nothing
that the item's own text does not say. Small models were tried (docs/results.md): of the embedded one's own sentences
half do not check and some that do are nonsense, and its likelihoods choose no better than taking the first sentence.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from snowmelt.agent.llm import LLM, Message, ModelError
from snowmelt.agent.phrases import CHINESE
from snowmelt.agent.phrasing import fit_to_show
from snowmelt.agent.proof import LIST, certain
from snowmelt.agent.sentences import sentences
from snowmelt.agent.understanding import Vocabulary
from snowmelt.agent.understanding.text import everyday
from snowmelt.prompts import render
from snowmelt.retrieval import tagging
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.items import Item

LONG = 240  # characters of a description that needs a short profile
SHORT, LONGEST, MOST = 25, 220, 2  # characters of a sentence; sentences of a short profile
ROOM = 240  # characters of two sentences together
CHOICE = 12  # sentences that are chosen among: the first ones
READ, TOKENS, DEADLINE = 3000, 90, 30.0  # characters that are read; of the model's answer; seconds for one item
GLUE = 310  # of the most frequent words: they say nothing of an item, but for ...
CLAIMS = frozenset(["new", "first", "only", "most", "all"])
BATCH = 32
_WORD = re.compile(r"[^\W\d_]{3,}")
_NOT = re.compile(r"\b(?:not?|never|without|cannot|nor|neither|none)\b|n['’]t\b|[不没无非未]", re.IGNORECASE)
# What holds a Chinese sentence together; all else must stand in the text.
_GLUE_ZH = re.compile(
    "这|那|是|的|了|着|在|和|与|及|并|也|而|为|以|于|对|从|向|由|被|把|让|使|它|他|她|们|其|之|个|一[个部款本种只件张首位篇场]?|有|可以?|能|会"
    "|关于|讲述|适合|用于|一起|以及|通过|包括|其中|作品|影片|故事|产品"
)


@dataclass(frozen=True)
class Report:
    """Of a run: short profiles `written` by the model and checked, `chosen` from the text, `kept` from before; items
    where the model `failed`; its sentences that were `dropped` as they did not check."""

    written: int
    chosen: int
    kept: int
    failed: int
    dropped: int


def summarise(
    vocabulary: Vocabulary, llm: LLM | None = None, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Makes the short profiles that are missing, and keeps them beside the catalogue (`tagging`).

    One that was made of the same text by the same model stays, so it goes on where it was stopped. A model that fails
    leaves an item to its own sentences, and is counted; the next run asks it again.
    """
    catalogue, writer = vocabulary.catalogue, llm if llm is not None and llm.writes_well else None
    by = writer.name if writer is not None else catalogue.embedder.id
    known, wanted = tagging.stored_summaries(catalogue.dir), _wanted(catalogue)
    todo = [i for i in wanted if known.get(i.id, ("", ""))[:2] != (tagging.digest(i), by)]
    written = failed = dropped = 0
    for at in range(0, len(todo), BATCH):
        items = todo[at : at + BATCH]
        found = {i.id: (tagging.digest(i), by, text) for i, text in zip(items, chosen(catalogue, items), strict=True)}
        for item in items:
            if writer is None:
                break
            mark, _, own = found[item.id]
            try:
                text, lost = written_by(writer, item, vocabulary)
            except ModelError:
                found[item.id], failed = (mark, "", own), failed + 1
                continue
            found[item.id] = mark, by, text or own
            written, dropped = written + bool(text), dropped + lost
        tagging.add_summaries(catalogue.dir, found)
        if progress:
            progress(at + len(items), len(todo))
    return Report(written, len(todo) - written, len(wanted) - len(todo), failed, dropped)


def told(report: Report) -> str:
    """The report in a line."""
    parts = [f"{report.written:,} in the model's words" if report.written else ""]
    parts += [f"{report.chosen:,} of their own sentences"]
    parts += [f"{report.kept:,} kept from before" if report.kept else ""]
    parts += [f"{report.dropped:,} sentences dropped that the text does not bear out" if report.dropped else ""]
    parts += [f"{report.failed:,} without the model" if report.failed else ""]
    return f"short profiles of long texts: {', '.join(filter(None, parts))}"


def written_by(llm: LLM, item: Item, vocabulary: Vocabulary) -> tuple[str, int]:
    """(what the model says of the item and the item bears out, how many of its sentences were dropped)."""
    name = "summary_zh" if CHINESE.search(item.description) else "summary"
    prompt = render(name, title=item.title, description=item.description[:READ])
    answer = llm.complete([Message("user", prompt)], max_tokens=TOKENS, deadline=DEADLINE)
    said = [s for s in map(str.strip, sentences(" ".join(answer.text.split()))) if s]
    said = said if answer.finish == "stop" else said[:-1]  # the last one was cut
    good = [s for s in said if borne_out(s, item, vocabulary)]
    return _joined(good, range(len(good))), len(said) - len(good)


def chosen(catalogue: Catalogue, items: Sequence[Item]) -> list[str]:
    """For each item the one or two sentences of its description nearest to all of it, in the order of the text."""
    among = [candidates(item) for item in items]
    flat = [s for part in among for s in part]
    whole = catalogue.embedder.documents([f"{i.title}. {i.description}" for i in items])
    each = catalogue.embedder.documents(flat) if flat else whole[:0]
    found, at = [], 0
    for part, own in zip(among, whole, strict=True):
        near = each[at : at + len(part)] @ own
        at += len(part)
        found.append(_joined(part, sorted(range(len(part)), key=lambda i: -near[i])))
    return found


def candidates(item: Item) -> list[str]:
    """Sentences of the description that may stand alone: not its title again, no list, not too long."""
    least = SHORT // 3 if CHINESE.search(item.description) else SHORT
    title, found = item.title.casefold().strip(" ."), []
    for sentence in map(str.strip, sentences(item.description[:READ])):
        plain = sentence.casefold().strip(" .")
        again = plain in title or (title in plain and len(plain) < len(title) + SHORT)
        address = "://" in sentence or "www." in sentence
        if least <= len(sentence) <= LONGEST and not (again or address) and not LIST.fullmatch(sentence):
            found.append(sentence)
    return list(dict.fromkeys(found))[:CHOICE]


def borne_out(sentence: str, item: Item, vocabulary: Vocabulary) -> bool:
    """Does the item say so: its title, its description, its own values? A check of words, not of logic: words of the
    text in another order would pass."""
    sure = certain(item)
    values = [v for value in sure.attributes.values() for v in (value if isinstance(value, tuple) else (str(value),))]
    source = [item.title, item.description, *values]
    if not fit_to_show(sentence, vocabulary, [item.id], source):
        return False
    said, places = _stems(sentence), [item.title, *sentences(item.description), ", ".join(values)]
    places.sort(key=lambda place: -len(_stems(place) & said))
    needed = places[:1] if said <= _stems(places[0]) else places[:2]
    if not said or not said <= frozenset().union(*map(_stems, needed)):
        return False
    return bool(_NOT.search(sentence)) == any(map(_NOT.search, needed))


def _stems(text: str) -> frozenset[str]:
    """What a text speaks of: the first five letters of its words, but of those that are in every text; of Chinese each
    character that does not merely hold the sentence together."""
    words = (w.casefold() for w in _WORD.findall(text))
    han = CHINESE.findall(_GLUE_ZH.sub("", text))
    said = (w for w in words if not CHINESE.search(w) and (w in CLAIMS or not everyday(w, GLUE)))
    return frozenset(han) | {w[:5] for w in said}


def _joined(among: Sequence[str], order: Iterable[int]) -> str:
    """The first one or two of `order` that have room together, as they stand in `among`."""
    kept: list[int] = []
    for i in order:
        if len(kept) < MOST and sum(len(among[k]) for k in kept) + len(among[i]) <= ROOM:
            kept.append(i)
    said = [among[i] for i in sorted(kept)]
    return ("" if all(map(CHINESE.search, said)) else " ").join(said)


def _wanted(catalogue: Catalogue) -> list[Item]:
    return [i for i in catalogue.items if len(i.description) >= (LONG // 3 if CHINESE.search(i.description) else LONG)]
