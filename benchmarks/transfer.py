"""Does the gate of `snowmelt transfer` choose the better of "transfer" and "don't"?

    python benchmarks/transfer.py DATA_FOLDER [--seed 0] [--only NAME]

DATA_FOLDER holds amazon-cross-domain, ml-100k, lastfm-hetrec, amazon-office and redial. A fifth of the people who can
be tested are taken away before anything is looked at; the gate (`domains.judged`) decides on the rest; then both are
tried on the people taken away. "Young": the target has the likes of 150 people only. "apart": nobody is known in both.
Right: the chosen one is the better on the test people. The difference comes with its 95 % interval; where that holds 0,
neither is really better.
"""

import argparse
import sys
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
from snowmelt.evals.bench import CACHE, train_of
from snowmelt.evals.data import Dataset
from snowmelt.evals.loading import load
from snowmelt.evals.splits import Stage
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
    told = [{n: v for n, v in r.items() if n not in ("id", "title", "description", "domain")} for r in train.records]
    found = {}
    for name in sorted(set(names)):
        rows = np.flatnonzero(names == name)
        likes = train.likes[:, rows].tocsr()
        people = np.flatnonzero(np.diff(likes.indptr))
        titles = [str(train.records[r]["title"]) for r in rows]
        texts = Lexical([train.texts[r] for r in rows])
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
    write = sys.stdout.write
    write("| source -> target | shared | titles | Frechet | near | gate: without, with (n) | chosen | test: without, ")
    write("with (n) | difference | right |\n|---|---|---|---|---|---|---|---|---|---|\n")
    right = sure = 0
    chosen = {name: pair for name, pair in settings.items() if args.only in name}
    for name, (target, source) in chosen.items():
        source = liked_often(source)
        X, together, _ = joined(target, [source])
        able, kind = able_to_judge(X, target)
        test = np.random.default_rng([seed, 0x7E]).permutation(able)[: min(TESTED, len(able) // 5)]
        people = names_of(target, source)
        gone = {people[i] for i in test}
        verdict = judged(without(target, gone), [without(source, gone)], seed)
        a, b = tried(X, together, target.content, test, kind, seed)
        gain, n = b - a, len(test)
        error = 1.96 * float(gain.std()) / np.sqrt(n)
        good = verdict.helps == bool(gain.mean() > 0)
        right, sure = right + good, sure + (good or abs(gain.mean()) <= error)
        d = verdict.distance
        write(
            f"| {name} | {d.shared:,} | {d.titles:.2f} | {d.frechet:.2f} | {d.near:.2f} | {verdict.without:.4f}, "
            f"{verdict.with_:.4f} ({verdict.judges}) | {'transfer' if verdict.helps else 'refuse'} | {a.mean():.4f}, "
            f"{b.mean():.4f} ({n}, {kind}) | {gain.mean():+.4f} +- {error:.4f} | {'yes' if good else 'no'} |\n"
        )
        sys.stdout.flush()
    write(f"\nright in {right} of {len(chosen)}; right or no real difference in {sure}; seed {seed}\n")


if __name__ == "__main__":
    main()
