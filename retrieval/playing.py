"""`fit`: everything that is learned from likes; the weights from warm people who are played as cold ones."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import prior
from snowmelt.retrieval.fusion import Lesson, Weights, learn, ndcg
from snowmelt.retrieval.learned import DEFAULT, KNOTS, LEAST, NAMES, STRANGE, Learned, fit_behaviour
from snowmelt.retrieval.transfer import Content

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

POOL = 120  # candidates of a lesson: the best by `DEFAULT`
SHOWN = 12  # candidates of a lesson for short lists: one hidden like, the rest drawn by their popularity
PLAYED = 450  # people played as cold in one part; each is played twice in the lessons for "known"
SMALL = 1500  # people up to which two parts are played
STRANGERS = 2  # times that a fifth of the items are played as new
LATEST, FEWEST = 300, 30  # people who arrived last, on whom it is tried whether first likes tell more; at least
SURE = 1.64  # standard errors that a gain must be above 0 (one-sided p < 0.05)
BLOCK = 64  # people whose signals are held at a time
DOUBT = 100  # people that the weights before (of fewer likes, at first of `DEFAULT`) count for beside those that teach

# Until likes tell what is well known, a language model's familiarity with titles does: its weight in the default tables
# is HEARD for the first person and half of it with FEW (docs/results.md).
HEARD, FEW = 0.3, 20


def fit(
    X: Sparse,
    content: Content,
    seed: int = 0,
    domains: Sequence[str] | None = None,
    least: int = LEAST,
    times: Sparse | None = None,
    more: Sparse | None = None,
) -> Learned:
    """Fit on likes `X` csr float32 [people, items], of which at least two people have two likes.

    `domains` [items] names each item's domain, if people are to be met who are known from other domains alone. `times`
    csr float64, in the same places as `X`: when each like was, if the people to be met are known by their first likes.
    Those are the popular ones, and what follows is not: on ml-100k in order of time NDCG@10 of 90 validation people is
    0.331 without and 0.394 with `times`; where likes are told in any order, 0.532 without, and 0.511 with half of the
    lessons in this order (480 warm people). `more` csr [people * kinds, items]: what else the same people did, which
    teaches like others' likes (see `kinds`).
    """
    from scipy.sparse import vstack
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # its matrices are small: on busy cores more threads cost three times the work
        lessons = _lessons(X, content, seed, domains, least, times, more)
        keys = ("known", "new", "shown", *sorted(lessons))
        heard = HEARD * FEW / (FEW + X.shape[0]) if content.familiarity.any() else 0.0
        usual, strange = (table.given(familiarity=heard) for table in (DEFAULT, STRANGE))
        tables = {key: _table(lessons[key], strange if key == "new" else usual) for key in keys}
        whole = X if more is None else vstack([X, more], "csr")
        return Learned(content, fit_behaviour(whole, often(X, least), seed), tables)


def first_likes_help(X: Sparse, content: Content, times: Sparse, seed: int = 0) -> bool:
    """Whether the people who arrive last, known by their first likes, are served better by weights from people who were
    played with their first likes revealed than by weights from likes in any order, beyond chance. `times` as in `fit`.

    Everything is learned from what was done before the first of them arrived.
    """
    from threadpoolctl import threadpool_limits

    some, able = np.flatnonzero(np.diff(X.indptr)), np.flatnonzero(np.diff(X.indptr) >= 2)
    begins = np.full(X.shape[0], np.inf)
    begins[some] = np.minimum.reduceat(times.data, X.indptr[some])  # which wants no empty runs
    latest = able[np.argsort(begins[able], kind="stable")][len(able) - min(LATEST, len(able) // 5) :]
    if len(latest) < FEWEST:
        return False
    before = times.copy()
    before.data = (before.data < begins[latest].min()).astype(np.float64)
    before.eliminate_zeros()
    known = before.astype(np.float32)
    known.data[:] = 1.0
    played, others = parts(known, seed)[0]
    rows, rng = often(others, LEAST), np.random.default_rng([seed, 0x1A])
    if len(rows) < 2:
        return False
    with threadpool_limits(1, "blas"):
        signals = known_of(taught(others, rows, content, seed))
        any_, first, later = ({k: [] for k in KNOTS} for _ in range(3))
        for order, lessons in ((None, any_), (times, first)):
            play(lessons, known, played, signals, rows, rng, first=order)
        play(later, X, latest, signals, rows, rng, first=times)
        one, other = _table(any_, DEFAULT), _table(first, DEFAULT)
    gains = [found(other.at(k), lesson) - found(one.at(k), lesson) for k in KNOTS for lesson in later[k]]
    gain = np.concatenate(gains) if gains else np.zeros(1)
    return bool(gain.mean() > SURE * gain.std() / np.sqrt(len(latest)))


def found(weights: Mapping[str, float], lesson: Lesson) -> Floats:
    """NDCG@10 of each person of a lesson at these weights of its signals."""
    total = np.sum([weights[name] * values for name, values in lesson.signals.items()], axis=0)
    return ndcg(total, lesson.hidden, lesson.total)


def often(X: Sparse, least: int) -> Rows:
    return np.flatnonzero(prior.popularity(X) >= least).astype(np.int64)


def _lessons(
    X: Sparse,
    content: Content,
    seed: int,
    domains: Sequence[str] | None,
    least: int,
    times: Sparse | None,
    more: Sparse | None,
) -> dict[str, dict[int, list[Lesson]]]:
    """For each table the lessons at each knot; see `fit`."""
    lessons: dict[str, dict[int, list[Lesson]]] = defaultdict(lambda: {k: [] for k in KNOTS})
    apart = parts(X, seed, more)
    for part, (played, others) in enumerate(apart):
        rows = often(others, least)
        if len(rows) < 2:
            continue
        rng = np.random.default_rng([seed, part])
        model = taught(others, rows, content, seed)
        for _ in range(2):
            play(lessons["known"], X, played, known_of(model), rows, rng, first=times)
        if part:
            continue
        every = np.arange(X.shape[1])
        play(lessons["shown"], X, played, model.every, every, rng, drawn=prior.popularity(X))
        for name in sorted(set(domains or ())):
            inside = np.flatnonzero(np.asarray(domains, object) == name)
            play(lessons[f"to {name}"], X, played, partial(_every_of, model, inside), inside, rng, apart=inside)
            play(lessons[f"in {name}"], X, played, partial(_every_of, model, inside), inside, rng)
        liked = rng.permutation(np.flatnonzero(prior.popularity(X)))
        for fresh in map(np.sort, np.array_split(liked, 5)[:STRANGERS]):
            left = np.setdiff1d(rows, fresh)
            if len(left) > 1 and len(fresh):
                model = taught(others, left, content, seed)
                play(lessons["new"], X, played, _new_of(model, fresh), fresh, rng, apart=fresh)
    return lessons


def taught(X: Sparse, rows: Rows, content: Content, seed: int) -> Learned:
    return Learned(content, fit_behaviour(X, rows, seed), {"known": DEFAULT, "new": STRANGE})


def _every_of(learned: Learned, inside: Rows, liked: Sparse) -> dict[str, Floats]:
    return {name: values[:, inside] for name, values in learned.every(liked).items()}


def known_of(learned: Learned) -> Callable[[Sparse], dict[str, Floats]]:
    home = learned.content.at(learned.behaviour.rows)
    return lambda liked: learned.known(liked, learned.content.signals(liked, home))


def _new_of(learned: Learned, fresh: Rows) -> Callable[[Sparse], dict[str, Floats]]:
    known, place = known_of(learned), np.searchsorted(learned.new_rows, fresh)
    strangers = learned.content.at(learned.new_rows)

    def signals(liked: Sparse) -> dict[str, Floats]:
        found = learned.new(known(liked), learned.content.signals(liked, strangers))
        return {name: values[:, place] for name, values in found.items()}

    return signals


def parts(X: Sparse, seed: int, more: Sparse | None = None) -> list[tuple[Rows, Sparse]]:
    """(people to play, likes of all others and the rows of `more` that are not theirs): a fifth of those with two
    likes, twice where there are few."""
    from scipy.sparse import vstack

    able = np.random.default_rng([seed, 0xF0]).permutation(np.flatnonzero(np.diff(X.indptr) >= 2))
    size = max(1, min(len(able) // 5, PLAYED))
    chosen = [able[part * size : (part + 1) * size] for part in range(2 if len(able) <= SMALL else 1)]
    found = []
    for played in chosen:
        apart = np.ones(X.shape[0], bool)
        apart[played] = False
        others = X[apart]
        if more is not None:
            others = vstack([others, more[np.tile(apart, more.shape[0] // len(apart))]], "csr")
        found.append((played, others))
    return found


def play(
    lessons: dict[int, list[Lesson]], X: Sparse, played: Rows,
    signals: Callable[[Sparse], Mapping[str, Floats]], rows: Rows, rng: np.random.Generator,
    apart: Rows | None = None, drawn: Floats | None = None, first: Sparse | None = None,
) -> None:  # fmt: skip
    """Add lessons at every knot. `signals(liked csr)` -> name -> [people, rows], of the candidates `rows`.

    `apart`: likes of these items are never revealed, and only these are hidden. `drawn` [items]: candidates are one
    hidden like and SHOWN - 1 items drawn by these weights. `first`: likes are revealed in the order of these times.
    """
    open_ = np.ones(X.shape[1], bool)
    if apart is not None:
        open_[apart] = False
    for k in KNOTS:
        shown, hidden = [], []
        for person in played:
            own = rng.permutation(X.indices[X.indptr[person] : X.indptr[person + 1]])
            if first is not None:
                own = own[np.argsort(first[person, own].toarray().ravel(), kind="stable")]
            revealed = own[open_[own]][:k]
            rest = np.setdiff1d(own, revealed) if apart is None else own[~open_[own]]
            if len(revealed) == k and len(rest):
                shown.append(revealed)
                hidden.append(rest)
        for start in range(0, len(shown), BLOCK):
            liked = matrix(shown[start : start + BLOCK], X.shape[1])
            gold = matrix(hidden[start : start + BLOCK], X.shape[1])
            values = signals(liked)
            known, wanted = liked[:, rows].toarray() > 0, gold[:, rows].toarray() > 0
            lessons[k].append(_lesson(values, known, wanted, k) if drawn is None else
                              _short(values, known, wanted, drawn[rows], rng))  # fmt: skip


def matrix(lists: Sequence[NDArray[np.integer]], items: int) -> Sparse:
    from scipy.sparse import csr_matrix

    ends = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
    columns = np.concatenate([np.empty(0, np.int64), *lists])
    return csr_matrix((np.ones(len(columns), np.float32), columns, ends), shape=(len(lists), items))


def _lesson(signals: Mapping[str, Floats], revealed: NDArray[np.bool_], hidden: NDArray[np.bool_], k: int) -> Lesson:
    """Cut to the POOL best candidates by DEFAULT, best first, revealed items left out."""
    table = DEFAULT.at(k)
    base = np.sum([table[name] * values for name, values in signals.items()], axis=0)
    base[revealed] = -np.inf
    pool = min(POOL, base.shape[1])
    best = np.argpartition(-base, pool - 1, axis=1)[:, :pool]
    best = np.take_along_axis(best, np.argsort(-np.take_along_axis(base, best, axis=1), axis=1), axis=1)
    cut = {name: np.take_along_axis(values, best, axis=1) for name, values in signals.items()}
    return Lesson(cut, np.take_along_axis(hidden, best, axis=1), hidden.sum(axis=1))


def _short(
    signals: Mapping[str, Floats], revealed: NDArray[np.bool_], hidden: NDArray[np.bool_], weights: Floats,
    rng: np.random.Generator,
) -> Lesson:  # fmt: skip
    """One hidden like and others drawn without replacement by `weights` (Efraimidis and Spirakis 2006)."""
    keys = rng.random(hidden.shape) ** (1 / np.maximum(weights, 1e-9))
    keys[revealed | (weights == 0)] = -1
    like = np.where(hidden, keys + 1, keys).argmax(axis=1)  # a hidden like, drawn by the same weights
    keys[hidden] = -1
    keys[np.arange(len(keys)), like] = 2
    best = np.argpartition(-keys, min(SHOWN, keys.shape[1]) - 1, axis=1)[:, :SHOWN]
    cut = {name: np.take_along_axis(values, best, axis=1) for name, values in signals.items()}
    return Lesson(cut, best == like[:, None], np.ones(len(keys), np.int64))


def _table(lessons: Mapping[int, Sequence[Lesson]], otherwise: Weights) -> Weights:
    rows, before = [], otherwise.at(KNOTS[0])
    for k in KNOTS:
        found = learn(lessons[k], NAMES)
        people, size = sum(int(one.hidden.any(axis=1).sum()) for one in lessons[k]), sum(found.values())
        if size > 0:
            trust, scale = people / (people + DOUBT), size / sum(before.values())
            before = {n: trust * found[n] + (1 - trust) * scale * w for n, w in before.items()}
        rows.append(tuple(round(before[name], 4) for name in NAMES))
    return Weights(NAMES, KNOTS, tuple(rows))
