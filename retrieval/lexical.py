"""BM25 over words; runs of Chinese, Japanese and Korean are cut into single characters and pairs.

Texts are written by sellers, so what is said again counts for nothing but its length (`said_once`), and an item whose
text repeats a liked item's without sharing its first words, where titles stand, gains nothing by it (`copied`).
"""

import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.fusion import spread

_CJK_RANGES = "぀-ヿ㐀-鿿가-힯"
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_WORD = re.compile(rf"[{_CJK_RANGES}]+|[^\W_]+")
_PART = re.compile(rf"[{_CJK_RANGES}]+|[^{_CJK_RANGES}]+")
_CJK = re.compile(rf"[{_CJK_RANGES}]")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])")

MOST = 3  # times that a word counts in one text
RUN = 3  # words in a row that count once
FIRST = 12  # words that stand for an item's title, whatever the fields are called
# Share of a like's words that an item may have besides what its first words share with the like's. Of the ten items
# nearest to a like by BM25, those that repeat half of its words (variants, sequels) share 0.2 or more of its first
# words in 95 of 100 cases (amazon-office, lastfm-hetrec, redial), two items at random in 2.
COPY = 0.4
RARE = 0.75  # share of a text by which its copies are found: its rarest words, of which they have COPY - 1 + RARE
# Titles of so many tokens say what a thing is, not only what it is called: words that two of them share count TITLED
# times more. Without behaviour, warm people, NDCG@10 at 1, 3, 5 likes: amazon-office (12 words) 0.085 -> 0.093,
# 0.111 -> 0.129, 0.089 -> 0.112; news (11) no difference (122 people); films (3) nothing; artists (2) lost a third.
LONG_TITLE, TITLED = 8, 4.0
TITLES = 2000  # that tell how long they are
FIRST_WORDS = "first.npy"  # beside the files of bm25s
_NOTHING = np.empty(0, np.int64), np.empty(0, np.float32)


def tokenise(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    tokens: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if word.isascii():
            tokens.append(word)
            continue
        # a word may run on into CJK ("3d电影"): cut where the script changes
        for part in _PART.findall(word):
            tokens += [part] if not _CJK.match(part) else [*part, *(part[i : i + 2] for i in range(len(part) - 1))]
    return tokens


def said_once(text: str) -> list[str]:
    """The tokens of `text`, "" in the place of each that says nothing new: of a sentence without a new word, at the end
    of `RUN` words that stood in this order before, or said `MOST` times already."""
    tokens: list[str] = []
    runs: set[tuple[str, ...]] = set()
    times: dict[str, int] = {}
    for sentence in _SENTENCE.split(text):
        own = tokenise(sentence)
        if own and all(word in times for word in own):
            tokens += [""] * len(own)
            continue
        for i, word in enumerate(own):
            run = tuple(own[max(0, i - RUN + 1) : i + 1])
            times[word] = times.get(word, 0) + 1
            tokens.append("" if run in runs or times[word] > MOST else word)
            if len(run) == RUN:
                runs.add(run)
    return tokens


def fading(said: NDArray[np.floating], shared: NDArray[np.floating]) -> NDArray[np.float32]:
    """What is left of a likeness, 0 to 1. `said`: share of a like's words in the item; `shared`: of its first words
    among the item's first."""
    room = np.minimum(COPY + shared, 1)
    return np.where(said > room + 1e-4, (1 - said) / np.maximum(1 - room, 1e-6), 1).clip(0, 1).astype(np.float32)


class _Documents:
    """Token ids of all texts in one array, as the sequence of lists that bm25s takes: 4 bytes a token, not 36."""

    def __init__(self) -> None:
        self.ids, self.ends = array("i"), array("q", [0])

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __iter__(self) -> Iterator[list[int]]:
        return (self.ids[self.ends[i] : self.ends[i + 1]].tolist() for i in range(len(self)))


class Lexical:
    """BM25 (bm25s, Lucene's variant: k1 1.5, b 0.75) over texts in row order.

    `first` int32 [items, FIRST]: the distinct first words of each text, then 0, the word "" that counts for nothing.
    `titled`: how much more shared first words count when items are compared, as far as the items' titles are known.
    """

    def __init__(self, texts: Iterable[str], titles: Sequence[str] = ()) -> None:
        import bm25s

        vocabulary: dict[str, int] = {"": 0}  # bm25s refuses an empty vocabulary and an empty document
        documents, first = _Documents(), array("i")
        for text in texts:
            own = [vocabulary.setdefault(t, len(vocabulary)) for t in said_once(text)]
            documents.ids.extend(own or [0])
            documents.ends.append(len(documents.ids))
            head = list(dict.fromkeys(own[:FIRST]))
            first.extend([*head, *[0] * (FIRST - len(head))])
        self._index: Any = bm25s.BM25()
        self._index.scores = self._index.build_index_from_ids(range(len(vocabulary)), documents, show_progress=False)
        self._index.vocab_dict = vocabulary
        self.count = len(documents)
        self.first = np.array(first, np.int32).reshape(self.count, FIRST)
        self.titled = _titled(titles)

    def save(self, folder: Path) -> None:
        """Arrays and JSON, no pickle."""
        self._index.save(folder, show_progress=False)
        np.save(folder / FIRST_WORDS, self.first)

    @classmethod
    def load(cls, folder: Path, titles: Sequence[str] = ()) -> "Lexical":
        """What `save` wrote; arrays stay on disk until a query reads them."""
        import bm25s

        self = cls.__new__(cls)
        self._index = bm25s.BM25.load(folder, mmap=True, show_progress=False)
        self.count = self._index.scores["num_docs"]
        self.first = np.load(folder / FIRST_WORDS, mmap_mode="r")
        self.titled = _titled(titles)
        return self

    def scores(self, query: str) -> NDArray[np.float32]:
        """float32 [items], zeros where no word of the query is known."""
        words = [w for w in dict.fromkeys(tokenise(query)) if w in self._index.vocab_dict]
        if not words:
            return np.zeros(self.count, np.float32)
        return np.asarray(self._index.get_scores(words), np.float32)

    @property
    def words(self) -> int:
        return len(self._index.scores["indptr"]) - 1

    @cached_property
    def by_word(self) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
        """Weight of each word in each item, by word: csc arrays (data, items, indptr [words + 1]), plain views of what
        bm25s keeps: a slice of a map of the disk costs twenty microseconds more, and there are hundreds a query."""
        index = self._index.scores
        return np.asarray(index["data"]), np.asarray(index["indices"]), np.asarray(index["indptr"])

    @cached_property
    def heads(self) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
        """The same of words that are among an item's first, times `titled`."""
        data, items, ends = self.by_word
        words = np.repeat(np.arange(self.words, dtype=np.int32), np.diff(ends))
        kept = np.zeros(len(items), bool)
        for place in range(FIRST):
            kept |= self.first[items, place] == words
        kept &= words > 0
        counts = np.bincount(words[kept], minlength=self.words)
        return np.float32(self.titled) * data[kept], items[kept], np.concatenate([[0], np.cumsum(counts)])

    @cached_property
    def by_item(self) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
        """The same by item: csr arrays (data, words, indptr [items + 1]), without the word "", whose weight is 0."""
        data, items, ends = self.by_word
        order = np.argsort(items[ends[1] :], kind="stable") + ends[1]
        words = np.repeat(np.arange(self.words, dtype=np.int32), np.diff(ends))[order]
        counts = np.bincount(items[ends[1] :], minlength=self.count)
        return data[order], words, np.concatenate([[0], np.cumsum(counts)])

    def alike(self, rows: Sequence[int], own: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """How much every item shares with the items `rows`, float32 [items]: BM25 with their words as the query, a word
        counting for each of them, by the root of its weight there, and shared first words by `titled` more. (Beside the
        plain query on validation people, 5 likes: ml-100k 0.167 against 0.155, lastfm-hetrec 0.220 against 0.213,
        redial's new films 0.35 against 0.29.)

        `own`: what `own(rows)` says, if it is known already."""
        wanted, found = np.zeros((2, self.words), np.float32), np.zeros(self.count, np.float32)
        for row in rows:
            words, weights = self._weights(row)
            wanted[0, words] += weights
            head = np.isin(words, self.first[row])
            wanted[1, words[head]] += weights[head]
        for query, lists in zip(wanted, (self.by_word, self.heads) if self.titled else (self.by_word,), strict=False):
            data, items, ends = lists
            for word in np.flatnonzero(query):
                here = slice(ends[word], ends[word + 1])
                found[items[here]] += query[word] * data[here]
        return found * (self.own(rows) if own is None else own)

    def own(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """How far an item's likeness to the items `rows` is its own, float32 [items]: 1, less where its text repeats
        one of them more than its first words allow, 0 for a copy under another title."""
        result = np.ones(self.count, np.float32)
        for row in rows:
            near, left = self.repeating(row)
            result[near] = np.minimum(result[near], left)
        return result

    def repeating(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(items that repeat the text of item `row`, what is left of their likeness), as `own`; found once for each.

        An item with more than COPY of the words has more than a part of them that is heavy enough: only items that
        have so much of the rarest words are looked at, which spares the long lists of the common ones."""
        if (found := self._repeating.get(row)) is None:
            found = self._repeating[row] = self._found_repeating(row)
        return found

    @cached_property
    def _repeating(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]]:
        return {}

    def _found_repeating(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        (_, items, ends), query = self.by_word, np.zeros(self.words, np.float32)
        words, weights = self._weights(row)
        query[words] = weights / max(float(weights.sum()), 1e-9)
        words = words[np.argsort(ends[words + 1] - ends[words], kind="stable")]
        heard = np.cumsum(query[words])
        rare = words[: int(np.searchsorted(heard, RARE)) + 1]
        least = COPY - (1 - float(query[rare].sum()))
        lists = [items[ends[word] : ends[word + 1]] for word in rare]
        if not lists:
            return _NOTHING
        shares = np.repeat(query[rare], [len(one) for one in lists])
        near = np.flatnonzero(np.bincount(np.concatenate(lists), shares, self.count) > least - 1e-6)
        said = self._sums(query, near)
        near, said = near[said > COPY], said[said > COPY]
        title = np.zeros(self.words, np.float32)
        title[self.first[row]] = query[self.first[row]]
        shared = title[self.first[near]].sum(axis=1) / max(float(title.sum()), 1e-9)
        left = fading(said, shared)
        return (near[left < 1], left[left < 1]) if (left < 1).any() else _NOTHING

    def _sums(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The sum of `query` [words] over the words of each of `rows`."""
        _, words, ends = self.by_item
        counts = ends[rows + 1] - ends[rows]
        owner = np.repeat(np.arange(len(rows)), counts)
        at = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts) + ends[rows][owner]
        return np.bincount(owner, query[words[at]], len(rows)).astype(np.float32)

    def _weights(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The words of an item and the roots of their weights."""
        data, words, ends = self.by_item
        own = slice(ends[row], ends[row + 1])
        return words[own][data[own] > 0], np.sqrt(data[own][data[own] > 0])

    def top(self, query: str, k: int, mask: NDArray[np.bool_] | None = None) -> list[int]:
        """Rows of the `k` best matches (score above 0), best first, ties by row."""
        scores = self.scores(query)
        if mask is not None:
            scores = np.where(mask, scores, 0)
        rows = np.flatnonzero(scores)
        if len(rows) > k:
            least = -np.partition(-scores[rows], k - 1)[k - 1] if k else np.inf
            rows = rows[scores[rows] >= least]
        return [int(r) for r in rows[np.argsort(-scores[rows], kind="stable")][:k]]


def _titled(titles: Sequence[str]) -> float:
    some = [len(tokenise(titles[int(row)])) for row in spread(len(titles), TITLES)] if len(titles) else [0]
    return TITLED if np.median(some) >= LONG_TITLE else 0.0
