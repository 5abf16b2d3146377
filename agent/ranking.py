"""A profile to an order of candidates: signals made comparable, weighted and added. Code owns the order.

Where people's behaviour was learned (`snowmelt fit`), items that a person likes speak through it; words and attributes
speak through the text. Without behaviour, texts speak for items, too, and the model's familiarity with titles stands in
for popularity. A model's opinion on the candidates comes last and moves an item at most `BOUND` places.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.familiarity import Familiarity
from snowmelt.agent.nearness import (
    added,
    beside,
    by_texts,
    cosines_of,
    own_likeness,
    queries_of,
    sample,
    scaled,
    standing,
)  # fmt: skip
from snowmelt.agent.types import Entry, Profile
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.covering import covering
from snowmelt.retrieval.filters import Filter
from snowmelt.retrieval.fusion import standardise
from snowmelt.retrieval.learned import Learned

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

BOUND = 5  # places that the model can move an item from its place without it, whatever it says
# Fame weighs FAMILIARITY / evidence beside the standardised text: evidence is how far a person's likes stand out by the
# text of the others, in standard deviations (films 0.4, artists 1.9: there, twice the weight halves NDCG@10), with one
# like more that stands out by EVIDENCE.
FAMILIARITY, EVIDENCE, WEAKEST = 0.44, 0.6, 0.2
# Where something was asked for in words, fame speaks among the nearest share only, or the same famous films answer
# every question. Likes alone do not ask for anything: there the gate would cost a tenth of NDCG@10 on films.
AMONG = 0.3
MATCH = 1.0  # of a value that was asked for, beside standardised signals
# In standard deviations of the score without them. A soft limit: what does not meet it must stand out by two more.
# Something like a disliked item: on ml-100k (3 ratings up to 2 told beside 5 likes, 76 validation people, learned
# behaviour) 0.25 lowers the disliked among ten from 0.042 to 0.037 at little cost (NDCG@10 0.552 and 0.547), while 0.5
# costs 0.018 of NDCG. What is refused in words counts in full: REFUSED for each value, standardised.
WISH, DISLIKE, REFUSED = 2.0, 0.25, 1.0
EXACT = 20_000  # items up to which every one is scored; above, those that a search finds
FIRST = 20  # items chosen for somebody of whom nothing is known
SEARCHED = 300  # found by each kind of search of a large catalogue


def available(catalogue: Catalogue, profile: Profile) -> NDArray[np.bool_]:
    """bool [items], the caller's own: what meets every limit and was not seen."""
    allowed = catalogue.mask(profile.constraints).copy()
    allowed[[catalogue.rows[id_] for id_ in profile.seen if id_ in catalogue.rows]] = False
    return allowed


def recommendable(catalogue: Catalogue, profile: Profile) -> NDArray[np.bool_]:
    """bool [items], the caller's own: what is `available` and was neither liked nor disliked yet."""
    allowed = available(catalogue, profile)
    valued = (*profile.liked_ids, *profile.disliked_ids)
    allowed[[catalogue.rows[id_] for id_ in valued if id_ in catalogue.rows]] = False
    return allowed


def rank(
    catalogue: Catalogue, profile: Profile, limit: int, *, allowed: NDArray[np.bool_],
    learned: Learned | None = None, familiarity: Familiarity | None = None,
) -> tuple[list[int], dict[str, Floats]]:  # fmt: skip
    """Rows of the best min(limit, allowed) items, best first, and their weighted signals (their sum is the score).

    `allowed` bool [items]: what may be recommended at all.
    """
    liked = [catalogue.rows[e.item_id] for e in profile.likes if e.item_id in catalogue.rows]
    known = learned.elsewhere if learned is not None else {}
    elsewhere = [id_ for id_ in profile.liked_ids if id_ in known]
    people: dict[str, Floats] = {}
    if learned is not None:
        people = learned.of_person(liked, elsewhere)
    # Where behaviour speaks, a liked value speaks through the items that have it; its name in other items' texts only
    # leads away (ReDial, 224 dialogues of the training part: Recall@10 0.076 without it, 0.045 with it).
    said = [
        e for e in profile.likes
        if e.item_id not in catalogue.rows and e.item_id not in known
        and not (people and e.attribute in catalogue.schema.attributes)
    ]  # fmt: skip
    words = [e.text for e in said]
    queries = queries_of(catalogue, [] if people else liked, words)
    by_words = np.zeros(len(catalogue.ids), np.float32)
    for strength in {e.strength for e in said}:
        some = " ".join(e.text for e in said if e.strength == strength)
        by_words = by_words + np.float32(strength) * catalogue.lexical.scores(some)
    own_words = catalogue.lexical.own(liked) if liked and not people else None
    bm25 = by_words = standardise(by_words)
    if own_words is not None:
        bm25 = bm25 + standardise(catalogue.lexical.alike(liked, own_words))
    rows = _candidates(catalogue, queries, bm25, people, familiarity, allowed, limit)
    if not len(rows):
        return [], {}
    signals = {name: values[rows] for name, values in people.items()}
    own = [e for e in profile.likes if e.item_id in catalogue.rows and not people]
    told = np.array([e.strength for e in (*own, *said)], np.float32)
    cosines, usual = cosines_of(catalogue, queries, rows), cosines_of(catalogue, queries, sample(len(catalogue.ids)))
    if own_words is not None:
        cosines = own_likeness(cosines, usual, own_words[rows])
    n = len(own)
    if n and any(not e.attribute for e in said):
        alike = by_texts(cosines[:, :n], usual[:, :n], told[:n], (bm25 - by_words)[rows])
        spoken = beside(alike, by_texts(cosines[:, n:], usual[:, n:], told[n:], by_words[rows]))
    else:
        spoken = by_texts(cosines, usual, told, standardise(bm25)[rows])
    signals = added(signals, {**spoken, "match": _asked(catalogue, profile, rows)})
    if familiarity is not None and not people:
        evidence = standing(catalogue.vectors, catalogue.lexical, liked, sample(len(catalogue.ids)))
        near = np.sum(list(signals.values()), axis=0)
        among = AMONG if words or profile.wishes else 1.0
        signals["familiarity"] = fame(familiarity, rows, near, evidence, among)
    spread = np.float32(np.sum(list(signals.values()), axis=0).std() or 1.0)
    for wish in profile.wishes:
        signals["wishes"] = signals.get("wishes", 0) + WISH * spread * catalogue.mask([wish])[rows].astype(np.float32)
    if profile.dislikes:
        signals["dislikes"] = spread * _dislikes(catalogue, profile, rows)
    total = np.sum(list(signals.values()), axis=0)
    best = np.argsort(-total, kind="stable")[:limit]
    alike = np.flatnonzero(total == total.max())
    if len(alike) > 1:  # nothing tells the first ones apart, as where nothing is known: a few that stand for all
        seen = [catalogue.rows[id_] for id_ in profile.seen if id_ in catalogue.rows]
        few = np.searchsorted(rows, covering(catalogue.vectors, rows[alike], min(limit, FIRST), seen))
        best = np.concatenate([few, best[~np.isin(best, few)]])[:limit]
    return [int(row) for row in rows[best]], {name: values[best] for name, values in signals.items() if values.any()}


def fame(
    familiarity: Familiarity, rows: Rows | slice, near: Floats, evidence: Sequence[float], among: float = 1.0
) -> Floats:
    """What the model has heard of, [rows]; the share `among` that is nearest by `near` [rows] keeps it, the rest counts
    as unheard of. `evidence`: of `standing`."""
    shown = max((EVIDENCE + sum(evidence)) / (1 + len(evidence)), WEAKEST)
    weight = FAMILIARITY / shown * familiarity.weight * (float(near.std()) or 1.0)
    heard = np.float32(weight) * familiarity.values[rows]
    return np.where(near >= np.quantile(near, 1 - among), heard, heard.min()).astype(np.float32)


def _candidates(
    catalogue: Catalogue, queries: Floats, bm25: Floats, people: dict[str, Floats], familiarity: Familiarity | None,
    allowed: NDArray[np.bool_], limit: int,
) -> Rows:  # fmt: skip
    every = np.flatnonzero(allowed)
    if len(every) <= EXACT:
        return every
    searches = [bm25] if bm25.any() else []
    if people:
        searches.append(np.sum(list(people.values()), axis=0))
    elif familiarity is not None and familiarity.weight > 0:
        searches.append(familiarity.values)
    most = max(SEARCHED, limit)
    found = [np.argpartition(np.where(allowed, -s, np.inf), most)[:most] for s in searches]
    if len(queries):
        found.append(catalogue.nearest(queries, -(-most // len(queries)), allowed)[0].ravel())
    rows = np.unique(np.concatenate(found)) if found else every[:0]
    rows = rows[allowed[rows]]
    return rows if len(rows) >= limit else every


def _asked(catalogue: Catalogue, profile: Profile, rows: Rows) -> Floats:
    """Liked values of attributes that were asked for in so many words: rare ones count more."""
    match = np.zeros(len(rows), np.float32)
    for entry in profile.likes:
        has = _having(catalogue, entry)
        if has is not None:
            match += np.float32(MATCH * entry.strength) * has[rows]
    return match


def _dislikes(catalogue: Catalogue, profile: Profile, rows: Rows) -> Floats:
    """At most 0: items are pushed down as far as they are nearer than most to something disliked."""
    push = np.zeros(len(rows), np.float32)
    for strength in {e.strength for e in profile.dislikes}:  # what was waved away pushes less than what was refused
        entries = [e for e in profile.dislikes if e.strength == strength]
        disliked = [catalogue.rows[e.item_id] for e in entries if e.item_id in catalogue.rows]
        queries = queries_of(catalogue, disliked, [e.text for e in entries if e.item_id not in catalogue.rows])
        usual = cosines_of(catalogue, queries, sample(len(catalogue.ids))).max(axis=1)
        near = scaled(cosines_of(catalogue, queries, rows).max(axis=1), usual)
        push = np.maximum(push, np.float32(DISLIKE * strength) * near)
    for entry in profile.dislikes:
        has = _having(catalogue, entry)
        if has is not None:
            push = push + np.float32(REFUSED * entry.strength) * np.maximum(has[rows], 0)
    return np.asarray(-push, np.float32)


def _having(catalogue: Catalogue, entry: Entry) -> Floats | None:
    """Which items have the value that an entry names, standardised [items]; None if it names none."""
    known = catalogue.schema.attributes.get(entry.attribute or "")
    if known is None or known.kind not in ("category", "list"):
        return None
    has = catalogue.mask([Filter(attribute=known.name, op="any", value=(entry.text,))])
    return standardise(has.astype(np.float32))


def bounded(base: Sequence[float], moved: Sequence[float], bound: int = BOUND) -> list[int]:
    """Positions 0..n-1 in the order of `moved`, none more than `bound` places from its place in `base` (descending)."""
    start = [int(i) for i in np.argsort(-np.asarray(base), kind="stable")]
    place = {i: p for p, i in enumerate(start)}
    wish = [int(i) for i in np.argsort(-np.asarray(moved), kind="stable")]
    order: list[int] = []
    left = set(start)
    for p in range(len(start)):
        due = start[p - bound] if p >= bound else None
        pick = due if due in left else next(i for i in wish if i in left and place[i] <= p + bound)
        order.append(pick)
        left.remove(pick)
    return order
