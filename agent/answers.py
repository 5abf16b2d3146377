"""Answers about the list: why it is what it is, what its items are, and what to give up when nothing fits."""

import re
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from snowmelt.agent.phrases import Language, said_in
from snowmelt.agent.proof import certain
from snowmelt.agent.types import Constraint, Conversation, Profile
from snowmelt.agent.understanding.pointing import pointed
from snowmelt.agent.understanding.text import tokenise
from snowmelt.agent.understanding.words import words_of
from snowmelt.agent.wording import column_words, limit_words, profile_words, say, title_of
from snowmelt.retrieval.catalogue import Catalogue

if TYPE_CHECKING:
    from snowmelt.agent.recommender import Recommender


def nothing_fits(catalogue: Catalogue, profile: Profile, language: str) -> str:
    """Says that no item meets all limits, which limit costs most, and the smallest step that would give a list."""
    limits = profile.constraints
    seen = np.zeros(len(catalogue.ids), bool)
    for id_ in {*profile.seen, *profile.liked_ids, *profile.disliked_ids}:
        if id_ in catalogue.rows:
            seen[catalogue.rows[id_]] = True
    if not limits or (catalogue.mask(limits) & seen).any():
        left = catalogue.mask(limits) if limits else np.ones(len(seen), bool)
        return say("none_left", language, count=int((left & seen).sum()))
    without = [(int((catalogue.mask([x for x in limits if x != c]) & ~seen).sum()), c) for c in limits]
    count, worst = max(without, key=lambda w: w[0])
    if count:
        nearest = _nearest(catalogue, limits, [c for n, c in without if n], seen, language)
        return say("none_relax", language, limit=limit_words(worst, language), count=count, nearest=nearest)
    best: tuple[int, Constraint, Constraint] | None = None
    for a, b in combinations(limits, 2):
        n = int((catalogue.mask([x for x in limits if x not in (a, b)]) & ~seen).sum())
        if n and (best is None or n > best[0]):
            best = (n, a, b)
    if best is None:
        return say("none", language)
    return say(
        "none_pair",
        language,
        first=limit_words(best[1], language),
        second=limit_words(best[2], language),
        count=best[0],
    )


def _nearest(catalogue: Catalogue, limits: tuple[Constraint, ...], open_: list[Constraint], seen, language: str) -> str:
    """The smallest change, relative to the column's range, that lets an item through; values can only be dropped."""
    steps: list[tuple[float, str]] = []
    for c in open_:
        rows = np.flatnonzero(catalogue.mask([x for x in limits if x != c]) & ~seen)
        attribute = catalogue.schema.attributes[c.attribute]
        if c.op in ("le", "ge") and isinstance(c.value, float):
            values = [v for r in rows if isinstance(v := catalogue.items[int(r)].attributes.get(c.attribute), float)]
            if values:
                best = min(values) if c.op == "le" else max(values)
                spread = float(attribute.maximum or 0) - float(attribute.minimum or 0) or 1.0
                steps.append(
                    (
                        abs(best - c.value) / spread,
                        say("relax_range", language, limit=limit_words(c, language), value=f"{best:g}"),
                    )
                )
                continue
        steps.append((1.0 + len(rows) / len(seen), say("relax_drop", language, limit=limit_words(c, language))))
    return min(steps)[1]


def why(r: "Recommender", now: Conversation, about: tuple[str, ...], language: str) -> str:
    """The reasons of the items asked about, else of the whole list, with what counted in words."""
    if not now.shown:
        return say("no_list", language)
    ids = about or now.shown
    profile = now.in_force
    words = profile_words(profile, r.catalogue, language)
    lines = (
        []
        if about
        else [
            say("why_list", language, what=(", " if language == "en" else "、").join(words))
            if words
            else say("why_nothing", language)
        ]
    )
    # liked and disliked ones of the list were taken out of later lists; here they are asked about all the same
    open_profile = profile.model_copy(
        update={"seen": (), "likes": tuple(e for e in profile.likes if e.item_id not in ids), "dislikes": ()}
    )
    ranked = {x.item.id: x for x in r.ranked(open_profile, min(len(r.catalogue.ids), 200))[0]}
    for id_ in ids:
        if id_ not in r.catalogue.rows:
            continue
        title, found = title_of(r.catalogue.items[r.catalogue.rows[id_]], language), ranked.get(id_)
        if found is not None and found.reason:
            lines.append(say("why_item", language, title=title, reasons=found.reason))
        else:
            lines.append(say("why_item_bare", language, title=title))
        if about and found is not None and found.signals:
            strongest = sorted(found.signals.items(), key=lambda s: -s[1])[:3]
            told = ", ".join(f"{_signal(n, language)} {v:+.1f}" for n, v in strongest if abs(v) >= 0.05)
            if told:
                lines.append(say("signals", language, what=told))
    return "\n".join(lines)


def facts(r: "Recommender", now: Conversation, text: str, language: Language) -> str:
    """What the catalogue knows of the items of the last list that a question points at ("how long is the second?"), a
    line each; "" for other texts."""
    if not _ASKS.search(text):
        return ""
    found = pointed(words_of(text, tokenise(text)), now.shown, r.vocabulary)
    ids = dict.fromkeys(t.item_id for m in found for t in m.match.targets if t.item_id in now.shown)
    lines = []
    for item in (r.catalogue.items[r.catalogue.rows[id_]] for id_ in ids if id_ is not None):
        known = [
            f"{column_words(name, language)} {told}" for name, value in certain(item).attributes.items()
            if name not in r.catalogue.schema.aliases and not isinstance(value, bool)
            and len(told := _shown(value, language)) <= FACT
        ]  # fmt: skip
        what = ("; " if language == "en" else "；").join(known)
        lines.append(say("facts", language, title=title_of(item, language), what=what or "–"))
        lines += [item.summary or item.description[:TOLD]] if item.description else []
    return "\n".join(lines)


def _shown(value: object, language: Language) -> str:
    if isinstance(value, tuple):
        return ("、" if language == "zh" else ", ").join(said_in(v, language) for v in value[:5])
    return f"{value:g}" if isinstance(value, float) else said_in(str(value), language)


FACT, TOLD = 80, 300  # characters of a fact, of a description
_ASKS = re.compile(
    r"[?？]\s*$|^\W*(?:who|what|when|where|which|how|is|are|was|were|does|do|did|has|have|can|tell me about)\b"
    r"|谁|什么|多长|多久|多少|哪|吗|讲的|介绍",
    re.IGNORECASE,
)
_SIGNALS = {
    "dense": ("nearness in meaning", "语义接近"), "bm25": ("shared words", "用词相同"), "match": ("values you asked for", "你要的特征"),  # noqa: E501
    "llm": ("the model's opinion", "模型的看法"), "prior": ("what others liked", "其他人的喜好"), "familiarity": ("how well known it is", "知名度"),  # noqa: E501
    "wishes": ("your soft wishes", "你的软性要求"),
}  # fmt: skip


def _signal(name: str, language: str) -> str:
    return _SIGNALS.get(name, (name, name))[language == "zh"]
