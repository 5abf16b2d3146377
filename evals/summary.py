"""From per-person results to the table people read: every metric with its interval, every comparison with its p."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.evals import metrics, statistics
from snowmelt.evals.data import Dataset, record_text
from snowmelt.evals.run_folder import ArmRun, Config
from snowmelt.evals.scoring import POOL, Result
from snowmelt.evals.simulated_user import held
from snowmelt.evals.splits import Split

K = 10
MAIN = f"ndcg@{K}"
Values = dict[str, NDArray[np.float64]]
Sparse = metrics.Sparse


class Yardstick:
    """What the metrics need to know of the data: warm popularity, text vectors for diversity, categories."""

    def __init__(self, data: Dataset, split: Split) -> None:
        self.data = data
        train = split.final.train[data.liked[split.final.train]]
        self.counts = np.bincount(data.item[train], minlength=len(data.ids))
        self.people = len(np.unique(data.user[split.final.train]))
        self.split = split

    @cached_property
    def texts(self) -> Sparse:
        """TF-IDF of the texts, hashed to 2^18 columns, L2 = 1: no arm's own embedding decides what is diverse."""
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

        counts = HashingVectorizer(n_features=2**18, alternate_sign=False, norm=None).transform(  # type: ignore[arg-type]
            record_text(record) for record in self.data.records
        )
        return TfidfTransformer().fit_transform(counts).tocsr()

    @cached_property
    def genres(self) -> Sparse | None:
        """csr [items, categories], each row sharing one unit of weight; None where items have no `categories`."""
        from scipy.sparse import csr_matrix

        names: dict[str, int] = {}
        entries = [
            (row, names.setdefault(str(value), len(names)), 1.0 / len(values))
            for row, record in enumerate(self.data.records)
            if isinstance(values := record.get("categories"), list) and values
            for value in values
        ]
        if not names:
            return None
        rows, columns, weights = zip(*entries, strict=True)
        return csr_matrix((weights, (rows, columns)), shape=(len(self.data.ids), len(names)))

    def measure(self, result: Result, reveal: int, threshold: float) -> tuple[Values, dict[str, float]]:
        """(per person metrics, metrics of all lists together) of one arm at one level."""
        by_number = {person.number: person for person in self.split.final.people}
        spoken = self.split.kind in ("conversation", "dialogues")  # what was said is no list of items: no profile
        profiles = [by_number[n].order[:0] if spoken else by_number[n].at(reveal)[0] for n in result.people]
        top = result.top[:, :K]
        values = metrics.ranking_metrics(result.hits, result.relevant, K)
        values |= metrics.pool_metrics(result.hits, result.relevant, result.in_pool, K)
        values["auc"] = result.auc
        pairs = zip(result.like_share, result.dislike_share, strict=True)
        values["accuracy"] = np.array([metrics.accuracy(likes, dislikes, threshold) for likes, dislikes in pairs])
        values |= metrics.popularity_metrics(top, profiles, self.counts, self.people)
        values[f"diversity@{K}"] = metrics.intra_list_diversity(top, self.texts)
        if self.genres is not None:
            values[f"calibration@{K}"] = metrics.calibration(top, profiles, self.genres)
        values["degraded"] = result.degraded.astype(float)
        items = self._reachable()
        return values, {f"coverage@{K}": metrics.coverage(top, items), f"gini@{K}": metrics.gini(top, items)}

    def _reachable(self) -> int:
        """Items that anyone could be shown: the union of the candidates."""
        pools = {id(p.candidates): p.candidates for p in self.split.final.people}
        some = [rows for rows in pools.values() if rows is not None]
        return len(np.unique(np.concatenate(some))) if len(some) == len(pools) else len(self.data.ids)


def summarise(config: Config, data: Dataset, split: Split, runs: Sequence[ArmRun]) -> dict[str, Any]:
    """The whole run as plain data for `run.json`: headline, per-person figures, settings, comparisons."""
    yard = Yardstick(data, split)
    label = config.split + (f" (sampled:{config.sampled})" if config.sampled else "")
    label += " (time-ordered)" if config.order == "time" else ""
    reveals = sorted({reveal for run in runs for reveal in run.results}) or sorted(config.reveal)
    arms: list[dict[str, Any]] = []
    per_person: dict[str, dict[str, dict[str, Any]]] = {run.spec.name: {} for run in runs}
    for reveal in reveals:
        level: list[dict[str, Any]] = []
        for run in runs:
            result = run.results.get(reveal)
            asked = next((len(r.results[reveal].people) for r in runs if reveal in r.results), 0)
            row: dict[str, Any] = {"name": run.spec.name, "reveal": reveal, "metrics": {}, "p_vs_best_baseline": None,
                                   "tokens_in": 0, "tokens_out": 0, "p50_ms": None, "p95_ms": None,
                                   "failures": asked}  # fmt: skip
            if result is not None:
                values, whole = yard.measure(result, reveal, run.threshold)
                table = statistics.intervals(np.column_stack(list(values.values())), config.seed)
                row["metrics"] = {name: asdict(e) for name, e in zip(values, table, strict=True)}
                n = len(result.people)
                row["metrics"] |= {k: {"mean": v, "low": None, "high": None, "n": n} for k, v in whole.items()}
                row["tokens_in"], row["tokens_out"] = int(result.tokens_in.sum()), int(result.tokens_out.sum())
                row["p50_ms"], row["p95_ms"] = (float(np.percentile(result.seconds, q) * 1000) for q in (50, 95))
                row["failures"] = int(result.failed.sum())
                people = [by.user for by in split.final.people]
                per_person[run.spec.name][str(reveal)] = {
                    "users": [people[i] for i in result.people],
                    **{name: v.tolist() for name, v in values.items()},
                }
            level.append(row)
        arms += level
    comparisons = _compare_all(runs, reveals, per_person, config.seed)
    for row in arms:
        told = comparisons.get(row["reveal"], {}).get("arms", {}).get(row["name"])
        row["p_vs_best_baseline"] = told["p_holm"] if told else None
    return {
        "dataset": data.name, "split": label, "arms": arms,
        "note": split.note, "least_likes": split.least_likes, "items": len(data.ids), "scale": data.scale,
        "test_people": len(split.final.people), "warm_people": yard.people, "main_metric": MAIN,
        "comparisons": comparisons,
        "settings": {
            run.spec.name: {"chosen": run.settings, "tried": run.tried, "like_threshold": run.threshold,
                            "fit_seconds": run.fit_seconds, "target": run.spec.target, "error": run.error,
                            "baseline": run.spec.baseline,
                            "messages": {str(k): r.messages for k, r in run.results.items() if r.messages}}
            for run in runs
        },
        "per_person": per_person,
    }  # fmt: skip


def _compare_all(
    runs: Sequence[ArmRun], reveals: Sequence[int], per_person: dict[str, Any], seed: int
) -> dict[int, dict[str, Any]]:
    """At each level every arm against the baseline with the best mean there, Holm over the arms of that level."""
    result: dict[int, dict[str, Any]] = {}
    for reveal in reveals:
        values = {name: np.array(p[str(reveal)][MAIN]) for name, p in per_person.items() if str(reveal) in p}
        means = {r.spec.name: float(np.nanmean(values[r.spec.name])) for r in runs
                 if r.spec.baseline and r.spec.name in values and not np.isnan(values[r.spec.name]).all()}  # fmt: skip
        if not means:
            continue
        best = max(means, key=lambda name: means[name])
        others = [name for name in values if name != best]
        told = {name: statistics.compare(values[name], values[best], seed) for name in others}
        adjusted = statistics.holm([told[name].p for name in others])
        result[reveal] = {
            "best_baseline": best,
            "arms": {n: {**asdict(told[n]), "p_holm": p} for n, p in zip(others, adjusted, strict=True)},
        }
    return result


def headline(summary: dict[str, Any]) -> dict[str, Any]:
    """The part of a run that `--json` prints."""
    return clean({name: summary[name] for name in ("dataset", "split", "arms")})


def clean(value: Any) -> Any:
    """NaN and infinities as null: JSON has none, and an undefined figure must not look like a number."""
    if isinstance(value, dict):
        return {str(k): clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_trec(out: Path, data: Dataset, split: Split, runs: Sequence[ArmRun]) -> None:
    """`trec/ARM.reveal-K.run` and `trec/reveal-K.qrels` for trec_eval and ir-measures: topics are people."""
    folder = out / "trec"
    folder.mkdir(exist_ok=True)
    by_number = {person.number: person for person in split.final.people}
    ids, written = data.ids, set()
    for run in runs:
        name = "".join(c if c.isalnum() or c in "-." else "_" for c in run.spec.name)
        for reveal, result in run.results.items():
            with (folder / f"{name}.reveal-{reveal}.run").open("w", encoding="utf-8") as file:
                for number, rows in zip(result.people, result.top, strict=True):
                    rows = rows[rows >= 0]
                    # trec_eval sorts by score: equal scores would fall in another order there, so ranks are written.
                    file.writelines(
                        f"{number} Q0 {ids[row]} {rank} {POOL + 1 - rank} {name}\n" for rank, row in enumerate(rows, 1)
                    )
            if reveal not in written:
                written.add(reveal)
                with (folder / f"reveal-{reveal}.qrels").open("w", encoding="utf-8") as file:
                    for number in result.people:
                        gold = held(split.kind, by_number[number], reveal)[1]
                        file.writelines(f"{number} 0 {ids[row]} 1\n" for row in gold)
