"""Hard constraints as typed filters over an item's attributes."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict
from snowmelt.retrieval.items import Attribute, Item, Value

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


def meets(item: Item, filters: Sequence[Filter], attributes: Mapping[str, Attribute]) -> bool:
    """Does the item itself pass all filters? The same as its place in `Columns.mask`, found without the columns: the
    second look at a list that is about to be shown. `attributes`: the schema's."""
    return all(_passes(item.attributes.get(f.attribute), attributes[f.attribute].kind, f) for f in filters)


def _passes(value: Value | None, kind: str, f: Filter) -> bool:
    if value is None:
        return f.op == "none"
    wanted = f.value if isinstance(f.value, tuple) else (f.value,)
    if kind not in ("number", "date", "boolean"):
        own = {v.casefold() for v in (value if isinstance(value, tuple) else (str(value),))}
        texts = {(f"{w:.15g}" if isinstance(w, float) else str(w)).casefold() for w in wanted}
        return bool(own & texts) == (f.op != "none")
    number, numbers = _comparable(value, kind), [_comparable(w, kind) for w in wanted]
    if f.op in ("le", "ge"):
        return number <= min(numbers) if f.op == "le" else number >= max(numbers)
    return (number in numbers) == (f.op != "none")


def _comparable(value: Value, kind: str) -> float:
    if kind == "date":
        return date.fromisoformat(str(value)).toordinal()
    if kind == "boolean" and isinstance(value, str):
        return float(value.casefold() == "true")
    return float(value)  # type: ignore[arg-type]
