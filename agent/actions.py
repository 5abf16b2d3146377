"""What each command of the command line does: arguments in, text out, an exit code back."""

import hashlib
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from snowmelt.agent.after import After
from snowmelt.agent.llm import LLM, ModelError, open_llm
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.settings import (
    api_key_for,
    cache_folder,
    chroma_token,
    embedder_named,
    hosted_embedder,
    master_key,
)
from snowmelt.agent.types import Conversation, Entry, Profile
from snowmelt.agent.understanding import apply, understand
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.errors import InputError

if TYPE_CHECKING:
    from snowmelt.agent.driving import Driver

SHOWN = 20  # bad rows
MOST_ASKED = 5000  # items that the model is asked about when they are indexed


def index(args: Namespace) -> int:
    from snowmelt.retrieval.demo import known_vectors
    from snowmelt.retrieval.generation import spec_of
    from snowmelt.retrieval.indexing import build

    fields = {name: getattr(args, name) for name in ("id", "title", "description") if getattr(args, name)}
    kinds = {}
    for given in args.kind:
        name, sign, kind = given.rpartition("=")
        if not sign or not name:
            raise InputError(f"--kind {given}: give NAME=KIND, as in --kind price=number")
        kinds[name] = kind
    embedder = embedder_named(args.embedder or spec_of(args.out) or "use")
    with _progress(not args.quiet and sys.stderr.isatty()) as tell:
        report = build(
            args.items, args.out, embedder, fields=fields, kinds=kinds, strict=args.strict, prune=args.prune,
            known=known_vectors(embedder.id), progress=tell,
        )  # fmt: skip
    _familiar(args)
    if args.quiet:
        return 0
    for line in report.bad[:SHOWN]:
        sys.stderr.write(f"skipped {line}\n")
    if report.bad_count > SHOWN:
        sys.stderr.write(f"... {report.bad_count - SHOWN} more\n")
    done = [f"{report.embedded:,} embedded", f"{report.added:,} new", f"{report.changed:,} changed"]
    done += [f"{report.removed:,} removed"] if report.removed else []
    done += [f"{report.kept:,} no longer in {args.items.name} (--prune removes them)"] if report.kept else []
    done += [f"{report.bad_count:,} rows skipped"] if report.bad_count else []
    done += [f"{report.shortened:,} descriptions cut"] if report.shortened else []
    what = "nothing has changed" if report.unchanged else ", ".join(done)
    sys.stdout.write(f"{report.count:,} items in {args.out}: {what} ({report.seconds:.1f} s)\n")
    return 0


def fit(args: Namespace) -> int:
    from snowmelt.agent.learning import fit as run

    return run(args)


def transfer(args: Namespace) -> int:
    from snowmelt.agent.learning import transfer as run

    return run(args)


def tune(args: Namespace) -> int:
    from snowmelt.agent.learning import tune as run

    return run(args)


def calibrate(args: Namespace) -> int:
    from snowmelt.agent.calibration import calibrate_catalogue
    from snowmelt.retrieval.catalogue import Catalogue

    llm = _llm(args)
    if llm is None:
        raise InputError("calibrate: which model? --no-llm leaves none to try")
    try:
        with _progress(sys.stderr.isatty()) as tell:
            found = calibrate_catalogue(
                llm, Catalogue.open(args.directory), args.interactions, seconds=args.seconds, progress=tell
            )
    finally:
        llm.close()
    sys.stdout.write(f"{found.why}\n")
    for how, figures in found.tried.items():
        sys.stdout.write(f"  {how}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()) + "\n")
    return 0


def _familiar(args: Namespace) -> None:
    """How well known the items are to the model, kept beside the catalogue. Stopped half-way, it goes on next time.

    It costs the embedded model some 30 tokens an item: catalogues too large for that are left out, and it is said.
    """
    from snowmelt.agent.familiarity import familiarity
    from snowmelt.retrieval.catalogue import Catalogue

    try:
        llm = _llm(args)
    except InputError:
        if args.model != "local":
            raise
        return  # no local model is installed: retrieval does without
    if llm is None or not llm.can_score:
        return
    catalogue = Catalogue.open(args.out)
    if len(catalogue.items) > MOST_ASKED:
        if not args.quiet:
            sys.stderr.write(f"over {MOST_ASKED:,} items: the model was not asked how well known they are\n")
        return
    try:
        with _progress(not args.quiet and sys.stderr.isatty()) as tell:
            tell("how known", 0, len(catalogue.items))
            familiarity(
                llm, args.out, catalogue.titles, columns=tuple(catalogue.schema.attributes),
                progress=lambda done, total: tell("how known", done, total),
            )  # fmt: skip
    except ModelError as error:
        sys.stderr.write(f"snowmelt: how known the items are was not found out: {error}\n")
    except KeyboardInterrupt:
        sys.stderr.write("snowmelt: the catalogue is whole; the same command asks the model on where it was stopped\n")
        raise
    finally:
        llm.close()


def enrich(args: Namespace) -> int:
    from snowmelt.agent.enriching import enrich as run
    from snowmelt.agent.enriching import summary

    _matching(args)
    llm = None if args.model == "local" else _llm(args)  # the embedded one is not asked (benchmarks/tags.py)
    recommender = _recommender(args.directory, None)
    try:
        with _progress(sys.stderr.isatty()) as tell:
            report = run(recommender.catalogue, llm, lambda done, total: tell("tags", done, total))
    finally:
        if llm is not None:
            llm.close()
    sys.stdout.writelines(f"{line}\n" for line in summary(report))
    return 0


def chat(args: Namespace) -> int:
    from snowmelt.agent.terminal import chat as talk

    driver = None
    if args.agent:
        driver = _driver(args)
        if not args.model.startswith("openai:"):
            args.base_url = None  # it was the driver's
    recommender = _recommender(args.directory or _demo(), _llm(args))
    answer = driver(recommender).stream if driver else recommender.stream
    talk(recommender, answer, demo=args.directory is None, stdin=sys.stdin, out=sys.stdout)
    return 0


def _driver(args: Namespace) -> "Callable[[Recommender], Driver]":
    """How agent mode begins; what is wrong with --agent is said before anything is loaded."""
    if find_spec("langchain") is None:
        raise InputError("--agent: LangChain is not installed; pip install 'snowmelt[agent]'")
    from snowmelt.agent.driving import Driver, open_driver

    model = open_driver(args.agent, base_url=args.base_url, api_key=api_key_for(args.base_url))
    return lambda recommender: Driver(recommender, model)


def recommend(args: Namespace) -> int:
    from snowmelt.agent.terminal import plain

    if args.limit < 1:
        raise InputError(f"--limit {args.limit}: must be at least 1")
    if not (args.likes or args.likes_id or args.profile):
        raise InputError("recommend: nothing to go by; give --likes TEXT, --likes-id IDS or --profile FILE")
    profile = _profile(args.profile) if args.profile else Profile()
    after = After(args.discovery, args.diversity, args.calibration, args.exploration)
    recommender = _recommender(args.directory, _llm(args))
    profile = _with_likes(recommender, profile, args)
    found, degraded = recommender.ranked(profile, args.limit, after)
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
    limits = "; ".join(c.words() for c in profile.constraints)
    sys.stdout.write((plain(found) if found else f"Nothing in {args.directory} meets all of that ({limits}).") + "\n")
    if degraded:
        sys.stderr.write("snowmelt: the model did not answer as it should; this list stands on retrieval alone\n")
    return 0


def doctor(args: Namespace) -> int:
    from snowmelt.agent.doctor import checks

    if args.privacy:
        from snowmelt.agent.privacy import shown

        sys.stdout.writelines(f"written:  {before}\nsent:     {after}\n\n" for before, after in shown())
        return 0
    found = list(checks(args.directory, lambda: _llm(args)))
    if args.json:
        sys.stdout.write(json.dumps([vars(check) for check in found], ensure_ascii=False, indent=1) + "\n")
    else:
        width = max(len(check.name) for check in found)
        marks = {"ok": "ok  ", "note": "-   ", "broken": "FAIL"}
        sys.stdout.writelines(f"{marks[c.state]} {c.name:{width}}  {c.detail}\n" for c in found)
    return int(any(check.state == "broken" for check in found))


def serve(args: Namespace) -> int:
    from snowmelt.agent.service.server import serve as run

    _matching(args)
    return run(
        args.directories, host=args.host, port=args.port, users=args.users, model=None if args.no_llm else args.model,
        base_url=args.base_url, api_key=api_key_for(args.base_url), master_key=master_key(), deadline=args.deadline,
        retention=args.retention, tls_cert=args.tls_cert, tls_key=args.tls_key, behind_proxy=args.behind_proxy,
        require_key=args.require_key, chroma=args.chroma, chroma_token=chroma_token(),
    )  # fmt: skip


def batch(args: Namespace) -> int:
    from snowmelt.agent.batch import Task
    from snowmelt.agent.batch import batch as run

    if args.base_url and not (args.model or "").startswith("openai:"):
        raise InputError("--base-url goes with --model openai:NAME")
    task = Task(args.directory, args.profiles, args.out, args.limit, args.model, args.base_url)
    with _progress(not args.quiet and sys.stderr.isatty()) as tell:
        report = run(task, workers=args.workers, cluster=args.cluster, strict=args.strict, progress=tell)
    if args.quiet:
        return 0
    done = report.done
    for number, problem in done.bad:
        sys.stderr.write(f"skipped {args.profiles}:{number} {problem}\n")
    if done.bad_count > len(done.bad):
        sys.stderr.write(f"... {done.bad_count - len(done.bad)} more\n")
    told = [f"{done.bad_count:,} rows skipped"] if done.bad_count else []
    told += [f"{done.unknown:,} liked items are not in the catalogue"] if done.unknown else []
    told += [f"{done.degraded:,} without the model"] if done.degraded else []
    told += [f"{report.resumed:,} rows were done before"] if report.resumed else []
    more = f": {', '.join(told)}" if told else ""
    sys.stdout.write(f"{done.written:,} lists in {args.out}{more} ({report.seconds:.1f} s)\n")
    return 0


def mcp(args: Namespace) -> int:
    from snowmelt.agent.mcp_server import serve_mcp

    serve_mcp(_recommender(args.directory, _llm(args)))
    return 0


def keys(args: Namespace) -> int:
    from snowmelt.agent.service.server import manage_keys

    if args.action in ("add", "revoke") and not args.name:
        raise InputError(f"keys {args.action}: {'whose? give a tenant' if args.action == 'add' else 'which? see list'}")
    sys.stdout.writelines(
        f"{line}\n" for line in manage_keys(args.action, args.users, master_key(), args.name, args.days)
    )
    return 0


def _llm(args: Namespace) -> LLM | None:
    """The model that the options name."""
    _matching(args)
    return None if args.no_llm else open_llm(args.model, base_url=args.base_url, api_key=api_key_for(args.base_url))


def _matching(args: Namespace) -> None:
    if args.base_url and not args.model.startswith("openai:"):
        raise InputError(f"--base-url goes with --model openai:NAME, not with {args.model}")


def _recommender(directory: Path, llm: LLM | None) -> Recommender:
    return Recommender.open(directory, llm, embedder=hosted_embedder(directory))


def _profile(path: Path) -> Profile:
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


def _with_likes(recommender: Recommender, profile: Profile, args: Namespace) -> Profile:
    """The profile with what --likes and --likes-id say: limits in the text become constraints."""
    catalogue = recommender.catalogue
    conversation = Conversation(profile=profile)
    for text in args.likes:
        conversation = apply(conversation, understand(text, recommender.vocabulary, conversation))
    profile = conversation.in_force
    likes = []
    for id_ in filter(None, (part.strip() for part in args.likes_id.split(","))):
        elsewhere = recommender.learned.elsewhere if recommender.learned is not None else {}
        if id_ not in catalogue.rows and id_ not in elsewhere:
            raise InputError(f"--likes-id: no item {id_!r} in {args.directory}")
        title = catalogue.titles[catalogue.rows[id_]] if id_ in catalogue.rows else elsewhere[id_][1]
        likes.append(Entry(text=title, item_id=id_, evidence=title))
    return profile.model_copy(update={"likes": (*profile.likes, *likes)})


def _demo() -> Path:
    """The demo films, indexed on first use. The folder's name changes with the films, so it never goes stale."""
    from snowmelt.retrieval.demo import known_vectors
    from snowmelt.retrieval.indexing import build

    films = Path(str(files("snowmelt.retrieval.demo") / "films.jsonl"))
    embedder = open_embedder()
    name = hashlib.sha256(films.read_bytes() + embedder.id.encode()).hexdigest()[:12]
    folder = cache_folder() / f"films-{name}"
    if not (folder / "current").is_file():
        sys.stderr.write("Indexing the demo films, once.\n")
        with _progress(sys.stderr.isatty()) as tell:
            build(films, folder, embedder, prune=True, known=known_vectors(embedder.id), progress=tell)
    return folder


@contextmanager
def _progress(shown: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    """Stage, bar, count, rate and time left on stderr; or nothing."""
    if not shown:
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks = {}

        def tell(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total, rate="")
            task = bar.tasks[bar.task_ids.index(tasks[stage])]
            speed = f"{task.speed:,.0f}/s" if task.speed else ""
            bar.update(tasks[stage], completed=done, total=total, rate=speed)

        yield tell
