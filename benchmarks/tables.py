"""Every split on every data set where it applies: docs/tables.md, and the marked tables of other pages.

    python benchmarks/tables.py ../shared/data runs [--only ml-100k-user,...] [--jobs 2]     # runs what is missing
    python benchmarks/tables.py ../shared/data runs --write              # writes what ran into these pages

Runs are resumed: an arm that is there (and whose module has not changed) is not run again. Runs with the embedded
model are `NAME-llm` in the same folder: see `WITH_MODEL`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals import evaluate
from snowmelt.evals.report import (
    WHAT,
    comparison_at,
    difference_of,
    interval_of,
    levels_table,
    main_level,
    ordered,
    split_of,
    verdict,
)  # fmt: skip
from snowmelt.evals.statistics import compare
from snowmelt.evals.summary import MAIN
from snowmelt.retrieval.errors import InputError

TEXT = ("random", "popularity", "bm25", "bm25(text=all)", "dense(how=max)", "dense(how=mean)", "dense(text=all)")
WARM = (*TEXT, "item-knn", "ease", "star")
# Where items have no text but title and description, text=all reads the same.
SHORT = ("random", "popularity", "bm25", "dense(how=max)", "dense(how=mean)")
SHORT_WARM = (*SHORT, "item-knn", "ease", "star")
STARS = (*WARM, "popularity(of=likes)", "recent", "ease(regularisation=100)", "als", "svd", "lightfm")
OURS, TALKING = ("snowmelt-no-llm",), ("snowmelt-talk",)
FIVE = (0, 1, 3, 5, 10)

# name -> (data set, options of `evaluate`)
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "ml-100k-user": ("ml-100k", {"split": "user", "arms": STARS, "reveal": FIVE}),
    "ml-100k-user-time": ("ml-100k", {"split": "user", "order": "time", "arms": STARS, "reveal": FIVE}),
    "lastfm-hetrec-user": ("lastfm-hetrec", {"split": "user", "arms": WARM, "reveal": FIVE}),
    "amazon-office-user": ("amazon-office", {"split": "user", "arms": WARM, "reveal": (0, 1, 2, 3)}),
    "redial-user": ("redial", {"split": "user", "arms": WARM, "reveal": (0, 1, 2)}),
    "amazon-cross-domain-user": ("amazon-cross-domain", {"split": "user", "arms": SHORT_WARM, "reveal": FIVE}),
    **{
        f"{name}-item": (name, {"split": "item", "arms": (*TEXT, "map"), "reveal": (1, 3, 5)})
        for name in ("ml-100k", "lastfm-hetrec", "amazon-office", "redial")
    },
    **{
        f"{name}-scene": (name, {"split": "scene", "arms": TEXT, "reveal": (1, 3, 5)})
        for name in ("ml-100k", "lastfm-hetrec", "amazon-office", "redial")
    },
    **{
        f"amazon-cross-domain-{kind}": ("amazon-cross-domain", {"split": kind, "arms": SHORT, "reveal": (1, 3, 5)})
        for kind in ("item", "scene")
    },
    **{
        f"to-{target.lower()}": (
            "amazon-cross-domain",
            {"split": "domain", "target": target, "arms": SHORT_WARM, "reveal": (0, 1, 5, 10)},
        )
        for target in ("Beauty", "Sports", "Toys")
    },
    "mind-impressions": ("mind-recprompt", {"split": "impressions", "arms": SHORT_WARM, "reveal": (0, 1, 5, 10)}),
    "redial-dialogues": (
        "redial",
        {"split": "dialogues", "arms": ("random", "popularity", *TEXT[2:5]), "reveal": (1, 2, 3)},
    ),
    "ml-100k-conversation": (
        "ml-100k",
        {"split": "conversation", "arms": ("random", "popularity"), "reveal": (0, 1, 2, 4, 8)},
    ),
}

ROOT = Path(__file__).resolve().parent.parent
HEAD = """# All tables

Every arm on every set, written by `python benchmarks/tables.py ../shared/data runs --write`; how to read them:
[results.md](results.md). "+" after a commit: files of the tree had changes."""
WITH_MODEL = "snowmelt eval DATA --split KIND --reveal 1,3,5 --model local --out runs/NAME-KIND-llm"
DENSE = ("dense(how=max)", "dense(how=mean)", "dense(text=all)")
WORDS = (*DENSE, "bm25", "bm25(text=all)")
EVERY = ()  # every baseline that ran
# (run, our arm, least ratio to the best of these baselines at the level, these baselines)
TARGETS: tuple[tuple[str, str, float, tuple[str, ...]], ...] = (
    *((f"{name}-user", "snowmelt-no-llm", 1.10, EVERY) for name in ("ml-100k", "lastfm-hetrec", "amazon-office")),
    ("ml-100k-item-llm", "snowmelt", 2.7, DENSE),
    ("ml-100k-item-llm", "snowmelt", 1.6, ("map",)),
    ("lastfm-hetrec-item-llm", "snowmelt", 1.3, (*DENSE, "map")),
    ("amazon-office-item", "snowmelt-no-llm", 1.3, (*DENSE, "map")),  # the model does not know such titles: weight 0
    ("ml-100k-scene-llm", "snowmelt", 2.4, WORDS),
    *((f"{name}-scene-llm", "snowmelt", 1.2, WORDS) for name in ("lastfm-hetrec", "amazon-office")),
    *((f"to-{target}", "snowmelt-no-llm", 1.10, EVERY) for target in ("beauty", "sports", "toys")),
    ("mind-impressions", "snowmelt-no-llm", 1.0, EVERY),
)

ALONE, WITH = OURS[0], "snowmelt"
# (setting, run, our arm) of the table in README.md
FRONT = (
    ("new people, films (ml-100k)", "ml-100k-user", ALONE),
    ("new listeners (lastfm)", "lastfm-hetrec-user", ALONE),
    ("new people, office shop", "amazon-office-user", ALONE),
    ("new people, films, training ends before they come", "ml-100k-user-time", ALONE),
    ("known in Beauty and Sports, new in Toys", "to-toys", ALONE),
    ("new films, with the model", "ml-100k-item-llm", WITH),
    ("new office products", "amazon-office-item", ALONE),
    ("no behaviour at all, films, with the model", "ml-100k-scene-llm", WITH),
    ("no behaviour at all, artists, with the model", "lastfm-hetrec-scene-llm", WITH),
    ("no behaviour at all, office shop", "amazon-office-scene", ALONE),
    ("news that were shown (MIND)", "mind-impressions", ALONE),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="", help="names of runs, by commas")
    parser.add_argument("--without-ours", action="store_true", help="baselines alone")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write what ran into the pages")
    asked = parser.parse_args()
    names = [n for n in asked.only.split(",") if n] or list(RUNS)
    unknown = [n for n in names if n not in RUNS]
    if unknown:
        parser.error(f"--only: {unknown[0]!r} is none of {', '.join(RUNS)}")
    if asked.write:
        write(asked.out)
        return 0
    for name in names:
        data, options = RUNS[name]
        ours = TALKING if options["split"] in ("conversation", "dialogues") else OURS
        arms = options["arms"] + (() if asked.without_ours else ours)
        sys.stderr.write(f"{name} ...\n")
        try:
            result = evaluate(asked.data / data, **{**options, "arms": arms}, out=asked.out / name, jobs=asked.jobs)
        except InputError as error:
            sys.stderr.write(f"{name}: {error}\n")
            continue
        for arm, told in result["settings"].items():
            if told["error"]:
                sys.stderr.write(f"{name} {arm}: {told['error']}\n")
        sys.stderr.write(f"{name} done\n")
    return 0


def write(out: Path) -> None:
    """What ran in `out`: a section for each run, and the marked tables of both READMEs and docs/results.md."""
    every = [*RUNS, *(f"{name}-llm" for name in RUNS)]
    ran = {n: json.loads(p.read_text("utf-8")) for n in every if (p := out / n / "run.json").exists()}
    sections = [section(name, result) for name, result in ran.items()]
    (ROOT / "docs" / "tables.md").write_text("\n\n".join([HEAD, *sections]) + "\n", "utf-8")
    judge, results = ROOT / "evals" / "README.md", ROOT / "docs" / "results.md"
    replaced(judge, "targets", [*VERDICTS, *(row for target in TARGETS for row in verdicts(out, *target))])
    shown = {n: r for n, r in ran.items() if n in RUNS and split_of(r) not in ("conversation", "dialogues")}
    replaced(judge, "overview", [*OVERVIEW, *(overview_row(n, result) for n, result in shown.items())])
    front = [overview_row(called, ran[name], arm) for called, name, arm in FRONT if name in ran]
    replaced(ROOT / "README.md", "results", [OVERVIEW[0].replace("run", "setting"), OVERVIEW[1], *front])
    replaced(results, "model", [*MODEL, *(row for n, result in ran.items() for row in model_rows(n, result))])


def replaced(page: Path, name: str, lines: list[str]) -> None:
    """Put `lines` between the marks of the table `name` on a page."""
    before, opened, rest = page.read_text("utf-8").partition(f"<!-- {name}: benchmarks/tables.py --write -->\n")
    _, closed, after = rest.partition(f"\n<!-- /{name} -->")
    if not opened or not closed:
        raise SystemExit(f"{page}: the marks of {name} are gone")
    page.write_text(before + opened + "\n".join(lines) + closed + after, "utf-8")


MODEL = ("| run | likes | n | with the model | without | difference [95%], p |", "|---" * 6 + "|")


def model_rows(name: str, result: dict[str, Any]) -> list[str]:
    """`snowmelt` beside `snowmelt-no-llm` at each level of one run, if it has both; p is not corrected."""
    people, rows = result["per_person"], []
    if WITH not in people or ALONE not in people:
        return rows
    for level in sorted(map(int, people[WITH])):
        ours, without = (np.array(people[n][str(level)][MAIN], float) for n in (WITH, ALONE))
        told = compare(ours, without)
        gain, share = told.difference, 100 * told.difference.mean / max(without.mean(), 1e-9)
        rows.append(
            f"| {name} | {level} | {len(ours)} | {ours.mean():.3f} | {without.mean():.3f} | {gain.mean:+.4f} "
            f"[{gain.low:+.4f}, {gain.high:+.4f}], {share:+.1f} %, p {told.p:.4f} |"
        )
    return rows


VERDICTS = ("| run | against | least | " + "ratio [95%] by likes revealed | met |", "|---" * 5 + "|")


def verdicts(out: Path, name: str, arm: str, least: float, among: tuple[str, ...]) -> list[str]:
    """One target in a row: the ratio of our mean to that of the best rival, at each level above 0; none if not run."""
    path = out / name / "run.json"
    if not path.exists():
        return []
    result = json.loads(path.read_text("utf-8"))
    people = result["per_person"]
    if arm not in people:
        return []
    rivals = [n for n in among or people if n in people and (among or result["settings"][n]["baseline"])]
    cells, met = [], []
    for level in sorted(map(int, people[arm])):
        if not level:
            continue
        values = {n: np.array(people[n][str(level)][MAIN], float) for n in (arm, *rivals)}
        best = max(rivals, key=lambda n: float(np.mean(values[n])))
        told = ratio(values[arm], values[best])
        cells.append(f"{level}: {told[0]:.2f} [{told[1]:.2f}, {told[2]:.2f}] {best}")
        met.append(told[0] >= least and told[1] > 1)
    which = "the best" if not among else " / ".join(dict.fromkeys(n.split("(")[0] for n in among))
    at = sum(met)
    word = "yes" if at == len(met) else "no" if not at else f"at {at} of {len(met)}"
    return [f"| {name} | {which} | {least:g} | {'; '.join(cells)} | {word} |"]


def ratio(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, float, float]:
    """Ratio of the means of [people] and its 95 % percentile bootstrap over people, the same people in both."""
    n = len(ours)
    counts = np.random.default_rng([n, 0x4A]).multinomial(n, np.full(n, 1 / n), size=2000)
    drawn = (counts @ ours) / np.maximum(counts @ theirs, 1e-9)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(ours.mean() / theirs.mean()), float(low), float(high)


OVERVIEW = (
    "| run | likes | n | best baseline | ours | difference [95%], Cohen's d_z, p (Holm) | commit |",
    "|---" * 7 + "|",
)


def overview_row(called: str, result: dict[str, Any], arm: str = ALONE) -> str:
    """One run in a row: an arm of ours beside the best baseline at the headline level."""
    level = main_level(result)
    rows = {row["name"]: row for row in ordered(result, level)}
    told, ours = comparison_at(result, level), rows.get(arm)
    if not told or not ours or not ours["metrics"]:
        return f"| {called} | {level} | – | – | – | – | {commit_of(result)} |"
    best = rows[told["best_baseline"]]
    return (
        f"| {called} | {level} | {best['metrics'][MAIN]['n']} | {best['name']} {interval_of(best)} | "
        f"{interval_of(ours)} | {difference_of(result, ours)} | {commit_of(result)} |"
    )


def commit_of(result: dict[str, Any]) -> str:
    """Short; "+": the tree had changes."""
    commit = result["surroundings"]["commit"] or "?"
    return commit[:8] + ("+" if commit.endswith("+") else "")


def section(name: str, result: dict[str, Any]) -> str:
    """One run as a section of docs/tables.md."""
    note = f" {result['note']}." if result["note"] else ""
    about = (
        f"{result['test_people']} test people, {result['warm_people']} warm, {result['items']} items.{note} "
        f"{MAIN} [95%] by {WHAT.get(split_of(result), 'revealed likes')}; commit {commit_of(result)}."
    )
    broken = [f"{arm} did not run: {told['error']}" for arm, told in result["settings"].items() if told["error"]]
    parts = (f"## {name}", about, levels_table(result), *broken, verdict(result, main_level(result)))
    return "\n\n".join(parts)


if __name__ == "__main__":
    raise SystemExit(main())
