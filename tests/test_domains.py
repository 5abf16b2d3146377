"""Taste in one domain as evidence in another: taken where it helps, refused where it hurts, and said why."""

import json
from pathlib import Path

import numpy as np
import pytest
from snowmelt.agent.cli import main
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Entry, Profile
from snowmelt.retrieval import fitting
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.indexing import build
from snowmelt.retrieval.items import Item

pytest.importorskip("implicit", reason="pip install snowmelt[fit]")
WORDS = ("lamp", "spade", "kettle", "rope", "mirror", "ladder", "basket", "hammer", "candle", "bucket")
PEOPLE = 160


def likes(letter: str, items: int, tastes: np.ndarray, seed: int) -> list[tuple[str, str]]:
    """People like items of their half; the low numbers most."""
    rng = np.random.default_rng(seed)
    return [
        (f"p{person}", f"{letter}{i}")
        for person in range(PEOPLE)
        for i in range(items)
        if rng.random() < (0.5 if i % 2 == tastes[person] else 0.05) / (1 + i / 20)
    ]


def table(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["user,item", *(f"{p},{i}" for p, i in rows)]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Path:
    """A shop, and two libraries: in `books` people have the taste that they have in the shop, in `noise` another."""
    folder = tmp_path_factory.mktemp("town")
    rng = np.random.default_rng(0)
    tastes = rng.integers(0, 2, PEOPLE)
    build([Item(f"s{i}", f"{WORDS[i % 10]} {i}") for i in range(40)], folder / "shop", open_embedder())
    table(folder / "shop.csv", likes("s", 40, tastes, 1))
    for name, taste in (("books", tastes), ("noise", rng.permutation(tastes))):
        table(folder / name / "interactions.csv", likes("b", 30, taste, 2))
        items = [json.dumps({"id": f"b{i}", "title": f"A tale of {WORDS[-(i % 10)]}, part {i}"}) for i in range(30)]
        (folder / name / "items.jsonl").write_text("\n".join(items), encoding="utf-8")
    return folder


def test_a_source_that_helps_speaks_for_people_known_there(town: Path, capsys) -> None:
    words = [
        "transfer",
        str(town / "noise"),
        str(town / "books"),
        str(town / "shop"),
        "--people",
        str(town / "shop.csv"),
    ]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "books helps: NDCG@10" in told.out and "noise is refused: NDCG@10" in told.err
    made = Recommender.open(town / "shop")
    for half in (0, 1):
        profile = Profile(
            likes=tuple(Entry(text="x", item_id=f"books:b{half + 2 * n}", evidence="x") for n in range(4))
        )
        found = [int(r.item.id[1:]) for r in made.recommend(profile, 8)]
        assert np.mean([i % 2 == half for i in found]) > 0.8
    here = Profile(likes=(Entry(text="x", item_id="s1", evidence="x"), Entry(text="y", item_id="s3", evidence="y")))
    assert np.mean([int(r.item.id[1:]) % 2 for r in made.recommend(here, 8)]) > 0.8
    assert main(["recommend", str(town / "shop"), "--likes-id", "books:b1", "--no-llm", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["recommendations"]) == 5
    made.feedback(here, "s5", "like")
    assert made.learned is not None and made.learned.extra == 30 and len(made.fresh().recommend(here, 40)) == 38


def test_what_would_hurt_is_refused_in_one_line_and_nothing_changes(town: Path, capsys) -> None:
    before = fitting.state(town / "shop")
    assert main(["transfer", str(town / "noise"), str(town / "shop"), "--people", str(town / "shop.csv")]) == 2
    told = capsys.readouterr().err
    assert "noise is refused: NDCG@10" in told and "shared people" in told and "stays as it was" in told
    assert main(["transfer", str(town / "books"), str(town / "shop")]) == 2  # nobody here to try it on
    assert "0 people to try it on, 30 are needed; 0 shared people" in capsys.readouterr().err
    assert fitting.state(town / "shop") == before
    assert main(["transfer", str(town / "shop"), str(town / "shop")]) == 2
    assert "a source is a folder with items.jsonl and interactions.csv" in capsys.readouterr().err
