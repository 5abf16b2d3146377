"""The commands that make a catalogue: `index`, `enrich`, `calibrate`; and the demo films, made at first use."""

import hashlib
import sys
from argparse import Namespace
from importlib.resources import files
from pathlib import Path

from snowmelt.agent.llm import ModelError
from snowmelt.agent.options import check_endpoint, model_of, progress, recommender_of
from snowmelt.agent.settings import cache_folder, embedder_named
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.errors import InputError

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
    with progress(not args.quiet and sys.stderr.isatty()) as tell:
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


def _familiar(args: Namespace) -> None:
    """How well known the items are to the model, kept beside the catalogue. Stopped half-way, it goes on next time.

    It costs the embedded model some 30 tokens an item: catalogues too large for that are left out, and it is said.
    """
    from snowmelt.agent.familiarity import familiarity
    from snowmelt.retrieval.catalogue import Catalogue

    try:
        llm = model_of(args)
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
        with progress(not args.quiet and sys.stderr.isatty()) as tell:
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
    from snowmelt.agent.enriching import enrich as tag
    from snowmelt.agent.enriching import summary
    from snowmelt.agent.summaries import summarise, told

    check_endpoint(args)
    llm = None if args.model == "local" else model_of(args)  # the embedded one is not asked (evals/README.md)
    vocabulary = recommender_of(args.directory, None).vocabulary
    try:
        with progress(sys.stderr.isatty()) as tell:
            report = tag(vocabulary.catalogue, llm, lambda done, total: tell("tags", done, total))
            short = summarise(vocabulary, llm, lambda done, total: tell("profiles", done, total))
    finally:
        if llm is not None:
            llm.close()
    sys.stdout.writelines(f"{line}\n" for line in [*summary(report), told(short)])
    return 0


def calibrate(args: Namespace) -> int:
    from snowmelt.agent.calibration import calibrate_catalogue
    from snowmelt.retrieval.catalogue import Catalogue

    llm = model_of(args)
    if llm is None:
        raise InputError("calibrate: which model? --no-llm leaves none to try")
    try:
        with progress(sys.stderr.isatty()) as tell:
            found = calibrate_catalogue(
                llm, Catalogue.open(args.directory), args.interactions, seconds=args.seconds, progress=tell
            )
    finally:
        llm.close()
    sys.stdout.write(f"{found.why}\n")
    for how, figures in found.tried.items():
        sys.stdout.write(f"  {how}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()) + "\n")
    return 0


def demo() -> Path:
    """The demo films, indexed on first use. The folder's name changes with the films, so it never goes stale."""
    from snowmelt.retrieval.demo import known_vectors
    from snowmelt.retrieval.indexing import build

    films = Path(str(files("snowmelt.retrieval.demo") / "films.jsonl"))
    embedder = open_embedder()
    name = hashlib.sha256(films.read_bytes() + embedder.id.encode()).hexdigest()[:12]
    folder = cache_folder() / f"films-{name}"
    if not (folder / "current").is_file():
        sys.stderr.write("Indexing the demo films, once.\n")
        with progress(sys.stderr.isatty()) as tell:
            build(films, folder, embedder, prune=True, known=known_vectors(embedder.id), progress=tell)
    return folder
