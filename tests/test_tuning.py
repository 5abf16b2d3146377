"""The tuned ranker: refused where it does not help, stored as a version where it does, and it only changes places."""

from pathlib import Path

import numpy as np
import pytest
from snowmelt.agent.cli import main
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Entry, Profile
from snowmelt.retrieval import fitting, tuning
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.indexing import build
from snowmelt.retrieval.items import Item

pytest.importorskip("implicit", reason="pip install snowmelt[fit]")
pytest.importorskip("lightgbm", reason="pip install snowmelt[tune]")


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Path:
    """A fitted shop, and a table of 210 people who like their half and nothing more subtle than that."""
    folder = tmp_path_factory.mktemp("town")
    build(
        [Item(f"i{i}", f"{'tea' if i % 2 else 'coffee'} number {i}") for i in range(40)],
        folder / "shop",
        open_embedder(),
    )
    rng, lines = np.random.default_rng(0), ["user,item"]
    for person in range(210):
        for i in range(40):
            if rng.random() < (0.6 if i % 2 == person % 2 else 0.05) / (1 + i / 10):
                lines.append(f"p{person},i{i}")
    (folder / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    assert main(["fit", str(folder / "shop"), str(folder / "table.csv")]) == 0
    return folder


def test_a_ranker_that_does_not_help_is_refused_with_its_figures(town: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(tuning, "SURE", 100.0)
    assert main(["tune", str(town / "shop"), str(town / "table.csv")]) == 2
    assert "refused, it does not help beyond chance: NDCG@10 0." in capsys.readouterr().err
    assert fitting.versions(town / "shop") == ["v-1"]


def test_one_that_is_kept_is_a_version_and_changes_places_only(town: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(tuning, "SURE", -100.0)
    profile = Profile(likes=tuple(Entry(text=i, item_id=i, evidence=i) for i in ("i1", "i3")))
    before = Recommender.open(town / "shop").recommend(profile, 38)
    assert main(["tune", str(town / "shop"), str(town / "table.csv")]) == 0
    assert "v-2: a ranker" in capsys.readouterr().out
    after = Recommender.open(town / "shop").recommend(profile, 38)
    assert {r.item.id for r in after} == {r.item.id for r in before}
    assert any(r.signals.get("tuned") for r in after)
    assert np.allclose(sorted(r.score for r in after), sorted(r.score for r in before), atol=0.02)
    assert all(r.score == pytest.approx(sum(r.signals.values()), abs=0.01) for r in after)
    assert not any("p1" in p.read_text(errors="ignore").split(",") for p in (town / "shop/learned/v-2").glob("*"))
    assert main(["fit", str(town / "shop"), "--roll-back"]) == 0
    again = Recommender.open(town / "shop").recommend(profile, 38)
    assert [r.item.id for r in again] == [r.item.id for r in before]


def test_few_people_and_nothing_fitted_are_said(town: Path, tmp_path: Path, capsys) -> None:
    build([Item(f"i{i}", f"tea {i}") for i in range(4)], tmp_path / "bare", open_embedder())
    assert main(["tune", str(tmp_path / "bare"), str(town / "table.csv")]) == 2
    assert "nothing is fitted; run `snowmelt fit` first" in capsys.readouterr().err
    (tmp_path / "few.csv").write_text("user,item\na,i1\na,i2\n", encoding="utf-8")
    assert main(["tune", str(town / "shop"), str(tmp_path / "few.csv")]) == 2
    assert "1 people like two items or more; 180 are needed" in capsys.readouterr().err
