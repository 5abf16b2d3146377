"""The closed forms against brute force."""

import numpy as np
import pytest
from snowmelt.retrieval import prior

sparse = pytest.importorskip("scipy.sparse", reason="pip install snowmelt[eval]")


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return sparse.csr_matrix((rng.random((60, 12)) < 0.3).astype(np.float32))


def test_ease_solves_its_own_least_squares(X):
    weights, dense = prior.ease(X, 7.0), X.toarray().astype(float)
    assert weights.dtype == np.float32 and not np.diag(weights).any()
    for j in range(12):  # each column is a ridge regression of item j on the other items
        others = [i for i in range(12) if i != j]
        A = dense[:, others]
        expected = np.linalg.solve(A.T @ A + 7.0 * np.eye(11), A.T @ dense[:, j])
        assert weights[others, j] == pytest.approx(expected, abs=1e-4)


def test_ease_items_keeps_the_popular_in_order(X):
    kept, counts = prior.ease_items(X, 5), prior.popularity(X)
    assert len(kept) == 5 and list(kept) == sorted(kept)
    assert counts[kept].min() >= np.delete(counts, kept).max()


def test_item_knn_by_hand_in_blocks(X):
    dense = X.toarray().astype(float)
    together, counts = dense.T @ dense, dense.sum(0)
    expected = together / (np.sqrt(np.outer(counts, counts)) + 3.0)
    np.fill_diagonal(expected, 0)
    assert prior.item_knn(X, neighbours=12, shrink=3.0, block=5).toarray() == pytest.approx(expected, abs=1e-6)
    cut = prior.item_knn(X, neighbours=4, shrink=3.0, block=5).toarray()
    assert ((cut > 0).sum(1) <= 4).all()
    for row, full in zip(cut, expected, strict=True):
        assert row[row > 0].min() >= np.sort(full)[-4] - 1e-6


def test_recency_halves(X):
    got = prior.recency_popularity([0, 0, 1], [100.0, 90.0, 100.0], 3, half_life=10.0)
    assert got.tolist() == pytest.approx([1.5, 1.0, 0.0])
    assert not prior.recency_popularity([], [], 3, 10.0).any()


def test_als_fold_in_minimises_its_objective(X):
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(12, 4)).astype(np.float32)
    person = prior.als_fold_in(factors, X[:3], regularisation=0.5, alpha=5.0)

    def loss(vector, likes):
        confidence = 1 + 5.0 * likes
        return (confidence * (likes - factors @ vector) ** 2).sum() + 0.5 * vector @ vector

    for i in range(3):
        likes = X[i].toarray().ravel()
        best = loss(person[i], likes)
        assert all(best <= loss(person[i] + rng.normal(0, 0.01, 4), likes) for _ in range(50))


def test_ridge_fold_in_and_nothing_liked(X):
    rng = np.random.default_rng(2)
    factors, target = rng.normal(size=(12, 4)).astype(np.float32), rng.normal(size=12).astype(np.float32)
    nobody = sparse.csr_matrix((1, 12), dtype=np.float32)
    person = prior.ridge_fold_in(factors, sparse.vstack([X[:1], nobody]).tocsr(), target, 2.0)
    rows = X[0].indices
    expected = np.linalg.solve(factors[rows].T @ factors[rows] + 2.0 * np.eye(4), factors[rows].T @ target[rows])
    assert person[0] == pytest.approx(expected, abs=1e-4) and not person[1].any()
    assert not prior.als_fold_in(factors, nobody, 1.0, 1.0).any()


def test_cooccurrence_is_a_cosine(X):
    dense = X.toarray().astype(float)
    unit = dense / np.linalg.norm(dense, axis=0)
    expected = unit.T @ unit
    np.fill_diagonal(expected, 0)
    assert prior.cooccurrence(X).toarray() == pytest.approx(expected, abs=1e-6)


def test_lift_by_hand_in_blocks(X):
    dense = X.toarray().astype(float)
    length = dense.sum(1)
    weight = np.where(length > 0, 1 / np.sqrt(np.maximum(length, 1)), 0)
    weight *= (length > 0).sum() / weight.sum()
    together = dense.T @ (weight[:, None] * dense)
    np.fill_diagonal(together, 0)
    expected = np.log1p(together / (5.0 * dense.mean(0)))
    assert prior.lift(X, shrink=5.0, block=5).toarray() == pytest.approx(expected, abs=1e-5)
    cut = prior.lift(X, shrink=5.0, neighbours=3, block=5).toarray()
    for row, full, likes in zip(cut, expected, together, strict=True):
        assert (row > 0).sum() <= 3 and set(np.flatnonzero(row)) <= set(np.argsort(-likes, kind="stable")[:3])
        assert row[row > 0] == pytest.approx(full[row > 0], abs=1e-5)


def test_aspects_find_two_tastes_and_place_a_newcomer():
    rng = np.random.default_rng(1)
    taste = np.arange(80) % 2
    X = sparse.csr_matrix((rng.random((80, 20)) < np.where(taste[:, None] == np.arange(20) % 2, 0.6, 0.03)) * 1.0)
    share, mean = prior.aspects(X, 2, seed=3)
    assert share.sum(1) == pytest.approx([1, 1], abs=1e-4) and mean.sum() == pytest.approx(1, abs=1e-4)
    newcomer = sparse.csr_matrix(np.eye(20, dtype=np.float32)[[4]])
    chance = prior.aspects_fold_in(share, mean, newcomer, strength=1.0)[0]
    assert chance.sum() == pytest.approx(1, abs=1e-4) and chance[::2].min() > chance[1::2].max()
    nobody = prior.aspects_fold_in(share, mean, sparse.csr_matrix((1, 20), dtype=np.float32))[0]
    assert nobody == pytest.approx(mean @ share, abs=1e-4)
