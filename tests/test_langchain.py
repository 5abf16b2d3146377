# pyright: reportAssignmentType=false
"""Both ways through LangChain: its own standard tests on ours, and a hostile chat model of its kind behind our seam."""

import json
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedLLM
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_tests.integration_tests import ChatModelIntegrationTests, RetrieversIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel
from snowmelt.agent import Recommender
from snowmelt.agent.langchain import LangChainLLM, SnowmeltChatModel, SnowmeltRetriever, tools
from snowmelt.agent.llm import LLM, Message, ModelError, Unsupported, bundled_gguf, open_llm
from snowmelt.agent.models.gguf import GGUF
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.errors import InputError

ASK = [Message("system", "Be brief."), Message("user", "What is my secret? 1234")]


class Film(BaseModel):
    title: str
    year: int


# the suites' own async tests need the mark, and their plain ones warn about it
standard = [pytest.mark.asyncio, pytest.mark.filterwarnings("ignore:.*is marked with '@pytest.mark.asyncio'")]


# What the suites skip, and why. Tools (11 tests): our models have none; an agent takes Snowmelt as its tools instead,
# with a model of its own (`examples/agent.py`, driven below). Pictures, PDF, audio, Anthropic's blocks (8): text only.
# Another model's name for one call (4): a SnowmeltChatModel is one loaded model. Stream timing: wants recorded HTTP.
# From the environment, serialised: a model is given as an object that holds a process or a file.
class TestUnits(ChatModelUnitTests):
    chat_model_class = SnowmeltChatModel
    chat_model_params = {"llm": ScriptedLLM(["x"])}  # noqa: RUF012
    supports_model_override = False


@pytest.fixture(scope="module")
def local() -> Iterator[GGUF]:
    pytest.importorskip("llama_cpp")
    model = GGUF(bundled_gguf(), name="local")
    yield model
    model.close()


class TestIntegration(ChatModelIntegrationTests):
    pytestmark = [*standard, pytest.mark.gguf]  # noqa: RUF012
    chat_model_class = SnowmeltChatModel
    supports_model_override = False
    supports_json_mode = True

    @pytest.fixture(autouse=True)
    def _local(self, local: GGUF) -> None:
        type(self).chat_model_params = {"llm": local, "max_tokens": 60}  # pyright: ignore

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {}

    @pytest.fixture
    def model(self, request: Any, local: GGUF) -> BaseChatModel:
        return SnowmeltChatModel(llm=local, max_tokens=60, **(getattr(request, "param", None) or {}))


class TestRetriever(RetrieversIntegrationTests):
    pytestmark = standard
    retriever_constructor = SnowmeltRetriever
    retriever_query_example = "a quiet film about grief"

    @pytest.fixture(autouse=True)
    def _films(self, films: Catalogue) -> None:
        type(self).retriever_constructor_params = {"catalogue": films}  # pyright: ignore

    def test_documents(self, films: Catalogue) -> None:
        found = SnowmeltRetriever(catalogue=films, k=4).invoke("千与千寻")
        assert len(found) == 4 and "Spirited Away" in [d.metadata["title"] for d in found]
        for document in found:
            row = films.rows[document.id or ""]
            item = films.items[row]
            assert document.page_content == films.text(row)
            assert json.loads(json.dumps(document.metadata))["attributes"].keys() == item.attributes.keys()


# ours for LangChain


def test_stops_even_across_pieces() -> None:
    for stop, expected in (("END", "one two "), ("o", ""), ("zzz", "one two END three"), ("two END", "one ")):
        model = SnowmeltChatModel(llm=ScriptedLLM(["one two END three"] * 2), stop=[stop])
        assert model.invoke("x").text == expected
        assert "".join(c.text for c in model.stream("x")) == expected


def test_structured_with_the_raw_answer() -> None:
    llm = ScriptedLLM(['{"title": "千与千寻", "year": 2001}', '{"title": "Heat", "year": 1995}'])
    chain = SnowmeltChatModel(llm=llm).with_structured_output(Film, include_raw=True)
    found = chain.invoke("x")
    assert found["parsed"] == Film(title="千与千寻", year=2001) and found["parsing_error"] is None
    assert isinstance(found["raw"], AIMessage) and found["raw"].usage_metadata


def test_tool_messages_are_refused_and_errors_are_ours() -> None:
    model = SnowmeltChatModel(llm=ScriptedLLM([ModelError("rate", "too many")]))
    with pytest.raises(InputError, match="no tool message"):
        model.invoke([HumanMessage("x"), ToolMessage("y", tool_call_id="1")])
    with pytest.raises(ModelError):
        model.invoke("x")


def test_tools(films: Catalogue) -> None:
    kit = {t.name: t for t in tools(Recommender(films, None))}
    assert set(kit) == {"search", "details", "constraints", "recommend", "remember"}
    assert all(t.description and (t.args or t.name == "constraints") for t in kit.values())
    found = json.loads(kit["search"].invoke({"query": "animated film about food", "limit": 3}))
    assert len(found) == 3 and "empty query" in json.loads(kit["search"].invoke({"query": " "}))["error"]
    told = json.loads(kit["details"].invoke({"id": found[0]["id"]}))
    assert told["title"] == found[0]["title"] and told["description"]
    assert "no item" in json.loads(kit["details"].invoke({"id": "nowhere"}))["error"]
    said = json.loads(kit["remember"].invoke({"statement": "I loved Spirited Away, but no horror"}))
    assert said["likes"] == ["Spirited Away"] and said["limits"]
    listed = json.loads(kit["recommend"].invoke({"limit": 500}))
    assert len(listed) == 20 and any(r["reason"] for r in listed)
    other = {t.name: t for t in tools(Recommender(films, None))}
    assert json.loads(other["remember"].invoke({"statement": "Ratatouille"}))["likes"] == ["Ratatouille"]


class Caller(BaseChatModel):
    """A model that calls tools as it was told, one step after another."""

    steps: list[AIMessage]
    offered: list[str] = []  # noqa: RUF012
    heard: list[Any] = []  # noqa: RUF012

    @property
    def _llm_type(self) -> str:
        return "caller"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        self.offered[:] = [t.name for t in tools]
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        self.heard[:] = messages
        return ChatResult(generations=[ChatGeneration(message=self.steps.pop(0))])


def test_an_agent_drives_the_tools(films: Catalogue) -> None:
    """examples/agent.py as it stands, with a model that says what a good one would."""
    pytest.importorskip("langchain.agents")
    example = runpy.run_path(str(Path(__file__).parent.parent / "examples" / "agent.py"))
    said = "I loved Spirited Away, but no horror"

    def call(name: str, **arguments: Any) -> AIMessage:
        return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": name}])

    steps = [call("remember", statement=said), call("recommend", limit=2), AIMessage("Try the first one.")]
    model = Caller(steps=steps)
    told = example["answer"](model, Recommender(films, None), said)
    assert model.offered == ["search", "details", "constraints", "recommend", "remember"]
    assert len(told) == 3 and told[2] == "Try the first one."
    assert "Spirited Away" in told[0] and '"limits": ["' in told[0]
    listed = json.loads(told[1].partition(" -> ")[2])
    assert len(listed) == 2 and all(r["id"] in films.rows and r["reason"] for r in listed)
    assert [m.type for m in model.heard] == ["system", "human", "ai", "tool", "ai", "tool"]


# LangChain's as ours


class Provider(BaseChatModel):
    """A provider's chat model that does what the test says, with no structured output of its own."""

    does: Any

    @property
    def _llm_type(self) -> str:
        return "provider"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        message = self.does(messages)
        message = message if isinstance(message, AIMessage) else AIMessage(message)
        return ChatResult(generations=[ChatGeneration(message=message)])


class StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__("the key sk-secret asked 1234")
        self.status_code = status_code


def test_completes_with_roles_and_usage() -> None:
    seen: list[Any] = []

    def answer(messages: Any) -> AIMessage:
        seen.extend((m.type, m.content) for m in messages)
        usage: Any = {"input_tokens": 11, "output_tokens": 3, "total_tokens": 14}
        return AIMessage("你好", usage_metadata=usage, response_metadata={"finish_reason": "length"})

    llm = open_llm(Provider(does=answer))
    assert isinstance(llm, LLM) and isinstance(llm, LangChainLLM) and llm.writes_well and not llm.can_score
    done = llm.complete([*ASK, Message("assistant", "Hm?"), Message("user", "Go")])
    assert (done.text, done.tokens_in, done.tokens_out, done.finish) == ("你好", 11, 3, "length")
    assert [kind for kind, _ in seen] == ["system", "human", "ai", "human"]
    for call in (lambda: llm.score("a", ["b"]), lambda: llm.choose(ASK, ["A"])):
        with pytest.raises(Unsupported):
            call()


def raises(error: Exception) -> Any:
    def does(messages: Any) -> str:
        raise error

    return does


@pytest.mark.parametrize(("does", "kind"), [
    (raises(StatusError(401)), "auth"), (raises(StatusError(429)), "rate"), (raises(StatusError(500)), "server"),
    (raises(TimeoutError("1234")), "timeout"), (raises(ConnectionError("1234")), "unavailable"),
    (raises(KeyError("1234")), "server"), (lambda _: " ", "empty"), (lambda _: time.sleep(3) or "late", "timeout"),
])  # fmt: skip
def test_every_failure_is_ours(does: Any, kind: str) -> None:
    llm, began = LangChainLLM(Provider(does=does)), time.monotonic()
    with pytest.raises(ModelError) as caught:
        llm.complete(ASK, deadline=0.5)
    assert caught.value.kind == kind and time.monotonic() - began < 0.8
    assert "1234" not in str(caught.value) and "sk-secret" not in str(caught.value)


def test_a_schema_goes_into_the_prompt_where_the_model_has_no_way() -> None:
    seen: list[str] = []

    def answer(messages: Any) -> str:
        seen.append(messages[-1].content)
        return 'Sure: {"title": "Heat", "year": 1995}' if "JSON schema" in messages[-1].content else "no"

    done = LangChainLLM(Provider(does=answer)).complete(ASK, schema=Film)
    assert Film.model_validate_json(done.text).year == 1995 and len(seen) == 1
    with pytest.raises(ModelError) as caught:
        LangChainLLM(Provider(does=lambda _: "no")).complete(ASK, schema=Film)
    assert caught.value.kind == "malformed"


def test_a_model_with_structured_output_is_asked_that_way() -> None:
    inner = ScriptedLLM(['{"title": "Heat", "year": 1995}', ModelError("rate", "x")])
    llm = LangChainLLM(SnowmeltChatModel(llm=inner))
    assert llm.name == "langchain:scripted"
    assert Film.model_validate_json(llm.complete(ASK, schema=Film, deadline=5).text).title == "Heat"
    assert inner.asked[0] == ASK
    with pytest.raises(ModelError) as caught:
        llm.complete(ASK, schema=Film, deadline=5)
    assert caught.value.kind == "rate"


def test_streams_and_ends_in_time() -> None:
    def slowly() -> Iterator[str]:
        yield "one two"
        time.sleep(3)
        yield "late"

    llm = LangChainLLM(GenericFakeChatModel(messages=iter([AIMessage("你好 world and more")])))
    assert "".join(llm.stream(ASK, deadline=5)) == "你好 world and more"
    late, began, heard = LangChainLLM(GenericFakeChatModel(messages=slowly())), time.monotonic(), []
    heard = list(late.stream(ASK, deadline=1))
    assert "".join(heard) == "one two"
    with pytest.raises(ModelError) as caught:
        list(late.stream(ASK, deadline=0.5))
    assert caught.value.kind == "timeout" and time.monotonic() - began < 2


def test_nothing_else_imports_langchain() -> None:
    code = (
        "import sys, snowmelt.agent, snowmelt.agent.llm, snowmelt.agent.models.hosted, snowmelt.agent.models.gguf;"
        "sys.exit('langchain_core' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
