"""Does the same person get the same list? The first ten in common, after changes that mean nothing."""

from collections.abc import Callable

import numpy as np
from snowmelt.evals.audit.attacks import lines
from snowmelt.evals.audit.fairness import TOLD, list_for
from snowmelt.evals.audit.figures import Part, figure
from snowmelt.evals.audit.subject import Person, Subject, listed

TARGETS = {"same": "= 1", "shuffled_likes": ">= 0.95", "shuffled_catalogue": ">= 0.95", "paraphrased": ">= 0.9",
           "other_language": ">= 0.9"}  # fmt: skip


def measure(subject: Subject) -> Part:
    """The part `stability`."""
    few, main = subject.of(6 if subject.quick else 60), subject.main
    base = [listed(main, p.liked) for p in few.people]
    rng = np.random.default_rng([subject.seed, 0x5A])

    def overlaps(again: Callable[[Person], list[str]]) -> list[float]:
        return [overlap(found, again(p)) for found, p in zip(base, few.people, strict=True)]

    same = overlaps(lambda p: listed(main, p.liked))
    turned = overlaps(lambda p: listed(main, [str(i) for i in rng.permutation(p.liked)]))
    records = [subject.data.records[i] for i in rng.permutation(len(subject.data.records))]
    made = subject.variant(records)
    other = made.get("learned", made["plain"])
    moved = overlaps(lambda p: listed(other, p.liked))
    subject.drop(made)
    ways = lines("paraphrases.jsonl")
    rows, by_language = [], {"en": [], "zh": []}
    told = {p.name: [subject.title(i) for i in p.liked[:TOLD]] for p in few.people}
    neutral = {p.name: list_for(main, _said(ways[0]["text"], told[p.name])) for p in few.people}
    for way in ways[1:]:
        values = [overlap(neutral[n], list_for(main, _said(way["text"], titles))) for n, titles in told.items()]
        by_language[way["language"]].append(values)
        rows.append({"said": way["text"], "overlap@10": figure(values, subject.seed)})
    return {
        "same": figure(same, subject.seed), "shuffled_likes": figure(turned, subject.seed),
        "shuffled_catalogue": figure(moved, subject.seed),
        "paraphrased": figure(np.mean(by_language["en"], axis=0), subject.seed),
        "other_language": figure(np.mean(by_language["zh"], axis=0), subject.seed),
        "targets": TARGETS, "tables": {f"Said otherwise than “{ways[0]['text']}”": rows},
        "notes": ["Titles stay as the catalogue has them; the words around them change. Shuffled catalogue: the items "
                  "in another order in the file, indexed anew; what was learned is the same."],
    }  # fmt: skip


def overlap(a: list[str], b: list[str]) -> float:
    """Shared items of the longer list; 1 for two empty ones."""
    return len(set(a) & set(b)) / max(len(a), len(b)) if a or b else 1.0


def _said(text: str, titles: list[str]) -> str:
    joined = "、".join(titles) if any("一" <= c <= "鿿" for c in text) else ", ".join(titles)
    return text.replace("{titles}", joined)
