"""An embedder that costs nothing, items, and a check that a catalogue is whole: for tests of the store."""

import hashlib
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.items import Item


class Hashing:
    """Vectors from a hash of the text: real to the store, and free. Counts what it is asked; may be slow."""

    spec, dim = "hashing", 32

    def __init__(self, id: str = "hashing:1", pause: float = 0.0) -> None:
        self.id, self.asked, self.pause = id, 0, pause

    def documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += len(texts)
        time.sleep(self.pause)
        seeds = [int.from_bytes(hashlib.sha256(t.encode()).digest()[:8], "big") for t in texts]
        return np.array([np.random.default_rng(s).standard_normal(self.dim) for s in seeds], np.float32)

    queries = documents


def items(count: int, **more: str) -> list[Item]:
    return [
        Item(
            f"id/{i}",
            f"Item {i} 猫",
            f"words {i}",
            {"price": float(i), "tags": ("even" if i % 2 == 0 else "odd",)} | more,
        )
        for i in range(count)
    ]


def whole(catalogue: Catalogue, count: int) -> None:
    """Every part agrees, and every vector can be read through Chroma."""
    assert len(catalogue.items) == len(catalogue.ids) == len(catalogue.titles) == catalogue.schema.count == count
    assert [item.id for item in catalogue.items] == catalogue.ids
    rows, cosines = catalogue.nearest(catalogue.vectors, 1)
    assert rows[:, 0].tolist() == list(range(count)) and np.allclose(cosines, 1, atol=1e-5)
    assert catalogue.lexical.count == count and catalogue.mask([]).sum() == count
