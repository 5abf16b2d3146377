"""The baselines that read behaviour alone. Each folds a new person in from what they revealed; nothing is refitted.

An arm that has nothing to go on (nothing revealed, or nothing that it knows) still ranks: by popularity, or at random
where there is no behaviour, and says so (`degraded`).
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals.systems import Answer, Arm, Case, Said, Scorer, Train
from snowmelt.retrieval import prior
from snowmelt.retrieval.errors import InputError

Floats = NDArray[np.float32]
Sparse = prior.Sparse


def grid(*settings: dict[str, Any]) -> Callable[[Arm], Arm]:
    def attach(arm: Arm) -> Arm:
        arm.grid = settings  # type: ignore[attr-defined]
        return arm

    return attach


def _package(module: str, arm: str, name: str) -> Any:
    """A module that not everybody has. Raises InputError saying what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise InputError(f"{arm} needs a package that is not installed: pip install {name}") from None


def liked_matrix(train: Train, cases: Sequence[Case]) -> Sparse:
    """csr float32 [cases, items] of revealed likes."""
    from scipy.sparse import csr_matrix

    pairs = [(i, train.rows[id_]) for i, case in enumerate(cases) for id_ in case.liked]
    people, items = np.array(pairs, np.int64).reshape(-1, 2).T
    return csr_matrix((np.ones(len(people), np.float32), (people, items)), shape=(len(cases), len(train.ids)))


class Folding:
    """A scorer from `score(liked csr [cases, items]) -> [cases, items]`, with the fall-back.

    `search(text) -> [items]`, if given, makes it converse: all that the person has said is the query. It asks nothing.
    """

    def __init__(
        self, train: Train, score: Callable[[Sparse], NDArray[np.floating]],
        search: Callable[[str], NDArray[np.floating]] | None = None,
    ) -> None:  # fmt: skip
        self.train, self.score = train, score
        self.popular = prior.popularity(train.likes)
        if search is not None:
            self.talk = lambda number: _Listener(search, self.fallback(Case(number)))

    def __call__(self, case: Case) -> Answer:
        return self.batch([case])[0]

    def batch(self, cases: Sequence[Case]) -> list[Answer]:
        scores = np.asarray(self.score(liked_matrix(self.train, cases)), np.float32)
        blank = scores.max(axis=1) == scores.min(axis=1)
        return [self.fallback(case) if b else Answer(row) for case, row, b in zip(cases, scores, blank, strict=True)]

    def fallback(self, case: Case) -> Answer:
        why = "nothing to go on" if not case.liked else "knows none of what was revealed"
        if self.popular.any():
            return Answer(self.popular, f"{why}: popularity")
        return Answer(_noise(self.train, case), f"{why}: random")


class _Listener:
    def __init__(self, search: Callable[[str], NDArray[np.floating]], otherwise: Answer) -> None:
        self.search, self.otherwise, self.said = search, otherwise, ""

    def say(self, text: str) -> Said:
        self.said = f"{self.said} {text}".strip()
        scores = np.asarray(self.search(self.said), np.float32)
        return Said(self.otherwise if scores.max() == scores.min() else scores)


def _noise(train: Train, case: Case) -> Floats:
    return np.random.default_rng([train.seed, case.number]).random(len(train.ids), np.float32)


def random(train: Train) -> Scorer:
    """Uniform scores, seeded by the case: the floor."""
    return lambda case: _noise(train, case)


class _Same:
    def __init__(self, scores: Floats) -> None:
        self.scores = scores

    def __call__(self, case: Case) -> Floats:
        return self.scores

    def batch(self, cases: Sequence[Case]) -> list[Floats]:
        return [self.scores] * len(cases)


def popularity(train: Train) -> Scorer:
    """Warm people who did anything with an item (`of=rows`, the classic) or liked it (`of=likes`, often better)."""
    if train.settings.get("of", "rows") == "likes":
        return _Same(prior.popularity(train.likes))
    return _Same(np.bincount(train.item, minlength=len(train.ids)).astype(np.float32))


@grid(*({"half_life_days": d} for d in (7, 30, 90, 365, 1500, 6000)))
def recent(train: Train) -> Scorer:
    """Likes by warm people, where a like loses half its weight every `half_life_days`."""
    if not train.has_clock:
        raise InputError("recent needs timestamps that are times; this data set has none")
    days = float(train.settings.get("half_life_days", 90))
    liked = train.liked
    return _Same(prior.recency_popularity(train.item[liked], train.time[liked], len(train.ids), days * 86_400))


@grid(*({"neighbours": n, "shrink": s} for n in (50, 200, 800) for s in (0, 30, 100, 300, 1000)))
def item_knn(train: Train) -> Scorer:
    """Item-based nearest neighbours over co-likes."""
    similar = prior.item_knn(
        train.likes, int(train.settings.get("neighbours", 100)), float(train.settings.get("shrink", 20))
    )
    back = similar.T.tocsr()
    return Folding(train, lambda liked: (liked @ back).toarray())


@grid(*({"regularisation": r} for r in (10, 30, 100, 300, 1000, 3000, 10_000, 30_000)))
def ease(train: Train) -> Scorer:
    """EASE with fold-in over the whole catalogue, solved on the smaller side: items, or people."""
    likes, strength = train.likes, float(train.settings.get("regularisation", 100))
    if train.people < len(train.ids):
        return Folding(train, _ease_by_people(likes, strength))
    kept = prior.ease_items(likes)
    weights = prior.ease(likes[:, kept], strength)

    def score(liked: Sparse) -> Floats:
        scores = np.zeros(liked.shape, np.float32)
        scores[:, kept] = liked[:, kept] @ weights
        return scores

    return Folding(train, score)


def _ease_by_people(likes: Sparse, strength: float, block: int = 4096) -> Callable[[Sparse], Floats]:
    """The same model where people are fewer than items (Woodbury): P = (I - X'(XX' + lambda I)^-1 X) / lambda, of which
    only the diagonal and, per new person, one row of x P are ever formed. Memory is 8 bytes * people^2 at its peak."""
    from scipy.linalg import cho_factor, cho_solve

    gram = np.asarray((likes @ likes.T).todense(), np.float32)
    gram[np.diag_indices_from(gram)] += np.float32(strength)
    factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    inverse = cho_solve(factor, np.eye(len(gram), dtype=np.float32), overwrite_b=True, check_finite=False)
    columns = likes.tocsc()
    explained = np.empty(likes.shape[1], np.float32)
    for start in range(0, likes.shape[1], block):
        some = columns[:, start : start + block]
        explained[start : start + block] = np.asarray(some.multiply(inverse @ some).sum(axis=0)).ravel()
    alone = 1.0 - explained  # lambda times the diagonal of P

    def score(liked: Sparse) -> Floats:
        known = np.asarray((liked @ likes.T).todense(), np.float32)
        return np.asarray((known @ inverse) @ likes / alone, np.float32)  # right off the diagonal: what is not revealed

    return score


@grid(*({"alpha": a, "regularisation": r} for a in (0.3, 1, 4, 20) for r in (3, 10, 30, 100)))
def als(train: Train) -> Scorer:
    """Implicit-feedback ALS (the `implicit` package), people folded in exactly."""
    implicit_als = _package("implicit.cpu.als", "als", "implicit")
    alpha, regularisation = float(train.settings.get("alpha", 2)), float(train.settings.get("regularisation", 30))
    model = implicit_als.AlternatingLeastSquares(
        factors=int(train.settings.get("factors", 64)), regularization=regularisation, alpha=1 + alpha, iterations=15,
        num_threads=1, random_state=train.seed,
    )  # fmt: skip
    model.fit(train.likes, show_progress=False)
    factors = np.asarray(model.item_factors, np.float32)
    return Folding(train, lambda liked: prior.als_fold_in(factors, liked, regularisation, alpha) @ factors.T)


@grid(*({"factors": f, "regularisation": r} for f in (20, 50, 100) for r in (0.03, 0.3, 3)))
def svd(train: Train) -> Scorer:
    """Surprise's biased SVD on warm ratings; a new person is a ridge regression on their likes at the top rating."""
    if train.scale not in ("stars", "ten"):
        raise InputError("svd predicts ratings; this data set has none")
    if not len(train.item):
        raise InputError("svd needs behaviour; this split has none")
    surprise = _package("surprise", "svd", "scikit-surprise")
    by_user: dict[int, list[tuple[int, float]]] = {u: [] for u in range(train.people)}
    by_item: dict[int, list[tuple[int, float]]] = {}
    order = {row: inner for inner, row in enumerate(np.unique(train.item).tolist())}
    for u, i, r in zip(train.user.tolist(), train.item.tolist(), train.rating.tolist(), strict=True):
        by_user[u].append((order[i], r))
        by_item.setdefault(order[i], []).append((u, r))
    top = float(train.rating.max())
    scale = (float(train.rating.min()), top)
    known = surprise.Trainset(by_user, by_item, train.people, len(order), len(train.rating), scale, {}, {})
    model = surprise.SVD(n_factors=int(train.settings.get("factors", 50)), n_epochs=20, random_state=train.seed)
    model.fit(known)
    kept = np.array(list(order), np.int64)
    factors = np.zeros((len(train.ids), model.n_factors), np.float32)
    bias = np.full(len(train.ids), min(0.0, float(model.bi.min())), np.float32)  # an item nobody rated: as the worst
    factors[kept], bias[kept] = model.qi, model.bi
    residual = np.float32(top - known.global_mean) - bias
    regularisation = float(train.settings.get("regularisation", 10))
    return Folding(
        train, lambda liked: prior.ridge_fold_in(factors, liked, residual, regularisation) @ factors.T + bias
    )


@grid(*({"factors": f, "epochs": e} for f, e in ((16, 30), (48, 10), (48, 30), (96, 30))))
def lightfm(train: Train) -> Scorer:
    """LightFM (Kula 2015, WARP) over identity and categories; a new person is a ridge regression on their likes."""
    lightfm_ = _package("lightfm", "lightfm", "lightfm-next")
    from scipy.sparse import csr_matrix, hstack, identity

    names: dict[str, int] = {}
    pairs = [
        (row, names.setdefault(str(value), len(names)))
        for row, record in enumerate(train.records)
        for value in record.get("categories") or ()
    ]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    tags = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(train.ids), max(1, len(names))))
    features = hstack([identity(len(train.ids)), tags], format="csr").astype(np.float32)
    if not train.likes.nnz:
        raise InputError("lightfm needs behaviour; this split has none")
    model = lightfm_.LightFM(int(train.settings.get("factors", 16)), loss="warp", random_state=train.seed)
    model.fit(train.likes.tocoo(), item_features=features, epochs=int(train.settings.get("epochs", 10)), num_threads=1)
    bias, factors = (np.asarray(a, np.float32) for a in model.get_item_representations(features))
    target = np.full(len(train.ids), float(np.abs(bias).max()) + 1.0, np.float32) - bias

    def score(liked: Sparse) -> Floats:
        scores = prior.ridge_fold_in(factors, liked, target, 1.0) @ factors.T + bias
        scores[np.diff(liked.indptr) == 0] = 0.0
        return scores

    return Folding(train, score)
