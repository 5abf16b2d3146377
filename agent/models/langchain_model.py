"""LangChain's chat models as ours. Importing this imports langchain_core."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel
from snowmelt.agent.llm import Completion, Message, ModelError, Scores, Unsupported, validated
from snowmelt.agent.models.endpoint import count_tokens, problem_of, with_schema

T = TypeVar("T")


class LangChainLLM:
    """Any LangChain chat model behind our seam.

    Providers keep no deadline, so each call runs in a thread of its own; one that is late is left behind and ends when
    the provider's own time-out does. Schemas go through `with_structured_output` where the model has it, else into the
    prompt. It cannot score or choose. Tokens are counted by cl100k where the provider does not say.
    """

    can_score = False
    writes_well = True

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model
        self.name = f"langchain:{model._get_ls_params().get('ls_model_name') or model._llm_type}"
        ways = ("with_structured_output", "bind_tools")
        self._structures = any(getattr(type(model), w) is not getattr(BaseChatModel, w) for w in ways)

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 256,
        deadline: float | None = None,
    ) -> Completion:
        began = time.monotonic()
        if schema and self._structures:
            found = in_time(lambda: self._structured(messages, schema), deadline)
        else:
            asked = with_schema(messages, schema) if schema else messages
            found = in_time(lambda: self._model.invoke(_outgoing(asked), **self._limits(max_tokens)), deadline)
        text = found.text.strip()
        if not text:
            raise ModelError("empty", "the model gave an empty answer")
        said = str(found.response_metadata.get("finish_reason") or found.response_metadata.get("stop_reason"))
        finish = "length" if said in ("length", "max_tokens") else "stop"
        if schema:
            text = validated(text, schema)
        usage: Any = found.usage_metadata or {}
        tokens_in = usage.get("input_tokens") or sum(count_tokens(m.content) for m in messages)
        return Completion(
            text, tokens_in, usage.get("output_tokens") or count_tokens(text), time.monotonic() - began, finish
        )

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int = 256, deadline: float | None = None
    ) -> Iterator[str]:
        until = None if deadline is None else time.monotonic() + deadline
        pieces = self._model.stream(_outgoing(messages), **self._limits(max_tokens))
        while True:
            piece = in_time(lambda: next(pieces, None), None if until is None else until - time.monotonic())
            if piece is None:
                return
            if piece.text:
                yield piece.text

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        raise Unsupported(f"{self.name}: LangChain gives no likelihood of a text; ask for an order instead")

    def choose(
        self, messages: Sequence[Message], letters: Sequence[str], *, deadline: float | None = None
    ) -> list[float]:
        raise Unsupported(f"{self.name}: LangChain gives no log-probabilities of its own; ask for an order instead")

    def count_tokens(self, text: str) -> int:
        return count_tokens(text)  # the model's own may download a tokeniser

    def close(self) -> None:
        pass

    def _limits(self, max_tokens: int) -> dict[str, Any]:
        return {"max_tokens": max_tokens} if "max_tokens" in type(self._model).model_fields else {}

    def _structured(self, messages: Sequence[Message], schema: type[BaseModel]) -> AIMessage:
        asked = self._model.with_structured_output(schema, include_raw=True)
        found: Any = asked.invoke(_outgoing(messages))
        raw, parsed = found["raw"], found["parsed"]
        if isinstance(parsed, BaseModel):
            raw = raw.model_copy(update={"content": parsed.model_dump_json()})
        return raw


def in_time(work: Callable[[], T], deadline: float | None) -> T:
    done: queue.SimpleQueue[tuple[T | None, ModelError | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except Exception as error:  # a provider's package may raise anything, with prompts and keys in it
            done.put((None, _translated(error)))

    Thread(target=run, name="snowmelt-langchain", daemon=True).start()
    try:
        result, error = done.get(timeout=None if deadline is None else max(deadline, 0.0))
    except queue.Empty:
        raise ModelError("timeout", "the model took longer than it was given") from None
    if error:
        raise error
    return result  # pyright: ignore[reportReturnType]


def _translated(error: Exception) -> ModelError:
    name = type(error).__name__
    if isinstance(error, ModelError):
        return error
    if isinstance(getattr(error, "status_code", None), int):
        return problem_of(error)
    if isinstance(error, TimeoutError) or "Timeout" in name:
        return ModelError("timeout", f"the model gave up waiting ({name})")
    if isinstance(error, ConnectionError) or "Connect" in name:
        return ModelError("unavailable", f"the model cannot be reached ({name})")
    return ModelError("server", f"the model failed ({name})")


def _outgoing(messages: Sequence[Message]) -> list[BaseMessage]:
    kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[m.role](content=m.content) for m in messages]
