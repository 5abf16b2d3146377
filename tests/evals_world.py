"""A small world to judge in, and how its results are read."""

import json
from pathlib import Path

import numpy as np

PEOPLE, ITEMS, LIKES = 150, 120, 12


def world(folder: Path, seed: int = 0, clusters: int = 1) -> Path:
    """`clusters` 1: likes are coin tosses, so no honest arm can beat chance. More: people like one cluster only."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    words = ["雪", "melt", "river", "城市", "blue", "noir"]
    with (folder / "items.jsonl").open("w", encoding="utf-8") as file:
        for i in range(ITEMS):
            item = {
                "id": f"i{i}",
                "title": f"Item {i} {words[i % 6]}",
                "categories": [f"c{i % clusters}", words[i % 5]],
            }
            file.write(json.dumps(item, ensure_ascii=False) + "\n")
    lines = ["user,item,rating,timestamp"]
    for person in range(PEOPLE):
        own = np.arange(person % clusters, ITEMS, clusters)
        chosen = rng.choice(own, LIKES, replace=False)
        lines += [f"u{person},i{i},5,{900_000_000 + person * 1000 + n}" for n, i in enumerate(chosen)]
        lines += [
            f"u{person},i{i},1,{900_000_000 + person * 1000 + n}" for n, i in enumerate(np.setdiff1d(own, chosen)[:3])
        ]
    (folder / "interactions.csv").write_text("\n".join(lines) + "\n")
    return folder


def ndcg(result: dict, arm: str, reveal: int) -> dict:
    return next(a for a in result["arms"] if a["name"] == arm and a["reveal"] == reveal)["metrics"]["ndcg@10"]
