"""People made up to push items are found where they push together; people who like variants of a thing are not."""

import numpy as np
import pytest
from snowmelt.retrieval.coordinated import GROUP, coordinated

sparse = pytest.importorskip("scipy.sparse", reason="pip install snowmelt[fit]")
PEOPLE, ITEMS, FAKES = 300, 120, 15


def world() -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Likes [people, items] within four kinds of items, vectors [items, 16] near their kind's."""
    rng = np.random.default_rng(1)
    kind = np.arange(ITEMS) % 4
    centres = rng.normal(size=(4, 16))
    vectors = centres[kind] + 0.4 * rng.normal(size=(ITEMS, 16))
    taste = rng.integers(0, 4, PEOPLE)
    likes = (rng.random((PEOPLE, ITEMS)) < np.where(kind == taste[:, None], 0.2, 0.01)).astype(np.float32)
    return likes, (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), rng


def fakes(rng: np.random.Generator, pushed: list[int], count: int = FAKES) -> np.ndarray:
    made = (rng.random((count, ITEMS)) < 0.05).astype(np.float32)
    made[:, pushed] = 1
    return made


def test_a_group_is_set_aside_and_nobody_else() -> None:
    likes, vectors, rng = world()
    likes[:, [0, 1]] = 0
    assert not coordinated(sparse.csr_matrix(likes), vectors).any()
    found = coordinated(sparse.csr_matrix(np.vstack([likes, fakes(rng, [0, 1])])), vectors)
    assert found[PEOPLE:].all() and not found[:PEOPLE].any()
    few = coordinated(sparse.csr_matrix(np.vstack([likes, fakes(rng, [0, 1], GROUP - 1)])), vectors)
    assert not few.any()


def test_variants_that_everybody_takes_together_are_no_group() -> None:
    likes, vectors, _ = world()
    likes[:40, 0] = likes[:40, 4] = 1
    likes[40:, [0, 4]] = 0
    vectors[4] = vectors[0]
    assert not coordinated(sparse.csr_matrix(likes), vectors).any()


def test_one_item_alone_is_not_found() -> None:
    likes, vectors, rng = world()
    likes[:, 0] = 0
    assert not coordinated(sparse.csr_matrix(np.vstack([likes, fakes(rng, [0])])), vectors).any()
