"""Do lists change with who somebody is, do some groups get worse lists, and which items are shown at all?

People's side after FaiRLLM (Zhang et al., RecSys 2023, arXiv 2305.07609): the same likes are told with and without a
sensitive attribute, stated ("I am Muslim.") or implied ("Ramadan Mubarak!"). For each attribute SNSR is the range and
SNSV the deviation, over its values, of the mean similarity to the neutral list. Both are 0 where all values shift the
list alike, so the least similarity of any value is told, too.
"""

import csv
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent import Conversation, Recommender
from snowmelt.agent.after import USUAL, After
from snowmelt.evals import charts, metrics
from snowmelt.evals.audit.attacks import lines
from snowmelt.evals.audit.figures import Figure, Part, figure, jaccard, ndcg_of, prag, serp
from snowmelt.evals.audit.subject import FIRST, Person, Subject, listed, without_reasons
from snowmelt.evals.statistics import holm

TOLD = 3  # liked items that a message names
DIAL = (0.0, 0.25, 0.5, 0.75, 1.0)
BANDS = (("the most liked 1 %", 0.01), ("to 5 %", 0.05), ("to 20 %", 0.2), ("the long tail, 80 %", 1.0))
LEAST = 8  # people of a group
MEASURES = {"Jaccard": jaccard, "SERP*": serp, "PRAG*": prag}
TARGETS = {
    "stated_snsr": "= 0", "stated_minimum_similarity": "= 1", "implied_snsr": "<= 0.05",
    "implied_minimum_prag": ">= 0.9",
    "log_popularity_difference": "not > 0", "coverage_times_popularity": ">= 3",
}  # fmt: skip


def measure(subject: Subject) -> Part:
    """The part `fairness`."""
    told: Part = {"targets": TARGETS, "tables": {}, "pictures": {}, "notes": []}
    few = subject.of(6) if subject.quick else subject
    for how in ("stated", "implied"):
        _people(few, how, told)
    _groups(subject, told)
    _items(subject, told)
    return told


def _people(subject: Subject, how: str, told: Part) -> None:
    said = [line for line in lines("attributes.jsonl") if line["how"] == how]
    if subject.quick:  # two values of each attribute
        said = [s for i, s in enumerate(said) if sum(o["attribute"] == s["attribute"] for o in said[:i]) < 2]
    similar = {name: np.full((len(subject.people), len(said)), np.nan) for name in MEASURES}
    changed: list[str] = []
    for i, person in enumerate(subject.people):
        words = " ".join(f"I loved {subject.title(id_)}." for id_ in person.liked[:TOLD])
        known: dict[str, list[str]] = {}
        neutral = list_for(subject.main, words, known)
        for j, one in enumerate(said):
            other = list_for(subject.main, f"{one['text']} {words}", known)
            for name, alike in MEASURES.items():
                similar[name][i, j] = alike(neutral, other)
            if other != neutral:
                changed.append(one["text"])
    attributes = list(dict.fromkeys(one["attribute"] for one in said))
    columns = {a: [j for j, one in enumerate(said) if one["attribute"] == a] for a in attributes}
    rows = []
    for attribute, own in columns.items():
        row: dict[str, Any] = {"attribute": attribute, "values": len(own)}
        for name, table in similar.items():
            row[f"SNSR {name}"], row[f"SNSV {name}"] = _sensitive(table[:, own], subject.seed)
            row[f"least {name}"] = _least(table[:, own], subject.seed)
        rows.append(row)
    told["tables"][f"{how.capitalize()} attributes, {len(subject.people)} people"] = rows
    told[f"{how}_snsr"] = max((row["SNSR PRAG*"] for row in rows), key=lambda f: f["mean"] or 0)
    told[f"{how}_snsv"] = max((row["SNSV PRAG*"] for row in rows), key=lambda f: f["mean"] or 0)
    every = {name: _least(table, subject.seed) for name, table in similar.items()}
    told[f"{how}_minimum_similarity"] = min(every.values(), key=lambda f: 2 if f["mean"] is None else f["mean"])
    told[f"{how}_minimum_prag"] = every["PRAG*"]
    lists = len(said) * len(subject.people)
    worst = max(set(changed), key=changed.count) if changed else ""
    told["notes"].append(
        f"{how.capitalize()}: {len(changed)} of {lists} lists differ from the neutral one"
        + (
            f"; most often after “{worst}” ({changed.count(worst)} of {len(subject.people)} people)."
            if changed
            else "."
        )
    )


def list_for(recommender: Recommender, words: str, known: dict[str, list[str]] | None = None) -> list[str]:
    """The first ids of the list for somebody who says `words` and nothing else. `known` keeps the lists of profiles:
    that the same profile gives the same list is for `stability` to ask."""
    with without_reasons():
        conversation, _ = recommender.reply(Conversation(), words)
        profile, known = conversation.in_force, {} if known is None else known
        key = profile.model_dump_json()
        if key not in known:
            known[key] = [r.item.id for r in recommender.recommend(profile, FIRST)]
        return known[key]


def _sensitive(table: NDArray[np.float64], seed: int) -> tuple[Figure, Figure]:
    """(SNSR, SNSV) of one attribute, with percentile bootstraps over people. `table` [people, values]."""
    rng = np.random.default_rng([seed, 0xFA])
    drawn = rng.integers(0, len(table), size=(1000, len(table)))
    means = table[drawn].mean(axis=1)  # [draws, values]

    def told(spread: Any) -> Figure:
        low, high = np.percentile(spread(means), [2.5, 97.5])
        return {
            "mean": float(spread(table.mean(axis=0)[None])[0]),
            "low": float(low),
            "high": float(high),
            "n": len(table),
        }

    return told(lambda m: m.max(axis=1) - m.min(axis=1)), told(lambda m: m.std(axis=1))


def _least(table: NDArray[np.float64], seed: int) -> Figure:
    """Mean similarity under the value where it is least."""
    return figure(table[:, int(table.mean(axis=0).argmin())], seed) if table.size else figure(())


def _groups(subject: Subject, told: Part) -> None:
    """NDCG@10 by what `users.csv` says of people, where there is one; numbers are cut into thirds."""
    path = subject.folder / "users.csv"
    people = [p for p in subject.people if p.gold]
    if not path.is_file() or not people:
        told["notes"].append("No users.csv with attributes of people: quality by group is not measured.")
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = {next(iter(row.values())): row for row in csv.DictReader(file)}
    lists = {p.name: listed(subject.main, p.liked) for p in people}
    quality = np.array([ndcg_of(lists[p.name], p.gold) for p in people])
    found, ps = [], []
    for column in list(next(iter(rows.values()), {}))[1:]:
        groups = _grouped([rows.get(p.name, {}).get(column) or "" for p in people])
        for name, inside in groups.items():
            if name and LEAST <= inside.sum() <= len(people) - LEAST:
                gap = quality[inside].mean() - quality[~inside].mean()
                found.append({"of": column, "group": name, "NDCG@10": figure(quality[inside], subject.seed),
                              "minus all others": float(gap)})  # fmt: skip
                ps.append(_shuffled_p(quality, inside, subject.seed))
    for row, p in zip(found, holm(ps), strict=True):
        row["p (Holm)"] = p
    told["tables"]["Quality by group of people"] = found
    if found:
        least = min(found, key=lambda r: r["minus all others"])
        told["largest_group_gap"] = {"mean": least["minus all others"], "low": None, "high": None, "n": len(people)}
        told["notes"].append(
            f"Served worst: {least['of']} {least['group']}, {least['minus all others']:+.3f} NDCG@10 against all "
            f"others, p (Holm over {len(found)} groups) {least['p (Holm)']:.2f}."
        )


def _grouped(values: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    numbers = np.array([float(v) if v.replace(".", "", 1).isdigit() else np.nan for v in values])
    if np.isfinite(numbers).mean() > 0.9 and len(np.unique(numbers[np.isfinite(numbers)])) > 6:
        cuts = np.unique(np.nanquantile(numbers, [0, 1 / 3, 2 / 3, 1]))
        cuts[-1] += 1
        return {f"{a:.0f} to below {b:.0f}": (numbers >= a) & (numbers < b) for a, b in pairwise(cuts)}
    table = np.array(values, object)
    return {name: table == name for name in sorted(set(values))}


def _shuffled_p(quality: NDArray[np.float64], inside: NDArray[np.bool_], seed: int) -> float:
    """Two-sided p of a gap this large with the groups drawn by lot (2,000 permutations)."""
    rng = np.random.default_rng([seed, int(inside.sum())])
    gap = abs(quality[inside].mean() - quality[~inside].mean())
    hits = 0
    for _ in range(2000):
        drawn = rng.permutation(inside)
        hits += abs(quality[drawn].mean() - quality[~drawn].mean()) >= gap - 1e-12
    return (hits + 1) / 2001


def _items(subject: Subject, told: Part) -> None:
    """The providers' side: whose items are shown, against what people like and against showing what is popular."""
    data, people, recommender = subject.data, subject.people, subject.main
    if not len(subject.warm):
        told |= dict.fromkeys(("log_popularity_difference", "coverage", "coverage_times_popularity"), figure(()))
        told["notes"].append("No behaviour: how popular what is shown is, and for whom, is not measured.")
        return
    warm = subject.warm[data.liked[subject.warm]]
    counts, row_of = np.bincount(data.item[warm], minlength=len(data.ids)), data.rows
    liked = [np.array([row_of[i] for i in p.liked], np.int64) for p in people]
    popular = np.argsort(-counts, kind="stable")
    top = np.array([[r for r in popular[: FIRST + len(own)] if r not in own][:FIRST] for own in liked])
    rows, curve = [_shown(subject, "popularity", top, liked, counts)], []
    for discovery in DIAL[::2] if subject.quick else DIAL:
        lists = _lists(subject, recommender, people, After(discovery=discovery))
        name = f"discovery {discovery:g}" + (", the default" if discovery == USUAL.discovery else "")
        rows.append(_shown(subject, name, lists, liked, counts))
        curve.append((discovery, rows[-1]["NDCG@10"], rows[-1]["long tail"]))
    told["tables"]["What is shown, by the discovery dial"] = rows
    told["tables"]["Exposure by popularity, share of places"] = [
        {"list": row["list"], **row.pop("bands")} for row in rows
    ]
    usual = next(row for row in rows if "default" in row["list"])
    told["log_popularity_difference"] = usual["log-popularity difference"]
    told["coverage"], told["gini"] = usual["coverage@10"], usual["Gini"]
    told["coverage_times_popularity"] = usual["coverage@10"] / max(rows[0]["coverage@10"], 1e-9)
    for i, name in enumerate(("NDCG@10", "long tail, share")):
        points = [(d, one[i + 1]["mean"], one[i + 1]["low"], one[i + 1]["high"]) for d, *_ in curve for one in
                  [next(c for c in curve if c[0] == d)] if one[i + 1]["mean"] is not None]  # fmt: skip
        if points:
            told["pictures"][f"The discovery dial: {name}"] = charts.curves(
                [charts.Line(name, points, f"s{i}")], "discovery", name
            )


def _lists(
    subject: Subject, recommender: Recommender, people: Sequence[Person], after: After
) -> NDArray[np.int64]:  # fmt: skip
    """Item rows of the data set [people, FIRST], -1 where a list is shorter."""
    result = np.full((len(people), FIRST), -1, np.int64)
    for i, person in enumerate(people):
        found = listed(recommender, person.liked, FIRST, after)
        result[i, : len(found)] = [subject.data.rows[id_] for id_ in found]
    return result


def _shown(
    subject: Subject, name: str, top: NDArray[np.int64], liked: Sequence[NDArray[np.int64]], counts: NDArray[np.int64]
) -> dict[str, Any]:
    items, seed = len(subject.data.ids), subject.seed
    warm_people = len(np.unique(subject.data.user[subject.warm]))
    popular = metrics.popularity_metrics(top, liked, counts, warm_people)
    place = np.empty(items)
    place[np.argsort(-counts, kind="stable")] = np.arange(items) / items
    edges = [0.0, *(edge for _, edge in BANDS)]
    inside = top >= 0
    shares: Mapping[str, NDArray[np.float64]] = {
        band: (inside & (place[np.maximum(top, 0)] >= low) & (place[np.maximum(top, 0)] < high)).sum(axis=1)
        / np.maximum(inside.sum(axis=1), 1)
        for (band, high), low in zip(BANDS, edges, strict=False)
    }
    ids = subject.data.ids
    quality = [ndcg_of([ids[r] for r in own if r >= 0], p.gold) for own, p in zip(top, subject.people, strict=True)]
    return {
        "list": name, "NDCG@10": figure(quality, seed),
        "log-popularity difference": figure(popular["log_popularity_difference"], seed),
        "coverage@10": metrics.coverage(top, items), "Gini": metrics.gini(top, items),
        "long tail": figure(shares[BANDS[-1][0]], seed), "bands": {b: figure(s, seed) for b, s in shares.items()},
    }  # fmt: skip
