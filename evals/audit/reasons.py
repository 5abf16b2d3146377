"""Are the reasons true, and do they say why? Every one is checked again, and what it cites is taken away to see.

Faithfulness by deletion (after DeYoung et al., *ERASER*, ACL 2020, "comprehensiveness"): the cited words are removed
from the item, the catalogue is indexed anew and the score is compared; so it is with other words of the same length
from the same item, without which a fall would say nothing.
"""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
from snowmelt.agent import reasons as checked
from snowmelt.agent.after import OFF
from snowmelt.agent.types import Recommendation
from snowmelt.evals.audit.attacks import SHARE
from snowmelt.evals.audit.figures import Figure, Part, figure
from snowmelt.evals.audit.page import bars
from snowmelt.evals.audit.subject import FIRST, Subject, edited, order

TARGETS = {"verified": "= 1"}


def measure(subject: Subject) -> Part:
    """The part `reasons`."""
    few, main = subject.of(20 if subject.quick else 100), subject.main
    passed: list[bool] = []
    gate = checked.verified

    def counting(*args: Any, **named: Any) -> bool:
        passed.append(gate(*args, **named))
        return passed[-1]

    with patch("snowmelt.agent.reasons.verified", counting):
        lists = few.lists(main)
    shown = [
        float(gate(reason, one.item, few.profile(person), main.catalogue))
        for person, found in zip(few.people, lists, strict=True) for one in found for reason in one.reasons
    ]  # fmt: skip
    having = [float(bool(one.reasons)) for found in lists for one in found]
    told: Part = {
        "verified": figure(shown, subject.seed), "dropped": figure([float(not ok) for ok in passed], subject.seed),
        "items_with_a_reason": figure(having, subject.seed), "targets": TARGETS,
        "pictures": {"What moved each rank: mean weight of each signal at each place": _moved(lists)},
        "tables": {"One list, signal by signal": _example(lists)},
        "notes": [
            "Dropped: reasons that were made and did not pass the check. Verified: of those shown, by the same check, "
            "asked again. Deletion: a span of a reason, or other words of that length, is taken out of the item's text."
        ],
    }  # fmt: skip
    return told | _deletion(few, lists)


def _deletion(subject: Subject, lists: Sequence[Sequence[Recommendation]]) -> dict[str, Any]:
    """Score with the cited span minus score without it, and the same for other words; one reason of an item."""
    records = {str(r["id"]): r for r in subject.data.records}
    most = max(1, int(SHARE * len(records)))
    chosen: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {}
    for i, found in enumerate(lists):
        for one in found:
            for reason in one.reasons:
                without = _without(records[one.item.id], reason.span)
                other = _without(records[one.item.id], _elsewhere(one.item.description, reason.span))
                if without and other and one.item.id not in chosen and len(chosen) < most:
                    chosen[one.item.id] = (i, without, other)
    if not chosen:
        return {"score_falls": figure(()), "score_falls_control": figure(())}
    people = {id_: person for id_, (person, _, _) in chosen.items()}
    base = _scores(subject, {}, people)
    scores = [
        _scores(subject, {id_: without for id_, (_, without, _) in chosen.items()}, people),
        _scores(subject, {id_: other for id_, (_, _, other) in chosen.items()}, people),
    ]
    falls = [[b - s for b, s in zip(base, one, strict=True)] for one in scores]
    return {
        "score_falls": _share(falls[0], subject.seed),
        "score_falls_control": _share(falls[1], subject.seed),
        "fall": figure(falls[0], subject.seed), "fall_control": figure(falls[1], subject.seed),
        "fall_more_than_control": figure(np.subtract(falls[0], falls[1]), subject.seed),
    }  # fmt: skip


def _share(falls: Sequence[float], seed: int) -> Figure:
    """How many scores fall, of those that are known."""
    return figure([float(f > 1e-4) if f == f else f for f in falls], seed)


def _scores(subject: Subject, changes: dict[str, dict[str, Any]], people: dict[str, int]) -> list[float]:
    """Score of each chosen item for its person, before anything is done to the list; NaN where it is not among the
    first 100 any more."""
    made = subject.variant(edited(subject.data.records, changes)) if changes else subject.made
    recommender = made.get("learned", made["plain"])
    scores: dict[int, dict[str, float]] = {}
    for person in set(people.values()):
        scores[person] = dict(order(recommender, subject.people[person].liked, 100, OFF))
    if changes:
        subject.drop(made)
    return [scores[i].get(id_, float("nan")) for id_, i in people.items()]


def _without(record: Any, span: str) -> dict[str, Any]:
    """The fields of a record that hold `span`, without it; {} where none does."""
    changed: dict[str, Any] = {}
    for name, value in record.items():
        if name in ("id", "title") or not span:
            continue
        if isinstance(value, str) and span in value:
            changed[name] = value.replace(span, " ").strip()
        elif isinstance(value, list) and span in value:
            changed[name] = [v for v in value if v != span]
    return changed


def _elsewhere(description: str, span: str) -> str:
    """Words of about the span's length from another part of the description; "" if there is no other part."""
    before, _, after = description.partition(span)
    rest = max(before, after, key=len)
    if len(rest) < len(span) // 2 or not rest.strip():
        return ""
    cut = rest[: len(span)]
    return cut[: cut.rfind(" ")] if " " in cut.strip() else cut


def _moved(lists: Sequence[Sequence[Recommendation]]) -> str:
    """Stacked bars: at each place, the mean of each signal over the lists."""
    names = list(dict.fromkeys(name for found in lists for one in found for name in one.signals))
    rows = []
    for place in range(FIRST):
        here = [found[place].signals for found in lists if len(found) > place]
        if here:
            rows.append((f"{place + 1}", {n: float(np.mean([s.get(n, 0.0) for s in here])) for n in names}))
    return bars(rows)


def _example(lists: Sequence[Sequence[Recommendation]]) -> list[dict[str, Any]]:
    found = next((f for f in lists if f), [])
    return [
        {"place": i + 1, "item": one.item.title[:50], **dict(sorted(one.signals.items())), "reason": one.reason[:110]}
        for i, one in enumerate(found)
    ]
