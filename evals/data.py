"""One data set in memory: items, who did what, what they were shown and said."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

Record = Mapping[str, Any]
Rows = NDArray[np.int32]
CLOCK = 1e8  # a median timestamp above this is seconds since 1970 (1973 on); below it is only a position in a sequence


@dataclass(frozen=True)
class Impression:
    """What one person was shown: item rows of the history (old to new), of the list shown and of the clicks."""

    user: str
    history: Rows
    candidates: Rows
    clicked: Rows


@dataclass(frozen=True)
class Dataset:
    """Items and who did what. `user`, `item` int32, `rating` float32, `time` float64: [interactions], aligned."""

    name: str
    records: tuple[Record, ...]
    users: tuple[str, ...]
    user: Rows
    item: Rows
    rating: NDArray[np.float32]
    time: NDArray[np.float64]
    impressions: tuple[Impression, ...] = ()
    dialogues: tuple[Record, ...] = ()

    @cached_property
    def ids(self) -> tuple[str, ...]:
        return tuple(str(record["id"]) for record in self.records)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What arms know the items by. An id can tell who liked what (HetRec numbers artists as listeners met them: to
        rank by nearness of the number beats BM25 there), and nobody can undo this hash without the interactions."""
        return tuple(sha256(f"{self.digest}\0{id_}".encode()).hexdigest()[:12] for id_ in self.ids)

    @cached_property
    def rows(self) -> dict[str, int]:
        return {id_: row for row, id_ in enumerate(self.ids)}

    @cached_property
    def scale(self) -> str:
        """What `rating` means, from its values alone: `implicit` (all alike), `binary` (0 / 1), `stars` (up to 5),
        `ten` (up to 10) or `counts` (play counts: any number)."""
        values = np.unique(self.rating)
        if len(values) <= 1:
            return "implicit"
        if set(values.tolist()) <= {0.0, 1.0}:
            return "binary"
        return "stars" if values[-1] <= 5 else "ten" if values[-1] <= 10 else "counts"

    @property
    def liked(self) -> NDArray[np.bool_]:
        """bool [interactions]. Stars: 4 and up; ten: 8 and up; binary: 1; implicit and counts: every row."""
        least = {"stars": 4.0, "ten": 8.0, "binary": 1.0}.get(self.scale)
        return np.ones(len(self.rating), bool) if least is None else self.rating >= least

    @property
    def disliked(self) -> NDArray[np.bool_]:
        """bool [interactions]. Stars: up to 2; ten: up to 4; binary: 0; implicit and counts have no dislikes."""
        most = {"stars": 2.0, "ten": 4.0, "binary": 0.0}.get(self.scale)
        return np.zeros(len(self.rating), bool) if most is None else self.rating <= most

    @cached_property
    def has_clock(self) -> bool:
        """Are the timestamps times (comparable between people), not positions in each person's sequence?"""
        return bool(len(self.time)) and float(np.median(self.time)) > CLOCK

    @cached_property
    def digest(self) -> str:
        """sha256 of everything a run depends on: the same data read from another layout has the same digest."""
        digest = sha256()
        for record in (*self.records, *self.dialogues):
            digest.update(json.dumps(record, sort_keys=True, ensure_ascii=False).encode())
        digest.update("\0".join(self.users).encode())
        for column in (self.user, self.item, self.rating, self.time):
            digest.update(np.ascontiguousarray(column).tobytes())
        for shown in self.impressions:
            digest.update(shown.user.encode() + b"".join(a.tobytes() for a in (shown.history, shown.candidates)))
            digest.update(shown.clicked.tobytes())
        return digest.hexdigest()


def attributes_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """What an item's record tells of it beside its name, its texts and its domain."""
    return {name: value for name, value in record.items() if name not in ("id", "title", "description", "domain")}


def record_text(record: Record) -> str:
    """Title, text and list attributes, description: what every text arm reads. Identifiers and numbers are left out."""
    parts = [str(record.get("title") or "")]
    for name, value in record.items():
        if name in ("id", "title", "description", "domain") or name.endswith("_id"):
            continue
        if isinstance(value, str) and value:
            parts.append(value)
        elif isinstance(value, list | tuple) and value:
            parts.append(", ".join(str(v) for v in value))
    parts.append(str(record.get("description") or ""))
    return ". ".join(p.strip().rstrip(".") for p in parts if p.strip())
