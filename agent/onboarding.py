"""Which question next, or none. The number of questions is bounded here, in code."""

from collections import Counter

import numpy as np
from snowmelt.agent.types import Option, Profile, Question
from snowmelt.retrieval.catalogue import Catalogue

MOST = 3  # questions before the first list
_OPEN = {"en": "Tell me one or two things you love, and why.", "zh": "说说一两个你喜欢的，以及为什么？"}
_PICK = {"en": "Which of these sounds right today?", "zh": "今天想要哪一种？"}


def next_question(catalogue: Catalogue, profile: Profile, asked: tuple[str, ...], language: str) -> Question | None:
    """An open question first; then the list attribute whose values split the likeliest items most evenly (entropy)."""
    if len(asked) >= MOST or len(profile.likes) + len(profile.constraints) >= 4:
        return None
    if profile.empty and "open" not in asked:
        return Question(kind="open", about="open", text=_OPEN[language])
    known = {e.attribute for e in (*profile.likes, *profile.dislikes)} | set(asked)
    rows = np.flatnonzero(catalogue.mask(profile.constraints))
    if profile.likes:
        vectors = catalogue.embedder.queries([e.text for e in profile.likes])
        rows = rows[np.argsort(-(catalogue.vectors[rows] @ vectors.T).max(1), kind="stable")[:100]]
    best: tuple[float, str, list[str]] | None = None
    for name in sorted(
        {a for a, x in catalogue.schema.attributes.items() if x.kind == "list"} - known
    ):
        counts = Counter(v for r in rows for v in (catalogue.items[r].attributes.get(name) or ()) if isinstance(v, str))
        options = [v for v, n in counts.most_common(5) if n >= 3]
        shares = np.array([counts[v] / max(len(rows), 1) for v in options]).clip(1e-6, 1 - 1e-6)
        gain = float(-(shares * np.log2(shares) + (1 - shares) * np.log2(1 - shares)).sum())
        if len(options) >= 3 and (best is None or gain > best[0]):
            best = (gain, name, options)
    if best is None:
        return None
    _, name, values = best
    options = tuple(Option(text=v, attribute=name) for v in values)
    text = f"{_PICK[language]} {' / '.join(values)}" + ("（或者“随便”）" if language == "zh" else " (or “any”)")
    return Question(kind="attribute", about=name, text=text, options=options)
