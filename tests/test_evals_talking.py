"""The strategy `llm` of `snowmelt-talk`: questions in a model's own words, and what they name can be picked."""

from pathlib import Path

from fakes import ScriptedLLM
from snowmelt.agent import Conversation, Recommender
from snowmelt.agent.llm import ModelError
from snowmelt.agent.types import Turn
from snowmelt.evals.talking import FreeForm
from snowmelt.retrieval.catalogue import Catalogue


def test_a_model_asks_freely(films: Catalogue, tmp_path: Path) -> None:
    says = [
        "Did you like Alien or Heat?\nI ask because ...",
        "Do you want a comedy?",
        "What moves you?",
        "What moves you?",
    ]
    llm = ScriptedLLM([*says, ModelError("timeout", "late")], name="free")
    free = FreeForm(Recommender(films, None), llm, tmp_path, most=4)
    now, kinds, options = Conversation(), [], []
    for turn in range(3):
        now = now.model_copy(update={"turns": (*now.turns, Turn(role="user", text=f"answer {turn}"))})
        question = free.next(now)
        assert question is not None and "\n" not in question.text
        kinds.append(question.kind)
        options.append([o.item_id or o.value for o in question.options])
        now = now.model_copy(update={"asked": (*now.asked, question.about)})
    assert kinds == ["items", "attribute", "open"] and options[0][0] == "alien-1979" and options[1] == ["comedy"]
    assert "answer 0" in llm.asked[0][0].content
    now = now.model_copy(update={"turns": (*now.turns, Turn(role="user", text="more"))})
    assert free.next(now) is None  # the same again
    now = now.model_copy(update={"turns": (*now.turns, Turn(role="user", text="and more"))})
    assert free.next(now) is None  # it failed
    assert free.next(now.model_copy(update={"asked": ("a", "b", "c", "d")})) is None
