"""`snowmelt`: index, chat, recommend, eval. Bad input is one line on stderr and exit code 2."""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Conversation, Entry, Profile, Recommendation, Reply
from snowmelt.retrieval.errors import InputError

SCRIPT = (
    "hello",
    "I loved Spirited Away and Ratatouille, but no horror",
    "warm",
    "under two hours",
    "why not, show me",
)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["eval"]:
            from snowmelt.evals.__main__ import main as evaluate

            return evaluate(arguments[1:])
        args = _parser().parse_args(arguments)
        return args.run(args)
    except InputError as error:
        sys.stderr.write(f"snowmelt: {error}\n")
        return 2
    except (KeyboardInterrupt, BrokenPipeError):
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("snowmelt", description="Recommendations from your own catalogue to new people.")
    parser.add_argument("--version", action="version", version=version("snowmelt"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    index = commands.add_parser("index", help="read items (JSONL, CSV) into a catalogue")
    index.add_argument("items", type=Path)
    index.add_argument("--out", type=Path, required=True)
    index.add_argument("--strict", action="store_true", help="stop at the first bad row")
    index.set_defaults(run=_index)
    for name, run, text in (("chat", _chat, "talk"), ("recommend", _recommend, "one list for likes given here")):
        command = commands.add_parser(name, help=text)
        command.add_argument("directory", type=Path, metavar="DIR")
        command.add_argument("--model", default="local", help="local (default) or gguf:/path")
        command.add_argument("--no-llm", action="store_true", help="retrieval alone")
        command.set_defaults(run=run)
        if name == "recommend":
            command.add_argument("--likes", action="append", default=[], help="free text; may be repeated")
            command.add_argument("--likes-id", default="", help="item ids, separated by commas")
            command.add_argument("--limit", type=int, default=5)
            command.add_argument("--json", action="store_true")
    commands.add_parser("eval", help="measure arms on a data set", add_help=False)
    return parser


def _index(args: argparse.Namespace) -> int:
    from snowmelt.retrieval.catalogue import build
    from snowmelt.retrieval.embedding import open_embedder
    from snowmelt.retrieval.items import read_items

    items, bad = read_items(args.items, strict=args.strict)
    embedded, count = build(items, args.out, open_embedder())
    for line in bad[:20]:
        sys.stderr.write(f"skipped {line}\n")
    sys.stdout.write(f"{count} items in {args.out} ({embedded} embedded, {len(bad)} rows skipped)\n")
    return 0


def _open(args: argparse.Namespace) -> Recommender:
    return Recommender.open(args.directory, None if args.no_llm else args.model)


def _recommend(args: argparse.Namespace) -> int:
    recommender = _open(args)
    likes = [Entry(text=t, evidence=t) for t in args.likes]
    for id_ in filter(None, args.likes_id.split(",")):
        if id_ not in recommender.catalogue.rows:
            raise InputError(f"--likes-id: no item {id_!r} in {args.directory}")
        title = recommender.catalogue.items[recommender.catalogue.rows[id_]].title
        likes.append(Entry(text=title, item_id=id_, evidence=title))
    found, degraded = recommender.ranked(Profile(likes=tuple(likes)), args.limit)
    if args.json:
        rows = [
            {"id": r.item.id, "title": r.item.title, "score": r.score, "reason": r.reason,
             "evidence": [x.model_dump() for x in r.reasons], "signals": r.signals}
            for r in found
        ]  # fmt: skip
        json.dump({"recommendations": rows, "degraded": degraded, "constraints": []}, sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("\n".join(map(_card, range(1, len(found) + 1), found)) + "\n")
    return 0


def _card(number: int, r: Recommendation) -> str:
    year = r.item.attributes.get("year")
    return (
        f"  {number}. {r.item.title}"
        + (f" ({year:g})" if isinstance(year, float) else "")
        + f"\n     {r.reason}".rstrip()
    )


def _chat(args: argparse.Namespace) -> int:
    recommender, conversation = _open(args), Conversation()
    typed = sys.stdin.isatty()
    lines = iter(SCRIPT) if not typed else iter(lambda: input("\n> "), None)
    sys.stdout.write("Snowmelt. Say hello, or what you love. Ctrl-D ends.\n")
    while True:
        try:
            line = next(lines)
        except (EOFError, StopIteration):
            break
        if not typed:
            sys.stdout.write(f"\n> {line}\n")
        conversation, reply = recommender.reply(conversation, line)
        sys.stdout.write(_shown(reply))
        sys.stdout.flush()
    sys.stdout.write("\n")
    return 0


def _shown(reply: Reply) -> str:
    parts = [reply.text, *map(_card, range(1, 6), reply.recommendations)]
    if reply.degraded:
        parts.append("  (the model did not answer in time: this list stands on retrieval alone)")
    return "\n".join(parts) + "\n"
