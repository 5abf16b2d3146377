"""Candidates to an order. The model's word is one bounded signal; code owns the order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.llm import LLM, ModelError
from snowmelt.agent.types import Profile
from snowmelt.prompts import render
from snowmelt.retrieval.catalogue import Catalogue

BOUND = 5  # places that the model can move an item from its place in retrieval, whatever it says


def retrieve(
    catalogue: Catalogue, profile: Profile, allowed: NDArray[np.bool_], pool: int = 50
) -> tuple[list[int], dict[str, NDArray[np.float32]]]:
    """Rows of the best `pool` candidates and their signals (each standardised over the union of the searches).

    dense: the highest cosine to any like, less half the highest to any dislike. bm25: over the likes' words. match:
    share of the liked attribute values that the item has.
    """
    likes = [_query(catalogue, e.text, e.item_id) for e in profile.likes]
    liked = catalogue.embedder.queries(likes) if likes else catalogue.vectors.mean(0, keepdims=True)
    words = [e.text for e in profile.likes if e.item_id is None]
    bm25 = catalogue.lexical.scores(" ".join(words or likes))
    near = catalogue.nearest(liked, 200)[0].tolist()
    rows = list(dict.fromkeys([*(r for part in near for r in part), *np.argsort(-bm25, kind="stable")[:200].tolist()]))
    rows = [r for r in rows if allowed[r]]
    if len(rows) < pool:  # a narrow constraint: everything that it leaves
        rows = np.flatnonzero(allowed).tolist()
    if not rows:
        return [], {}
    dense = (catalogue.vectors[rows] @ liked.T).max(1)
    if profile.dislikes:
        disliked = catalogue.embedder.queries([_query(catalogue, e.text, e.item_id) for e in profile.dislikes])
        dense = dense - 0.5 * np.maximum((catalogue.vectors[rows] @ disliked.T).max(1), 0)
    wanted = [(e.attribute, e.text) for e in profile.likes if e.attribute]
    match = np.array([sum(v in _list(catalogue, r, a) for a, v in wanted) for r in rows], float)
    signals = {"dense": standardise(dense), "bm25": 0.5 * standardise(bm25[rows]), "match": standardise(match)}
    order = np.argsort(-np.sum(list(signals.values()), axis=0), kind="stable")[:pool]
    return [rows[i] for i in order], {name: values[order] for name, values in signals.items()}


def _query(catalogue: Catalogue, text: str, item_id: str | None) -> str:
    return catalogue.text(catalogue.rows[item_id]) if item_id in catalogue.rows else text


def _list(catalogue: Catalogue, row: int, attribute: str | None) -> tuple[str, ...]:
    value = catalogue.items[row].attributes.get(attribute or "", ())
    return value if isinstance(value, tuple) else ()


def standardise(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Mean 0, deviation 1; all zeros where nothing differs or anything is not finite."""
    values = np.asarray(values, np.float64)
    spread = values.std() if np.isfinite(values).all() else 0.0
    return ((values - values.mean()) / spread if spread > 1e-9 else np.zeros(len(values))).astype(np.float32)


def likelihood(llm: LLM, liked: Sequence[str], titles: Sequence[str], deadline: float | None) -> NDArray[np.float32] | None:
    """Mean log-probability per token of each title continuing the list of liked titles; None if the model failed."""
    try:
        scores = llm.score(render("rank", titles=", ".join(liked)), [f" {t}" for t in titles], deadline=deadline)
    except ModelError:
        return None
    values = np.asarray(scores.logprobs, np.float32)
    return values if values.shape == (len(titles),) and np.isfinite(values).all() else None


def bounded(base: Sequence[float], moved: Sequence[float], bound: int = BOUND) -> list[int]:
    """Positions 0..n-1 in the order of `moved`, none more than `bound` places from its place in `base` (descending)."""
    start = [int(i) for i in np.argsort(-np.asarray(base), kind="stable")]
    place = {i: p for p, i in enumerate(start)}
    wish = [int(i) for i in np.argsort(-np.asarray(moved), kind="stable")]
    order: list[int] = []
    left = set(start)
    for p in range(len(start)):
        due = start[p - bound] if p >= bound else None
        pick = due if due in left else next(i for i in wish if i in left and place[i] <= p + bound)
        order.append(pick)
        left.remove(pick)
    return order
