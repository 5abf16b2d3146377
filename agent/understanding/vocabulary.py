"""What of the catalogue can be mentioned, and where a message mentions it: titles, people, values; typos forgiven.

Everything is built once per catalogue from its own titles and schema. Nothing here knows films from kettles; what
people say for what catalogues call it (scary -> horror, 橡木 -> oak) stands in aliases.tsv.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.understanding.names import empty, parts_of, variants_of
from snowmelt.agent.understanding.text import is_cjk, key_of
from snowmelt.agent.understanding.values import MAKERS, Target, aliases_of, chinese_names, roles_of, values_of
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.items import Schema

LONGEST = 12  # tokens of a name that is looked up whole; of a longer title so many are, and the rest is compared
MANY = 60_000  # items: beyond this only whole titles are indexed, so that memory stays bounded


@dataclass(frozen=True)
class Vocabulary:
    """Names by their folded words. `titles` (as they are), `variants` (shortened), `parts`: rows of items."""

    titles: dict[str, tuple[int, ...]]
    variants: dict[str, tuple[int, ...]]
    parts: dict[str, tuple[int, ...]]
    values: dict[str, tuple[Target, ...]]
    people: dict[str, tuple[Target, ...]]
    aliases: dict[str, tuple[tuple[Target, ...], tuple[Target, ...]]]
    joined: dict[str, str]
    roles: dict[str, str]
    schema: Schema
    catalogue: Catalogue = field(repr=False)
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, catalogue: Catalogue) -> "Vocabulary":
        """Reads every title once; about 3 s for 100,000 items."""
        schema = catalogue.schema
        titles: dict[str, list[int]] = defaultdict(list)
        variants: dict[str, list[int]] = defaultdict(list)
        parts: dict[str, list[int]] = defaultdict(list)
        whole_only = schema.count > MANY
        for row, item in enumerate(catalogue.items):
            seen: set[str] = set()
            others = [v for n in schema.aliases if isinstance(v := item.attributes.get(n), str)]
            for number, text in enumerate([item.title, *others]):
                for place, key in enumerate(variants_of(text, shop=number == 0)):
                    if key not in seen and (place == 0 or not empty(key)):
                        seen.add(key)
                        (titles if place == 0 else variants)[key].append(row)
            for text in () if whole_only else (item.title, *others):
                for key in parts_of(text):
                    if key not in seen:
                        seen.add(key)
                        parts[key].append(row)
        roles = roles_of(schema)
        values, people = values_of(schema, roles)
        aliases = aliases_of(values, schema)
        joined: dict[str, str] = {}
        for key in (*titles, *variants, *values):
            if " " in key and len(key) > 5 and not is_cjk(key[0]):
                joined.setdefault(key.replace(" ", ""), key)
        return cls(
            {k: tuple(v) for k, v in titles.items()}, {k: tuple(v) for k, v in variants.items()},
            {k: tuple(v) for k, v in parts.items() if len(v) <= 4 and k not in titles and k not in variants},
            values, people, aliases, joined, roles, schema, catalogue,
        )  # fmt: skip

    def item(self, row: int) -> Target:
        return Target(self.catalogue.ids[row], None, self.catalogue.titles[row])

    @cached_property
    def longer(self) -> dict[str, tuple[str, ...]]:
        """The first LONGEST words of names that have more (shops write such titles) -> the whole names."""
        found: dict[str, list[str]] = defaultdict(list)
        for key in (*self.titles, *self.variants):
            if key.count(" ") >= LONGEST:
                found[" ".join(key.split(" ", LONGEST)[:LONGEST])].append(key)
        return {start: tuple(keys) for start, keys in found.items()}

    @cached_property
    def postings(self) -> dict[str, frozenset[int]]:
        """word of a title -> rows, for titles said in another order ("the fox night light")."""
        found: dict[str, set[int]] = defaultdict(set)
        for key, rows in self.titles.items():
            for word in key.split():
                if len(rows) < 50:
                    found[word].update(rows)
        return {w: frozenset(r) for w, r in found.items()}

    def by_words(self, words: Sequence[str]) -> tuple[int, ...]:
        """Rows whose titles hold all of at least two `words`, in any order, and not many others; () if more than three
        do."""
        sets = []
        if not words or (is_cjk(words[0]) and len(words) < 4):
            return ()
        for word in words:
            forms = {word, word.removesuffix("s"), f"{word}s"}
            sets.append(frozenset().union(*(self.postings.get(f, frozenset()) for f in forms)))
        if len(sets) < 2 or not all(sets):
            return ()
        rows = [r for r in frozenset.intersection(*sets) if len(self.catalogue.titles[r].split()) <= 3 * len(words)]
        return tuple(sorted(rows)) if len(rows) <= 3 else ()

    def shown(self, value: str, language: str) -> str:
        """A value as it is said in `language`: its first Chinese alias, or itself."""
        return chinese_names().get(key_of(value), value) if language == "zh" else value

    @cached_property
    def words(self) -> list[str]:
        """Single words of names that nobody uses otherwise: what a misspelt word may have meant."""
        found = {
            w
            for keys in (self.titles, self.variants, self.values)
            for key in keys
            for w in key.split()
            if len(w) > 3 and w.isalpha()
        }
        found |= {w for key in self.aliases for w in key.split() if len(w) > 3 and w.isascii()}
        return sorted(w for w in found if not is_cjk(w[0]))

    @cached_property
    def word_set(self) -> frozenset[str]:
        return frozenset(self.words)

    @cached_property
    def near_titles(self) -> dict[str, tuple[int, ...]]:
        """Titles of four words or Chinese characters and more with one left out."""
        found: dict[str, set[int]] = defaultdict(set)
        for key, rows in self.titles.items():
            chars = key.split()
            if 4 <= len(chars) <= 12:
                for i in range(len(chars)):
                    found[" ".join([*chars[:i], "*", *chars[i + 1 :]])].update(rows)
        return {k: tuple(v) for k, v in found.items()}

    @cached_property
    def near_people(self) -> dict[str, tuple[Target, ...]]:
        """Chinese names of people, three characters and more, with one left out; none that two people share."""
        found: dict[str, set[tuple[Target, ...]]] = defaultdict(set)
        for key, (targets, _) in self.aliases.items():
            chars = key.split()
            if len(chars) >= 3 and is_cjk(chars[0][0]) and self.roles.get(targets[0].attribute or "") == "person":
                for i in range(len(chars)):
                    found[" ".join([*chars[:i], "*", *chars[i + 1 :]])].add(targets)
        return {k: next(iter(v)) for k, v in found.items() if len(v) == 1}

    @cached_property
    def topics(self) -> tuple[list[Target], NDArray[np.float32]]:
        """Values that can be meant in other words (no people, no makers), the 600 most frequent per column, and their
        vectors."""
        targets = [
            Target(None, name, value)
            for name, role in self.roles.items() if role == "topic" and not MAKERS.search(name.casefold())
            for value in list(self.schema.attributes[name].values)[:600]
        ]  # fmt: skip
        return targets, self.catalogue.embedder.queries([t.value for t in targets])
