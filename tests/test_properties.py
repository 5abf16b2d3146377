"""Properties under hypothesis: conversation, store and catalogue as state machines, and files of items of every shape.

A few examples here; `pytest tests/test_properties.py --hypothesis-profile=long` tries for half an hour. What a long run
found is kept as an `@example`.
"""

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from snowmelt.agent import Conversation, Recommender
from snowmelt.agent.dialogue import MOST_IN_ALL
from snowmelt.agent.types import Reply
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.filters import meets
from snowmelt.retrieval.inference import typed
from snowmelt.retrieval.items import KINDS, Item, clean, visible
from snowmelt.retrieval.reading import read_items
from stores import Hashing, whole

MANY = settings().max_examples  # 100, or what --hypothesis-profile says
FEW = settings(
    max_examples=max(3, MANY // 30), stateful_step_count=15, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
GENRES = ("drama", "comedy", "horror", "war", "animation")
WORDS = (
    "quiet", "love", "no", "not", "never", "horror", "under 90 minutes", "after 1990", "Film 7", "comedies", "but",
    "the second one", "more like", "hate", "以后不要", "喜欢", "战争", "90分钟以内", "less than", "or",
    "3", "any", "why", "between 1980 and", "12", "maybe", "?", "!", "\u202e", "\u200b", "\U000e0041", "🦄", "I've seen",
)  # fmt: skip
said = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), st.text(max_size=60),
    st.text(min_size=3000, max_size=3100),
    st.sampled_from(["just show me", "why?", "start over", "undo", "more", "not that one, too long", "什么都行", ""]),
)  # fmt: skip
_shop: list[Catalogue] = []


@pytest.fixture(scope="module", autouse=True)
def shop(tmp_path_factory: pytest.TempPathFactory) -> None:
    source = [
        Item(f"id/{i}", f"Film {i}", f"About {GENRES[i % 5]} and rain.",
             {"runtime": 40.0 + 3 * i, "year": 1950.0 + i, "genres": (GENRES[i % 5], GENRES[i % 3])})
        for i in range(40)
    ]  # fmt: skip
    out = tmp_path_factory.mktemp("shop")
    build(source, out, Hashing())
    _shop[:] = [Catalogue.open(out, Hashing())]


class Talk(RuleBasedStateMachine):
    """Whatever is said: a list keeps every limit in force, holds nothing twice, disliked or seen; a profile holds
    nothing that was not said or offered; all the state survives JSON."""

    @initialize()
    def begin(self) -> None:
        self.recommender = Recommender(_shop[0], None)
        self.now, self.heard = Conversation(), ""
        self.reply: Reply | None = None

    @rule(text=said)
    def say(self, text: str) -> None:
        self.heard += visible(text) + "\n"
        self.now, self.reply = self.recommender.reply(self.now, text)

    @precondition(lambda self: self.reply is not None and self.reply.question is not None)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        assert self.reply and self.reply.question
        options = [option.text for option in self.reply.question.options]
        self.say(data.draw(st.sampled_from([*options, "any"])))

    @rule()
    def save(self) -> None:
        self.now = Conversation.model_validate_json(self.now.model_dump_json())

    @rule()
    def start_over(self) -> None:
        self.say("start over")
        assert self.now.in_force.empty and not self.now.shown

    @invariant()
    def sound(self) -> None:
        if self.reply is None:
            return
        told, ids = self.now.in_force, [r.item.id for r in self.reply.recommendations]
        assert len(ids) == len(set(ids)) <= 5 and all(i in _shop[0].rows for i in ids)
        assert not set(ids) & {*told.disliked_ids, *told.liked_ids, *told.seen}
        assert all(meets(r.item, told.constraints, _shop[0].schema.attributes) for r in self.reply.recommendations)
        assert self.reply.text and visible(self.reply.text) == self.reply.text and len(self.reply.text) < 20_000
        assert sum(a != "enough" for a in self.now.asked) <= MOST_IN_ALL + self.heard.count("\n")
        assert Conversation.model_validate_json(self.now.model_dump_json()) == self.now
        heard = re.sub(r"\s+", " ", self.heard)
        for entry in (*told.likes, *told.dislikes, *told.constraints):
            assert re.sub(r"\s+", " ", entry.evidence)[:1000].strip() in heard, entry


class Kept(RuleBasedStateMachine):
    """The store against a dict: what is put is got, by its owner alone; what is erased is gone."""

    @initialize()
    def begin(self) -> None:
        from snowmelt.agent.service.store import Store

        self.folder = Path(tempfile.mkdtemp())
        self.open: Any = lambda: Store.open(str(self.folder / "people.db"))
        self.store = self.open()
        self.people: list[str] = []
        self.rows: dict[tuple[str, str, str], tuple[dict[str, Any], int]] = {}

    @rule()
    def arrive(self) -> None:
        self.people.append(self.store.create_person("shop")[0].id)

    @precondition(lambda self: self.people)
    @rule(data=st.data(), value=st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3),
          expected=st.sampled_from([None, 0, 1, 2]))  # fmt: skip
    def put(self, data: st.DataObject, value: dict[str, Any], expected: int | None) -> None:
        from snowmelt.agent.service.store import Conflict, Put

        who, id_ = data.draw(st.sampled_from(self.people)), data.draw(st.sampled_from("abc"))
        version = self.rows.get((who, "profile", id_), ({}, 0))[1]
        if any("\ud800" <= c <= "\udfff" for text in (*value, *value.values()) for c in text):
            return
        try:
            found = self.store.put(who, Put("profile", id_, value, expected))
        except Conflict:
            assert expected is not None and expected != version
            return
        assert found == [version + 1] and expected in (None, version)
        self.rows[who, "profile", id_] = value, version + 1

    @precondition(lambda self: self.people)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.people)), "profile", data.draw(st.sampled_from("abc"))
        assert self.store.remove(*key) == (self.rows.pop(key, None) is not None)

    @precondition(lambda self: self.people)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        from snowmelt.agent.service.keyring import Gone

        who = data.draw(st.sampled_from(self.people))
        self.store.erase(who)
        self.people.remove(who)
        self.rows = {key: row for key, row in self.rows.items() if key[0] != who}
        with pytest.raises(Gone):
            self.store.export(who)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def agrees(self) -> None:
        for who in getattr(self, "people", ()):
            kept = {
                (who, kind, s.id): (s.value, s.version) for kind, part in self.store.export(who).items() for s in part
            }
            assert kept == {key: row for key, row in self.rows.items() if key[0] == who}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)


class Shelf(RuleBasedStateMachine):
    """A catalogue against a dict: whatever is indexed, pruned or damaged in between, it opens whole and holds that."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.there: dict[str, str] = {}

    @rule(
        texts=st.dictionaries(st.sampled_from("abcdefgh"), st.text("xyz é猫", max_size=6), min_size=1),
        prune=st.booleans(),
    )
    def index(self, texts: dict[str, str], prune: bool) -> None:
        before = dict(self.there)
        source = [Item(id_, f"Title {id_}", text, {"n": float(len(text))}) for id_, text in texts.items()]
        report = build(source, self.folder / "out", Hashing(), prune=prune)
        cleaned = {id_: " ".join(text.split()) for id_, text in texts.items()}
        self.there = cleaned if prune else before | cleaned
        assert report.count == len(self.there) and report.added == len(texts.keys() - before.keys())

    @precondition(lambda self: self.there)
    @rule(data=st.data(), at=st.integers(0, 10**6))
    def damage(self, data: st.DataObject, at: int) -> None:
        files = sorted(p for p in (self.folder / "out").rglob("*") if p.is_file() and p.stat().st_size)
        files = [p for p in files if p.name not in ("items.jsonl", "manifest.json")]  # the truth, and what names it
        path = data.draw(st.sampled_from(files))
        raw = bytearray(path.read_bytes())
        raw[at % len(raw)] ^= 1
        path.write_bytes(raw)

    @invariant()
    def opens(self) -> None:
        if getattr(self, "there", None):
            catalogue = Catalogue.open(self.folder / "out", Hashing())
            whole(catalogue, len(self.there))
            assert {item.id: item.description for item in catalogue.items} == self.there

    def teardown(self) -> None:
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)


TestTalk, TestKept, TestShelf = Talk.TestCase, Kept.TestCase, Shelf.TestCase
TestTalk.settings = FEW
TestKept.settings = FEW
TestShelf.settings = settings(FEW, max_examples=max(1, MANY // 500), stateful_step_count=3)

cell = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.lists(st.text(max_size=5), max_size=3),
    st.sampled_from([
        "1,299.00", "$5", "2024-02-30", "2024-01-05", "a|b|c", "['x', 'y']", "[1, [2]]", "<b>x</b>&#8238;", "yes",
        "\u202eabc", "NaN", "1" * 5000, "[" * 3000, "\ud800",
    ]),
)  # fmt: skip
name = st.one_of(
    st.sampled_from(["id", "title", "description", "price", "tags", "title_zh", "id "]), st.text(max_size=8)
)
nested = st.recursive(
    cell, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(name, inner, max_size=3), max_leaves=8
)
line = st.one_of(
    st.dictionaries(name, cell, max_size=6).map(lambda row: json.dumps({"id": "7", "title": "T"} | row).encode()),
    nested.map(lambda value: json.dumps(value).encode()), st.binary(max_size=40),
    st.text(max_size=40).map(lambda t: t.encode("utf-8", "surrogatepass")),
)  # fmt: skip


def sound(path: Path) -> None:
    """The file is read, or refused in one line; what is read is clean, typed and unique."""
    try:
        items, problems = read_items(path)
    except InputError as error:
        assert "\n" not in str(error) and str(path) in str(error)
        return
    assert items and len({i.id for i in items}) == len(items) and all("\n" not in p for p in problems)
    for item in items:
        for text in (item.id, item.title, item.description):
            assert visible(text) == text and text == " ".join(text.split())
        assert item.id and item.title and clean(item.title)[:20_000]
        for value in item.attributes.values():
            assert isinstance(value, bool | float | str | tuple) and value == value and value != ()
            assert all(
                isinstance(part, str) and visible(part) == part for part in (value if isinstance(value, tuple) else ())
            )
        json.dumps([item.id, item.title], ensure_ascii=False).encode()


@settings(max_examples=MANY * 2, deadline=None)
@given(lines=st.lists(line, max_size=8))
@example(lines=[b'{"id": 1, "title": "a", "x": 1e999}'])
@example(lines=[b'{"id": "a", "title": "b", "x": [[1]]}', b"\xff\xfe"])
def test_any_lines_of_json(lines: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(b"\n".join(lines))
    sound(path)


@settings(max_examples=MANY * 2, deadline=None)
@given(header=st.lists(name, min_size=1, max_size=5), rows=st.lists(st.lists(cell, max_size=6), max_size=6),
       delimiter=st.sampled_from(",;\t|"), noise=st.binary(max_size=10), at=st.integers(0, 200))  # fmt: skip
def test_any_table(
    header: list[str],
    rows: list[list[Any]],
    delimiter: str,
    noise: bytes,
    at: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    table = [["id", "title", *header], *(["7", "T", *map(str, row)] for row in rows), ["8", "U", *header]]
    raw = "\n".join(delimiter.join(row) for row in table).encode("utf-8", "surrogatepass")
    path.write_bytes(raw[:at] + noise + raw[at:])
    sound(path)


@settings(max_examples=MANY, deadline=None)
@given(raw=cell, kind=st.sampled_from(KINDS), delimiter=st.sampled_from(["", "|", ","]))
def test_any_value_of_any_kind(raw: Any, kind: Any, delimiter: str) -> None:
    assume(raw is not None and raw == raw and raw not in (float("inf"), float("-inf")))
    assert raw is not None
    try:
        value = typed(raw, kind, delimiter)
    except ValueError as error:
        assert str(error).endswith(f"is not a {kind}") or kind == "date"
        return
    wanted = {"number": float, "boolean": bool, "list": tuple}.get(kind, str)
    assert isinstance(value, wanted)
