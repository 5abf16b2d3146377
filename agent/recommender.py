"""The whole loop on one screen: understand, ask or answer, retrieve, rank, explain."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from snowmelt.agent.dialogue import turn
from snowmelt.agent.llm import LLM, open_llm
from snowmelt.agent.ranking import bounded, likelihood, retrieve, standardise
from snowmelt.agent.reasons import explain
from snowmelt.agent.types import Conversation, Profile, Recommendation, Reply
from snowmelt.agent.understanding import Vocabulary
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.errors import InputError

WEIGHT = 0.5  # of the model's likelihood beside the standardised retrieval signals; not tuned yet (issue 4)
DEADLINE = 20.0  # seconds for the model; then the list stands on retrieval alone and is marked degraded


@dataclass
class Recommender:
    """Reads one catalogue with one model (None: retrieval alone). Safe to share between threads: it keeps no person."""

    catalogue: Catalogue
    llm: LLM | None
    deadline: float | None = DEADLINE
    vocabulary: Vocabulary = field(init=False)

    def __post_init__(self) -> None:
        if self.llm is not None and not self.llm.can_score:
            # better refused than accepted and never asked: ranking is by likelihood alone as yet
            raise InputError(
                f"model {self.llm.name}: gives no likelihoods, so it cannot rank yet; use local or gguf:/path"
            )
        self.vocabulary = Vocabulary.of(self.catalogue)

    @classmethod
    def open(cls, directory: Path | str, model: str | LLM | None = None) -> "Recommender":
        """`model`: None, "local", "gguf:/path", or an LLM. Raises InputError with one line."""
        llm = open_llm(model) if isinstance(model, str) else model
        return cls(Catalogue.open(directory), llm)

    def recommend(self, profile: Profile, limit: int = 5) -> list[Recommendation]:
        """min(limit, available) distinct items, best first: all constraints met, none seen."""
        return self.ranked(profile, limit)[0]

    def ranked(self, profile: Profile, limit: int) -> tuple[list[Recommendation], bool]:
        """As `recommend`, and whether the model failed (`degraded`)."""
        if limit < 1:
            raise InputError(f"limit {limit}: must be at least 1")
        allowed = self.catalogue.mask(profile.constraints)
        for id_ in {*profile.seen, *profile.liked_ids, *profile.disliked_ids}:
            if id_ in self.catalogue.rows:
                allowed[self.catalogue.rows[id_]] = False
        rows, signals = retrieve(self.catalogue, profile, allowed, max(30, limit))
        if not rows:
            return [], False
        base = np.sum(list(signals.values()), axis=0)
        total, degraded = base, False
        items = [self.catalogue.items[r] for r in rows]
        liked = [
            self.catalogue.items[self.catalogue.rows[i]].title for i in profile.liked_ids if i in self.catalogue.rows
        ]
        liked = liked or [e.text for e in profile.likes]
        if self.llm is not None and self.llm.can_score and liked:
            raw = likelihood(self.llm, liked, [i.title for i in items], self.deadline)
            degraded = raw is None
            if raw is not None:
                signals["llm"] = WEIGHT * standardise(raw)
                total = base + signals["llm"]
        order = bounded(base.tolist(), total.tolist())[:limit]
        return [
            Recommendation(
                item=items[i],
                score=round(float(total[i]), 4),
                reasons=explain(self.catalogue, items[i], profile),
                signals={name: round(float(values[i]), 4) for name, values in signals.items()},
            )
            for i in order
        ], degraded

    def reply(self, conversation: Conversation, text: str) -> tuple[Conversation, Reply]:
        """One turn. The conversation that comes back is all the state there is."""
        return turn(self, conversation, text)
