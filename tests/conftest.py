"""The demo catalogue, indexed once for all tests, with the real embedder and the real Chroma."""

from importlib.resources import files
from pathlib import Path

import pytest
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.reading import read_items


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    out = tmp_path_factory.mktemp("films")
    items, bad = read_items(Path(str(files("snowmelt.retrieval.demo") / "films.jsonl")))
    assert not bad
    build(items, out, open_embedder())
    return Catalogue.open(out)
