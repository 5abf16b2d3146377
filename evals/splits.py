"""Who is cold and what is held out, by whole people or whole items, seeded and written down (`given.py`: as shown).

A split has two stages. `tune` fits on the warm people without the validation people and scores those; `final` fits on
all warm people (validation included) and scores the test people. A person who is scored never has a row in the
training data of that stage; in `item`, no item that is a candidate has one either.
"""

from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals.data import Dataset, Rows
from snowmelt.retrieval.errors import InputError

Kind = Literal["user", "item", "scene", "domain", "impressions", "conversation", "dialogues"]
KINDS: tuple[Kind, ...] = ("user", "item", "scene", "domain", "impressions", "conversation", "dialogues")
SPOKEN: tuple[Kind, ...] = ("conversation", "dialogues")  # the systems are talked to; elsewhere they get cases
TEST = 0.2  # of the people
VALIDATION = 0.1  # of the people


@dataclass(frozen=True)
class Person:
    """One held-out person, as item rows. `order`: likes in the order in which they are revealed.

    `gold` None: the held-out likes are those of `order` that were not revealed (so they shrink as more is revealed);
    else a fixed set. `candidates` None: the whole catalogue; else only these. `dislikes` are never revealed.
    `turns`: what a seeker says in a real dialogue.
    """

    number: int
    user: str
    order: Rows
    dislikes: Rows
    gold: Rows | None = None
    candidates: Rows | None = None
    turns: tuple[str, ...] = ()

    def at(self, reveal: int) -> tuple[Rows, Rows]:
        """(revealed, gold) after `reveal` likes; a person with fewer reveals what there is."""
        if self.gold is None:
            return self.order[:reveal], self.order[reveal:]
        return self.order[:reveal], self.gold


@dataclass(frozen=True)
class Stage:
    """`train`: indices of the interactions that may be fitted on. `people`: who is scored."""

    train: NDArray[np.int64]
    people: tuple[Person, ...]


@dataclass(frozen=True)
class Split:
    """`tune` is None where no behaviour may be used to choose hyperparameters (scene cold)."""

    kind: Kind
    seed: int
    least_likes: int
    note: str
    tune: Stage | None
    final: Stage

    def to_json(self, data: Dataset) -> dict[str, Any]:
        """Enough for another tool to replay the split: people, their items in order, by the ids of the data set."""
        ids = data.ids

        def people(stage: Stage | None) -> list[dict[str, Any]]:
            named = ("order", "dislikes", "gold", "candidates")
            shared: dict[int, str] = {}
            result = []
            for person in stage.people if stage else ():
                lists: dict[str, Any] = {}
                for name in named:
                    rows = getattr(person, name)
                    if rows is not None and len(rows) > 1000:  # one array shared by everyone: written once
                        first = shared.setdefault(id(rows), person.user)
                        lists[name] = {"as": first} if first != person.user else [ids[r] for r in rows]
                    elif rows is not None:
                        lists[name] = [ids[r] for r in rows]
                result.append({"number": person.number, "user": person.user, **lists})
            return result

        return {
            "kind": self.kind, "seed": self.seed, "least_likes": self.least_likes, "note": self.note,
            "dataset": data.name, "dataset_sha256": data.digest,
            "final_train_rows": _ranges(self.final.train),
            "tune_train_rows": _ranges(self.tune.train) if self.tune else [],
            "validation": people(self.tune), "test": people(self.final),
        }  # fmt: skip


def _ranges(rows: NDArray[np.int64]) -> list[list[int]]:
    """Row numbers of interactions (0 is the first, repeats removed) as [first, last] ranges."""
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) != 1)
    starts, ends = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(rows) - 1]])
    return [[int(rows[a]), int(rows[b])] for a, b in zip(starts, ends, strict=True)]


def order_of(names: tuple[str, ...], seed: int, what: str) -> NDArray[np.int64]:
    """A shuffle that depends on each name alone, so that taking other names away never moves the rest."""
    keys = [sha256(f"{seed}\0{what}\0{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(names)), key=keys.__getitem__), np.int64)


def make(
    data: Dataset, kind: Kind, seed: int = 0, order: Literal["random", "time"] = "random", target: str | None = None,
    users: int | None = None,
) -> Split:  # fmt: skip
    """Split `data`. `order="time"` (user split): test people are the latest to arrive, and training ends before the
    first of them; likes are revealed oldest first. `target` names the new domain of a domain split. `users` caps the
    test people (the first in the seeded order). Raises InputError where the split does not apply to the data."""
    if kind in ("impressions", "dialogues"):
        from snowmelt.evals import given

        return (given.impressions if kind == "impressions" else given.dialogues)(data, seed, users)
    if kind == "domain":
        return _domains(data, seed, target, users)
    if order == "time" and not (kind == "user" and data.has_clock):
        raise InputError(f"{data.name}: --order time needs the user split and timestamps that are times")
    likes, dislikes, least = _likes(data, seed, order == "time")
    eligible = [u for u in range(len(data.users)) if len(likes[u]) >= least]
    if order == "time":
        arrival = np.full(len(data.users), np.inf)
        np.minimum.at(arrival, data.user, data.time)
        ranked = sorted(eligible, key=lambda u: (-arrival[u], data.users[u]))
    else:
        names = tuple(data.users[u] for u in eligible)
        ranked = [eligible[i] for i in order_of(names, seed, "people")]
    test, validation = parts(ranked)

    if kind == "item":
        return _cold_items(data, seed, least, likes, dislikes, (test, validation), users)

    def stage(scored: list[int], held: list[int], cap: int | None) -> Stage:
        keep = ~np.isin(data.user, held)
        if order == "time":
            keep &= data.time < min(arrival[u] for u in scored)
        if kind == "scene":
            keep[:] = False
        people = (Person(n, data.users[u], likes[u], dislikes[u]) for n, u in enumerate(scored[:cap]))
        return Stage(np.flatnonzero(keep), tuple(people))

    tune = None if kind == "scene" else stage(validation, test + validation, None)
    note = {
        "scene": "no behaviour: nothing is fitted or tuned, every arm runs at its defaults",
        "conversation": "a simulated user answers from half of their likes; the other half is held out",
    }.get(kind, "")
    note = "training ends before the first test person arrives" if order == "time" else note
    return Split(kind, seed, least, note, tune, some(stage(test, test, users), data, kind))


def parts(ranked: list[int], share: float = TEST) -> tuple[list[int], list[int]]:
    """(test, validation): the first `share` of `ranked`, at least one, and the VALIDATION after them."""
    test = max(1, round(share * len(ranked)))
    return ranked[:test], ranked[test : test + max(1, round(VALIDATION * len(ranked)))]


def some(stage: Stage, data: Dataset, kind: Kind) -> Stage:
    """`stage`, if anybody is in it. Raises InputError else."""
    if not stage.people:
        raise InputError(f"{data.name}: the {kind} split leaves nobody to test; more people or more likes are needed")
    return stage


def _likes(data: Dataset, seed: int, by_time: bool) -> tuple[list[Rows], list[Rows], int]:
    """Likes in order of revealing and dislikes of every user, and the least number of likes asked of a test person:
    the largest of 10, 5 and 2 that at least half of the people reach (2 when none is)."""
    likes, dislikes = _grouped(data, data.liked, by_time), _grouped(data, data.disliked, by_time)
    if not by_time:
        for u, name in enumerate(data.users):
            ids = tuple(data.ids[r] for r in likes[u])
            likes[u] = likes[u][order_of(ids, seed, f"reveal {name}")] if ids else likes[u]
    counts = np.array([len(rows) for rows in likes])
    least = next((m for m in (10, 5) if (counts >= m).mean() >= 0.5), 2)
    return likes, dislikes, least


def _grouped(data: Dataset, keep: NDArray[np.bool_], by_time: bool) -> list[Rows]:
    index = np.flatnonzero(keep)
    keys = (data.time[index], data.user[index]) if by_time else (data.item[index], data.user[index])
    index = index[np.lexsort(keys)]
    bounds = np.searchsorted(data.user[index], np.arange(len(data.users) + 1))
    items = data.item[index]
    return [items[a:b] for a, b in pairwise(bounds)]


def _cold_items(
    data: Dataset, seed: int, least: int, likes: list[Rows], dislikes: list[Rows],
    people_of: tuple[list[int], list[int]], users: int | None,
) -> Split:  # fmt: skip
    """20% of the items are new for the test, 10% for validation. Revealed: likes among the warm items. Gold and
    candidates: new items only. The people are new as well."""
    behaved = np.unique(data.item)
    shuffled = behaved[order_of(tuple(data.ids[r] for r in behaved), seed, "items")].astype(np.int32)
    a, b = round(0.2 * len(shuffled)), round(0.3 * len(shuffled))
    new, new_validation = np.sort(shuffled[:a]), np.sort(shuffled[a:b])

    def stage(scored: list[int], held: list[int], cold: Rows, hidden: Rows, cap: int | None) -> Stage:
        people = []
        for u in scored:
            gold = likes[u][np.isin(likes[u], cold)]
            shown = likes[u][~np.isin(likes[u], hidden)]
            if len(gold) and len(shown):
                unliked = dislikes[u][np.isin(dislikes[u], cold)]
                people.append(Person(len(people), data.users[u], shown, unliked, gold, cold))
        keep = ~np.isin(data.user, held) & ~np.isin(data.item, hidden)
        return Stage(np.flatnonzero(keep), tuple(people[:cap]))

    test, validation = people_of
    both = np.union1d(new, new_validation).astype(np.int32)
    tune = stage(validation, test + validation, new_validation, both, None)
    note = f"{len(new)} items without behaviour are the only candidates"
    return Split("item", seed, least, note, tune, some(stage(test, test, new, new, users), data, "item"))


def domains(data: Dataset) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Domain of each item [items] (-1 unknown) and the names, from the items' `domain`. InputError without any."""
    values = [str(record.get("domain") or "") for record in data.records]
    names = tuple(sorted({v for v in values if v}))
    if len(names) < 2:
        raise InputError(f"{data.name}: the domain split needs a `domain` in items.jsonl with at least two values")
    return np.array([names.index(v) if v else -1 for v in values], np.int32), names


def _domains(data: Dataset, seed: int, target: str | None, users: int | None) -> Split:
    """Known elsewhere, new here: revealed are likes in the other domains, gold and candidates those of the target
    (the domain with the fewest items, if not named). Warm people keep their rows in every domain."""
    of_item, names = domains(data)
    if target is not None and target not in names:
        raise InputError(f"{data.name} has no domain {target!r}; it has {', '.join(names)}")
    chosen = names.index(target) if target else int(np.bincount(of_item[of_item >= 0]).argmin())
    inside = of_item == chosen
    candidates = np.flatnonzero(inside).astype(np.int32)
    likes, dislikes, _ = _likes(data, seed, False)
    both = [u for u, rows in enumerate(likes) if len(rows) and 0 < inside[rows].sum() < len(rows)]
    if not both:
        raise InputError(f"{data.name}: nobody likes items both in {names[chosen]} and in another domain")
    ranked = [both[i] for i in order_of(tuple(data.users[u] for u in both), seed, "people")]
    test, validation = parts(ranked)

    def stage(scored: list[int], held: list[int], cap: int | None) -> Stage:
        people = []
        for n, u in enumerate(scored[:cap]):
            here = inside[likes[u]]
            unliked = dislikes[u][inside[dislikes[u]]]
            people.append(Person(n, data.users[u], likes[u][~here], unliked, likes[u][here], candidates))
        return Stage(np.flatnonzero(~np.isin(data.user, held)), tuple(people))

    note = f"target domain {names[chosen]}: {len(candidates)} candidates; revealed are likes in the other domains"
    tune = stage(validation, test + validation, None)
    return Split("domain", seed, 1, note, tune, some(stage(test, test, users), data, "domain"))
