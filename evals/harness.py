"""Run arms over a split and keep everything: the run folder is the result, and a run that was cut goes on in it."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from snowmelt.evals import guard, metrics, run_folder, splits
from snowmelt.evals.bench import VALIDATION_PEOPLE, judge_all, level_of, train_of
from snowmelt.evals.data import Dataset
from snowmelt.evals.loading import load
from snowmelt.evals.run_folder import ArmRun, Config
from snowmelt.evals.scoring import Level
from snowmelt.evals.simulated_user import Manner
from snowmelt.evals.systems import Spec, Train, parse
from snowmelt.evals.worker import ArmError, Worker
from snowmelt.retrieval.errors import InputError

ALONE = 20  # cases asked one by one where an arm answers in batches: the time of one request


Progress = Callable[[str, int, int], None]  # (what, cases done, cases in all)


def _check(config: Config) -> list[Spec]:
    missing = [name for name in ("scipy", "sklearn") if find_spec(name) is None]
    if missing:
        raise InputError(f"evaluation needs {' and '.join(missing)}: pip install snowmelt[eval]")
    specs = [parse(arm) for arm in config.arms]
    if len({s.name for s in specs}) < len(specs) or not specs:
        raise InputError("--arms: name each arm once, and at least one")
    if not config.reveal or min(config.reveal) < 0 or len(set(config.reveal)) < len(config.reveal):
        raise InputError("--reveal: give numbers of revealed likes, 0 or more, each once")
    if config.jobs < 1 or (config.users is not None and config.users < 1) or (config.sampled or 1) < 1:
        raise InputError("--jobs, --users and the number of sampled candidates must be at least 1")
    if min(config.manner) < 0 or sum(config.manner) > 1:
        raise InputError("--manner: give three chances (noise, refusal, not knowing) that sum to at most 1")
    return specs


def run(
    config: Config, out: Path, cache: Path, progress: Progress | None = None
) -> tuple[Dataset, splits.Split, list[ArmRun]]:
    """Evaluate `config` into the folder `out`. Arms whose results are there already are read, not run again.

    Raises InputError when the input is wrong or `out` holds a run of another configuration.
    """
    specs = _check(config)
    data = load(config.data)
    order = "time" if config.order == "time" else "random"
    split = splits.make(data, config.split, config.seed, order, config.target, config.users)
    run_folder.claim(out, run_folder.key_of(config, data), split, data)
    levels = _levels(split.final.people, sorted(config.reveal), data, config)
    if not levels:
        raise InputError(f"{data.name}: nobody has a held-out like left at --reveal {min(config.reveal)}; reveal fewer")
    cases, done, lock = sum(len(level.people) for level in levels.values()), [0], threading.Lock()

    def advance(what: str, count: int) -> None:
        with lock:
            done[0] += count
            if progress:
                progress(what, done[0], cases * len(specs))

    tune, final = (s and train_of(data, s, config.seed, cache, config.model) for s in (split.tune, split.final))
    assert final is not None

    stopped, live = threading.Event(), list[Worker]()

    def opened(worker: Worker) -> None:
        live.append(worker)
        if stopped.is_set():
            worker.kill()

    def one(spec: Spec) -> ArmRun:
        path = run_folder.arm_path(out, spec)
        found = run_folder.read_arm(path, spec)
        if found is not None:
            advance(spec.name, cases)
            return found
        with run_folder.Calls(path.with_suffix(".calls.jsonl")) as calls:
            result = _one(
                spec, config, data, split, levels, (tune, final), out, lambda n: advance(spec.name, n), calls, opened
            )
        if not stopped.is_set():  # else it was ended half-way
            run_folder.write_arm(path, result)
        return result

    pool = ThreadPoolExecutor(min(config.jobs, len(specs)))
    try:
        runs = [future.result() for future in [pool.submit(one, spec) for spec in specs]]
    finally:  # also at Ctrl-C: nobody waits for arms that nobody asks any more
        stopped.set()
        for worker in live:
            worker.kill()
        pool.shutdown(cancel_futures=True)
    run_folder.gather_calls(out)
    return data, split, runs


def _levels(people: Sequence[splits.Person], reveals: Sequence[int], data: Dataset, config: Config) -> dict[int, Level]:
    levels = {k: level_of(people, config.split, k, data, config.sampled, config.seed) for k in reveals}
    return {k: level for k, level in levels.items() if level.people}


def _one(
    spec: Spec, config: Config, data: Dataset, split: splits.Split, levels: dict[int, Level],
    trains: tuple[Train | None, Train], out: Path, advance: Callable[[int], None], calls: "run_folder.Calls",
    opened: Callable[[Worker], None],
) -> ArmRun:  # fmt: skip
    """An arm may not touch the data, this run and those beside it, or what strangers' arms kept in the cache; it may
    keep things in its own place there, which ours share: vectors and replies, by content."""
    own, beside = trains[1].cache, [p for p in out.resolve().parent.iterdir() if guard.is_run_folder(p)]
    kept = own.parent / "arms"
    if not spec.target.startswith("snowmelt."):
        own = kept / run_folder.arm_path(out, spec).name / run_folder.hash_of(run_folder.key_of(config, data))
    tuning, final = (t and replace(t, cache=own) for t in trains)
    assert final is not None
    result = ArmRun(spec, dict(spec.settings))
    heard = 0

    def hear(count: int) -> None:
        nonlocal heard
        heard += count
        advance(count)

    try:
        with Worker(spec.target, [Path(config.data), out, *beside, kept], own, 1, opened) as worker:
            offered = [{**settings, **spec.settings} for settings in worker.grid() or [{}]]
            grid = [s for i, s in enumerate(offered) if s not in offered[:i]]
            if len(grid) == 1:
                result.settings = grid[0]
            if tuning is not None and split.tune is not None:
                worker.train(tuning)
                _tune(worker, grid, config, data, split.tune.people[:VALIDATION_PEOPLE], result)
            worker.train(final)
            result.fit_seconds = worker.fit(result.settings)
            result.results = judge_all(
                worker, data, config.split, split.final.people, levels, config.seed, Manner(*config.manner), hear,
                lambda reveal, person, meta: calls.add(spec.name, reveal, person.number, meta),
            )  # fmt: skip
            if worker.batched and config.split not in splits.SPOKEN:
                for reveal, level in levels.items():
                    alone = [m["seconds"] for m in worker.score(level.cases[:ALONE], alone=True).meta]
                    result.results[reveal].seconds = np.resize(np.array(alone), len(level.people))
    except ArmError as error:
        result.error, result.results = str(error), {}
        advance(sum(len(level.people) for level in levels.values()) - heard)
    return result


def _tune(
    worker: Worker, grid: list[dict[str, Any]], config: Config, data: Dataset, people: Sequence[splits.Person],
    result: ArmRun,
) -> None:  # fmt: skip
    """Choose by mean NDCG@10 over the revealed levels above 0 (all, if there is no other); the first of equals."""
    levels = _levels(people, [r for r in sorted(config.reveal) if r > 0] or [0], data, config)
    best, manner = -np.inf, Manner(*config.manner)
    for settings in grid:
        worker.fit(settings)
        if len(grid) == 1 and not worker.batched:  # nothing to choose, and one by one it may cost a model call each
            return
        judged = (
            list(judge_all(worker, data, config.split, people, levels, config.seed, manner).values()) if levels else []
        )
        value = float(np.mean([level.ndcg() for level in judged])) if judged else 0.0
        result.tried.append({"settings": settings, "ndcg@10": value})
        if value > best:
            best, result.settings = value, dict(settings)
            shares = [
                np.concatenate([np.empty(0), *(s for level in judged for s in getattr(level, side))])
                for side in ("like_share", "dislike_share")
            ]
            result.threshold = metrics.best_threshold(*shares)
