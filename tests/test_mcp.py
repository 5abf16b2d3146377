"""`snowmelt mcp` as an assistant sees it: the SDK's own client, and raw lines, over the stdio of a real process."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from snowmelt.retrieval.catalogue import Catalogue

pytest.importorskip("mcp")
from mcp import Client, StdioServerParameters

NAMES = ["search", "details", "constraints", "recommend", "remember"]
ARGS = ["-m", "snowmelt.agent.cli", "mcp"]


def session(films: Catalogue, talk: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        server = StdioServerParameters(command=sys.executable, args=[*ARGS, str(films.dir), "--no-llm"])
        async with Client(server, read_timeout_seconds=60) as client:
            await talk(client)

    asyncio.run(run())


async def got(client: Client, tool: str, **arguments: Any) -> Any:
    done = await client.call_tool(tool, arguments)
    assert not done.is_error and done.structured_content is not None, done
    return done.structured_content.get("result", done.structured_content)


async def failed(client: Client, tool: str, **arguments: Any) -> str:
    done = await client.call_tool(tool, arguments)
    assert done.is_error
    return "".join(c.text for c in done.content if c.type == "text")


def test_an_assistant_serves_a_person(films: Catalogue) -> None:
    async def talk(client: Client) -> None:
        tools = (await client.list_tools()).tools
        assert [t.name for t in tools] == NAMES and all(t.description and t.output_schema for t in tools)
        schema = next(t for t in tools if t.name == "recommend").input_schema
        assert schema["properties"]["ids"]["type"] == "array" and schema["properties"]["limit"]["type"] == "integer"
        known = await got(client, "remember", statement="I loved Spirited Away, but no horror, under two hours")
        assert known["likes"] == ["Spirited Away"] and len(known["limits"]) == 2
        limits = await got(client, "constraints")
        assert 0 < limits["items"] < 524 and {"name", "kind", "values", "least", "most"} <= {*limits["attributes"][0]}
        listed = await got(client, "recommend", limit=4)
        assert len(listed) == 4 and any(x["reason"] for x in listed)
        for x in listed:
            told = await got(client, "details", id=x["id"])
            assert "horror" not in told["attributes"]["genres"] and told["attributes"]["runtime"] <= 120
        known = await got(client, "remember", statement="not the first one, it is too long")
        assert known["dislikes"][-1] == listed[0]["title"]
        assert listed[0]["id"] not in [x["id"] for x in await got(client, "recommend")]
        found = await got(client, "search", query="a ghost in an old house", limit=3)
        assert len(found) == 3
        assert all("horror" not in str(films.items[films.rows[x["id"]]].attributes["genres"]) for x in found)
        assert (await got(client, "remember", statement="start over"))["likes"] == []

    session(films, talk)


def test_errors_are_one_clear_line_and_each_session_is_another_person(films: Catalogue) -> None:
    async def talk(client: Client) -> None:
        assert (await got(client, "constraints"))["likes"] == []
        assert "no item 'nowhere'" in await failed(client, "details", id="nowhere")
        assert "no item" in await failed(client, "recommend", ids=["nowhere"])
        assert "empty" in await failed(client, "search", query=" ")
        assert "limit" in await failed(client, "recommend", limit="many")
        assert "id" in await failed(client, "details")
        await got(client, "remember", statement="only films before 1930 and after 2020, under 60 minutes")
        known = await got(client, "remember", statement="under 40 minutes and after 2015")
        assert known["limits"]
        text = await failed(client, "recommend")
        assert "Nothing here meets all of that" in text and "\n" not in text

    session(films, talk)


def test_nothing_but_the_protocol_on_stdout(films: Catalogue) -> None:
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
         "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "details", "arguments": {"id": "秘密"}}},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call",
         "params": {"name": "remember", "arguments": {"statement": "我喜欢千与千寻"}}},
    ]  # fmt: skip
    raw = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode() + b"no json at all\n"
    process = subprocess.Popen(
        [sys.executable, *ARGS, str(films.dir), "--no-llm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    process.stdin.write(raw)
    process.stdin.flush()
    answers: dict[int, Any] = {}
    while {1, 2, 3} - answers.keys():  # its answers, as they come; then it is told that nobody is there
        answer = json.loads(process.stdout.readline())
        assert answer["jsonrpc"] == "2.0"
        if answer.get("id") is not None:
            answers[answer["id"]] = answer
    process.stdin.close()
    rest, errors = process.stdout.read(), process.stderr.read()
    assert process.wait(20) == 0
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in rest.splitlines())
    assert answers[2]["result"]["isError"] and answers[3]["result"]["structuredContent"]["likes"] == ["Spirited Away"]
    assert "千与千寻".encode() not in errors and "秘密".encode() not in errors


def test_bad_input_is_exit_code_2(tmp_path: Any) -> None:
    done = subprocess.run(
        [sys.executable, *ARGS, str(tmp_path), "--no-llm"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 2 and not done.stdout and done.stderr.count(b"\n") == 1
