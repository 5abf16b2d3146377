"""What is audited: a catalogue, made as `snowmelt index` and `snowmelt fit` make it, and people that it never met.

The held-out people and their likes are those of the user split of `snowmelt eval`. Where a data set has no behaviour,
people are made up (each likes two items drawn at random): lists can be compared then, their quality cannot be known.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent import Recommender
from snowmelt.agent.after import After
from snowmelt.agent.familiarity import familiarity
from snowmelt.agent.llm import LLM
from snowmelt.agent.types import Entry, Profile, Recommendation
from snowmelt.evals import splits
from snowmelt.evals.data import Dataset
from snowmelt.evals.loading import Builder, load, read_jsonl
from snowmelt.retrieval import fitting, indexing
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.embedding import Embedder
from snowmelt.retrieval.errors import InputError

REVEALED = 5  # likes that a person tells
MOST_ASKED = 5000  # items that `snowmelt index` asks the model about, and so does the audit
FIRST = 10  # places of a list that are compared
Records = Sequence[Mapping[str, Any]]
Order = list[tuple[str, float]]


@dataclass(frozen=True)
class Person:
    """`liked`: ids that are told. `gold`: likes held out; empty where the person is made up."""

    name: str
    liked: tuple[str, ...]
    gold: frozenset[str] = frozenset()


@dataclass
class Subject:
    """`made`: the recommender "plain", and "learned" with what warm people did, where there is anything to learn from.

    `folder`: where the data set is; `work`: a temporary one. `people`: who is asked.
    `vectors`: text hash -> vector of every text embedded so far, so that a changed catalogue costs what has changed.
    `model`: None for no language model. `say(what)` hears of progress.
    """

    folder: Path
    data: Dataset
    people: tuple[Person, ...]
    model: LLM | None
    embedder: Embedder
    work: Path
    cache: Path
    seed: int
    quick: bool
    say: Callable[[str], None]
    warm: NDArray[np.int64]  # indices of the interactions of warm people
    kept: Path | None = None  # where finished rounds of attacks are kept
    suites: tuple[Path, ...] = ()  # files of public attack suites
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    indexed: int = 0
    made: dict[str, Recommender] = field(init=False)

    def __post_init__(self) -> None:
        self.say("indexing")
        kept = self.cache / "audit" / f"{self.data.digest[:16]}.npz"
        if kept.is_file():
            with np.load(kept) as arrays:
                if str(arrays["embedder"]) == self.embedder.id:
                    self.vectors = dict(zip(arrays["texts"].tolist(), arrays["vectors"], strict=True))
        known = len(self.vectors)
        self.made = self.variant(self.data.records)
        if len(self.vectors) > known:
            kept.parent.mkdir(parents=True, exist_ok=True)
            texts, vectors = np.array(list(self.vectors)), np.array(list(self.vectors.values()))
            np.savez(kept.with_suffix(".part.npz"), embedder=self.embedder.id, texts=texts, vectors=vectors)
            kept.with_suffix(".part.npz").replace(kept)
        rows = self.plain.catalogue.rows
        told = (replace(p, liked=tuple(i for i in p.liked if i in rows)) for p in self.people)
        self.people = tuple(p for p in told if p.liked)
        if len(self.warm):
            self.say("learning")
            try:
                fit(self.plain.catalogue, self.data, self.warm, self.work / "warm.csv")
            except InputError as error:
                self.say(f"nothing learned: {error}")
            else:
                self.made["learned"] = self._open(self.plain.catalogue.dir)

    @property
    def plain(self) -> Recommender:
        return self.made["plain"]

    @property
    def main(self) -> Recommender:
        """As most people run it: with what was learned, where there is anything to learn from."""
        return self.made.get("learned", self.plain)

    def variant(self, records: Records) -> dict[str, Recommender]:
        """The catalogue of other records, read and indexed anew: "plain", and "learned" where there is one."""
        self.indexed += 1
        folder, source = self.work / f"catalogue-{self.indexed}", self.work / "items.jsonl"
        with source.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        indexing.build(source, folder, self.embedder, known=self.vectors)
        catalogue = Catalogue.open(folder, self.embedder)
        for row in range(len(catalogue.ids)):
            self.vectors.setdefault(sha256(catalogue.text(row).encode()).hexdigest(), np.array(catalogue.vectors[row]))
        made = {"plain": self._open(folder)}
        if "learned" in getattr(self, "made", {}):
            shutil.copytree(self.plain.catalogue.dir / "learned", folder / "learned")
            made["learned"] = self._open(folder)
        return made

    def drop(self, made: Mapping[str, Recommender]) -> None:
        """Remove the files of a variant that is not asked any more."""
        for recommender in made.values():
            shutil.rmtree(recommender.catalogue.dir, ignore_errors=True)

    def _open(self, folder: Path) -> Recommender:
        """With what the model has heard of, which `snowmelt index` asks it; `--quick` leaves that out."""
        model = self.model
        if model is not None and model.can_score and not self.quick and len(self.data.ids) <= MOST_ASKED:
            catalogue = Catalogue.open(folder, self.embedder)
            kept = self.cache / "audit" / self.data.digest[:16]  # between runs, and begun with what `eval` keeps
            if not kept.is_dir() and (self.cache / "shared" / "familiarity").is_dir():
                shutil.copytree(self.cache / "shared" / "familiarity", kept / "familiarity")
                (kept / "familiarity" / "current.json").unlink(missing_ok=True)
            familiarity(model, kept, catalogue.titles, columns=tuple(catalogue.schema.attributes))
            shutil.copytree(kept / "familiarity", folder / "familiarity", dirs_exist_ok=True)
        return Recommender(Catalogue.open(folder, self.embedder), model, deadline=None)

    def of(self, count: int) -> "Subject":
        """The same, asked about the first `count` people."""
        few = copy(self)
        few.people = self.people[:count]
        return few

    def profile(self, person: Person, recommender: Recommender | None = None) -> Profile:
        return profile_of((recommender or self.plain).catalogue, person.liked)

    def lists(self, recommender: Recommender, limit: int = FIRST) -> list[list[Recommendation]]:
        """One list for each person."""
        return [recommender.ranked(self.profile(p, recommender), limit)[0] for p in self.people]

    def title(self, id_: str) -> str:
        return self.plain.catalogue.titles[self.plain.catalogue.rows[id_]]


@contextmanager
def without_reasons() -> Iterator[None]:
    """Lists as the product makes them, without their reasons, which change no place and cost most of the time."""
    with patch("snowmelt.agent.recommender.explain_all", lambda _, items, *__: [()] * len(items)):
        yield


def order(recommender: Recommender, ids: Sequence[str], limit: int = FIRST, after: After | None = None) -> Order:
    """(id, score) of the list for somebody who likes these items."""
    with without_reasons():
        found, _ = recommender.ranked(profile_of(recommender.catalogue, ids), limit, after)
    return [(one.item.id, one.score) for one in found]


def listed(recommender: Recommender, ids: Sequence[str], limit: int = FIRST, after: After | None = None) -> list[str]:
    """The ids of `order`."""
    return [id_ for id_, _ in order(recommender, ids, limit, after)]


def profile_of(catalogue: Catalogue, ids: Sequence[str]) -> Profile:
    """As if the person had named these items."""
    titles = [(id_, catalogue.titles[catalogue.rows[id_]]) for id_ in ids if id_ in catalogue.rows]
    return Profile(likes=tuple(Entry(text=t, item_id=i, evidence=f"I loved {t}") for i, t in titles))


def fit(catalogue: Catalogue, data: Dataset, rows: NDArray[np.int64], path: Path) -> None:
    """`snowmelt fit` on these interactions. Raises InputError where they are too few."""
    write_interactions(path, [(data.users[u], data.ids[i], r) for u, i, r in
                              zip(data.user[rows], data.item[rows], data.rating[rows], strict=True)])  # fmt: skip
    fitting.fit_catalogue(catalogue, path)


def write_interactions(path: Path, rows: Sequence[tuple[str, str, float]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("user", "item", "rating"))
        table.writerows((u, i, f"{r:g}") for u, i, r in rows)


def load_any(folder: str | Path) -> Dataset:
    """As `snowmelt eval` reads it; a folder of items.jsonl alone is a data set without behaviour."""
    folder = Path(folder)
    items = folder / "items.jsonl"
    if items.is_file() and not (folder / "interactions.csv").is_file():
        return Builder(folder.resolve().name, read_jsonl(items), items).build()
    return load(folder)


def people_of(data: Dataset, seed: int, most: int) -> tuple[tuple[Person, ...], NDArray[np.int64], str]:
    """(people, indices of the interactions of warm people, why the people are made up: "" if they are not)."""
    why = "no interactions"
    if len(data.user):
        try:
            split = splits.make(data, "user", seed, users=most)
        except InputError as error:
            why = str(error)
        else:
            people = []
            for person in split.final.people:
                told = max(1, min(REVEALED, len(person.order) - 1))
                shown, gold = person.at(told)
                people.append(
                    Person(person.user, tuple(data.ids[r] for r in shown), frozenset(data.ids[r] for r in gold))
                )
            return tuple(people), split.final.train, ""
    rng = np.random.default_rng([seed, 0xA0D])
    chosen = [rng.choice(len(data.ids), min(2, len(data.ids)), replace=False) for _ in range(most)]
    people = [Person(f"made up {n}", tuple(data.ids[r] for r in rows)) for n, rows in enumerate(chosen)]
    return tuple(people), np.empty(0, np.int64), why


def edited(records: Records, changes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The records with the fields of `changes` (id -> fields) laid over them."""
    return [{**record, **changes.get(str(record["id"]), {})} for record in records]
