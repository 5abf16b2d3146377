"""The words of a conversation as plain, frozen data that serialises to JSON: no hidden state anywhere."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from snowmelt.retrieval.filters import Filter
from snowmelt.retrieval.items import Item


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(Frozen):
    """One thing a person likes or dislikes: an item, a value of an attribute, or free text.

    `evidence` holds the person's own words that it came from.
    """

    text: str
    item_id: str | None = None
    attribute: str | None = None
    evidence: str = ""

    @property
    def key(self) -> tuple[str | None, str | None, str]:
        return (self.item_id, self.attribute, "" if self.item_id else self.text.casefold())


class Constraint(Filter):
    """A hard filter together with the words that asked for it."""

    evidence: str = ""

    def words(self) -> str:
        value = self.value
        if isinstance(value, tuple):
            value = ", ".join(value)
        elif isinstance(value, float) and value.is_integer():
            value = int(value)
        sign = {"le": "at most", "ge": "at least", "eq": "is", "any": "one of", "none": "not"}[self.op]
        return f"{self.attribute.replace('_', ' ')} {sign} {value}"


class Profile(Frozen):
    """What is known of a person. Likes and dislikes may be given as plain strings."""

    likes: tuple[Entry, ...] = ()
    dislikes: tuple[Entry, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    seen: tuple[str, ...] = Field(default=(), description="ids of items never to be recommended again")

    @field_validator("likes", "dislikes", mode="before")
    @classmethod
    def _entries(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [value]
        if isinstance(value, Iterable):
            return tuple(Entry(text=v, evidence=v) if isinstance(v, str) else v for v in value)
        return value

    @property
    def empty(self) -> bool:
        return not (self.likes or self.dislikes or self.constraints)

    @property
    def liked_ids(self) -> tuple[str, ...]:
        return tuple(e.item_id for e in self.likes if e.item_id)

    @property
    def disliked_ids(self) -> tuple[str, ...]:
        return tuple(e.item_id for e in self.dislikes if e.item_id)


class Option(Frozen):
    """One answer that a question offers; choosing it is the same as typing its `text`."""

    text: str
    item_id: str | None = None
    attribute: str | None = None


class Question(Frozen):
    """What the assistant asks next. `about` names what it is about, so that nothing is asked twice."""

    kind: Literal["open", "attribute", "items", "versus"]
    about: str
    text: str
    options: tuple[Option, ...] = ()


class Reason(Frozen):
    """A reason that was checked: `span` stands in the item's text, `evidence` in the person's words or choices."""

    text: str
    span: str
    evidence: str


class Recommendation(BaseModel):
    """An item in its place, with the signals that put it there (standardised, already weighted)."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    item: Item
    score: float
    reasons: tuple[Reason, ...] = ()
    signals: dict[str, float] = {}

    @property
    def reason(self) -> str:
        return " ".join(r.text for r in self.reasons)


class Turn(Frozen):
    role: Literal["user", "assistant"]
    text: str


class Conversation(Frozen):
    """All the state there is. `Conversation()` starts one; `model_dump_json()` saves it."""

    turns: tuple[Turn, ...] = ()
    profile: Profile = Profile()
    session: Profile = Field(default=Profile(), description="holds for today only: moods, one-off limits")
    asked: tuple[str, ...] = ()
    question: Question | None = None
    shown: tuple[str, ...] = Field(default=(), description="ids of the last list, in order")
    language: Literal["en", "zh"] = "en"


class Reply(BaseModel):
    """What the assistant says: its text, and a question or a list, or both.

    `degraded` says that the model was late, broken or unsure and that the list stands on retrieval alone.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    question: Question | None = None
    recommendations: tuple[Recommendation, ...] = ()
    degraded: bool = False
