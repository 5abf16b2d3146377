"""A GGUF model in this process, through llama.cpp: chat, schemas by grammar, and the likelihood of many texts at once.

Scores are of raw text. A continuation is tokenised as it stands after the prefix, so give it the space that separates
the two (" Paris" after "The capital of France is"); spaces at the end of the prefix count as part of the continuation,
since tokenisers glue a space to the word that follows.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from pydantic import BaseModel
from snowmelt.agent.llm import Completion, Message, ModelError, Scores, validated
from snowmelt.agent.models.grammar import Grammar
from snowmelt.agent.models.llamacpp import Aborted, Broken, Engine, log_softmax, log_sum
from snowmelt.retrieval.errors import InputError

CONTEXT = 4096  # tokens; less if the model was trained on less
LONGEST = 64  # tokens of a continuation that are scored; the rest is not read
SLACK = 6  # tokens that may be evaluated for nothing to save a batch
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


class GGUF:
    """Loaded at first use. Safe to share between threads: one lock stands around every evaluation.

    Greedy, so the same question gets the same answer, whatever was asked before. A prompt that begins like the last
    one costs only what is new of it. Raises InputError if the file is no GGUF or cannot be loaded.
    """

    can_score = True

    def __init__(self, path: Path, *, name: str, context: int = CONTEXT, threads: int | None = None) -> None:
        if not path.is_file():
            raise InputError(f"model {name}: {path} does not exist; give the path of a .gguf file")
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise InputError(f"model {name}: {path} is not a GGUF file")
        self.name, self.path, self._context, self._threads = name, path, context, threads
        self.writes_well = path.stat().st_size > 1_000_000_000
        self._lock, self._loaded, self._closed = Lock(), None, False

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 256,
        deadline: float | None = None,
    ) -> Completion:
        """At the deadline: what is written so far (`finish` "cut"), but ModelError("timeout") if nothing is, or if a
        schema was given. A schema that `max_tokens` does not suffice for is ModelError("cut"); to make that
        rare, what has no end in the schema gets one, and near the end of the tokens everything open is closed."""
        began, written, finish = time.monotonic(), [], "stop"
        with self._engine(deadline) as engine:
            prompt = self._prompt(engine, messages, max_tokens)
            grammar = Grammar(engine, schema, max_tokens) if schema else None
            try:
                with engine.text.until(_left(began, deadline)):
                    for token in _tokens(engine, prompt, grammar):
                        written.append(token)
                        if len(written) == max_tokens:
                            finish = "length"
                            break
            except Aborted:
                finish = "cut"
            finally:
                if grammar:
                    grammar.close()
            text = b"".join(map(engine.piece, written)).decode("utf-8", "replace").strip()
        if finish == "cut" and (schema or not text):
            raise ModelError("timeout", f"the answer took longer than {deadline:g} s")
        if schema and finish == "length":
            try:
                text = validated(text, schema)
            except ModelError:
                raise ModelError("cut", f"{max_tokens} tokens did not suffice for a {schema.__name__}") from None
        elif schema:
            text = validated(text, schema)
        return Completion(text, len(prompt), len(written), time.monotonic() - began, finish)

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int = 256, deadline: float | None = None
    ) -> Iterator[str]:
        """Others may use the model between two pieces; the text is taken up again where it was."""
        began, written, decoder = time.monotonic(), [], codecs.getincrementaldecoder("utf-8")("replace")
        prompt: list[int] = []
        while len(written) < max_tokens:
            left = _left(began, deadline)
            with self._engine(left) as engine:
                prompt = prompt or self._prompt(engine, messages, max_tokens)
                try:
                    with engine.text.until(left):
                        token = int(engine.text.evaluate(prompt + written, growing=bool(written)).argmax())
                except Aborted:
                    raise ModelError("timeout", f"the answer took longer than {deadline:g} s") from None
                if engine.ends(token):
                    break
                written.append(token)
                text = decoder.decode(engine.piece(token))
            if text:
                yield text
        if rest := decoder.decode(b"", final=True):
            yield rest

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        """log p of each continuation's first 64 tokens. A prefix too long for the context loses its beginning; an empty
        one is the begin of a text. InputError if a continuation is empty.

        The prefix is evaluated once and kept for the next call; continuations are parallel sequences. The last token of
        each is only read, never evaluated. A score does not depend on the other continuations.
        """
        began = time.monotonic()
        with self._engine(deadline) as engine:
            head, tails = _split(engine, prefix, continuations)
            texts = engine.texts(len(head) + LONGEST)
            sums = np.zeros(len(tails), np.float64)
            try:
                with texts.until(_left(began, deadline)):
                    first = log_softmax(texts.evaluate(head)[None])[0]
                    for i, tail in enumerate(tails):
                        sums[i] = first[tail[0]]
                    for length, group in _groups(tails, texts.parallel, texts.batch):
                        # shorter ones are filled up with what is never looked at
                        read = [(tails[i][:-1] + [head[-1]] * length)[:length] for i in group]
                        for i, logits in zip(group, texts.branches(head, read), strict=True):
                            after = tails[i][1:]
                            rows = logits[: len(after)]
                            sums[i] += float((rows[range(len(after)), after] - log_sum(rows)).sum(dtype=np.float64))
            except Aborted:
                raise ModelError("timeout", f"scoring took longer than {deadline:g} s") from None
        lengths = [len(t) for t in tails]
        means = [float(s) / n for s, n in zip(sums, lengths, strict=True)]
        return Scores(means, [float(s) for s in sums], len(head) + sum(lengths), time.monotonic() - began)

    def choose(
        self, messages: Sequence[Message], letters: Sequence[str], *, deadline: float | None = None
    ) -> list[float]:
        """A label is one token, with or without a space before it. InputError if one is longer."""
        began = time.monotonic()
        with self._engine(deadline) as engine:
            spellings = [[t[0] for t in map(engine.tokenise, (x, f" {x}")) if len(t) == 1] for x in letters]
            if not all(spellings):
                raise InputError("choose: every label must be one token of the model; use letters or digits")
            prompt = self._prompt(engine, messages, 1)
            try:
                with engine.text.until(_left(began, deadline)):
                    row = engine.text.evaluate(prompt)
            except Aborted:
                raise ModelError("timeout", f"the choice took longer than {deadline:g} s") from None
            values = np.array([np.logaddexp.reduce(row[s].astype(np.float64)) for s in spellings])
        return (values - np.logaddexp.reduce(values)).tolist()

    def count_tokens(self, text: str) -> int:
        with self._engine(None) as engine:
            return len(engine.tokenise(text))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._loaded is not None:
                self._loaded.close()
                self._loaded = None

    @contextmanager
    def _engine(self, deadline: float | None) -> Iterator[Engine]:
        if not self._lock.acquire(timeout=-1 if deadline is None else max(deadline, 0.0)):
            raise ModelError("timeout", "the model is busy with another question")
        try:
            if self._closed:
                raise ModelError("unavailable", f"model {self.name} is closed")
            if self._loaded is None:
                try:
                    self._loaded = Engine(self.path, context=self._context, threads=self._threads)
                except ValueError as error:
                    raise InputError(
                        f"model {self.name}: {self.path}: {error}; is it whole, and of a kind that llama.cpp knows?"
                    ) from None
            yield self._loaded
        except Broken as error:
            raise ModelError("server", str(error)) from None
        finally:
            self._lock.release()

    def _prompt(self, engine: Engine, messages: Sequence[Message], reserve: int) -> list[int]:
        tokens = chat_tokens(engine, messages)
        if len(tokens) + reserve > engine.n_ctx:
            raise ModelError(
                "refused", f"{len(tokens)} tokens and {reserve} to write do not fit the context of {engine.n_ctx}"
            )
        return tokens


def _left(began: float, deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - (time.monotonic() - began))


def chat_tokens(engine: Engine, messages: Sequence[Message]) -> list[int]:
    """The prompt by the model's own chat template. Contents never become control tokens, whatever they hold: the
    template is rendered around placeholders, and each content is tokenised on its own as plain words."""
    places = [f"\ue000{i}\ue001" for i in range(len(messages))]
    shown = [{"role": m.role, "content": p} for m, p in zip(messages, places, strict=True)]
    text = _render(engine, shown)
    if text is None and len(messages) > 1 and messages[0].role == "system":  # some templates know no system role
        text = _render(engine, [{"role": "user", "content": f"{places[0]}\n\n{places[1]}"}, *shown[2:]])
    if text is None:
        raise ModelError("refused", "the chat template of this model does not take this order of roles")
    tokens: list[int] = []
    for i, message in enumerate(messages):
        before, found, text = text.partition(places[i])
        if not found:
            raise ModelError("refused", "the chat template of this model leaves out a message")
        tokens += engine.tokenise(before, special=True) + engine.tokenise(message.content)
    tokens += engine.tokenise(text, special=True)
    start = engine.start
    return tokens if tokens[: len(start)] == start else start + tokens


def _render(engine: Engine, messages: list[dict[str, str]]) -> str | None:
    from jinja2 import TemplateError
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    template, begin, end = engine.template()
    try:
        formatter: Any = Jinja2ChatFormatter(template or CHATML, eos_token=end, bos_token=begin)
        return formatter(messages=messages).prompt
    except (TemplateError, ValueError):
        return None


def _tokens(engine: Engine, prompt: list[int], grammar: Grammar | None) -> Iterator[int]:
    """The likeliest tokens one after another, as the grammar allows, up to the end mark."""
    text = list(prompt)
    while True:
        row = engine.text.evaluate(text, growing=len(text) > len(prompt))
        token = grammar.pick(row) if grammar else int(row.argmax())
        if engine.ends(token):
            return
        yield token
        text.append(token)


def _split(engine: Engine, prefix: str, continuations: Sequence[str]) -> tuple[list[int], list[list[int]]]:
    """Tokens of the prefix and of each continuation as it stands after the prefix."""
    stem = prefix.rstrip(" ")
    gap = prefix[len(stem) :]
    head = engine.start + engine.tokenise(stem)
    head = head or engine.blank
    room = engine.n_ctx - LONGEST
    if len(head) > room:
        head = head[: len(engine.start)] + head[len(head) - room + len(engine.start) :]
    # Tokenisers look no further back than the last word, so each continuation is tokenised after that word alone.
    anchor = stem[max(stem.rfind(" "), stem.rfind("\n"), 0) :][-64:]
    known = engine.tokenise(anchor) if anchor else []
    tails = []
    for i, continuation in enumerate(continuations):
        if not continuation:
            raise InputError(f"score: continuation {i} is empty")
        whole = engine.tokenise(anchor + gap + continuation)
        joins = whole[: len(known)] == known and len(whole) > len(known)
        tails.append((whole[len(known) :] if joins else engine.tokenise(gap + continuation))[:LONGEST])
    return head, tails


def _groups(tails: Sequence[Sequence[int]], parallel: int, batch: int) -> Iterator[tuple[int, list[int]]]:
    """Places of continuations that need an evaluation, in groups of about one length; and the length of each group."""
    group: list[int] = []
    length = waste = 0
    for i in sorted((i for i, t in enumerate(tails) if len(t) > 1), key=lambda i: -len(tails[i])):
        own = len(tails[i]) - 1
        if group and (len(group) == min(parallel, batch // length) or waste + length - own > SLACK):
            yield length, group
            group = []
        if not group:
            length, waste = max(own, 2), 0  # llama.cpp takes other, differently rounding ways for a single token
        group.append(i)
        waste += length - own
    if group:
        yield length, group
