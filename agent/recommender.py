"""The whole loop on one screen: understand, ask or answer, retrieve, rank, explain."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent import calibration, familiarity
from snowmelt.agent.after import POOL, USUAL, After, arrange, in_order
from snowmelt.agent.dialogue import stream, turn
from snowmelt.agent.familiarity import Familiarity
from snowmelt.agent.feedback import Kind, count, with_feedback
from snowmelt.agent.llm import LLM, open_llm
from snowmelt.agent.phrases import Language
from snowmelt.agent.ranking import BOUND, bounded, rank, recommendable
from snowmelt.agent.reasons import explain_all
from snowmelt.agent.scoring import score_candidates
from snowmelt.agent.types import Conversation, Profile, Recommendation, Reply
from snowmelt.agent.understanding import Vocabulary
from snowmelt.retrieval import fitting
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.embedding import Embedder
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.filters import meets
from snowmelt.retrieval.fusion import standardise
from snowmelt.retrieval.learned import Learned

# Of the model's opinion on a model that was never calibrated (`snowmelt calibrate`), in standard deviations of what it
# is added to. Beside learned behaviour small models add nothing that can be measured (docs/results.md): not asked.
WEIGHT = 0.2
ASKED = 30  # candidates that the model is asked about at most: no more than can come into the list (`BOUND`)
DEADLINE = 20.0  # seconds for the model; then the list stands without it and is marked degraded


@dataclass
class Recommender:
    """Reads one catalogue with one model (None: retrieval alone). Safe to share between threads: it keeps no person.

    `learned`: what `snowmelt fit` stored, `familiarity`: what the model has heard of; None where there is neither.
    `prior` float32 [items]: how well known items are by the better of the two, mean 0, deviation 1. `popularity` the
    same for what comes `after` ranking: ln(1 + likes), or familiarity.
    """

    catalogue: Catalogue
    llm: LLM | None
    deadline: float | None = DEADLINE
    after: After = USUAL
    learned: Learned | None = field(init=False)
    familiarity: Familiarity | None = field(init=False)
    prior: NDArray[np.float32] | None = field(init=False)
    popularity: NDArray[np.float32] | None = field(init=False)
    _state: tuple[str, int] = field(init=False)
    _vocabulary: Callable[[], Vocabulary] = field(init=False, repr=False)
    _stored: fitting.Stored | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._vocabulary = cache(partial(Vocabulary.of, self.catalogue))
        self.familiarity = familiarity.stored(self.catalogue.dir, self.catalogue.titles)
        self._take_up()

    def _take_up(self) -> None:
        """What was learned, and what arrived since. From the disk only where another version is in use."""
        self._state, before = fitting.state(self.catalogue.dir), self._stored
        heard = self.familiarity.trusted if self.familiarity is not None else None
        if before is None or before.version != self._state[0]:
            own = before.learned.content if before is not None else None
            self._stored = fitting.stored(self.catalogue, heard, own)
        self.learned = self._stored.now(self.catalogue) if self._stored is not None else None
        self.prior = self.popularity = None
        if self.learned is not None:
            self.prior, self.popularity = self.learned.prior(), self.learned.popularity()
        elif self.familiarity is not None and self.familiarity.weight > 0:
            self.prior = self.popularity = np.float32(self.familiarity.weight) * self.familiarity.values

    @property
    def vocabulary(self) -> Vocabulary:
        """What can be mentioned in a conversation: read from all titles once, when it is first asked for, also by a
        `fresh` one."""
        return self._vocabulary()

    def fresh(self) -> "Recommender":
        """This one, or one with what was learned or arrived since (the catalogue's items are `Catalogue.fresh`)."""
        if self._state == fitting.state(self.catalogue.dir):
            return self
        made = copy.copy(self)
        made._take_up()
        return made

    def feedback(self, profile: Profile, item_id: str, kind: Kind, seconds: float | None = None) -> Profile:
        """The profile after an event on an item (`with_feedback`), which also teaches everybody's lists where behaviour
        was fitted: kept as counts beside the catalogue, in use from the next list on; nothing of the person is. Raises
        InputError for an unknown item."""
        row = self.catalogue.rows.get(item_id)
        if row is None:
            raise InputError(f"feedback: {self.catalogue.dir} has no item {item_id!r}")
        now = with_feedback(profile, self.catalogue.items[row], kind, seconds)
        if self.learned is not None:
            count(self.catalogue.dir, profile, now, item_id)
            self._take_up()
        return now

    @classmethod
    def open(
        cls, directory: Path | str, model: str | LLM | None = None, *, base_url: str | None = None,
        api_key: str | None = None, embedder: Embedder | None = None,
    ) -> "Recommender":  # fmt: skip
        """`model`: None, a name (see `open_llm`, which gets `base_url` and `api_key`), or an LLM. `embedder` None opens
        the one that the catalogue was made with. Raises InputError with one line."""
        llm = open_llm(model, base_url=base_url, api_key=api_key) if isinstance(model, str) else model
        return cls(Catalogue.open(directory, embedder), llm)

    def recommend(self, profile: Profile, limit: int = 5, after: After | None = None) -> list[Recommendation]:
        """min(limit, available) distinct items, best first: all constraints met, none seen; `after` None: its own."""
        return self.ranked(profile, limit, after)[0]

    def ranked(
        self, profile: Profile, limit: int, after: After | None = None, *, language: Language | None = None
    ) -> tuple[list[Recommendation], bool]:
        """As `recommend`, and whether the model failed (`degraded`). `language` of the reasons; None: of the person's
        last words."""
        if limit < 1:
            raise InputError(f"limit {limit}: must be at least 1")
        rows, signals = rank(
            self.catalogue, profile, max(POOL, limit), allowed=recommendable(self.catalogue, profile),
            learned=self.learned, familiarity=self.familiarity,
        )  # fmt: skip
        if not rows:
            return [], False
        base = np.sum(list(signals.values()), axis=0) if signals else np.zeros(len(rows), np.float32)
        chosen = arrange(after or self.after, self.catalogue, profile, rows, base, limit, self.popularity)
        chosen = chosen[: max(ASKED, limit)]
        rows, before, base = [rows[i] for i in chosen], base[chosen], in_order(base, chosen)
        signals = {name: values[chosen] for name, values in signals.items()} | {"after": base - before}
        total, degraded = base, False
        titles, at = self.catalogue.titles, self.catalogue.rows
        liked = [titles[at[i]] for i in profile.liked_ids if i in at] or [e.text for e in profile.likes]
        found = calibration.stored(self.catalogue.dir, self.llm) if self.llm is not None else None
        weight = found.of(len(liked)) if found else 0.0 if self.learned is not None else WEIGHT
        if self.llm is not None and liked and weight > 0:
            how = found.how if found and found.how else "auto"
            candidates = [titles[r] for r in rows[: min(ASKED, limit + BOUND)]]
            said = score_candidates(self.llm, liked, candidates, how=how, deadline=self.deadline)
            degraded = bool(said.degraded)
            if said.values is not None:
                opinion = np.zeros(len(rows), np.float32)
                spread = float(np.std(base[:ASKED])) or 1.0
                opinion[: len(candidates)] = weight * spread * standardise(said.values)
                signals["llm"], total = opinion, base + opinion
        order, items = [], []
        for i in bounded(base.tolist(), total.tolist()):
            item = self.catalogue.items[rows[i]]
            if meets(item, profile.constraints, self.catalogue.schema.attributes):
                order.append(i)
                items.append(item)
            if len(order) == limit:
                break
        return [
            Recommendation(
                item=item,
                score=round(float(total[i]), 4),
                reasons=reasons,
                signals={name: round(float(values[i]), 4) for name, values in signals.items()},
            )
            for i, item, reasons in zip(
                order, items, explain_all(self.catalogue, items, profile, language), strict=True
            )
        ], degraded

    def reply(self, conversation: Conversation, text: str) -> tuple[Conversation, Reply]:
        """One turn. The conversation that comes back is all the state there is."""
        return turn(self, conversation, text)

    def stream(self, conversation: Conversation, text: str) -> Iterator[str | tuple[Conversation, Reply]]:
        """`reply` in pieces: those of its text as they come (joined they are the text), and at last what it gives."""
        return stream(self, conversation, text)
