"""What people have liked and skipped since the last fit: counts, taken up at once, without a refit.

Kept in DIR/learned/arrivals.db, safe between processes: of each item its likes and skips, of each pair of items how
often one person liked both. No person is in it, not even by a number; whoever is erased is gone from the next fit.
Popularity, co-likes and lift become what a fit on all rows would give (to float16, among the pairs that a fit keeps);
an item that was new has behaviour of its own as soon as `LEAST` people like it: the factors and tastes of what its
people like besides.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.learned import LEAST, Learned
from snowmelt.retrieval.prior import SHRINK

Floats = NDArray[np.float32]
Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

MOST = 50  # of a person's other likes that a like is paired with: the latest
WAIT = 10.0  # seconds for another process to finish writing


@dataclass(frozen=True)
class Arrivals:
    """Counts since a fit. `items`: id -> (likes, skips); `pairs`: (id, id) -> (people, people each weighing 1 / sqrt of
    their likes); `people` who like anything, and the `weight` of all of them together."""

    items: Mapping[str, tuple[float, float]]
    pairs: Mapping[tuple[str, str], tuple[float, float]]
    people: float
    weight: float


@dataclass(frozen=True)
class Fitted:
    """How many taught: `people`, those of them `liking` something that has behaviour, and the `weight` of these
    together, the sum of 1 / sqrt(likes)."""

    people: float
    liking: float
    weight: float

    @property
    def mean(self) -> float:
        return self.weight / self.liking


def record(directory: Path, liked: Sequence[str], item: str, *, skip: bool = False, back: bool = False) -> None:
    """Somebody who likes the items `liked` likes `item` as well (or skips it). `back`: takes exactly that back; then
    `liked` are the other likes, too."""
    sign = -1.0 if back else 1.0
    others = list(dict.fromkeys(i for i in liked if i != item))
    few, many = _root(len(others)), _root(len(others) + 1)
    lighter = few - many if back else many - few
    with _open(directory) as db:
        epoch = _epoch(db)
        _add(db, "items", (epoch, item), (0.0, sign) if skip else (sign, 0.0))
        if not skip:
            _add(db, "people", (epoch,), (0.0 if others else sign, lighter))
            others = others[-MOST:]
            for other in others:
                _add(db, "pairs", (epoch, *sorted((item, other))), (sign, sign * many))
            for i, a in enumerate(others):  # a person with more likes weighs less in each of their pairs
                for b in others[i + 1 :]:
                    _add(db, "pairs", (epoch, *sorted((a, b))), (0.0, lighter))
        db.execute("UPDATE state SET changes = changes + 1")


def read(directory: Path, since: int = 0) -> Arrivals:
    """All counts from epoch `since` on."""
    if not _path(directory).is_file():
        return Arrivals({}, {}, 0.0, 0.0)
    with _open(directory, write=False) as db:
        items = db.execute("SELECT item, SUM(one), SUM(two) FROM items WHERE epoch >= ? GROUP BY item", (since,))
        found = {item: (likes, skips) for item, likes, skips in items if likes or skips}
        pairs = db.execute("SELECT a, b, SUM(one), SUM(two) FROM pairs WHERE epoch >= ? GROUP BY a, b", (since,))
        both = {(a, b): (one, two) for a, b, one, two in pairs if one or abs(two) > 1e-9}
        people = db.execute("SELECT SUM(one), SUM(two) FROM people WHERE epoch >= ?", (since,)).fetchone()
    return Arrivals(found, both, people[0] or 0.0, people[1] or 0.0)


def changes(directory: Path) -> int:
    """A number that is another one after each `record`."""
    if not _path(directory).is_file():
        return 0
    with _open(directory, write=False) as db:
        return int(db.execute("SELECT changes FROM state").fetchone()[0])


def next_epoch(directory: Path) -> int:
    """Begin a new epoch and return its number: what arrives from now on. A fit that reads everybody's likes after this
    holds what arrived before."""
    with _open(directory) as db:
        db.execute("UPDATE state SET epoch = epoch + 1")
        return _epoch(db)


def forget(directory: Path, before: int) -> None:
    """Remove the counts of epochs that no kept version needs."""
    if _path(directory).is_file():
        with _open(directory) as db:
            for table in ("items", "pairs", "people"):
                db.execute(f"DELETE FROM {table} WHERE epoch < ?", (before,))


def taken_up(learned: Learned, rows: Mapping[str, int], came: Arrivals, fitted: Fitted) -> Learned:
    """`learned`, with what `came` since. `rows`: id -> row of the catalogue.

    A skip takes away the share of an item's likes that skips are of all that was said of it, its likes at the fit
    included.
    """
    here = {id_: n for id_, n in came.items.items() if id_ in rows}
    if not here:
        return learned
    b, count = learned.behaviour, len(learned.content.vectors)
    likes, skips = np.zeros(count), np.zeros(count)
    likes[b.rows] = b.likes
    for id_, (plus, minus) in here.items():
        likes[rows[id_]] += plus
        skips[rows[id_]] += minus
    likes, skips = np.maximum(likes, 0), np.maximum(skips, 0)
    valued = likes * (likes + 1) / (likes + skips + 1)
    kept = np.union1d(b.rows, np.flatnonzero(valued >= LEAST))
    place = np.searchsorted(kept, b.rows)
    fresh = np.setdiff1d(np.arange(len(kept)), place)
    after = replace(
        fitted, people=fitted.people + came.people, liking=fitted.liking + came.people,
        weight=fitted.weight + came.weight,
    )  # fmt: skip
    share = np.maximum(valued[kept], 1) / after.people
    plain, weighed = _pairs(came, rows, kept)
    raised = b.lift.copy()
    raised.data = np.expm1(raised.data) * SHRINK * (np.maximum(b.likes, 1) / fitted.people)[raised.indices]
    raised = _positive(_spread(raised * (fitted.mean / after.mean), place, len(kept)) + weighed / after.mean)
    raised.data = np.log1p(raised.data / (SHRINK * share[raised.indices])).astype(np.float32)
    root, now = np.sqrt(np.maximum(b.likes, 1)), np.sqrt(np.maximum(likes[kept], 1))
    near = b.neighbours.copy()
    near.data = near.data * root[np.repeat(np.arange(len(root)), np.diff(near.indptr))] * root[near.indices]
    near = _positive(_spread(near, place, len(kept)) + plain)
    near.data = near.data / (now[np.repeat(np.arange(len(now)), np.diff(near.indptr))] * now[near.indices])
    near.data = np.minimum(near.data, 1).astype(np.float32)
    factors, tastes = _factors(learned, kept, place, fresh, plain), _aspects(learned, valued[kept], place, fresh, plain)
    behaviour = replace(
        b, rows=kept.astype(np.int64), likes=valued[kept].astype(np.float32), lift=raised, neighbours=near,
        factors=factors, aspects=tastes,
    )  # fmt: skip
    return replace(learned, behaviour=behaviour, before=learned)


def _pairs(came: Arrivals, rows: Mapping[str, int], kept: NDArray[np.int64]) -> tuple[Sparse, Sparse]:
    """(people, weights) of the pairs among the rows `kept`, csr [kept, kept], symmetric."""
    from scipy.sparse import csr_matrix

    at = {int(row): i for i, row in enumerate(kept)}
    found = [
        (at[rows[x]], at[rows[y]], *n)
        for (x, y), n in came.pairs.items()
        if rows.get(x, -1) in at and rows.get(y, -1) in at
    ]
    table = np.array(found, np.float64).reshape(-1, 4)
    where = np.concatenate([table[:, :2], table[:, 1::-1]]).astype(np.int64).T
    shape = (len(kept), len(kept))
    return tuple(csr_matrix((np.tile(table[:, i], 2), (where[0], where[1])), shape=shape) for i in (2, 3))  # type: ignore[return-value]


def _spread(matrix: Sparse, place: NDArray[np.int64], count: int) -> Sparse:
    """The rows and columns of `matrix` at `place` of a [count, count] one."""
    from scipy.sparse import csr_matrix

    found = matrix.tocoo()
    return csr_matrix((found.data.astype(np.float64), (place[found.row], place[found.col])), shape=(count, count))


def _positive(matrix: Sparse) -> Sparse:
    matrix = matrix.tocsr()
    matrix.data[matrix.data < 1e-6] = 0
    matrix.eliminate_zeros()
    return matrix


def _factors(
    learned: Learned, kept: NDArray[np.int64], place: NDArray[np.int64], fresh: NDArray[np.int64], plain: Sparse
) -> Floats:
    """ALS factors of the rows `kept`: a new item's are the mean of what is liked with it, or what its content says."""
    own = learned.behaviour.factors
    result = np.zeros((len(kept), own.shape[1]), np.float32)
    result[place] = own
    if len(fresh):
        told = learned.map(own.T).T[np.searchsorted(learned.new_rows, kept[fresh])]
        shared = plain[fresh][:, place]
        count = np.asarray(shared.sum(axis=1))
        result[fresh] = np.where(count > 0, (shared @ own) / np.maximum(count, 1), told)
    return result


def _aspects(
    learned: Learned, likes: NDArray[np.float64], place: NDArray[np.int64], fresh: NDArray[np.int64], plain: Sparse
) -> tuple[tuple[Floats, Floats], ...]:
    """p(item | aspect): what was known grows with its likes, what is new has the aspects of what is liked with it."""
    old, result = np.maximum(learned.behaviour.likes, 1), []
    for share, mass in learned.behaviour.aspects:
        joint = share * mass[:, None]
        grown = np.zeros((len(mass), len(likes)))
        grown[:, place] = joint * (likes[place] / old)
        if len(fresh):
            taste = (joint / np.maximum(joint.sum(axis=0), 1e-12)).T  # p(aspect | item) [m, aspects]
            mixed = plain[fresh][:, place] @ taste + mass  # one like's worth of everybody's taste
            mixed /= mixed.sum(axis=1, keepdims=True)
            grown[:, fresh] = mixed.T * (likes[fresh] / old.sum())
        masses = grown.sum(axis=1)
        whole = (grown / np.maximum(masses[:, None], 1e-12)).astype(np.float32)
        result.append((whole, (masses / masses.sum()).astype(np.float32)))
    return tuple(result)


def _root(n: int) -> float:
    return n**-0.5 if n else 0.0


def _path(directory: Path) -> Path:
    return directory / "learned" / "arrivals.db"


@contextmanager
def _open(directory: Path, write: bool = True) -> Iterator[sqlite3.Connection]:
    """One transaction."""
    path = _path(directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        for table, columns in (("items", "item TEXT"), ("pairs", "a TEXT, b TEXT"), ("people", "")):
            names = ", ".join(["epoch", *(c.split()[0] for c in columns.split(", ") if c)])
            more = f"{columns}, " if columns else ""
            db.execute(
                f"CREATE TABLE IF NOT EXISTS {table} (epoch INTEGER, {more}one REAL, two REAL, PRIMARY KEY ({names}))"
            )
        db.execute("CREATE TABLE IF NOT EXISTS state (epoch INTEGER, changes INTEGER)")
        if db.execute("SELECT 1 FROM state").fetchone() is None:
            db.execute("INSERT INTO state VALUES (0, 0)")
        yield db
        db.execute("COMMIT")
    finally:
        db.close()


def _epoch(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT epoch FROM state").fetchone()[0])


def _add(db: sqlite3.Connection, table: str, key: tuple[Any, ...], more: tuple[float, float]) -> None:
    marks = ", ".join("?" * (len(key) + 2))
    db.execute(
        f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT DO UPDATE SET one = one + excluded.one, "
        "two = two + excluded.two",
        (*key, *more),
    )
