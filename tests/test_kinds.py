"""Events of several kinds: those that help to find held-out likes teach, those that do not are left out."""

import numpy as np
import pytest
from snowmelt.retrieval import fitting
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.kinds import thinned
from snowmelt.retrieval.people import read_people
from test_learned import ITEMS, Letters

sparse = pytest.importorskip("scipy.sparse", reason="pip install snowmelt[fit]")
pytest.importorskip("implicit", reason="pip install snowmelt[fit]")


@pytest.fixture
def shop(tmp_path):
    build(ITEMS, tmp_path / "shop", Letters())
    return Catalogue.open(tmp_path / "shop", Letters())


def told(folder, seen_tells: bool):
    """Four families of items. People like three of theirs; what they see is of theirs, too, or anything."""
    rng, lines = np.random.default_rng(0), ["user,item,event"]
    for person in range(300):
        own = [i for i in range(40) if (i * 7 % 40) // 10 == person % 4]
        lines += [f"p{person},i{i},like" for i in rng.choice(own, 3, replace=False)]
        lines += [f"p{person},i{i},see" for i in rng.choice(own if seen_tells else 40, 8, replace=False)]
    path = folder / "events.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("seen_tells", [True, False])
def test_what_was_seen_counts_if_it_tells_what_is_liked(shop, tmp_path, seen_tells) -> None:
    report = fitting.fit_catalogue(shop, told(tmp_path, seen_tells), event="like")
    assert (report.people, report.likes) == (300, 900)
    assert (report.beside["see"] > 0) is seen_tells


def test_the_column_is_read_and_its_absence_named(shop, tmp_path) -> None:
    path = told(tmp_path, True)
    read = read_people(path, shop.rows, "like")
    assert read.likes.nnz == 900 and set(read.beside) == {"see"} and read.beside["see"].shape == read.likes.shape
    assert read_people(path, shop.rows).likes.nnz > 900  # without a kind every row is a like
    half = thinned(read.beside["see"], 0.5, 0)
    rows = np.diff(half.indptr)
    assert set(rows.tolist()) == {0, 8} and 100 < (rows > 0).sum() < 200
    with pytest.raises(InputError, match="no row has the event 'buy'; there are like, see"):
        read_people(path, shop.rows, "buy")
    (tmp_path / "plain.csv").write_text("user,item\na,i1", encoding="utf-8")
    with pytest.raises(InputError, match="no column event, type or action"):
        read_people(tmp_path / "plain.csv", shop.rows, "like")
