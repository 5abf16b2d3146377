"""Loaders: our format and every publisher's layout, written here as they publish it; errors name file and line."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy.sparse", reason="pip install snowmelt[eval]")

from snowmelt.evals.__main__ import main
from snowmelt.evals.data import Dataset, record_text
from snowmelt.evals.loading import load
from snowmelt.evals.publishers import film
from snowmelt.retrieval.errors import InputError

SHARED = Path(__file__).parents[2] / "shared" / "data"


def ours(folder: Path, interactions: str = "user,item\nu,a\n", items: str = '{"id": "a", "title": "雪"}\n') -> Path:
    (folder / "items.jsonl").write_text(items, encoding="utf-8")
    (folder / "interactions.csv").write_text(interactions, encoding="utf-8")
    return folder


def triples(data: Dataset) -> set[tuple[str, str, float, float]]:
    rows = zip(data.user, data.item, data.rating.tolist(), data.time.tolist(), strict=True)
    return {(data.users[u], data.ids[i], r, t) for u, i, r, t in rows}


def movielens_100k(folder: Path) -> None:
    flags = "|".join("1" if i in (3, 5) else "0" for i in range(19))
    (folder / "u.item").write_bytes(f"1|Misérables, Les (1995)|01-Jan-1995||http://x|{flags}\n".encode("latin-1"))
    (folder / "u.data").write_text("7\t1\t4\t881250949\n")


def movielens_1m(folder: Path) -> None:
    (folder / "movies.dat").write_bytes("1::Misérables, Les (1995)::Animation|Comedy\n".encode("latin-1"))
    (folder / "ratings.dat").write_text("7::1::4::881250949\n")


def movielens_csv(folder: Path) -> None:
    (folder / "movies.csv").write_text(
        'movieId,title,genres\n1,"Misérables, Les (1995)",Animation|Comedy\n', encoding="utf-8"
    )
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n7,1,4.0,881250949\n")
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n1,1,1\n")


@pytest.mark.parametrize("layout", [movielens_100k, movielens_1m, movielens_csv])
def test_movielens(tmp_path: Path, layout):
    layout(tmp_path)
    data = load(tmp_path)
    expected = {
        "id": "1",
        "title": "Les Misérables",
        "description": "",
        "categories": ["Animation", "Comedy"],
        "year": 1995,
    }
    assert data.records == (expected,)
    assert triples(data) == {("7", "1", 4.0, 881250949.0)} and data.has_clock


def test_movielens_titles():
    assert film("1", "Matrix, The (1999)", [])["title"] == "The Matrix"
    assert film("1", "City of Lost Children, The (Cité des enfants perdus, La) (1995)", [])["title"] == (
        "The City of Lost Children (Cité des enfants perdus, La)"
    )
    assert film("1", "Babylon 5", []) == {"id": "1", "title": "Babylon 5", "description": "", "categories": []}
    assert film("1", "Good, the Bad and the Ugly", [])["title"] == "Good, the Bad and the Ugly"


def test_amazon_2018(tmp_path: Path):
    meta = [
        {
            "asin": "B1",
            "title": "Pen <b>blue</b>",
            "description": ["Writes.", "Blue &"],
            "category": ["Office", "Pens"],
            "brand": "X",
        },
        {"asin": "B2", "title": "Never reviewed"},
    ]
    review = {"reviewerID": "R", "asin": "B1", "overall": 2.0, "unixReviewTime": 1500000000, "reviewText": "no"}
    other = {"reviewerID": "R", "asin": "B3", "overall": 5.0, "unixReviewTime": 1500000001}
    for name, rows in (("meta_Office.json.gz", meta), ("Office_5.json.gz", [review, other])):
        with gzip.open(tmp_path / name, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    data = load(tmp_path)
    assert sorted(data.ids) == ["B1", "B3"]
    assert data.records[data.rows["B1"]] == {
        "id": "B1",
        "title": "Pen blue",
        "description": "Writes. Blue &",
        "categories": ["Office", "Pens"],
        "brand": "X",
    }
    assert triples(data) == {("R", "B1", 2.0, 1.5e9), ("R", "B3", 5.0, 1500000001.0)}


def test_amazon_2023(tmp_path: Path):
    meta = {
        "parent_asin": "P",
        "title": "钢笔",
        "description": [],
        "features": ["顺滑"],
        "categories": ["Office"],
        "store": "S",
    }
    review = {"user_id": "U", "asin": "V", "parent_asin": "P", "rating": 5.0, "timestamp": 1588687728923}
    (tmp_path / "meta_Office.jsonl").write_text(json.dumps(meta) + "\n", encoding="utf-8")
    (tmp_path / "Office.jsonl").write_text(json.dumps(review) + "\n" + json.dumps({**review, "asin": "W"}) + "\n")
    data = load(tmp_path)
    assert data.records[0] == {
        "id": "P",
        "title": "钢笔",
        "description": "顺滑",
        "categories": ["Office"],
        "brand": "S",
    }
    assert len(data.user) == 1 and data.time[0] == pytest.approx(1588687728.923)


@pytest.mark.parametrize("part", ["", "MINDsmall_train"])
def test_mind(tmp_path: Path, part: str):
    folder = tmp_path / part
    folder.mkdir(exist_ok=True)
    news = [f"N{i}\tnews\tlocal\tTitle {i}\tAbstract\thttps://x\t[]\t[]" for i in range(4)]
    (folder / "news.tsv").write_text("\n".join(news) + "\n")
    lines = ["1\tU1\t11/11/2019 9:05:58 AM\tN0 N1\tN2-1 N3-0", "2\tU1\t11/12/2019 9:05:58 AM\t\tN2 N3"]
    (folder / "behaviors.tsv").write_text("\n".join(lines) + "\n")
    data = load(tmp_path)
    assert data.records[data.rows["N0"]] == {
        "id": "N0",
        "title": "Title 0",
        "description": "Abstract",
        "categories": ["news", "local"],
    }
    (shown,) = data.impressions
    named = [[data.ids[r] for r in rows] for rows in (shown.history, shown.candidates, shown.clicked)]
    assert set(data.ids) == {"N0", "N1", "N2", "N3"} and data.users == (shown.user,) == ("U1",)
    assert named == [["N0", "N1"], ["N2", "N3"], ["N2"]] and not data.has_clock


def test_lastfm(tmp_path: Path):
    (tmp_path / "artists.dat").write_text("id\tname\turl\tpictureURL\n1\tBjörk\tu\tp\n", encoding="utf-8")
    (tmp_path / "tags.dat").write_bytes("tagID\ttagValue\n5\télectro\n".encode("latin-1"))
    (tmp_path / "user_taggedartists.dat").write_text("userID\tartistID\ttagID\tday\tmonth\tyear\n2\t1\t5\t1\t4\t2009\n")
    (tmp_path / "user_artists.dat").write_text("userID\tartistID\tweight\n2\t1\t13883\n3\t1\t3\n")
    data = load(tmp_path)
    assert data.records[0]["title"] == "Björk" and data.records[0]["categories"] == ["électro"]
    assert data.scale == "counts" and data.liked.all() and not data.disliked.any()


def test_redial(tmp_path: Path):
    (tmp_path / "movies_with_mentions.csv").write_text(
        "movieId,movieName,nbMentions\n9,Jumanji  (2017),3\n8,It (2017),1\n"
    )
    answers = {"9": {"suggested": 1, "seen": 0, "liked": 1}, "8": {"suggested": 0, "seen": 1, "liked": 2}}
    talk = {
        "conversationId": "77", "initiatorWorkerId": 1, "respondentWorkerId": 2, "initiatorQuestions": answers,
        "messages": [{"text": "I saw @8", "senderWorkerId": 1}, {"text": "Try @9!", "senderWorkerId": 2}],
    }  # fmt: skip
    (tmp_path / "train_data.jsonl").write_text(json.dumps(talk) + "\n")
    data = load(tmp_path)
    (dialogue,) = data.dialogues
    assert [m["text"] for m in dialogue["messages"]] == ["I saw It (2017)", "Try Jumanji (2017)!"]
    assert [m["role"] for m in dialogue["messages"]] == ["seeker", "recommender"]
    assert dialogue["labels"]["9"]["liked"] is True and dialogue["labels"]["8"]["liked"] is None
    assert triples(data) == {("77", "9", 1.0, 0.0)}


@pytest.mark.parametrize("layout", [movielens_100k, movielens_csv])
def test_convert_writes_the_same_data_in_our_format(tmp_path: Path, layout, capsys: pytest.CaptureFixture[str]):
    layout(tmp_path)
    assert main(["convert", str(tmp_path), str(tmp_path / "out")]) == 0
    before, after = load(tmp_path), load(tmp_path / "out")
    assert before.records == after.records and triples(before) == triples(after) and before.digest == after.digest
    assert "1 items, 1 interactions of 1 people" in capsys.readouterr().out
    assert main(["convert", str(tmp_path), str(tmp_path / "out")]) == 2


def test_repeats_become_one_row_first_time_last_rating(tmp_path: Path):
    data = load(ours(tmp_path, "user,item,rating,timestamp\nu,a,5,30\nu,a,2,10\nv,a,1,5\n"))
    assert triples(data) == {("u", "a", 5.0, 10.0), ("v", "a", 1.0, 5.0)}


@pytest.mark.parametrize(
    ("ratings", "scale", "likes", "dislikes"),
    [
        ([1, 1, 1], "implicit", 3, 0),
        ([0, 1, 1], "binary", 2, 1),
        ([0.5, 4, 5], "stars", 2, 1),
        ([2, 8, 10], "ten", 2, 1),
        ([1, 7, 900], "counts", 3, 0),
    ],
)
def test_what_a_rating_means(tmp_path: Path, ratings: list[float], scale: str, likes: int, dislikes: int):
    lines = "".join(f"u{i},a,{r}\n" for i, r in enumerate(ratings))
    data = load(ours(tmp_path, "user,item,rating\n" + lines))
    assert (data.scale, data.liked.sum(), data.disliked.sum()) == (scale, likes, dislikes)


@pytest.mark.parametrize(
    ("interactions", "items", "words"),
    [
        ("user,item\nu,b\n", None, "interactions.csv:2 item: 'b'"),
        ("user,item,rating\nu,a,good\n", None, "interactions.csv:2 rating: 'good'"),
        ("user,item\nu,\n", None, "interactions.csv:2 has no user or no item"),
        ("person,item\nu,a\n", None, "interactions.csv:1 has no column 'user'"),
        ("user,item,rating\nu,a,nan\n", None, "not a finite number"),
        (None, '{"id": "a"}\n{"id": "a"}\n', "item 2 repeats the id 'a'"),
        (None, '{"title": "x"}\n', "item 1 has no id"),
        (None, '{"id": "a"}\n[1]\n', "items.jsonl:2 is not a JSON object"),
        (None, '{"id": "a"\n', "items.jsonl:1 is not JSON"),
        (None, "", "has no items"),
    ],
)
def test_bad_data_is_named_by_file_and_line(tmp_path: Path, interactions: str | None, items: str | None, words: str):
    kept = {name: value for name, value in (("interactions", interactions), ("items", items)) if value is not None}
    with pytest.raises(InputError) as caught:
        load(ours(tmp_path, **kept))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_byte_order_mark_and_chinese_are_read(tmp_path: Path):
    ours(tmp_path)
    path = tmp_path / "interactions.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load(tmp_path).users == ("u",)
    path.write_bytes("user,item\nü,a\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        load(tmp_path)


def test_text_leaves_out_identifiers_and_numbers():
    record = {
        "id": "x1",
        "title": "雪国",
        "year": 1948,
        "cast": ["A", "B"],
        "imdb_id": "tt9",
        "description": "火车。",
        "brand": "新潮",
    }
    assert record_text(record) == "雪国. A, B. 新潮. 火车。"


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not on this machine")
@pytest.mark.parametrize(
    ("name", "items", "scale"),
    [
        ("ml-100k", 1682, "stars"), ("amazon-office", 3459, "implicit"), ("mind-recprompt", 3899, "implicit"),
        ("lastfm-hetrec", 17632, "counts"), ("redial", 6588, "binary"), ("amazon-cross-domain", 26585, "implicit"),
    ],
)  # fmt: skip
def test_the_six_sets(name: str, items: int, scale: str):
    data = load(SHARED / name)
    assert (len(data.ids), data.scale) == (items, scale)
    assert data.has_clock == (name == "ml-100k")
    assert len(np.unique(data.user.astype(np.int64) * items + data.item)) == len(data.user)
