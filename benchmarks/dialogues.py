"""Real dialogues (ReDial): what the recommender went on to suggest and the seeker liked, from the seeker's turns before.

    python benchmarks/dialogues.py ../shared/data/redial [--validation]

Dialogues with odd numbers were looked at while the product was built and are the training part: popularity counts their
likes, and `snowmelt fit` learns from them alone. Dialogues with even numbers are the test (`--validation`: the last fifth
of the training part, the rest of it teaches). A film named before the first liked suggestion is taken out for every arm.
Recall@k: the share of a dialogue's liked suggestions among the first k, mean over dialogues, 95 % bootstrap intervals
over dialogues; "more than the best other": the difference at 10, person by person.

Arms: popularity (likes in the training dialogues), bm25 (the seeker's words against all text), dense (the same, by the
catalogue's embedder), ours (each turn said to `Recommender.reply`, then `recommend` of the profile, switches after
ranking off).
"""
# ruff: noqa: E501

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from constraints import interval
from numpy.typing import NDArray
from snowmelt.agent import Conversation, Recommender
from snowmelt.agent.after import OFF
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.fitting import fit_catalogue

AT = (1, 10, 50)


def case_of(dialogue: dict[str, Any], known: dict[str, int]) -> tuple[list[str], set[int], set[int]] | None:
    """(the seeker's turns before the first liked suggestion, rows named by then, rows of liked suggestions)."""
    labels = {i: told for i, told in dialogue["labels"].items() if i in known}
    liked = {i for i, told in labels.items() if told["liked"] and told["suggested"]}
    turns, named = [], set()
    for message in dialogue["messages"]:
        if liked & set(message["items"]):
            break
        named |= {known[i] for i in message["items"] if i in known}
        if message["role"] == "seeker":
            turns.append(message["text"])
    gold = {known[i] for i in liked} - named
    return (turns, named, gold) if turns and gold else None


def recalls(scores: NDArray[np.floating], named: set[int], gold: set[int]) -> list[float]:
    scores = np.asarray(scores, np.float64).copy()
    scores[list(named)] = -np.inf
    place = np.argsort(-scores, kind="stable")[: max(AT)].tolist()
    return [len(gold & set(place[:k])) / len(gold) for k in AT]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--validation", action="store_true")
    args = parser.parse_args()
    every = [json.loads(x) for x in (args.folder / "dialogues.jsonl").read_text("utf-8").splitlines()]
    training, test = every[1::2], every[0::2]
    if args.validation:
        cut = len(training) * 4 // 5
        training, test = training[:cut], training[cut:]
    out, embedder = Path(tempfile.mkdtemp(prefix="snowmelt-dialogues-")), open_embedder("use")
    build(args.folder / "items.jsonl", out / "catalogue", embedder)
    catalogue = Catalogue.open(out / "catalogue", embedder)
    likes = [
        (str(d["dialog_id"]), i)
        for d in training
        for i, told in d["labels"].items()
        if told["liked"] and i in catalogue.rows
    ]
    (out / "likes.csv").write_text("user,item,rating\n" + "".join(f"{u},{i},1\n" for u, i in likes), "utf-8")
    fit_catalogue(catalogue, out / "likes.csv", seed=0)
    popularity = np.zeros(len(catalogue.ids))
    for item, count in Counter(i for _, i in likes).items():
        popularity[catalogue.rows[item]] = count
    recommender = Recommender(Catalogue.open(out / "catalogue", embedder), None)
    found: dict[str, list[list[float]]] = {name: [] for name in ("popularity", "bm25", "dense", "ours")}
    for dialogue in test:
        case = case_of(dialogue, catalogue.rows)
        if case is None:
            continue
        turns, named, gold = case
        text = " ".join(turns)
        conversation = Conversation()
        for turn in turns:
            conversation, _ = recommender.reply(conversation, turn)
        ours = np.full(len(catalogue.ids), -np.inf)
        listed = recommender.recommend(conversation.in_force, max(AT) + len(named), after=OFF)
        for place, one in enumerate(listed):
            ours[catalogue.rows[one.item.id]] = -place
        scores = {
            "popularity": popularity,
            "bm25": np.asarray(catalogue.lexical.scores(text)),
            "dense": np.asarray(catalogue.vectors @ embedder.queries([text])[0]),
            "ours": ours,
        }
        for name, values in scores.items():
            found[name].append(recalls(values, named, gold))
    count = len(found["ours"])
    sys.stdout.write(
        f"{len(training)} dialogues teach ({len(likes)} likes), {count} are asked; {len(catalogue.ids)} items\n"
    )
    sys.stdout.write(f"{'arm':<12}" + "".join(f"{f'Recall@{k}':>24}" for k in AT) + "\n")
    for name, rows in found.items():
        sys.stdout.write(
            f"{name:<12}" + "".join(f"{interval([r[n] for r in rows]):>24}" for n in range(len(AT))) + "\n"
        )
    best = max((n for n in found if n != "ours"), key=lambda n: np.mean([r[1] for r in found[n]]))
    mine, other = (np.array([r[1] for r in found[n]]) for n in ("ours", best))
    ratio = mine.mean() / max(other.mean(), 1e-9)
    sys.stdout.write(f"at 10: {ratio:.2f} times {best}; more than {best} by {interval((mine - other).tolist())}\n")


if __name__ == "__main__":
    main()
