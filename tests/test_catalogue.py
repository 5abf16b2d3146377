"""What a query finds in a catalogue, and what readers see when it is swapped."""

from pathlib import Path

import numpy as np
import pytest
from snowmelt.retrieval import generation
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.filters import Filter, meets
from snowmelt.retrieval.items import Item
from stores import Hashing, items, whole


def test_masks(tmp_path: Path) -> None:
    source = [
        Item(
            "a",
            "A",
            "",
            {"year": 1994.0, "added": "2024-01-05", "genres": ("Drama", "war"), "ok": True, "by": "Ang Lee"},
        ),
        Item("b", "B", "", {"year": 2001.0, "added": "2023-06-01", "genres": ("Comedy",), "ok": False, "by": "Bong"}),
        Item("c", "C", "", {}),
    ]
    build(source, tmp_path, Hashing())
    catalogue = Catalogue.open(tmp_path, Hashing())
    for attribute, op, value, passing in [
        ("year", "le", 1994, "a"),
        ("year", "ge", 1995, "b"),
        ("year", "eq", 2001, "b"),
        ("year", "any", ("1994",), "a"),
        ("year", "none", ("1994",), "bc"),
        ("added", "ge", "2024-01-05", "a"),
        ("added", "le", "2023-12-31", "b"),
        ("genres", "any", ("drama", "comedy"), "ab"),
        ("genres", "none", ("DRAMA",), "bc"),
        ("genres", "any", "horror", ""),
        ("ok", "eq", True, "a"),
        ("ok", "eq", False, "b"),
        ("by", "eq", "ang lee", "a"),
        ("by", "none", "Bong", "ac"),
    ]:
        asked = [Filter(attribute=attribute, op=op, value=value)]  # type: ignore[arg-type]
        mask = catalogue.mask(asked)
        assert [meets(item, asked, catalogue.schema.attributes) for item in catalogue.items] == mask.tolist(), asked
        assert "".join(id_ for id_, passes in zip(catalogue.ids, mask, strict=True) if passes) == passing, (
            attribute,
            op,
        )
    two = [Filter(attribute="year", op="le", value=2001), Filter(attribute="genres", op="none", value=("war",))]
    assert catalogue.mask(two).tolist() == [False, True, False]
    for attribute, op, value in [
        ("colour", "eq", "x"),
        ("genres", "le", 3.0),
        ("year", "ge", "soon"),
        ("ok", "le", True),
    ]:
        with pytest.raises(InputError, match=attribute):
            catalogue.mask([Filter(attribute=attribute, op=op, value=value)])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    out = tmp_path_factory.mktemp("many")
    build(items(8_000), out, Hashing())
    return Catalogue.open(out, Hashing())


def test_nearest_with_masks_is_exact_enough(many: Catalogue) -> None:
    queries = many.vectors[:40] + 0.01
    norms = np.linalg.norm(queries, axis=1, keepdims=True)
    for share in (1.0, 0.6, 0.3, 0.01, 0.001):
        mask = np.random.default_rng(1).random(len(many.ids)) < share
        rows, cosines = many.nearest(queries, 30, mask)
        assert rows.shape == cosines.shape == (40, min(30, int(mask.sum()))) and mask[rows].all()
        assert (np.diff(cosines) <= 0).all() and all(len(set(r)) == rows.shape[1] for r in rows.tolist())
        exact = np.argsort(-np.where(mask, queries @ many.vectors.T, -9))[:, : rows.shape[1]]
        found = np.mean([len(set(a) & set(b)) for a, b in zip(rows.tolist(), exact.tolist(), strict=True)])
        assert found >= 0.85 * rows.shape[1], (share, found)
    every, cosines = many.nearest(queries[:2], len(many.ids))
    assert np.allclose(np.take_along_axis(queries[:2] @ many.vectors.T, every, 1), cosines * norms[:2], atol=1e-4)
    assert many.nearest(queries[:2], 5, np.zeros(len(many.ids), bool))[0].shape == (2, 0)
    against = many.vectors @ many.vectors[0] < 0.2  # everything that is near is not allowed
    assert many.nearest(many.vectors[:1], 50, against)[0].shape == (1, 50)


def test_items_of_a_large_catalogue_are_read_one_by_one(many: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "_IN_MEMORY", 10)
    lazy = generation.Items(many.folder)
    assert lazy[-1] == many.items[-1] and lazy[3:5] == many.items[3:5] and list(lazy)[7] == many.items[7]
    assert len(lazy) == 8_000 and "_all" not in vars(lazy)
    with pytest.raises(IndexError):
        lazy[8_000]


def test_readers_see_a_swap_and_keep_what_they_hold(tmp_path: Path) -> None:
    embedder = Hashing()
    build(items(5), tmp_path, embedder)
    reader = Catalogue.open(tmp_path, embedder)
    assert reader.fresh() is reader
    for count in (6, 7, 8):
        build(items(count), tmp_path, embedder)
    newer = reader.fresh()
    whole(reader, 5)
    whole(newer, 8)
    held, folders = reader.folder, {p.name.split("-")[1] for p in tmp_path.glob("gen-*")}
    assert folders == {"1", "3", "4"}  # held, the one before, the current
    del reader
    build(items(3), tmp_path, embedder, prune=True)
    assert not held.exists()
    whole(newer, 8)
