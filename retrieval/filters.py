"""Hard constraints as typed filters over an item's attributes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Op = Literal["le", "ge", "eq", "any", "none"]


class Filter(BaseModel):
    """One condition on one attribute.

    `le`, `ge`: numbers and ISO dates. `eq`: the whole value. `any`: the item has at least one of the values. `none`: it
    has none of them. Texts are compared without regard to case. An item whose attribute is unknown never passes `le`,
    `ge`, `eq` or `any` (a promise that cannot be proved is not made) and passes `none`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attribute: str
    op: Op
    value: bool | float | str | tuple[str, ...]
