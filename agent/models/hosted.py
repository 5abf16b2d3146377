"""Any OpenAI-compatible endpoint. Nothing that it says is believed before it is validated, and one wall clock rules.

Requests run on an event loop of their own in a daemon thread: there a deadline is a cancellation, which ends a hanging
connect, a body that drips in byte by byte and a stream alike. openai's own retries and timeouts are off.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from threading import Lock, Thread
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from snowmelt.agent.llm import Completion, Message, ModelError, Scores, Unsupported
from snowmelt.agent.models.endpoint import (
    BACKOFF,
    FINISH,
    FORMS,
    Chunk,
    Reply,
    Usage,
    checked,
    complains_of,
    complete_json,
    count_tokens,
    over_labels,
    pause,
    problem_of,
    response_format,
    with_schema,
)
from snowmelt.retrieval.errors import InputError

OPENAI = "https://api.openai.com/v1"
DEADLINE = 120.0  # seconds, where the caller names none
T = TypeVar("T")


class HostedLLM:
    """A model behind an endpoint. Safe to share between threads. `deadline` None is 120 s.

    One retry, for 429, 5xx and a lost connection, where it still fits the deadline; a Retry-After that does not fit is
    ModelError("rate") at once. What the endpoint does not accept (a form of JSON, a parameter) is not tried again.
    InputError for a bad address, or no key for OpenAI itself.
    """

    can_score = False
    writes_well = True

    def __init__(self, model: str, *, base_url: str | None = None, api_key: str | None = None) -> None:
        if base_url is None and not api_key:
            raise InputError(
                f"model openai:{model}: OpenAI wants an API key; give one, or the base URL of another endpoint"
            )
        if base_url is not None and not base_url.startswith(("http://", "https://")):
            raise InputError(f"model openai:{model}: the base URL must begin with http:// or https://")
        self.name = f"openai:{model}"
        self._model, self._base_url, self._key = model, base_url, api_key
        self._form = 0
        self._without: set[str] = set()  # parameters that the endpoint refused
        self._limit = "max_tokens" if base_url else "max_completion_tokens"
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None
        self._closed = False

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 256,
        deadline: float | None = None,
    ) -> Completion:
        return self._run(lambda until: self._complete(messages, schema, max_tokens, until), deadline)

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int = 256, deadline: float | None = None
    ) -> Iterator[str]:
        pieces: queue.SimpleQueue[str | ModelError | None] = queue.SimpleQueue()

        async def feed(until: float) -> None:
            try:
                async with asyncio.timeout_at(until):
                    await self._feed(messages, max_tokens, until, pieces.put)
                pieces.put(None)
            except TimeoutError:
                pieces.put(_late(deadline))
            except ModelError as error:
                pieces.put(error)

        future = self._submit(feed, deadline)
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, ModelError):
                    raise piece
                yield piece
        finally:
            future.cancel()

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        raise Unsupported(f"{self.name}: endpoints do not give the likelihood of a text; use choose")

    def choose(
        self, messages: Sequence[Message], letters: Sequence[str], *, deadline: float | None = None
    ) -> list[float]:
        """A label outside the endpoint's top tokens counts as the least of them (it is at most that)."""
        return self._run(lambda until: self._choose(messages, letters, until), deadline)

    def count_tokens(self, text: str) -> int:
        return count_tokens(text)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            loop, client, self._loop, self._client = self._loop, self._client, None, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(client.close(), loop).add_done_callback(
                lambda _: loop.call_soon_threadsafe(loop.stop)
            )

    def _run(self, work: Callable[[float], Coroutine[Any, Any, T]], deadline: float | None) -> T:
        async def bounded(until: float) -> T:
            try:
                async with asyncio.timeout_at(until):
                    return await work(until)
            except TimeoutError:
                raise _late(deadline) from None

        future = self._submit(bounded, deadline)
        try:
            return future.result()
        finally:
            future.cancel()  # the caller was interrupted

    def _submit(self, work: Callable[[float], Coroutine[Any, Any, T]], deadline: float | None) -> Any:
        until = time.monotonic() + (DEADLINE if deadline is None else deadline)  # the loop's clock is this one
        with self._lock:
            if self._closed:
                raise ModelError("unavailable", f"model {self.name} is closed")
            if self._loop is None:
                self._client = _client(self._base_url, self._key)
                self._loop = asyncio.new_event_loop()
                Thread(target=_serve, args=(self._loop,), name="snowmelt-hosted", daemon=True).start()
            return asyncio.run_coroutine_threadsafe(work(until), self._loop)

    async def _complete(
        self, messages: Sequence[Message], schema: type[BaseModel] | None, max_tokens: int, until: float
    ) -> Completion:
        began = time.monotonic()
        form = self._form
        while True:
            asked = with_schema(messages, schema) if schema and FORMS[form] != "json_schema" else messages
            extra = response_format(schema, FORMS[form]) if schema else {}
            try:
                reply = await self._ask(asked, max_tokens, until, **extra)
                choice = checked(reply)
                text = (choice.message.content or "").strip()
                finish = FINISH[choice.finish_reason or ""]
                if schema:
                    text = complete_json(text, schema, finish, max_tokens)
                    self._form = form
            except _Declined as declined:
                form += 1
                if declined.sure:
                    self._form = form
                continue
            except ModelError as error:
                if schema and error.kind == "malformed" and form + 1 < len(FORMS):
                    form += 1
                    continue
                raise
            usage = reply.usage or Usage()
            tokens_in = usage.prompt_tokens or sum(self.count_tokens(m.content) for m in asked)
            tokens_out = usage.completion_tokens or self.count_tokens(text)
            return Completion(text, tokens_in, tokens_out, time.monotonic() - began, finish)

    async def _choose(self, messages: Sequence[Message], letters: Sequence[str], until: float) -> list[float]:
        for top in (20, 5):  # some endpoints give no more than 5
            if {"logprobs", f"top_logprobs={top}"} & self._without:
                continue
            try:
                reply = await self._ask(messages, 1, until, logprobs=True, top_logprobs=top)
            except _Declined:
                self._without.add(f"top_logprobs={top}")
                continue
            found = reply.choices[0].logprobs if reply.choices else None
            if not reply.choices:
                raise ModelError("empty", "the endpoint gave no answer")
            if found is None or not found.content or not found.content[0].top_logprobs:
                self._without.add("logprobs")
                break
            return over_labels(found.content[0].top_logprobs, letters)
        raise Unsupported(f"{self.name}: the endpoint gives no log-probabilities; ask for an order instead")

    async def _feed(
        self, messages: Sequence[Message], max_tokens: int, until: float, put: Callable[[str], None]
    ) -> None:
        import openai

        heard, finish = False, None
        stream = await self._retried(messages, max_tokens, until, stream=True)
        try:
            async with stream:
                async for raw in stream:
                    chunk = Chunk.model_validate(raw, from_attributes=True)
                    heard = True
                    for part in chunk.choices[:1]:
                        finish = part.finish_reason or finish
                        if part.delta.refusal or finish == "content_filter":
                            raise ModelError("refused", "the model refused to answer")
                        if part.delta.content:
                            put(part.delta.content)
        except (ValidationError, ValueError):
            raise ModelError("malformed", "the endpoint's stream is not that of a chat completion") from None
        except openai.APIConnectionError:
            raise ModelError("cut", "the connection broke in the middle of the answer") from None
        except openai.APIError:
            raise ModelError("server", "the endpoint reported an error in the middle of the answer") from None
        if not heard:
            raise ModelError("malformed", "the endpoint's answer is not a stream of a chat completion")
        if finish is None:
            raise ModelError("cut", "the stream ended before the answer did")

    async def _ask(self, messages: Sequence[Message], max_tokens: int, until: float, **extra: Any) -> Reply:
        raw = await self._retried(messages, max_tokens, until, **extra)
        try:
            return Reply.model_validate_json(raw.content)
        except ValidationError:
            raise ModelError("malformed", "the endpoint's answer is not a chat completion") from None

    async def _retried(self, messages: Sequence[Message], max_tokens: int, until: float, **extra: Any) -> Any:
        """One request, again once if that can help, and again without a parameter that the endpoint refused."""
        import openai

        retried = False
        while True:
            asked: dict[str, Any] = {"model": self._model, "messages": [vars(m) for m in messages], **extra}
            asked |= {} if "temperature" in self._without else {"temperature": 0}
            asked[self._limit] = max_tokens
            create = self._client.chat.completions
            create = create.create if extra.get("stream") else create.with_raw_response.create
            try:
                return await create(**asked)
            except openai.APIStatusError as error:
                if error.status_code in (400, 422, 501) and self._adapted(error, extra):
                    continue
                if error.status_code == 500 and "response_format" in extra:  # llama-cpp-python's answer to json_schema
                    raise _Declined(sure=False) from None
                problem, wait = problem_of(error), pause(error)
            except openai.APIConnectionError:
                problem, wait = ModelError("unavailable", "the endpoint cannot be reached"), BACKOFF
            except openai.APIError:
                problem, wait = ModelError("malformed", "the endpoint's answer is not one"), None
            if retried or wait is None or asyncio.get_running_loop().time() + wait >= until:
                raise problem from None
            retried = True
            await asyncio.sleep(wait)

    def _adapted(self, error: Any, extra: dict[str, Any]) -> bool:
        """True if the request is worth sending again, changed. _Declined if it is for the caller to change it."""
        other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}[self._limit]
        if complains_of(error, self._limit) and other not in self._without:
            self._without.add(self._limit)
            self._limit = other
            return True
        if complains_of(error, "temperature") and "temperature" not in self._without:
            self._without.add("temperature")
            return True
        if "response_format" in extra or "logprobs" in extra:
            raise _Declined(sure=True) from None
        return False


class _Declined(Exception):
    """The endpoint does not take an optional part of the request; `sure`: it said so, and did not just fail."""

    def __init__(self, *, sure: bool) -> None:
        self.sure = sure


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _client(base_url: str | None, key: str | None) -> Any:
    import httpx2
    import openai

    client = openai.AsyncOpenAI(
        api_key=key or "none", base_url=base_url or OPENAI, timeout=httpx2.Timeout(None), max_retries=0,
        # a redirect would carry what people said to an address that nobody chose
        http_client=httpx2.AsyncClient(follow_redirects=False, timeout=httpx2.Timeout(None)),
    )  # fmt: skip
    if base_url:  # read from the environment by the library; they are OpenAI's own business
        client.organization = client.project = None
    return client


def _late(deadline: float | None) -> ModelError:
    return ModelError("timeout", f"the endpoint took longer than {DEADLINE if deadline is None else deadline:g} s")
