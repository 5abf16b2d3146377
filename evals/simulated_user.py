"""A person to talk to, made from one held-out person's visible half; and real dialogues, replayed.

The simulated user answers only what it is asked, from the visible half alone, so the hidden half can be neither told
nor confirmed; it never says a title that was not in the question. It needs no language model and is deterministic: the
same person asked the same things in the same order says the same. Phrases are English; option texts are said as is.

A system that converses gives its scorer a method `talk(number) -> Talk`; others rank as with nothing revealed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals.data import Dataset, Record, Rows
from snowmelt.evals.scoring import Block
from snowmelt.evals.splits import Person
from snowmelt.evals.systems import Asked, Option

OPENING = "Hello, can you recommend something to me?"
UNKNOWN, REFUSAL, NEITHER = "I don't know.", "I'd rather not say.", "None of these."
ALL = 1_000_000  # more than anyone has: everything visible counts as revealed, and is never ranked


class Talking(Protocol):
    """A fitted arm that is talked to: scores [items] and meta, with the `question` asked back."""

    def say(self, number: int, text: str, fresh: bool) -> tuple[NDArray[np.float32], dict[str, Any]]: ...


@dataclass(frozen=True)
class Manner:
    """How a simulated user answers: chances of a wrong option, of not wanting to say, of not knowing."""

    noise: float = 0.05
    refusal: float = 0.05
    unknown: float = 0.1


class Attributes:
    """Which items have a value: shared by all simulated users of a run, each value looked up once."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.count = len(records)
        self._found: dict[tuple[str | None, str], Rows] = {}
        self._values: dict[tuple[str, str], list[int]] = {}
        for row, record in enumerate(records):
            for name, value in record.items():
                if name in ("id", "title", "description") or name.endswith("_id"):
                    continue
                for one in value if isinstance(value, list | tuple) else (value,):
                    if one is not None and one != "":
                        self._values.setdefault((name, str(one).casefold()), []).append(row)
        self.lists = [key for key, rows in self._values.items() if key[0] == "categories" and len(rows) > 1]

    def rows(self, attribute: str | None, text: str) -> Rows:
        """Items that have the value `text`, of `attribute` or (None) of any attribute."""
        key = (attribute, text.casefold())
        if key not in self._found:
            hits = [r for (name, value), r in self._values.items() if value == key[1] and attribute in (None, name)]
            self._found[key] = np.unique(np.concatenate([np.empty(0, np.int32), *(np.array(h) for h in hits)])).astype(
                np.int32
            )
        return self._found[key]


@dataclass
class SimulatedUser:
    """`likes`, `dislikes`: rows of the visible half, nothing else is known to it."""

    data: Dataset
    attributes: Attributes
    likes: Rows
    dislikes: Rows
    number: int
    seed: int = 0
    manner: Manner = field(default_factory=Manner)
    turn: int = 0

    def answer(self, question: Asked) -> str:
        """What this person says to `question`: the text of options, or one of the fixed phrases."""
        self.turn += 1
        rng = np.random.default_rng([self.seed, self.number, self.turn, 0x51])
        chance, options = rng.random(), list(question.options)
        if chance < self.manner.refusal:
            return REFUSAL
        if chance < self.manner.refusal + self.manner.unknown:
            return UNKNOWN
        if chance < self.manner.refusal + self.manner.unknown + self.manner.noise and options:
            return options[int(rng.integers(len(options)))].text
        if question.kind == "open" or not options:
            return self._in_general()
        if any(option.item_id for option in options):
            return self._about_items(options, pick_one=question.kind == "versus")
        return self._about_values(options)

    def _about_items(self, options: Sequence[Option], pick_one: bool) -> str:
        """Likes among the items asked; of two that it does not know it prefers neither."""
        rows = [self.data.rows.get(option.item_id or "", -1) for option in options]
        liked = [option.text for option, row in zip(options, rows, strict=True) if row in self.likes]
        if liked:
            return liked[0] if pick_one else ", ".join(liked)
        known = [row in self.dislikes for row in rows]
        if pick_one and sum(known) == len(options) - 1:
            return options[known.index(False)].text
        return NEITHER if all(known) else UNKNOWN

    def _lift(self, attribute: str | None, text: str) -> tuple[float, float]:
        """(share of the visible likes with the value, that minus its share of the catalogue)."""
        rows = self.attributes.rows(attribute, text)
        share = float(np.isin(self.likes, rows).mean()) if len(self.likes) else 0.0
        return share, share - len(rows) / self.attributes.count

    def _about_values(self, options: Sequence[Option]) -> str:
        """The value most typical of its likes; values that no item has (a decade, say) mean nothing to it."""
        values = [(option.attribute, option.value or option.text) for option in options]
        lifts = [self._lift(*value) for value in values]
        best = max(range(len(options)), key=lambda i: lifts[i][1])
        share, lift = lifts[best]
        if share >= 0.2 and lift > 0:
            return options[best].text
        return NEITHER if len(self.likes) and any(len(self.attributes.rows(*value)) for value in values) else UNKNOWN

    def _in_general(self) -> str:
        """Asked openly: the two categories most typical of its likes, and no title."""
        typical = sorted(((self._lift(*key)[1], key[1]) for key in self.attributes.lists), reverse=True)[:2]
        named = [text for lift, text in typical if lift > 0.05]
        return f"I usually like {' and '.join(named)}." if named else UNKNOWN


def visible_half(person: Person) -> tuple[Person, Rows]:
    """The person for the judge (hidden likes are gold, hidden dislikes for AUC) and their visible dislikes."""
    half, part = (len(person.order) + 1) // 2, (len(person.dislikes) + 1) // 2
    judged = Person(person.number, person.user, person.order[:half], person.dislikes[part:], person.order[half:])
    return judged, person.dislikes[:part]


def held(kind: str, person: Person, reveal: int) -> tuple[Rows, Rows]:
    """(visible, gold) rows of a person at one level of a split, spoken or not."""
    if kind == "conversation":
        return visible_half(person)[0].at(ALL)
    return person.at(ALL if kind == "dialogues" else reveal)


def converse(
    worker: Talking, data: Dataset, people: Sequence[Person], questions: Sequence[int], seed: int, manner: Manner,
) -> dict[int, Block]:  # fmt: skip
    """Talk to the fitted arm as each of `people`; its scores after 0, 1, ... answered questions, by the counts asked
    for. A system that stops asking keeps its last answer for the larger counts."""
    attributes = Attributes(data.records)
    known_as = dict(zip(data.names, data.ids, strict=True))
    kept: dict[int, list[tuple[NDArray[np.float32], dict[str, Any]]]] = {count: [] for count in questions}
    for person in people:
        judged, dislikes = visible_half(person)
        user = SimulatedUser(data, attributes, judged.order, dislikes, person.number, seed, manner)
        text = OPENING
        for count in range(max(questions) + 1):
            scores, meta = worker.say(person.number, text, fresh=count == 0)
            if count in kept:
                kept[count].append((scores, meta))
            asked = question_of(meta["question"], known_as)
            if asked is None:
                for later in questions:
                    if later > count:
                        kept[later].append((scores, {**meta, "calls": [], "tokens_in": 0, "tokens_out": 0}))
                break
            text = user.answer(asked)
    return {count: _block(rows) for count, rows in kept.items()}


def replay(worker: Talking, people: Sequence[Person], turns: Sequence[int]) -> dict[int, Block]:
    """Say each real dialogue's seeker turns to the arm, whatever it asks: its scores after the first `turns` of them,
    over the people that have so many (in the order of `people`)."""
    kept: dict[int, list[tuple[NDArray[np.float32], dict[str, Any]]]] = {count: [] for count in turns}
    for person in people:
        for count, text in enumerate(person.turns, 1):
            row = worker.say(person.number, text, fresh=count == 1)
            if count in kept:
                kept[count].append(row)
    return {count: _block(rows) for count, rows in kept.items()}


def _block(rows: Iterable[tuple[NDArray[np.float32], dict[str, Any]]]) -> Block:
    scores, meta = zip(*rows, strict=True)
    return Block(np.stack(scores), list(meta))


def question_of(told: Mapping[str, Any] | None, known_as: Mapping[str, str]) -> Asked | None:
    """A question as it came from the arm's process, its items by their ids in the data."""
    if told is None:
        return None
    options = (Option(**{**option, "item_id": known_as.get(option["item_id"] or "")}) for option in told["options"])
    return Asked(told["kind"], told["text"], tuple(options))
