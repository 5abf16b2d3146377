"""What goes over the wire: requests with a limit on every size, and answers."""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator
from snowmelt.agent.after import After
from snowmelt.agent.feedback import Kind
from snowmelt.agent.types import Profile, Recommendation, Reply
from snowmelt.retrieval.items import Item

MOST_TEXT, MOST_PROFILES, MOST_ITEMS = 2000, 100, 50
MOST_LIKED = 100_000  # characters of a batch, as of the longest profile: each is embedded, 4 s of processor time in all

Short = Annotated[str, StringConstraints(max_length=500)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
ItemId = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Limit = Annotated[int, Field(ge=1, le=MOST_ITEMS, strict=True, description="how many items, at most 50")]
CatalogueName = Annotated[
    str | None, Field(default=None, max_length=128, description="which catalogue; left out: the first one")
]
Cursor = Annotated[str | None, Query(max_length=400, description="`next` of the page before")]
PageSize = Annotated[int, Query(ge=1, le=100)]
WhichCatalogue = Annotated[str | None, Query(max_length=128, description="left out: the first one")]
Seconds = Annotated[
    float | None, Field(default=None, ge=0, le=86_400, strict=True, description="of `dwell`: how long they stayed")
]
CARD = {
    "id": "f0417", "title": "Ratatouille", "description": "A rat who can cook makes an unusual alliance in Paris.",
    "attributes": {"year": 2007.0, "runtime": 111.0, "genres": ["animation", "comedy"]},
}  # fmt: skip
REASON = {"text": "Also about food, like Chef.", "span": "food", "evidence": "I loved Chef"}
SHOWN = {"item": CARD, "score": 2.41, "reasons": [REASON], "signals": {"dense": 1.9, "bm25": 0.3, "match": 0.21}}
QUESTION = {
    "kind": "attribute", "about": "moods", "text": "Which of these sounds right today?",
    "options": [{"text": "warm", "item_id": None, "attribute": "moods"}],
}  # fmt: skip


class In(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class EntryIn(In):
    text: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    item_id: ItemId | None = None
    attribute: Name | None = None
    evidence: Annotated[str, StringConstraints(max_length=MOST_TEXT)] = ""
    strength: float = Field(default=1.0, ge=0.0, le=2.0, strict=True)


class ConstraintIn(In):
    attribute: Name
    op: Literal["le", "ge", "eq", "any", "none"]
    value: StrictBool | Annotated[float, Field(strict=True)] | Short | Annotated[list[Short], Field(max_length=100)]
    evidence: Annotated[str, StringConstraints(max_length=MOST_TEXT)] = ""


class ProfileIn(In):
    """What is known of a person. Likes and dislikes may be plain strings."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"likes": ["a warm film about cooking"], "seen": ["f0417"]}]}
    )
    likes: list[EntryIn | Annotated[Short, Field(min_length=1)]] = Field(default=[], max_length=200)
    dislikes: list[EntryIn | Annotated[Short, Field(min_length=1)]] = Field(default=[], max_length=200)
    constraints: list[ConstraintIn] = Field(default=[], max_length=50)
    wishes: list[ConstraintIn] = Field(default=[], max_length=50, description="soft limits, never a filter")
    seen: list[ItemId] = Field(default=[], max_length=5000, description="ids never to be recommended again")

    def profile(self) -> Profile:
        return Profile.model_validate(self.model_dump())


class CreateIn(In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"catalogue": "films", "language": "en"}]})
    catalogue: CatalogueName = None
    language: Literal["en", "zh"] = "en"


class SayIn(In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "I loved Ratatouille, but no horror please"}]})
    text: Annotated[str, StringConstraints(min_length=1, max_length=MOST_TEXT)]


class AfterIn(In):
    """What comes after ranking, each from 0 (off) to 1."""

    discovery: Share = Field(default=0.5, description="0.5: no more popular than what is liked, 1: as the mean item")
    diversity: Share = Field(default=0.0, description="items unlike each other")
    calibration: Share = Field(default=0.0, description="kinds in the proportions of what is liked")
    exploration: Share = Field(default=0.0, description="luck for items that few people have met")

    def after(self) -> After:
        return After(**self.model_dump())


class RecommendIn(In):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"profile": {"likes": ["a warm film about cooking"]}, "limit": 3}]}
    )
    catalogue: CatalogueName = None
    profile: ProfileIn
    limit: Limit = 5
    after: AfterIn = AfterIn()


class BatchIn(In):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"profiles": [{"likes": ["ghosts"]}, {"likes": ["trains"]}], "limit": 3}]}
    )
    catalogue: CatalogueName = None
    profiles: list[ProfileIn] = Field(min_length=1, max_length=MOST_PROFILES)
    limit: Limit = 5
    after: AfterIn = AfterIn()

    @model_validator(mode="after")
    def _short(self) -> "BatchIn":
        entries = [e for p in self.profiles for e in (*p.likes, *p.dislikes)]
        if sum(len(e if isinstance(e, str) else e.text) for e in entries) > MOST_LIKED:
            raise ValueError(f"profiles: their likes and dislikes have more than {MOST_LIKED} characters in all")
        return self


class FeedbackIn(In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"item": "f0417", "kind": "like"}]})
    catalogue: CatalogueName = None
    item: ItemId
    kind: Kind = Field(description="skip and dwell are what was done, not said; none takes earlier feedback back")
    seconds: Seconds = None

    @model_validator(mode="after")
    def _timed(self) -> "FeedbackIn":
        if (self.kind == "dwell") != (self.seconds is not None):
            raise ValueError("seconds: how long the person stayed, with `dwell` and with nothing else")
        return self


class Out(BaseModel):
    pass


class ItemOut(Out):
    model_config = ConfigDict(json_schema_extra={"examples": [CARD]})
    id: str
    title: str
    description: str
    summary: str = Field(default="", description="a long description in a sentence or two (`snowmelt enrich`)")
    attributes: dict[str, bool | float | str | list[str]]


class ReasonOut(Out):
    text: str
    span: str = Field(description="stands word for word in the item's text")
    evidence: str = Field(description="the person's own words, or what they chose")


class RecommendationOut(Out):
    item: ItemOut
    score: float
    reasons: list[ReasonOut]
    signals: dict[str, float] = Field(description="what moved it, standardised and weighted")


class OptionOut(Out):
    text: str
    item_id: str | None = None
    attribute: str | None = None


class QuestionOut(Out):
    kind: Literal["open", "attribute", "items", "versus"]
    about: str
    text: str
    options: list[OptionOut]


class ReplyOut(Out):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "Here is what I would try:", "question": None, "recommendations": [SHOWN],
                          "degraded": False}, {"text": QUESTION["text"], "question": QUESTION, "recommendations": [],
                                               "degraded": False}]
        }
    )  # fmt: skip
    text: str
    question: QuestionOut | None
    recommendations: list[RecommendationOut]
    degraded: bool = Field(description="the model was late, broken or busy: this stands on retrieval alone")


class TurnOut(Out):
    role: Literal["user", "assistant"]
    text: str


class ConversationOut(Out):
    id: str
    catalogue: str
    created: int = Field(description="milliseconds since 1970")
    updated: int
    version: int
    turns: list[TurnOut]
    last: ReplyOut | None = Field(description="the last answer, to draw the page again")


class ConversationRow(Out):
    id: str
    catalogue: str
    created: int
    updated: int
    turns: int


class ConversationPage(Out):
    conversations: list[ConversationRow]
    next: str | None = Field(description="the cursor of the next page; null on the last")


class RecommendOut(Out):
    recommendations: list[RecommendationOut]
    degraded: bool


class BatchOut(Out):
    results: list[RecommendOut]


class ItemPage(Out):
    items: list[ItemOut]
    next: str | None


class CatalogueOut(Out):
    name: str
    items: int


class Catalogues(Out):
    catalogues: list[CatalogueOut]


class EntryOut(Out):
    text: str
    item_id: str | None
    attribute: str | None
    evidence: str
    strength: float = 1.0


class ConstraintOut(Out):
    attribute: str
    op: Literal["le", "ge", "eq", "any", "none"]
    value: bool | float | str | list[str]
    evidence: str
    words: str


class ProfileBody(Out):
    likes: list[EntryOut]
    dislikes: list[EntryOut]
    constraints: list[ConstraintOut]
    wishes: list[ConstraintOut]
    seen: list[str]


class ProfileOut(Out):
    catalogue: str
    version: int = Field(description="0: nothing is stored yet. Also the ETag")
    profile: ProfileBody


class FeedbackOut(Out):
    profile: ProfileOut
    recommendations: list[RecommendationOut] = Field(description="only for `more`: items like this one")
    degraded: bool


class FeedbackRow(Out):
    id: str
    catalogue: str
    item: str
    kind: str
    seconds: float | None = None
    created: int


class FeedbackPage(Out):
    feedback: list[FeedbackRow]
    next: str | None


class PersonOut(Out):
    person: str = Field(description="a random id: it says nothing about who this is")
    token: str = Field(description="shown once; `Authorization: Bearer ...` for everything that is theirs")
    expires: int = Field(description="milliseconds since 1970")


class Health(Out):
    status: Literal["ok"]


class Ready(Out):
    status: Literal["ready"]
    catalogues: dict[str, int]
    model: Literal["none", "ready", "not ready"]


def item_out(item: Item) -> dict[str, Any]:
    attributes = {k: list(v) if isinstance(v, tuple) else v for k, v in item.attributes.items()}
    return {
        "id": item.id, "title": item.title, "description": item.description, "summary": item.summary,
        "attributes": attributes,
    }  # fmt: skip


def recommendation_out(r: Recommendation) -> dict[str, Any]:
    reasons = [x.model_dump(include={"text", "span", "evidence"}) for x in r.reasons]
    return {"item": item_out(r.item), "score": r.score, "reasons": reasons, "signals": dict(r.signals)}


def reply_out(reply: Reply, degraded: bool) -> dict[str, Any]:
    question = None
    if reply.question:
        question = {
            "kind": reply.question.kind, "about": reply.question.about, "text": reply.question.text,
            "options": [o.model_dump(include={"text", "item_id", "attribute"}) for o in reply.question.options],
        }  # fmt: skip
    found = [recommendation_out(r) for r in reply.recommendations]
    return {"text": reply.text, "question": question, "recommendations": found, "degraded": degraded}


def profile_out(catalogue: str, profile: Profile, version: int) -> dict[str, Any]:
    body = profile.model_dump(mode="json")
    for name in ("constraints", "wishes"):
        for raw, constraint in zip(body[name], getattr(profile, name), strict=True):
            raw["words"] = constraint.words()
    return {"catalogue": catalogue, "version": version, "profile": body}
