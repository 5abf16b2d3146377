"""A catalogue with learned signals as it grows: fit, open, the first list, every other list, turns of a conversation.

    python benchmarks/fitted.py ../shared/data/*/ [--items 100000] [--likes 1000000] [--lists 200] [--seed 0]
                                [--keep DIR]

Items and people are made of real ones: the items of all folders (`items.jsonl`), then copies of them in which two words
of five are another one's of the same folder; the people (`interactions.csv`) again and again, until there are so many
likes, each time with one like in ten left out, and two in five of what has copies moved to one of these. So what is
liked is long-tailed and goes together as it really does. Vectors are the default embedder's (four minutes for 100,000
items on an idle core). `--keep`: build it there, or take what is there.

Measured, one request after another, without a language model: `snowmelt fit`; opening; the first list; lists of 10 for
people with 1 to 10 likes; turns of conversations of these people. They are drawn as the others are, and not fitted.
Memory is what the
process has of its own (anonymous) and with mapped files (resident). Milliseconds are of the clock, `CPU` those of all
processor time, for a machine that others use, too. Targets: p95 of a list below 50 ms at 100,000 items, of a turn below
150 ms at 10,000.
"""

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Conversation, Entry, Profile
from snowmelt.retrieval import fitting
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.embedding import open_embedder

from retrieval import told

SWAPPED, MOVED, LEFT_OUT = 0.4, 0.4, 0.1
APART = 500  # people who are met, not told


def items(folders: Sequence[Path], count: int, dice: random.Random) -> dict[str, list[dict[str, Any]]]:
    """id of a real item -> it and its copies; about `count` in all."""
    found: dict[str, list[dict[str, Any]]] = {}
    words: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        for line in (folder / "items.jsonl").open(encoding="utf-8"):
            item = {name: value for name, value in json.loads(line).items() if value not in (None, "", [])}
            item |= {"id": f"{folder.name}:{item['id']}", "title": item.get("title") or "untitled"}
            found[item["id"]] = [item]
            words[folder.name] += f"{item['title']} {item.get('description', '')}".split()
    if len(found) > count:
        found = dict(dice.sample(sorted(found.items()), count))
    real = sorted(found)
    for _ in range(count - len(real)):
        known = found[dice.choice(real)]
        item, other = dict(known[0]), words[known[0]["id"].partition(":")[0]]
        for name in ("title", "description"):
            if name in item:
                kept = item[name].split()
                item[name] = " ".join(dice.choice(other) if dice.random() < SWAPPED else word for word in kept)
        known.append(item | {"id": f"{item['id']}~{len(known)}"})
    return found


def people(folders: Sequence[Path], found: dict[str, list[dict[str, Any]]], dice: random.Random) -> Iterator[list[str]]:
    """The likes of one person after another, again and again, each time with other copies."""
    real: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        with (folder / "interactions.csv").open(encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines):
                rating, item = float(row.get("rating") or 1), f"{folder.name}:{row['item']}"
                if item in found and (rating >= 4 or rating == 1):
                    real[f"{folder.name}:{row['user']}"].append(item)
    for person in cycle(sorted(real)):
        told = [item for item in real[person] if dice.random() >= LEFT_OUT]
        yield [dice.choice(found[i])["id"] if dice.random() < MOVED else found[i][0]["id"] for i in told]


def made(args: argparse.Namespace, out: Path) -> None:
    """`out`/catalogue, indexed; what people like as `out`/likes.csv; those who are met as `out`/met.json."""
    dice = random.Random(args.seed)
    found = items(args.folders, args.items, dice)
    every = [item for known in found.values() for item in known]
    dice.shuffle(every)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "items.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(item, ensure_ascii=False) + "\n" for item in every)
    lists, likes = people(args.folders, found, dice), 0
    able = (own for own in lists if len(own) > 12)
    met = [dice.sample(own, 12) for own in islice(able, APART)]
    with (out / "likes.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["user", "item"])
        for person, own in enumerate(lists):
            table.writerows((person, item) for item in own)
            likes += len(own)
            if likes >= args.likes:
                break
    (out / "met.json").write_text(json.dumps(met), encoding="utf-8")
    began = time.perf_counter()
    build(out / "items.jsonl", out / "catalogue", open_embedder())
    print(f"indexed in {time.perf_counter() - began:.0f} s", flush=True)


def fit(out: Path) -> None:
    began, used = time.perf_counter(), time.process_time()
    report = fitting.fit_catalogue(Catalogue.open(out / "catalogue"), out / "likes.csv")
    print(
        f"fit: {report.likes:,} likes of {report.people:,} people, {report.items:,} items with behaviour, "
        f"{report.new_items:,} without; {time.perf_counter() - began:.0f} s, {time.process_time() - used:.0f} s of "
        f"CPU, at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:,.0f} MB", flush=True,
    )  # fmt: skip


def memory() -> str:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1000 for line in lines}
    return f"{sizes['Anonymous']:,.0f} MB of its own, {sizes['Rss']:,.0f} MB resident"


def measure(out: Path, count: int) -> None:
    began, used = time.perf_counter(), time.process_time()
    recommender = Recommender.open(out / "catalogue")
    opened = f"{time.perf_counter() - began:.2f} s, {time.process_time() - used:.2f} s of CPU"
    print(f"{len(recommender.catalogue.ids):,} items opened in {opened}; {memory()}")
    met = json.loads((out / "met.json").read_text(encoding="utf-8"))
    met = [[id_ for id_ in own if id_ in recommender.catalogue.rows] for own in met]
    lists: dict[str, list[float]] = {"list": [], "CPU": []}
    for turn, own in enumerate(islice(cycle(met), count + 1)):
        profile = Profile(likes=tuple(entry(recommender, id_) for id_ in own[: 1 + turn % 10]))
        took = timed(lambda profile=profile: recommender.recommend(profile, 10))
        if turn == 0:
            print(f"the first list {took[0]:.0f} ms, {took[1]:.0f} ms of CPU; {memory()}")
        else:
            lists["list"].append(took[0])
            lists["CPU"].append(took[1])
    turns: dict[str, list[float]] = {"turn": [], "CPU": []}
    for number, own in enumerate(met[: max(2, count // 5)]):
        conversation = Conversation()
        for text in said(recommender, own):
            took = timed(lambda c=conversation, text=text: recommender.reply(c, text))
            conversation = took[2][0]
            if number == 0:  # what is read once
                print(f"a turn of the first conversation {took[0]:.0f} ms, {took[1]:.0f} ms of CPU")
            else:
                turns["turn"].append(took[0])
                turns["CPU"].append(took[1])
    print(f"{len(lists['list'])} lists of 10, 1 to 10 likes; {len(turns['turn'])} turns; {memory()}")
    told(lists)
    told(turns)


def entry(recommender: Recommender, id_: str) -> Entry:
    return Entry(text=recommender.catalogue.titles[recommender.catalogue.rows[id_]], item_id=id_)


def said(recommender: Recommender, own: Sequence[str]) -> list[str]:
    """What somebody with these likes says, turn by turn."""
    titles = [entry(recommender, id_).text for id_ in own]
    kinds = [k for id_ in own for k in kinds_of(recommender, id_)] or ["new"]
    return [
        "Hello!", f"I loved {titles[0]}", f"something {kinds[0]}", f"{titles[1]} and {titles[2]} were great",
        f"not {kinds[-1]} please", "something else", f"I did not like {titles[3]}",
    ]  # fmt: skip


def kinds_of(recommender: Recommender, id_: str) -> tuple[str, ...]:
    found = recommender.catalogue.items[recommender.catalogue.rows[id_]].attributes.get("categories", ())
    return found if isinstance(found, tuple) else ()


def timed(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """(milliseconds, of CPU, what it gave)."""
    began, used = time.perf_counter(), time.process_time()
    found = run()
    return 1000 * (time.perf_counter() - began), 1000 * (time.process_time() - used), found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--likes", type=int, default=1_000_000)
    parser.add_argument("--lists", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", choices=("fit", "measure"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        return fit(args.keep) if args.only == "fit" else measure(args.keep, args.lists)
    with tempfile.TemporaryDirectory() as folder:
        args.keep = args.keep or Path(folder)
        if not (args.keep / "catalogue" / "current").exists():
            made(args, args.keep)
        steps = [] if (args.keep / "catalogue" / "learned" / "current").exists() else ["fit"]
        for step in [*steps, "measure"]:  # each in a process of its own, whose memory is its own
            command = [sys.executable, __file__, "--only", step, "--keep", str(args.keep), "--lists", str(args.lists)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
