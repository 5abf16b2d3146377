"""The audit as one self-contained HTML page and as Markdown, in the look of the evaluation's report."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from snowmelt.evals import charts
from snowmelt.evals.audit.figures import Part, verdict

PARTS = {
    "injection": "Instructions hidden in items", "geo": "Rewritten for search and for models",
    "poison": "Made-up people", "chat": "Attacks in the conversation", "fairness": "Fairness",
    "stability": "Stability", "reasons": "Reasons",
}  # fmt: skip
_AROUND = ("targets", "tables", "pictures", "notes", "not_measured", "seconds")
STYLE = (
    charts.STYLE
    + """
.met{color:var(--win)}.missed{color:var(--loss)}td.text{white-space:normal;text-align:left;min-width:16em}
"""
)
_COLOURS = (
    "#0b6fb8",
    "#c2503a",
    "#13806f",
    "#8a4fb5",
    "#b07708",
    "#4a5a6a",
    "#5db1f0",
    "#c98f2d",
    "#7a9a3a",
    "#c08fe6",
)


def page(result: Mapping[str, Any]) -> str:
    """HTML of everything that `audit` returns."""
    title = f"Audit of {result['data']}"
    about = (
        f"{result['items']} items, {result['people']} people asked, model {result['model'] or 'none'}, seed "
        f"{result['seed']}, commit {result['commit']}{', quick' if result['quick'] else ''}. {result['note']}"
    )
    body = [f"<h1>{escape(title)}</h1><p class='dimmed'>{escape(about)}</p>", _overview(result)]
    body += [_part(name, result[name]) for name in PARTS]
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width,initial-scale=1'><style>{STYLE}</style>"
        f"{''.join(body)}</html>"
    )


def overview(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every figure that has a target, with the verdict."""
    return [
        {"part": name, "figure": key, "value": result[name].get(key), "target": target,
         "verdict": verdict(result[name].get(key), target)}
        for name in PARTS for key, target in result[name].get("targets", {}).items()
    ]  # fmt: skip


def _overview(result: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{row['part']}: {escape(row['figure'].replace('_', ' '))}<td>{_shown(row['value'])}<td>{row['target']}"
        f"<td class='{row['verdict'].replace(' ', '-')}'>{row['verdict']}</tr>"
        for row in overview(result)
    )
    head = "<tr><th>figure<th>value <small>95 %</small><th>target<th>verdict</tr>"
    return f"<h2>In short</h2><div class=scroll><table><thead>{head}</thead>{rows}</table></div>"


def _part(name: str, part: Part) -> str:
    parts = [f"<h2 id='{name}'>{PARTS[name]}</h2>"]
    if part.get("not_measured"):
        return "".join([*parts, f"<p class=lead>Not measured: {escape(part['not_measured'])}</p>"])
    own = {k: v for k, v in part.items() if k not in _AROUND}
    parts += [f"<p>{escape(note)}</p>" for note in part.get("notes", ())]
    rows = "".join(f"<tr><td>{escape(k.replace('_', ' '))}<td>{_shown(v)}</tr>" for k, v in own.items())
    parts.append(f"<div class=scroll><table>{rows}</table></div>")
    for caption, picture in part.get("pictures", {}).items():
        parts.append(f"<p class=dimmed>{escape(caption)}</p>{picture}")
    for caption, told in part.get("tables", {}).items():
        if not told:
            continue
        closed = len(told) > 12
        table = f"<div class=scroll><table><caption>{escape(caption)}</caption>{_rows(told)}</table></div>"
        parts.append(f"<details><summary>{escape(caption)}</summary>{table}</details>" if closed else table)
    return "".join(parts)


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(name)}" for name in names)
    body = "".join(f"<tr>{''.join(_cell(row.get(name)) for name in names)}</tr>" for row in rows)
    return f"<thead><tr>{head}</tr></thead>{body}"


def _cell(value: Any) -> str:
    return f"<td class=text>{_shown(value)}" if isinstance(value, str) else f"<td>{_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and "mean" in value:
        if value["mean"] is None:
            return "–"
        between = "" if value.get("low") is None else f" <small>{value['low']:.3f} to {value['high']:.3f}</small>"
        return f"{value['mean']:.3f}{between} <small>n {value['n']}</small>"
    if isinstance(value, float):
        return f"{value:.3f}"
    return "–" if value is None else escape(str(value))


def markdown(result: Mapping[str, Any]) -> str:
    """The overview as a table, and every note: what the terminal shows."""
    lines = [f"# Audit of {result['data']}", "", "| figure | value | target | verdict |", "|---|---|---|---|"]
    for row in overview(result):
        value = row["value"]
        if isinstance(value, Mapping):
            between = "" if value.get("low") is None else f" [{value['low']:.3f}, {value['high']:.3f}]"
            text = "–" if value["mean"] is None else f"{value['mean']:.3f}{between}, n {value['n']}"
        else:
            text = "–" if value is None else f"{value:.3f}"
        lines.append(
            f"| {row['part']}: {row['figure'].replace('_', ' ')} | {text} | {row['target']} | {row['verdict']} |"
        )
    for name, heading in PARTS.items():
        notes = [result[name]["not_measured"]] if result[name].get("not_measured") else result[name].get("notes", [])
        lines += ["", f"**{heading}.** " + " ".join(notes)]
    return "\n".join(lines)


def bars(rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Stacked bars from zero to both sides, one a row: name -> value."""
    if not rows:
        return ""
    names = list(dict.fromkeys(name for _, values in rows for name in values))
    low = min(sum(min(v, 0.0) for v in values.values()) for _, values in rows)
    high = max(sum(max(v, 0.0) for v in values.values()) for _, values in rows)
    x = charts.Scale(min(low, 0.0), max(high, 1e-9), 60, charts.WIDTH - 180)
    height, parts = 24 + max(24 * len(rows), 16 * len(names)), []
    for i, (label, values) in enumerate(rows):
        at, left, right = 10 + 24 * i, 0.0, 0.0
        parts.append(f'<text class="name" x="{x.start - 30}" y="{at + 13}">{escape(label)}</text>')
        for name, value in values.items():
            start, end = (left + value, left) if value < 0 else (right, right + value)
            left, right = (start, right) if value < 0 else (left, end)
            colour = _COLOURS[names.index(name) % len(_COLOURS)]
            parts.append(
                f'<rect x="{x(start):.1f}" y="{at}" width="{x(end) - x(start):.1f}" height="17" fill="{colour}">'
                f"<title>{escape(name)} {value:+.2f}</title></rect>"
            )
    parts.append(f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="4" y2="{height - 8}"/>')
    for i, name in enumerate(names):
        place = f'x="{charts.WIDTH - 160}" y="{10 + 16 * i}"'
        parts.append(f'<rect {place} width="11" height="11" fill="{_COLOURS[i % len(_COLOURS)]}"/>')
        parts.append(f'<text x="{charts.WIDTH - 144}" y="{20 + 16 * i}">{escape(name)}</text>')
    body = "".join(parts)
    return f'<svg viewBox="0 0 {charts.WIDTH} {height}" role="img" aria-label="signals by place">{body}</svg>'


def to_json(result: Mapping[str, Any]) -> str:
    """Without the pictures."""
    kept = {
        k: {n: w for n, w in v.items() if n != "pictures"} if isinstance(v, Mapping) else v for k, v in result.items()
    }
    return json.dumps(kept, ensure_ascii=False, indent=1)
