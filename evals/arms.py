"""The baselines without a language model. Each folds a new person in from what they revealed; nothing is refitted.

An arm that has nothing to go on (nothing revealed, or nothing that it knows) still ranks: by popularity, or at random
where there is no behaviour, and says so (`degraded`).
"""

import fcntl
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals.data import record_text
from snowmelt.evals.systems import Answer, Arm, Case, Said, Scorer, Train
from snowmelt.retrieval import prior
from snowmelt.retrieval.errors import InputError

Floats = NDArray[np.float32]
Sparse = prior.Sparse


def _grid(*settings: dict[str, Any]) -> Callable[[Arm], Arm]:
    def attach(arm: Arm) -> Arm:
        arm.grid = settings  # type: ignore[attr-defined]
        return arm

    return attach


def liked_matrix(train: Train, cases: Sequence[Case]) -> Sparse:
    """csr float32 [cases, items] of revealed likes."""
    from scipy.sparse import csr_matrix

    pairs = [(i, train.rows[id_]) for i, case in enumerate(cases) for id_ in case.liked]
    people, items = np.array(pairs, np.int64).reshape(-1, 2).T
    return csr_matrix((np.ones(len(people), np.float32), (people, items)), shape=(len(cases), len(train.ids)))


class _Folding:
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


@_grid(*({"half_life_days": d} for d in (7, 30, 90, 365, 1500, 6000)))
def recent(train: Train) -> Scorer:
    """Likes by warm people, where a like loses half its weight every `half_life_days`."""
    if not train.has_clock:
        raise InputError("recent needs timestamps that are times; this data set has none")
    days = float(train.settings.get("half_life_days", 90))
    liked = train.liked
    return _Same(prior.recency_popularity(train.item[liked], train.time[liked], len(train.ids), days * 86_400))


def texts_of(train: Train) -> tuple[str, ...]:
    """What a text arm reads of each item: title, categories, description (`text=plain`), or everything (`text=all`)."""
    if train.settings.get("text", "plain") == "all":
        return train.texts
    plain = ("title", "categories", "description")
    return tuple(record_text({name: record.get(name) for name in plain}) for record in train.records)


FREQUENT = (
    0.02  # share of the documents from which a term's weights are kept dense: long posting lists are slow as sparse
)


@_grid(*({"k1": k1, "b": b} for k1, b in ((1.2, 0.75), (0.6, 0.4), (2.0, 0.9))))
def bm25(train: Train) -> Scorer:
    """BM25 (Robertson and Zaragoza 2009; Lucene's never-negative idf) with the texts of the likes as one query."""
    from scipy.sparse import csr_matrix
    from snowmelt.retrieval.lexical import tokenise

    vocabulary: dict[str, int] = {}
    pairs = [
        (row, vocabulary.setdefault(token, len(vocabulary)))
        for row, text in enumerate(texts_of(train))
        for token in tokenise(text)
    ]
    rows, terms = np.array(pairs, np.int64).reshape(-1, 2).T
    shape = (len(train.ids), max(1, len(vocabulary)))
    counts = csr_matrix((np.ones(len(rows), np.float32), (rows, terms)), shape=shape)
    counts.sum_duplicates()
    k1, b = float(train.settings.get("k1", 1.2)), float(train.settings.get("b", 0.75))
    length = np.asarray(counts.sum(axis=1)).ravel()
    documents = np.bincount(counts.indices, minlength=shape[1])
    idf = np.log1p((shape[0] - documents + 0.5) / (documents + 0.5))
    weights = counts.copy()
    norm = np.repeat(k1 * (1 - b + b * length / max(float(length.mean()), 1e-9)), np.diff(counts.indptr))
    weights.data = (counts.data * (k1 + 1) / (counts.data + norm) * idf[counts.indices]).astype(np.float32)
    often = np.flatnonzero(documents > FREQUENT * shape[0])
    seldom = np.flatnonzero(documents <= FREQUENT * shape[0])
    dense_counts, dense_weights = counts[:, often], weights[:, often].toarray()
    sparse_counts, sparse_weights = counts[:, seldom].tocsr(), weights[:, seldom].T.tocsr()

    def score(liked: Sparse) -> Floats:
        frequent = (liked @ dense_counts).toarray() @ dense_weights.T
        return frequent + (liked @ sparse_counts @ sparse_weights).toarray()

    by_term = weights.T.tocsr()

    def search(text: str) -> Floats:
        known = [vocabulary[token] for token in tokenise(text) if token in vocabulary]
        return np.asarray(by_term[known].sum(axis=0), np.float32).ravel()

    return _Folding(train, score, search)


def item_vectors(train: Train) -> Floats:
    """Embedding of every item's text, float32 [items, dim], L2 = 1; kept in `train.cache` by content hash."""
    from snowmelt.retrieval.embedding import open_embedder

    embedder = open_embedder(str(train.settings.get("embedder", "use")))
    texts = texts_of(train)
    key = sha256("\0".join((embedder.id, *texts)).encode()).hexdigest()
    path = train.cache / "vectors" / f"{key}.npy"
    if path.exists():
        return np.load(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two arms at a time want the same vectors: one embeds, the other waits
        if not path.exists():
            unfinished = path.with_suffix(".tmp.npy")
            np.save(unfinished, np.asarray(embedder.documents(list(texts)), np.float32))
            unfinished.replace(path)
    return np.load(path)


def _nearest(vectors: Floats, liked: Sparse, how: str) -> Floats:
    if how == "mean":
        return np.asarray(liked @ vectors) @ vectors.T
    scores = np.zeros((liked.shape[0], len(vectors)), np.float32)
    for i in range(liked.shape[0]):
        own = liked.indices[liked.indptr[i] : liked.indptr[i + 1]]
        if len(own):
            scores[i] = (vectors[own] @ vectors.T).max(axis=0)
    return scores


@_grid({"how": "max"}, {"how": "mean"})
def dense(train: Train) -> Scorer:
    """Cosine to the liked items: the nearest of them (`how=max`) or their mean (`how=mean`)."""
    from snowmelt.retrieval.embedding import open_embedder

    vectors, how = item_vectors(train), str(train.settings.get("how", "max"))
    embedder = open_embedder(str(train.settings.get("embedder", "use")))
    return _Folding(
        train, lambda liked: _nearest(vectors, liked, how), lambda text: vectors @ embedder.queries([text])[0]
    )


@_grid(*({"neighbours": n, "shrink": s} for n in (50, 200, 800) for s in (0, 30, 100, 300)))
def item_knn(train: Train) -> Scorer:
    """Item-based nearest neighbours over co-likes."""
    similar = prior.item_knn(
        train.likes, int(train.settings.get("neighbours", 100)), float(train.settings.get("shrink", 20))
    )
    back = similar.T.tocsr()
    return _Folding(train, lambda liked: (liked @ back).toarray())


@_grid(*({"regularisation": r} for r in (30, 100, 300, 1000, 3000)))
def ease(train: Train) -> Scorer:
    """EASE with fold-in; above 10,000 items it is fitted on the most popular ones and the rest score 0."""
    kept = prior.ease_items(train.likes)
    weights = prior.ease(train.likes[:, kept], float(train.settings.get("regularisation", 100)))

    def score(liked: Sparse) -> Floats:
        scores = np.zeros(liked.shape, np.float32)
        scores[:, kept] = liked[:, kept] @ weights
        return scores

    return _Folding(train, score)


@_grid(*({"alpha": a, "regularisation": r} for a in (1, 4, 20) for r in (3, 30, 100)))
def als(train: Train) -> Scorer:
    """Implicit-feedback ALS (the `implicit` package), people folded in exactly."""
    from implicit.cpu.als import AlternatingLeastSquares

    alpha, regularisation = float(train.settings.get("alpha", 2)), float(train.settings.get("regularisation", 30))
    model = AlternatingLeastSquares(
        factors=int(train.settings.get("factors", 64)), regularization=regularisation, alpha=1 + alpha, iterations=15,
        num_threads=1, random_state=train.seed,
    )  # fmt: skip
    model.fit(train.likes, show_progress=False)
    factors = np.asarray(model.item_factors, np.float32)
    return _Folding(train, lambda liked: prior.als_fold_in(factors, liked, regularisation, alpha) @ factors.T)


@_grid(*({"factors": f, "regularisation": r} for f in (20, 50, 100) for r in (0.3, 1, 10)))
def svd(train: Train) -> Scorer:
    """Surprise's biased SVD on warm ratings; a new person is a ridge regression on their likes at the top rating."""
    if train.scale not in ("stars", "ten"):
        raise InputError("svd predicts ratings; this data set has none")
    if not len(train.item):
        raise InputError("svd needs behaviour; this split has none")
    import surprise

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
    return _Folding(
        train, lambda liked: prior.ridge_fold_in(factors, liked, residual, regularisation) @ factors.T + bias
    )


@_grid(*({"factors": f, "epochs": e} for f in (16, 48) for e in (10, 30)))
def lightfm(train: Train) -> Scorer:
    """LightFM (Kula 2015, WARP) over identity and categories; a new person is a ridge regression on their likes."""
    from lightfm import LightFM
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
    model = LightFM(int(train.settings.get("factors", 16)), loss="warp", random_state=train.seed)
    model.fit(train.likes.tocoo(), item_features=features, epochs=int(train.settings.get("epochs", 10)), num_threads=1)
    bias, factors = (np.asarray(a, np.float32) for a in model.get_item_representations(features))
    target = np.full(len(train.ids), float(np.abs(bias).max()) + 1.0, np.float32) - bias

    def score(liked: Sparse) -> Floats:
        scores = prior.ridge_fold_in(factors, liked, target, 1.0) @ factors.T + bias
        scores[np.diff(liked.indptr) == 0] = 0.0
        return scores

    return _Folding(train, score)


@_grid(*({"semantic": a} for a in (0.1, 0.3, 0.5, 0.8)))
def star(train: Train) -> Scorer:
    """STAR's retrieval (Lee et al., arXiv 2410.16458): `semantic` * cosine of texts + the rest * cosine of co-likes.

    Training-free. Its recency and rating weights are left out: revealed likes have neither here.
    """
    vectors, together = item_vectors(train), prior.cooccurrence(train.likes)
    share = float(train.settings.get("semantic", 0.5))

    def score(liked: Sparse) -> NDArray[np.floating]:
        return share * _nearest(vectors, liked, "mean") + (1 - share) * (liked @ together).toarray()

    return _Folding(train, score)
