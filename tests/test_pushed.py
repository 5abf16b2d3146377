"""Likes of an item that made-up people push are doubted, and no others."""

import numpy as np
import pytest
from snowmelt.retrieval.pushed import FEWEST, doubted, without

sparse = pytest.importorskip("scipy.sparse", reason="pip install snowmelt[fit]")
PEOPLE, ITEMS, KINDS, FAKES, OWN = 900, 1200, 120, 30, 5


def world() -> tuple[np.ndarray, np.random.Generator]:
    """Likes [people, items] within kinds of items."""
    rng = np.random.default_rng(1)
    kind, taste = np.arange(ITEMS) % KINDS, rng.integers(0, KINDS, PEOPLE)
    likes = (rng.random((PEOPLE, ITEMS)) < np.where(kind == taste[:, None], 0.6, 0.001)).astype(np.float32)
    likes[:, 0] = 0
    likes[:3, 0] = 1
    return likes, rng


def with_fakes(likes: np.ndarray, rng: np.random.Generator, count: int = FAKES) -> np.ndarray:
    made = np.zeros((count, ITEMS), np.float32)
    for own in made:
        own[rng.choice(np.arange(1, ITEMS), OWN, replace=False)] = 1
    made[:, 0] = 1
    return np.vstack([likes, made])


def test_nobody_is_doubted_where_nobody_pushes() -> None:
    assert not doubted(sparse.csr_matrix(world()[0])).any()


def test_likes_of_the_pushed_item_by_made_up_people_are_doubted_alone() -> None:
    likes, rng = world()
    X = sparse.csr_matrix(with_fakes(likes, rng))
    found = doubted(X)
    who, what = X.nonzero()
    assert found.sum() > 0.7 * FAKES and set(what[found]) == {0} and who[found].min() >= 3  # the honest ones stay
    kept = without(X, found)
    assert kept.shape == X.shape and kept.nnz == X.nnz - found.sum() and kept[:PEOPLE].sum() == likes.sum()
    assert kept[PEOPLE:, 1:].sum() == FAKES * OWN  # what else they like still counts


def test_too_few_to_be_sure_are_believed() -> None:
    likes, rng = world()
    likes[:3, 0] = 0
    assert not doubted(sparse.csr_matrix(with_fakes(likes, rng, FEWEST - 1))).any()


def test_where_chance_joins_everything_nobody_is_doubted() -> None:
    rng = np.random.default_rng(2)
    likes = (rng.random((PEOPLE, 40)) < 0.5).astype(np.float32)
    assert not doubted(sparse.csr_matrix(likes)).any()


def test_the_times_of_likes_go_with_them() -> None:
    likes, rng = world()
    X = sparse.csr_matrix(with_fakes(likes, rng))
    times, found = X.astype(np.float64), doubted(X)
    times.data = np.arange(times.nnz, dtype=float)
    assert without(times, found).data.tolist() == np.arange(times.nnz)[~found].tolist()
    assert (without(times, found) != 0).nnz <= without(X, found).nnz
