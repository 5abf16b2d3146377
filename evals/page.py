"""A run as one self-contained HTML page: no script, no font, no network."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from snowmelt.evals import charts
from snowmelt.evals.data import Dataset
from snowmelt.evals.report import (
    WHAT,
    comparison_at,
    difference_of,
    main_level,
    markdown,
    mean_of,
    milliseconds,
    ordered,
    plain,
    short,
    split_of,
    verdict,
)  # fmt: skip
from snowmelt.evals.run_folder import ArmRun
from snowmelt.evals.simulated_user import held
from snowmelt.evals.splits import Split
from snowmelt.evals.summary import MAIN, K

Summary = dict[str, Any]
COLUMNS = ("recall@10", "hit@10", "mrr@10", "map@10", "auc", "accuracy", "pool_recall", "coverage@10", "gini@10",
           "novelty", "diversity@10", "calibration@10")  # fmt: skip


def write_report(out: Path, result: Summary, data: Dataset, split: Split, runs: Sequence[ArmRun]) -> None:
    """Write `report.html` and `report.md` into the run folder."""
    (out / "report.md").write_text(markdown(result) + "\n", encoding="utf-8")
    (out / "report.html").write_text(_page(result, data, split, runs), encoding="utf-8")


def _page(result: Summary, data: Dataset, split: Split, runs: Sequence[ArmRun]) -> str:
    main = main_level(result)
    title = f"{result['dataset']} · {result['split']}"
    about = (
        f"{result['test_people']} test people, {result['warm_people']} warm people, {result['items']} items, "
        f"ratings are {result['scale']}, at least {result['least_likes']} likes a test person. {result['note']}"
    )
    sections = [
        f"<h1>{escape(title)}</h1><p class='dimmed'>{escape(about)}</p>",
        f"<p class='lead'>{escape(verdict(result, main))}</p>",
        f"<h2>With {main} revealed</h2>{_table(result, main)}{_others(result, main)}",
        _curves(result), _pairs(result, main), _costs(result, main), _lost(result, main),
        _worst(result, data, split, runs, main), _provenance(result),
    ]  # fmt: skip
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width,initial-scale=1'><style>{charts.STYLE}</style>"
        f"{''.join(sections)}</html>"
    )


def _table(result: Summary, reveal: int) -> str:
    rows = []
    for i, row in enumerate(ordered(result, reveal)):
        error = result["settings"][row["name"]]["error"]
        if not row["metrics"]:
            rows.append(f"<tr><td>{escape(short(row['name']))}</td><td colspan=8 class=bad>{escape(error)}</td></tr>")
            continue
        told = row["metrics"][MAIN]
        span = "" if told["low"] is None else f" <small>{told['low']:.3f}–{told['high']:.3f}</small>"
        bad = " class=bad" if row["failures"] else ""
        rows.append(
            f"<tr{' class=best' if i == 0 else ''}><td>{escape(short(row['name']))}</td>"
            f"<td>{plain(row, MAIN)}{span}</td>"
            f"<td>{told['n']}</td><td><small>{escape(difference_of(result, row))}</small></td>"
            f"<td>{plain(row, 'recall@10')}</td><td>{plain(row, 'degraded')}</td><td{bad}>{row['failures']}</td>"
            f"<td>{row['tokens_in']} / {row['tokens_out']}</td><td>{milliseconds(row)}</td></tr>"
        )
    label = (
        " · sampled candidates: figures are not comparable with full-catalogue ones"
        if "sampled" in result["split"]
        else ""
    )
    return (
        f"<div class=scroll><table><caption>Split: {escape(result['split'])}{label}</caption><thead><tr><th>arm"
        f"<th>{MAIN} <small>95%</small><th>n<th>minus best baseline <small>95%, d_z, p (Holm)</small><th>recall@10"
        "<th>degraded<th>failed<th>tokens <small>in / out</small><th>ms <small>p50 / p95</small></tr>"
        f"</thead>{''.join(rows)}</table></div>"
    )


def _others(result: Summary, reveal: int) -> str:
    rows = ordered(result, reveal)
    names = [c for c in COLUMNS if any(row["metrics"].get(c, {}).get("mean") is not None for row in rows)]
    body = "".join(
        f"<tr><td>{escape(short(row['name']))}</td>{''.join(_cell(row, c) for c in names)}</tr>"
        for row in rows if row["metrics"]
    )  # fmt: skip
    head = "".join(f"<th>{c}" for c in names)
    return (
        "<details><summary>More metrics</summary><p class=dimmed>Below each mean its 95% interval; n in brackets where "
        "it is defined for fewer people than were asked.</p><div class=scroll><table><thead><tr><th>arm"
        f"{head}</tr></thead>{body}</table></div></details>"
    )


def _cell(row: Summary, metric: str) -> str:
    told = row["metrics"].get(metric)
    if not told or told["mean"] is None:
        return "<td>–</td>"
    between = "" if told["low"] is None else f"{told['low']:.3f}–{told['high']:.3f}"
    n = f" ({told['n']})" if told["n"] != row["metrics"][MAIN]["n"] else ""
    return f"<td>{told['mean']:.3f}<br><small>{between}{n}</small></td>"


def _styles(result: Summary) -> dict[str, str]:
    """Colour for the arms that a reader looks for: ours and strangers', then the best baselines; the rest grey."""
    ranked = [row["name"] for row in ordered(result, main_level(result)) if row["metrics"]]
    ours = [n for n in ranked if n.startswith("snowmelt") or ":" in n]
    chosen = [*ours, *(n for n in ranked if n not in ours)][:6]
    return {name: f"s{chosen.index(name)}" if name in chosen else "dim" for name in ranked}


def _curves(result: Summary) -> str:
    lines = []
    for name, style in _styles(result).items():
        points = [
            (row["reveal"], told["mean"], told["low"], told["high"])
            for row in result["arms"]
            if row["name"] == name and (told := row["metrics"].get(MAIN)) and told["mean"] is not None
        ]
        if points:
            lines.append(charts.Line(short(name), sorted(points), style))
    shrink = " Held-out likes are those not revealed, so compare arms at one place, not places of one arm."
    note = shrink if split_of(result) in ("user", "scene") else ""
    return (
        f"<h2>Quality against {WHAT.get(split_of(result), 'revealed likes')}</h2>"
        f"<p class=dimmed>Bands are 95% intervals; {_people(result)}.{note}</p>"
        + charts.curves(lines, WHAT.get(split_of(result), "revealed likes"), MAIN)
    )


def _people(result: Summary) -> str:
    """How many people were asked at each level."""
    asked = {row["reveal"]: row["metrics"][MAIN]["n"] for row in result["arms"] if row["metrics"]}
    if len(set(asked.values())) == 1:
        return f"n = {next(iter(asked.values()))} people at each place"
    return "n = " + ", ".join(f"{n} at {reveal}" for reveal, n in sorted(asked.items()))


def _pairs(result: Summary, reveal: int) -> str:
    told = comparison_at(result, reveal)
    if not told or not told["arms"]:
        return ""
    base = result["per_person"][told["best_baseline"]][str(reveal)][MAIN]
    rows = []
    for row in ordered(result, reveal):
        if row["name"] not in told["arms"]:
            continue
        mine = result["per_person"][row["name"]][str(reveal)][MAIN]
        values = [a - b for a, b in zip(mine, base, strict=True) if a is not None and b is not None]
        if values:
            rows.append((short(row["name"])[:28], values, sum(values) / len(values)))
    return (
        f"<h2>Person by person</h2><p class=dimmed>Each dot is one person: {MAIN} minus that of "
        f"{escape(told['best_baseline'])}, with {reveal} revealed (n = {len(base)}). The bar is the mean.</p>"
        + charts.differences(rows)
    )


def _costs(result: Summary, reveal: int) -> str:
    styles = _styles(result)
    points = [
        (short(r["name"]), r["p50_ms"], mean_of(r), styles[r["name"]]) for r in ordered(result, reveal) if r["metrics"]
    ]
    return (
        "<h2>Quality against cost</h2><p class=dimmed>What one person alone costs; the median over those asked (an arm "
        "that answers in batches: over the first 20).</p>"
        + charts.scatter(points, "median milliseconds a person (log)", MAIN)
    )


def _lost(result: Summary, reveal: int) -> str:
    rows = []
    for row in ordered(result, reveal):
        pool, found = (row["metrics"].get(m, {}).get("mean") for m in ("pool_recall", f"recall@{K}"))
        if pool is not None and found is not None:
            rows.append((short(row["name"])[:28], found, max(pool - found, 0.0), 1 - max(pool, found)))
    return (
        "<h2>Where held-out likes were lost</h2><p class=key><i style='background:var(--found)'></i>in the first "
        f"{K} <i style='background:var(--ranking)'></i>lost in ranking (in the pool, below {K}) "
        "<i style='background:var(--retrieval)'></i>lost in retrieval (not in the pool)</p>"
        "<p class=dimmed>The pool is what an arm scored, or its first 100 where it scores everything. A person with "
        f"more than {K} held-out likes cannot have all of them in the first {K}.</p>" + charts.losses(rows)
    )


def _worst(result: Summary, data: Dataset, split: Split, runs: Sequence[ArmRun], reveal: int) -> str:
    """The people that the arm of interest served worst, next to the best baseline."""
    told = comparison_at(result, reveal)
    ranked = [row["name"] for row in ordered(result, reveal) if row["metrics"]]
    if not ranked:
        return ""
    name = next((n for n in ranked if n.startswith("snowmelt") or ":" in n), ranked[0])
    base = told["best_baseline"] if told and told["best_baseline"] != name else None
    by_name = {run.spec.name: run.results[reveal] for run in runs if reveal in run.results}
    mine = result["per_person"][name][str(reveal)][MAIN]
    theirs = result["per_person"][base][str(reveal)][MAIN] if base else [0.0] * len(mine)
    order = sorted(
        (i for i, v in enumerate(mine) if v is not None),
        key=lambda i: (mine[i] - (theirs[i] or 0.0), mine[i], -by_name[name].relevant[i]),
    )[:6]
    people = {person.number: person for person in split.final.people}
    title = [str(record.get("title") or record["id"]) for record in data.records]

    def names(rows: Any, most: int) -> str:
        listed = [title[r] for r in rows if r >= 0]
        return (
            escape(" · ".join(listed[:most]) + (f" … and {len(listed) - most} more" if len(listed) > most else ""))
            or "–"
        )

    parts = []
    for i in order:
        shown, gold = held(split.kind, people[by_name[name].people[i]], reveal)
        versus = f" · {escape(base)} {theirs[i] or 0.0:.3f}" if base else ""
        parts.append(
            f"<div class=case><b>{escape(short(name))} {mine[i]:.3f}{versus}</b><br>"
            "<span class=dimmed>revealed</span> "
            f"{names(shown, 8)}<br><span class=dimmed>got</span> {names(by_name[name].top[i][:K], K)}"
            f"<br><span class=dimmed>held out</span> {names(gold, 12)}</div>"
        )
    return f"<h2>Worst cases to read</h2>{''.join(parts)}"


def _provenance(result: Summary) -> str:
    rows = []
    for name, told in result["settings"].items():
        settings = ", ".join(f"{k}={v}" for k, v in told["chosen"].items()) or "–"
        tried = len(told["tried"])
        said = "; ".join(f"{k} ({v})" for level in told["messages"].values() for k, v in level.items())
        fit = "–" if told["fit_seconds"] is None or math.isnan(told["fit_seconds"]) else f"{told['fit_seconds']:.2f}"
        rows.append(
            f"<tr><td>{escape(short(name))}<td>{escape(settings)}<td>{tried}<td>{fit}"
            f"<td style='white-space:normal;text-align:left'>{escape((told['error'] or said)[:300])}</tr>"
        )
    config = {k: v for k, v in result["config"].items() if v is not None}
    return (
        "<h2>Settings, failures and provenance</h2><div class=scroll><table><thead><tr><th>arm<th>chosen on validation"
        f"<th>tried<th>fit s<th style='text-align:left'>degraded or failed because</tr></thead>"
        f"{''.join(rows)}</table></div>"
        f"<details><summary>Configuration and versions</summary><pre>{escape(_lines(config))}\n"
        f"{escape(_lines(result['surroundings']))}</pre></details>"
    )


def _lines(values: Summary) -> str:
    return "\n".join(f"{name}: {value}" for name, value in values.items())
