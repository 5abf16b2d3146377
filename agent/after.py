"""After ranking: which items of the front of an order make the list. Four switches, each with a measured price.

The ranking keeps the say over the order: what is chosen here stands in it, and all else follows. It works on the fused
scores before the model is asked, so that the model's word is bounded by what is chosen. Prices are in docs/results.md
(`python benchmarks/after.py`). Always: an item that is another one's twin comes last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.types import Profile
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.domains import title_key
from snowmelt.retrieval.errors import InputError

Floats = NDArray[np.float32]

POOL = 400  # items at the front that are chosen among: with 200 the same exposure costs twice the NDCG (ml-100k)
# A score, read as log-odds, is worth exp(FLAT * score). At 1 only the surest places are kept and the rest filled with
# whatever is least known; at 0.4 with what suits the person better, for the same NDCG and more coverage.
FLAT = 0.4
TWINS = 0.95  # cosine from which two items with the same title are the same thing under two ids
KINDS = 100  # values up to which an attribute tells kinds (genres), not names
SMOOTH = 0.01  # of the profile in the list's mix, so that what is missing costs a finite amount (Steck 2018)
# Weights of popularity that are tried, per unit of ln(1 + likes), on scores whose best is 1.
_LAMBDAS = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 100)])


@dataclass(frozen=True)
class After:
    """Each from 0 (off) to 1.

    `discovery`, the dial: at 0.5 a list is as popular as what the person likes (mean of ln(1 + likes), and only if it
    would be more popular), at 1 as the mean item of the catalogue, between 0 and 0.5 part of the way.
    `diversity`: items unlike those already chosen (maximal marginal relevance, Carbonell and Goldstein, SIGIR 1998).
    `calibration`: kinds of items in the proportions of what the person likes (Steck, RecSys 2018).
    `exploration`: items that few people have met get a chance by luck, the more the fewer (Thompson sampling with a
    normal posterior whose deviation falls with the root of the likes); `seed` None draws anew each time.
    Raises InputError for a value outside 0..1.
    """

    discovery: float = 0.5
    diversity: float = 0.0
    calibration: float = 0.0
    exploration: float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        for one in fields(self)[:-1]:
            value = getattr(self, one.name)
            if not 0 <= value <= 1:
                raise InputError(f"{one.name} {value}: must be from 0 to 1")


USUAL, OFF = After(), After(discovery=0.0)


def arrange(
    after: After, catalogue: Catalogue, profile: Profile, rows: Sequence[int], scores: Floats, limit: int,
    popularity: Floats | None = None,
) -> list[int]:  # fmt: skip
    """Positions of all `rows` in their new order; the first min(limit, rows) are the list.

    `rows` and `scores` [n], best first; `popularity` float32 [items], ln(1 + likes) or what stands in for it, None
    where nothing tells (then `discovery` and `exploration` do nothing).
    """
    rows_, value = np.asarray(rows, np.int64), np.asarray(scores, np.float64).copy()
    last = _twins(catalogue, profile, rows)
    front = [i for i in range(len(rows)) if i not in last]
    if after.exploration and popularity is not None:
        luck = np.random.default_rng(after.seed).standard_normal(len(rows))
        value += after.exploration * float(np.std(value)) * luck / np.sqrt(np.exp(np.maximum(popularity[rows_], 0)))
        front.sort(key=lambda i: -value[i])
    pool = np.array(front[: max(POOL, limit)], np.int64)
    if len(pool) > limit:
        liked = [catalogue.rows[id_] for id_ in profile.liked_ids if id_ in catalogue.rows]
        gain = np.exp(FLAT * (value[pool] - value[pool[0]]))
        if after.discovery and popularity is not None and liked:
            gain = calmed(gain, popularity[rows_[pool]], limit, _wanted(after.discovery, popularity, liked))
        if after.diversity or (after.calibration and liked):
            chosen = _mixed(after, catalogue, liked, rows_[pool], gain, limit)
        else:
            chosen = np.argsort(-gain, kind="stable")[:limit]
        taken = {int(pool[i]) for i in chosen}
        front = [i for i in front if i in taken] + [i for i in front if i not in taken]
    return front + sorted(last)


def in_order(scores: Floats, order: Sequence[int]) -> Floats:
    """The scores [n] in `order`, each lowered as far as it must be for them to descend."""
    return np.minimum.accumulate(np.asarray(scores, np.float32)[list(order)])


def _wanted(discovery: float, popularity: Floats, liked: Sequence[int]) -> tuple[float, float]:
    """(share of the excess that stays, how popular a list may be without any)."""
    own, mean = float(popularity[list(liked)].mean()), float(popularity.mean())
    if discovery <= 0.5:
        return 1 - 2 * discovery, own
    return 0.0, min(own, own + (2 * discovery - 1) * (mean - own))


def calmed(gain: NDArray[np.float64], popular: Floats, limit: int, wanted: tuple[float, float]) -> NDArray[np.float64]:
    """`gain` [n] less what popularity costs: the least cost at which the best `limit` are as popular as wanted, and
    none at all where they are not too popular as it is."""
    share, target = wanted
    now = popular[np.argsort(-gain, kind="stable")[:limit]].mean()
    if now <= target:
        return gain
    target += share * (float(now) - target)
    priced = gain - _LAMBDAS[:, None] * popular
    best = np.argpartition(-priced, limit - 1, axis=1)[:, :limit]
    off = popular[best].mean(axis=1) - target
    enough = int(np.argmax(off <= 0)) if (off <= 0).any() else len(_LAMBDAS) - 1
    near = int(np.argmin(np.abs(off[: enough + 1])))
    return priced[near]


def _mixed(
    after: After, catalogue: Catalogue, liked: Sequence[int], rows: NDArray[np.int64], gain: NDArray[np.float64],
    limit: int,
) -> list[int]:  # fmt: skip
    """Positions of the `limit` items that are best together, chosen one after another."""
    vectors = np.asarray(catalogue.vectors[rows], np.float32)
    kinds, wanted = _kinds(catalogue, rows, liked)
    nearest, mix = np.zeros(len(rows)), np.zeros(len(wanted))
    value, chosen = gain.copy(), []
    for count in range(1, limit + 1):
        value = (1 - after.diversity) * gain - after.diversity * nearest
        if after.calibration and liked:
            mixes = (1 - SMOOTH) * (mix + kinds) / count + SMOOTH * wanted
            away = (wanted * np.log(np.maximum(wanted, 1e-12) / np.maximum(mixes, 1e-12))).sum(axis=1)
            value = (1 - after.calibration) * value - after.calibration * away
        value[chosen] = -np.inf
        best = int(value.argmax())
        chosen.append(best)
        nearest = np.maximum(nearest, vectors @ vectors[best])
        mix = mix + kinds[best]
    return chosen


def _kinds(
    catalogue: Catalogue, rows: NDArray[np.int64], liked: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of values of the attributes that tell kinds: of each item [n, values], and of what is liked [values]."""
    place: dict[tuple[str, str], int] = {}
    for name, known in catalogue.schema.attributes.items():
        if known.kind in ("category", "list") and 1 < len(known.values) <= KINDS:
            for value in known.values:
                place.setdefault((name, value.casefold()), len(place))
    table = np.zeros((len(rows) + len(liked), len(place)))
    for i, row in enumerate([*rows.tolist(), *liked]):
        attributes: Mapping[str, object] = catalogue.items[row].attributes
        for name, value in attributes.items():
            own = value if isinstance(value, tuple) else (value,)
            found = [place[name, str(v).casefold()] for v in own if (name, str(v).casefold()) in place]
            table[i, found] += 1 / max(len(found), 1)
    table /= np.maximum(table.sum(axis=1, keepdims=True), 1e-9)
    return table[: len(rows)], table[len(rows) :].sum(axis=0) / max(len(liked), 1)


def _twins(catalogue: Catalogue, profile: Profile, rows: Sequence[int]) -> set[int]:
    """Positions of items that are the same as one before them, or as one that the person has named, by another id."""
    met: dict[str, list[int]] = {}
    for id_ in (*profile.liked_ids, *profile.disliked_ids, *profile.seen):
        if id_ in catalogue.rows:
            met.setdefault(title_key(catalogue.titles[catalogue.rows[id_]]), []).append(catalogue.rows[id_])
    found = set()
    for i, row in enumerate(rows):
        same = met.setdefault(title_key(catalogue.titles[row]), [])
        if same and float((catalogue.vectors[same] @ catalogue.vectors[row]).max()) >= TWINS:
            found.add(i)
        same.append(row)
    return found
