"""The words of a conversation as plain, frozen data that serialises to JSON: no hidden state anywhere."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from snowmelt.retrieval.filters import Filter
from snowmelt.retrieval.items import Item, visible

LONGEST = 2000  # characters of what a person says at once; what follows is cut
Said = Annotated[str, AfterValidator(lambda text: visible(text)[:LONGEST])]
"""Words that are kept, shown again and sent to models: without invisible characters, of bounded length."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(Frozen):
    """One thing a person likes or dislikes: an item, a value of an attribute, or free text.

    `evidence` holds the person's own words that it came from. `strength` is 1 for a plain statement, less for a
    fainter one ("kind of like"), up to 2 for a strong one ("absolutely love").
    """

    text: Said
    item_id: str | None = None
    attribute: str | None = None
    evidence: Said = ""
    strength: float = 1.0

    @property
    def key(self) -> tuple[str | None, str | None, str]:
        return (self.item_id, self.attribute, "" if self.item_id else self.text.casefold())


class Constraint(Filter):
    """A hard filter together with the words that asked for it."""

    evidence: Said = ""

    @field_validator("value")
    @classmethod
    def _seen(cls, value: bool | float | str | tuple[str, ...]) -> bool | float | str | tuple[str, ...]:
        if isinstance(value, tuple):
            return tuple(visible(part) for part in value)
        return visible(value) if isinstance(value, str) else value

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
    wishes: tuple[Constraint, ...] = Field(default=(), description="soft limits (preferably short): never a filter")
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
        return not (self.likes or self.dislikes or self.constraints or self.wishes)

    def merged(self, session: "Profile") -> "Profile":
        """This profile with `session` (today's mood) laid over it: what the session says wins where they differ."""
        likes, dislikes = {e.key for e in session.likes}, {e.key for e in session.dislikes}
        return Profile(
            likes=tuple(e for e in self.likes if e.key not in likes | dislikes) + session.likes,
            dislikes=tuple(e for e in self.dislikes if e.key not in likes | dislikes) + session.dislikes,
            constraints=self.constraints + tuple(c for c in session.constraints if c not in self.constraints),
            wishes=self.wishes + tuple(c for c in session.wishes if c not in self.wishes),
            seen=tuple(dict.fromkeys([*self.seen, *session.seen])),
        )

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
    value: str | None = Field(default=None, description="of the attribute, where it is shown by another word")


class Unclear(Frozen):
    """A mention that could be several things; it becomes a short question. `liked`: how the person spoke of it."""

    text: str
    options: tuple[Option, ...]
    liked: bool = True


class Removal(Frozen):
    """What is taken back: an entry (item, attribute and value, or text), or the constraints on an attribute by `op`."""

    item_id: str | None = None
    attribute: str | None = None
    text: str = ""
    op: str | None = None


Command = Literal["start_over", "about_me", "why", "show", "more", "skip", "undo"]


class Update(Frozen):
    """What one message changes, and what it asks for. `session` parts hold for today only."""

    likes: tuple[Entry, ...] = ()
    dislikes: tuple[Entry, ...] = ()
    session_likes: tuple[Entry, ...] = ()
    session_dislikes: tuple[Entry, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    session_constraints: tuple[Constraint, ...] = ()
    wishes: tuple[Constraint, ...] = ()
    seen: tuple[str, ...] = ()
    removed: tuple[Removal, ...] = ()
    command: Command | None = None
    about: tuple[str, ...] = Field(default=(), description="ids of shown items that the command is about")
    unclear: tuple[Unclear, ...] = ()
    unchecked: tuple[tuple[str, str], ...] = Field(
        default=(), description="limits that this catalogue cannot check: (what they are about, the person's words)"
    )

    @property
    def empty(self) -> bool:
        """Does it change nothing?"""
        return not any(getattr(self, name) for name in (
            "likes", "dislikes", "session_likes", "session_dislikes", "constraints", "session_constraints", "wishes",
            "seen", "removed", "unclear",
        ))  # fmt: skip


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
    offered: tuple[str, ...] = Field(default=(), description="ids of every list so far")
    history: tuple[tuple[Profile, Profile], ...] = Field(
        default=(), description="(profile, session) before each of the last changes, the newest last, for undo"
    )
    asked_ids: tuple[str, ...] = Field(default=(), description="ids of the items that questions were about")
    declined: tuple[Option, ...] = Field(default=(), description="options passed over in questions")
    language: Literal["en", "zh"] = "en"

    @property
    def in_force(self) -> Profile:
        """What counts now: the lasting profile with today's laid over it."""
        return self.profile.merged(self.session)


class Reply(BaseModel):
    """What the assistant says: its text, and a question or a list, or both.

    `degraded` says that the model was late, broken or unsure and that the list stands on retrieval alone.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    question: Question | None = None
    recommendations: tuple[Recommendation, ...] = ()
    degraded: bool = False
