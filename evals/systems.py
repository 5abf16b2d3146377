"""The protocol of an arm, for our own systems and anybody else's, and how a name on the command line finds one.

An arm is a function `arm(train: Train) -> scorer`; a scorer maps a `Case` to one score per item (in the order of
`train.ids`), a mapping id -> score (whatever it leaves out is out of its pool), or an `Answer` with costs. Optional: an
attribute `batch` of the scorer, `batch(cases) -> one such answer per case`, and an attribute `grid` of the arm, a list
of settings to choose from on validation people (the chosen one arrives as `train.settings`).

Arms run in a process of their own (`worker.py`) that never holds a held-out row: what is below is all that they get.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.errors import InputError


@dataclass(frozen=True)
class Train:
    """The catalogue and what warm people did. Arrays are copies, aligned over the warm interactions.

    `ids` are opaque and in no meaningful order: what an arm wants to know of an item stands in `records`, the rows of
    items.jsonl; `texts` is the same as plain text. `user` int32 numbers warm people from 0 in no
    meaningful order, `item` int32 rows of `ids`, `rating` float32, `time` float64; `liked` bool. `scale`: what ratings
    mean (`Dataset.scale`); `has_clock`: are times comparable between people. `model`: the language model asked for, if
    any. `cache`: a folder that stays between runs, for vectors and model replies, by content hash.
    """

    ids: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...]
    texts: tuple[str, ...]
    people: int
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    rating: NDArray[np.float32]
    time: NDArray[np.float64]
    liked: NDArray[np.bool_]
    scale: str
    has_clock: bool
    seed: int
    cache: Path
    model: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def rows(self) -> dict[str, int]:
        return {id_: row for row, id_ in enumerate(self.ids)}

    @cached_property
    def likes(self) -> Any:
        """csr float32 [people, items], 1.0 where a warm person likes an item."""
        from scipy.sparse import csr_matrix

        where = (self.user[self.liked], self.item[self.liked])
        return csr_matrix((np.ones(len(where[0]), np.float32), where), shape=(self.people, len(self.ids)))


@dataclass(frozen=True)
class Case:
    """One cold person as a system meets them. `number` is opaque. `candidates` None: rank the whole catalogue."""

    number: int
    liked: tuple[str, ...] = ()
    disliked: tuple[str, ...] = ()
    candidates: tuple[str, ...] | None = None

    @property
    def revealed(self) -> tuple[str, ...]:
        """Everything known of the person: never to be recommended again."""
        return self.liked + self.disliked


@dataclass(frozen=True)
class Answer:
    """Scores with what they cost. `degraded`: why this is less than the system's best ("" if it is not).

    `seconds`: what it costs when nothing is cached (None: as measured). `calls`: one JSON object per model call.
    """

    scores: Sequence[float] | Mapping[str, float] | NDArray[np.floating]
    degraded: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float | None = None
    calls: tuple[Mapping[str, Any], ...] = ()


Scores = Sequence[float] | Mapping[str, float] | NDArray[np.floating] | Answer
Scorer = Callable[[Case], Scores]
Arm = Callable[[Train], Scorer]


@dataclass(frozen=True)
class Option:
    """One answer that is offered: choosing it is saying `text`. `value`: of the attribute, where the text is another
    word for it."""

    text: str
    item_id: str | None = None
    attribute: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Asked:
    """A question, in the shape of `snowmelt.agent.types.Question`."""

    kind: Literal["open", "attribute", "items", "versus"]
    text: str
    options: Sequence[Option] = ()


@dataclass(frozen=True)
class Said:
    """A system's reply: what it would recommend now, and what it asks next (None: it asks no more)."""

    scores: Scores
    question: Asked | None = None


class Talk(Protocol):
    """One conversation."""

    def say(self, text: str) -> Said:
        """Take what the person says."""
        ...


# The names as typed. `module:function` as for anybody else's arm; `ours.py` holds Snowmelt's own, by the same rules.
_ARMS, _TEXTS = "snowmelt.evals.arms", "snowmelt.evals.text_arms"
BASELINES: dict[str, str] = {
    "random": f"{_ARMS}:random",
    "popularity": f"{_ARMS}:popularity",
    "recent": f"{_ARMS}:recent",
    "bm25": f"{_TEXTS}:bm25",
    "dense": f"{_TEXTS}:dense",
    "item-knn": f"{_ARMS}:item_knn",
    "ease": f"{_ARMS}:ease",
    "als": f"{_ARMS}:als",
    "svd": f"{_ARMS}:svd",
    "lightfm": f"{_ARMS}:lightfm",
    "star": f"{_TEXTS}:star",
    "map": "snowmelt.evals.map_arm:content_map",
    "naive-llm": "snowmelt.evals.naive:naive_llm",
}
OURS, TALKING = "snowmelt.evals.ours", "snowmelt.evals.talking"
# What runs when no arms are named: each of them, the stronger reading of three, and EASE at its textbook setting.
NO_LLM = (
    "random", "popularity", "popularity(of=likes)", "recent", "bm25", "bm25(text=all)", "dense(how=max)",
    "dense(how=mean)", "dense(text=all)", "item-knn", "ease", "ease(regularisation=100)", "als", "svd", "lightfm",
    "star",
)  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """An arm as asked for: `name` as shown, `target` module:function, `settings` fixed by hand (the rest is tuned)."""

    name: str
    target: str
    settings: Mapping[str, Any]
    baseline: bool


def split_arms(text: str) -> list[str]:
    """Commas outside brackets separate arms: `bm25,ease(regularisation=100)`."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]


def parse(text: str) -> Spec:
    """`ease`, `ease(regularisation=100)`, `snowmelt-no-llm`, `package.module:function` or `path/file.py:function`.

    Raises InputError for a name that is not known.
    """
    match = re.fullmatch(r"([^()]+?)\s*(?:\(([^()]*)\))?", text.strip())
    if not match:
        raise InputError(f"--arms: {text!r} is not an arm; write name, name(setting=value), module:function")
    name, settings = match[1], _settings(match[2] or "", text)
    if name in BASELINES:
        return Spec(text, BASELINES[name], settings, name != "random")
    if name.startswith("snowmelt"):
        return Spec(text, f"{TALKING if name == 'snowmelt-talk' else OURS}:{name.replace('-', '_')}", settings, False)
    if ":" not in name:
        raise InputError(
            f"--arms: {name!r} is not known; there are {', '.join(BASELINES)}, snowmelt, snowmelt-no-llm, "
            "and your own as module:function or path.py:function"
        )
    module, _, function = name.rpartition(":")
    if module.endswith(".py"):
        path = Path(module).resolve()
        if not path.is_file():
            raise InputError(f"--arms: {module} does not exist")
        module = str(path)
    return Spec(text, f"{module}:{function}", settings, False)


def _settings(text: str, whole: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for pair in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise InputError(f"--arms: {pair!r} in {whole!r} is not a setting; write name=value")
        try:
            result[name] = int(value) if re.fullmatch(r"[+-]?\d+", value) else float(value)
        except ValueError:
            result[name] = value
    return result


def find(target: str) -> Arm:
    """Import the function behind `module:function` or `/path/file.py:function`. Raises InputError if there is none."""
    name, _, function = target.rpartition(":")
    if name.endswith(".py"):
        spec = importlib.util.spec_from_file_location(f"arm_{Path(name).stem}", name)
        if spec is None or spec.loader is None:
            raise InputError(f"{name} cannot be imported as Python")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise InputError(f"{target}: no module {error.name!r} can be imported") from None
    arm: Any = getattr(module, function, None)
    if arm is None or not callable(arm):
        raise InputError(f"{name} has no function {function!r}")
    return arm  # type: ignore[return-value]
