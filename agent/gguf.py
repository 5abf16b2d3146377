"""A GGUF model in this process through llama.cpp. llama.cpp is not thread-safe: one lock around everything."""

import ctypes
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from pydantic import BaseModel
from snowmelt.agent.llm import Completion, Message, ModelError, Scores, Unsupported, validated
from snowmelt.retrieval.errors import InputError

CONTEXT = 2048
LONGEST = 48  # tokens of a continuation that are scored


class GGUF:
    """Loaded at first use. `score` evaluates the prefix once; each continuation then costs its own few tokens."""

    can_score = True

    def __init__(self, path: Path, *, name: str) -> None:
        if not path.is_file():
            raise InputError(f"model {name}: {path} does not exist")
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise InputError(f"model {name}: {path} is not a GGUF file")
        self.name, self._path = name, path
        self.writes_well = path.stat().st_size > 1_000_000_000
        self._lock, self._loaded = Lock(), None

    def _llama(self) -> Any:
        if self._loaded is None:
            import llama_cpp

            # llama.cpp writes to stderr on its own; the callback must outlive the model
            global _quiet
            _quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
            llama_cpp.llama_log_set(_quiet, ctypes.c_void_p(0))
            try:
                self._loaded = llama_cpp.Llama(str(self._path), n_ctx=CONTEXT, n_batch=512, verbose=False)
            except ValueError:
                raise InputError(f"model {self.name}: {self._path} cannot be loaded; is the file whole?") from None
        return self._loaded

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        import llama_cpp

        began = time.monotonic()
        with self._lock:
            llama = self._llama()
            head = llama.tokenize(prefix.encode(), add_bos=True)[-(CONTEXT - LONGEST) :]
            tails = [llama.tokenize(c.encode(), add_bos=False)[:LONGEST] for c in continuations]
            if not all(tails):
                raise ModelError("malformed", "a continuation to score is empty")
            memory = llama_cpp.llama_get_memory(llama.ctx)
            llama_cpp.llama_memory_clear(memory, True)
            first = _decode(llama, head, 0, last_only=True)[0]
            sums = []
            for tail in tails:
                if deadline is not None and time.monotonic() - began > deadline:
                    raise ModelError("timeout", f"scoring took longer than {deadline:g} s")
                total = first[tail[0]]
                if len(tail) > 1:
                    rows = _decode(llama, tail[:-1], len(head), last_only=False)
                    total += sum(rows[i][token] for i, token in enumerate(tail[1:]))
                    llama_cpp.llama_memory_seq_rm(memory, 0, len(head), -1)
                sums.append(float(total))
            llama_cpp.llama_memory_clear(memory, True)
            llama.reset()
        read = len(head) + sum(map(len, tails))
        return Scores([s / len(t) for s, t in zip(sums, tails, strict=True)], sums, read, time.monotonic() - began)

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 256,
        deadline: float | None = None,
    ) -> Completion:
        began, pieces, finish = time.monotonic(), [], "cut"
        # A schema given here is ours, never a user's: it becomes llama.cpp's grammar.
        form = {"type": "json_object", "schema": schema.model_json_schema()} if schema else None
        with self._lock:
            llama = self._llama()
            chunks = llama.create_chat_completion(
                [{"role": m.role, "content": m.content} for m in messages],
                max_tokens=max_tokens, temperature=0.0, seed=0, response_format=form, stream=True,
            )  # fmt: skip
            for chunk in chunks:
                choice = chunk["choices"][0]
                pieces.append(choice["delta"].get("content") or "")
                finish = choice["finish_reason"] or finish
                if deadline is not None and time.monotonic() - began > deadline:
                    raise ModelError("timeout", f"the answer took longer than {deadline:g} s")
        text = "".join(pieces)
        text = validated(text, schema) if schema else text
        asked = sum(self.count_tokens(m.content) for m in messages)
        return Completion(text, asked, len(pieces), time.monotonic() - began, finish)

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int = 256, deadline: float | None = None
    ) -> Iterator[str]:
        yield self.complete(messages, max_tokens=max_tokens, deadline=deadline).text

    def choose(
        self, messages: Sequence[Message], letters: Sequence[str], *, deadline: float | None = None
    ) -> list[float]:
        raise Unsupported("a GGUF model ranks by `score`; letters in one pass were noise at this size (design page)")

    def count_tokens(self, text: str) -> int:
        return len(self._llama().tokenize(text.encode(), add_bos=False))

    def close(self) -> None:
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None


def _decode(llama: Any, tokens: Sequence[int], start: int, *, last_only: bool) -> list[np.ndarray]:
    """Log-probabilities [vocabulary] after the tokens asked for; logits are computed only there (all of them are slow)."""
    import llama_cpp

    rows: list[np.ndarray] = []
    for at in range(0, len(tokens), 512):
        part = tokens[at : at + 512]
        batch = llama_cpp.llama_batch_init(len(part), 0, 1)
        try:
            batch.n_tokens = len(part)
            wanted = []
            for i, token in enumerate(part):
                batch.token[i], batch.pos[i] = token, start + at + i
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
                want = not last_only or at + i == len(tokens) - 1
                batch.logits[i] = int(want)
                wanted += [i] if want else []
            if llama_cpp.llama_decode(llama.ctx, batch) != 0:
                raise ModelError("server", "llama.cpp could not evaluate the text")
            for i in wanted:
                pointer = llama_cpp.llama_get_logits_ith(llama.ctx, i)
                logits = np.ctypeslib.as_array(pointer, (llama.n_vocab(),)).astype(np.float64)
                top = logits.max()
                rows.append(logits - top - np.log(np.exp(logits - top).sum()))
        finally:
            llama_cpp.llama_batch_free(batch)
    return rows
