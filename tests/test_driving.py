"""Agent mode: what a driving model may do, however hostile, and what the person sees in each case."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fakes import ScriptedLLM
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from openai_server import llama_server
from snowmelt.agent import Conversation, Recommender, Reply
from snowmelt.agent.calling import ToolCaller, _step, _Turn
from snowmelt.agent.driving import Budget, Driver, open_driver
from snowmelt.agent.llm import ModelError, bundled_gguf
from snowmelt.agent.wording import say
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.errors import InputError

pytest.importorskip("langchain.agents")
SAID = "I loved Spirited Away, but no horror, under two hours"


class Caller(BaseChatModel):
    """Does its steps one after another, the last one for ever: a message, an exception, or a function of what it
    heard."""

    steps: list[Any]
    heard: list[Any] = []  # noqa: RUF012
    calls: int = 0

    @property
    def _llm_type(self) -> str:
        return "caller"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        self.heard[:] = messages
        step: Any = self.steps[min(self.calls, len(self.steps) - 1)]
        self.calls += 1
        step = step(messages) if callable(step) else step
        if isinstance(step, Exception):
            raise step
        message = step if isinstance(step, AIMessage) else AIMessage(str(step))
        return ChatResult(generations=[ChatGeneration(message=message.model_copy(update={"id": None}))])


def call(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"{name}-1"}])


@pytest.fixture(scope="module")
def recommender(films: Catalogue) -> Recommender:
    return Recommender(films, None)


def drive(r: Recommender, *steps: Any, said: str = SAID, state: Conversation | None = None, **budget: Any) -> Any:
    model = Caller(steps=list(steps))
    state, reply = Driver(r, model, Budget(**budget)).reply(state or Conversation(), said)
    keeps(r, state, reply)
    return model, state, reply


def keeps(r: Recommender, state: Conversation, reply: Reply) -> None:
    """Whatever the model did: real items, each once, within the limits, with text that stands."""
    ids = [x.item.id for x in reply.recommendations]
    allowed = r.catalogue.mask(state.in_force.constraints)
    assert len(ids) == len(set(ids)) and all(i in r.catalogue.rows and allowed[r.catalogue.rows[i]] for i in ids)
    assert reply.text and state.turns[-1].text.startswith(reply.text) and state.turns[-2].role == "user"


def test_a_good_model_drives(recommender: Recommender) -> None:
    model, state, reply = drive(
        recommender, call("constraints"), call("search", query="food"), call("recommend", limit=3),
        "Lovely choice. These are warm and gentle.",
    )  # fmt: skip
    assert len(reply.recommendations) == 3 and not reply.degraded
    assert reply.text == "Lovely choice. These are warm and gentle."
    assert any(x.reason for x in reply.recommendations)
    assert state.shown == tuple(x.item.id for x in reply.recommendations)
    assert [m.type for m in model.heard] == ["system", "human", "ai", "tool", "ai", "tool", "ai", "tool"]
    assert {c.attribute for c in state.profile.constraints} == {"genres", "runtime"}


def test_it_chooses_among_what_is_allowed(recommender: Recommender, films: Catalogue) -> None:
    allowed = films.mask(Driver(recommender, Caller(steps=["Hm?"])).reply(Conversation(), SAID)[0].in_force.constraints)
    good = [i.id for i, may in zip(films.items, allowed, strict=True) if may][:2]
    _, _, reply = drive(recommender, call("recommend", ids=good), "Short and sweet.")
    assert [x.item.id for x in reply.recommendations] == good
    horror = next(i.id for i in films.items if "horror" in str(i.attributes["genres"]))
    for wrong in ([horror], ["made-up-2031"], [good[0], horror], ["spirited-away-2001"]):
        model, _, reply = drive(recommender, call("recommend", ids=wrong), call("recommend", ids=good), "There.")
        assert "error" in model.heard[-3].text and [x.item.id for x in reply.recommendations] == good


def test_a_limit_cannot_be_talked_away(recommender: Recommender, films: Catalogue) -> None:
    before = Driver(recommender, Caller(steps=["Hm?"])).reply(Conversation(), SAID)[0].in_force
    for words in ("horror", "forget that", "start over", "I want horror", "under three hours", ""):
        model, state, reply = drive(
            recommender, call("remember", statement=words), call("recommend", limit=20), "Here you are."
        )
        assert "error" in model.heard[-3].text, words
        assert state.in_force.constraints == before.constraints and state.in_force.dislikes == before.dislikes
        assert len(reply.recommendations) == 20


def test_it_remembers_quotations(recommender: Recommender) -> None:
    said = "please give me whatever you have by Hayao Miyazaki"
    _, state, _ = drive(
        recommender, call("remember", statement="by Hayao Miyazaki"), call("recommend"), "Sure.", said=said
    )
    assert any(e.text == "Hayao Miyazaki" for e in state.in_force.likes)


@pytest.mark.parametrize(
    "words",
    [
        "You will love The Purple Accountant.",  # no such film
        "Alien is what you want.",  # real, not on the list
        "Try “Winter of Glass” first.",
        "These 37 films won 12 prizes.",
        "See https://example.org for more.",
        "1. **Alien**\n2. **Heat**",
        "这些都像《不存在的电影》。",
        "words " * 100,
    ],
)
def test_words_that_do_not_check_are_not_shown(recommender: Recommender, words: str) -> None:
    _, _, reply = drive(recommender, call("recommend"), words)
    assert reply.text == say("list", "en") and reply.degraded and len(reply.recommendations) == 5


def test_invented_items_without_a_list_leave_the_turn_to_code(recommender: Recommender) -> None:
    _, _, reply = drive(recommender, "Watch The Purple Accountant (2031)!")
    assert reply.degraded and len(reply.recommendations) == 5 and "Purple" not in reply.text


def test_a_question_of_the_model_is_shown_but_not_for_ever(recommender: Recommender) -> None:
    state = Conversation()
    for _ in range(3):
        _, state, reply = drive(recommender, "What do you feel like tonight?", said="hm, let me think", state=state)
        assert reply.text == "What do you feel like tonight?" and not reply.recommendations and not reply.degraded
    _, state, reply = drive(recommender, "What do you feel like tonight?", said="still thinking", state=state)
    assert reply.degraded and (reply.question or reply.recommendations)
    _, _, reply = drive(recommender, "What do you feel like?", said="just show me", state=state)
    assert len(reply.recommendations) == 5


@pytest.mark.parametrize(
    "step",
    [
        call("search", query="more"),  # for ever
        call("nothing_of_the_kind", x=1),
        call("recommend", limit="many"),
        call("details"),
        call("details", id="x" * 10_000),
        RuntimeError("the key sk-secret asked 1234"),
        AIMessage(""),
        AIMessage("", invalid_tool_calls=[{"name": "recommend", "args": "{", "id": "1", "error": "bad"}]),
    ],
)
def test_loops_and_failures_end_in_an_ordinary_turn(recommender: Recommender, step: Any) -> None:
    model, state, reply = drive(recommender, step)
    assert reply.degraded and len(reply.recommendations) == 5 and model.calls <= Budget().calls
    assert state.profile.constraints and "secret" not in reply.text


def test_budgets(recommender: Recommender) -> None:
    many = AIMessage("", tool_calls=[{"name": "search", "args": {"query": "x"}, "id": str(i)} for i in range(50)])
    _, _, reply = drive(recommender, many, tools=5)
    assert reply.degraded
    usage: Any = {"input_tokens": 9000, "output_tokens": 1, "total_tokens": 9001}
    costly = AIMessage("", tool_calls=call("constraints").tool_calls, usage_metadata=usage)
    model, _, reply = drive(recommender, costly, tokens=10_000)
    assert reply.degraded and model.calls == 2
    began = time.monotonic()
    _, _, reply = drive(recommender, lambda _: time.sleep(5) or "late", seconds=0.3)
    assert reply.degraded and len(reply.recommendations) == 5 and time.monotonic() - began < 3
    # a list that was made before it failed is kept
    _, _, reply = drive(recommender, call("recommend", limit=2), TimeoutError())
    assert reply.degraded and len(reply.recommendations) == 2 and reply.text == say("list", "en")


def test_what_needs_no_model_is_answered_by_code(recommender: Recommender) -> None:
    _, state, _ = drive(recommender, call("recommend"), "Here you are.")
    for said in ("what do you know about me?", "why?", "undo", "start over"):
        model, _, reply = drive(recommender, AssertionError(), said=said, state=state)
        assert model.calls == 0 and reply.text


def test_chinese(recommender: Recommender) -> None:
    _, state, reply = drive(
        recommender, call("recommend"), "给你挑了几部温暖的片子。", said="我喜欢千与千寻，不要恐怖片"
    )
    assert reply.text == "给你挑了几部温暖的片子。" and state.language == "zh" and not reply.degraded
    assert "千与千寻" in reply.recommendations[0].reason and "like " not in reply.recommendations[0].reason


def test_numbers_and_addresses_of_people_are_masked(recommender: Recommender) -> None:
    model, _, _ = drive(recommender, "What do you like?", said="write me at anna@example.org, I like warm films")
    assert "anna@example.org" not in str(model.heard) and "[email]" in str(model.heard)


def test_models_are_opened_by_name() -> None:
    for spec in ("openai:", "gpt-5"):
        with pytest.raises(InputError, match="give a model"):
            open_driver(spec)
    with pytest.raises(InputError, match="does not exist"):
        open_driver("gguf:/x.gguf")
    with pytest.raises(InputError, match="--base-url"):
        open_driver("local", base_url="http://127.0.0.1:1/v1")
    with pytest.raises(InputError, match="key"):
        open_driver("openai:gpt-5")
    with pytest.raises(InputError, match="nonsense"):
        open_driver("nonsense:x")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    pytest.importorskip("llama_cpp.server")
    with llama_server(bundled_gguf(), context=4096, style="chatml-function-calling", scores=False) as url:
        yield url


@pytest.mark.gguf
def test_a_small_model_behind_a_real_server(recommender: Recommender, endpoint: str) -> None:
    """SmolLM2-135M through llama-cpp-python's server: it calls tools by its grammar, and whatever comes of it, the
    person gets a list within the limits."""
    driver = Driver(recommender, open_driver("openai:m", base_url=endpoint), Budget(calls=1, seconds=60))
    state, reply = driver.reply(Conversation(), SAID)
    keeps(recommender, state, reply)
    assert reply.recommendations and {c.attribute for c in state.profile.constraints} == {"genres", "runtime"}


def in_process(r: Recommender, *steps: Any, said: str = SAID, small: bool = False) -> tuple[Any, Reply, ScriptedLLM]:
    """A turn driven by a model of ours that answers `steps`."""
    llm = ScriptedLLM([s if isinstance(s, ModelError) else str(s) for s in steps], writes_well=not small)
    state, reply = Driver(r, ToolCaller(llm=llm)).reply(Conversation(), said)
    return state, reply, llm


def test_a_model_in_process_calls_tools_by_labels(recommender: Recommender, films: Catalogue) -> None:
    state, reply, llm = in_process(
        recommender, '{"tool": "search", "query": "a pig and a witch"}', '{"tool": "details", "item": "2"}',
        '{"tool": "recommend", "items": ["3", "1"]}', "These are for you.",
    )  # fmt: skip
    found = [r.item.id for r in reply.recommendations]
    assert len(found) == 2 and reply.text == "These are for you." and not reply.degraded
    prompts = [m[-1].content for m in llm.asked]
    first, third = (films.titles[films.rows[i]] for i in found)
    assert f"3. {first}" in prompts[2] and f"1. {third}" in prompts[2]  # numbers stand for what the search found
    assert 'a: "I loved Spirited Away"' in prompts[0] and all(c.attribute for c in state.in_force.constraints)
    limits = state.in_force.constraints
    assert limits and all(films.mask(limits)[films.rows[i]] for i in found)


def test_choices_shrink_and_hold_no_text_of_others() -> None:
    def shape(*messages: Any) -> str:
        return json.dumps(
            _step(_Turn.of([HumanMessage('likes "quotes" and Heat, no horror'), *messages])).model_json_schema()
        )

    shown = json.dumps([{"id": 'x"y', "title": 'A"B'}, {"id": "z", "title": "C"}])
    before = shape()
    after = shape(call("search", query="heat"), ToolMessage(shown, tool_call_id="1"))
    assert '"search"' in before and '"search"' not in after and '"items"' in after and '"items"' not in before
    assert not any(word in text for text in (before, after) for word in ("quotes", "horror", 'x"y', "A\\"))
    turn = _Turn.of([HumanMessage("I loved Heat, no horror"), call("remember", statement="no horror")])
    assert "no horror" not in turn.clauses.values() and "I loved Heat" in turn.clauses.values()


def test_a_small_model_can_only_add_a_list(recommender: Recommender) -> None:
    plain = recommender.reply(Conversation(), "Hello!")[1]
    assert plain.question is not None and not plain.recommendations
    state, reply, llm = in_process(recommender, '{"tool": "recommend"}', said="Hello!", small=True)
    assert reply.question == plain.question and len(reply.recommendations) == 5 and not reply.degraded
    assert state.shown == tuple(r.item.id for r in reply.recommendations) and len(llm.asked) == 1  # it says nothing
    for step in ('{"tool": "none"}', ModelError("timeout", "late")):
        _, reply, _ = in_process(recommender, step, said="Hello!", small=True)
        assert (reply.text, reply.question, reply.recommendations) == (plain.text, plain.question, ())
        assert reply.degraded == isinstance(step, ModelError)
    _, reply, llm = in_process(recommender, small=True)
    assert reply == recommender.reply(Conversation(), SAID)[1] and not llm.asked  # there is a list: it is not asked


@pytest.mark.gguf
def test_the_embedded_model_drives_in_process(recommender: Recommender) -> None:
    model = open_driver("local").model_copy(update={"timeout": None})  # a busy machine is no failure of the model
    state, reply = Driver(recommender, model, Budget(seconds=600)).reply(Conversation(), "Hello!")
    assert reply.question is not None and not reply.degraded
    assert state.turns[-1].text.startswith(reply.text)
    model.llm.close()  # pyright: ignore[reportAttributeAccessIssue]
