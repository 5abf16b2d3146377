"""Somebody likes one thing and asks for another: does the list follow the words? Where there is no behaviour.

    python benchmarks/asked.py DIR DATA [--people 150]

DIR is the catalogue of DATA/items.jsonl, not fitted. A kind is a word in a hundredth to a twentieth of all titles. Each
person likes one item of their own and asks for a kind that another of theirs has and the liked one has not; told are
the shares of ten items that are of the kind asked for and of a kind of the liked item, seed 0.
"""

import argparse
import csv
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from snowmelt.agent import Profile, Recommender
from snowmelt.agent.types import Entry
from snowmelt.evals.statistics import interval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, default=150)
    args = parser.parse_args()
    recommender = Recommender.open(args.directory)
    catalogue, rng = recommender.catalogue, np.random.default_rng(0)
    words = [set(re.findall(r"[^\W\d_]{4,}", title.casefold())) for title in catalogue.titles]
    often = Counter(word for title in words for word in title)
    kinds = {word for word, n in often.items() if 0.01 <= n / len(words) <= 0.05}
    met: dict[str, list[int]] = defaultdict(list)
    with (args.data / "interactions.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["item"] in catalogue.rows:
                met[row["user"]].append(catalogue.rows[row["item"]])
    of_asked, of_liked = [], []
    for user in rng.permutation(sorted(met)):
        liked, other = (int(r) for r in rng.choice(met[user], 2))
        fresh = sorted(kinds & words[other] - words[liked])
        if not fresh or not kinds & words[liked] or len(of_asked) == args.people:
            continue
        asked = str(rng.choice(fresh))
        told = Entry(text=catalogue.titles[liked], item_id=catalogue.ids[liked], evidence=catalogue.titles[liked])
        found = recommender.recommend(Profile(likes=(told, Entry(text=asked, evidence=asked))), 10)
        texts = [words[catalogue.rows[r.item.id]] for r in found]
        of_asked.append(np.mean([asked in t for t in texts]))
        of_liked.append(np.mean([bool(kinds & words[liked] & t) and asked not in t for t in texts]))
    for name, values in (("of the kind asked for", of_asked), ("only of a kind of the liked item", of_liked)):
        at = interval(np.array(values))
        sys.stdout.write(f"{name}: {at.mean:.3f} [{at.low:.3f}, {at.high:.3f}], n {at.n}\n")


if __name__ == "__main__":
    main()
