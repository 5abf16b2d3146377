"""The baselines that read texts: BM25, dense similarity, and STAR, which adds co-likes to it."""

from array import array
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals.arms import Floats, Folding, Sparse, grid
from snowmelt.evals.data import record_text
from snowmelt.evals.systems import Scorer, Train
from snowmelt.retrieval import prior
from snowmelt.retrieval.locking import locked

FREQUENT = 0.02  # share of documents from which a term's weights are kept dense: long posting lists are slow as sparse


def texts_of(train: Train) -> tuple[str, ...]:
    """What a text arm reads of each item: title, categories, description (`text=plain`), or everything (`text=all`)."""
    if train.settings.get("text", "plain") == "all":
        return train.texts
    plain = ("title", "categories", "description")
    return tuple(record_text({name: record.get(name) for name in plain}) for record in train.records)


@grid(*({"k1": k1, "b": b} for k1, b in ((1.2, 0.75), (0.6, 0.4), (2.0, 0.9), (4.0, 1.0))))
def bm25(train: Train) -> Scorer:
    """BM25 (Robertson and Zaragoza 2009; Lucene's never-negative idf) with the texts of the likes as one query."""
    from scipy.sparse import csr_matrix
    from snowmelt.retrieval.lexical import tokenise

    vocabulary: dict[str, int] = {}
    terms, ends = array("i"), array("q", [0])
    for text in texts_of(train):
        terms.extend(vocabulary.setdefault(token, len(vocabulary)) for token in tokenise(text))
        ends.append(len(terms))
    shape = (len(train.ids), max(1, len(vocabulary)))
    counts = csr_matrix((np.ones(len(terms), np.float32), np.array(terms), np.array(ends)), shape=shape)
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
    by_term = weights.T.tocsr()

    def score(liked: Sparse) -> Floats:
        frequent = (liked @ dense_counts).toarray() @ dense_weights.T
        return frequent + (liked @ sparse_counts @ sparse_weights).toarray()

    def search(text: str) -> Floats:
        known = [vocabulary[token] for token in tokenise(text) if token in vocabulary]
        return np.asarray(by_term[known].sum(axis=0), np.float32).ravel()

    return Folding(train, score, search)


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
    with locked(path.with_suffix(".lock")):  # two arms at a time want the same vectors: one embeds, the other waits
        if not path.exists():
            unfinished = path.with_suffix(".tmp.npy")
            np.save(unfinished, np.asarray(embedder.documents(list(texts)), np.float32))
            unfinished.replace(path)
    return np.load(path)


def nearest(vectors: Floats, liked: Sparse, how: str) -> Floats:
    """Cosine [cases, items] of every item to the mean of the liked ones (`how="mean"`) or to the nearest of them."""
    if how == "mean":
        return np.asarray(liked @ vectors) @ vectors.T
    scores = np.zeros((liked.shape[0], len(vectors)), np.float32)
    for i in range(liked.shape[0]):
        own = liked.indices[liked.indptr[i] : liked.indptr[i + 1]]
        if len(own):
            scores[i] = (vectors[own] @ vectors.T).max(axis=0)
    return scores


@grid({"how": "max"}, {"how": "mean"})
def dense(train: Train) -> Scorer:
    """Cosine to the liked items: the nearest of them (`how=max`) or their mean (`how=mean`)."""
    from snowmelt.retrieval.embedding import open_embedder

    vectors, how = item_vectors(train), str(train.settings.get("how", "max"))
    embedder = open_embedder(str(train.settings.get("embedder", "use")))
    return Folding(
        train, lambda liked: nearest(vectors, liked, how), lambda text: vectors @ embedder.queries([text])[0]
    )


@grid(*({"semantic": a} for a in (0.03, 0.1, 0.2, 0.3, 0.5, 0.8)))
def star(train: Train) -> Scorer:
    """STAR's retrieval (Lee et al., arXiv 2410.16458): `semantic` * cosine of texts + the rest * cosine of co-likes.

    Training-free. Its recency and rating weights are left out: revealed likes have neither here.
    """
    vectors, together = item_vectors(train), prior.cooccurrence(train.likes)
    share = float(train.settings.get("semantic", 0.5))

    def score(liked: Sparse) -> NDArray[np.floating]:
        return share * nearest(vectors, liked, "mean") + (1 - share) * (liked @ together).toarray()

    return Folding(train, score)
