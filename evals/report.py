"""A run as one self-contained HTML page (no script, no network), and as Markdown."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from snowmelt.evals import charts
from snowmelt.evals.data import Dataset
from snowmelt.evals.run_folder import ArmRun
from snowmelt.evals.simulated_user import held
from snowmelt.evals.splits import Split
from snowmelt.evals.statistics import Comparison, Estimate
from snowmelt.evals.summary import MAIN, K, sentence

Summary = dict[str, Any]
COLUMNS = ("recall@10", "hit@10", "mrr@10", "map@10", "auc", "accuracy", "pool_recall", "coverage@10", "gini@10",
           "novelty", "diversity@10", "calibration@10")  # fmt: skip
STYLE = """
:root{--bg:#fbfcfd;--ink:#1d2733;--dim:#66717e;--line:#dfe5ea;--band:#fff;--win:#13806f;--loss:#c2503a;
--found:#13806f;--ranking:#e0a43c;--retrieval:#c9d1d8;--c0:#0b6fb8;--c1:#c2503a;--c2:#13806f;--c3:#8a4fb5;
--c4:#b07708;--c5:#4a5a6a}
@media(prefers-color-scheme:dark){:root{--bg:#12171d;--ink:#e4eaf0;--dim:#97a3af;--line:#2a333c;--band:#171e25;
--win:#3fbfa8;--loss:#ec7f68;--found:#2a9c88;--ranking:#c98f2d;--retrieval:#44505b;--c0:#5db1f0;--c1:#ec7f68;
--c2:#3fbfa8;--c3:#c08fe6;--c4:#e0a43c;--c5:#aab7c4}
}*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:2rem 1.2rem 4rem;background:var(--bg);color:var(--ink);
font:15px/1.55 system-ui,"Noto Sans","Noto Sans CJK SC",sans-serif}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2.4rem 0 .5rem}p{max-width:74ch}.lead{font-size:1.05rem}
.dimmed,caption{color:var(--dim)}.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.86rem}
caption{text-align:left;padding:.3rem 0}
th,td{padding:.32rem .55rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{border-bottom:2px solid var(--line);font-weight:600}
tr.best td{background:var(--band);font-weight:650}td small{color:var(--dim)}.bad{color:var(--loss)}
details{margin:.6rem 0}summary{cursor:pointer}
svg{width:100%;height:auto;display:block;background:var(--band);border:1px solid var(--line);border-radius:8px}
svg text{font-size:11.5px;fill:var(--ink)}svg .axis{fill:var(--dim)}svg .inside{fill:#fff}
svg .inside.retrieval{fill:var(--ink)}.grid{stroke:var(--line)}.zero{stroke:var(--dim)}
svg line.lead{stroke:var(--line)}.line{fill:none;stroke-width:2}.band{opacity:.13;stroke:none}
svg .name.dim{fill:var(--dim)}.line.dim{stroke:var(--line);stroke-width:1.4}.dot.dim{fill:var(--retrieval)}
.person{opacity:.55}.win{fill:var(--win)}.loss{fill:var(--loss)}.tie{fill:var(--dim)}
.mean{stroke:var(--ink);stroke-width:2.5}.found{fill:var(--found)}.ranking{fill:var(--ranking)}
.retrieval{fill:var(--retrieval)}
.key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .3em 0 1em}
.case{border-left:3px solid var(--line);padding:.1rem 0 .1rem .9rem;margin:.8rem 0}code{font-size:.86em}
""" + "".join(
    f".line.s{i}{{stroke:var(--c{i})}}.dot.s{i},.band.s{i},svg .name.s{i}{{fill:var(--c{i})}}" for i in range(6)
)


WHAT = {"conversation": "answered questions", "dialogues": "seeker turns"}


def split_of(result: Summary) -> str:
    return result["config"]["split"]


def _level(result: Summary) -> int:
    """The level of the headline: 5 revealed if it was run, else the highest."""
    levels = sorted({row["reveal"] for row in result["arms"]})
    return 5 if 5 in levels else levels[-1]


def _mean(row: Summary, metric: str = MAIN) -> float:
    value = row["metrics"].get(metric, {}).get("mean")
    return -1.0 if value is None else value


def _ordered(result: Summary, reveal: int) -> list[Summary]:
    return sorted((r for r in result["arms"] if r["reveal"] == reveal), key=lambda row: (-_mean(row), row["name"]))


def _short(name: str) -> str:
    """A file arm by its file's name, so that a path does not fill the page."""
    path, colon, function = name.partition(".py:")
    return f"{Path(path).name}.py:{function}" if colon else name


def _interval(row: Summary, metric: str = MAIN) -> str:
    told = row["metrics"].get(metric)
    if not told or told["mean"] is None:
        return "–"
    return (
        f"{told['mean']:.3f}" if told["low"] is None else f"{told['mean']:.3f} [{told['low']:.3f}, {told['high']:.3f}]"
    )


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def verdict(result: Summary, reveal: int) -> str:
    """In one sentence: the best arm against the best baseline (or, if that is the best, against the next)."""
    told = result["comparisons"].get(reveal) or result["comparisons"].get(str(reveal))
    rows = [row for row in _ordered(result, reveal) if row["metrics"]]
    if not told or len(rows) < 2:
        return "Nothing was compared."
    best = told["best_baseline"]
    name = rows[0]["name"] if rows[0]["name"] != best else rows[1]["name"]
    row = told["arms"][name]
    mean, low, high, p, effect = (
        float("nan") if v is None else float(v)
        for v in (*(row["difference"][k] for k in ("mean", "low", "high")), row["p_holm"], row["effect"])
    )
    difference = Estimate(mean, low, high, row["difference"]["n"])
    comparison = Comparison(difference, p, effect, row["wins"], row["ties"], row["losses"])
    return sentence(_short(name), f"{best} (best baseline)", comparison, reveal) + " p is Holm-corrected."


def markdown(result: Summary) -> str:
    """The headline tables for a README: NDCG by revealed likes, then costs and failures at the headline level."""
    levels = sorted({row["reveal"] for row in result["arms"]})
    main = _level(result)
    lines = [
        f"**{result['dataset']}**, split {result['split']}: {result['test_people']} test people, "
        f"{result['warm_people']} warm, {result['items']} items. {result['note']}".rstrip(),
        "",
        f"NDCG@{K} [95%] by {WHAT.get(split_of(result), 'revealed likes')}, best at {main} first",
        "",
        "| arm | " + " | ".join(str(level) for level in levels) + " |",
        "|---|" + "---|" * len(levels),
    ]
    cells = {(row["name"], row["reveal"]): row for row in result["arms"]}
    ordered = [row["name"] for row in _ordered(result, main)]
    for name in ordered:
        values = [_interval(cells[name, level]) if (name, level) in cells else "–" for level in levels]
        lines.append(f"| {_short(name)} | " + " | ".join(values) + " |")
    lines += ["", f"At {main} revealed (p against the best baseline, Holm-corrected; n people)", "",
              "| arm | n | p | pool recall | degraded | failures | tokens in / out | p50 / p95 ms |",
              "|---" * 8 + "|"]  # fmt: skip
    for row in _ordered(result, main):
        n = row["metrics"].get(MAIN, {}).get("n", 0)
        lines.append(
            f"| {_short(row['name'])} | {n} | {_p(row['p_vs_best_baseline'])} | {_plain(row, 'pool_recall')} | "
            f"{_plain(row, 'degraded')} | {row['failures']} | {row['tokens_in']} / {row['tokens_out']} | {_ms(row)} |"
        )
    return "\n".join([*lines, "", verdict(result, main)])


def _plain(row: Summary, metric: str) -> str:
    value = row["metrics"].get(metric, {}).get("mean")
    return "–" if value is None else f"{value:.3f}"


def _ms(row: Summary) -> str:
    return "–" if row["p50_ms"] is None else f"{row['p50_ms']:.2f} / {row['p95_ms']:.2f}"


def write_report(out: Path, result: Summary, data: Dataset, split: Split, runs: Sequence[ArmRun]) -> None:
    """Write `report.html` and `report.md` into the run folder."""
    (out / "report.md").write_text(markdown(result) + "\n", encoding="utf-8")
    (out / "report.html").write_text(_page(result, data, split, runs), encoding="utf-8")


def _page(result: Summary, data: Dataset, split: Split, runs: Sequence[ArmRun]) -> str:
    main = _level(result)
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
        f"<meta name='viewport' content='width=device-width,initial-scale=1'><style>{STYLE}</style>"
        f"{''.join(sections)}</html>"
    )


def _table(result: Summary, reveal: int) -> str:
    rows = []
    for i, row in enumerate(_ordered(result, reveal)):
        error = result["settings"][row["name"]]["error"]
        if not row["metrics"]:
            rows.append(f"<tr><td>{escape(_short(row['name']))}</td><td colspan=8 class=bad>{escape(error)}</td></tr>")
            continue
        told = row["metrics"][MAIN]
        span = "" if told["low"] is None else f" <small>{told['low']:.3f}–{told['high']:.3f}</small>"
        bad = " class=bad" if row["failures"] else ""
        rows.append(
            f"<tr{' class=best' if i == 0 else ''}><td>{escape(_short(row['name']))}</td>"
            f"<td>{_plain(row, MAIN)}{span}</td>"
            f"<td>{told['n']}</td><td>{_p(row['p_vs_best_baseline']) or 'best baseline'}</td>"
            f"<td>{_plain(row, 'recall@10')}</td><td>{_plain(row, 'degraded')}</td><td{bad}>{row['failures']}</td>"
            f"<td>{row['tokens_in']} / {row['tokens_out']}</td><td>{_ms(row)}</td></tr>"
        )
    label = (
        " · sampled candidates: figures are not comparable with full-catalogue ones"
        if "sampled" in result["split"]
        else ""
    )
    return (
        f"<div class=scroll><table><caption>Split: {escape(result['split'])}{label}</caption><thead><tr><th>arm"
        f"<th>{MAIN} <small>95%</small><th>n<th>p (Holm)<th>recall@10<th>degraded<th>failures<th>tokens in / out"
        "<th>p50 / p95 ms</tr>"
        f"</thead>{''.join(rows)}</table></div>"
    )


def _others(result: Summary, reveal: int) -> str:
    rows = _ordered(result, reveal)
    names = [c for c in COLUMNS if any(row["metrics"].get(c, {}).get("mean") is not None for row in rows)]
    body = "".join(
        f"<tr><td>{escape(_short(row['name']))}</td>{''.join(f'<td>{_plain(row, c)}</td>' for c in names)}</tr>"
        for row in rows if row["metrics"]
    )  # fmt: skip
    head = "".join(f"<th>{c}" for c in names)
    return f"<details><summary>More metrics</summary><div class=scroll><table><thead><tr><th>arm{head}</tr></thead>{body}</table></div></details>"  # noqa: E501


def _styles(result: Summary) -> dict[str, str]:
    """Colour for the arms that a reader looks for: ours and strangers', then the best baselines; the rest grey."""
    ranked = [row["name"] for row in _ordered(result, _level(result)) if row["metrics"]]
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
            lines.append(charts.Line(_short(name), sorted(points), style))
    shrink = " Held-out likes are those not revealed, so compare arms at one place, not places of one arm."
    note = shrink if split_of(result) in ("user", "scene") else ""
    return (
        f"<h2>Quality against {WHAT.get(split_of(result), 'revealed likes')}</h2>"
        f"<p class=dimmed>Bands are 95% intervals.{note}</p>"
        + charts.curves(lines, WHAT.get(split_of(result), "revealed likes"), MAIN)
    )


def _pairs(result: Summary, reveal: int) -> str:
    told = result["comparisons"].get(reveal) or result["comparisons"].get(str(reveal))
    if not told or not told["arms"]:
        return ""
    base = result["per_person"][told["best_baseline"]][str(reveal)][MAIN]
    rows = []
    for row in _ordered(result, reveal):
        if row["name"] not in told["arms"]:
            continue
        mine = result["per_person"][row["name"]][str(reveal)][MAIN]
        values = [a - b for a, b in zip(mine, base, strict=True) if a is not None and b is not None]
        if values:
            rows.append((_short(row["name"])[:28], values, sum(values) / len(values)))
    return (
        f"<h2>Person by person</h2><p class=dimmed>Each dot is one person: {MAIN} minus that of "
        f"{escape(told['best_baseline'])}, with {reveal} revealed. The bar is the mean.</p>" + charts.differences(rows)
    )


def _costs(result: Summary, reveal: int) -> str:
    styles = _styles(result)
    points = [
        (_short(r["name"]), r["p50_ms"], _mean(r), styles[r["name"]]) for r in _ordered(result, reveal) if r["metrics"]
    ]
    return "<h2>Quality against cost</h2>" + charts.scatter(points, "median milliseconds a person (log)", MAIN)


def _lost(result: Summary, reveal: int) -> str:
    rows = []
    for row in _ordered(result, reveal):
        pool, found = (row["metrics"].get(m, {}).get("mean") for m in ("pool_recall", f"recall@{K}"))
        if pool is not None and found is not None:
            rows.append((_short(row["name"])[:28], found, max(pool - found, 0.0), 1 - max(pool, found)))
    return (
        "<h2>Where held-out likes were lost</h2><p class=key><i style='background:var(--found)'></i>in the first "
        f"{K} <i style='background:var(--ranking)'></i>lost in ranking (in the pool, below {K}) "
        "<i style='background:var(--retrieval)'></i>lost in retrieval (not in the pool)</p>"
        "<p class=dimmed>The pool is what an arm scored, or its first 100 where it scores everything. A person with "
        f"more than {K} held-out likes cannot have all of them in the first {K}.</p>" + charts.losses(rows)
    )


def _worst(result: Summary, data: Dataset, split: Split, runs: Sequence[ArmRun], reveal: int) -> str:
    """The people that the arm of interest served worst, next to the best baseline."""
    told = result["comparisons"].get(reveal) or result["comparisons"].get(str(reveal))
    ranked = [row["name"] for row in _ordered(result, reveal) if row["metrics"]]
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
            f"<div class=case><b>{escape(_short(name))} {mine[i]:.3f}{versus}</b><br>"
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
            f"<tr><td>{escape(_short(name))}<td>{escape(settings)}<td>{tried}<td>{fit}"
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
