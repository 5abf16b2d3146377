"""What people did, read from a CSV file: who likes what, since when, and what else they did."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from snowmelt.retrieval.errors import InputError

CLOCK = 1e8  # seconds since 1970 above which a number is a time and not a position
EVENT = ("event", "type", "action")  # columns that tell one kind of event from another


@dataclass(frozen=True)
class People:
    """`likes` csr float32 [people, items]; `times` csr float64 in the same places, seconds since 1970 (the first time
    that something was liked), None where nobody says; `ids` of the people; `skipped`: lines left out, their item is not
    in the catalogue; `beside`: kind of event -> csr as `likes`, of what is no like."""

    likes: Any
    times: Any | None
    ids: list[str]
    skipped: int
    beside: Mapping[str, Any]


def with_told(known: People, lists: Iterable[Sequence[str]], rows: Mapping[str, int]) -> People:
    """`known`, and more people by the ids that each likes, in the order in which they said so, after all others."""
    from scipy.sparse import csr_matrix, vstack

    liked = [list(dict.fromkeys(rows[id_] for id_ in own if id_ in rows)) for own in lists]
    ends, columns = np.cumsum([0, *map(len, liked)]), np.array([row for own in liked for row in own], np.int64)
    shape = (len(liked), len(rows))
    more = csr_matrix((np.ones(len(columns), np.float32), columns, ends), shape=shape)
    likes = csr_matrix(vstack([known.likes, more]))
    likes.sort_indices()
    times = known.times
    if times is not None:
        place = np.arange(1.0, len(columns) + 1) - np.repeat(ends[:-1], np.diff(ends))
        latest = times.data.max(initial=0.0)
        times = csr_matrix(vstack([times, csr_matrix((latest + place, columns, ends), shape=shape)]))
        times.sort_indices()
    none = csr_matrix(shape, dtype=np.float32)
    beside = {name: vstack([done, none], "csr") for name, done in known.beside.items()}
    return People(likes, times, known.ids, known.skipped, beside)


def read_likes(path: Path, rows: Mapping[str, int]) -> tuple[Any, int]:
    """(likes csr float32 [people, items], lines left out) of `read_people`."""
    found = read_people(path, rows)
    return found.likes, found.skipped


def read_people(path: Path | None, rows: Mapping[str, int], event: str | None = None) -> People:
    """What people like of the items `rows`, by a CSV file (None: nobody). InputError names the line.

    A column `timestamp` counts if it is one: half of its values above 1e8 (1973). `event`: only rows with this in the
    column event, type or action are likes, those with another are `beside` them.
    """
    from scipy.sparse import csr_matrix

    if path is None:
        return People(csr_matrix((0, len(rows)), dtype=np.float32), None, [], 0, {})
    users: dict[str, int] = {}
    who, what, ratings, clock, kinds, skipped = [], [], [], [], [], 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            missing = {"user", "item"} - set(table.fieldnames or ())
            if missing:
                raise InputError(f"{path}:1 has no column {sorted(missing)[0]!r}; the header must name user and item")
            column = next((name for name in EVENT if name in (table.fieldnames or ())), None)
            if event is not None and column is None:
                raise InputError(f"{path}:1 has no column event, type or action; without --event every row is a like")
            for line in table:
                item = rows.get((line["item"] or "").strip())
                if item is None or not line["user"]:
                    skipped += 1
                    continue
                for name, values, usual in (("rating", ratings, 1), ("timestamp", clock, "nan")):
                    try:
                        values.append(float(line.get(name) or usual))
                    except ValueError:
                        raise InputError(f"{path}:{table.line_num} {name}: {line[name]!r} is not a number") from None
                who.append(users.setdefault(line["user"], len(users)))
                what.append(item)
                kinds.append((line[column] or "").strip() if event is not None and column else "")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give a CSV with the columns user and item") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV in UTF-8 ({error})") from None
    if not who:
        raise InputError(f"{path}: no row names an item of this catalogue ({skipped} rows); are the ids the same?")
    rating, kind = np.array(ratings), np.array(kinds)
    target = kind == (event or "")
    if not target.any():
        raise InputError(f"{path}: no row has the event {event!r}; there are {', '.join(sorted(set(kinds))[:5])}")
    values = np.unique(rating[target])
    binary = set(values.tolist()) <= {0.0, 1.0}
    least = (
        -np.inf if len(values) == 1 else 1 if binary else 4 if values[-1] <= 5 else 8 if values[-1] <= 10 else -np.inf
    )
    liked = np.flatnonzero(target & (rating >= least))
    times = np.array(clock)[liked]
    order = np.argsort(times, kind="stable")
    liked, times = liked[order], times[order]
    place = np.array(who)[liked] * len(rows) + np.array(what)[liked]
    place, first = np.unique(place, return_index=True)  # an item that was liked twice counts once
    shape = (len(users), len(rows))
    at = np.divmod(place, len(rows))
    times = times[first]
    real = len(times) and np.isfinite(times).all() and np.median(times) > CLOCK
    likes = csr_matrix((np.ones(len(place), np.float32), at), shape=shape)
    beside = {}
    for name in sorted(set(kinds) - {event or ""}):
        mine = np.flatnonzero(kind == name)
        place = np.unique(np.array(who)[mine] * len(rows) + np.array(what)[mine])
        beside[name] = csr_matrix((np.ones(len(place), np.float32), np.divmod(place, len(rows))), shape=shape)
    return People(likes, csr_matrix((times, at), shape=shape) if real else None, list(users), skipped, beside)
