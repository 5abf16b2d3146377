"""A run in words and in Markdown: the verdict, and the tables for a README. The HTML page is in `page.py`."""

from pathlib import Path
from typing import Any

from snowmelt.evals.compare import sentence
from snowmelt.evals.statistics import Comparison, Estimate
from snowmelt.evals.summary import MAIN

Summary = dict[str, Any]
WHAT = {"conversation": "answered questions", "dialogues": "seeker turns"}


def split_of(result: Summary) -> str:
    """The kind of split."""
    return result["config"]["split"]


def main_level(result: Summary) -> int:
    """The level of the headline: 5 revealed if it was run, else the highest."""
    levels = sorted({row["reveal"] for row in result["arms"]})
    return 5 if 5 in levels else levels[-1]


def mean_of(row: Summary, metric: str = MAIN) -> float:
    """The mean of a metric, -1 where it is undefined: such rows sort last."""
    value = row["metrics"].get(metric, {}).get("mean")
    return -1.0 if value is None else value


def ordered(result: Summary, reveal: int) -> list[Summary]:
    """The rows of one level, best first."""
    return sorted((r for r in result["arms"] if r["reveal"] == reveal), key=lambda row: (-mean_of(row), row["name"]))


def short(name: str) -> str:
    """A file arm by its file's name, so that a path does not fill the page."""
    path, colon, function = name.partition(".py:")
    return f"{Path(path).name}.py:{function}" if colon else name


def interval_of(row: Summary, metric: str = MAIN) -> str:
    """Mean and interval."""
    told = row["metrics"].get(metric)
    if not told or told["mean"] is None:
        return "–"
    return (
        f"{told['mean']:.3f}" if told["low"] is None else f"{told['mean']:.3f} [{told['low']:.3f}, {told['high']:.3f}]"
    )


def p_of(value: float | None) -> str:
    """A p value; empty where there is none."""
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def comparison_at(result: Summary, reveal: int) -> Summary | None:
    """Every arm against the best baseline at one level; None where no baseline ran."""
    return result["comparisons"].get(str(reveal))


def difference_of(result: Summary, row: Summary) -> str:
    """Mean paired difference of an arm to the best baseline at its level, with interval, effect size and Holm's p."""
    told = comparison_at(result, row["reveal"])
    one = told["arms"].get(row["name"]) if told else None
    if told and row["name"] == told["best_baseline"]:
        return "best baseline"
    if not one or one["difference"]["mean"] is None:
        return "–"
    d = one["difference"]
    between = "" if d["low"] is None else f" [{d['low']:+.3f}, {d['high']:+.3f}]"
    effect = "" if one["effect"] is None else f", d = {one['effect']:.2f}"
    return f"{d['mean']:+.3f}{between}{effect}, p {p_of(one['p_holm']) or '–'}"


def verdict(result: Summary, reveal: int) -> str:
    """In one sentence: the best arm that is no baseline against the best baseline; among baselines alone, the best of
    them against the next that ranks differently."""
    told = comparison_at(result, reveal)
    best = told["best_baseline"] if told else ""
    names = [row["name"] for row in ordered(result, reveal) if row["metrics"] and row["name"] != best]
    judged = [n for n in names if not result["settings"][n]["baseline"] and n != "random"]
    judged = judged or [n for n in names if told and told["arms"][n]["ties"] < told["arms"][n]["difference"]["n"]]
    if not told or not judged:
        return "Nothing was compared."
    name = judged[0]
    row = told["arms"][name]
    mean, low, high, p, effect = (
        float("nan") if v is None else float(v)
        for v in (*(row["difference"][k] for k in ("mean", "low", "high")), row["p_holm"], row["effect"])
    )
    difference = Estimate(mean, low, high, row["difference"]["n"])
    comparison = Comparison(difference, p, effect, row["wins"], row["ties"], row["losses"])
    return sentence(short(name), f"{best} (best baseline)", comparison, reveal) + " p is Holm-corrected."


def levels_table(result: Summary) -> str:
    """NDCG with its interval, an arm a row and a level a column, as Markdown; the best at the headline level first."""
    levels, main = sorted({row["reveal"] for row in result["arms"]}), main_level(result)
    cells = {(row["name"], row["reveal"]): row for row in result["arms"]}
    asked = {row["reveal"]: row["metrics"][MAIN]["n"] for row in result["arms"] if row["metrics"]}
    lines = [
        "| arm | " + " | ".join(f"{level} (n = {asked.get(level, 0)})" for level in levels) + " |",
        "|---|" + "---|" * len(levels),
    ]
    for row in ordered(result, main):
        name = row["name"]
        values = [interval_of(cells[name, level]) if (name, level) in cells else "–" for level in levels]
        lines.append(f"| {short(name)} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def costs_table(result: Summary) -> str:
    """At the headline level: what separates each arm from the best baseline, and what it costs, as Markdown."""
    lines = ["| arm | n | difference [95%] | pool recall | degraded | failures | tokens in / out | p50 / p95 ms |",
             "|---" * 8 + "|"]  # fmt: skip
    for row in ordered(result, main_level(result)):
        n, error = row["metrics"].get(MAIN, {}).get("n", 0), result["settings"][row["name"]]["error"]
        lines.append(
            f"| {short(row['name'])} | {n} | {error or difference_of(result, row)} | {plain(row, 'pool_recall')} | "
            f"{plain(row, 'degraded')} | {row['failures']} | {row['tokens_in']} / {row['tokens_out']} | "
            f"{milliseconds(row)} |"
        )
    return "\n".join(lines)


def markdown(result: Summary) -> str:
    """The headline tables for a README: NDCG by revealed likes, then costs and failures at the headline level."""
    main = main_level(result)
    about = (
        f"**{result['dataset']}**, split {result['split']}: {result['test_people']} test people, "
        f"{result['warm_people']} warm, {result['items']} items. {result['note']}".rstrip()
    )
    heads = (
        f"{MAIN} [95%] by {WHAT.get(split_of(result), 'revealed likes')}, best at {main} first",
        f"At {main}: {MAIN} minus that of the best baseline, person by person (d: Cohen's d_z; p: Holm)",
    )
    parts = (about, heads[0], levels_table(result), heads[1], costs_table(result), verdict(result, main))
    return "\n\n".join(parts)


def plain(row: Summary, metric: str) -> str:
    """The mean of a metric alone."""
    value = row["metrics"].get(metric, {}).get("mean")
    return "–" if value is None else f"{value:.3f}"


def milliseconds(row: Summary) -> str:
    """The median and the 95th percentile of the time of a case."""
    return "–" if row["p50_ms"] is None else f"{row['p50_ms']:.2f} / {row['p95_ms']:.2f}"
