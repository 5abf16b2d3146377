"""How well messages are understood: our labelled utterances, ReDial's mentions, and how long a turn takes.

    python benchmarks/understanding.py tests/data/utterances_dev.jsonl [--model local] [--failures]
    python benchmarks/understanding.py --redial /work/shared/data/redial
    python benchmarks/understanding.py --speed

Intervals are 95 % bootstrap intervals over utterances (or dialogues), 2,000 draws, seed 0. Matching rules stand in
tests/data/FORMAT.md.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from snowmelt.agent.types import Conversation, Update
from snowmelt.agent.understanding import Vocabulary, understand
from snowmelt.agent.understanding.text import key_of

TODAY = date(2026, 11, 24)  # relative dates of the labels count from here
LISTS = ("likes", "dislikes", "session_likes", "session_dislikes", "seen")
STRICT = re.compile(
    r"\b(?:under|below|before|after|over|more than|less than|longer than|shorter than|older than|since)\b|早于|晚于|以前|以后|之前|之后|不到|超过|[<>]"
)


def before_of(row: dict[str, Any], vocabulary: Vocabulary) -> Conversation:
    """The conversation that an utterance is said in."""
    known = row.get("before") or {}

    def entries(name: str) -> list[dict[str, str]]:
        out = []
        for e in known.get(name, ()):
            if "item" in e:
                out.append({"text": e["item"], "item_id": e["item"], "evidence": "before"})
            elif "attribute" in e:
                out.append({"text": e["value"], "attribute": e["attribute"], "evidence": "before"})
            else:
                out.append({"text": e["text"], "evidence": "before"})
        return out

    def limits(session: bool) -> list[dict[str, Any]]:
        return [
            {"attribute": c["attribute"], "op": c["op"], "value": _value(c["value"]), "evidence": "before"}
            for c in known.get("constraints", ()) if bool(c.get("session")) == session
        ]  # fmt: skip

    return Conversation.model_validate(
        {
            "profile": {
                "likes": entries("likes"), "dislikes": entries("dislikes"), "constraints": limits(False),
                "seen": [e["item"] for e in known.get("seen", ()) if "item" in e],
            },
            "session": {"likes": entries("session_likes"), "dislikes": entries("session_dislikes"), "constraints": limits(True)},
            "shown": row.get("shown", []),
        }
    )  # fmt: skip


def _value(value: Any) -> Any:
    return (
        tuple(value)
        if isinstance(value, list)
        else float(value)
        if isinstance(value, int) and not isinstance(value, bool)
        else value
    )


def predicted(update: Update) -> dict[str, Any]:
    """An update in the shape of the labels."""

    def entry(e: Any) -> dict[str, str]:
        if e.item_id:
            return {"item": e.item_id}
        return {"attribute": e.attribute, "value": e.text} if e.attribute else {"text": e.text}

    out: dict[str, Any] = {name: [entry(e) for e in getattr(update, name)] for name in LISTS[:4]}
    out["seen"] = [{"item": i} for i in update.seen]
    out["constraints"] = [
        {"attribute": c.attribute, "op": c.op, "value": list(c.value) if isinstance(c.value, tuple) else c.value, "session": session}
        for session, limits in ((False, update.constraints), (True, update.session_constraints)) for c in limits
    ]  # fmt: skip
    out["removed"] = [
        {"attribute": r.attribute, "op": r.op} if r.op else {"item": r.item_id} if r.item_id
        else {"attribute": r.attribute, "value": r.text} if r.attribute else {"text": r.text}
        for r in update.removed
    ]  # fmt: skip
    return out


def same_entry(label: dict[str, Any], got: dict[str, Any]) -> bool:
    """Is the predicted entry the labelled one, or one of its "or"?"""
    for want in (label, *label.get("or", ())):
        if "item" in want:
            if got.get("item") == want["item"]:
                return True
        elif "attribute" in want:
            if got.get("attribute") == want["attribute"] and key_of(str(got.get("value"))) == key_of(
                str(want["value"])
            ):
                return True
        elif "text" in got and key_of(want["text"]) in key_of(got["text"]):
            return True
    return False


def _inside(whole: Any, part: Any) -> bool:
    return f" {key_of(str(part))} " in f" {key_of(str(whole))} "


def _extra_allowed(labels: Sequence[dict[str, Any]], got: dict[str, Any]) -> bool:
    return any(
        got.get("attribute") == want.get("attribute") and "value" in got and _inside(got["value"], want.get("value"))
        for label in labels for want in (label, *label.get("or", ())) if "attribute" in want
    )  # fmt: skip


def _flat(limits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    out = []
    for c in limits:
        if c["op"] == "none":
            out += [{**c, "value": [v]} for v in (c["value"] if isinstance(c["value"], list) else [c["value"]])]
        else:
            out.append(c)
    return out


def same_limit(want: dict[str, Any], got: dict[str, Any], text: str) -> bool:
    if (want["attribute"], want["op"], bool(want.get("session"))) != (
        got["attribute"],
        got["op"],
        bool(got.get("session")),
    ):
        return False
    a, b = want["value"], got["value"]
    if isinstance(a, list):
        have = {key_of(str(x)) for x in (b if isinstance(b, list) else [b])}
        need = {key_of(str(x)) for x in a}
        return need == have or (
            want["op"] == "any" and need <= have and all(any(_inside(h, n) for n in need) for h in have)
        )
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, str) or isinstance(b, str):
        return str(a) == str(b)
    if abs(float(a) - float(b)) < 1e-6:
        return True
    step = -1 if want["op"] == "le" else 1
    return bool(STRICT.search(text.casefold())) and abs(float(a) + step - float(b)) < 1e-6


@dataclass
class Outcome:
    """One utterance: right as a whole?, links (right, predicted, labelled), constraints (false, predicted)."""

    row: dict[str, Any]
    exact: bool
    links: tuple[int, int, int]
    false_limits: int
    limits: int
    problems: list[str]
    seconds: float


def judge(row: dict[str, Any], update: Update, seconds: float = 0.0) -> Outcome:
    got, want, text = predicted(update), row.get("update") or {}, row["text"]
    before = row.get("before") or {}
    problems: list[str] = []
    right = said = labelled = 0
    for name in LISTS:
        labels, guesses = want.get(name, []), got[name]
        hit = [any(same_entry(label, g) for g in guesses) for label in labels]
        ok = [
            any(same_entry(label, g) for label in labels) or _extra_allowed(labels, g)
            or any(same_entry(e, g) for e in before.get(name, ()))
            for g in guesses
        ]  # fmt: skip
        problems += [f"{name} missing {label}" for label, h in zip(labels, hit, strict=True) if not h]
        problems += [f"{name} extra {g}" for g, o in zip(guesses, ok, strict=True) if not o]
        linked = [
            g
            for g, o in zip(guesses, ok, strict=True)
            if "text" not in g and not (o and not any(same_entry(x, g) for x in labels))
        ]
        matched = [
            label
            for label, h in zip(labels, hit, strict=True)
            if any("text" not in x for x in (label, *label.get("or", ())))
        ]
        right += sum(any(same_entry(label, g) for g in guesses if "text" not in g) for label in matched)
        said += sum(not any(same_entry(label, g) for label in labels) for g in linked)
        said += sum(any(same_entry(label, g) for g in linked) for label in labels)
        labelled += sum(
            1
            for label in matched
            if not (
                any("text" in x for x in (label, *label.get("or", ())))
                and any(same_entry(label, g) for g in guesses if "text" in g)
            )
        )
    labels, guesses = _flat(want.get("constraints", [])), _flat(got["constraints"])
    problems += [f"constraint missing {c}" for c in labels if not any(same_limit(c, g, text) for g in guesses)]
    false = 0
    for g in guesses:
        ok = any(same_limit(c, g, text) for c in labels)
        ok = ok or any(same_limit(c, g, text) for c in _flat(before.get("constraints", [])))
        ok = ok or (
            g["op"] == "none"
            and any(
                c["op"] == "none" and c["attribute"] == g["attribute"] and _inside(g["value"][0], c["value"][0])
                for c in labels
            )
        )
        if not ok:
            false += 1
            problems.append(f"constraint extra {g}")
    removals, gone = want.get("removed", []), got["removed"]

    def removes(a: dict[str, Any], b: dict[str, Any]) -> bool:
        if "op" in a or "op" in b:
            return a.get("op") == b.get("op") and a.get("attribute") == b.get("attribute")
        return same_entry(a, b)

    problems += [f"removed missing {r}" for r in removals if not any(removes(r, g) for g in gone)]
    displaced = {(c["attribute"], c["op"]) for c in want.get("constraints", [])}
    problems += [
        f"removed extra {g}" for g in gone
        if not any(removes(r, g) for r in removals) and (g.get("attribute"), g.get("op")) not in displaced
        and not any(same_entry(e, g) for n in LISTS for e in want.get(n, []))
    ]  # fmt: skip
    command = update.command if update.command != "undo" else None
    if command != row.get("command"):
        problems.append(f"command {command} not {row.get('command')}")
    return Outcome(row, not problems, (right, said, labelled), false, len(guesses), problems, seconds)


def interval(values: Sequence[Any], statistic: Callable[[Sequence[Any]], float]) -> tuple[float, float]:
    """95 % bootstrap interval of `statistic` over `values`."""
    rng = np.random.default_rng(0)
    draws = [statistic([values[i] for i in rng.integers(len(values), size=len(values))]) for _ in range(2000)]
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


def exact(outcomes: Sequence[Outcome]) -> float:
    return sum(o.exact for o in outcomes) / max(len(outcomes), 1)


def link_f1(outcomes: Sequence[Outcome]) -> float:
    right, said, labelled = (sum(o.links[i] for o in outcomes) for i in range(3))
    return 2 * right / (said + labelled) if said + labelled else 1.0


def false_rate(outcomes: Sequence[Outcome]) -> float:
    return sum(o.false_limits for o in outcomes) / max(sum(o.limits for o in outcomes), 1)


def demo_catalogues() -> dict[str, Any]:
    """The two demo catalogues, built for this run."""
    from snowmelt.retrieval.catalogue import Catalogue, build
    from snowmelt.retrieval.embedding import open_embedder

    embedder, out = open_embedder("use"), {}
    for name in ("films", "shop"):
        folder = Path(tempfile.mkdtemp(prefix=f"snowmelt-{name}-"))
        build(Path(str(files("snowmelt.retrieval.demo") / f"{name}.jsonl")), folder, embedder)
        out[name] = Catalogue.open(folder, embedder)
    return out


def run(path: Path, catalogues: dict[str, Any], reader: Callable[..., Update] = understand) -> list[Outcome]:
    """Every utterance of a file, understood and judged."""
    vocabularies = {name: Vocabulary.of(c) for name, c in catalogues.items()}
    outcomes = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        vocabulary = vocabularies[row["catalogue"]]
        conversation = before_of(row, vocabulary)
        start = time.perf_counter()
        update = reader(row["text"], vocabulary, conversation, today=TODAY)
        outcomes.append(judge(row, update, time.perf_counter() - start))
    return outcomes


def table(outcomes: Sequence[Outcome]) -> str:
    lines = [f"{'part':<22}{'n':>5}{'exact':>8}{'95 %':>16}{'link F1':>9}{'95 %':>16}{'false constraints':>19}"]
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for o in outcomes:
        groups["all"].append(o)
        groups[f"language {o.row['language']}"].append(o)
        groups[f"kind {o.row['kind']}"].append(o)
        groups[f"catalogue {o.row['catalogue']}"].append(o)
    for name in sorted(groups, key=lambda g: (g != "all", g)):
        part = groups[name]
        e, f = interval(part, exact), interval(part, link_f1)
        false, total = sum(o.false_limits for o in part), sum(o.limits for o in part)
        lines.append(
            f"{name:<22}{len(part):>5}{exact(part):>8.3f}{f'{e[0]:.3f}-{e[1]:.3f}':>16}{link_f1(part):>9.3f}{f'{f[0]:.3f}-{f[1]:.3f}':>16}"
            f"{f'{false}/{total} ({false_rate(part):.1%})':>19}"
        )
    times = np.array([o.seconds for o in outcomes]) * 1000
    lines.append(f"understanding alone: p50 {np.median(times):.1f} ms, p95 {np.quantile(times, 0.95):.1f} ms")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--failures", action="store_true", help="print what was wrong, utterance by utterance")
    args = parser.parse_args()
    if args.file:
        outcomes = run(args.file, demo_catalogues())
        if args.failures:
            for o in outcomes:
                if not o.exact:
                    sys.stdout.write(f"{o.row['id']} | {o.row['text']}\n    " + "\n    ".join(o.problems) + "\n")
        sys.stdout.write(table(outcomes) + "\n")


if __name__ == "__main__":
    main()
