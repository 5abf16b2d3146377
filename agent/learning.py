"""`snowmelt fit`, and what people of the service teach between two fits: counts, and the next fit's likes."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from snowmelt.agent.settings import master_key
from snowmelt.agent.types import Profile
from snowmelt.retrieval.errors import InputError

if TYPE_CHECKING:
    from snowmelt.agent.recommender import Recommender


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
    learned = fitting.fit_catalogue(catalogue, args.interactions, people=people)
    skipped = f", {learned.skipped:,} rows of other items skipped" if learned.skipped else ""
    sys.stdout.write(
        f"{learned.version}: {learned.likes:,} likes of {learned.people:,} people, {learned.items:,} items, "
        f"{learned.new_items:,} that nobody liked yet{skipped} ({learned.seconds:.1f} s)\n"
    )
    return 0


def heard(recommender: "Recommender", before: Profile, now: Profile, item_id: str) -> None:
    """Count what a person has changed about one item. It is in use as soon as somebody asks for `fresh`."""
    from snowmelt.retrieval import arrivals

    if recommender.learned is None:
        return
    directory, was, others = recommender.catalogue.dir, before.liked_ids, now.liked_ids
    if item_id in was and item_id not in others:
        arrivals.record(directory, was, item_id, back=True)
    if item_id in others and item_id not in was:
        arrivals.record(directory, others, item_id)
    if (item_id in before.disliked_ids) != (item_id in now.disliked_ids):
        arrivals.record(directory, (), item_id, skip=True, back=item_id in before.disliked_ids)


def _likes(users: str, name: str) -> Iterator[tuple[str, ...]]:
    """The liked ids of everybody who has a profile in the catalogue `name` of a service's database. Raises InputError
    if nobody has."""
    from snowmelt.agent.store import Store

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
