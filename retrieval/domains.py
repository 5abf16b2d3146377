"""`snowmelt transfer`: taste in one domain as evidence in another, if held-out people say that it helps.

A source is joined to the target: one matrix of likes over the items of both, in which people known in both are one
person; where nobody is, the domains meet in the texts alone, through the map from content to what is learned. Whether
that helps is predicted from distances, then measured on people of the target who are played as new, with the source and
without it. A source that would hurt is refused. Joint factorisation of domains with shared people: Singh and Gordon,
*Relational learning via collective matrix factorization*, KDD 2008.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import playing, prior
from snowmelt.retrieval.fusion import ndcg, spread
from snowmelt.retrieval.learned import DEFAULT, LEAST, STRANGE, Learned, fit_behaviour
from snowmelt.retrieval.transfer import Content, extended

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

HOME = "home"  # what the tables call the target
JUDGES = 300  # people of the target who are played as new
FEWEST = 30  # of them, below which there is nothing to measure with
SURE = 1.64  # standard errors that a gain must be above 0 where (nearly) nobody is known in both: it seldom is one
REVEALED = (1, 5)
SAME = 0.6  # cosine from which items of two domains with the same title are one
COMPARED = 2000  # items of a domain whose vectors are compared
AXES = 32  # principal axes in which distributions of vectors are compared


@dataclass(frozen=True)
class Domain:
    """Items with what people did: `ids`, `titles` and `content` of n items, `likes` csr float32 [people, n], `people`
    the ids of who they are. `likes` may have no rows: nobody has done anything yet."""

    name: str
    ids: Sequence[str]
    titles: Sequence[str]
    content: Content
    likes: Sparse
    people: Sequence[str]


@dataclass(frozen=True)
class Distance:
    """What can be said of a source before it is used. `shared`: people known in both; `titles`: items of the source
    that the target has by title, a share; `frechet`: between the vectors of both, 0 alike to 2 (Frechet distance of two
    normal distributions in their first principal axes: Dowson and Landau 1982); `near`: mean cosine of a target item to
    the nearest source item."""

    shared: int
    titles: float
    frechet: float
    near: float

    @property
    def promising(self) -> bool:
        """Enough shared people to learn from, or nearly the same kind of items."""
        return self.shared >= FEWEST or self.titles >= 0.5


@dataclass(frozen=True)
class Verdict:
    """NDCG@10 of `judges` people of the target, played as new, `without` and `with_` the source; `error`: the standard
    error of the difference. `kind`: "known elsewhere" (their likes in the source are revealed) or "new" (likes in the
    target). Fewer than FEWEST judges: nothing was measured and only the `distance` decides.
    `beside`: with better sources and without this one."""

    distance: Distance
    kind: str
    judges: int
    without: float
    with_: float
    error: float
    beside: float | None = None

    @property
    def helps(self) -> bool:
        if self.judges < FEWEST:
            return self.distance.promising
        gain = self.with_ - max(self.without, self.beside or 0.0)
        return gain > (0.0 if self.distance.shared >= FEWEST else SURE * self.error)

    @property
    def why(self) -> str:
        d = self.distance
        told = f"{d.shared:,} shared people, {d.titles:.0%} of titles in both, Frechet distance {d.frechet:.2f}"
        if self.judges < FEWEST:
            return f"{self.judges} people to try it on, {FEWEST} are needed; {told}"
        if self.beside is not None:
            return f"NDCG@10 {self.beside:.3f} with the better sources, {self.with_:.3f} with this one, too; {told}"
        return f"NDCG@10 {self.without:.3f} without, {self.with_:.3f} with it, {self.judges} people {self.kind}; {told}"


def distance(target: Domain, source: Domain) -> Distance:
    """How near the source is to the target; nothing is fitted."""
    own = {title_key(t) for t in target.titles}
    same = np.mean([title_key(t) in own for t in source.titles])
    a, b = (np.asarray(d.content.vectors[spread(len(d.titles), COMPARED)], np.float64) for d in (target, source))
    axes = np.linalg.svd(np.concatenate([a, b]) - np.concatenate([a, b]).mean(axis=0), full_matrices=False)[2][:AXES]
    near = float((a @ b.T).max(axis=1).mean())
    a, b = a @ axes.T, b @ axes.T
    c, d = np.cov(a.T), np.cov(b.T)
    values = np.linalg.eigvals(c @ d)
    mixed = float(np.sqrt(np.maximum(values.real, 0)).sum())
    frechet = float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * mixed)
    return Distance(len(set(target.people) & set(source.people)), float(same), max(frechet, 0.0), near)


def chosen(target: Domain, sources: Sequence[Domain], seed: int = 0) -> tuple[list[Domain], dict[str, Verdict]]:
    """The sources that help, and why: each alone, then, best first, those that still help beside the ones before."""
    alone = {s.name: judged(target, [s], seed) for s in sources}
    taken: list[Domain] = []
    best = -1.0
    for source in sorted(sources, key=lambda s: -alone[s.name].with_):
        if alone[source.name].helps:
            beside = judged(target, [*taken, source], seed) if taken else alone[source.name]
            if beside.with_ > best or beside.judges < FEWEST:
                best, taken = beside.with_, [*taken, source]
            else:
                alone[source.name] = replace(beside, beside=best)
    return taken, alone


def judged(target: Domain, sources: Sequence[Domain], seed: int = 0) -> Verdict:
    """Play people of the target as new with the sources and without them, both at the weights before learning. The
    distance is that of the last source."""
    far, (X, content, _) = distance(target, sources[-1]), joined(target, sources)
    able, kind = able_to_judge(X, target)
    judges = np.random.default_rng([seed, 0xD0]).permutation(able)[: min(JUDGES, len(able) // 4)]
    if len(judges) < FEWEST:
        return Verdict(far, kind, len(judges), 0.0, 0.0, 0.0)
    without, with_ = tried(X, content, target.content, judges, kind, seed)
    error = float((with_ - without).std() / np.sqrt(len(judges)))
    return Verdict(far, kind, len(judges), float(without.mean()), float(with_.mean()), error)


def able_to_judge(X: Sparse, target: Domain) -> tuple[Rows, str]:
    """Who can be played as new, and how: people known elsewhere where there are enough, else those with two likes.

    The target's people and items come first in `X`.
    """
    people, count = len(set(target.people)), len(target.titles)
    here = np.diff(X[:people, :count].indptr)
    there = np.diff(X[:people].indptr) - here
    both = np.flatnonzero((here > 0) & (there > 0))
    return (both, "known elsewhere") if len(both) >= FEWEST else (np.flatnonzero(here > 1), "new")


def tried(
    X: Sparse, content: Content, own: Content, judges: Rows, kind: str, seed: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """NDCG@10 of each of the `judges` among the target's items, without the others' likes elsewhere and with them,
    [judges * levels that they have]. Nobody is in what is fitted. `own`: the content of the target alone."""
    count, rng = len(own.vectors), np.random.default_rng([seed, 0xD1])
    others = X[np.setdiff1d(np.arange(X.shape[0]), judges)]
    alone, together = _plain(others[:, :count].tocsr(), own, seed), _plain(others, content, seed)
    found: tuple[list[Floats], list[Floats]] = ([], [])
    for k in REVEALED:
        shown, hidden = [], []
        for person in judges:
            every = rng.permutation(X.indices[X.indptr[person] : X.indptr[person + 1]])
            revealed = every[every >= count][:k] if kind == "known elsewhere" else every[every < count][:k]
            rest = np.setdiff1d(every[every < count], revealed)
            if len(rest):
                shown.append(revealed)
                hidden.append(rest)
        liked, gold = (playing.matrix(lists, X.shape[1]) for lists in (shown, hidden))
        known, wanted = liked[:, :count].toarray() > 0, gold[:, :count].toarray() > 0
        for values, learned, mine in zip(found, (alone, together), (liked[:, :count].tocsr(), liked), strict=True):
            parts = [_scores(learned, mine[i : i + 64], count) for i in range(0, mine.shape[0], 64)]
            scores = np.concatenate(parts)
            scores[known] = -np.inf
            values.append(ndcg(scores, wanted, wanted.sum(axis=1)))
    return np.concatenate(found[0]), np.concatenate(found[1])


def joined(target: Domain, sources: Sequence[Domain]) -> tuple[Sparse, Content, list[Rows]]:
    """(likes csr [all people, items], their content, the place of each source's items).

    The items of the target come first; an item of a source that the target has, too (the same title, a near vector), is
    that one, all others follow.
    """
    from scipy.sparse import coo_matrix

    at: dict[str, int] = {}
    own: dict[str, int] = {}
    for row, title in enumerate(target.titles):
        own.setdefault(title_key(title), row)
    rows, columns, places, vectors, start = [], [], [], [np.asarray(target.content.vectors, np.float32)], 0
    for domain in (target, *sources):
        place = np.arange(start, start + len(domain.titles))
        if domain is not target:
            here = np.array([own.get(title_key(title), -1) for title in domain.titles])
            alike = np.einsum("ij,ij->i", domain.content.vectors, vectors[0][here])
            same = (here >= 0) & (alike >= SAME)
            place = np.where(same, here, start + np.cumsum(~same) - 1)
            vectors.append(np.asarray(domain.content.vectors, np.float32)[~same])
            places.append(place)
        who = np.array([at.setdefault(p, len(at)) for p in domain.people], np.int64)
        likes = domain.likes.tocoo()
        rows.append(who[likes.row] if len(who) else np.empty(0, np.int64))
        columns.append(place[likes.col])
        start = max(start, int(place.max(initial=-1)) + 1)
    one, other = np.concatenate(rows), np.concatenate(columns)
    X = coo_matrix((np.ones(len(one), np.float32), (one, other)), shape=(len(at), start)).tocsr()
    X.data[:] = 1.0
    return X, extended(target.content, np.concatenate(vectors[1:])), places


def liked_often(source: Domain) -> Domain:
    """The source with the items alone that have behaviour."""
    rows = np.flatnonzero(prior.popularity(source.likes) >= LEAST)
    ids, titles = ([names[int(row)] for row in rows] for names in (source.ids, source.titles))
    return Domain(source.name, ids, titles, source.content.at(rows), source.likes[:, rows].tocsr(), source.people)


def _plain(X: Sparse, content: Content, seed: int) -> Learned:
    rows = np.flatnonzero(prior.popularity(X) >= LEAST).astype(np.int64)
    return Learned(content, fit_behaviour(X, rows, seed), {"known": DEFAULT, "new": STRANGE, HOME: DEFAULT})


def _scores(learned: Learned, liked: Sparse, count: int) -> Floats:
    return np.sum(list(learned.contributions(liked.tocsr(), HOME).values()), axis=0)[:, :count]


def title_key(title: str) -> str:
    """Titles that differ in case and punctuation alone have the same."""
    return re.sub(r"\W+", " ", title.casefold()).strip()
