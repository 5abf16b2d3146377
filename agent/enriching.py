"""Tags for items that came without values: read out of their text, within the catalogue's own vocabulary.

An item's neighbours in meaning vote for their values, and a value that the text names counts as a vote won. How well
that works is tried for each attribute on items that have it, before it is used: half of a sample sets the threshold,
the other half tells precision and recall; an attribute that cannot be guessed better than by its most frequent values
is left alone. A model that writes well chooses among the candidates; the embedded 135M model is not asked, it added
nothing that could be told from chance (benchmarks/tags.py).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from snowmelt.agent.llm import LLM, Message, ModelError
from snowmelt.agent.proof import certain
from snowmelt.agent.reasons import COINCIDENCE
from snowmelt.agent.understanding.text import key_of
from snowmelt.prompts import render
from snowmelt.retrieval import tagging
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.items import Item

NEIGHBOURS = 20
FEW, MANY = 60, 200  # items that must have an attribute; values of it that are considered
SAMPLE = 240  # items on which an attribute is tried
LEAST = 0.35  # precision on the second half, else the attribute is left alone
CANDIDATES, MOST = 12, 4  # values that a model chooses among; tags of one item in one attribute
BATCH = 128
DEADLINE = 20.0  # seconds of the model for one item
SEED = 0


@dataclass(frozen=True)
class Tried:
    """How well an attribute can be guessed, on `n` items; `usual` is the F1 of always guessing the frequent values."""

    attribute: str
    n: int
    precision: float
    recall: float
    usual: float
    threshold: float

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def used(self) -> bool:
        return self.precision >= LEAST and self.f1 > self.usual


@dataclass(frozen=True)
class Report:
    tried: tuple[Tried, ...]
    tagged: int
    kept: int
    failed: int


class Chosen(BaseModel):
    """What a model answers."""

    values: list[str] = Field(max_length=MOST)


def enrich(catalogue: Catalogue, llm: LLM | None = None, progress: Callable[[int, int], None] | None = None) -> Report:
    """Tags every item that lacks values of an attribute that can be guessed, and keeps them beside the catalogue.

    What was tagged before and has the same text stays, so it goes on where it was stopped. A model that fails leaves an
    item to its neighbours' votes, and is counted.
    """
    order = np.random.default_rng(SEED).permutation(len(catalogue.items))
    known_own: dict[int, NDArray[np.float32]] = {}  # the same items are tried for each attribute
    guesses = [_Guess.of(catalogue, name, order, known_own) for name in _columns(catalogue)]
    used = [g for g in guesses if g.tried.used]
    known = tagging.stored(catalogue.dir)
    wanted = [r for r in range(len(catalogue.items)) if any(_lacks(catalogue.items[r], g.name) for g in used)]
    todo = [r for r in wanted if known.get(catalogue.ids[r], ("",))[0] != tagging.digest(catalogue.items[r])]
    writer, done, failed = llm if llm is not None and llm.writes_well else None, 0, 0
    for at in range(0, len(todo), BATCH):
        rows = todo[at : at + BATCH]
        own = _own(catalogue, rows)
        found: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
            catalogue.ids[r]: (tagging.digest(catalogue.items[r]), {}) for r in rows
        }
        for guess in used:
            votes = guess.votes(own, rows)
            for row, vote in zip(rows, votes, strict=True):
                if _lacks(catalogue.items[row], guess.name):
                    values, broken = guess.values_of(catalogue.items[row], vote, writer)
                    failed += broken
                    found[catalogue.ids[row]][1][guess.name] = values
        tagging.add(catalogue.dir, found)
        done += len(rows)
        if progress:
            progress(done, len(todo))
    return Report(tuple(g.tried for g in guesses), len(todo), len(wanted) - len(todo), failed)


def summary(report: Report) -> list[str]:
    """What was done and how far it can be trusted, in lines."""
    lines = []
    for t in report.tried:
        what = (
            f"precision {t.precision:.2f}, recall {t.recall:.2f} on {t.n} items; most frequent values: F1 {t.usual:.2f}"
        )
        lines.append(f"{t.attribute}: {'guessed' if t.used else 'left alone, it cannot be guessed well'} ({what})")
    if not report.tried:
        return ["no item lacks a value that could be guessed"]
    failed = f", {report.failed:,} without the model" if report.failed else ""
    return [*lines, f"{report.tagged:,} items tagged, {report.kept:,} kept from before{failed}"]


def _columns(catalogue: Catalogue) -> Iterator[str]:
    """Lists and categories of a few values that some items lack; no facts like countries, brands and names."""
    for name, attribute in catalogue.schema.attributes.items():
        values = len(attribute.values)
        shared = sum(attribute.values.values()) >= 4 * values  # what hardly two items share is a name
        kind = attribute.kind in ("list", "category") and values >= 3 and shared
        named = name in catalogue.schema.aliases or COINCIDENCE.search(name)
        if kind and not named and FEW <= attribute.known < len(catalogue.items):
            yield name


def _lacks(item: Item, name: str) -> bool:
    return name not in certain(item).attributes


def _own(catalogue: Catalogue, rows: Sequence[int]) -> NDArray[np.float32]:
    """Vectors of what the items say of themselves, without their attributes."""
    items = [catalogue.items[r] for r in rows]
    return catalogue.embedder.documents([f"{i.title}. {i.description}" for i in items])


@dataclass(frozen=True)
class _Guess:
    """One attribute: the rows that have it, [rows, values] which values each has (0, 1), how well it can be guessed."""

    name: str
    values: tuple[str, ...]
    rows: NDArray[np.int64]
    has: NDArray[np.float32]
    vectors: NDArray[np.float32]
    tried: Tried

    @classmethod
    def of(
        cls, catalogue: Catalogue, name: str, order: NDArray[np.int64], known: dict[int, NDArray[np.float32]]
    ) -> "_Guess":
        """Tried on the first items of `order` that have the attribute; `known` keeps their vectors."""
        values = tuple(list(catalogue.schema.attributes[name].values)[:MANY])
        place = {v.casefold(): i for i, v in enumerate(values)}
        rows = [int(r) for r in order if not _lacks(catalogue.items[int(r)], name)]
        has = np.zeros((len(rows), len(values)), np.float32)
        for i, row in enumerate(rows):
            value = catalogue.items[row].attributes[name]
            for v in value if isinstance(value, tuple) else (str(value),):
                if v.casefold() in place:
                    has[i, place[v.casefold()]] = 1
        empty = Tried(name, 0, 0, 0, 0, 1.0)
        guess = cls(name, values, np.array(rows), has, np.asarray(catalogue.vectors[rows], np.float32), empty)
        sample = rows[:SAMPLE]
        new = [r for r in sample if r not in known]
        known.update(zip(new, _own(catalogue, new), strict=True))
        votes, truth = guess.votes(np.stack([known[r] for r in sample]), sample), has[: len(sample)] > 0
        half = len(sample) // 2
        grid = np.linspace(0.1, 0.8, 29)
        threshold = float(max(grid, key=lambda t: _judged(votes[:half] >= t, truth[:half])[2]))
        precision, recall, _ = _judged(votes[half:] >= threshold, truth[half:])
        often, usual = np.argsort(-has.mean(0)), 0.0
        for most in (1, 2, 3):
            always = np.zeros_like(truth[half:])
            always[:, often[:most]] = True
            usual = max(usual, _judged(always, truth[half:])[2])
        tried = Tried(name, len(sample) - half, precision, recall, usual, threshold)
        return cls(name, values, guess.rows, has, guess.vectors, tried)

    def votes(self, own: NDArray[np.float32], rows: Sequence[int]) -> NDArray[np.float32]:
        """float32 [rows, values], 0..1: the share of the nearest items' votes; an item has none for itself."""
        near = own @ self.vectors.T
        near[np.array(rows)[:, None] == self.rows[None]] = -1
        k = min(NEIGHBOURS, near.shape[1] - 1)
        top = np.argpartition(-near, k, axis=1)[:, :k]
        weight = np.take_along_axis(near, top, 1) - near.mean(1, keepdims=True)
        weight = np.maximum(weight, 1e-6)
        weight /= weight.sum(1, keepdims=True)
        return np.einsum("rk,rkv->rv", weight, self.has[top]).astype(np.float32)

    def values_of(self, item: Item, votes: NDArray[np.float32], llm: LLM | None) -> tuple[tuple[str, ...], bool]:
        """(the tags, did the model fail)."""
        text = f" {key_of(f'{item.title} {item.description}')} "
        said = np.array([f" {key_of(v)} " in text for v in self.values])
        order = np.argsort(-(votes + said), kind="stable")
        won = tuple(self.values[i] for i in order[:MOST] if said[i] or votes[i] >= self.tried.threshold)
        if llm is None:
            return won, False
        choice = [self.values[i] for i in order[:CANDIDATES] if votes[i] > 0 or said[i]]
        prompt = render(
            "tags", attribute=self.name.replace("_", " "), title=item.title, description=item.description[:1500],
            values=json.dumps(choice, ensure_ascii=False),
        )  # fmt: skip
        try:
            answer = llm.complete([Message("user", prompt)], schema=Chosen, max_tokens=80, deadline=DEADLINE)
        except ModelError:
            return won, True
        picked = {v.casefold() for v in Chosen.model_validate_json(answer.text).values}
        return tuple(v for v in choice if v.casefold() in picked)[:MOST], False


def _judged(guessed: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[float, float, float]:
    """(precision, recall, F1) over all pairs of item and value."""
    right, said, true = int((guessed & truth).sum()), int(guessed.sum()), int(truth.sum())
    return right / max(said, 1), right / max(true, 1), 2 * right / max(said + true, 1)
