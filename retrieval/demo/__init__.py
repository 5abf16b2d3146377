"""Two demo catalogues, 524 real films and 120 invented shop products, with their vectors by the default embedder.

The films' facts (year, runtime, people, ratings by our own guidance) were written from memory and not looked up one by
one: expect a wrong minute or a missing name here and there. Every sentence of a description is ours.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent
CATALOGUES = (FOLDER / "films.jsonl", FOLDER / "shop.jsonl")
VECTORS = FOLDER / "vectors.npz"


def known_vectors(embedder_id: str) -> dict[str, NDArray[np.float32]]:
    """sha256 (hex) of an item's text -> its vector [dim], for `indexing.build(known=...)`; {} for another embedder.

    Kept as float16, which moves no vector by more than 1e-6 of cosine. Made by `python -m snowmelt.retrieval.demo`.
    """
    with np.load(VECTORS) as kept:
        if str(kept["embedder"]) != embedder_id:
            return {}
        rows = kept["vectors"].astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return dict(zip(kept["texts"].tolist(), rows, strict=True))
