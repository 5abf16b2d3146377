"""llama.cpp itself: tokens in, logits out, on one context. It knows no chats and no scores, and it is not thread-safe.

Sequence 0 holds one text. What of it was evaluated in whole chunks at chunk boundaries is kept for the next text that
begins the same way; the rest is evaluated again. So a result never depends on what was asked before: floating point
sums differ in the last digits with the shape of a batch, and the shapes here depend on the text alone.
"""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 64  # tokens of a text evaluated at once
BATCH = 512  # tokens of parallel sequences evaluated at once
SEQUENCES = 64  # of them, beside sequence 0
_log: list[Any] = []  # the callback that swallows llama.cpp's log lines must outlive every model


class Broken(Exception):
    """llama.cpp failed. The context is empty afterwards and can be used again."""


class Aborted(Exception):
    """The time was up in the middle of an evaluation. The context is empty afterwards and can be used again."""


class Engine:
    """One loaded model with one context of `n_ctx` tokens. Raises ValueError if the file cannot be loaded."""

    def __init__(self, path: Path, *, context: int, threads: int | None = None) -> None:
        import llama_cpp.llama_cpp as c

        self._c: Any = c
        if not _log:
            _log.append(c.llama_log_callback(lambda level, text, data: None))
            c.llama_log_set(_log[0], ctypes.c_void_p(0))
            c.llama_backend_init()
        else:  # importing `llama_cpp` by someone else sets its own
            c.llama_log_set(_log[0], ctypes.c_void_p(0))
        self._model: Any = c.llama_model_load_from_file(os.fsencode(path), c.llama_model_default_params())
        if not self._model:
            raise ValueError("llama.cpp does not load this file")
        self.vocab: Any = c.llama_model_get_vocab(self._model)
        self.n_vocab = c.llama_vocab_n_tokens(self.vocab)
        params = c.llama_context_default_params()
        params.n_ctx = self.n_ctx = min(context, c.llama_model_n_ctx_train(self._model) or context)
        params.n_batch = params.n_ubatch = self.batch = min(BATCH, self.n_ctx)
        params.n_seq_max, params.kv_unified = SEQUENCES + 1, True
        params.n_threads = params.n_threads_batch = threads or min(_cores(), 16)
        params.no_perf = True
        self._context: Any = c.llama_init_from_model(self._model, params)
        if not self._context:
            c.llama_model_free(self._model)
            raise ValueError("llama.cpp cannot make a context for this file")
        self._memory = c.llama_get_memory(self._context)
        self._batch = c.llama_batch_init(self.batch, 0, SEQUENCES)
        self._held: list[int] = []  # what sequence 0 holds ...
        self._solid = 0  # ... how much of it was evaluated in whole chunks ...
        self._grown = False  # ... and whether its end was written token by token
        self._row: NDArray[np.float32] | None = None  # logits after the last token of `_held`
        self._stop = ctypes.create_string_buffer(2)  # the flag of the last `until`: llama.cpp may still look at it

    def close(self) -> None:
        self._c.llama_batch_free(self._batch)
        self._c.llama_free(self._context)
        self._c.llama_model_free(self._model)

    def tokenise(self, text: str, *, special: bool = False) -> list[int]:
        """Tokens without begin or end marks. `special`: "<|...|>" in the text are control tokens, not words."""
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 8
        buffer = (self._c.llama_token * room)()
        count = self._c.llama_tokenize(self.vocab, raw, len(raw), buffer, room, False, special)
        return buffer[:count]

    def piece(self, token: int) -> bytes:
        """The bytes of one token, which may be part of a character; nothing for control tokens."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = self._c.llama_token_to_piece(self.vocab, token, buffer, size, 0, False)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    @property
    def start(self) -> list[int]:
        """The begin mark that this model wants before a text; none for many models."""
        c: Any = self._c
        return [c.llama_vocab_bos(self.vocab)] if c.llama_vocab_get_add_bos(self.vocab) else []

    @property
    def blank(self) -> list[int]:
        """What stands before the very first word of a text: a begin mark, else an end mark."""
        c: Any = self._c
        token = c.llama_vocab_bos(self.vocab)
        return [token if token >= 0 else c.llama_vocab_eos(self.vocab)]

    def ends(self, token: int) -> bool:
        return bool(self._c.llama_vocab_is_eog(self.vocab, token))

    def template(self) -> tuple[str | None, str, str]:
        """The chat template of the file, and the texts of its begin and end tokens."""
        c: Any = self._c
        found = c.llama_model_chat_template(self._model, None)
        marks = [c.llama_vocab_bos(self.vocab), c.llama_vocab_eos(self.vocab)]
        texts = [c.llama_vocab_get_text(self.vocab, m).decode("utf-8", "replace") if m >= 0 else "" for m in marks]
        return found.decode("utf-8", "replace") if found else None, texts[0], texts[1]

    @contextmanager
    def until(self, seconds: float | None) -> Iterator[None]:
        """Inside, an evaluation is aborted between two of its steps once `seconds` are over (CPU only).

        llama.cpp asks its callback about a thousand times for each evaluation; a Python function would wait for the
        interpreter's lock each time. libc's strlen on a flag needs no lock: "" is 0, go on, and a one-byte text is 1.
        """
        if seconds is None:
            yield
            return
        self._stop = ctypes.create_string_buffer(2)
        timer = Timer(max(seconds, 0.0), setattr, (self._stop, "value", b"\x01"))
        timer.daemon = True
        libc = ctypes.CDLL("msvcrt" if os.name == "nt" else None)
        strlen = ctypes.cast(libc.strlen, self._c.ggml_abort_callback)
        self._c.llama_set_abort_callback(self._context, strlen, ctypes.addressof(self._stop))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._c.llama_set_abort_callback(self._context, self._c.ggml_abort_callback(0), None)

    def evaluate(self, tokens: Sequence[int], *, growing: bool = False) -> NDArray[np.float32]:
        """Logits [vocabulary] after `tokens` (1..n_ctx of them), which sequence 0 then holds. The array stays valid.

        `growing`: a text that is being written; if it is the held one and one token more, only that is evaluated.
        """
        tokens = list(tokens)
        whole = self._row is not None and (growing or not self._grown)
        if whole and self._row is not None and self._held == tokens:
            return self._row
        if growing and whole and self._held == tokens[:-1]:
            keep, self._grown = len(self._held), True
        else:
            same = next((i for i, (a, b) in enumerate(zip(self._held, tokens, strict=False)) if a != b), None)
            same = min(len(self._held), len(tokens) - 1) if same is None else min(same, len(tokens) - 1)
            keep, self._grown = min(same, self._solid) // CHUNK * CHUNK, False
        keep = self._rewind(keep)
        for at in range(keep, len(tokens), CHUNK):
            part = tokens[at : at + CHUNK]
            last = at + len(part) == len(tokens)
            self._decode([(t, at + i, (0,), last and i == len(part) - 1) for i, t in enumerate(part)])
            if at == self._solid and len(part) == CHUNK:
                self._solid = at + CHUNK
            self._held += part
        self._row = self._rows(1)[0].copy()
        return self._row

    def fork(self, tokens: Sequence[int], count: int) -> NDArray[np.float32]:
        """As `evaluate`, and sequences 1..count then hold the same text."""
        row = self.evaluate(tokens)
        for s in range(1, SEQUENCES + 1):
            self._c.llama_memory_seq_rm(self._memory, s, -1, -1)
            if s <= count:
                self._c.llama_memory_seq_cp(self._memory, 0, s, -1, -1)
        return row

    def branch(self, nodes: Sequence[tuple[int, int, tuple[int, ...]]]) -> NDArray[np.float32]:
        """Logits [len(nodes), vocabulary] after each of the tokens (token, depth, sequences), at most `batch` of them.

        The sequences were made by `fork`, and a node's are those that go on from it; depth 0 follows the forked text.
        Nothing of it stays. The array is llama.cpp's own memory: read it before the next call.
        """
        base = len(self._held)
        self._decode([(token, base + depth, sequences, True) for token, depth, sequences in nodes])
        found = self._rows(len(nodes))
        if not self._c.llama_memory_seq_rm(self._memory, -1, base, -1):
            self._forget()  # a model whose memory cannot go back: the next `fork` evaluates the text again
        return found

    def _rewind(self, keep: int) -> int:
        if keep < len(self._held) and not self._c.llama_memory_seq_rm(self._memory, -1, keep, -1):
            keep = 0
        if keep == 0:
            self._forget()
        del self._held[keep:]
        self._solid, self._row = min(self._solid, keep), None
        return keep

    def _forget(self) -> None:
        self._c.llama_memory_clear(self._memory, True)
        self._held, self._solid, self._row = [], 0, None

    def _decode(self, entries: Sequence[tuple[int, int, tuple[int, ...], bool]]) -> None:
        batch = self._batch
        batch.n_tokens = len(entries)
        for i, (token, position, sequences, wanted) in enumerate(entries):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wanted
            batch.n_seq_id[i] = len(sequences)
            for j, s in enumerate(sequences):
                batch.seq_id[i][j] = s
        code = self._c.llama_decode(self._context, batch)
        if code:
            self._forget()
            raise Aborted if code == 2 else Broken(f"llama_decode returned {code}")

    def _rows(self, count: int) -> NDArray[np.float32]:
        pointer = self._c.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, (count, self.n_vocab))


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """log p [rows, vocabulary] of logits of that shape."""
    return logits - log_sum(logits)[:, None]


def log_sum(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """log sum exp [rows] of logits [rows, vocabulary], a few rows at a time: they fit the processor's cache."""
    sums = np.empty(len(logits), np.float32)
    for at in range(0, len(logits), 4):
        part = logits[at : at + 4]
        top = part.max(axis=1, keepdims=True)
        sums[at : at + 4] = top[:, 0] + np.log(np.exp(part - top).sum(axis=1))
    return sums


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
