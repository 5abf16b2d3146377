"""How well messages are understood: our labelled utterances, ReDial's mentions, and how long a turn takes.

    python benchmarks/understanding.py tests/data/utterances_dev.jsonl [--failures]
    python benchmarks/understanding.py --redial /work/shared/data/redial
    python benchmarks/understanding.py --speed [--fill local]

Intervals are 95 % bootstrap intervals over utterances (or dialogues), 2,000 draws, seed 0. Matching rules stand in
tests/data/UTTERANCES.md.
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
from snowmelt.agent.understanding import Vocabulary, apply, understand
from snowmelt.agent.understanding.text import key_of

TODAY = date(2026, 11, 24)  # relative dates of the labels count from here
LISTS = ("likes", "dislikes", "session_likes", "session_dislikes", "seen")
STRICT = re.compile(
    r"\b(?:under|below|before|after|over|more than|less than|longer than|shorter than|older than|since)\b|早于|晚于|以前|以后|之前|之后|不到|超过|[<>]"  # noqa: E501
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
            "session": {"likes": entries("session_likes"), "dislikes": entries("session_dislikes"), "constraints": limits(True)},  # noqa: E501
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
        {"attribute": c.attribute, "op": c.op, "value": list(c.value) if isinstance(c.value, tuple) else c.value, "session": session}  # noqa: E501
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


def _filling(model: str) -> Callable[..., Update]:
    from snowmelt.agent.llm import open_llm
    from snowmelt.agent.understanding import filled

    llm = open_llm(model)

    def read(text: str, vocabulary: Vocabulary, conversation: Conversation, today: date) -> Update:
        update = understand(text, vocabulary, conversation, today)
        return filled(update, text, vocabulary, conversation, llm, deadline=None, today=today)

    return read


def redial(folder: Path, part: int, parts: int) -> str:
    """Mention linking on ReDial: the items that each message names against those annotated in it.

    Dialogues whose number leaves the rest `part` when divided by `parts`. Entries that share title and year count as
    one item (the catalogue holds copies). An annotated item whose title is empty, or a mention that the annotators did
    not mark, counts as an error.
    """
    from snowmelt.agent.understanding import named_items
    from snowmelt.retrieval.catalogue import Catalogue, build
    from snowmelt.retrieval.embedding import open_embedder

    embedder, out = open_embedder("use"), Path(tempfile.mkdtemp(prefix="snowmelt-redial-"))
    build(folder / "items.jsonl", out, embedder)
    catalogue = Catalogue.open(out, embedder)
    vocabulary = Vocabulary.of(catalogue)

    def same(ids: Any) -> set[tuple[str, Any]]:
        rows = [catalogue.rows[i] for i in ids if i in catalogue.rows]
        return {(catalogue.titles[r].casefold(), catalogue.items[r].attributes.get("year")) for r in rows}

    counts, times, judged = [], [], []
    for number, line in enumerate((folder / "dialogues.jsonl").read_text("utf-8").splitlines()):
        if number % parts != part:
            continue
        dialogue, hits = json.loads(line), np.zeros(3)
        for message in dialogue["messages"]:
            start = time.perf_counter()
            found = same(named_items(message["text"], vocabulary))
            times.append(time.perf_counter() - start)
            gold = same(message["items"])
            hits += (len(found & gold), len(found), len(gold))
        counts.append(hits)
        judged += _opinions(dialogue, vocabulary)

    def f1(rows: Sequence[Any]) -> float:
        right, said, labelled = np.sum(rows, axis=0)
        return float(2 * right / (said + labelled))

    right, said, labelled = np.sum(counts, axis=0)
    low, high = interval(counts, f1)
    ours, always = (float(np.mean([o[k] for o in judged])) for k in (0, 1))
    a, b = interval([o[0] - o[1] for o in judged], lambda x: float(np.mean(x)))
    return (
        f"ReDial, dialogues {part} of {parts} (n {len(counts)}, {len(catalogue.ids)} items): mention linking F1 {f1(counts):.3f} "  # noqa: E501
        f"({low:.3f}-{high:.3f}), precision {right / said:.3f}, recall {right / labelled:.3f}; p95 {np.quantile(times, 0.95) * 1000:.1f} ms a message\n"  # noqa: E501
        f"liked or disliked, of the seeker's own mentions with a label (n {len(judged)}): {ours:.3f} right, always liked {always:.3f}, "  # noqa: E501
        f"difference {a:+.3f} to {b:+.3f}"
    )


def _opinions(dialogue: dict[str, Any], vocabulary: Vocabulary) -> list[tuple[float, float]]:
    """(ours right, "always liked" right) for each labelled item that the seeker mentioned first."""
    said: dict[str, bool] = {}
    for message in dialogue["messages"]:
        if message["role"] != "seeker" or not message["items"]:
            continue
        update = understand(message["text"], vocabulary, Conversation(), today=TODAY)
        for entry in update.dislikes:
            if entry.item_id:
                said[entry.item_id] = False
        for entry in update.likes:
            if entry.item_id:
                said.setdefault(entry.item_id, True)
    out = []
    for id_, label in dialogue["labels"].items():
        if label["suggested"] == 0 and label["liked"] is not None:
            out.append((float(said.get(id_, True) == label["liked"]), float(label["liked"])))
    return out


def speed(model: str | None, count: int = 10_000) -> str:
    """One turn's understanding and question choice on `count` items made of the demo films, 120 messages; with a model
    also whole replies to 40 of them, by the clock."""
    from dataclasses import replace

    from snowmelt.agent.questions import grounds_of, next_question
    from snowmelt.retrieval.catalogue import Catalogue, build
    from snowmelt.retrieval.embedding import open_embedder
    from snowmelt.retrieval.reading import read_items

    embedder = open_embedder("use")
    items, _ = read_items(Path(str(files("snowmelt.retrieval.demo") / "films.jsonl")))
    rng, many = np.random.default_rng(0), []
    words = sorted({w for item in items for w in item.title.split()})
    for i in range(count):
        item = items[i % len(items)]
        title = item.title if i < len(items) else f"{' '.join(rng.choice(words, 2))} {item.title.split()[-1]}"
        many.append(replace(item, id=f"{item.id}-{i}", title=title))
    out = Path(tempfile.mkdtemp(prefix="snowmelt-speed-"))
    build(many, out, embedder)
    catalogue = Catalogue.open(out, embedder)
    start = time.perf_counter()
    vocabulary = Vocabulary.of(catalogue)
    made = time.perf_counter() - start
    g = grounds_of(vocabulary)
    texts = [
        json.loads(x)["text"]
        for x in (Path(__file__).parent.parent / "tests/data/utterances_dev.jsonl")
        .read_text("utf-8")
        .splitlines()[:120]
    ]
    understand("warm up with Spirted Away", vocabulary, Conversation(), today=TODAY)
    next_question(Conversation(), g, vocabulary)
    parts = []
    for text in texts:
        start = time.process_time()
        update = understand(text, vocabulary, Conversation(), today=TODAY)
        middle = time.process_time()
        state = apply(Conversation(), update)
        next_question(state, g, vocabulary)
        parts.append((middle - start, time.process_time() - middle))
    p = np.array(parts) * 1000
    total = p.sum(1)
    replies = ""
    if model:
        from snowmelt.agent import Recommender
        from snowmelt.agent.llm import open_llm

        recommender, waits = Recommender(catalogue, open_llm(model)), []
        for text in texts[:40]:
            start = time.perf_counter()
            recommender.reply(Conversation(), text)
            waits.append((time.perf_counter() - start) * 1000)
        replies = f"; whole replies with {model} p50 {np.median(waits):.0f} p95 {np.quantile(waits, 0.95):.0f} ms"
    return (
        f"{count} items, {len(texts)} turns, time of the processor: understanding p50 {np.median(p[:, 0]):.1f} p95 {np.quantile(p[:, 0], 0.95):.1f} ms, "  # noqa: E501
        f"question p50 {np.median(p[:, 1]):.1f} p95 {np.quantile(p[:, 1], 0.95):.1f} ms, turn p50 {np.median(total):.1f} p95 {np.quantile(total, 0.95):.1f} ms; "  # noqa: E501
        f"vocabulary made in {made:.1f} s{replies}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--failures", action="store_true", help="print what was wrong, utterance by utterance")
    parser.add_argument("--fill", metavar="MODEL", help="let this model fill what code left open (local, gguf:PATH)")
    parser.add_argument("--redial", type=Path, metavar="FOLDER")
    parser.add_argument("--part", default="0/2", help="of ReDial's dialogues: rest/divisor (odd ones were looked at)")
    parser.add_argument("--speed", action="store_true")
    args = parser.parse_args()
    if args.redial:
        part, parts = map(int, args.part.split("/"))
        sys.stdout.write(redial(args.redial, part, parts) + "\n")
    if args.speed:
        sys.stdout.write(speed(args.fill) + "\n")
    if args.file:
        outcomes = run(args.file, demo_catalogues(), _filling(args.fill) if args.fill else understand)
        if args.failures:
            for o in outcomes:
                if not o.exact:
                    sys.stdout.write(f"{o.row['id']} | {o.row['text']}\n    " + "\n    ".join(o.problems) + "\n")
        sys.stdout.write(table(outcomes) + "\n")


if __name__ == "__main__":
    main()
