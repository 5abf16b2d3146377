"""`snowmelt batch`: a list for each of millions of profiles, in one process, several (Ray Data) or on a cluster.

The input is cut into parts; each part is read, answered and written by `Answers` wherever it runs, so that the order
and the number of workers change nothing. Through Ray go places in a file and counts, never a profile. A part that is
done stays done: a run that was killed goes on where it was, and OUT appears when all of it is there.
"""

import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from snowmelt.agent.parts import Part, asked, cut, rows
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.settings import api_key_for, hosted_embedder
from snowmelt.agent.types import Recommendation
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.locking import locked

SHOWN = 20  # bad rows whose line is kept, of each part and in all
STORE = 100 * 2**20  # bytes of shared memory for Ray: places and counts need hardly any
MOST_BLOCKS = 1000


@dataclass(frozen=True)
class Task:
    """What all parts have in common. Paths are seen from every worker. `model`: None, or a name as in `open_llm`."""

    directory: Path
    profiles: Path
    out: Path
    limit: int = 5
    model: str | None = None
    base_url: str | None = None

    @property
    def folder(self) -> Path:
        """Where parts lie until all are done."""
        return self.out.with_name(self.out.name + ".parts")


@dataclass(frozen=True)
class Done:
    """Counts of one part, or of all. `bad`: (line, "field: reason") of the first `SHOWN` bad rows."""

    written: int = 0
    degraded: int = 0
    unknown: int = 0
    bad_count: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)

    def plus(self, other: "Done") -> "Done":
        return Done(
            self.written + other.written, self.degraded + other.degraded, self.unknown + other.unknown,
            self.bad_count + other.bad_count, sorted((n, text) for n, text in self.bad + other.bad)[:SHOWN],
        )  # fmt: skip


@dataclass(frozen=True)
class Report:
    done: Done
    resumed: int  # rows that an earlier run had done
    seconds: float


class Answers:
    """A recommender that answers parts. Each worker holds one."""

    def __init__(self, task: Task) -> None:
        self._task, self._recommender = task, open_recommender(task)
        catalogue = self._recommender.catalogue
        self._titles = dict(zip(catalogue.ids, catalogue.titles, strict=True))

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """As Ray Data calls it: a batch of one part, as JSON."""
        part = Part(**json.loads(batch["part"][0]))
        return {"rows": [str(part.count)], "done": [json.dumps(asdict(self.part(part)))]}

    def part(self, part: Part) -> Done:
        """Writes the lists of one part; its counts, written last, say that it is whole."""
        done, lines = Done(), []
        for number, cells in rows(self._task.profiles, part):
            try:
                if isinstance(cells, str):
                    raise ValueError(cells)
                row = asked(cells, self._titles)
                found, late = self._recommender.ranked(row.profile, self._task.limit)
            except (ValueError, InputError) as error:
                done = done.plus(Done(bad_count=1, bad=[(number, str(error))]))
                continue
            lines.append(json.dumps(_told(row.id, found, late), ensure_ascii=False) + "\n")
            done = done.plus(Done(written=1, degraded=int(late), unknown=row.unknown))
        _write(_lists(self._task, part), "".join(lines))
        _write(_counts(self._task, part), json.dumps(asdict(done)))
        return done


def open_recommender(task: Task) -> Recommender:
    """Raises InputError. Keys of hosted models and embedders are read where the work is done; none travels."""
    embedder = hosted_embedder(task.directory)
    key = api_key_for(task.base_url) if task.model else None
    return Recommender.open(task.directory, task.model, base_url=task.base_url, api_key=key, embedder=embedder)


def batch(
    task: Task, *, workers: int = 1, cluster: str | None = None, strict: bool = False,
    progress: Callable[[str, int, int | None], None] = lambda *_: None,
) -> Report:  # fmt: skip
    """Writes `task.out`, one row for each good row of `task.profiles`, in their order; JSON lines or Parquet by its
    ending. `cluster`: the address of a running Ray cluster whose machines see the same paths. `strict` stops at the
    first bad row. Raises InputError.
    """
    began = time.monotonic()
    if task.limit < 1 or workers < 1:
        raise InputError("batch: --limit and --workers must be at least 1")
    if task.out.suffix not in (".jsonl", ".parquet"):
        raise InputError(f"--out {task.out}: give a name that ends in .jsonl or .parquet")
    task = replace(
        task, directory=task.directory.absolute(), profiles=task.profiles.absolute(), out=task.out.absolute()
    )
    if task.out == task.profiles:
        raise InputError(f"--out {task.out}: that is the file of profiles; give another name")
    parts = cut(task.profiles)
    with _working(task, parts) as todo:
        total, rest = sum(part.count for part in parts), sum(part.count for part in todo)
        past, done = total - rest, Done()
        for part in set(parts) - set(todo):
            done = done.plus(Done(**json.loads(_counts(task, part).read_text("utf-8"))))
        if todo:
            answers = _on_ray(task, todo, workers, cluster) if workers > 1 or cluster else _here(task, todo)
            for count, one in answers:
                done, past = done.plus(one), past + count
                progress("profiles", past, total)
                if strict and one.bad_count:
                    break
        if done.bad_count and (strict or not done.written):
            number, problem = done.bad[0]
            more = "--strict stops here" if strict else "no row could be used"
            raise InputError(f"{task.profiles}:{number} {problem}; {more}")
        _join(task, parts)
    return Report(done, total - rest, time.monotonic() - began)


def _here(task: Task, todo: Iterable[Part]) -> Iterator[tuple[int, Done]]:
    answers = Answers(task)
    for part in todo:
        yield part.count, answers.part(part)


def _on_ray(task: Task, todo: list[Part], workers: int, cluster: str | None) -> Iterator[tuple[int, Done]]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports to its makers otherwise
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its errors come as exceptions; the rest is chatter
    try:
        import ray
    except ImportError:
        raise InputError("--workers: more than one needs Ray; pip install 'snowmelt[batch]'") from None
    open_recommender(task)  # what is wrong with it is said here, in a line, not by a worker
    settings: dict[str, Any] = {"address": cluster} if cluster else {
        "address": "local", "num_cpus": workers, "include_dashboard": False, "object_store_memory": STORE,
    }  # fmt: skip
    if cluster:
        _there(cluster)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"batch: Ray does not start ({str(error).splitlines()[0]})") from None
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        places = [{"part": json.dumps(asdict(part))} for part in todo]
        data = ray.data.from_items(places, override_num_blocks=min(len(places), MOST_BLOCKS))
        answered = data.map_batches(
            Answers, fn_constructor_args=(task,), batch_size=1, num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
        )  # fmt: skip
        for row in answered.iter_rows():
            yield int(row["rows"]), Done(**json.loads(row["done"]))
    finally:
        ray.shutdown()


def _there(cluster: str) -> None:
    """Ray itself tries for minutes."""
    host, sign, port = cluster.removeprefix("ray://").rpartition(":")
    if not sign or not port.isdecimal():
        raise InputError(f"--cluster {cluster}: give HOST:PORT of its head, or ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), 5).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"--cluster {cluster}: nobody answers there ({error})") from None


def _told(id_: str, found: list[Recommendation], degraded: bool) -> dict[str, Any]:
    shown = [{"id": r.item.id, "title": r.item.title, "score": r.score, "reason": r.reason} for r in found]
    return {"id": id_, "recommendations": shown, "degraded": degraded}


@contextmanager
def _working(task: Task, parts: list[Part]) -> Iterator[list[Part]]:
    """The parts that are still to be done, under a lock. They are removed after success; kept when it breaks off."""
    folder, plan = task.folder, json.dumps(_plan(task, parts), sort_keys=True)
    try:
        folder.mkdir(exist_ok=True, parents=True)
    except OSError as error:
        raise InputError(f"--out {task.out}: {error.strerror}; give a place that can be written") from None
    with locked(folder / "lock", f"--out {task.out}: another process is writing it; wait until it is done"):
        known = folder / "plan.json"
        if not known.is_file() or known.read_text("utf-8") != plan:
            for path in folder.iterdir():
                if path.name != "lock":
                    path.unlink()
            _write(known, plan)
        yield [part for part in parts if not _counts(task, part).is_file()]
        shutil.rmtree(folder, ignore_errors=True)


def _plan(task: Task, parts: list[Part]) -> dict[str, Any]:
    """What a finished part depends on: if any of it changed, nothing of an earlier run is used."""
    from importlib.metadata import version

    from snowmelt.retrieval.generation import current

    state, folder = task.profiles.stat(), current(task.directory)
    learned = task.directory / "learned" / "current"
    return {
        "profiles": [str(task.profiles), state.st_size, state.st_mtime_ns, len(parts)],
        "catalogue": [str(task.directory), folder.name if folder else None],
        "learned": learned.read_text("utf-8") if learned.is_file() else None,
        "asked": [task.limit, task.model, task.base_url, version("snowmelt")],
    }


def _lists(task: Task, part: Part) -> Path:
    return task.folder / f"{part.number:07}.jsonl"


def _counts(task: Task, part: Part) -> Path:
    return task.folder / f"{part.number:07}.done"


def _write(path: Path, text: str) -> None:
    """All of it or nothing: a worker may be killed, and another one may do the same part."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_text(text, "utf-8")
    new.replace(path)


def _join(task: Task, parts: list[Part]) -> None:
    """One file of all parts, in their order; it has its name only when it is on the disk."""
    new = task.folder / f"all{task.out.suffix}"
    if task.out.suffix == ".parquet":
        _join_parquet(task, parts, new)
    else:
        with new.open("wb") as out:
            for part in parts:
                with _lists(task, part).open("rb") as lists:
                    shutil.copyfileobj(lists, out)
    descriptor = os.open(new, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(task.out)


def _join_parquet(task: Task, parts: list[Part], new: Path) -> None:
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        raise InputError(f"{task.out}: writing Parquet needs pyarrow; pip install 'snowmelt[parquet]'") from None
    item = pa.struct([("id", pa.string()), ("title", pa.string()), ("score", pa.float64()), ("reason", pa.string())])
    schema = pa.schema([("id", pa.string()), ("recommendations", pa.list_(item)), ("degraded", pa.bool_())])
    with ParquetWriter(new, schema, compression="zstd") as writer:
        for part in parts:
            with _lists(task, part).open(encoding="utf-8") as lists:
                found = [json.loads(line) for line in lists]
            if found:
                writer.write_table(pa.Table.from_pylist(found, schema))
