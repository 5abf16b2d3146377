"""What a service need not reckon twice: vectors of texts, and lists for the same profile.

Only in memory, bounded, under keyed hashes instead of what somebody said; emptied when anybody is erased, since the
reasons in a list quote its person.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
from snowmelt.agent.after import After
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Profile, Recommendation
from snowmelt.retrieval.embedding import Embedder, Vectors

V = TypeVar("V")
TEXTS = 5_000  # vectors: 10 MB at 512 dimensions
LISTS = 500
LIFE = 300.0  # seconds; an erasure that another replica was asked for is over by then, too


class Cache(Generic[V]):
    """The `most` values that were used last, each for `life` seconds. Safe between threads."""

    def __init__(self, most: int, life: float = LIFE) -> None:
        self._most, self._life, self._lock = most, life, Lock()
        self._kept: OrderedDict[bytes, tuple[float, V]] = OrderedDict()
        self._salt = secrets.token_bytes(32)

    def key(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=16).digest()

    def get(self, key: bytes) -> V | None:
        with self._lock:
            since, value = self._kept.get(key, (0.0, None))
            if value is None or time.monotonic() - since > self._life:
                self._kept.pop(key, None)
                return None
            self._kept.move_to_end(key)
            return value

    def put(self, key: bytes, value: V) -> None:
        with self._lock:
            self._kept[key] = (time.monotonic(), value)
            self._kept.move_to_end(key)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


class RememberingEmbedder:
    """An embedder that embeds a question once. Documents pass through: each is embedded once as it is."""

    def __init__(self, embedder: Embedder) -> None:
        self.id, self.spec, self.dim = embedder.id, embedder.spec, embedder.dim
        self._embedder, self.cache = embedder, Cache[Vectors](TEXTS)

    def documents(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.documents(texts)

    def queries(self, texts: Sequence[str]) -> Vectors:
        keys = [self.cache.key(text) for text in texts]
        known = {key: vector for key in keys if (vector := self.cache.get(key)) is not None}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if new:
            for key, vector in zip(new, self._embedder.queries(list(new.values())), strict=True):
                known[key] = vector
                self.cache.put(key, vector)
        return np.array([known[key] for key in keys], np.float32).reshape(len(texts), self.dim)


class Lists:
    """Lists of one state of one catalogue: what is learned, or a new item, begins with an empty one."""

    def __init__(self) -> None:
        self._cache = Cache[list[Recommendation]](LISTS)

    def ranked(self, r: Recommender, profile: Profile, limit: int, after: After) -> tuple[list[Recommendation], bool]:
        """As `Recommender.ranked`. A list that is degraded, or that luck has a part in, is made anew the next time."""
        if after.exploration and after.seed is None:
            return r.ranked(profile, limit, after)
        key = self._cache.key(f"{r.llm is not None} {limit} {after} {profile.model_dump_json()}")
        if (kept := self._cache.get(key)) is not None:
            return kept, False
        found, degraded = r.ranked(profile, limit, after)
        if not degraded:
            self._cache.put(key, found)
        return found, degraded

    def clear(self) -> None:
        self._cache.clear()
