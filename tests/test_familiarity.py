"""What the model has heard of: read once, kept, resumed, fair to titles of any form."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import ScriptedLLM
from snowmelt.agent.familiarity import BATCH, PROBE, domain_of, familiarity, spoken, stored
from snowmelt.agent.llm import ModelError, bundled_gguf
from snowmelt.agent.models.gguf import GGUF

FAMOUS = ["The Godfather", "Star Wars", "Titanic", "Jaws", "Pulp Fiction", "The Matrix", "Casablanca", "Toy Story",
          "Forrest Gump", "The Lion King", "Jurassic Park", "Psycho"]  # fmt: skip
OBSCURE = ["Nosing Around", "Bhaji of Wrath", "The Quiet Mender", "Sudbury Files", "Turning Kilns", "Pebble Dispute",
           "Else's Omnibus", "Hedd Wyn", "Tigrero", "The Nephew's Barge", "Squeeze Lanes", "Roma Mia"]  # fmt: skip


def known(prefix: str, text: str) -> float:
    """A model that has heard of titles with an even number in them, and tells it only where fame is asked for."""
    if "famous" not in prefix and "known" not in prefix and "knows" not in prefix:
        return -4.0
    return -2.0 if int(text.split()[-1]) % 2 == 0 else -5.0


TITLES = [f"Title number {i}" for i in range(60)]


def test_what_is_likelier_after_fame_is_familiar(tmp_path: Path) -> None:
    found = familiarity(ScriptedLLM(scorer=known), tmp_path, TITLES, domain="films")
    assert found.values.dtype == np.float32 and found.values.shape == (60,)
    assert abs(found.values.mean()) < 1e-5 and abs(found.values.std() - 1) < 1e-5
    assert found.values[0::2].min() > found.values[1::2].max() + 1
    assert found.domain == "films"


def test_a_second_call_asks_the_model_nothing(tmp_path: Path) -> None:
    first = familiarity(ScriptedLLM(scorer=known), tmp_path, TITLES, domain="films")
    again = ScriptedLLM(scorer=known)
    second = familiarity(again, tmp_path, TITLES)
    assert again.scored == [] and second.tokens == 0 and second.domain == "films"
    assert (first.values == second.values).all()
    without = stored(tmp_path, TITLES)
    assert without is not None and (without.values == first.values).all() and without.weight == first.weight


def test_the_domain_kept_is_not_that_of_another_catalogue(tmp_path: Path) -> None:
    familiarity(ScriptedLLM(scorer=known), tmp_path, TITLES, domain="films")
    others = [f"Dish number {i}" for i in range(30)]
    assert familiarity(ScriptedLLM(scorer=known), tmp_path, others, columns=["ingredients"]).domain == "recipes"


def test_new_titles_are_all_that_a_later_call_reads(tmp_path: Path) -> None:
    familiarity(ScriptedLLM(scorer=known), tmp_path, TITLES[:40], domain="films")
    later = ScriptedLLM(scorer=known)
    familiarity(later, tmp_path, TITLES, domain="films")
    assert {t for _, texts in later.scored for t in texts} == {f" {t}" for t in TITLES[40:]}


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    titles = [f"Title number {i}" for i in range(2 * BATCH)]
    calls = 0

    def dies(prefix: str, text: str) -> float:
        nonlocal calls
        calls += 1
        if calls > 2 * BATCH + 10:  # in the second batch
            raise KeyboardInterrupt
        return known(prefix, text)

    with pytest.raises(KeyboardInterrupt):
        familiarity(ScriptedLLM(scorer=dies), tmp_path, titles, domain="films")
    (path,) = (tmp_path / "familiarity").glob("*.jsonl")
    path.write_text(path.read_text()[:-9])  # killed in the middle of a line
    later, seen = ScriptedLLM(scorer=known), []
    found = familiarity(later, tmp_path, titles, domain="films", progress=lambda done, n: seen.append((done, n)))
    assert len({t for _, texts in later.scored for t in texts}) == BATCH + 1
    assert seen[-1] == (2 * BATCH, 2 * BATCH) and seen[0][0] > BATCH - 2
    whole = familiarity(ScriptedLLM(scorer=known), tmp_path / "whole", titles, domain="films")
    assert (found.values == whole.values).all()


def test_other_models_and_prompts_are_kept_apart(tmp_path: Path) -> None:
    familiarity(ScriptedLLM(scorer=known), tmp_path, TITLES, domain="films")
    for llm, domain in ((ScriptedLLM(scorer=known, name="other"), "films"), (ScriptedLLM(scorer=known), "books")):
        familiarity(llm, tmp_path, TITLES, domain=domain)
        assert len(llm.scored) == 2


def test_a_damaged_file_is_read_again_by_the_model(tmp_path: Path) -> None:
    familiarity(ScriptedLLM(scorer=known), tmp_path, TITLES, domain="films")
    (path,) = (tmp_path / "familiarity").glob("*.jsonl")
    path.write_bytes(b"\xff\x00 not json\n[1]\n" + path.read_bytes()[200:])
    (tmp_path / "familiarity" / "current.json").write_text("[]")
    again = ScriptedLLM(scorer=known)
    assert stored(tmp_path, TITLES) is None
    familiarity(again, tmp_path, TITLES, domain="films")
    assert 0 < len(again.scored[0][1]) < 10
    assert stored(tmp_path, TITLES) is not None


def test_a_model_without_likelihoods_and_no_titles_weigh_nothing(tmp_path: Path) -> None:
    found = familiarity(ScriptedLLM(), tmp_path, TITLES)
    assert found.weight == 0 and not found.values.any() and "likelihoods" in found.why
    assert familiarity(ScriptedLLM(scorer=known), tmp_path, []).values.shape == (0,)


def test_the_models_failure_is_the_callers(tmp_path: Path) -> None:
    def fails(prefix: str, text: str) -> float:
        raise ModelError("server", "broken")

    with pytest.raises(ModelError):
        familiarity(ScriptedLLM(scorer=fails), tmp_path, TITLES, domain="films")


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Matrix, The (1999)", "The Matrix"),
        ("Toy Story (1995)", "Toy Story"),
        ("Cité des enfants perdus, La (1995)", "La Cité des enfants perdus"),
        ("Avventura, L' (1960)", "L'Avventura"),
        ("Die Hard", "Die Hard"),
        ("Godfather, The: Part II (1974)", "The Godfather: Part II"),
        ("Me, Myself, the Dog", "Me, Myself, the Dog"),
        ("1984", "1984"),
        ("(1999)", "(1999)"),
        ("千与千寻 (2001)", "千与千寻"),
        ("", "?"),
    ],
)
def test_titles_as_people_say_them(title: str, said: str) -> None:
    assert spoken(title) == said


def test_long_shop_titles_end_at_a_word() -> None:
    title = "HP 74 Black & 75 Tri-color Original Ink Cartridges, 2 Cartridges (CB335WN, CB337WN)"
    assert title.startswith(spoken(title)) and 40 < len(spoken(title)) <= 60 and title[len(spoken(title))] in " ,"
    assert len(spoken("字" * 300)) == 60


def test_scripts_are_compared_among_themselves(tmp_path: Path) -> None:
    """A tokeniser cuts Chinese into bytes, and a small model cannot read it: that must not put it all at the end."""

    def scorer(prefix: str, text: str) -> float:
        return known(prefix, text) - (20.0 if "字" in text else 0.0)

    llm = ScriptedLLM(scorer=scorer)
    chinese = [f"字字字字字字字字字字字字字 {i}" for i in range(30)]
    found = familiarity(llm, tmp_path, [*TITLES, *chinese], domain="films")
    assert abs(found.values[60:].mean()) < 1e-5
    assert not any("字" in t for p, texts in llm.scored if p.isascii() for t in texts)


def test_where_fame_changes_nothing_the_weight_is_nothing(tmp_path: Path) -> None:
    """The model has an opinion of the titles, but it is the same one whether fame is asked for or not."""
    assert familiarity(ScriptedLLM(scorer=known), tmp_path / "a", TITLES, domain="films").weight > 0.8
    same = ScriptedLLM(scorer=lambda prefix, text: -1.0 - int(text.split()[-1]) / 20)
    likelier = ScriptedLLM(scorer=lambda prefix, text: -1.0 if "knows" in prefix else -3.0)
    less = ScriptedLLM(scorer=lambda prefix, text: known(prefix, text) - (3.0 if "text" not in prefix else 0.0))
    for name, llm in (("b", same), ("c", likelier), ("d", less)):
        found = familiarity(llm, tmp_path / name, TITLES, domain="films")
        assert found.weight == 0 and "does not know" in found.why
    few = familiarity(ScriptedLLM(scorer=known), tmp_path / "e", TITLES[:10], domain="films")
    assert few.weight == 0 and "fewer" in few.why and not few.values.any()


def test_the_domain_is_told_by_columns_or_by_titles() -> None:
    llm = ScriptedLLM(scorer=lambda prefix, text: -1.0 if "books" in prefix else -2.0)
    assert domain_of(llm, TITLES, ["year", "Directors"]) == "movies" and not llm.scored
    assert domain_of(llm, TITLES, ["year"]) == "books"


@pytest.fixture(scope="module")
def local() -> Iterator[GGUF]:
    pytest.importorskip("llama_cpp")
    llm = GGUF(bundled_gguf(), name="local")
    yield llm
    llm.close()


@pytest.mark.gguf
def test_the_embedded_model_knows_famous_films(local: GGUF, tmp_path: Path) -> None:
    found = familiarity(local, tmp_path, [*FAMOUS, *OBSCURE], domain="movies")
    famous, obscure = found.values[: len(FAMOUS)], found.values[len(FAMOUS) :]
    assert (famous[:, None] > obscure).mean() > 0.9
    assert (
        found.tokens > 0 and json.loads((tmp_path / "familiarity" / "current.json").read_text())["domain"] == "movies"
    )


def test_titles_that_the_model_does_not_know_are_not_all_read(tmp_path: Path) -> None:
    many = [f"Part number {i}" for i in range(4 * PROBE)]
    read: set[str] = set()

    def same(prefix: str, text: str) -> float:
        read.add(text)
        return -1.0 - int(text.split()[-1]) / 2000

    found = familiarity(ScriptedLLM(scorer=same), tmp_path / "a", many, domain="parts")
    assert found.weight == 0 and "does not know" in found.why and PROBE <= len(read) < 2 * PROBE
    before = len(read)
    familiarity(ScriptedLLM(scorer=same), tmp_path / "a", many, domain="parts")
    assert len(read) == before
    assert familiarity(ScriptedLLM(scorer=known), tmp_path / "b", many, domain="parts").weight > 0.8
    lines = next((tmp_path / "b" / "familiarity").glob("*.jsonl")).read_text().split()
    assert sum(line.startswith("[") for line in lines) == 4 * PROBE
