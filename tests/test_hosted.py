"""The endpoint seam against a server with every fault that was thought of, and against a real one with a real model."""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Literal

import pytest
from openai_server import FaultServer, fault_server, free_port, llama_server
from pydantic import BaseModel
from snowmelt.agent.llm import LLM, Message, ModelError, Unsupported, bundled_gguf, open_llm
from snowmelt.agent.models.hosted import HostedLLM
from snowmelt.retrieval.errors import InputError

SECRET, KEY = "my very private taste", "sk-very-secret"
ASK = [Message("system", "Be brief."), Message("user", SECRET)]


class Colour(BaseModel):
    colour: str


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultServer]:
    with fault_server() as server:
        yield server


@pytest.fixture
def opened(faults: FaultServer, request: pytest.FixtureRequest):
    def open_(fault: str) -> HostedLLM:
        llm = HostedLLM("m", base_url=faults.url(fault), api_key=KEY)
        request.addfinalizer(llm.close)
        return llm

    faults.seen.clear()
    faults.bodies.clear()
    return open_


KINDS = {
    "reset": "unavailable", "hang": "timeout", "drip": "timeout", "drip-headers": "timeout", "cut": "cut",
    "html": "malformed", "broken-json": "malformed", "not-a-chat": "malformed", "empty-choices": "empty",
    "empty-text": "empty", "filtered": "refused", "rate": "rate", "down": "server", "key": "auth",
    "missing": "refused", "moved": "refused",
}  # fmt: skip


@pytest.mark.parametrize("fault", KINDS)
def test_every_fault_ends_in_time_with_its_kind(opened, faults: FaultServer, fault: str, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    llm = opened(fault)
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        llm.complete(ASK, deadline=1.2)
    assert time.monotonic() - began < 1.5
    assert caught.value.kind == KINDS[fault]
    told = f"{caught.value} {caught.value.__cause__} {caplog.text}"
    assert SECRET not in told and KEY not in told
    assert faults.seen[fault] == (2 if fault in ("reset", "down") else 1)


STREAMED = {"reset": "unavailable", "hang": "timeout", "drip": "timeout", "endless": "timeout", "cut": "cut",
            "cut-short": "cut", "html": "malformed", "broken-json": "malformed", "not-a-chat": "malformed",
            "empty-choices": "cut", "rate": "rate", "down": "server", "key": "auth"}  # fmt: skip


@pytest.mark.parametrize("fault", STREAMED)
def test_every_fault_of_a_stream(opened, fault: str) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        list(opened(fault).stream(ASK, deadline=1.2))
    assert time.monotonic() - began < 1.5
    assert caught.value.kind == STREAMED[fault]
    assert SECRET not in str(caught.value)


def test_connection_refused() -> None:
    llm = HostedLLM("m", base_url=f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(ModelError) as caught:
        llm.complete(ASK, deadline=2)
    assert caught.value.kind == "unavailable"
    llm.close()


def test_a_long_retry_after_is_not_waited_for(opened, faults: FaultServer) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError):
        opened("rate").complete(ASK, deadline=8)
    assert time.monotonic() - began < 1 and faults.seen["rate"] == 1


@pytest.mark.parametrize("fault", ["rate-once", "down-once"])
def test_one_retry_where_it_fits(opened, faults: FaultServer, fault: str) -> None:
    done = opened(fault).complete(ASK, deadline=5)
    assert (done.text, done.tokens_in, done.tokens_out, done.finish) == ("ok", 7, 2, "stop")
    assert faults.seen[fault] == 2


def test_what_is_sent(opened, faults: FaultServer, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-someone")
    opened("fine").complete(ASK, max_tokens=9, deadline=5)
    body = faults.bodies["fine"][0]
    assert body["messages"] == [{"role": m.role, "content": m.content} for m in ASK]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 9, 0)
    assert faults.headers["fine"]["authorization"] == f"Bearer {KEY}"
    assert "openai-organization" not in faults.headers["fine"]


def test_stream_of_whole_characters(opened) -> None:
    assert list(opened("fine").stream(ASK, deadline=5)) == ["你", "好，", "world"]


def test_a_stream_left_early_lets_go(opened, faults: FaultServer) -> None:
    llm = opened("endless")
    for piece in llm.stream(ASK, deadline=20):
        assert piece == "word "
        break
    assert opened("fine").complete(ASK, deadline=5).text == "ok"


ACCEPTED = [
    ("only-json-object", 3, "green"),
    ("fails-on-format", 4, "green"),
    ("only-plain", 4, "绿"),
    ("ignores-format", 2, "green"),
]


@pytest.mark.parametrize(("fault", "requests", "colour"), ACCEPTED)
def test_json_by_what_the_endpoint_accepts(opened, faults: FaultServer, fault, requests, colour) -> None:
    llm = opened(fault)
    for expected in (requests, 1):  # it remembers
        faults.seen.clear()
        assert Colour.model_validate_json(llm.complete(ASK, schema=Colour, deadline=5).text).colour == colour
        assert faults.seen[fault] == expected


def test_json_that_is_none(opened, faults: FaultServer) -> None:
    with pytest.raises(ModelError) as caught:
        opened("wrong-schema").complete(ASK, schema=Colour, deadline=5)
    assert caught.value.kind == "malformed" and faults.seen["wrong-schema"] == 4
    with pytest.raises(ModelError) as caught:
        opened("cut-schema").complete(ASK, schema=Colour, deadline=5)
    assert caught.value.kind == "cut" and faults.seen["cut-schema"] == 1


def test_strict_schema(opened, faults: FaultServer) -> None:
    class Inner(BaseModel):
        default: int = 3  # a field may be called like a keyword
        properties: list[str] = []

    class Outer(BaseModel):
        inner: Inner
        note: str | None = None

    with pytest.raises(ModelError):
        opened("wrong-schema").complete(ASK, schema=Outer, deadline=5)
    shape = faults.bodies["wrong-schema"][0]["response_format"]["json_schema"]["schema"]
    assert shape["required"] == ["inner", "note"] and shape["additionalProperties"] is False
    inner = shape["$defs"]["Inner"]
    assert inner["required"] == ["default", "properties"] and "default" not in inner["properties"]["default"]


def test_parameters_that_are_refused_are_left_out(opened, faults: FaultServer) -> None:
    llm = opened("no-max-tokens")
    assert llm.complete(ASK, deadline=5).text == "ok"
    assert faults.seen["no-max-tokens"] == 3
    llm.complete(ASK, deadline=5)
    assert faults.seen["no-max-tokens"] == 4 and "max_completion_tokens" in faults.bodies["no-max-tokens"][-1]


def test_choose(opened, faults: FaultServer) -> None:
    values = opened("fine").choose(ASK, ["A", "B", "C"], deadline=5)
    assert values[1] > values[0] > values[2]
    assert sum(2.718281828459045**v for v in values) == pytest.approx(1)
    with pytest.raises(ModelError) as caught:
        opened("fine").choose(ASK, ["X", "Y"], deadline=5)
    assert caught.value.kind == "malformed"
    for fault, first in (("no-logprobs", 1), ("refuses-logprobs", 2)):
        llm = opened(fault)
        for _ in range(2):  # and does not ask again
            with pytest.raises(Unsupported):
                llm.choose(ASK, ["A", "B"], deadline=5)
            assert faults.seen[fault] == first


def test_many_threads_and_one_slow_call(opened) -> None:
    llm, slow = opened("fine"), opened("hang")
    texts: list[str] = []

    def late() -> None:
        with pytest.raises(ModelError):
            slow.complete(ASK, deadline=0.5)

    threads = [threading.Thread(target=lambda: texts.append(llm.complete(ASK, deadline=5).text)) for _ in range(8)]
    threads.append(threading.Thread(target=late))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert texts == ["ok"] * 8


def test_counting_tokens_never_touches_the_network(monkeypatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it opened a connection"))
    llm = HostedLLM("m", base_url="http://127.0.0.1:1/v1")
    assert llm.count_tokens("hello world") == 2
    assert 2 <= llm.count_tokens("我喜欢安静的电影") <= 16
    assert llm.count_tokens("<|endoftext|>") > 1
    monkeypatch.setattr("snowmelt.agent.models.endpoint._encoding", lambda: None)
    assert 2 <= llm.count_tokens("hello world") <= 6


def test_closed_and_wrong(faults: FaultServer) -> None:
    llm = HostedLLM("m", base_url=faults.url("fine"))
    assert isinstance(llm, LLM) and llm.complete(ASK, deadline=5).text == "ok"
    llm.close()
    with pytest.raises(ModelError):
        llm.complete(ASK, deadline=5)
    with pytest.raises(Unsupported):
        llm.score("a", ["b"])
    for wrong in ({"base_url": "127.0.0.1:80"}, {}):
        with pytest.raises(InputError):
            open_llm("openai:gpt", **wrong)


@pytest.fixture(scope="module")
def real() -> Iterator[LLM]:
    pytest.importorskip("llama_cpp.server.app")
    with llama_server(bundled_gguf()) as url:
        llm = open_llm("openai:smollm2", base_url=url)
        yield llm
        llm.close()


@pytest.mark.gguf
class TestRealServer:
    def test_completes_and_streams_the_same(self, real: LLM) -> None:
        ask = [Message("user", "What is the capital of France? One short sentence.")]
        done = real.complete(ask, max_tokens=24, deadline=60)
        assert "Paris" in done.text and done.tokens_in > 10 and 0 < done.tokens_out <= 25
        pieces = list(real.stream(ask, max_tokens=24, deadline=60))
        assert len(pieces) > 3 and "".join(pieces).strip() == done.text

    def test_json(self, real: LLM) -> None:
        class Pick(BaseModel):
            colour: Literal["red", "绿"]
            sure: bool

        done = real.complete([Message("user", "Pick a colour, as JSON.")], schema=Pick, max_tokens=60, deadline=60)
        assert Pick.model_validate_json(done.text).colour in ("red", "绿")

    def test_choose(self, real: LLM) -> None:
        ask = [Message("user", "Which of these is a fruit? A: apple. B: car. Answer with one letter.")]
        values = real.choose(ask, ["A", "B"], deadline=60)
        assert values[0] > values[1]

    def test_deadline(self, real: LLM) -> None:
        began = time.monotonic()
        with pytest.raises(ModelError) as caught:
            real.complete([Message("user", "Write a long story about snow. " * 20)], max_tokens=300, deadline=0.3)
        assert caught.value.kind == "timeout" and time.monotonic() - began < 0.6
