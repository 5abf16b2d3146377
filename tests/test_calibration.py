"""A question gets a weight only if it helps people that it was not chosen on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import ScriptedLLM
from snowmelt.agent.calibration import Played, calibrate, calibrate_catalogue, play, stored
from snowmelt.agent.llm import Message, ModelError
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.errors import InputError


def cases(people: int = 40) -> list[Played]:
    """Titles end in "good" where they will be liked; the ranking knows nothing of it."""
    rng = np.random.default_rng(0)
    result = []
    for person in range(people):
        gold = rng.random(30) < 0.2
        titles = tuple(f"film {i} {'good' if g else 'dull'}" for i, g in enumerate(gold))
        result.append(
            Played(person, 3, ("a", "b", "c"), titles, np.sort(rng.random(30))[::-1], gold, max(1, gold.sum()))
        )
    return result


def wise(prefix: str, text: str) -> float:
    return -1.0 if text.endswith("good") else -3.0


def test_a_model_that_helps_gets_a_weight_and_is_remembered(tmp_path: Path) -> None:
    llm = ScriptedLLM(scorer=wise)
    found = calibrate(llm, tmp_path, cases(), questions=["likelihood"])
    assert found.how == "likelihood" and found.weight > 0.3 and "adds" in found.why
    assert found.tried["likelihood"]["gain"] > 0.2 and found.tried["likelihood"]["people"] == 40
    assert stored(tmp_path, llm) == found and found.of(3) == found.weight and found.of(0) == 0.0
    assert stored(tmp_path, ScriptedLLM(scorer=wise, name="another")) is None


@pytest.mark.parametrize("seed", range(8))
def test_a_model_that_guesses_gets_none(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = calibrate(
        ScriptedLLM(scorer=lambda prefix, text: -rng.random()), tmp_path, cases(), questions=["likelihood"]
    )
    assert found.how is None and found.weight == 0 and found.of(5) == 0 and "not asked" in found.why


def test_the_better_question_is_chosen(tmp_path: Path) -> None:
    def chooser(messages: Sequence[Message], label: str) -> float:
        line = next(t for t in messages[-1].content.splitlines() if t.startswith(f"{label}. "))
        return 0.0 if line.endswith("good") else -3.0

    llm = ScriptedLLM(scorer=lambda prefix, text: -1.0 - len(text) % 7, chooser=chooser)
    found = calibrate(llm, tmp_path, cases(), questions=["likelihood", "letters"])
    assert found.how == "letters" and set(found.tried) == {"likelihood", "letters"}


def test_a_model_that_cannot_answer_is_told_from_one_that_answers_badly(tmp_path: Path) -> None:
    found = calibrate(ScriptedLLM(), tmp_path, cases(), questions=["likelihood", "letters"])
    assert found.how is None and "answered no question" in found.why and not found.tried


def test_no_time_is_no_help(tmp_path: Path) -> None:
    assert calibrate(ScriptedLLM(scorer=wise), tmp_path, cases(), seconds=0.0).weight == 0


def test_too_few_people(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too few"):
        calibrate(ScriptedLLM(scorer=wise), tmp_path, cases(10))


def test_a_broken_file_counts_as_none(tmp_path: Path) -> None:
    llm = ScriptedLLM(scorer=wise)
    calibrate(llm, tmp_path, cases(), questions=["likelihood"])
    (path,) = (tmp_path / "calibration").glob("*.json")
    for text in ("{", "[]", '{"model": 1}'):
        path.write_text(text)
        assert stored(tmp_path, llm) is None


def test_a_catalogue_with_interactions(films: Catalogue, tmp_path: Path) -> None:
    pytest.importorskip("implicit")
    rng = np.random.default_rng(0)
    path = tmp_path / "interactions.csv"
    rows = [f"u{u},{films.ids[i]}" for u in range(60) for i in rng.permutation(40)[:8]]
    path.write_text("user,item\n" + "\n".join(rows) + "\n")
    refused = [ModelError("refused", "no")] * 20  # it writes nothing; after five failures it is asked no more
    llm = ScriptedLLM(refused, scorer=lambda prefix, text: -rng.random())
    found = calibrate_catalogue(llm, replace(films, dir=tmp_path), path, people=20)
    assert found.tried["likelihood"]["people"] == 20 and stored(tmp_path, llm) == found
    path.write_text("user,item\n" + "\n".join(rows[:80]) + "\n")
    with pytest.raises(InputError, match="40 are needed"):
        calibrate_catalogue(llm, films, path)


def test_people_are_played_with_what_is_hidden_as_gold() -> None:
    from scipy.sparse import csr_matrix

    likes = csr_matrix(
        np.array([[1, 1, 1, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0]], np.float32)
    )
    rank: Callable = lambda shown: np.tile(np.arange(8.0, 0, -1), (shown.shape[0], 1))  # noqa: E731
    found = play([f"t{i}" for i in range(8)], likes, rank)
    assert {(p.person, p.revealed) for p in found} == {(0, 1), (0, 3), (2, 1)}
    for one in found:
        assert len(one.liked) == one.revealed and not set(one.liked) & set(one.titles)
        assert one.gold.sum() == one.likes and len(one.titles) == 8 - one.revealed
        assert (np.diff(one.base) < 0).all()
