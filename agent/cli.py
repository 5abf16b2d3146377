"""`snowmelt`: index, chat, recommend, doctor, eval. Bad input is one line on stderr and exit code 2."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from snowmelt.retrieval.errors import InputError

DESCRIPTION = "Recommendations from your own catalogue to people you know nothing about yet."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name). 0 done, 1 something is broken (doctor), 2 bad input,
    130 interrupted."""
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
    except SystemExit as stop:  # argparse has said what is wrong, or printed its help
        return int(stop.code or 0)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    except BrokenPipeError:  # `snowmelt ... | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _Version(argparse.Action):
    """The package's metadata is read only when it is asked for: that is slow."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        from importlib.metadata import version

        parser.exit(0, f"snowmelt {version('snowmelt')}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("snowmelt", description=DESCRIPTION)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    index = commands.add_parser("index", help="read items (JSONL, CSV, Parquet) into a catalogue")
    index.add_argument("items", type=Path, metavar="ITEMS", help="a .jsonl, .csv or .parquet file, one item a row")
    index.add_argument("--out", type=Path, required=True, metavar="DIR", help="the catalogue's folder")
    index.add_argument("--strict", action="store_true", help="stop at the first bad row (default: skip and count)")
    index.set_defaults(run=_index)

    chat = commands.add_parser("chat", help="talk; without DIR about the demo films")
    chat.add_argument("directory", type=Path, metavar="DIR", nargs="?", help="a catalogue (default: the demo films)")
    _add_model(chat)
    chat.set_defaults(run=_chat)

    recommend = commands.add_parser("recommend", help="one list for likes given here")
    recommend.add_argument("directory", type=Path, metavar="DIR", help="a catalogue made by `snowmelt index`")
    recommend.add_argument("--likes", action="append", default=[], metavar="TEXT", help="free text; may be repeated")
    recommend.add_argument("--likes-id", default="", metavar="IDS", help="ids of liked items, separated by commas")
    recommend.add_argument("--profile", type=Path, metavar="FILE", help="a profile as JSON")
    recommend.add_argument("--limit", type=int, default=5, metavar="N", help="items to recommend (default %(default)s)")
    recommend.add_argument("--json", action="store_true", help="print JSON")
    _add_model(recommend)
    recommend.set_defaults(run=_recommend)

    doctor = commands.add_parser("doctor", help="what is installed, and is it healthy")
    doctor.add_argument("directory", type=Path, metavar="DIR", nargs="?", help="a catalogue to check")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    _add_model(doctor)
    doctor.set_defaults(run=_doctor)

    commands.add_parser("eval", help="measure recommenders on a data set", add_help=False)
    return parser


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model", default="local", metavar="SPEC", help="local (default), gguf:/path or openai:NAME; an API key "
        "is taken from the environment: SNOWMELT_API_KEY or OPENAI_API_KEY",
    )  # fmt: skip
    command.add_argument("--base-url", metavar="URL", help="another OpenAI-compatible endpoint for openai:NAME")
    command.add_argument("--no-llm", action="store_true", help="leave the language model out")


def _index(args: argparse.Namespace) -> int:
    from snowmelt.retrieval.catalogue import build
    from snowmelt.retrieval.embedding import open_embedder
    from snowmelt.retrieval.reading import read_items

    items, bad = read_items(args.items, strict=args.strict)
    report = build(items, args.out, open_embedder(), prune=True)
    embedded, count = report.embedded, report.count
    for line in bad[:20]:
        sys.stderr.write(f"skipped {line}\n")
    sys.stdout.write(f"{count} items in {args.out} ({embedded} embedded, {len(bad)} rows skipped)\n")
    return 0


def _llm(args: argparse.Namespace) -> Any:
    from snowmelt.agent.llm import open_llm
    from snowmelt.agent.settings import api_key_for

    if args.no_llm:
        return None
    if args.base_url and not args.model.startswith("openai:"):
        raise InputError(f"--base-url goes with --model openai:NAME, not with {args.model}")
    return open_llm(args.model, base_url=args.base_url, api_key=api_key_for(args.base_url))


def _recommend(args: argparse.Namespace) -> int:
    from snowmelt.agent.recommender import Recommender
    from snowmelt.agent.terminal import plain

    if args.limit < 1:
        raise InputError(f"--limit {args.limit}: must be at least 1")
    if not (args.likes or args.likes_id or args.profile):
        raise InputError("recommend: nothing to go by; give --likes TEXT, --likes-id IDS or --profile FILE")
    profile = _profile(args.profile) if args.profile else None
    recommender = Recommender.open(args.directory, _llm(args))
    profile = _with_likes(recommender, profile, args)
    found, degraded = recommender.ranked(profile, args.limit)
    if args.json:
        rows = [
            {"id": r.item.id, "title": r.item.title, "score": r.score, "reason": r.reason,
             "evidence": [x.model_dump() for x in r.reasons], "signals": r.signals}
            for r in found
        ]  # fmt: skip
        limits = [c.model_dump(mode="json") for c in profile.constraints]
        told = {"recommendations": rows, "degraded": degraded, "constraints": limits}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        return 0
    if not found:
        limits = "; ".join(c.words() for c in profile.constraints)
        sys.stdout.write(f"Nothing in {args.directory} meets all of that ({limits}).\n")
        return 0
    sys.stdout.write(plain(found) + "\n")
    if degraded:
        sys.stderr.write("snowmelt: the model did not answer as it should; this list stands on retrieval alone\n")
    return 0


def _profile(path: Path) -> Any:
    from pydantic import ValidationError
    from snowmelt.agent.types import Profile

    try:
        return Profile.model_validate_json(path.read_text("utf-8"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"--profile {path}: {where}: {first['msg']}") from None
    except UnicodeDecodeError:
        raise InputError(f"--profile {path}: not UTF-8; convert it first (iconv -f ... -t utf-8)") from None
    except OSError as error:
        raise InputError(f"--profile {path}: {error.strerror or error}; give a JSON file with a profile") from None


def _with_likes(recommender: Any, profile: Any, args: argparse.Namespace) -> Any:
    from snowmelt.agent.types import Entry, Profile
    from snowmelt.agent.understanding import understand

    profile, catalogue = profile or Profile(), recommender.catalogue
    for text in args.likes:
        profile = understand(text, recommender.vocabulary, profile)
    likes = []
    for id_ in filter(None, (part.strip() for part in args.likes_id.split(","))):
        if id_ not in catalogue.rows:
            raise InputError(f"--likes-id: no item {id_!r} in {args.directory}")
        title = catalogue.items[catalogue.rows[id_]].title
        likes.append(Entry(text=title, item_id=id_, evidence=title))
    return profile.model_copy(update={"likes": (*profile.likes, *likes)})


def _chat(args: argparse.Namespace) -> int:
    from snowmelt.agent.recommender import Recommender
    from snowmelt.agent.terminal import chat

    llm = _llm(args)
    directory = args.directory or _demo()
    recommender = Recommender.open(directory, llm)
    chat(recommender, demo=args.directory is None, stdin=sys.stdin, out=sys.stdout)
    return 0


def _demo() -> Path:
    """The demo films, indexed on first use. The folder's name changes with the films, so it never goes stale."""
    import hashlib
    from importlib.resources import files

    from snowmelt.agent.settings import cache_folder
    from snowmelt.retrieval.catalogue import build
    from snowmelt.retrieval.embedding import open_embedder
    from snowmelt.retrieval.reading import read_items

    films = Path(str(files("snowmelt.retrieval.demo") / "films.jsonl"))
    embedder = open_embedder()
    name = hashlib.sha256(films.read_bytes() + embedder.id.encode()).hexdigest()[:12]
    folder = cache_folder() / f"films-{name}"
    if not (folder / "current").is_file():
        sys.stderr.write("Indexing the demo films, once.\n")
        build(read_items(films)[0], folder, embedder)
    return folder


def _doctor(args: argparse.Namespace) -> int:
    from snowmelt.agent.doctor import checks

    found = list(checks(args.directory, lambda: _llm(args)))
    if args.json:
        json.dump([vars(check) for check in found], sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
    else:
        width = max(len(check.name) for check in found)
        marks = {"ok": "ok  ", "note": "-   ", "broken": "FAIL"}
        sys.stdout.writelines(f"{marks[c.state]} {c.name:{width}}  {c.detail}\n" for c in found)
    return int(any(check.state == "broken" for check in found))
