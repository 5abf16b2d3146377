"""Snowmelt for LangChain: our models as a chat model, a catalogue as a retriever, a recommender as tools for an agent.

Importing this imports langchain_core; nothing else of Snowmelt imports it. The other way is `langchain_model`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, Field, RootModel
from snowmelt.agent.desk import Desk
from snowmelt.agent.llm import Message
from snowmelt.agent.models.langchain_model import LangChainLLM
from snowmelt.agent.ranking import rank
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Profile
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.errors import InputError

__all__ = ["LangChainLLM", "SnowmeltChatModel", "SnowmeltRetriever", "tools"]


def _incoming(messages: Sequence[BaseMessage]) -> list[Message]:
    roles = {"system": "system", "human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
    for m in messages:
        if m.type not in roles:
            raise InputError(f"SnowmeltChatModel: takes no {m.type} message; it has no tools")
    return [Message(roles[m.type], m.text) for m in messages]  # pyright: ignore[reportArgumentType]


class SnowmeltChatModel(BaseChatModel):
    """Any of our models (`llm`) for LangChain: invoke, stream, batch and structured output; no tools, text only.

    `timeout` is a wall-clock limit in seconds for each answer. Errors are `ModelError`.
    """

    llm: Any
    max_tokens: int = 256
    timeout: float | None = None
    stop: list[str] | None = Field(default=None, description="texts that end an answer where they begin")

    @property
    def _llm_type(self) -> str:
        return "snowmelt"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.llm.name, "max_tokens": self.max_tokens, "stop": self.stop}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(
            ls_provider="snowmelt",
            ls_model_name=kwargs.get("model", self.llm.name),
            ls_model_type="chat",
            ls_temperature=0.0,
            ls_max_tokens=self.max_tokens,
            ls_stop=stop or self.stop or None,
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        schema = kwargs.get("schema")
        done = self.llm.complete(
            _incoming(messages), schema=schema, max_tokens=kwargs.get("max_tokens", self.max_tokens),
            deadline=self.timeout,
        )  # fmt: skip
        text = done.text if schema else _until(done.text, stop or self.stop or [])
        usage = {"input_tokens": done.tokens_in, "output_tokens": done.tokens_out}
        message = AIMessage(
            content=text,
            usage_metadata={**usage, "total_tokens": sum(usage.values())},  # pyright: ignore[reportArgumentType]
            response_metadata={"model_name": self.llm.name, "finish_reason": done.finish},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if kwargs.get("schema"):
            whole = self._generate(messages, stop, None, **kwargs).generations[0].message
            pieces, asked, ends = iter([whole.text]), _incoming(messages), []
        else:
            asked, ends = _incoming(messages), stop or self.stop or []
            limit = kwargs.get("max_tokens", self.max_tokens)
            pieces = self.llm.stream(asked, max_tokens=limit, deadline=self.timeout)
        written = ""
        for piece in _stopped(pieces, ends):
            written += piece
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk
        usage = {
            "input_tokens": sum(self.llm.count_tokens(m.content) for m in asked),
            "output_tokens": self.llm.count_tokens(written),
        }
        last = AIMessageChunk(
            content="",
            usage_metadata={**usage, "total_tokens": sum(usage.values())},  # pyright: ignore[reportArgumentType]
            response_metadata={"model_name": self.llm.name, "finish_reason": "stop"},
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=last)

    def get_num_tokens(self, text: str) -> int:
        return self.llm.count_tokens(text)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers that validate: an instance for a pydantic class, a dict for a JSON schema or a TypedDict.

        Embedded models are held to the schema by a grammar. `method` and `strict` are accepted and change nothing.
        """
        shape = convert_to_json_schema(schema)
        ours = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else _as_model(shape)
        bound = self.bind(schema=ours, ls_structured_output_format={"kwargs": {}, "schema": shape})
        parser: Any = JsonOutputParser()
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            parser = PydanticOutputParser(pydantic_object=schema)
        if not include_raw:
            return bound | parser
        parsed = RunnablePassthrough.assign(parsed=lambda x: parser.invoke(x["raw"]), parsing_error=lambda _: None)
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _as_model(shape: dict[str, Any]) -> type[BaseModel]:
    """A class whose JSON schema is `shape` and that takes any object: the shape itself is the endpoint's to keep."""

    class Shaped(RootModel[dict[str, Any]]):
        @classmethod
        def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
            return shape

    Shaped.__name__ = str(shape.get("title", "Answer"))
    return Shaped


def _until(text: str, stops: Sequence[str]) -> str:
    return text[: min((i for s in stops if s and (i := text.find(s)) >= 0), default=len(text))]


def _stopped(pieces: Iterator[str], stops: Sequence[str]) -> Iterator[str]:
    """The pieces up to the first stop, which may lie across two of them; what may begin one is held back."""
    longest = max(map(len, stops), default=0)
    held = ""
    for piece in pieces:
        held += piece
        cut = _until(held, stops)
        if cut != held:
            if cut:
                yield cut
            return
        safe = len(held) - max(longest - 1, 0)
        if safe > 0:
            yield held[:safe]
            held = held[safe:]
    if held:
        yield held


class SnowmeltRetriever(BaseRetriever):
    """The `k` items of a catalogue that a text asks for, by vectors and words together, one Document for each.

    `page_content` is the item's text; metadata: "id", "title" and "attributes".
    """

    catalogue: Any
    k: int = 10

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        return [_document(self.catalogue, row) for row in _found(self.catalogue, query, k or self.k)]


def _found(catalogue: Catalogue, query: str, k: int) -> list[int]:
    rows, _ = rank(catalogue, Profile(likes=(query,)), k, allowed=catalogue.mask([]))  # pyright: ignore[reportArgumentType]
    return rows


def _document(catalogue: Catalogue, row: int) -> Document:
    item = catalogue.items[row]
    attributes = {name: list(v) if isinstance(v, tuple) else v for name, v in item.attributes.items()}
    metadata = {"id": item.id, "title": item.title, "attributes": attributes}
    return Document(id=item.id, page_content=catalogue.text(row), metadata=metadata)


def tools(recommender: Recommender) -> list[BaseTool]:
    """search, details, constraints, recommend and remember for an agent that serves ONE person (see `desk`).

    What `remember` is told lives in this list of tools and nowhere else; make a new list for the next person. Answers
    are JSON; what cannot be done is an answer too, and no exception.
    """
    return kit(Desk(recommender))


def kit(desk: Desk, before: Callable[[], None] | None = None) -> list[BaseTool]:
    """The desk's methods as tools. `before` runs ahead of each call and may raise."""
    methods = (desk.search, desk.details, desk.constraints, desk.recommend, desk.remember)
    return [StructuredTool.from_function(_told(method, before)) for method in methods]


def _told(method: Callable[..., Any], before: Callable[[], None] | None) -> Callable[..., str]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> str:
        if before is not None:
            before()
        try:
            found = method(*args, **kwargs)
        except InputError as error:
            return _json({"error": str(error)})
        return _json([f.model_dump() for f in found] if isinstance(found, list) else found.model_dump())

    return call


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
