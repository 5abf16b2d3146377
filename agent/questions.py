"""Questions and their answers on a catalogue: what can be asked, what was told, and which options a reply picks."""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.belief import Grounds, Together, Told, Value
from snowmelt.agent.onboarding import MOST, Candidate, Strategy, choose, question_of
from snowmelt.agent.ranking import available
from snowmelt.agent.types import Conversation, Entry, Option, Question, Update
from snowmelt.agent.understanding.text import is_cjk, key_of
from snowmelt.agent.understanding.units import columns
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.wording import title_of
from snowmelt.retrieval.filters import Filter

VALUES = 40  # of a column, the most frequent; rarer ones split nothing
# What a value that answers a question of ours counts: a leaning, not an order. On ml-100k (350 warm and validation
# people played as new) NDCG@10 after 3 questions is 0.341 with it, 0.333 where it counts in full.
LEANING = 0.3
_ALL = re.compile(
    r"\W*(?:all(?: of (?:them|these))?|both(?: of them)?|every one|都(?:喜欢|要|爱)|全(?:部|都)|两个都\w*)\W*",
    re.IGNORECASE,
)
_NONE = re.compile(
    r"\W*(?:none(?: of (?:them|these|those))?|neither(?: of them)?|no(?:ne|pe)?|not really|都不(?:是|喜欢|要|想)?|没有|一个都不\w*|都没\w*)\W*", re.IGNORECASE  # noqa: E501
)  # fmt: skip
_LEADING = re.compile(
    r"^(?:i (?:really )?(?:like|love|d pick|would pick|prefer|choose|loved|liked)|definitely|maybe|probably|the|我(?:更)?(?:喜欢|选|要|想要)|选|喜欢)\s*",  # noqa: E501
    re.IGNORECASE,
)
_HABIT = re.compile(
    r"\b(?:usually|generally|normally|mostly|mainly|often|in general)\b|一般|通常|平时|大多|经常", re.IGNORECASE
)
_PLACES = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "一": 1,
    "二": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "former": 1,
    "latter": 2,
    "前者": 1,
    "后者": 2,
}


def grounds_of(
    vocabulary: Vocabulary, prior: NDArray[np.float32] | None = None, together: Together | None = None
) -> Grounds:
    """What questions about this catalogue are chosen from. About 0.1 s for 10,000 items; keep it."""
    catalogue = vocabulary.catalogue
    count = len(catalogue.ids)
    values = []
    for name, role in vocabulary.roles.items():
        if role != "topic":
            continue
        for value, known in list(vocabulary.schema.attributes[name].values.items())[:VALUES]:
            if max(2, 0.004 * count) <= known <= 0.8 * count:
                rows = np.flatnonzero(catalogue.mask([Filter(attribute=name, op="any", value=(value,))]))
                values.append(Value(name, value, rows))
    return Grounds(
        np.asarray(catalogue.vectors, np.float32), prior, tuple(values), catalogue.titles, _limitable(vocabulary),
        together,
    )  # fmt: skip


def _limitable(vocabulary: Vocabulary) -> tuple[str, ...]:
    """Columns that people set limits on: length, price, year, age, then kinds, countries, languages and the like."""
    found = columns(vocabulary.schema)
    named = [found[d] for d in ("time", "money", "year", "age", "mass", "stock") if d in found]
    topics = [n for n, role in vocabulary.roles.items() if role == "topic"]
    return tuple(dict.fromkeys([*named, *sorted(topics, key=lambda n: len(vocabulary.schema.attributes[n].values))]))


def told_of(conversation: Conversation, g: Grounds, vocabulary: Vocabulary) -> Told:
    """The conversation so far as rows and values."""
    catalogue, profile = vocabulary.catalogue, conversation.in_force
    rows = catalogue.rows
    kept = {(v.attribute, v.text) for v in g.values}  # a rarer value is known by its words only
    words = [e.text for e in profile.likes if not e.item_id and (e.attribute, e.text) not in kept]
    return Told(
        liked=tuple(rows[i] for i in profile.liked_ids if i in rows),
        disliked=tuple(rows[i] for i in profile.disliked_ids if i in rows),
        liked_values=tuple((e.attribute, e.text) for e in profile.likes if e.attribute),
        disliked_values=tuple((e.attribute, e.text) for e in profile.dislikes if e.attribute),
        declined_items=tuple(rows[o.item_id] for o in conversation.declined if o.item_id in rows),
        declined_values=tuple((o.attribute, o.value or o.text) for o in conversation.declined if o.attribute),
        words=catalogue.embedder.queries(words) if words else None,
        limited=tuple(c.attribute for c in profile.constraints),
        allowed=available(catalogue, profile),
    )


def next_question(
    conversation: Conversation,
    g: Grounds,
    vocabulary: Vocabulary,
    *,
    strategy: Strategy = "ours",
    most: int = MOST,
    listed: bool = False,
) -> Question | None:
    """The question most worth asking now, or None."""
    catalogue = vocabulary.catalogue
    told = told_of(conversation, g, vocabulary)
    if told.allowed is not None and told.allowed.sum() <= 5:
        return None  # everything that is left can be shown
    gone = frozenset(catalogue.rows[i] for i in conversation.asked_ids if i in catalogue.rows)
    found = choose(g, told, conversation.asked, strategy, gone=gone, most=most, listed=listed)
    if found is None:
        return None
    language = conversation.language
    labels = {v.text: vocabulary.shown(v.text, language) for v in found.values}
    labels |= {catalogue.ids[r]: title_of(catalogue.items[r], language) for r in found.rows}
    return question_of(found, g, catalogue.ids, language, labels)


def limits_question(conversation: Conversation, g: Grounds, vocabulary: Vocabulary) -> Question | None:
    """What may it be, what not? For when a list did not please; None if that was asked before."""
    told = told_of(conversation, g, vocabulary)
    open_ = tuple(name for name in g.limits if name not in told.limited)
    if not open_ or any(a.startswith("limits:") for a in conversation.asked):
        return None
    candidate = Candidate("open", f"limits:{','.join(open_)}", 0.0)
    return question_of(candidate, g, vocabulary.catalogue.ids, conversation.language)


def answered(text: str, question: Question) -> tuple[tuple[Option, ...], tuple[Option, ...], bool]:
    """(options picked, options passed over, was the whole reply an answer) for a reply to `question`."""
    options = question.options
    if not options:
        return (), (), False
    if _ALL.fullmatch(text):
        return options, (), True
    if _NONE.fullmatch(text):
        return (), options, True
    picked: list[Option] = []
    for piece in _pieces(_LEADING.sub("", text.strip())):
        option = _option(piece, options)
        if option is None:
            whole = _option(text, options)
            return ((whole,), tuple(o for o in options if o != whole), True) if whole else ((), (), False)
        picked.append(option)
    return tuple(dict.fromkeys(picked)), tuple(o for o in options if o not in picked), bool(picked)


def _pieces(text: str) -> Iterator[str]:
    for piece in re.split(r"\s*(?:,|，|、|/|;|；|\band\b|\bor\b|和|跟|与|&|\+)\s*", text):
        if key_of(piece):
            yield piece


def _option(piece: str, options: tuple[Option, ...]) -> Option | None:
    key = key_of(_LEADING.sub("", piece.strip()))
    for option in options:
        if key in (key_of(option.text), key_of(option.value or "")) and key:
            return option
    place = re.fullmatch(
        r"(?:the )?(?:number |no |nr )?(\d{1,2}|[a-z]+)(?: one)?|第 ([一二三四五]|\d)(?: [个部款本])?", key
    )
    if place:
        word = place[1] or place[2]
        number = int(word) if word.isdigit() else _PLACES.get(word, 0)
        if 1 <= number <= len(options):
            return options[number - 1]
    from rapidfuzz.fuzz import ratio

    best = max(options, key=lambda o: ratio(key, key_of(o.text)))
    least = 80 if any(is_cjk(c) for c in key) else 86
    return best if len(key) > 3 and ratio(key, key_of(best.text)) >= least else None


def as_update(picked: tuple[Option, ...], evidence: str, liked: bool = True) -> Update:
    """Picked options as likes (or dislikes), in the person's own words."""
    entries = tuple(
        Entry(text=o.value or o.text, item_id=o.item_id, attribute=o.attribute, evidence=evidence) for o in picked
    )
    return leaning(Update(likes=entries)) if liked else Update(dislikes=entries)


def about_taste(question: Question, text: str) -> bool:
    """Does the answer tell what somebody likes in general? Asked what it must or must not be, people say what they want
    now, unless they speak of a habit."""
    return question.kind == "open" and (not question.about.startswith("limits:") or bool(_HABIT.search(text)))


def leaning(update: Update) -> Update:
    """The update with liked values as what they are in an answer to a question about taste."""
    likes = (e.model_copy(update={"strength": LEANING * e.strength}) if e.attribute else e for e in update.likes)
    return update.model_copy(update={"likes": tuple(likes)})
