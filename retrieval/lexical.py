"""BM25 over words; runs of Chinese, Japanese and Korean are cut into single characters and pairs."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힯]+|[^\W_]+")
_CJK = re.compile(r"[぀-ヿ㐀-鿿가-힯]")


def tokenise(text: str) -> list[str]:
    tokens: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        # a word may run on into CJK ("3d电影"): cut where the script changes
        for part in re.findall(r"[぀-ヿ㐀-鿿가-힯]+|[^぀-ヿ㐀-鿿가-힯]+", word):
            tokens += [part] if not _CJK.match(part) else [*part, *(part[i : i + 2] for i in range(len(part) - 1))]
    return tokens


class Lexical:
    """BM25 (bm25s, Lucene's variant) over texts in row order."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        self.count = len(texts)
        self._index = bm25s.BM25()
        self._index.index([tokenise(t) or [""] for t in texts], show_progress=False)

    def scores(self, query: str) -> NDArray[np.float32]:
        """One score per row, zeros where no word of the query is known."""
        words = [w for w in dict.fromkeys(tokenise(query)) if w in self._index.vocab_dict]
        if not words:
            return np.zeros(self.count, np.float32)
        return np.asarray(self._index.get_scores(words), np.float32)

    def top(self, query: str, k: int, mask: NDArray[np.bool_] | None = None) -> list[int]:
        """Rows of the `k` best matches (score above 0), best first."""
        scores = self.scores(query)
        if mask is not None:
            scores = np.where(mask, scores, 0)
        return [int(r) for r in np.argsort(-scores, kind="stable")[:k] if scores[r] > 0]
