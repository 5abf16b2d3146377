"""Feedback that is relative to an item of the last list: "too long" is a dislike of it and a wish for shorter ones."""

import re

from snowmelt.agent.types import Constraint, Conversation, Update
from snowmelt.agent.understanding.units import columns
from snowmelt.agent.understanding.vocabulary import Vocabulary

# words -> (dimension of `constraints.columns`, bound)
_TOO = (
    (re.compile(r"\btoo long\b|太长|时间太久"), "time", "le"),
    (re.compile(r"\btoo short\b|太短"), "time", "ge"),
    (re.compile(r"\btoo (?:expensive|pricey|dear|costly)\b|太贵|贵了"), "money", "le"),
    (re.compile(r"\btoo cheap\b|太便宜"), "money", "ge"),
    (re.compile(r"\btoo heavy\b|太重"), "mass", "le"),
    (re.compile(r"\btoo old\b|太老|太旧"), "year", "ge"),
    (re.compile(r"\btoo (?:new|recent)\b|太新"), "year", "le"),
)
_STEP = 0.1  # how far beyond the item's own value the wish goes, in parts of it; years move by 10


def relative(text: str, update: Update, conversation: Conversation, vocabulary: Vocabulary) -> Update:
    """`update` with a soft limit beside each disliked item of the last list that was called too long, too old, ..."""
    folded = text.casefold()
    rows = vocabulary.catalogue.rows
    items = [
        vocabulary.catalogue.items[rows[e.item_id]]
        for e in (*update.dislikes, *update.session_dislikes)
        if e.item_id in rows
    ]
    if not items:
        return update
    found = []
    named = columns(vocabulary.schema)
    for pattern, dimension, op in _TOO:
        column = named.get(dimension)
        if column is None or not pattern.search(folded):
            continue
        for item in items:
            value = item.attributes.get(column)
            if isinstance(value, float):
                step = 10.0 if dimension == "year" else _STEP * value
                wish = round(value - step if op == "le" else value + step, 2)
                found.append(
                    Constraint.model_validate({"attribute": column, "op": op, "value": wish, "evidence": text})
                )
    return update.model_copy(update={"wishes": (*update.wishes, *found)})
