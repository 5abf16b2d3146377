"""What each switch after ranking gives and what it costs: the product's own ranking, people held out as in `eval`.

    python benchmarks/after.py DATA [--on validation|test] [--reveal 1,5] [--people 200] [--seed 0]

A catalogue is made of DATA/items.jsonl in a temporary folder and fitted on the training people. "off" is the order as
it is ranked. NDCG@10 with 95 % intervals over people, and the difference to "off" person by person; the same with a
like counting 1 / sqrt(likes of the item) (what people meet less is missing from the data more often: Yang et al.,
*Unbiased offline recommender evaluation for missing-not-at-random implicit feedback*, RecSys 2018); how much more
popular the list is than what was revealed, in ln(1 + likes); the share of places held by the long tail (the least
popular items that hold a fifth of all likes together); coverage, also of the same people's popularity lists.
"""

import argparse
import csv
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.after import OFF, POOL, After, arrange
from snowmelt.agent.ranking import rank
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Entry, Profile
from snowmelt.evals.bench import Bench, prepare
from snowmelt.evals.metrics import calibration, coverage, intra_list_diversity
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.fitting import fit_catalogue
from snowmelt.retrieval.indexing import build

Rows = NDArray[np.int64]
SETTINGS = {
    "off": OFF,
    **{f"discovery {d:g}": After(discovery=d) for d in (0.125, 0.25, 0.375, 0.5, 0.75, 1.0)},
    **{f"diversity {d:g}": After(discovery=0, diversity=d) for d in (0.2, 0.4, 0.6, 0.8)},
    **{f"calibration {d:g}": After(discovery=0, calibration=d) for d in (0.2, 0.4, 0.6, 0.8)},
    **{f"exploration {d:g}": After(discovery=0, exploration=d, seed=0) for d in (0.3, 1.0)},
    "discovery 0.5, calibration 0.4": After(discovery=0.5, calibration=0.4),
    "discovery 0.5, diversity 0.4": After(discovery=0.5, diversity=0.4),
}
LENGTH = 10


@dataclass
class Case:
    """One person: what was revealed and is held out (rows of the catalogue), and the order as it is ranked."""

    shown: list[int]
    gold: Rows
    profile: Profile
    rows: list[int]
    base: NDArray[np.float32]


def recommender(bench: Bench, data: Path, folder: Path) -> Recommender:
    """The product on the items of `data`, fitted on what the bench's training people did."""
    build(data / "items.jsonl", folder / "catalogue", open_embedder())
    place = dict(zip(bench.data.names, bench.data.ids, strict=True))
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("user", "item"))
        train = bench.train
        table.writerows(
            (u, place[train.ids[i]]) for u, i, liked in zip(train.user, train.item, train.liked, strict=True) if liked
        )
    made = Recommender.open(folder / "catalogue")
    fit_catalogue(made.catalogue, folder / "train.csv", seed=bench.train.seed)
    return Recommender(made.catalogue, None)


def cases(bench: Bench, made: Recommender, reveal: int) -> list[Case]:
    at, found = made.catalogue.rows, []
    for person in bench.levels[reveal].people:
        shown, gold = person.at(reveal)
        rows = [at[bench.data.ids[r]] for r in shown if bench.data.ids[r] in at]
        items = [made.catalogue.items[r] for r in rows]
        profile = Profile(likes=tuple(Entry(text=i.title, item_id=i.id, evidence=i.title) for i in items))
        allowed = np.ones(len(at), bool)
        allowed[rows] = False
        ranked, signals = rank(made.catalogue, profile, POOL, allowed=allowed, learned=made.learned)
        held = np.array([at[bench.data.ids[r]] for r in gold if bench.data.ids[r] in at], np.int64)
        found.append(Case(rows, held, profile, ranked, np.sum(list(signals.values()), axis=0)))
    return found


def ndcg(top: Rows, gold: Rows, worth: NDArray[np.floating]) -> float:
    discount = 1 / np.log2(np.arange(2, LENGTH + 2))
    hits = np.where(np.isin(top, gold), worth[top], 0)
    best = np.sort(worth[gold])[::-1][:LENGTH]
    return float((hits * discount[: len(hits)]).sum() / (best * discount[: len(best)]).sum())


def interval(values: NDArray[np.floating], seed: int) -> str:
    drawn = np.random.default_rng(seed).choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{values.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--on", choices=("validation", "test"), default="validation")
    parser.add_argument("--reveal", default="1,5")
    parser.add_argument("--people", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    reveal = [int(k) for k in args.reveal.split(",")]
    bench = prepare(args.data, on=args.on, reveal=reveal, people=args.people, seed=args.seed)
    with tempfile.TemporaryDirectory() as folder:
        made = recommender(bench, args.data, Path(folder))
        likes = np.zeros(len(made.catalogue.ids))
        place = dict(zip(bench.data.names, bench.data.ids, strict=True))
        for item in bench.train.item[bench.train.liked]:
            likes[made.catalogue.rows[place[bench.train.ids[item]]]] += 1
        for k in reveal:
            report(made, cases(bench, made, k), likes, k, args)


def report(made: Recommender, people: list[Case], likes: NDArray[np.float64], k: int, args: argparse.Namespace) -> None:
    from scipy.sparse import csr_matrix

    assert made.learned is not None
    logs, worth, ones = np.log1p(likes), 1 / np.sqrt(np.maximum(likes, 1)), np.ones(len(likes))
    ascending = np.argsort(likes, kind="stable")
    tail = np.zeros(len(likes), bool)
    tail[ascending[np.cumsum(likes[ascending]) <= 0.2 * likes.sum()]] = True
    popular = np.argsort(-likes, kind="stable")
    head = np.array([popular[~np.isin(popular, c.shown)][:LENGTH] for c in people])
    values = made.learned.content.values
    kinds = csr_matrix(values.multiply(1 / np.maximum(np.asarray(values.sum(axis=1)), 1e-9)))
    vectors = csr_matrix(np.asarray(made.catalogue.vectors))
    write = sys.stdout.write
    write(f"\n{args.data.name}, {args.on}, {k} revealed, n = {len(people)}, seed {args.seed}; ")
    write(f"coverage of popularity lists {coverage(head, len(likes)):.4f}\n\n")
    write("| setting | NDCG@10 | against off | rare likes count more | too popular by | tail | coverage | ")
    write("diversity | unlike the profile (KL) |\n|---|---|---|---|---|---|---|---|---|\n")
    off: dict[str, NDArray[np.float64]] = {}
    for name, after in SETTINGS.items():
        top = []
        for case in people:
            order = arrange(after, made.catalogue, case.profile, case.rows, case.base, LENGTH, made.popularity)
            top.append([case.rows[i] for i in order[:LENGTH]])
        lists = np.array(top)
        plain = np.array([ndcg(t, c.gold, ones) for t, c in zip(lists, people, strict=True)])
        rare = np.array([ndcg(t, c.gold, worth) for t, c in zip(lists, people, strict=True)])
        off = off or {"plain": plain, "rare": rare}
        excess = np.array([logs[t].mean() - logs[c.shown].mean() for t, c in zip(lists, people, strict=True)])
        away = calibration(lists, [np.array(c.shown) for c in people], kinds)
        write(
            f"| {name} | {plain.mean():.3f} | {interval(plain - off['plain'], args.seed)} | "
            f"{interval(rare - off['rare'], args.seed)} (of {off['rare'].mean():.3f}) | "
            f"{interval(excess, args.seed)} | {tail[lists].mean():.3f} | {coverage(lists, len(likes)):.4f} | "
            f"{np.nanmean(intra_list_diversity(lists, vectors)):.3f} | {np.nanmean(away):.3f} |\n"
        )


if __name__ == "__main__":
    main()
