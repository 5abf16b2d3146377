"""What a model says of candidates for one person, as one number each: asked in the way that the model can answer.

likelihood: log p of a candidate's title going on the list of liked titles; needs `score`, writes nothing, the cheapest.
letters: log p of each candidate's letter as the answer (FIRST, arXiv 2406.15657); needs `choose`; one forward pass.
listwise: an order of all labels as JSON (RankGPT, arXiv 2304.09542); any model can do this, and it costs the most.

The last two show the candidates in several orders and take the mean, since models favour places (permutation
self-consistency, arXiv 2310.07712). Titles are data: on one line, between marks, and answers are labels alone.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from snowmelt.agent.familiarity import spoken
from snowmelt.agent.llm import LLM, Message, ModelError, Unsupported, validated
from snowmelt.prompts import render
from snowmelt.retrieval.items import visible

Floats = NDArray[np.float32]
How = Literal["likelihood", "letters", "listwise"]
LIKED = 10  # more history does not help (arXiv 2601.20316)
WINDOW = 20  # candidates in one question for a letter: endpoints tell no more than 20 log-probabilities
LINE = 120  # characters of a title in a list
LARGEST = 1e9  # nats


@dataclass(frozen=True)
class ModelSignal:
    """`values` float32 [n], higher is better, on a scale of the question's own (standardise before adding); None if
    the model said nothing of use. `degraded`: what went wrong, in words; "" if nothing did."""

    values: Floats | None
    how: How
    degraded: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0


class Order(BaseModel):
    """The answer to a listwise question: labels, the best first."""

    order: list[str]


def score_candidates(
    llm: LLM,
    liked: Sequence[str],
    titles: Sequence[str],
    *,
    how: How | Literal["auto"] = "auto",
    shuffles: int = 2,
    deadline: float | None = None,
    budget: int | None = None,
) -> ModelSignal:
    """What `llm` says of `titles` (n candidates, best of retrieval first) for a person who likes `liked`, best first.

    "auto" takes the cheapest question that the model can answer. `shuffles`: orders in which the candidates are shown
    (letters, listwise). `deadline`: wall-clock seconds for everything. `budget`: tokens read and written for
    everything; what does not fit is not asked. Never raises for what the model does: see `ModelSignal`.
    """
    began = time.monotonic()
    liked = [_line(t) for t in liked[:LIKED]]
    questions: list[How] = [how] if how != "auto" else ["likelihood", "letters", "listwise"]
    if not titles or not liked:
        return ModelSignal(None, questions[0])
    asked = _Asked(llm, began, deadline, budget)
    lines = [_line(t) for t in titles]
    ask = {"likelihood": _likelihood, "letters": _letters, "listwise": _listwise}
    values, question = None, questions[-1]
    for question in questions:
        if question == "likelihood" and not llm.can_score and how == "auto":
            continue
        try:
            values = ask[question](asked, liked, lines, shuffles)
        except Unsupported as error:
            if how != "auto":
                asked.wrong.append(str(error))
            continue
        break
    if values is not None and not np.isfinite(values).all():
        values = None
        asked.wrong.append("the model's numbers are not finite")
    if values is not None and len(values) > 1 and values.max() == values.min():
        asked.wrong.append("the model said the same of every candidate")
    result = None if values is None else values.astype(np.float32)
    why = "; ".join(dict.fromkeys(asked.wrong))
    return ModelSignal(result, question, why, asked.tokens_in, asked.tokens_out, time.monotonic() - began)


@dataclass
class _Asked:
    """The running account of one call: time and tokens left, and what went wrong."""

    llm: LLM
    began: float
    deadline: float | None
    budget: int | None

    def __post_init__(self) -> None:
        self.tokens_in = self.tokens_out = 0
        self.wrong: list[str] = []

    def left(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.began + self.deadline - time.monotonic())

    def affords(self, tokens: int) -> bool:
        return self.budget is None or self.tokens_in + self.tokens_out + tokens <= self.budget


def _likelihood(
    asked: _Asked, liked: Sequence[str], titles: Sequence[str], shuffles: int
) -> NDArray[np.float64] | None:
    """Mean over the title's tokens: beside the sum and the sum over the square root of the length it was the best of
    the three after a list of likes (not so in familiarity, where titles stand alone)."""
    llm, prompt = asked.llm, render("rank", titles=", ".join(spoken(t) for t in liked))
    texts = [f" {spoken(t)}" for t in titles]
    if asked.budget is not None:
        tokens = np.cumsum([llm.count_tokens(t) for t in texts]) + llm.count_tokens(prompt)
        texts = texts[: int((tokens <= asked.budget).sum())]
        if len(texts) < len(titles):
            asked.wrong.append(f"the token budget was enough for {len(texts)} of {len(titles)} candidates")
    if not texts:
        return None
    try:
        scores = llm.score(prompt, texts, deadline=asked.left())
    except Unsupported:
        raise
    except ModelError as error:
        asked.wrong.append(f"{error.kind}: {error}")
        return None
    asked.tokens_in += scores.tokens_in
    found = _numbers(scores.logprobs, len(texts))
    if found is None:
        asked.wrong.append("malformed: not one likelihood for each candidate")
        return None
    return np.concatenate([found, np.full(len(titles) - len(found), found.mean())])


def _letters(asked: _Asked, liked: Sequence[str], titles: Sequence[str], shuffles: int) -> NDArray[np.float64] | None:
    """Mean over the orders of log(p x candidates shown): 0 is what chance would give."""
    groups = -(-len(titles) // WINDOW)
    total, count = np.zeros(len(titles)), np.zeros(len(titles))
    for order in _orders(len(titles), shuffles):
        for part in (order[g::groups] for g in range(groups)):
            labels = _labels(len(part))
            messages = _question("rank_letters", liked, titles, part, labels)
            if not asked.affords(cost := sum(asked.llm.count_tokens(m.content) for m in messages)):
                asked.wrong.append("the token budget is used up")
                continue
            try:
                found = asked.llm.choose(messages, labels, deadline=asked.left())
            except Unsupported:
                raise
            except ModelError as error:
                asked.wrong.append(f"{error.kind}: {error}")
                if error.kind == "timeout":
                    return _mean(total, count)
                continue
            asked.tokens_in += cost
            asked.tokens_out += 1
            found = _numbers(found, len(part))
            if found is None:
                asked.wrong.append("malformed: not one probability for each candidate")
                continue
            total[part] += found + np.log(len(part))
            count[part] += 1
    return _mean(total, count)


def _listwise(asked: _Asked, liked: Sequence[str], titles: Sequence[str], shuffles: int) -> NDArray[np.float64] | None:
    """Mean over the orders of a candidate's place from the end, 0..1; what an answer leaves out shares what is left."""
    total, count, labels = np.zeros(len(titles)), np.zeros(len(titles)), _labels(len(titles))
    for order in _orders(len(titles), shuffles):
        messages = _question("rank_list", liked, titles, order, labels)
        room = 32 + 6 * len(titles)
        if not asked.affords(room + sum(asked.llm.count_tokens(m.content) for m in messages)):
            asked.wrong.append("the token budget is used up")
            break
        try:
            done = asked.llm.complete(messages, schema=Order, max_tokens=room, deadline=asked.left())
            asked.tokens_in, asked.tokens_out = asked.tokens_in + done.tokens_in, asked.tokens_out + done.tokens_out
            given = Order.model_validate_json(validated(done.text, Order)).order
        except Unsupported:
            raise
        except ModelError as error:
            asked.wrong.append(f"{error.kind}: {error}")
            if error.kind == "timeout":
                break
            continue
        place = {label: i for i, label in enumerate(labels)}
        named = list(dict.fromkeys(order[place[g]] for g in (g.strip().upper() for g in given) if g in place))
        if len(named) < len(titles) or len(given) > len(named):
            asked.wrong.append(
                f"the answer named {len(named)} of {len(titles)} candidates, {len(given)} entries in all"
            )
        if not named:
            continue
        values = np.full(len(titles), (len(titles) - len(named) - 1) / 2)
        values[named] = len(titles) - 1 - np.arange(len(named))
        total += values / max(1, len(titles) - 1)
        count += 1
    return _mean(total, count)


def _numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    """float64 [count]; None if it is anything else, or larger than any log-probability (float32 would overflow)."""
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.shape == (count,) and not (np.abs(found) > LARGEST).any() else None


def _mean(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Of what was asked; a candidate that was not gets the mean of the others. None if nothing was."""
    if not count.any():
        return None
    values = total / np.maximum(count, 1)
    values[count == 0] = values[count > 0].mean()
    return values


def _orders(n: int, shuffles: int) -> list[list[int]]:
    """As given, then reversed (which cancels what grows with the place), then shuffles, always the same."""
    rng = np.random.default_rng(n)
    ways = [list(range(n)), list(range(n))[::-1], *(rng.permutation(n).tolist() for _ in range(shuffles - 2))]
    return ways[: max(1, shuffles)]


def _labels(n: int) -> list[str]:
    """A..Z, then AA, AB ..."""
    return [chr(65 + i) if i < 26 else chr(64 + i // 26) + chr(65 + i % 26) for i in range(n)]


def _question(
    name: str, liked: Sequence[str], titles: Sequence[str], order: Sequence[int], labels: Sequence[str]
) -> list[Message]:
    listed = "\n".join(f"{label}. {titles[i]}" for label, i in zip(labels, order, strict=True))
    return [
        Message(
            "user", render(name, liked="\n".join(f"- {t}" for t in liked), candidates=listed, count=str(len(order)))
        )
    ]


def _line(title: str) -> str:
    """One line without marks: a title cannot close the list that it stands in."""
    return " ".join(visible(title[: 4 * LINE]).replace("<", "(").replace(">", ")").split())[:LINE]
