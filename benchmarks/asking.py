"""Strategies of asking, compared by the harness with a simulated user who answers only what is asked.

    snowmelt eval DATA --split conversation --reveal 0,1,2,3,5,8 \\
        --arms "popularity,benchmarks/asking.py:talking(strategy=ours),benchmarks/asking.py:talking(strategy=random)"

Strategies: ours, random, popularity, entropy, none (`snowmelt.agent.onboarding.choose`). All are scored by the same
plain ranking, so that only the questions differ: what warm people like, plus co-likes with the liked items (cosine of
the columns, damped by 5), plus half a deviation for a chosen value.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.belief import Grounds, Told, Value
from snowmelt.agent.onboarding import Candidate, choose
from snowmelt.evals.systems import Answer, Asked, Case, Option, Said, Train
from snowmelt.evals.text_arms import item_vectors

MOST = 12  # questions; the harness looks at what is known after fewer
SHARED = 48  # dimensions of the co-like vectors that nearness is read from, beside the texts


class Talking:
    """The fitted arm."""

    def __init__(self, train: Train) -> None:
        self.train, self.strategy = train, str(train.settings.get("strategy", "ours"))
        likes = np.asarray(train.likes.sum(0), np.float32).ravel()
        self.prior = (likes / max(train.people, 1)).astype(np.float32)
        together = np.asarray((train.likes.T @ train.likes).todense(), np.float32)
        norm = np.sqrt(np.maximum(likes, 1))
        together /= norm[:, None] * (norm[None, :] + 5)
        np.fill_diagonal(together, 0)
        texts = item_vectors(train)
        self.together = together if together.any() else texts @ texts.T
        known = self.prior if self.prior.any() else None
        titles = [str(record["title"]) for record in train.records]
        self.grounds = Grounds(np.concatenate([_shared(train), 0.5 * texts], 1), known, _values(train), titles)

    def __call__(self, case: Case) -> Answer:
        return Answer(self.scores([self.train.rows[i] for i in case.liked]))

    def scores(self, liked: Sequence[int]) -> NDArray[np.float64]:
        base = _standard(np.sqrt(self.prior))
        return base + 1.5 * _standard(self.together[list(liked)].sum(0)) if liked else base

    def talk(self, number: int) -> "Talk":
        return Talk(self, number)


class Talk:
    """One conversation: what was told, and the question that is open."""

    def __init__(self, arm: Talking, number: int) -> None:
        self.arm, self.number, self.told = arm, number, Told()
        self.asked: tuple[str, ...] = ()
        self.gone: frozenset[int] = frozenset()
        self.question: Candidate | None = None

    def say(self, text: str) -> Said:
        if self.question is not None:
            self.told = self._heard(self.question, text)
        scores = self.arm.scores(self.told.liked)
        for value in self.arm.grounds.values:
            key = (value.attribute, value.text)
            scores[value.rows] += 0.5 * (key in self.told.liked_values) - 0.1 * (key in self.told.declined_values)
        scores[list(self.told.liked)] = scores.min() - 1
        strategy = self.arm.strategy
        self.question = choose(
            self.arm.grounds, self.told, self.asked, strategy, gone=self.gone, most=MOST, seed=self.number  # type: ignore[arg-type]
        )  # fmt: skip
        if self.question is None:
            return Said(Answer(scores))
        self.asked, self.gone = (*self.asked, self.question.about), self.gone | set(self.question.rows)
        options = [Option(self.arm.grounds.titles[r], item_id=self.arm.train.ids[r]) for r in self.question.rows]
        options += [Option(v.text, attribute=v.attribute) for v in self.question.values]
        return Said(Answer(scores), Asked(self.question.kind, "?", tuple(options)))

    def _heard(self, q: Candidate, text: str) -> Told:
        told, titles = self.told, self.arm.grounds.titles
        if q.kind == "open":
            named = [v for v in self.arm.grounds.values if v.attribute == "categories" and v.text in text]
            return replace(told, liked_values=(*told.liked_values, *((v.attribute, v.text) for v in named)))
        rows = [r for r in q.rows if titles[r] in text]
        values = [(v.attribute, v.text) for v in q.values if v.text == text]
        if not rows and not values and not text.startswith("None"):
            return told  # does not know, or will not say
        return replace(
            told,
            liked=(*told.liked, *rows),
            liked_values=(*told.liked_values, *values),
            declined_items=(*told.declined_items, *(r for r in q.rows if r not in rows)),
            declined_values=(
                *told.declined_values,
                *((v.attribute, v.text) for v in q.values if (v.attribute, v.text) not in values),
            ),
        )


def talking(train: Train) -> Talking:
    return Talking(train)


def _standard(x: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray((x - x.mean()) / max(float(x.std()), 1e-9), np.float64)


def _shared(train: Train) -> NDArray[np.float32]:
    """Items by the people who like them, in few dimensions (truncated SVD), rows of length 1; nothing for no likes."""
    from scipy.sparse.linalg import svds

    if train.likes.nnz == 0 or min(train.likes.shape) < 3:
        return np.zeros((len(train.ids), 1), np.float32)
    scale = 1 / np.sqrt(np.maximum(np.asarray(train.likes.sum(0)).ravel(), 1))
    _, s, vt = svds(
        train.likes.astype(np.float64).multiply(scale).tocsr(),
        k=min(SHARED, min(train.likes.shape) - 1),
        random_state=0,  # pyright: ignore[reportCallIssue]  (stubs lag)
    )
    out = vt.T * s
    return (out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _values(train: Train) -> tuple[Value, ...]:
    rows: dict[tuple[str, str], list[int]] = {}
    for row, record in enumerate(train.records):
        for name, value in record.items():
            if name in ("id", "title", "description") or name.endswith("_id"):
                continue
            for one in value if isinstance(value, list | tuple) else (value,):
                if isinstance(one, str) and one:
                    rows.setdefault((name, one), []).append(row)
    n = len(train.ids)
    return tuple(Value(a, t, np.array(r)) for (a, t), r in rows.items() if 0.004 * n <= len(r) <= 0.7 * n)
