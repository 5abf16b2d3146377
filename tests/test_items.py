"""Reading items: every format, every kind of column, and what goes wrong in real files."""

import csv
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.inference import Inference, raw_value
from snowmelt.retrieval.items import LONGEST, Attribute, Item, Schema, clean, is_alias, item_text
from snowmelt.retrieval.reading import read_items


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8")
    return path


def kinds(columns: dict[str, list[Any]], **overrides: Any) -> dict[str, tuple[str, str]]:
    inference = Inference(overrides)
    for name, values in columns.items():
        for value in values:
            if (raw := raw_value(value)) is not None:
                inference.see({name: raw})
    inference.decide()
    return {name: (kind, delimiter) for name, (kind, delimiter) in inference.kinds.items()}


WORDS = [f"word {i} of a sentence that goes on" for i in range(40)]


@pytest.mark.parametrize(
    ("values", "kind", "delimiter"),
    [
        ([1994, 1995.0, None], "number", ""),
        (["1994", "1995"], "number", ""),
        (["$1,299.00", "€ 5", "12.5 EUR"], "number", ""),
        (["3"] * 19 + ["unknown price"], "number", ""),
        (["3"] * 8 + ["three", "four"], "category", ""),
        (["0114709", "0113497"] + [f"01{i:05}" for i in range(30)], "text", ""),
        (["2024-02-29", "2023-01-01T10:00:00Z"], "date", ""),
        (["2024", "2023"], "number", ""),
        ([True, False, None], "boolean", ""),
        (["yes", "No", "no"], "boolean", ""),
        (["Action|Comedy", "Drama"], "list", "|"),
        (["red; blue", "green"] * 3, "list", ";"),
        (["it rains; nobody who has been here for so long minds that any more, do they"] * 3, "category", ""),
        ([["a"], "b"], "list", ""),
        (['["a", "b"]', "['c']"], "list", ""),
        ([[{"id": 1, "name": "Drama"}]], "list", ""),
        (["oak", "pine", "ash"] * 9, "category", ""),
        (["木", "铁", "玻璃"] * 9, "category", ""),
        (WORDS, "text", ""),
        (["x" * 81, "x" * 81], "text", ""),
    ],
)
def test_kinds(values: list[Any], kind: str, delimiter: str) -> None:
    assert kinds({"column": values})["column"] == (kind, delimiter)


def test_other_titles_are_text_and_aliases() -> None:
    assert kinds({"title_zh": ["猫", "猫", "狗"]})["title_zh"] == ("text", "")
    assert is_alias("originalTitle") and is_alias("aka") and is_alias("name_zh", "name")
    assert not is_alias("subtitle") and not is_alias("titled") and not is_alias("name_zh")


def test_kinds_can_be_overridden(tmp_path: Path) -> None:
    rows = [{"id": i, "title": "t", "zip": "8" + str(i), "flag": i % 2, "genres": "a, b"} for i in range(4)]
    path = written(tmp_path / "a.jsonl", rows)
    items, bad = read_items(path, kinds={"zip": "text", "flag": "boolean", "genres": "list"})
    assert dict(items[1].attributes) == {"zip": "81", "flag": True, "genres": ("a", "b")} and not bad
    with pytest.raises(InputError, match="no such column; there are flag"):
        read_items(path, kinds={"price": "number"})
    with pytest.raises(InputError, match="kind 'int'"):
        read_items(path, kinds={"zip": "int"})


def test_a_value_of_another_kind_is_left_out_and_told(tmp_path: Path) -> None:
    rows = [{"id": i, "title": "t", "price": i, "day": f"2024-01-{i + 1:02}"} for i in range(20)]
    rows[3] |= {"price": "ask us", "day": "2024-02-31"}
    items, bad = read_items(written(tmp_path / "a.jsonl", rows))
    assert len(items) == 20 and "price" not in items[3].attributes and "day" not in items[3].attributes
    assert sorted(bad)[1] == f"{tmp_path}/a.jsonl:4 price: 'ask us' is not a number"
    with pytest.raises(InputError, match=r"a\.jsonl:4 day"):
        read_items(tmp_path / "a.jsonl", strict=True)


def test_the_order_of_rows_changes_nothing(tmp_path: Path) -> None:
    from snowmelt.retrieval.columns import ColumnsBuilder

    dice = random.Random(0)
    rows: list[Any] = []
    for i in range(300):
        row = {"id": i, "title": f"t{i}", "year": 1900 + i % 90, "genre": dice.choice(["Drama", "drama", "war"])}
        row |= {
            "tags": dice.choice(["a|b", "c", "d|A"]),
            "note": WORDS[i % 40] + str(i),
            "mixed": dice.choice([1, "x"]),
        }
        if i % 3:
            row |= {"added": f"2024-01-{i % 28 + 1:02}", "aka": f"other {i}"}
        rows.append(row)
    found = []
    for _ in range(3):
        dice.shuffle(rows)
        items, bad = read_items(written(tmp_path / "a.jsonl", rows))
        inference = Inference({})
        for item in items:
            inference.see({k: list(v) if isinstance(v, tuple) else v for k, v in item.attributes.items()})
        inference.decide()
        columns = ColumnsBuilder({n: k for n, (k, _) in inference.kinds.items()}, len(items))
        for row, item in enumerate(items):
            columns.add(row, item.attributes)
        schema = columns.schema(inference.aliases)
        texts = sorted((item.id, item_text(item, schema)) for item in items)
        found.append((schema.to_json(), texts, sorted(bad)))
    assert found[0] == found[1] == found[2]
    schema = Schema.from_json(found[0][0])
    assert list(schema.attributes) == sorted(schema.attributes) and schema.aliases == ("aka",)
    assert set(schema.attributes["genre"].values) == {"Drama", "war"}  # spelt one way, counted together
    assert schema.attributes["added"].maximum == "2024-01-28" and schema.attributes["year"].minimum == 1900


def test_item_text_is_what_can_be_read() -> None:
    attributes = {"url": "https://example.org/a", "blurb": "A quiet one", "tags": ("warm", "slow"), "title_zh": "猫"}
    item = Item("1", "Cat", "It sleeps.", attributes | {"price": 3.0, "added": "2024-01-01"})
    kind = {"url": "text", "blurb": "text", "tags": "list", "title_zh": "text", "price": "number", "added": "date"}
    columns = {n: Attribute(n, k) for n, k in sorted(kind.items())}  # type: ignore[arg-type]
    schema = Schema(columns, ("title_zh",), 1)
    assert item_text(item, schema) == "Cat. 猫. A quiet one. warm, slow. It sleeps."


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>Fish &amp; chips</p><script>alert(1)</script> <b>3 < 4</b>", "Fish & chips 3 < 4"),
        ("&lt;b&gt;bold&lt;/b&gt; a<!-- hidden -->b", "bold a b"),
        ("a\u202eb\u200bc\x00d\x07e\ufefff\ud800g", "abcdefg"),
        ("two\r\nlines\tand\u2028more\u3000space", "two lines and more space"),
        ("cafe\u0301", "café"),
        ("نمی‌خواهم", "نمی‌خواهم"),
        ("I <3 you <script unclosed", "I <3 you <script unclosed"),
    ],
)
def test_clean(text: str, plain: str) -> None:
    assert clean(text) == plain


def test_clean_is_quick_on_hostile_markup() -> None:
    started = time.perf_counter()
    for text in ("<script" * 200_000, "<" * 1_000_000, "<script></script>" * 60_000, "<a" * 500_000, "&amp;" * 200_000):
        assert len(clean(text)) <= LONGEST
    assert time.perf_counter() - started < 3


def test_bad_rows_and_odd_ones(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"id": "a/b/../c", "title": "Slash"},
        {"id": "b", "title": "\u202e\u200b"},
        {"title": "no id"},
        {"id": "c", "title": "Long", "description": "so <b>big</b> " * 80_000},
        {"id": "a/b/../c", "title": "Again"},
        "[1, 2]",
        "{oops",
        {"id": True, "title": "x"},
        {"id": 7.0, "title": 1984, "description": ["One.", "Two."]},
        {"id": "d", "title": "Nested", "size": {"cm": 3}, "when": float("nan")},
    ]
    items, bad = read_items(written(tmp_path / "a.jsonl", rows))
    assert [(i.id, i.title) for i in items] == [("a/b/../c", "Slash"), ("c", "Long"), ("7", "1984"), ("d", "Nested")]
    assert len(items[1].description) <= LONGEST and "<" not in items[1].description
    assert items[2].description == "One. Two." and not items[3].attributes
    told = [line.removeprefix(f"{tmp_path}/a.jsonl:").split(":")[0] for line in bad]
    assert told == ["2 title", "3 id", "5 id", "6 line", "7 line", "8 id", "10 size"]


def test_encodings(tmp_path: Path) -> None:
    lines = [json.dumps({"id": i, "title": "Café"}, ensure_ascii=False) for i in range(3)]
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf" + lines[0].encode() + b"\n" + lines[1].encode("latin-1") + b"\n" + lines[2].encode()
    )
    items, bad = read_items(path)
    assert [i.id for i in items] == ["0", "2"] and ":2 line: not UTF-8 (byte 0xe9" in bad[0]
    path.write_text(lines[0], encoding="utf-16")
    with pytest.raises(InputError, match="UTF-16"):
        read_items(path)
    table = tmp_path / "a.csv"
    table.write_bytes("id,title\n1,Café\n2,".encode() + "狗\n".encode("gbk") + "3,猫\n".encode())
    items, bad = read_items(table)
    assert [i.title for i in items] == ["Café", "猫"] and ":3 title: not UTF-8" in bad[0]


def test_csv_and_tsv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file, delimiter=";")
        out.writerows([["sku", "name", "price", "tags"], ["x", 'A "b"; c\nd', "3.5", "a|b"], ["y", "E", "", ""]])
        out.writerows([["z", "F"], ["q", "G" * 200_000, "1", "c"]])
    items, bad = read_items(path, fields={"id": "sku", "title": "name"})
    assert [(i.id, i.title[:9], dict(i.attributes)) for i in items] == [
        ("x", 'A "b"; c ', {"price": 3.5, "tags": ("a", "b")}), ("y", "E", {}),
        ("q", "G" * 9, {"price": 1.0, "tags": ("c",)}),
    ]  # fmt: skip
    assert [b.split(" ", 1)[1] for b in bad] == ["line: 2 cells, the header has 4"] and bad[0].startswith(f"{path}:5 ")
    with pytest.raises(InputError, match=r"title: no column 'title'; there are sku, name"):
        read_items(path, fields={"id": "sku"})
    path.write_text('id,title\n1,"never closed\n' + "more\n" * 10)
    assert read_items(path)[0][0].title.startswith("never closed more")
    path.with_suffix(".tsv").write_text("id\ttitle\n1\ta, b\n")
    assert read_items(path.with_suffix(".tsv"))[0][0].title == "a, b"


def test_parquet(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    from datetime import date, datetime
    from decimal import Decimal

    columns = {
        "id": [1, 2], "title": ["猫", None], "tags": [["a", "b"], []], "added": [date(2024, 1, 2), None],
        "seen": [datetime(2024, 1, 2, 3, 4), None], "price": [Decimal("3.50"), None], "ok": [True, None],
    }  # fmt: skip
    parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
    items, bad = read_items(tmp_path / "a.parquet")
    assert dict(items[0].attributes) == {
        "tags": ("a", "b"), "added": "2024-01-02", "seen": "2024-01-02", "price": 3.5, "ok": True,
    }  # fmt: skip
    assert bad == [f"{tmp_path}/a.parquet:2 title: missing or empty"]
    (tmp_path / "b.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="broken Parquet"):
        read_items(tmp_path / "b.parquet")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_text("x")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "bad.jsonl").write_text("nope\n")
    for name, words in [
        ("a.xlsx", "is not read"),
        ("none.csv", "no such file"),
        ("empty.jsonl", "it is empty"),
        ("bad.jsonl", "bad.jsonl:1"),
    ]:
        with pytest.raises(InputError, match=words) as error:
            read_items(tmp_path / name)
        assert "\n" not in str(error.value)


def test_too_many_columns_end_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [{"id": i, "title": "t", f"key {i}": 1} for i in range(1100)])
    with pytest.raises(InputError, match="1,000 different columns"):
        read_items(path)
