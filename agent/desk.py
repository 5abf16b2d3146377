"""What an assistant may do for one person: search, details, constraints, recommend, remember.

The same five stand behind LangChain's tools, agent mode and the MCP server. Whatever the assistant asks for, this code
decides: only items of the catalogue come out, each meets every limit in force, and nothing is remembered that would
take a limit or a dislike away behind the person's back.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, Field
from snowmelt.agent.answers import nothing_fits
from snowmelt.agent.phrases import Language
from snowmelt.agent.ranking import available, rank
from snowmelt.agent.reasons import explain_all
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Constraint, Conversation, Entry, Profile, Recommendation
from snowmelt.agent.understanding import apply, understand
from snowmelt.agent.understanding.feedback import relative
from snowmelt.agent.understanding.text import key_of
from snowmelt.agent.understanding.update import undone
from snowmelt.agent.wording import limit_words
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.filters import meets

MOST = 20  # items in one answer
QUERY = 500  # characters of a query or a statement that are read
DESCRIPTION = 2000  # characters of a description
EXAMPLES = 12  # values of an attribute that are named


class Found(BaseModel):
    id: str
    title: str


class Details(Found):
    description: str
    attributes: dict[str, Any]


class Recommended(Found):
    reason: str = Field(description="checked against the item's text and the person's words; empty if none was proved")


class Remembered(BaseModel):
    """What is known of the person now, in plain words."""

    likes: list[str]
    dislikes: list[str]
    limits: list[str]
    wishes: list[str]


class Attribute(BaseModel):
    name: str
    kind: str
    values: list[str] = Field(default=[], description="the most frequent ones")
    least: float | None = None
    most: float | None = None


class Limits(Remembered):
    items: int = Field(description="of the catalogue that meet all limits and were not seen")
    attributes: list[Attribute] = Field(description="what limits can be put on")


class Desk:
    """One person's tools. What cannot be done raises InputError with one line for the assistant; not thread-safe.

    `heard`: the person's own messages, newest last. Where they are given, `remember` takes nothing but quotations of
    them and may only add to what is in force; None (MCP, LangChain): the statement is taken for the person's words.
    `listed`: the last list that was recommended.
    """

    def __init__(
        self, recommender: Recommender, conversation: Conversation | None = None, heard: Sequence[str] | None = None
    ) -> None:
        self.recommender = recommender
        self.conversation = conversation or Conversation()
        self.listed: tuple[Recommendation, ...] = ()
        self.degraded = False
        self._heard = None if heard is None else [f" {key_of(text)} " for text in heard]

    def search(self, query: str, limit: int = 5) -> list[Found]:
        """Items that a text is about, nearest first, among those that meet the limits in force and were not seen."""
        catalogue, profile = self.recommender.catalogue, self.conversation.in_force
        if not query.strip():
            raise InputError("search: an empty query; say what the items should be about")
        allowed = available(catalogue, profile)
        rows, _ = rank(catalogue, Profile(likes=(Entry(text=query[:QUERY]),)), _bounded(limit), allowed=allowed)
        return [Found(id=catalogue.ids[row], title=catalogue.titles[row]) for row in rows]

    def details(self, id: str) -> Details:
        """Everything the catalogue knows about one item."""
        item = self.recommender.catalogue.items[self._row(id)]
        attributes = {name: list(v) if isinstance(v, tuple) else v for name, v in item.attributes.items()}
        description = item.description[:DESCRIPTION]
        return Details(id=item.id, title=item.title, description=description, attributes=attributes)

    def constraints(self) -> Limits:
        """What is remembered, how many items are left within the limits, and what limits can be put on."""
        catalogue, profile = self.recommender.catalogue, self.conversation.in_force
        attributes = [
            Attribute(
                name=name, kind=a.kind, values=list(a.values)[:EXAMPLES],
                least=float(a.minimum) if isinstance(a.minimum, int | float) else None,
                most=float(a.maximum) if isinstance(a.maximum, int | float) else None,
            )
            for name, a in catalogue.schema.attributes.items() if a.kind != "text"
        ]  # fmt: skip
        return Limits(
            **self.known().model_dump(),
            items=int(np.count_nonzero(available(catalogue, profile))),
            attributes=attributes,
        )

    def recommend(self, limit: int = 5, ids: Sequence[str] = ()) -> list[Recommended]:
        """The list for what is remembered of the person. `ids`: these items instead, in this order, if they exist,
        meet every limit in force and were not seen."""
        profile = self.conversation.in_force
        if ids:
            self.listed = self._chosen(list(dict.fromkeys(ids))[:MOST], profile)
            self.degraded = False
        else:
            found, self.degraded = self.recommender.ranked(profile, _bounded(limit), language=self._language)
            if not found:
                raise InputError(nothing_fits(self.recommender.catalogue, profile, "en"))
            self.listed = tuple(found)
        shown = tuple(r.item.id for r in self.listed)
        self.conversation = self.conversation.model_copy(update={"shown": shown})
        return [Recommended(id=r.item.id, title=r.item.title, reason=r.reason) for r in self.listed]

    def remember(self, statement: str) -> Remembered:
        """Remembers what the person likes, dislikes or rules out, in their own words; gives all that is known."""
        statement = statement.strip()[:QUERY]
        if not key_of(statement):
            raise InputError("remember: an empty statement; quote the person's own words")
        if self._heard is not None and not any(f" {key_of(statement)} " in said for said in self._heard):
            raise InputError("remember: the person did not say that; quote their own words exactly")
        vocabulary, before = self.recommender.vocabulary, self.conversation
        update = understand(statement, vocabulary, before)
        update = relative(statement, update, before, vocabulary)
        if self._heard is None and update.command == "start_over":
            self.conversation = Conversation(language=before.language)
            return self.known()
        if self._heard is None and update.command == "undo" and before.history:
            self.conversation = undone(before)
            return self.known()
        after = apply(before, update)
        if self._heard is not None and (lost := _lost(before.in_force, after.in_force)):
            raise InputError(f"remember: that would take back “{lost}”; only the person can do that")
        self.conversation = after
        return self.known()

    def known(self) -> Remembered:
        profile = self.conversation.in_force
        return Remembered(
            likes=[e.text for e in profile.likes], dislikes=[e.text for e in profile.dislikes],
            limits=[c.words() for c in profile.constraints], wishes=[c.words() for c in profile.wishes],
        )  # fmt: skip

    @property
    def _language(self) -> Language | None:
        """Of reasons: that of the conversation where there is one; None: of what was last remembered."""
        return self.conversation.language if self._heard is not None else None

    def _row(self, id_: str) -> int:
        rows = self.recommender.catalogue.rows
        if id_ not in rows:
            raise InputError(f"no item {id_[:80]!r}; take ids from search or recommend")
        return rows[id_]

    def _chosen(self, ids: list[str], profile: Profile) -> tuple[Recommendation, ...]:
        catalogue = self.recommender.catalogue
        items = [catalogue.items[self._row(id_)] for id_ in ids]
        for item in items:
            for limit in profile.constraints:
                if not meets(item, [limit], catalogue.schema.attributes):
                    raise InputError(f"{item.id}: does not meet the limit “{limit_words(limit, 'en')}”; take others")
            if item.id in {*profile.seen, *profile.liked_ids, *profile.disliked_ids}:
                raise InputError(f"{item.id}: the person knows it already; take others")
        reasons = explain_all(catalogue, items, profile, self._language)
        count = len(items)
        return tuple(
            Recommendation(item=item, score=(count - i) / count, reasons=r, signals={"chosen": (count - i) / count})
            for i, (item, r) in enumerate(zip(items, reasons, strict=True))
        )


def _lost(before: Profile, after: Profile) -> str | None:
    """The first limit or dislike of `before` that `after` lacks or has loosened, in words."""
    for limit in before.constraints:
        if not any(_as_tight(limit, c) for c in after.constraints):
            return limit.words()
    kept = {e.key for e in after.dislikes}
    return next((f"not {e.text}" for e in before.dislikes if e.key not in kept), None)


def _as_tight(old: Constraint, new: Constraint) -> bool:
    if (old.attribute, old.op) != (new.attribute, new.op):
        return False
    if old.op == "le" and type(old.value) is type(new.value):
        return new.value <= old.value  # type: ignore[operator]
    if old.op == "ge" and type(old.value) is type(new.value):
        return new.value >= old.value  # type: ignore[operator]
    if isinstance(old.value, tuple) and isinstance(new.value, tuple):
        return set(old.value) <= set(new.value) if old.op == "none" else set(new.value) <= set(old.value)
    return old.value == new.value


def _bounded(limit: int) -> int:
    return max(1, min(limit, MOST))
