"""What an event on one item changes: in the profile of the person, and in what is counted for everybody.

Said (like, dislike, seen, more) or only done: `skip`, the person waved it away; `dwell`, they stayed with it. What was
done is weaker than what was said and never stands against it. Half a minute is where a reader's stay begins to tell of
satisfaction (Fox et al., Evaluating implicit measures to improve web search, ACM TOIS 23(2), 2005).
"""

from pathlib import Path
from typing import Literal

from snowmelt.agent.types import Entry, Profile
from snowmelt.retrieval import arrivals
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.items import Item

Kind = Literal["like", "dislike", "seen", "more", "skip", "dwell", "none"]
SATISFIED = 30.0  # seconds of dwelling that count as a faint like; a shorter stay says nothing
DWELT, SKIPPED = 0.5, 0.3  # of the strength of a plain statement


def with_feedback(profile: Profile, item: Item, kind: Kind, seconds: float | None = None) -> Profile:
    """The profile after an event on an item: the latest word on it replaces the earlier ones, `none` takes all back.

    `seconds` are those of `dwell`. Raises InputError where they are missing, negative or given with another kind.
    """
    if (kind == "dwell") != (seconds is not None) or (seconds is not None and not 0 <= seconds < float("inf")):
        raise InputError("seconds: how long the person stayed, 0 or more, with `dwell` and with nothing else")
    if kind in ("skip", "dwell"):
        said = any(e.item_id == item.id and not implicit(e) for e in (*profile.likes, *profile.dislikes))
        if said or (seconds is not None and seconds < SATISFIED):
            return profile
    likes = tuple(e for e in profile.likes if e.item_id != item.id)
    dislikes = tuple(e for e in profile.dislikes if e.item_id != item.id)
    seen = tuple(i for i in profile.seen if i != item.id)
    if kind in ("like", "more"):
        likes = (*likes, Entry(text=item.title, item_id=item.id, evidence=item.title))
    elif kind == "dislike":
        dislikes = (*dislikes, Entry(text=item.title, item_id=item.id, evidence=item.title))
    elif kind == "dwell":
        likes = (*likes, Entry(text=item.title, item_id=item.id, strength=DWELT))
    elif kind == "skip":
        dislikes = (*dislikes, Entry(text=item.title, item_id=item.id, strength=SKIPPED))
    elif kind == "seen":
        seen = (*seen, item.id)
    return profile.model_copy(update={"likes": likes, "dislikes": dislikes, "seen": seen})


def implicit(entry: Entry) -> bool:
    """Was it done, not said?"""
    return entry.item_id is not None and not entry.evidence and entry.strength < 1


def count(directory: Path, before: Profile, now: Profile, item_id: str) -> None:
    """Counts beside the fitted catalogue in `directory` what has changed about one item, for everybody's lists."""
    was, others = before.liked_ids, now.liked_ids
    if item_id in was and item_id not in others:
        arrivals.record(directory, was, item_id, back=True)
    if item_id in others and item_id not in was:
        arrivals.record(directory, others, item_id)
    if (item_id in before.disliked_ids) != (item_id in now.disliked_ids):
        arrivals.record(directory, (), item_id, skip=True, back=item_id in before.disliked_ids)
