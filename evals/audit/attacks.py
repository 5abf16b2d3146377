"""Texts that sellers write, each against benign padding of equal length in the same place of the same item.

A round changes a few items of the catalogue, once with the attacks and once with padding; both are read and indexed
as any catalogue is, and the same people get lists from each. A pair is one person and one changed item that stood
within reach for them (places `low` to `high` before anything was changed).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from snowmelt.agent import Recommender
from snowmelt.evals.audit.figures import Figure, paired
from snowmelt.evals.audit.subject import Person, Subject, edited, listed

DEPTH = 30  # places of a list that are looked at; what is not among them counts as the next one
SHARE = 0.04  # of the items are changed at a time, so that attacks hardly meet each other

System = Callable[[Mapping[str, Recommender], Person], list[str]]
"""(recommenders of one catalogue by name, person) -> ids, best first, at most DEPTH."""


@dataclass(frozen=True)
class Text:
    """A template. `aimed`: it uses what one person likes, and is counted for that person alone."""

    kind: str
    text: str
    aimed: bool = False


@dataclass(frozen=True)
class Pair:
    """Places from 0, DEPTH for none of them: `before` any change, with the attack, with padding."""

    system: str
    person: int
    item: str
    kind: str
    round: int
    before: int
    attacked: int
    padded: int


def lines(name: str) -> list[dict[str, Any]]:
    """Objects of a JSON Lines file that comes with the audit."""
    text = (files("snowmelt.evals.audit") / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def texts(name: str) -> list[Text]:
    return [Text(line["kind"], line["text"], bool(line.get("aimed"))) for line in lines(name)]


@cache
def _padding() -> str:
    return " ".join((files("snowmelt.evals.audit") / "padding.txt").read_text(encoding="utf-8").split())


def padding(length: int) -> str:
    """Text that says nothing, `length` characters of it."""
    times = length // len(_padding()) + 1
    return " ".join([_padding()] * times)[:length]


def filled(text: str, values: Mapping[str, str]) -> str:
    """Every {name} replaced; str.format would stumble over the braces that attacks contain."""
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def product(name: str) -> System:
    """The lists of one recommender, as the product gives them."""

    def system(made: Mapping[str, Recommender], person: Person) -> list[str]:
        return listed(made[name], person.liked, DEPTH)

    return system


def attack(
    subject: Subject, name: str, chosen: Sequence[Text], column: str, systems: Mapping[str, System], rounds: int,
    low: int, high: int, values: Callable[[str, Person], Mapping[str, str]],
) -> list[Pair]:  # fmt: skip
    """Pairs of `rounds` rounds, of people for whom the item stood at place `high` or above. `column`: the field that is
    written to ("description", "title"). `values(item id, person)` fills the templates. Rounds are kept where the
    subject says, under `name`."""
    people = subject.people
    before = {n: [_places(system(subject.made, p)) for p in people] for n, system in systems.items()}
    used: set[str] = set()
    pairs: list[Pair] = []
    most = max(1, int(SHARE * len(subject.data.ids)))
    for number in range(rounds):
        rng = np.random.default_rng([subject.seed, 0xA77, number])
        targets = _targets(before, used, min(most, max(len(chosen), 24)), low, high, rng)
        if not targets:
            break
        used.update(targets)
        kept = subject.kept / f"{name}-{number}.json" if subject.kept else None
        if kept is not None and kept.is_file():
            told = json.loads(kept.read_text("utf-8"))
            if told["targets"] == targets:
                pairs += [Pair(**one) for one in told["pairs"]]
                continue
        found: list[Pair] = []
        assigned = {}
        for n, item in enumerate(targets):
            text = chosen[(n + number * len(targets)) % len(chosen)]
            near = [(s, i) for s in systems for i in range(len(people)) if low <= before[s][i].get(item, DEPTH) <= high]
            person = near[int(rng.integers(len(near)))][1]
            assigned[item] = (text, person, filled(text.text, values(item, people[person])))
        records = {str(r["id"]): r for r in subject.data.records}
        attacked, padded = {}, {}
        for item, (_, _, text) in assigned.items():
            own = str(records[item].get(column) or "")
            for changes, words in ((attacked, text), (padded, padding(len(text)))):
                parts = [own, words] if column == "title" or number % 2 == 0 else [words, own]
                changes[item] = {column: " ".join(p for p in parts if p)}
        places: list[dict[str, list[dict[str, int]]]] = []
        for changes in (attacked, padded):
            variant = subject.variant(edited(subject.data.records, changes))
            places.append({n: [_places(system(variant, p)) for p in people] for n, system in systems.items()})
            subject.drop(variant)
        for system in systems:
            for i in range(len(people)):
                for item, (text, aim, _) in assigned.items():
                    place = before[system][i].get(item, DEPTH)
                    if place <= high and (not text.aimed or aim == i):
                        with_attack, with_padding = (p[system][i].get(item, DEPTH) for p in places)
                        found.append(Pair(system, i, item, text.kind, number, place, with_attack, with_padding))
        pairs += found
        if kept is not None:
            told = {"targets": targets, "pairs": [asdict(one) for one in found]}
            kept.write_text(json.dumps(told, ensure_ascii=False), "utf-8")
    return pairs


def _places(ids: Sequence[str]) -> dict[str, int]:
    return {id_: place for place, id_ in enumerate(ids[:DEPTH])}


def _targets(
    before: Mapping[str, Sequence[Mapping[str, int]]], used: set[str], count: int, low: int, high: int,
    rng: np.random.Generator,
) -> list[str]:  # fmt: skip
    """Items within reach of many people, as many for each system: the more people, the more pairs a round has."""
    queues = []
    for lists in before.values():
        reach: dict[str, int] = {}
        for places in lists:
            for item, place in places.items():
                if low <= place <= high and item not in used:
                    reach[item] = reach.get(item, 0) + 1
        names = sorted(reach)
        noise = rng.random(len(names))
        queues.append([names[i] for i in sorted(range(len(names)), key=lambda i: (-reach[names[i]], noise[i]))])
    found: dict[str, None] = {}
    while len(found) < count and any(queues):
        for queue in queues:
            while queue and queue[0] in found:
                queue.pop(0)
            if queue and len(found) < count:
                found[queue.pop(0)] = None
    result = list(found)
    return [result[i] for i in rng.permutation(len(result))]


def below(pairs: Sequence[Pair], top: int) -> list[Pair]:
    """Those whose item did not stand among the first `top`: all that a seller can gain."""
    return [p for p in pairs if p.before >= top]


def lift(pairs: Sequence[Pair], top: int, seed: int, against: str = "padded", says: str = "attacked") -> Figure:
    """How much more often an item is among the first `top` with the attack, in shares (0.01: one point). Of all pairs
    and against "before", this is what is left of it for sellers who do not know where they stand: some fall."""
    values = [float(getattr(p, says) < top) - float(getattr(p, against) < top) for p in pairs]
    return paired(values, [p.person for p in pairs], [(p.round, p.item) for p in pairs], seed=seed)


def rise(pairs: Sequence[Pair], seed: int) -> Figure:
    """Places gained over padding."""
    values = [float(p.padded - p.attacked) for p in pairs]
    return paired(values, [p.person for p in pairs], [(p.round, p.item) for p in pairs], seed=seed)


def by(pairs: Sequence[Pair], name: str, top: int, seed: int) -> list[dict[str, Any]]:
    """One row for each value of the field `name`, the largest lift over padding first."""
    rows = []
    for value in dict.fromkeys(getattr(p, name) for p in pairs):
        every = [p for p in pairs if getattr(p, name) == value]
        mine = below(every, top)
        if mine:
            rows.append(
                {name: value, f"lift into top {top}": lift(mine, top, seed),
                 "over the untouched item": lift(mine, top, seed, "before"),
                 "padding over the untouched item": lift(mine, top, seed, "before", "padded"),
                 "net of those who fall": lift(every, top, seed, "before"), "places gained": rise(mine, seed),
                 "pairs": len(mine), "items": len({(p.round, p.item) for p in mine})}
            )  # fmt: skip
    return sorted(rows, key=lambda row: -row[f"lift into top {top}"]["mean"])
