"""llama.cpp itself: tokens in, logits out. It knows no chats and no scores, and it is not thread-safe.

Quantised models round what passes between their layers, so a sum in another order, though right to the last digit,
moves a log-probability by some hundredths (texts in one shared cache: up to 0.12 by who else was in it). Here every
number depends on its own text alone, not on what was asked before or beside it: a text is evaluated in chunks at fixed
places, and parallel texts have a cache each.
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
BATCH = 512  # tokens of parallel texts evaluated at once
PARALLEL = 16  # of those texts at most (more are no faster), and ...
CELLS = 8192  # ... tokens that all their caches hold together (SmolLM2-135M: 23 kB each)
# llama.cpp's threads wait for each other some hundred times for each token. GNU's OpenMP, which reads this when it is
# loaded, has them spin; on a busy machine they then keep each other from running: 40 titles took 77 to 99 s with two
# threads, 9 to 12 s with one, and 3 to 5 s like this (load 17 to 20 on two cores).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
_log: list[Any] = []  # the callback that swallows llama.cpp's log lines must outlive every model


class Broken(Exception):
    """llama.cpp failed. The context is empty afterwards and can be used again."""


class Aborted(Exception):
    """The time was up in the middle of an evaluation. The context is empty afterwards and can be used again."""


class Engine:
    """One loaded model. Raises ValueError if the file cannot be loaded."""

    def __init__(self, path: Path, *, context: int, threads: int | None = None) -> None:
        import llama_cpp.llama_cpp as c

        self._c: Any = c
        if not _log:
            _log.append(c.llama_log_callback(lambda level, text, data: None))
            c.llama_backend_init()
        c.llama_log_set(_log[0], ctypes.c_void_p(0))  # each time: others set their own
        self.model: Any = c.llama_model_load_from_file(os.fsencode(path), c.llama_model_default_params())
        if not self.model:
            raise ValueError("llama.cpp does not load this file")
        self.vocab: Any = c.llama_model_get_vocab(self.model)
        self.n_vocab = c.llama_vocab_n_tokens(self.vocab)
        self.n_ctx = min(context, c.llama_model_n_ctx_train(self.model) or context)
        self.threads = threads or min(_cores(), 16)
        self._text: Text | None = None
        self._texts: Text | None = None

    @property
    def text(self) -> "Text":
        """The context of one text of up to `n_ctx` tokens."""
        self._text = self._text or Text(self, self.n_ctx)
        return self._text

    def texts(self, length: int) -> "Text":
        """The context of texts of up to `length` tokens in parallel: as many as memory allows."""
        cells = -(-length // 256) * 256
        if self._texts is None or not cells <= self._texts.cells <= 4 * cells:
            if self._texts:
                self._texts.close()
            self._texts = Text(self, cells, max(1, min(PARALLEL, CELLS // cells)))
        return self._texts

    def close(self) -> None:
        for text in (self._text, self._texts):
            if text:
                text.close()
        self._c.llama_model_free(self.model)

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
        found = c.llama_model_chat_template(self.model, None)
        marks = [c.llama_vocab_bos(self.vocab), c.llama_vocab_eos(self.vocab)]
        texts = [c.llama_vocab_get_text(self.vocab, m).decode("utf-8", "replace") if m >= 0 else "" for m in marks]
        return found.decode("utf-8", "replace") if found else None, texts[0], texts[1]


class Text:
    """One context: a text in sequence 0, and what follows it in sequences 1..parallel, each with its own cache.

    What of the text was evaluated in whole chunks is kept for the next text that begins the same way.
    """

    def __init__(self, engine: Engine, cells: int, parallel: int = 0) -> None:
        c = self._c = engine._c
        params = c.llama_context_default_params()
        self.cells, self.parallel, self._n_vocab = cells, parallel, engine.n_vocab
        params.n_seq_max, params.kv_unified = parallel + 1, parallel == 0
        params.n_ctx = cells * (parallel + 1)
        self.batch = max(min(BATCH, params.n_ctx), parallel + 1)
        params.n_batch = params.n_ubatch = self.batch
        params.n_threads = params.n_threads_batch = engine.threads
        params.no_perf = True
        self._context: Any = c.llama_init_from_model(engine.model, params)
        if not self._context:
            raise Broken("llama.cpp cannot make a context for this model; is there memory enough?")
        self._memory: Any = c.llama_get_memory(self._context)
        self._batch = c.llama_batch_init(self.batch, 0, 1)
        self._held: list[int] = []  # what sequence 0 holds ...
        self._solid = 0  # ... how much of it was evaluated in whole chunks ...
        self._grown = False  # ... and whether its end was written token by token
        self._row: NDArray[np.float32] | None = None  # logits after the last token of `_held`
        self._forked: list[int] | None = None  # what the other sequences hold
        self._stop = ctypes.create_string_buffer(2)  # the flag of the last `until`: llama.cpp may still look at it

    def close(self) -> None:
        self._c.llama_batch_free(self._batch)
        self._c.llama_free(self._context)

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
            self._decode([(t, at + i, 0, last and i == len(part) - 1) for i, t in enumerate(part)])
            if at == self._solid and len(part) == CHUNK:
                self._solid = at + CHUNK
            self._held += part
        self._row = row = self._rows(1)[0].copy()
        return row

    def branches(self, tokens: Sequence[int], tails: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits [tails, n, vocabulary] after each token of `tails` (all of length n), each tail alone after `tokens`.

        At most `parallel` tails and `batch` tokens of them. Nothing of them stays. The array is llama.cpp's own memory:
        read it before the next call.
        """
        c, tokens = self._c, list(tokens)
        self.evaluate(tokens)
        if self._forked != tokens:
            for s in range(1, self.parallel + 1):
                c.llama_memory_seq_rm(self._memory, s, -1, -1)
                c.llama_memory_seq_cp(self._memory, 0, s, -1, -1)
            self._forked = tokens
        self._decode([(t, len(tokens) + i, s, True) for s, tail in enumerate(tails, 1) for i, t in enumerate(tail)])
        found = self._rows(sum(map(len, tails)))
        for s in range(1, len(tails) + 1):
            if not c.llama_memory_seq_rm(self._memory, s, len(tokens), -1):
                self._forget()  # a model whose memory cannot go back: the next call evaluates the text again
                break
        return found.reshape(len(tails), -1, self._n_vocab)

    def _rewind(self, keep: int) -> int:
        if keep < len(self._held) and not self._c.llama_memory_seq_rm(self._memory, 0, keep, -1):
            keep = 0
        if keep == 0:
            self._forget()
        del self._held[keep:]
        self._solid, self._row = min(self._solid, keep), None
        return keep

    def _forget(self) -> None:
        self._c.llama_memory_clear(self._memory, True)
        self._held, self._solid, self._row, self._forked = [], 0, None, None

    def _decode(self, entries: Sequence[tuple[int, int, int, bool]]) -> None:
        """Evaluates (token, position, sequence, whether its logits are wanted: they are a quarter of the work)."""
        batch = self._batch
        batch.n_tokens = len(entries)
        for i, (token, position, sequence, wanted) in enumerate(entries):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        code = self._c.llama_decode(self._context, batch)
        if code:
            self._forget()
            raise Aborted if code == 2 else Broken(f"llama_decode returned {code}")

    def _rows(self, count: int) -> NDArray[np.float32]:
        pointer = self._c.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, (count, self._n_vocab))


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
