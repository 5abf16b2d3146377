"""Nearness of texts: how like the likes an item is, and how near to what was asked for in words, as signals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.fusion import spread
from snowmelt.retrieval.lexical import Lexical

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

# Without behaviour, chosen on validation people of ml-100k, lastfm-hetrec, amazon-office and redial (docs/results.md).
DENSE, MEAN, BM25 = 1.0, 0.25, 0.75  # of standardised signals
# Without behaviour, what was asked for in words leads: beside it likeness to the likes counts so far that its best item
# has this share of the best score by the words. Somebody who likes a chair and wants pens is shown pens: on
# amazon-office 0.83 of a list has the word asked for, 0.24 with all texts alike (150 people, benchmarks/asked.py).
BESIDE = 0.6
LIKES = 10  # whose text is compared with one another
SAMPLE = 2000  # items that say how large a cosine is


def text_signals(cosines: Floats, sample: Floats, strengths: Floats | None = None) -> dict[str, Floats]:
    """dense: nearness to the nearest query and to all of them, [items]. `cosines`, `sample`: [items, queries];
    `strengths` [queries]: how much each counts, all the same for None."""
    if not cosines.shape[1]:
        return {}
    if strengths is not None and np.ptp(strengths) > 0:
        own = (strengths / strengths.max()).astype(np.float32)  # what is liked faintly draws less
        cosines, sample = cosines * own, sample * own
    nearest = scaled(cosines.max(axis=1), sample.max(axis=1))
    dense = DENSE * nearest + MEAN * scaled(cosines.mean(axis=1), sample.mean(axis=1))
    return {"dense": dense.astype(np.float32)}


def own_likeness(cosines: Floats, usual: Floats, own: Floats) -> Floats:
    """`cosines` [items, queries] of texts that repeat a liked item's drawn to the mean of `usual` [sample, queries], as
    far as `own` [items] says that their likeness is not their own (`Lexical.own`)."""
    mean = usual.mean(axis=0)
    return (mean + (cosines - mean) * own[:, None]).astype(np.float32)


def beside(alike: dict[str, Floats], asked: dict[str, Floats]) -> dict[str, Floats]:
    """What was asked for in words, and beside it what is like the likes (`BESIDE`)."""
    most, best = (float(np.sum(list(signals.values()), axis=0).max()) for signals in (alike, asked))
    share = np.float32(np.clip(BESIDE * best / max(most, 1e-6), 0, 1))
    return added(asked, {name: share * values for name, values in alike.items()})


def by_texts(cosines: Floats, sample: Floats, strengths: Floats, words: Floats) -> dict[str, Floats]:
    """`text_signals`, and bm25 from `words` [items], how well an item's words fit, standardised."""
    return {**text_signals(cosines, sample, strengths), "bm25": BM25 * words}


def added(signals: dict[str, Floats], more: dict[str, Floats]) -> dict[str, Floats]:
    """Both; signals of one name as their sum."""
    return signals | {name: signals[name] + values if name in signals else values for name, values in more.items()}


def standing(vectors: Floats, lexical: Lexical, liked: Sequence[int], sample: Rows) -> list[float]:
    """How far each of the rows `liked` stands out among the rows `sample` by the text signals of the other likes, in
    standard deviations; nothing for fewer than two."""
    own = list(dict.fromkeys(liked))[:LIKES]
    if len(own) < 2:
        return []
    rows, n = np.concatenate([sample, own]), len(sample)
    cosines = np.asarray(vectors[rows] @ vectors[own].T, np.float32)
    words = np.stack([lexical.alike([row])[rows] for row in own], axis=1).astype(np.float32)
    found = []
    for i in range(len(own)):
        near, shared = np.delete(cosines, i, axis=1), np.delete(words, i, axis=1).sum(axis=1, dtype=np.float32)
        values = np.asarray(text_signals(near, near[:n])["dense"] + BM25 * scaled(shared, shared[:n]), np.float32)
        found.append(float(scaled(values, values[:n])[n + i]))
    return found


def queries_of(catalogue: Catalogue, liked: Sequence[int], words: Sequence[str]) -> Floats:
    """float32 [queries, dim]: the items as they are indexed, the words as the embedder reads questions."""
    own = np.asarray(catalogue.vectors[list(liked)], np.float32).reshape(-1, catalogue.vectors.shape[1])
    return np.concatenate([own, catalogue.embedder.queries(list(words))]) if words else own


def cosines_of(catalogue: Catalogue, queries: Floats, rows: Rows) -> Floats:
    """float32 [rows, queries]."""
    vectors = catalogue.vectors if len(rows) == len(catalogue.ids) else catalogue.vectors[rows]
    return np.asarray(vectors @ queries.T, np.float32)


def sample(count: int) -> Rows:
    """Rows that say how large a signal is, [min(count, SAMPLE)]."""
    return spread(count, SAMPLE)


def scaled(values: Floats, sample: Floats) -> Floats:
    """`values` less the mean of `sample`, in its standard deviations."""
    return (values - sample.mean()) / np.float32(max(float(sample.std()), 1e-6))
