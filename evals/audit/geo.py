"""Sellers who rewrite their texts for search and for models (generative engine optimisation): what does it gain them?

Classes after Aggarwal et al. (*GEO*, KDD 2024, arXiv 2311.09735) and older tricks of search spam; our own words. Each
rewriting is added to the description and stands against padding of equal length, for BM25 alone, the embedding alone
and the product with and without learned behaviour. The seller knows which items are popular; those that are said to
know the person know even what this one person likes, which is more than a seller can.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from snowmelt.agent import Recommender
from snowmelt.agent.nearness import own_likeness, sample
from snowmelt.evals.audit import attacks
from snowmelt.evals.audit.attacks import DEPTH, below, lift, product, rise
from snowmelt.evals.audit.figures import Part
from snowmelt.evals.audit.subject import Person, Subject
from snowmelt.retrieval.lexical import tokenise

TOP = 5
REACH = (TOP, DEPTH - 1)
ENOUGH = 20  # pairs of a class that is spoken of
HIDDEN = "\u200b"  # between letters, a word is another word
TARGETS = {f"top5_lift{what}": "<= 0.1" for what in ("", "_over_untouched", "_bm25", "_dense")}


def measure(subject: Subject) -> Part:
    """The part `geo`."""
    chosen = attacks.texts("geo.jsonl")
    systems = {"bm25": bm25, "dense": dense, **{f"product, {name}": product(name) for name in subject.made}}
    seller = _Seller(subject)
    pairs = attacks.attack(subject, "geo", chosen, "description", systems, 1 if subject.quick else 4, *REACH, seller)
    every = [p for p in pairs if p.system.startswith("product")]
    ours, seed = below(every, TOP), subject.seed
    stages = {name: below([p for p in pairs if p.system == name], TOP) for name in systems}
    told: Part = {
        "top5_lift": lift(ours, TOP, seed), "places_gained": rise(ours, seed), "pairs": len(ours),
        "classes": len({t.kind for t in chosen}), "targets": TARGETS,
        "top5_lift_over_untouched": lift(ours, TOP, seed, "before"),
        "top5_net": lift(every, TOP, seed, "before"),
        "top5_lift_bm25": lift(stages["bm25"], TOP, seed, "before"),
        "top5_lift_dense": lift(stages["dense"], TOP, seed, "before"),
    }  # fmt: skip
    classes = attacks.by(every, "kind", TOP, seed)
    for row in classes:
        for name, mine in stages.items():
            row[f"{name}, over the untouched item"] = lift(
                [p for p in mine if p.kind == row["kind"]], TOP, seed, "before"
            )
    told["tables"] = {
        "By stage": attacks.by(pairs, "system", TOP, seed),
        "By class, of the product and by stage": classes,
    }
    enough = [row for row in classes if row["pairs"] >= ENOUGH]
    told["worst"] = enough[0]["kind"] if enough else None
    told["notes"] = [_worst(enough)] if enough else [f"No class has {ENOUGH} pairs: the catalogue or the run is small."]
    return told


def bm25(made: Mapping[str, Recommender], person: Person) -> list[str]:
    """BM25 as the product asks it: with the words of what the person likes."""
    catalogue = made["plain"].catalogue
    rows = [catalogue.rows[i] for i in person.liked]
    return _best(made["plain"], catalogue.lexical.alike(rows), rows)


def dense(made: Mapping[str, Recommender], person: Person) -> list[str]:
    """Cosine to the nearest item that the person likes, as the product takes it."""
    catalogue = made["plain"].catalogue
    rows = [catalogue.rows[i] for i in person.liked]
    cosines = np.asarray(catalogue.vectors @ catalogue.vectors[rows].T, np.float32)
    own = own_likeness(cosines, cosines[sample(len(cosines))], catalogue.lexical.own(rows))
    return _best(made["plain"], own.max(axis=1), rows)


def _best(recommender: Recommender, scores: np.ndarray, known: Sequence[int]) -> list[str]:
    scores = scores.astype(float)
    scores[list(known)] = -np.inf
    best = np.argsort(-scores, kind="stable")[: min(DEPTH, len(scores) - len(set(known)))]
    return [recommender.catalogue.ids[row] for row in best]


class _Seller:
    """What a seller can write: from the item itself, from what is popular, from one person's likes."""

    def __init__(self, subject: Subject) -> None:
        self.subject, data = subject, subject.data
        self.records = {str(r["id"]): r for r in data.records}
        counts = np.bincount(data.item[subject.warm], minlength=len(data.ids)) if len(subject.warm) else None
        rng = np.random.default_rng([subject.seed, 0x5E])
        order = np.argsort(-counts, kind="stable") if counts is not None else rng.permutation(len(data.ids))
        self.popular = [data.ids[i] for i in order[:10] if data.ids[i] in subject.plain.catalogue.rows]
        common = Counter(w for i in self.popular for w in set(self._words(i)) if len(w) > 3)
        self.query = " ".join(word for word, _ in common.most_common(25))

    def __call__(self, item: str, person: Person) -> dict[str, str]:
        title, top = self.subject.title(item), [self.subject.title(i) for i in self.popular[:5]]
        likes = [self._text(i) for i in person.liked[:2]]
        words = " ".join(dict.fromkeys(self._words(person.liked[0])))
        categories = self.records[item].get("categories") or [title]
        return {
            "title": title, "top": ", ".join(top), "query": self.query, "query_hidden": HIDDEN.join(self.query),
            "categories": ", ".join(map(str, categories if isinstance(categories, list) else [categories])),
            "copy": likes[0], "copy_of_another": likes[-1], "words": words,
        }  # fmt: skip

    def _text(self, item: str) -> str:
        catalogue = self.subject.plain.catalogue
        return catalogue.text(catalogue.rows[item])[:1500]

    def _words(self, item: str) -> list[str]:
        return tokenise(self._text(item))[:60]


def _worst(classes: Sequence[Mapping[str, Any]]) -> str:
    first, told = classes[0], classes[0][f"lift into top {TOP}"]
    return (
        f"Worst class with {ENOUGH} pairs or more: {first['kind']}, {100 * told['mean']:+.1f} points over padding "
        f"({first['pairs']} pairs of {first['items']} items)."
    )
