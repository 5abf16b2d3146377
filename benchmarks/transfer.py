"""Does the gate of `snowmelt transfer` choose the better of "transfer" and "don't"?

    python benchmarks/transfer.py DATA_FOLDER [--seed 0] [--only NAME] [--kept FILE]

DATA_FOLDER holds amazon-cross-domain, ml-100k, lastfm-hetrec, amazon-office and redial. A fifth of the people who can
be tested are taken away before anything is looked at; the gate (`domains.judged`) decides on the rest; then both are
tried on the people taken away. "Young": the target has the likes of 150 people only. "apart": nobody is known in both.
Right: the chosen one is the better on the test people. The difference comes with its 95 % interval; where that holds 0,
neither is really better. With `--kept` a run that was cut goes on.
"""

import argparse
import json
import sys
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from snowmelt.evals.bench import CACHE, train_of
from snowmelt.evals.data import Dataset, attributes_of
from snowmelt.evals.loading import load
from snowmelt.evals.splits import Stage
from snowmelt.evals.statistics import interval
from snowmelt.evals.text_arms import item_vectors
from snowmelt.retrieval.domains import Domain, able_to_judge, joined, judged, liked_often, tried
from snowmelt.retrieval.lexical import Lexical
from snowmelt.retrieval.transfer import content

TESTED = 300
YOUNG = 150


def domains_of(data: Dataset, seed: int) -> dict[str, Domain]:
    """Each domain of a data set (or the whole of it) as the product reads it."""
    train = train_of(data, Stage(np.arange(len(data.user)), ()), seed, CACHE, None)
    vectors = item_vectors(replace(train, settings={"text": "all"}))
    names = np.array([str(r.get("domain") or data.name) for r in train.records], object)
    told = list(map(attributes_of, train.records))
    found = {}
    for name in sorted(set(names)):
        rows = np.flatnonzero(names == name)
        likes = train.likes[:, rows].tocsr()
        people = np.flatnonzero(np.diff(likes.indptr))
        titles = [str(train.records[r]["title"]) for r in rows]
        texts = Lexical([train.texts[r] for r in rows], titles)
        own = content(vectors[rows], [told[r] for r in rows], texts)
        found[name] = Domain(name, titles, titles, own, likes[people], [f"{data.name} {p}" for p in people])
    return found


def apart(domain: Domain) -> Domain:
    return replace(domain, people=[f"other {p}" for p in domain.people])


def young(domain: Domain, seed: int) -> Domain:
    keep = np.sort(np.random.default_rng(seed).permutation(domain.likes.shape[0])[: 2 * YOUNG])
    return replace(domain, likes=domain.likes[keep], people=[domain.people[p] for p in keep])


def without(domain: Domain, gone: set[str]) -> Domain:
    keep = [i for i, p in enumerate(domain.people) if p not in gone]
    return replace(domain, likes=domain.likes[keep], people=[domain.people[i] for i in keep])


def names_of(target: Domain, source: Domain) -> list[str]:
    return list(dict.fromkeys([*target.people, *source.people]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="settings whose name has this in it")
    parser.add_argument("--kept", type=Path, help="rows of the table, one JSON line each")
    args = parser.parse_args()
    seed = args.seed
    every = domains_of(load(args.data / "amazon-cross-domain"), seed)
    shops = sorted(every)
    for name in ("ml-100k", "lastfm-hetrec", "amazon-office", "redial"):
        every |= domains_of(load(args.data / name), seed)
    settings: dict[str, tuple[Domain, Domain]] = {}
    for a, b in permutations(shops, 2):
        settings[f"{a} -> {b}"] = every[b], every[a]
        settings[f"{a} -> {b}, apart"] = every[b], apart(every[a])
    for a, b in (("ml-100k", "lastfm-hetrec"), ("lastfm-hetrec", "amazon-office"), ("amazon-office", "ml-100k"),
                 ("ml-100k", "redial"), ("redial", "ml-100k"), ("Toys", "amazon-office")):  # fmt: skip
        settings[f"{a} -> {b}"] = every[b], every[a]
    for a, b in (("Beauty", "Toys"), ("Toys", "Sports"), ("ml-100k", "lastfm-hetrec"), ("redial", "ml-100k")):
        settings[f"{a} -> young {b}, apart"] = young(every[b], seed), apart(every[a])
    chosen = {name: pair for name, pair in settings.items() if args.only in name}
    rows: dict[str, dict[str, Any]] = {}
    if args.kept and args.kept.exists():
        rows = {row["name"]: row for row in map(json.loads, args.kept.read_text("utf-8").splitlines())}
    for name, (target, source) in chosen.items():
        if name in rows:
            continue
        rows[name] = {"name": name, **measured(target, source, seed)}
        if args.kept:
            with args.kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[name]) + "\n")
    write = sys.stdout.write
    write("| source -> target | shared | Frechet | gate: without, with (n) | chosen | test: without, with (n) ")
    write("| difference [95%] | right |\n" + "|---" * 8 + "|\n")
    for name in chosen:
        row = rows[name]
        write(
            f"| {name} | {row['shared']:,} | {row['frechet']:.2f} | {row['gate'][0]:.3f}, {row['gate'][1]:.3f} "
            f"({row['judges']}) | {'transfer' if row['helps'] else 'refuse'} | {row['test'][0]:.3f}, "
            f"{row['test'][1]:.3f} ({row['n']}, {row['kind']}) | {row['gain'][0]:+.4f} [{row['gain'][1]:+.4f}, "
            f"{row['gain'][2]:+.4f}] | {'yes' if row['right'] else 'no'} |\n"
        )
    n, right = len(chosen), sum(rows[name]["right"] for name in chosen)
    wrong = sum(not rows[name]["right"] and rows[name]["gain"][1] * rows[name]["gain"][2] > 0 for name in chosen)
    low, high = wilson(right, n)
    write(f"\nright in {right} of {n} ({right / n:.2f} [{low:.2f}, {high:.2f}], Wilson); ")
    write(f"really wrong (the interval of the difference does not hold 0) in {wrong}; seed {seed}\n")


def measured(target: Domain, source: Domain, seed: int) -> dict[str, Any]:
    """One setting: what the gate saw and chose, and both choices on people that it never saw."""
    source = liked_often(source)
    X, together, _ = joined(target, [source])
    able, kind = able_to_judge(X, target)
    test = np.random.default_rng([seed, 0x7E]).permutation(able)[: min(TESTED, len(able) // 5)]
    people = names_of(target, source)
    gone = {people[i] for i in test}
    verdict = judged(without(target, gone), [without(source, gone)], seed)
    a, b = tried(X, together, target.content, test, kind, seed)
    gain = interval(b - a)
    return {
        "shared": verdict.distance.shared, "frechet": verdict.distance.frechet,
        "gate": [verdict.without, verdict.with_], "judges": verdict.judges, "helps": bool(verdict.helps),
        "test": [float(a.mean()), float(b.mean())], "n": len(test), "kind": kind,
        "gain": [gain.mean, gain.low, gain.high], "right": bool(verdict.helps) == bool(gain.mean > 0),
    }  # fmt: skip


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson, JASA 1927)."""
    p, half = hits / n, z * np.sqrt(hits / n * (1 - hits / n) / n + z * z / (4 * n * n))
    middle, scale = p + z * z / (2 * n), 1 + z * z / n
    return float((middle - half) / scale), float((middle + half) / scale)


if __name__ == "__main__":
    main()
