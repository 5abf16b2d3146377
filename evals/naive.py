"""The naive LLM arm: the prompt most people write. Embed, take the nearest, list them, ask for a ranking as JSON.

It is here to be beaten, or not: nothing is cheated in its favour (no gold item is put among the candidates) and nothing
against it (a broken reply falls back to the retrieval order, and is counted as degraded).
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel
from snowmelt.evals.systems import Answer, Case, Scorer, Train
from snowmelt.evals.text_arms import item_vectors, texts_of
from snowmelt.prompts import render
from snowmelt.retrieval import prior
from snowmelt.retrieval.errors import InputError

if TYPE_CHECKING:
    from snowmelt.agent.llm import LLM, Message

PROMPT = "naive_rank"
POOL = 20  # candidates listed: what fits a small model's context with a line each
LIKES = 10  # more history does not help (arXiv 2601.20316)
LINE = 160  # characters of an item's text in the prompt
TOKENS = 160  # room for twenty numbers in JSON
SECONDS = 300.0  # a judge can wait: a loaded machine must not decide


class Ranking(BaseModel):
    """The reply asked for: candidate numbers from 1, best first."""

    ranking: list[int]


def complete_cached(
    cache: Path, llm: "LLM", prompt: str, messages: Sequence["Message"], max_tokens: int, deadline: float
) -> tuple[dict[str, Any], bool]:
    """A completion as a dict (text, tokens_in, tokens_out, seconds), and whether it came from `cache`.

    The key is everything that decides the reply: model, prompt id, messages, length. Failures are not kept.
    """
    asked = [llm.name, prompt, [(m.role, m.content) for m in messages], max_tokens]
    path = cache / "replies" / f"{sha256(json.dumps(asked, ensure_ascii=False).encode()).hexdigest()}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8")), True
    done = llm.complete(messages, max_tokens=max_tokens, deadline=deadline)
    reply = {"text": done.text, "tokens_in": done.tokens_in, "tokens_out": done.tokens_out, "seconds": done.seconds}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(reply, ensure_ascii=False), encoding="utf-8")
    unfinished.replace(path)
    return reply, False


def naive_llm(train: Train) -> Scorer:
    """Dense retrieval of 20 candidates (or those shown, up to 50), one prompt, one JSON ranking."""
    from snowmelt.agent.llm import Message, ModelError, open_llm, validated

    if train.model is None:
        raise InputError("naive-llm needs --model (local, gguf:/path/to/model.gguf or openai:NAME)")
    llm = open_llm(train.model)
    vectors, texts, popular = item_vectors(train), texts_of(train), prior.popularity(train.likes)

    def retrieve(case: Case) -> list[int]:
        rows = np.array([train.rows[i] for i in case.candidates] if case.candidates else range(len(train.ids)))
        rows = rows[~np.isin(rows, [train.rows[i] for i in case.revealed])]
        if case.candidates and len(rows) <= 50:
            return rows.tolist()
        liked = [train.rows[i] for i in case.liked]
        scores = (vectors[liked].mean(axis=0) @ vectors.T if liked else popular)[rows]
        return rows[np.argsort(-scores, kind="stable")[:POOL]].tolist()

    def score(case: Case) -> Answer:
        pool = retrieve(case)
        likes = "\n".join(f"- {texts[train.rows[i]][:LINE]}" for i in case.liked[:LIKES]) or "- (nothing known yet)"
        listed = "\n".join(f"{n}. {texts[row][:LINE]}" for n, row in enumerate(pool, 1))
        messages = [Message("user", render(PROMPT, likes=likes, candidates=listed))]
        reply: Mapping[str, Any] = {"text": "", "tokens_in": 0, "tokens_out": 0, "seconds": None}
        order, why, cached = [], "", False
        try:
            reply, cached = complete_cached(train.cache, llm, PROMPT, messages, TOKENS, SECONDS)
            given = Ranking.model_validate_json(validated(reply["text"], Ranking)).ranking
            order = [pool[n - 1] for n in dict.fromkeys(given) if 1 <= n <= len(pool)]
            if len(order) < len(pool) or len(given) != len(order):
                why = "the reply left out, repeated or made up candidates"
        except ModelError as error:
            why = f"{error.kind}: retrieval order"
        ranked = [*order, *(row for row in pool if row not in set(order))]
        call = {"prompt": PROMPT, "model": llm.name, "cached": cached, "degraded": why, **reply}
        scores = {train.ids[row]: float(len(ranked) - place) for place, row in enumerate(ranked)}
        return Answer(scores, why, reply["tokens_in"], reply["tokens_out"], reply["seconds"], (call,))

    return score
