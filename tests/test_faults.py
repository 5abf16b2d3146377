"""A model that is late, dead, overloaded or wrong: the answer comes by the deadline all the same, and says so."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import ScriptedLLM
from openai_server import FaultServer, fault_server, free_port
from pydantic import BaseModel
from service import conversation, running
from snowmelt.agent.llm import LLM, Message, ModelError, Scores, Unsupported
from snowmelt.agent.models.hosted import HostedLLM
from snowmelt.agent.privacy import Masked
from snowmelt.agent.service.access import Service
from snowmelt.agent.service.gate import MOST_EACH, Breaker, Budget, FairQueue, Gated
from snowmelt.agent.service.metrics import Metrics
from snowmelt.agent.service.rooms import Rooms
from snowmelt.agent.service.routes_talk import answered
from snowmelt.agent.service.server import create_app
from snowmelt.agent.service.store import Put, Store
from snowmelt.agent.service.streams import Pieces, event_stream
from snowmelt.agent.service.worker import GRACE, Worker
from snowmelt.agent.types import Conversation
from snowmelt.retrieval.catalogue import Catalogue
from starlette.requests import Request

DEADLINE = 2.5
BROKEN = (
    "reset", "hang", "drip", "drip-headers", "endless", "cut", "cut-short", "html", "broken-json", "not-a-chat",
    "empty-choices", "empty-text", "filtered", "wrong-schema", "cut-schema", "rate", "down", "key", "missing", "moved",
    "refuse",
)  # fmt: skip
BODY = {
    "profile": {"likes": ["a warm film"], "constraints": [{"attribute": "runtime", "op": "le", "value": 110}]},
    "limit": 5,
}  # fmt: skip


class Colour(BaseModel):
    colour: str


class Scoring(Masked):
    """Asks the endpoint for JSON whenever a likelihood is wanted: every fault is met on the way of a ranking."""

    def __init__(self, llm: LLM) -> None:
        super().__init__(llm)
        self.can_score = True

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        self.complete([Message("user", prefix)], schema=Colour, max_tokens=64, deadline=deadline)
        values = [float(-i) for i in range(len(continuations))]
        return Scores(values, values, 1, 0.0)


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultServer]:
    with fault_server() as server:
        yield server


def served(films: Catalogue, folder: Path, llm: LLM, breaker: Breaker | None = None) -> tuple[Any, Service, Gated]:
    gated = Gated(llm, 2, breaker or Breaker())
    store = Store.open(str(folder / "people.db"))
    rooms = Rooms([f"films={films.folder.parent}"], gated, DEADLINE)
    found = Service(store, rooms, Metrics(), require_key=False, rate=10_000.0)
    return create_app(found), found, gated


async def asked(app: Any, times: int = 1) -> list[tuple[httpx.Response, float]]:
    found = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=30) as client:
        for _ in range(times):
            began = time.monotonic()
            response = await client.post("/v1/recommend", json=BODY)
            found.append((response, time.monotonic() - began))
    return found


def valid(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    told = response.json()
    ids = [r["item"]["id"] for r in told["recommendations"]]
    assert len(ids) == len(set(ids)) == 5
    assert all(r["item"]["attributes"]["runtime"] <= 110 for r in told["recommendations"])
    return told


def test_whatever_an_endpoint_does_there_is_a_list_by_the_deadline(
    films: Catalogue, faults: FaultServer, tmp_path: Path
) -> None:
    # one service; what stands behind its gate changes
    fine = Scoring(HostedLLM("m", base_url=faults.url("only-json-object")))
    fine.score("imports what is imported at first use", ["x"], deadline=30)
    app, service, gated = served(films, tmp_path, fine)
    [(response, _)] = asyncio.run(asked(app))
    assert valid(response)["degraded"] is False
    counts = []
    for fault in BROKEN:
        url = f"http://127.0.0.1:{free_port()}/v1" if fault == "refuse" else faults.url(fault)
        hosted = HostedLLM("m", base_url=url)
        gated.llm, gated.breaker = Scoring(hosted), Breaker()
        service.rooms.all[0].forget()  # a list that was good a moment ago would be given again
        for response, seconds in asyncio.run(asked(app)):
            assert valid(response)["degraded"] is True, fault
            assert seconds < DEADLINE + 0.3, fault
        hosted.close()
        time.sleep(0.05)
        counts.append((threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))))
    threads, files = counts[-1]
    assert threads <= counts[2][0] + 12 and files <= counts[2][1] + 12, counts
    service.rooms.close()
    service.store.close()


class Switched(ScriptedLLM):
    """Fails while `down`, slowly."""

    def __init__(self) -> None:
        super().__init__(scorer=lambda prefix, text: -float(len(text)))
        self.down, self.calls = True, 0

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        self.calls += 1
        if self.down:
            time.sleep(min(0.3, deadline or 0.3))
            raise ModelError("timeout", "slow and in vain")
        return super().score(prefix, continuations, deadline=deadline)


def test_in_an_outage_the_model_is_left_alone_and_comes_back_by_itself(films: Catalogue, tmp_path: Path) -> None:
    llm = Switched()
    app, service, gated = served(films, tmp_path, llm, Breaker(failures=3, pause=0.4, longest=0.8))
    first = asyncio.run(asked(app, 3))
    assert all(valid(r)["degraded"] for r, _ in first) and gated.breaker.open
    began = time.monotonic()
    during = asyncio.run(asked(app, 10))
    assert all(valid(r)["degraded"] for r, _ in during)
    assert llm.calls <= 3 + 1 + (time.monotonic() - began) / 0.4  # only probes
    llm.down = False
    until = time.monotonic() + 20  # the pause has doubled with every probe
    while valid(asyncio.run(asked(app))[0][0])["degraded"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not gated.breaker.open
    service.rooms.close()
    service.store.close()


def test_breaker_counts_only_what_is_the_models_fault() -> None:
    breaker = Breaker(failures=2, pause=30)
    gated = Gated(ScriptedLLM([ModelError("refused", "no")] * 3), 1, breaker)
    for _ in range(3):
        with pytest.raises(ModelError):
            gated.complete([Message("user", "x")])
    with pytest.raises(Unsupported):
        gated.score("a", ["b"])
    assert not breaker.open
    gated.llm = ScriptedLLM([ModelError("server", "no")] * 3)
    for _ in range(2):
        with pytest.raises(ModelError, match="no"):
            gated.complete([Message("user", "x")])
    with pytest.raises(ModelError, match="left alone"):
        gated.complete([Message("user", "x")])


def test_turns_go_round_by_person_and_are_bounded() -> None:
    queue, order, hold = FairQueue(1), [], threading.Event()

    def ask(person: str, wait: threading.Event | None = None) -> None:
        with queue.turn(Budget(person, time.monotonic() + 10)):
            order.append(person)
            if wait:
                wait.wait(10)

    def started(person: str, wait: threading.Event | None = None) -> threading.Thread:
        length = queue.length
        thread = threading.Thread(target=ask, args=(person, wait))
        thread.start()
        until = time.monotonic() + 5
        while time.monotonic() < until and not (queue.length > length or (wait and order)):
            time.sleep(0.005)
        return thread

    threads = [started("first", hold)]
    threads += [started("busy") for _ in range(MOST_EACH)]
    threads += [started("anna"), started("bob")]
    with pytest.raises(ModelError, match="too many"), queue.turn(Budget("busy", time.monotonic() + 10)):
        pass
    hold.set()
    for thread in threads:
        thread.join(5)
    assert order == ["first", "busy", "anna", "bob", "busy", "busy", "busy"]
    assert queue.length == 0


def test_while_one_question_hangs_no_other_one_is_asked() -> None:
    hold = threading.Event()
    slow = ScriptedLLM(scorer=lambda prefix, text: float(not hold.wait(5)))
    gated = Gated(slow, 8, Breaker(), patience=0.2)
    first = threading.Thread(target=lambda: gated.score("a", ["b"]))
    first.start()
    time.sleep(0.3)
    began = time.monotonic()
    with pytest.raises(ModelError, match="lets others wait"):
        gated.score("a", ["b"])
    assert time.monotonic() - began < 0.1
    hold.set()
    first.join(5)
    assert gated.score("a", ["b"]).logprobs == [0.0]  # it has answered: all are asked again


def test_what_waits_is_dropped_at_its_deadline_and_when_the_client_goes(films: Catalogue, tmp_path: Path) -> None:
    hold = threading.Event()
    llm = ScriptedLLM(scorer=lambda prefix, text: float(not hold.wait(5)))
    _, service, gated = served(films, tmp_path, llm)
    room = service.room(None)

    async def clients() -> None:
        work = [
            asyncio.create_task(service.rooms.answer(room, f"p{i}", lambda r: r.llm and r.llm.score("a", ["b"])))
            for i in range(4)
        ]  # fmt: skip
        while gated.queue.length < 2:
            await asyncio.sleep(0.01)
        work[3].cancel()
        began = time.monotonic()
        while gated.queue.length > 1:
            await asyncio.sleep(0.01)
        assert time.monotonic() - began < 0.3
        hold.set()
        await asyncio.gather(*work, return_exceptions=True)

    asyncio.run(clients())
    assert gated.queue.length == 0
    service.rooms.close()
    service.store.close()


class Writing(ScriptedLLM):
    """Says one good sentence at once, then either another one or nothing more until its deadline."""

    writes_well = True

    def __init__(self, hangs: bool) -> None:
        super().__init__(scorer=lambda prefix, text: -float(len(text)))
        self.hangs, self.said = hangs, threading.Event()

    def stream(self, messages: Sequence[Message], *, max_tokens: int = 256, deadline: float | None = None) -> Any:
        yield "Here is something for a quiet evening. "
        self.said.set()
        if self.hangs:
            time.sleep(max(0.0, deadline or 0.0))
            raise ModelError("timeout", "it hangs in the middle")
        time.sleep(0.5)
        yield "I hope you like it."


@pytest.mark.parametrize("hangs", [False, True])
def test_text_is_told_as_it_comes_and_void_when_the_model_gives_up(
    films: Catalogue, tmp_path: Path, hangs: bool
) -> None:
    llm = Writing(hangs)
    _, service, gated = served(films, tmp_path, llm)
    person, _ = service.store.create_person("local")

    async def talk() -> list[tuple[float, str, dict[str, Any]]]:
        before = Conversation()
        value = {"catalogue": "films", "conversation": before.model_dump(mode="json"), "last": None}
        service.store.put(person.id, Put("conversation", "0" * 32, value, 0))
        pieces, began = Pieces(), time.monotonic()
        answer = answered(service, person, "0" * 32, "I love Ratatouille. Just show me", None, pieces)
        found = []
        async for raw in event_stream(Request({"type": "http", "headers": []}), answer, pieces):
            if raw.startswith(b"event: "):
                name, _, data = raw.decode().partition("\n")
                found.append((time.monotonic() - began, name[7:], json.loads(data.removeprefix("data: "))))
        return found

    found = asyncio.run(talk())
    names = [name for _, name, _ in found]
    assert names[0] == "status" and names[-1] == "done" and "list" in names
    again = max(
        (i for i, (_, name, data) in enumerate(found) if (name, data) == ("status", {"state": "again"})), default=0
    )
    text = "".join(data["text"] for _, name, data in found[again:] if name == "token")
    assert text == found[-1][2]["text"] and found[-1][0] < DEADLINE + 0.3
    tokens = [at for at, name, _ in found if name == "token"]
    if not hangs:
        assert not again and not found[-1][2]["degraded"] and tokens[-1] - tokens[0] > 0.3, found
        assert text.startswith("Here is something for a quiet evening.")
    else:
        assert found[-1][2]["degraded"]
    assert gated.queue.length == 0
    service.rooms.close()
    service.store.close()


@pytest.mark.gguf
def test_a_model_process_that_dies_or_hangs_is_replaced() -> None:
    worker = Worker("local")
    try:
        known = None
        for _ in range(90):
            try:
                known = worker.score("The capital of France is", [" Paris", " spoon"], deadline=30)
                break
            except ModelError:  # loading
                time.sleep(1)
        assert known is not None and known.logprobs[0] > known.logprobs[1] and worker.alive
        assert "".join(worker.stream([Message("user", "Say hello.")], max_tokens=4)).strip()
        answer = worker.complete([Message("user", "A colour, as JSON.")], schema=Colour, max_tokens=40)
        assert Colour.model_validate_json(answer.text)
        pid = worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(ModelError) as told:
            worker.score("It hangs", [" now"], deadline=0.5)
        assert told.value.kind == "timeout" and time.monotonic() - began < 0.5 + GRACE + 0.7
        assert worker.restarts == 1 and not Path(f"/proc/{pid}").exists()
        with pytest.raises(ModelError):  # it does not wait for the new one to load
            began = time.monotonic()
            worker.score("Loading", [" now"], deadline=0.2)
        assert time.monotonic() - began < 1.0
    finally:
        worker.close()
    assert worker.pid is None


@pytest.mark.gguf
def test_the_service_lives_on_when_its_model_is_killed(films: Catalogue, tmp_path: Path) -> None:
    with running([f"films={films.folder.parent}"], tmp_path, model="local", deadline=6.0) as service:
        with service.person() as anna:
            _, reply = conversation(anna, "I loved Spirited Away. Just show me")
            assert len(reply["recommendations"]) == 5
            children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
            models = [
                c for c in children if b"snowmelt.agent.service.worker" in Path(f"/proc/{c}/cmdline").read_bytes()
            ]
            assert len(models) == 1
            os.kill(int(models[0]), signal.SIGKILL)
            began = time.monotonic()
            told = anna.post("/v1/recommend", json=BODY).json()
            assert len(told["recommendations"]) == 5 and told["degraded"] and time.monotonic() - began < 6.5
            assert anna.get("/v1/health").status_code == 200
        service.kill()
    time.sleep(1)
    assert not any(Path(f"/proc/{c}/cmdline").exists() for c in models)  # no model outlives its service
