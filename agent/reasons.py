"""Reasons that can be checked: each one cites a span of the item and words of the person; what does not check is dropped."""

from snowmelt.agent.types import Profile, Reason
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.items import Item


def explain(catalogue: Catalogue, item: Item, profile: Profile, most: int = 2) -> tuple[Reason, ...]:
    """At most `most` verified reasons, the plainest first: shared values, then shared words with a liked item."""
    found = []
    for entry in profile.likes:
        said = entry.evidence or entry.text
        if entry.item_id in catalogue.rows:
            other = catalogue.items[catalogue.rows[entry.item_id]]
            shared = [v for v in _values(item) if v in _values(other)]
            if shared:
                text = f"Shares {', '.join(shared[:3])} with {other.title}."
                found.append(Reason(text=text, span=shared[0], evidence=said))
        elif entry.attribute and entry.text in _values(item):
            found.append(Reason(text=f"You asked for {entry.text}.", span=entry.text, evidence=said))
    for limit in profile.constraints:
        value = item.attributes.get(limit.attribute)
        if limit.op in ("le", "ge") and isinstance(value, float):
            text = f"{limit.attribute.replace('_', ' ').capitalize()} {value:g}: within your limit."
            found.append(Reason(text=text, span=f"{value:g}", evidence=limit.evidence or limit.words()))
    return tuple(r for r in dict.fromkeys(found) if verified(r, item, profile))[:most]


def _values(item: Item) -> list[str]:
    return [v for value in item.attributes.values() if isinstance(value, tuple) for v in value]


def verified(reason: Reason, item: Item, profile: Profile) -> bool:
    """Is the span in the item (text or a number of it), and the evidence among the person's own words?"""
    facts = {f"{v:g}" for v in item.attributes.values() if isinstance(v, float)}
    said = {e.evidence or e.text for e in profile.likes} | {c.evidence or c.words() for c in profile.constraints}
    return (reason.span in item.text or reason.span in facts) and reason.evidence in said
