"""Made-up people who push an item: what do they do to what is learned?

Shilling as in Lam and Riedl (WWW 2004) and Mobasher et al. (*Toward trustworthy recommender systems*, 2007): each fake
person likes the pushed items and as many others as people do in the median, drawn at random ("random"), from the most
popular ("bandwagon"), or from what the fans of one popular item like ("targeted"). They push three items together, or
one alone, which leaves less to find. Beside these, and not in the means: fakes who copy a real person each ("copied"),
whose other likes are real ones. The behaviour models are fitted again as `snowmelt fit` does, without the likes
that `retrieval.pushed` doubts, and as `snowmelt fit --wary` does, without those whom `retrieval.coordinated` sets aside
either; the weights of the signals stay as they were.
"""

from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent import Recommender
from snowmelt.evals.audit.figures import Figure, Part, figure, ndcg_of, not_measured
from snowmelt.evals.audit.subject import FIRST, Subject, listed
from snowmelt.retrieval import fitting, prior
from snowmelt.retrieval.coordinated import coordinated
from snowmelt.retrieval.learned import LEAST, fit_behaviour
from snowmelt.retrieval.pushed import doubted, without

Sparse = Any  # scipy.sparse.csr_matrix
KINDS = ("random", "bandwagon", "targeted")
COPIED = "copied"
PUSHED = 3  # items
_LIFTS = ("exposure_lift", "exposure_lift_one_item", "exposure_lift_wary", "exposure_lift_wary_one_item")
TARGETS = {**dict.fromkeys(_LIFTS, "<= 0.05"), "ndcg_loss": "<= 0.02", "ndcg_loss_of_doubt": "<= 0.02",
           "ndcg_loss_of_wary": "<= 0.01"}  # fmt: skip


def measure(subject: Subject) -> Part:
    """The part `poison`."""
    names = tuple(TARGETS)
    recommender = subject.made.get("learned")
    if recommender is None or recommender.learned is None:
        return not_measured("nothing is learned from behaviour here, so nobody can poison it", *names)
    likes, _ = fitting.read_likes(subject.work / "warm.csv", recommender.catalogue.rows)
    rng = np.random.default_rng([subject.seed, 0xBAD])
    popularity = prior.popularity(likes)
    known = np.flatnonzero(popularity >= LEAST)
    order = known[np.argsort(popularity[known], kind="stable")]
    middle = order[int(0.4 * len(order)) : max(int(0.6 * len(order)), int(0.4 * len(order)) + PUSHED)]
    pushed = rng.choice(middle, min(PUSHED, len(middle)), replace=False)
    gold = [p for p in subject.people if p.gold]
    few = copy(subject)
    few.people = tuple(gold)
    vectors, real = recommender.catalogue.vectors, likes.shape[0]
    aside = coordinated(likes, vectors)
    clean = _lists(few, recommender, likes)
    wary = _lists(few, recommender, likes[~aside]) if aside.any() else clean
    base, out = _ndcg(few, clean), doubted(likes, subject.seed)
    trusting = _ndcg(few, _believing(few, recommender, likes)) if out.any() else base
    about = partial(_told, few, clean=clean, base=base, recommender=recommender)
    rows: list[dict[str, Any]] = [{"fake people": "none", "real people set aside": int(aside.sum()),
                                   **about(clean, pushed)}]  # fmt: skip
    lifts: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    losses, copying = [], np.random.default_rng([subject.seed, 0xC0])
    for share in (0.05,) if subject.quick else (0.01, 0.05):
        for kind in ("bandwagon",) if subject.quick else (*KINDS, COPIED):
            for way, items in (("", pushed), ("_one_item", pushed[:1])):
                fakes = fake_people(likes, items, kind, share, copying if kind == COPIED else rng)
                group, before = coordinated(fakes, vectors), _shown(clean, items, recommender)
                lists = _lists(few, recommender, fakes)
                careful = _lists(few, recommender, fakes[~group]) if group.any() else lists
                beside = f"_{COPIED}" if kind == COPIED else ""
                lifts[beside + way].append(_shown(lists, items, recommender) - before)
                if kind != COPIED:
                    lifts[f"_wary{way}"].append(_shown(careful, items, recommender) - before)
                    losses.append((base - _ndcg(few, lists)) / max(float(np.nanmean(base)), 1e-9))
                rows.append(
                    {"fake people": f"{share:.0%} {kind}, {len(items)} pushed", **about(lists, items),
                     "exposure, --wary": figure(_shown(careful, items, recommender), subject.seed),
                     "fakes set aside": float(group[real:].mean()), "real people set aside": int(group[:real].sum()),
                     **_doubts(fakes, real, items, subject.seed)}
                )  # fmt: skip
    return {
        **{f"exposure_lift{way}": figure(np.mean(found, axis=0), subject.seed) for way, found in lifts.items()},
        "ndcg_loss": figure(np.mean(losses, axis=0), subject.seed),
        "ndcg_loss_of_doubt": figure((trusting - base) / max(float(np.nanmean(trusting)), 1e-9), subject.seed),
        "ndcg_loss_of_wary": figure((base - _ndcg(few, wary)) / max(float(np.nanmean(base)), 1e-9), subject.seed),
        "tables": {f"Exposure of pushed items in the first {FIRST}, and what real people lose": rows},
        "targets": TARGETS,
        "notes": [
            f"{likes.shape[0]} warm people; exposure: share of {len(few.people)} held-out people whose first {FIRST} "
            "hold a pushed item, which before stood in the middle of all items by likes. Figures are means over the "
            f'attacks of the table but "{COPIED}", which is told apart; "wary" as `snowmelt fit --wary` fits. '
            f"Without an attack {int(out.sum())} of {likes.nnz:,} likes are doubted."
        ],
    }


def fake_people(likes: Sparse, pushed: NDArray[np.int64], kind: str, share: float, rng: np.random.Generator) -> Sparse:
    """csr [people + fakes, items]: `likes` and, below, round(share * people) made-up people, at least one."""
    from scipy.sparse import csr_matrix, vstack

    people, items = likes.shape
    count, size = max(1, round(share * people)), max(1, int(np.median(np.diff(likes.indptr))))
    popularity = prior.popularity(likes)
    star = int(popularity.argmax())
    if kind == COPIED:
        copies = likes[rng.choice(np.flatnonzero(np.diff(likes.indptr) >= min(size, 2)), count)].tolil()
        copies[:, pushed] = 1
        return vstack([likes, copies.tocsr()]).tocsr()
    weights = {
        "random": np.ones(items),
        "bandwagon": np.where(popularity >= np.quantile(popularity, 0.95), popularity, 0.0),
        "targeted": np.asarray(likes[likes[:, [star]].toarray().ravel() > 0].sum(axis=0)).ravel() ** 2.0,
    }[kind]
    weights[pushed] = 0
    size = min(size, int((weights > 0).sum()))
    rows = [np.append(rng.choice(items, size, replace=False, p=weights / weights.sum()), pushed) for _ in range(count)]
    where = (np.repeat(np.arange(count), [len(r) for r in rows]), np.concatenate(rows))
    return vstack([likes, csr_matrix((np.ones(len(where[0]), np.float32), where), shape=(count, items))]).tocsr()


def _lists(subject: Subject, recommender: Recommender, likes: Sparse) -> list[list[str]]:
    """What people get when the behaviour was learned from `likes`, but for those that are doubted."""
    return _believing(subject, recommender, without(likes, doubted(likes, subject.seed)))


def _believing(subject: Subject, recommender: Recommender, likes: Sparse) -> list[list[str]]:
    """What people get when the behaviour was learned from all of `likes`."""
    assert recommender.learned is not None
    rows = np.flatnonzero(prior.popularity(likes) >= LEAST).astype(np.int64)
    fitted = copy(recommender)
    fitted.learned = replace(recommender.learned, behaviour=fit_behaviour(likes, rows, subject.seed))
    fitted.prior = fitted.learned.prior()
    return [listed(fitted, person.liked) for person in subject.people]


def _doubts(fakes: Sparse, real: int, pushed: NDArray[np.int64], seed: int) -> dict[str, float]:
    """What `doubted` finds where the people from row `real` on are made up."""
    found = doubted(fakes, seed)
    who, what = fakes.nonzero()
    made_up = (who >= real) & np.isin(what, pushed)
    return {
        "likes by fakes doubted": float(found[made_up].mean()),
        "likes by others doubted": int(found[who < real].sum()),
    }


def _shown(lists: Sequence[Sequence[str]], pushed: NDArray[np.int64], recommender: Recommender) -> NDArray[np.float64]:
    ids = {recommender.catalogue.ids[row] for row in pushed}
    return np.array([float(bool(ids & set(found))) for found in lists])


def _ndcg(subject: Subject, lists: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    return np.array([ndcg_of(found, p.gold) for p, found in zip(subject.people, lists, strict=True)])


def _told(
    subject: Subject, lists: Sequence[Sequence[str]], pushed: NDArray[np.int64], *, clean: Sequence[Sequence[str]],
    base: NDArray[np.float64], recommender: Recommender,
) -> dict[str, Figure]:  # fmt: skip
    same = [len(set(a) & set(b)) / max(len(b), 1) for a, b in zip(lists, clean, strict=True)]
    return {
        "exposure": figure(_shown(lists, pushed, recommender), subject.seed),
        "NDCG@10": figure(_ndcg(subject, lists), subject.seed),
        "NDCG@10 lost": figure(base - _ndcg(subject, lists), subject.seed),
        "overlap@10 with the clean fit": figure(same, subject.seed),
    }
