"""What `snowmelt fit`, `transfer` and `tune` do."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from snowmelt.agent import familiarity
from snowmelt.agent.settings import master_key
from snowmelt.agent.types import Profile
from snowmelt.retrieval.errors import InputError

if TYPE_CHECKING:
    from snowmelt.retrieval.catalogue import Catalogue
    from snowmelt.retrieval.domains import Domain

HERE = "home"  # what a transfer calls its target


def fit(args: Namespace) -> int:
    from snowmelt.retrieval import fitting
    from snowmelt.retrieval.catalogue import Catalogue

    if args.roll_back:
        sys.stdout.write(f"{args.directory}: {fitting.roll_back(args.directory)} is in use\n")
        return 0
    if args.interactions is None and args.feedback is None:
        raise InputError("fit: from what? give a CSV file of what people did, --feedback URL, or --roll-back")
    catalogue, people = Catalogue.open(args.directory), []
    if args.feedback is not None:
        people = list(_likes(args.feedback, args.catalogue or args.directory.resolve().name))
    known = familiarity.stored(catalogue.dir, catalogue.titles)
    heard = known.trusted if known is not None else None
    learned = fitting.fit_catalogue(
        catalogue, args.interactions, people=people, familiarity=heard, event=args.event, wary=args.wary
    )
    skipped = f", {learned.skipped:,} rows of other items skipped" if learned.skipped else ""
    if learned.set_aside:
        skipped += f", {learned.set_aside:,} people set aside as a co-ordinated group"
    if learned.doubted:
        skipped += f", {learned.doubted:,} likes left out that look made up"
    skipped += "".join(
        f", {name} of {share:.0%} of the people beside" if share else f", {name} does not help"
        for name, share in learned.beside.items()
    )
    sys.stdout.write(
        f"{learned.version}: {learned.likes:,} likes of {learned.people:,} people, {learned.items:,} items, "
        f"{learned.new_items:,} that nobody liked yet{skipped} ({learned.seconds:.1f} s)\n"
    )
    return 0


def _likes(users: str, name: str) -> Iterator[tuple[str, ...]]:
    """The liked ids of everybody who has a profile in the catalogue `name` of a service's database. Raises InputError
    if nobody has."""
    from snowmelt.agent.service.store import Store

    store = Store.open(users, master_key())
    try:
        found = 0
        for record in store.everybody("profile", name):
            found += 1
            yield Profile.model_validate(record.value).liked_ids
    finally:
        store.close()
    if not found:
        raise InputError(f"--feedback {users}: nobody has a profile in a catalogue {name!r}; name it with --catalogue")


def transfer(args: Namespace) -> int:
    from snowmelt.retrieval import domains, fitting
    from snowmelt.retrieval.catalogue import Catalogue

    target = Catalogue.open(args.directory)
    here = _domain(target, HERE, args.people)
    sources = []
    for folder in args.sources:
        sys.stderr.write(f"reading {folder}\n")
        sources.append(domains.liked_often(_source(folder, target)))
    if len({s.name for s in sources}) < len(sources):
        raise InputError("transfer: two sources have the same folder name; rename one")
    taken, verdicts = domains.chosen(here, sources)
    for name, verdict in verdicts.items():
        if name not in {s.name for s in taken}:
            sys.stderr.write(f"{name} is refused: {verdict.why}\n")
    if not taken:
        raise InputError(f"transfer: nothing was taken into {args.directory}; it stays as it was")
    report = fitting.fit_joined(target, here, taken)
    for source in taken:
        sys.stdout.write(f"{source.name} helps: {verdicts[source.name].why}\n")
    sys.stdout.write(
        f"{report.version}: {report.likes:,} likes of {report.people:,} people; liked there, as in --likes-id "
        f"{taken[0].name}:{taken[0].ids[0]}, now counts here ({report.seconds:.1f} s)\n"
    )
    return 0


def tune(args: Namespace) -> int:
    from snowmelt.retrieval.catalogue import Catalogue
    from snowmelt.retrieval.fitting import tune_catalogue

    version, found = tune_catalogue(Catalogue.open(args.directory), args.interactions)
    told = f"NDCG@10 {found.before:.4f}, {found.gain:+.4f} (standard error {found.error:.4f}) on {found.people} people"
    if found.ranker is None:
        raise InputError(f"tune: the ranker is refused, it does not help beyond chance: {told}; {version} stays")
    sys.stdout.write(f"{version}: a ranker over what was learned: {told}; weight {found.ranker.weight:g}\n")
    return 0


def _source(folder: Path, target: "Catalogue") -> "Domain":
    """A data folder as a domain; its items are embedded as the target's are, once, in TARGET/sources."""
    from snowmelt.retrieval.catalogue import Catalogue
    from snowmelt.retrieval.indexing import build

    if not (folder / "items.jsonl").is_file() or not (folder / "interactions.csv").is_file():
        raise InputError(f"{folder}: a source is a folder with items.jsonl and interactions.csv")
    kept = target.dir / "sources" / folder.resolve().name
    build(folder / "items.jsonl", kept, target.embedder, prune=True)
    return _domain(Catalogue.open(kept, target.embedder), folder.resolve().name, folder / "interactions.csv")


def _domain(catalogue: "Catalogue", name: str, interactions: Path | None) -> "Domain":
    from scipy.sparse import csr_matrix
    from snowmelt.retrieval.domains import Domain
    from snowmelt.retrieval.fitting import content_of, read_people

    likes, people = csr_matrix((0, len(catalogue.ids)), dtype="float32"), []
    if interactions is not None:
        read = read_people(interactions, catalogue.rows)
        likes, people = read.likes, read.ids
    return Domain(name, catalogue.ids, catalogue.titles, content_of(catalogue, None), likes, people)
