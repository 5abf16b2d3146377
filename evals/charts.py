"""The look of the report: its style sheet, and its pictures as inline SVG (colours are CSS classes)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 330, 48, 190, 14, 40


STYLE = """
:root{--bg:#fbfcfd;--ink:#1d2733;--dim:#66717e;--line:#dfe5ea;--band:#fff;--win:#13806f;--loss:#c2503a;
--found:#13806f;--ranking:#e0a43c;--retrieval:#c9d1d8;--c0:#0b6fb8;--c1:#c2503a;--c2:#13806f;--c3:#8a4fb5;
--c4:#b07708;--c5:#4a5a6a}
@media(prefers-color-scheme:dark){:root{--bg:#12171d;--ink:#e4eaf0;--dim:#97a3af;--line:#2a333c;--band:#171e25;
--win:#3fbfa8;--loss:#ec7f68;--found:#2a9c88;--ranking:#c98f2d;--retrieval:#44505b;--c0:#5db1f0;--c1:#ec7f68;
--c2:#3fbfa8;--c3:#c08fe6;--c4:#e0a43c;--c5:#aab7c4}
}*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:2rem 1.2rem 4rem;background:var(--bg);color:var(--ink);
font:15px/1.55 system-ui,"Noto Sans","Noto Sans CJK SC",sans-serif}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2.4rem 0 .5rem}p{max-width:74ch}.lead{font-size:1.05rem}
.dimmed,caption{color:var(--dim)}.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.86rem}
caption{text-align:left;padding:.3rem 0}
th,td{padding:.32rem .42rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{border-bottom:2px solid var(--line);font-weight:600}
tr.best td{background:var(--band);font-weight:650}
td small{color:var(--dim)}td small,th small{font-size:.92em;font-weight:400}.bad{color:var(--loss)}
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


@dataclass(frozen=True)
class Line:
    """One arm's curve: points (x, mean, low, high); `style` is a CSS class (`s0` ... `s7`, `dim`)."""

    name: str
    points: Sequence[tuple[float, float, float | None, float | None]]
    style: str


def _ticks(top: float) -> list[float]:
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1) if top / s <= 6)
    return [round(i * step, 6) for i in range(math.floor(top / step + 1e-9) + 1)]


def _frame(body: str, label: str, height: int = HEIGHT) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{body}</svg>'


def _y_axis(top: float, y: "Scale", title: str) -> str:
    right = WIDTH - RIGHT
    parts = [f'<text class="axis" x="4" y="{TOP - 3}">{escape(title)}</text>']
    for tick in _ticks(top):
        at = y(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="axis" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    return "".join(parts)


@dataclass(frozen=True)
class Scale:
    """Linear map of [low, high] to [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Label positions near `wanted`, at least `gap` apart, in the same order of height."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [0.0] * len(wanted)
    previous = -math.inf
    for i in order:
        previous = placed[i] = max(wanted[i], previous + gap)
    overflow = previous - (HEIGHT - BOTTOM + 10) if wanted else 0
    if overflow > 0:  # push back up from the bottom
        limit = math.inf
        for i in reversed(order):
            limit = placed[i] = min(placed[i] if limit < math.inf else placed[i] - overflow, limit - gap)
    return placed


def curves(lines: Sequence[Line], x_title: str, y_title: str) -> str:
    """Means over x with 95% bands; x values are evenly spaced (0, 1, 3, 5, 10 would crowd otherwise)."""
    xs = sorted({x for line in lines for x, *_ in line.points})
    if not xs:
        return ""
    top = max((high if high is not None else mean) for line in lines for _, mean, _, high in line.points) or 1.0
    place = {x: LEFT + 20 + i * (WIDTH - RIGHT - LEFT - 40) / max(len(xs) - 1, 1) for i, x in enumerate(xs)}
    y = Scale(0, top, HEIGHT - BOTTOM, TOP + 6)
    parts = [_y_axis(top, y, y_title)]
    for x in xs:
        parts.append(f'<text class="axis" x="{place[x]:.1f}" y="{HEIGHT - 22}" text-anchor="middle">{x:g}</text>')
    parts.append(f'<text class="axis" x="{LEFT + 20}" y="{HEIGHT - 5}">{escape(x_title)}</text>')
    for line in sorted(lines, key=lambda line: line.style != "dim"):
        band = [(place[x], y(low), y(high)) for x, _, low, high in line.points if low is not None and high is not None]
        if line.style != "dim" and len(band) > 1:
            outline = [(x, h) for x, _, h in band] + [(x, lo) for x, lo, _ in reversed(band)]
            parts.append(f'<polygon class="band {line.style}" points="{_points(outline)}"/>')
        path = [(place[x], y(mean)) for x, mean, *_ in line.points]
        parts.append(f'<polyline class="line {line.style}" points="{_points(path)}"/>')
        parts += [f'<circle class="dot {line.style}" cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>' for a, b in path]
    ends = [y(line.points[-1][1]) for line in lines]
    for line, end, at in zip(lines, ends, spread(ends, 13), strict=True):
        last = place[line.points[-1][0]]
        parts.append(f'<line class="lead" x1="{last + 4:.1f}" y1="{end:.1f}" x2="{WIDTH - RIGHT + 10}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="name {line.style}" x="{WIDTH - RIGHT + 14}" y="{at + 4:.1f}">{escape(line.name)}</text>'
        )
    return _frame("".join(parts), f"{y_title} against {x_title}")


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)


def scatter(points: Sequence[tuple[str, float, float, str]], x_title: str, y_title: str) -> str:
    """(name, x > 0, y, style) with x on a logarithmic axis."""
    if not points:
        return ""
    logs = [math.log10(max(x, 1e-3)) for _, x, _, _ in points]
    low, high = math.floor(min(logs)), math.ceil(max(max(logs), min(logs) + 0.5))
    x = Scale(low, high, LEFT + 10, WIDTH - RIGHT - 10)
    top = max(v for _, _, v, _ in points) * 1.05 or 1.0
    y = Scale(0, top, HEIGHT - BOTTOM, TOP + 6)
    parts = [_y_axis(top, y, y_title)]
    for power in range(low, high + 1):
        label = f"{10.0**power:g}"
        parts.append(f'<text class="axis" x="{x(power):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{label}</text>')
    parts.append(f'<text class="axis" x="{LEFT + 10}" y="{HEIGHT - 5}">{escape(x_title)}</text>')
    heights = spread([y(v) for _, _, v, _ in points], 13)
    for (name, _, value, style), log, at in zip(points, logs, heights, strict=True):
        parts.append(f'<circle class="dot {style}" cx="{x(log):.1f}" cy="{y(value):.1f}" r="4.5"/>')
        parts.append(
            f'<line class="lead" x1="{x(log) + 5:.1f}" y1="{y(value):.1f}" x2="{WIDTH - RIGHT + 10}" y2="{at:.1f}"/>'
            f'<text class="name {style}" x="{WIDTH - RIGHT + 14}" y="{at + 4:.1f}">{escape(name)}</text>'
        )
    return _frame("".join(parts), f"{y_title} against {x_title}")


def differences(rows: Sequence[tuple[str, Sequence[float], float]]) -> str:
    """One strip per arm: each person's difference as a dot, the mean as a bar. `rows`: name, values, mean."""
    height = 34 + 24 * len(rows)
    x = Scale(-1, 1, 200, WIDTH - 20)
    parts = []
    for tick in (-1, -0.5, 0, 0.5, 1):
        style = "zero" if tick == 0 else "grid"
        parts.append(f'<line class="{style}" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="6" y2="{height - 22}"/>')
        place, label = f'x="{x(tick):.1f}" y="{height - 6}"', f"{tick:+g}" if tick else "0"
        parts.append(f'<text class="axis" {place} text-anchor="middle">{label}</text>')
    for i, (name, values, mean) in enumerate(rows):
        at = 20 + 24 * i
        parts.append(f'<text class="name" x="192" y="{at + 4}" text-anchor="end">{escape(name)}</text>')
        for j, value in enumerate(values):
            shift = (j * 0.618034 % 1 - 0.5) * 14  # a fixed scatter: dots must not hide each other
            kind = "win" if value > 0 else "loss" if value < 0 else "tie"
            parts.append(f'<circle class="person {kind}" cx="{x(value):.1f}" cy="{at + shift:.1f}" r="1.8"/>')
        parts.append(f'<line class="mean" x1="{x(mean):.1f}" x2="{x(mean):.1f}" y1="{at - 9}" y2="{at + 9}"/>')
    return _frame("".join(parts), "per-person differences", height)


def losses(rows: Sequence[tuple[str, float, float, float]]) -> str:
    """Stacked bars per arm: shares of held-out likes found, lost in ranking, lost in retrieval (they sum to 1)."""
    height = 20 + 24 * len(rows)
    x = Scale(0, 1, 200, WIDTH - 20)
    parts = []
    for i, (name, *shares) in enumerate(rows):
        at, start = 8 + 24 * i, 0.0
        parts.append(f'<text class="name" x="192" y="{at + 13}" text-anchor="end">{escape(name)}</text>')
        for kind, share in zip(("found", "ranking", "retrieval"), shares, strict=True):
            width = x(start + share) - x(start)
            parts.append(f'<rect class="{kind}" x="{x(start):.1f}" y="{at}" width="{max(width, 0):.1f}" height="17"/>')
            if width > 34:
                place = f'x="{x(start) + width / 2:.1f}" y="{at + 13}" text-anchor="middle"'
                parts.append(f'<text class="inside {kind}" {place}>{share:.0%}</text>')
            start += share
    return _frame("".join(parts), "where held-out likes were lost", height)
