"""Any GGUF embedding model, in process."""

import ctypes
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from threading import Lock
from typing import Any

from snowmelt.retrieval.embedding import PARTS, Vectors, fingerprint, mean_of_parts, prefixes, readable
from snowmelt.retrieval.errors import InputError

_silence: list[Any] = []  # ctypes frees a callback that nobody holds
WINDOW = 512  # tokens read at once; models that are trained for fewer get theirs


class GgufEmbedder:
    """Pools as the file says, by the mean where it says nothing (a model that was made to write).

    Longer texts are read in up to `PARTS` windows. llama.cpp is not thread-safe: one lock. InputError if the file is
    not there or not a model.
    """

    def __init__(self, path: Path) -> None:
        try:
            import llama_cpp
        except ImportError:
            raise InputError("gguf: llama-cpp-python is not installed; pip install 'snowmelt[local]'") from None
        if not path.is_file():
            raise InputError(f"{path}: no such file; give the path of a .gguf model")
        if not _silence:
            _silence.append(llama_cpp.llama_log_callback(lambda level, text, data: None))
        llama_cpp.llama_log_set(_silence[0], ctypes.c_void_p(0))  # its notes are for its makers
        try:
            known = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
            data: dict[str, str] = dict(known.metadata)
            known.close()
            arch = data.get("general.architecture", "")
            window = min(WINDOW, int(data.get(f"{arch}.context_length", WINDOW)))
            pooling = data.get(f"{arch}.pooling_type", "0")  # numbers of llama.h's enum llama_pooling_type
            if pooling == "4":
                raise ValueError("it ranks pairs of texts and gives no vectors")
            pools = llama_cpp.LLAMA_POOLING_TYPE_MEAN if pooling == "0" else llama_cpp.LLAMA_POOLING_TYPE_UNSPECIFIED
            self._llama: Any = llama_cpp.Llama(
                str(path), embedding=True, pooling_type=pools, n_ctx=window, n_batch=window, n_ubatch=window,
                verbose=False,
            )  # fmt: skip
        except (ValueError, OSError, RuntimeError) as error:
            raise InputError(f"{path}: not usable as an embedder ({error})") from None
        self._prefixes = prefixes(data.get("general.name", "") + " " + path.name)
        # The window llama.cpp really gives, less what it may add around a text.
        self._window = self._llama.n_batch - 2
        self.dim = int(self._llama.n_embd())
        self.id = f"gguf:{fingerprint([path], pools, self._window, self._prefixes)}"
        self.spec = f"gguf:{path.resolve()}"
        self._lock = Lock()

    def documents(self, texts: Sequence[str]) -> Vectors:
        return self._encode(self._prefixes[1], texts)

    def queries(self, texts: Sequence[str]) -> Vectors:
        return self._encode(self._prefixes[0], texts)

    def _encode(self, prefix: str, texts: Sequence[str]) -> Vectors:
        parts: list[str] = []
        owners: list[int] = []
        sizes: list[int] = []
        with self._lock:
            for owner, text in enumerate(readable(texts)):
                for part, size in self._windows(prefix + text):
                    parts.append(part)
                    owners.append(owner)
                    sizes.append(size)
            vectors = self._llama.embed(parts, normalize=True) if parts else [[0.0] * self.dim]
        return mean_of_parts(vectors, owners or [0], sizes or [1], len(texts) or 1)[: len(texts)]

    def _windows(self, text: str) -> list[tuple[str, int]]:
        """Parts of a text, each within the window, with their numbers of tokens. Cut between characters."""
        size = len(self._llama.tokenize(text.encode()))
        if size <= self._window:
            return [(text, size)]
        step = max(1, len(text) // ceil(size / self._window * 1.1))
        cuts = range(0, min(len(text), step * PARTS), step)
        # llama-cpp-python cuts a part that has more tokens than the rest (a tenth is left for that).
        return [(text[i : i + step], min(size * step // len(text) + 1, self._window)) for i in cuts]
