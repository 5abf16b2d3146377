"""Two arms, or two runs, in one sentence: which won, by how much, and how sure that is."""

import json
import math
from pathlib import Path
from typing import Any

from snowmelt.evals import statistics
from snowmelt.evals.summary import MAIN
from snowmelt.retrieval.errors import InputError


def read(out: str | Path) -> dict[str, Any]:
    """`run.json` of a run folder. Raises InputError when there is none."""
    path = Path(out) / "run.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{out} holds no run.json; give the --out of a finished run") from None
    except json.JSONDecodeError:
        raise InputError(f"{path} is not JSON; the run did not finish") from None


SAME = ("dataset", "split", "seed", "dataset_sha256", "target", "manner")


def compare_runs(a: str | Path, b: str | Path, arms: tuple[str, str] | None = None, reveal: int | None = None) -> str:
    """One sentence: which arm won, by how much, and how sure that is. The best arm of each run (or the two named) at
    their highest shared level (or `reveal`), over the people of both; where the best of several was picked, it says so.

    Raises InputError where the runs are not of the same held-out people.
    """
    first, second = read(a), read(b)
    for name in SAME:
        left, right = ({**run["config"], **run}.get(name) for run in (first, second))
        if left != right:
            raise InputError(f"the runs cannot be compared: {name} is {left} in {a} and {right} in {b}")
    reveals = sorted({row["reveal"] for row in first["arms"]} & {row["reveal"] for row in second["arms"]})
    if not reveals:
        raise InputError(f"{a} and {b} have no number of revealed likes in common")
    if reveal is not None and reveal not in reveals:
        raise InputError(f"--at {reveal}: {a} and {b} share {', '.join(map(str, reveals))} revealed")
    at = reveals[-1] if reveal is None else reveal
    names = arms or (_best(first, at, a), _best(second, at, b))
    left, right = (_people(run, name, at, out) for run, name, out in ((first, names[0], a), (second, names[1], b)))
    shared = [user for user in left if user in right]
    if not shared:
        raise InputError(f"{a} and {b} tested different people")
    told = statistics.compare([left[u] for u in shared], [right[u] for u in shared])
    said = sentence(f"{names[0]} ({Path(a).name})", f"{names[1]} ({Path(b).name})", told, at)
    counts = [len({row["name"] for row in run["arms"] if row["metrics"]}) for run in (first, second)]
    if arms is None and max(counts) > 1:
        said = f"{said[:-1]} (the best of {counts[0]} and of {counts[1]} arms: p is not corrected for that choice)."
    return said


def sentence(a: str, b: str, told: statistics.Comparison, reveal: int) -> str:
    """The comparison `told` of a minus b in words."""
    d = told.difference
    if d.n < 2 or math.isnan(told.p):
        return f"Nothing can be said of {a} and {b} with {reveal} revealed: n = {d.n}."
    sure = "very sure" if told.p < 0.001 else "fairly sure" if told.p < 0.05 else "too close to call"
    if told.p >= 0.05:
        verdict = f"No winner between {a} and {b}"
    else:
        verdict = f"{a if d.mean > 0 else b} beats {b if d.mean > 0 else a}"
    sign = 1 if told.p >= 0.05 or d.mean > 0 else -1
    low, high = sorted((sign * d.low, sign * d.high))
    effect = f", d = {sign * told.effect:.2f}" if not math.isnan(told.effect) else ""
    return (
        f"{verdict} with {reveal} revealed: {MAIN} {sign * d.mean:+.3f} (95% {low:+.3f} to {high:+.3f}), "
        f"p = {told.p:.4f}{effect}, n = {d.n}; {sure}."
    )


def _best(run: dict[str, Any], reveal: int, out: str | Path) -> str:
    rows = [r for r in run["arms"] if r["reveal"] == reveal and r["metrics"] and r["metrics"][MAIN]["mean"] is not None]
    if not rows:
        raise InputError(f"{out} has no arm with a result at {reveal} revealed")
    return max(rows, key=lambda row: row["metrics"][MAIN]["mean"])["name"]


def _people(run: dict[str, Any], name: str, reveal: int, out: str | Path) -> dict[str, float]:
    told = run["per_person"].get(name, {}).get(str(reveal))
    if told is None:
        raise InputError(f"{out} has no arm {name!r} at {reveal} revealed")
    return {u: float("nan") if v is None else v for u, v in zip(told["users"], told[MAIN], strict=True)}
