"""The two demo catalogues: form, width, that every description is its own, and vectors for all of them."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.demo import CATALOGUES, known_vectors
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.indexing import build

GENRES = {
    "action", "adventure", "animation", "comedy", "crime", "documentary", "drama", "family", "fantasy", "history",
    "horror", "music", "mystery", "romance", "science fiction", "sport", "thriller", "war", "western",
}  # fmt: skip
ONE_OF_EACH = {  # a country of every inhabited continent
    "Africa": {"Senegal", "South Africa", "Burkina Faso", "Egypt"},
    "Asia": {"China", "Japan", "India", "Iran"},
    "Europe": {"France", "Germany", "Soviet Union"},
    "North America": {"United States", "Mexico", "Canada"},
    "South America": {"Brazil", "Argentina", "Chile"},
    "Oceania": {"Australia", "New Zealand"},
}


def demo(name: str) -> list[dict[str, Any]]:
    lines = (files("snowmelt.retrieval.demo") / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


FILMS, SHOP = demo("films"), demo("shop")


def test_films_are_many_and_wide() -> None:
    genres = Counter(genre for film in FILMS for genre in film["genres"])
    scary = sum(bool({"horror", "thriller"} & set(film["genres"])) for film in FILMS)
    foreign = sum(film["languages"][0] not in ("English", "Silent") for film in FILMS)
    decades = Counter(film["year"] // 10 * 10 for film in FILMS)
    assert len(FILMS) >= 400
    assert set(decades) == set(range(1920, 2030, 10)), decades
    assert foreign >= 100 and scary >= 40
    assert {g: genres[g] for g in ("animation", "documentary", "comedy", "family") if genres[g] < 40} == {}
    countries = {country for film in FILMS for country in film["countries"]}
    assert [continent for continent, some in ONE_OF_EACH.items() if not some & countries] == []


def test_form_of_films() -> None:
    for film in FILMS:
        where = film["id"]
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-\d{4}", where) and where.endswith(str(film["year"])), where
        assert film["title"].strip() == film["title"] and film.get("original_title") != film["title"], where
        assert 1895 <= film["year"] <= 2026 and 10 <= film["runtime"] <= 600, where
        assert film["countries"] and film["languages"] and film["directors"] and 1 <= len(film["cast"]) <= 5, where
        assert 1 <= len(film["genres"]) <= 3 and set(film["genres"]) <= GENRES, where
        assert 2 <= len(film["themes"]) <= 5 and 2 <= len(film["moods"]) <= 3, where
        assert film["age_rating"] in (0, 7, 12, 15, 18), where
        assert "title_zh" not in film or re.search("[一-鿿]", film["title_zh"]), where
        for name in ("countries", "languages", "directors", "cast", "genres", "themes", "moods"):
            assert len(set(film[name])) == len(film[name]), f"{where} {name}"
        assert 2 <= len(sentences(film["description"])) <= 5, where


def test_form_of_products() -> None:
    for product in SHOP:
        where = product["id"]
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", where)
        assert 0 < product["price"] < 1000 and product["currency"] == "EUR", where
        assert isinstance(product["in_stock"], bool) and product.get("weight_g", 1) > 0, where
        assert re.fullmatch(r"20\d\d-[01]\d-[0-3]\d", product["added"]), where
        assert product["brand"] and product["category"] and product["tags"] and product["title_zh"], where
        assert 2 <= len(sentences(product["description"])) <= 5, where


def test_shop_is_about_120_products_of_many_kinds() -> None:
    kinds = Counter(product["category"] for product in SHOP)
    assert 100 <= len(SHOP) <= 140 and len(kinds) >= 10 and min(kinds.values()) >= 5
    assert sum("size" in product for product in SHOP) >= 60 and all(product["materials"] for product in SHOP)


def test_nothing_is_there_twice() -> None:
    for name, rows in (("films", FILMS), ("shop", SHOP)):
        assert len({row["id"] for row in rows}) == len(rows), name
        assert len({(row["title"].casefold(), row.get("year")) for row in rows}) == len(rows), name
    named = Counter((film["title_zh"], film["year"]) for film in FILMS if "title_zh" in film)
    assert [film for film, n in named.items() if n > 1] == []


def test_no_two_descriptions_share_a_sentence() -> None:
    said = Counter(sentence for row in FILMS + SHOP for sentence in set(sentences(row["description"])))
    assert [sentence for sentence, n in said.items() if n > 1] == []


class Idle:
    """The default embedder, as long as nobody asks it for a vector."""

    id, spec, dim = open_embedder().id, "use", 512

    def documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise AssertionError(f"{len(texts)} demo texts have no vector; run `python -m snowmelt.retrieval.demo`")

    queries = documents


def test_every_demo_item_has_its_vector(tmp_path: Path) -> None:
    embedder, known = open_embedder(), known_vectors(Idle.id)
    assert known and known_vectors("another") == {}
    used = set()
    for path in CATALOGUES:
        report = build(path, tmp_path / path.stem, Idle(), known=known)
        assert report.embedded == 0 and report.bad_count == 0 and report.count == len(demo(path.stem))
        catalogue = Catalogue.open(tmp_path / path.stem, embedder)
        texts = [catalogue.text(row) for row in range(report.count)]
        used |= {sha256(text.encode()).hexdigest() for text in texts}
        fresh = embedder.documents(texts[::20])
        assert (fresh * np.asarray(catalogue.vectors)[::20]).sum(axis=1).min() > 1 - 1e-4
    assert set(known) == used  # nothing left over


def sentences(text: str) -> list[str]:
    return [s.strip(" .?!").casefold() for s in re.split(r"(?<=[.?!])\s+", text) if s.strip()]
