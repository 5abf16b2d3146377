"""`snowmelt`: the words of the command line. What the commands do is in `cataloguing`, `learning` and `actions`.

Bad input is one line on stderr and exit code 2, never a traceback.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from snowmelt.retrieval.errors import InputError

DESCRIPTION = "Recommendations from your own catalogue to people you know nothing about yet."
MODEL = "local (default), gguf:/path or openai:NAME; the API key is read from SNOWMELT_API_KEY or OPENAI_API_KEY"

PEOPLE = ".snowmelt/people.db"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name). 0 done, 1 something is broken (doctor), 2 bad input,
    130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["eval"]:
            from snowmelt.evals.__main__ import main as evaluate

            return evaluate(arguments[1:])
        if arguments[:1] == ["audit"]:
            from snowmelt.evals.audit.__main__ import main as audit

            return audit(arguments[1:])
        args = _parser().parse_args(arguments)
        return action(args.command)(args)
    except InputError as error:
        sys.stderr.write(f"snowmelt: {error}\n")
        return 2
    except SystemExit as stop:  # argparse has said what is wrong, or printed its help
        return int(stop.code or 0)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    except BrokenPipeError:  # `snowmelt ... | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # a full disk, a folder that may not be written, a file where a folder should be
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"snowmelt: {where}{error.strerror or error}\n")
        return 2


def action(command: str) -> Callable[[argparse.Namespace], int]:
    """What does it."""
    match command:
        case "index" | "enrich" | "calibrate":
            from snowmelt.agent import cataloguing as module
        case "fit" | "transfer" | "tune":
            from snowmelt.agent import learning as module
        case _:
            from snowmelt.agent import actions as module
    return getattr(module, command)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _Version(argparse.Action):
    """The package's metadata is read only when it is asked for: that is slow."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        from importlib.metadata import version

        sys.stdout.write(f"snowmelt {version('snowmelt')}\n")
        parser.exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("snowmelt", description=DESCRIPTION)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command", parser_class=_Parser)

    index = commands.add_parser("index", help="read items (JSONL, CSV, Parquet) into a catalogue")
    index.add_argument("items", type=Path, metavar="ITEMS", help="a .jsonl, .csv or .parquet file, one item a row")
    index.add_argument("--out", type=Path, required=True, metavar="DIR", help="the catalogue's folder")
    for name in ("id", "title", "description"):
        index.add_argument(f"--{name}", metavar="FIELD", help=f"the field that holds the {name} (default: {name})")
    index.add_argument(
        "--kind", action="append", default=[], metavar="NAME=KIND",
        help="number, date, category, list, text or boolean instead of what is inferred; may be repeated",
    )  # fmt: skip
    index.add_argument("--strict", action="store_true", help="stop at the first bad row (default: skip and count)")
    index.add_argument("--prune", action="store_true", help="remove items that ITEMS no longer has")
    index.add_argument("--quiet", action="store_true", help="print nothing but errors")
    index.add_argument(
        "--embedder", metavar="SPEC", help="use (default), gguf:/path, onnx:/folder or http://host/v1#model"
    )
    _add_model(index)

    fit = commands.add_parser("fit", help="learn from what people did before")
    fit.add_argument("directory", type=Path, metavar="DIR", help="a catalogue made by `snowmelt index`")
    fit.add_argument("interactions", type=Path, metavar="CSV", nargs="?", help="user, item and, if there, rating, time")
    fit.add_argument(
        "--event", metavar="KIND", help="what counts as a like in a column event (others: as far as they help)"
    )
    fit.add_argument("--feedback", metavar="URL", help="also from the people of a service (its --users)")
    fit.add_argument("--catalogue", metavar="NAME", help="what the service calls it (default: the name of DIR)")
    fit.add_argument("--wary", action="store_true", help="learn nothing from groups who look made up to push something")
    fit.add_argument("--roll-back", action="store_true", help="go back to what was learned before")

    transfer = commands.add_parser("transfer", help="use what people like elsewhere, if that helps here")
    transfer.add_argument("sources", type=Path, nargs="+", metavar="SOURCE", help="with items.jsonl, interactions.csv")
    transfer.add_argument("directory", type=Path, metavar="TARGET", help="a catalogue made by `snowmelt index`")
    transfer.add_argument("--people", type=Path, metavar="CSV", help="what people did here, by the same ids")

    tune = commands.add_parser("tune", help="fit a small ranker over what was learned; kept only if it helps")
    tune.add_argument("directory", type=Path, metavar="DIR", help="a catalogue that was fitted")
    tune.add_argument("interactions", type=Path, metavar="CSV", help="what people did: user, item, rating, time")

    calibrate = commands.add_parser("calibrate", help="find out whether a model's opinion helps here, and how much")
    calibrate.add_argument("directory", type=Path, metavar="DIR", help="a catalogue made by `snowmelt index`")
    calibrate.add_argument("interactions", type=Path, metavar="CSV", help="what people did: user, item, rating, time")
    calibrate.add_argument("--seconds", type=float, default=600.0, help="for all of it (default %(default)s)")
    _add_model(calibrate)

    enrich = commands.add_parser("enrich", help="tags and short profiles of items, from their text")
    enrich.add_argument("directory", type=Path, metavar="DIR", help="a catalogue made by `snowmelt index`")
    _add_model(enrich)

    chat = commands.add_parser("chat", help="talk; without DIR about the demo films")
    chat.add_argument("directory", type=Path, metavar="DIR", nargs="?", help="a catalogue (default: the demo films)")
    chat.add_argument("--agent", metavar="MODEL", help="let a model lead the talk: openai:NAME, gguf:/path")
    _add_model(chat)

    recommend = commands.add_parser("recommend", help="one list for likes given here")
    recommend.add_argument("directory", type=Path, metavar="DIR", help="a catalogue made by `snowmelt index`")
    recommend.add_argument("--likes", action="append", default=[], metavar="TEXT", help="free text; may be repeated")
    recommend.add_argument("--likes-id", default="", metavar="IDS", help="ids of liked items, separated by commas")
    recommend.add_argument("--profile", type=Path, metavar="FILE", help="a profile as JSON")
    recommend.add_argument("--limit", type=int, default=5, metavar="N", help="items to recommend (default %(default)s)")
    recommend.add_argument("--json", action="store_true", help="print JSON")
    for name, usual, what in (
        ("discovery", 0.5, "at 0.5 no more popular than what is liked, at 1 as the mean item"),
        ("diversity", 0.0, "items unlike each other"),
        ("calibration", 0.0, "kinds in the proportions of what is liked"),
        ("exploration", 0.0, "luck for items that few people have met"),
    ):
        recommend.add_argument(f"--{name}", type=float, default=usual, metavar="0..1", help=f"{what} (%(default)s)")
    _add_model(recommend)

    batch = commands.add_parser("batch", help="a list for each of many profiles")
    batch.add_argument("directory", type=Path, metavar="DIR", help="a catalogue made by `snowmelt index`")
    batch.add_argument("profiles", type=Path, metavar="PROFILES", help=".jsonl or .parquet: id and profile a row")
    batch.add_argument("--out", type=Path, required=True, metavar="FILE", help="where lists go: .jsonl or .parquet")
    batch.add_argument("--limit", type=int, default=5, metavar="N", help="items in a list (default %(default)s)")
    batch.add_argument("--workers", type=int, default=1, metavar="N", help="processes; more than one needs Ray (1)")
    batch.add_argument("--cluster", metavar="ADDRESS", help="of a running Ray cluster that sees the same files")
    batch.add_argument("--strict", action="store_true", help="stop at the first bad row (default: skip and count)")
    batch.add_argument("--quiet", action="store_true", help="print nothing but errors")
    batch.add_argument("--model", metavar="SPEC", help="ask a model, too (default: none, it takes seconds a list)")
    batch.add_argument("--base-url", metavar="URL", help="another OpenAI-compatible endpoint for openai:NAME")

    doctor = commands.add_parser("doctor", help="what is installed, and is it healthy")
    doctor.add_argument("directory", type=Path, metavar="DIR", nargs="?", help="a catalogue to check")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    _add_model(doctor)

    doctor.add_argument("--privacy", action="store_true", help="show what is masked before a hosted model sees it")

    serve = commands.add_parser("serve", help="an HTTP service and a page")
    serve.add_argument("directories", nargs="+", metavar="DIR", help="catalogues; NAME=DIR names one in the API")
    serve.add_argument("--host", default="127.0.0.1", help="address (default %(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="port (default %(default)s)")
    serve.add_argument("--users", default=PEOPLE, metavar="URL", help="where people's data is (default %(default)s)")
    serve.add_argument("--deadline", type=float, default=10.0, metavar="SECONDS", help="for one answer (%(default)s)")
    serve.add_argument("--retention", type=float, default=365.0, metavar="DAYS", help="without a visit (%(default)s)")
    serve.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate, PEM")
    serve.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, PEM")
    serve.add_argument("--behind-proxy", action="store_true", help="a proxy in front of it does TLS")
    serve.add_argument("--require-key", action="store_true", help="want an API key also from this machine")
    serve.add_argument("--chroma", metavar="URL", help="ask a Chroma server (private!) for neighbours, not the files")
    _add_model(serve)

    mcp = commands.add_parser("mcp", help="tools for any assistant, over the Model Context Protocol (stdin, stdout)")
    mcp.add_argument("directory", type=Path, metavar="DIR", help="a catalogue made by `snowmelt index`")
    _add_model(mcp)

    keys = commands.add_parser("keys", help="API keys of the service, and its master key")
    keys.add_argument("action", choices=("add", "list", "revoke", "rotate"), help="rotate: the master key")
    keys.add_argument("name", nargs="?", help="the tenant (add), or the first characters of a hash (revoke)")
    keys.add_argument("--days", type=float, metavar="N", help="add: the key is good for so long (default: for ever)")
    keys.add_argument("--users", default=PEOPLE, metavar="URL", help="where people's data is (default %(default)s)")

    commands.add_parser("eval", help="measure recommenders on a data set", add_help=False)
    commands.add_parser(
        "audit", help="attack a catalogue and a model, measure what is fair, stable, true", add_help=False
    )
    return parser


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", default="local", metavar="SPEC", help=MODEL)
    command.add_argument("--base-url", metavar="URL", help="another OpenAI-compatible endpoint for openai:NAME")
    command.add_argument("--no-llm", action="store_true", help="leave the language model out")


if __name__ == "__main__":
    raise SystemExit(main())
