"""`snowmelt fit DIR interactions.csv`: learn from what people did, keep it in DIR/learned/v-N, name the one in use.

Keyed by item id, so that it outlives a new index: items that are gone are left out, new ones inherit by content.
"""

import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval import arrivals
from snowmelt.retrieval.arrivals import Fitted
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.coordinated import coordinated
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.fusion import Weights
from snowmelt.retrieval.learned import Behaviour, Learned
from snowmelt.retrieval.locking import locked
from snowmelt.retrieval.people import read_likes, read_people, with_told
from snowmelt.retrieval.pushed import doubted, without
from snowmelt.retrieval.transfer import Content, content, extended

if TYPE_CHECKING:
    from snowmelt.retrieval.domains import Domain
    from snowmelt.retrieval.tuning import Tuned

Floats = NDArray[np.float32]

FORMAT = 3
KEPT = 5  # versions; older ones are removed by the next fit
FEWEST = 20  # people with two likes; with fewer there is nothing to learn


@dataclass(frozen=True)
class FitReport:
    """`weights`: signal -> {likes known: weight}. `skipped`: rows whose item is not in the catalogue. `set_aside`:
    people who look like a group made up to push something (`coordinated`); nothing is learned from them. `doubted`:
    likes of items that look pushed, from which nothing is learned either (`pushed`). `beside`: another kind of event ->
    the share of people whose events of that kind are learned from (see `kinds`)."""

    version: str
    people: int
    likes: int
    items: int
    new_items: int
    skipped: int
    seconds: float
    weights: Mapping[str, Mapping[int, float]]
    set_aside: int = 0
    doubted: int = 0
    beside: Mapping[str, float] = field(default_factory=dict)


def fit_catalogue(
    catalogue: Catalogue, interactions: Path | None = None, *, people: Iterable[Sequence[str]] = (), seed: int = 0,
    familiarity: Floats | None = None, event: str | None = None, wary: bool = False,
) -> FitReport:  # fmt: skip
    """Fit on a CSV with columns user, item and perhaps rating, store it as the next version and use it.

    `people`: the liked ids of more people, each another person than those of the CSV. What arrived since the last fit
    (`arrivals`) counts no more: it is here, or it is gone.

    A row is a like unless it has a rating: then from 4 of 5, 8 of 10 or 1 of 1; other scales (play counts) are likes
    throughout. `event`: the kind that counts as a like, where the file has a column event, type or action; rows of
    other kinds speak beside likes as far as they help to find held-out likes (`kinds`). `familiarity` [items]: a
    language model's, if there is one. `wary`: nothing is learned from people who look like a group made up to push
    something (`coordinated`). Likes of items that look pushed by people who have nothing else in common with others
    (`pushed`) never count. Raises InputError for a file that cannot be used and where `snowmelt[fit]` is not installed.
    """
    _installed()
    from snowmelt.retrieval.kinds import weighed
    from snowmelt.retrieval.playing import first_likes_help, fit

    began = time.monotonic()
    epoch = arrivals.next_epoch(catalogue.dir)
    taught = with_told(read_people(interactions, catalogue.rows, event), people, catalogue.rows)
    aside = np.zeros(taught.likes.shape[0], bool)
    if wary:
        aside |= coordinated(taught.likes, catalogue.vectors, seed)
    X, times = taught.likes[~aside], None if taught.times is None else taught.times[~aside]
    made_up = doubted(X, seed)
    X, times = without(X, made_up), None if times is None else without(times, made_up)
    able = int((np.diff(X.indptr) >= 2).sum())
    if able < FEWEST:
        source = interactions or "the feedback"
        raise InputError(f"{source}: {able} people like two items or more; at least {FEWEST} are needed to learn")
    content = content_of(catalogue, familiarity)
    if times is not None and not first_likes_help(X, content, times, seed):
        times = None
    more, shares = weighed(X, {name: done[~aside] for name, done in taught.beside.items()}, content, seed)
    learned = fit(X, content, seed, times=times, more=more)
    told = {"seed": seed, "revealed": "any" if times is None else "first", "beside": shares}
    report = _stored(catalogue, learned, X, epoch, told, taught.skipped, began, more)
    return replace(report, set_aside=int(aside.sum()), doubted=int(made_up.sum()), beside=shares)


def _stored(
    catalogue: Catalogue,
    learned: Learned,
    X: Any,
    epoch: int,
    told: Mapping[str, Any],
    skipped: int,
    began: float,
    more: Any | None = None,
) -> FitReport:
    """`X` the likes and `more` the other events that `learned` was fitted on."""
    rows = learned.behaviour.rows
    lengths = np.concatenate([np.diff(m[:, rows].indptr) for m in (X, more) if m is not None])
    told = {
        "taught": len(lengths),
        "epoch": epoch,
        "liking": int((lengths > 0).sum()),
        "weight": float((lengths[lengths > 0] ** -0.5).sum()),
        "people": X.shape[0],
        "likes": int(X.nnz),
        **told,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    version = save(learned, catalogue.dir, catalogue.ids, told)
    arrivals.forget(catalogue.dir, min(_manifest(catalogue.dir, v).get("epoch", 0) for v in versions(catalogue.dir)))
    weights = learned.tables["known"]
    table = {
        n: {k: row[i] for k, row in zip(weights.knots, weights.table, strict=True)} for i, n in enumerate(weights.names)
    }
    items = len(learned.behaviour.rows)
    return FitReport(
        version, X.shape[0], int(X.nnz), items, len(catalogue.ids) - items, skipped, time.monotonic() - began, table
    )


def fit_joined(catalogue: Catalogue, target: "Domain", sources: Sequence["Domain"], seed: int = 0) -> FitReport:
    """Fit the catalogue (`target`) together with `sources` (see `domains`), store it as the next version and use it."""
    _installed()
    from snowmelt.retrieval.domains import HOME, joined
    from snowmelt.retrieval.playing import fit

    began, epoch, own = time.monotonic(), arrivals.next_epoch(catalogue.dir), len(catalogue.ids)
    X, content, places = joined(target, sources)
    labels = [HOME] * own + ["elsewhere"] * (X.shape[1] - own)
    elsewhere = {
        f"{source.name}:{id_}": (int(row), title)
        for source, place in zip(sources, places, strict=True)
        for id_, row, title in zip(source.ids, place, source.titles, strict=True)
    }
    learned = replace(fit(X, content, seed, labels), elsewhere=elsewhere, extra=X.shape[1] - own)
    told = {"sources": [source.name for source in sources], "seed": seed}
    return _stored(catalogue, learned, X, epoch, told, 0, began)


def content_of(catalogue: Catalogue, familiarity: Floats | None) -> Content:
    """The catalogue's vectors and attribute values as `transfer` reads them."""
    kinds = {n: a.kind for n, a in catalogue.schema.attributes.items()}
    used = {n for n, kind in kinds.items() if kind in ("category", "list", "number")}
    told = [{n: v for n, v in item.attributes.items() if n in used} for item in catalogue.items]
    return content(catalogue.vectors, told, catalogue.lexical, familiarity)


def save(learned: Learned, directory: Path, ids: list[str], told: Mapping[str, Any]) -> str:
    """Write DIR/learned/v-N, then name it in DIR/learned/current: readers see the old version or the new one."""
    with _next(directory) as part:
        b, half = learned.behaviour, np.float16
        arrays: dict[str, Any] = {"likes": b.likes, "factors": b.factors.astype(half)}
        for name, matrix in (("lift", b.lift), ("neighbours", b.neighbours)):
            arrays |= {f"{name}.data": matrix.data.astype(half), f"{name}.indices": matrix.indices.astype(np.int32)}
            arrays[f"{name}.indptr"] = matrix.indptr
        for i, (share, mass) in enumerate(b.aspects):
            arrays |= {f"share.{i}": np.log(share).astype(half), f"mass.{i}": mass}  # a share may be below half's least
        np.savez(part / "behaviour.npz", **arrays)
        named = [ids[row] if row < len(ids) else int(row) - len(ids) for row in b.rows]  # a number: from elsewhere
        (part / "ids.json").write_text(json.dumps(named, ensure_ascii=False), encoding="utf-8")
        if learned.elsewhere:
            np.save(part / "elsewhere.npy", learned.content.vectors[learned.own :].astype(half))
            places = {
                i: (ids[row] if row < len(ids) else row - len(ids), title)
                for i, (row, title) in learned.elsewhere.items()
            }
            (part / "elsewhere.json").write_text(json.dumps(places, ensure_ascii=False), encoding="utf-8")
        tables = {name: {"names": w.names, "knots": w.knots, "table": w.table} for name, w in learned.tables.items()}
        manifest = {"format": FORMAT, "starts": len(b.aspects), "weights": tables, **told}
        (part / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return part.stem


def tune_catalogue(catalogue: Catalogue, interactions: Path, *, seed: int = 0) -> tuple[str, "Tuned"]:
    """Fit a ranker over the version in use (see `tuning`). If it helps, that version with it is the next one.

    Returns the name of the version in use. Raises InputError where nothing is fitted or too few people teach.
    """
    _installed()
    from snowmelt.retrieval.tuning import tune

    now, _ = state(catalogue.dir)
    if not now:
        raise InputError(f"{catalogue.dir}: nothing is fitted; run `snowmelt fit` first")
    X, _ = read_likes(interactions, catalogue.rows)
    found = tune(X, content_of(catalogue, None), seed)
    if found.ranker is None:
        return now, found
    with _next(catalogue.dir) as part:
        before = catalogue.dir / "learned" / now
        shutil.copytree(before, part, dirs_exist_ok=True)
        manifest = {**_manifest(catalogue.dir, now), "tuned": found.ranker.weight}
        (part / "manifest.json").write_text(json.dumps(manifest, indent=1))
        found.ranker.booster.save_model(str(part / "ranker.txt"))
    return part.stem, found


@contextmanager
def _next(directory: Path) -> Iterator[Path]:
    """An empty folder DIR/learned/v-N.part to write into; at the end it is v-N and in use."""
    folder = directory / "learned"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock", f"{folder}: another fit is being stored; try again when it is done"):
        known = versions(directory)
        version = f"v-{int(known[-1][2:]) + 1 if known else 1}"
        part = folder / f"{version}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        yield part
        part.rename(folder / version)
        _use(folder, version)
        for old in known[: 1 - KEPT]:
            shutil.rmtree(folder / old)


def state(directory: Path) -> tuple[str, int]:
    """Another value after each fit, roll-back and arrival."""
    current = directory / "learned" / "current"
    return (current.read_text().strip(), arrivals.changes(directory)) if current.is_file() else ("", 0)


def _manifest(directory: Path, version: str) -> dict[str, Any]:
    return json.loads((directory / "learned" / version / "manifest.json").read_text())


@dataclass(frozen=True)
class Stored:
    """A version as `snowmelt fit` left it: `learned` for the catalogue as it is now, of whose arrivals those from
    `epoch` on are not in it."""

    version: str
    learned: Learned
    epoch: int
    fitted: Fitted

    def now(self, catalogue: Catalogue) -> Learned:
        """With what arrived since. It takes the counts from DIR/learned/arrivals.db, all else from memory."""
        return arrivals.taken_up(self.learned, catalogue.rows, arrivals.read(catalogue.dir, self.epoch), self.fitted)


def load(catalogue: Catalogue, familiarity: Floats | None = None) -> Learned | None:
    """The version in use with what arrived since, for the catalogue as it is now; None where nothing is learned."""
    found = stored(catalogue, familiarity)
    return found.now(catalogue) if found is not None else None


def stored(catalogue: Catalogue, familiarity: Floats | None = None, own: Content | None = None) -> Stored | None:
    """The version in use, without what arrived since; None where nothing is learned.

    `own`: the catalogue's `content_of`, if it is there already. Raises InputError if the version is damaged.
    """
    folder = catalogue.dir / "learned"
    if not (folder / "current").is_file():
        return None
    _installed()
    from scipy.sparse import csr_matrix

    version = (folder / "current").read_text().strip()
    folder = folder / version
    try:
        manifest = _manifest(catalogue.dir, version)
        ids = json.loads((folder / "ids.json").read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise InputError(f"{folder}: format {manifest['format']}, here is {FORMAT}; run `snowmelt fit` again")
        with np.load(folder / "behaviour.npz") as arrays:
            place = partial(_place, catalogue)
            here = np.array([place(id_) for id_ in ids], np.int64)
            order = np.argsort(here)
            order = order[here[order] >= 0]

            def square(name: str) -> Any:
                parts = (arrays[f"{name}.data"].astype(np.float32), arrays[f"{name}.indices"], arrays[f"{name}.indptr"])
                return csr_matrix(parts, shape=(len(ids), len(ids)))[order][:, order].tocsr()

            aspects = tuple(
                (np.exp(arrays[f"share.{i}"].astype(np.float32))[:, order], arrays[f"mass.{i}"])
                for i in range(manifest["starts"])
            )
            factors = arrays["factors"].astype(np.float32)[order]
            behaviour = Behaviour(
                here[order], arrays["likes"][order], square("lift"), square("neighbours"), factors, aspects
            )
    except InputError:
        raise
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{folder} is damaged ({error}); run `snowmelt fit` again or roll back") from None
    if len(behaviour.rows) < 2:
        return None
    tables = {
        name: Weights(tuple(t["names"]), tuple(t["knots"]), tuple(map(tuple, t["table"])))
        for name, t in manifest["weights"].items()
    }
    content = own.at(np.arange(len(catalogue.ids))) if own else content_of(catalogue, familiarity)
    elsewhere: dict[str, tuple[int, str]] = {}
    extra = 0
    if (folder / "elsewhere.json").is_file():
        vectors = np.load(folder / "elsewhere.npy").astype(np.float32)
        content, extra = extended(content, vectors), len(vectors)
        told = json.loads((folder / "elsewhere.json").read_text(encoding="utf-8"))
        elsewhere = {i: (row, title) for i, (at, title) in told.items() if (row := place(at)) >= 0}
    ranker = None
    if (folder / "ranker.txt").is_file():
        from snowmelt.retrieval.tuning import Ranker

        ranker = Ranker.load(folder / "ranker.txt", manifest["tuned"])
    learned = Learned(content, behaviour, tables, elsewhere, extra, ranker, manifest["people"])
    fitted = Fitted(manifest.get("taught", manifest["people"]), manifest["liking"], manifest["weight"])
    return Stored(version, learned, manifest["epoch"], fitted)


def _place(catalogue: Catalogue, id_: str | int) -> int:
    """The row of an item of the catalogue by its id (-1: gone), of one from elsewhere by its number."""
    return len(catalogue.ids) + id_ if isinstance(id_, int) else catalogue.rows.get(id_, -1)


def _installed() -> None:
    if find_spec("scipy") is None or find_spec("implicit") is None:
        raise InputError("learning from interactions needs two more packages; pip install 'snowmelt[fit]'")


def versions(directory: Path) -> list[str]:
    """Finished versions in DIR/learned, oldest first."""
    found = [p.name for p in (directory / "learned").glob("v-*") if p.is_dir() and p.name[2:].isdigit()]
    return sorted(found, key=lambda name: int(name[2:]))


def roll_back(directory: Path) -> str:
    """Use the version before the one in use; returns its name. Raises InputError where there is none."""
    folder = directory / "learned"
    now = (folder / "current").read_text().strip() if (folder / "current").is_file() else ""
    before = [v for v in versions(directory) if now and int(v[2:]) < int(now[2:])]
    if not before:
        raise InputError(f"{folder}: there is no earlier version to go back to")
    _use(folder, before[-1])
    return before[-1]


def _use(folder: Path, version: str) -> None:
    (folder / "current.new").write_text(version)
    (folder / "current.new").replace(folder / "current")
