"""The command line as people type it: in a process, on a pipe, on a (pseudo-)terminal, and with bad input."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from openai_server import fault_server
from snowmelt.agent.cli import main
from snowmelt.retrieval.catalogue import Catalogue

COMMAND = (sys.executable, "-m", "snowmelt.agent.cli")


def run(*words: str | Path, stdin: str | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*COMMAND, *map(str, words)], input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, env={**os.environ, **(env or {})}, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small catalogue of a shop's CSV file, whose fields have other names."""
    folder = tmp_path_factory.mktemp("shop")
    rows = ["sku,name,text,price,tags,code"]
    rows += [f"k/{i},Kettle {i},A kettle of steel number {i}.,{10 + i},kitchen,0{i}" for i in range(12)]
    (folder / "items.csv").write_text("\n".join(rows) + "\n,nameless,,,,\n", "utf-8")
    words = ["index", folder / "items.csv", "--out", folder / "shop", "--id", "sku", "--title", "name"]
    assert main([*map(str, words), "--description", "text", "--kind", "code=category", "--no-llm"]) == 0
    return folder / "shop"


def test_index_maps_fields_and_counts(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalogue = Catalogue.open(shop)
    assert (
        len(catalogue.items) == 12
        and catalogue.items[catalogue.rows["k/3"]].description == "A kettle of steel number 3."
    )
    assert (
        catalogue.schema.attributes["code"].kind == "category" and catalogue.schema.attributes["price"].kind == "number"
    )
    source = shop.parent / "items.csv"
    words = ["index", str(source), "--out", str(shop), "--id=sku", "--title=name", "--description=text", "--no-llm"]
    assert main([*words, "--kind", "code=category"]) == 0
    said = capsys.readouterr()
    assert "nothing has changed" in said.out and "items.csv:14" in said.err and "id" in said.err
    assert main([*words, "--strict"]) == 2
    assert "items.csv:14" in capsys.readouterr().err
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_recommend_as_json(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["recommend", str(shop), "--likes-id", "k/3, k/4", "--likes", "a kettle under 18 EUR", "--json", "--no-llm"]
    assert main([*words, "--limit", "3"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"recommendations", "degraded", "constraints"} and told["degraded"] is False
    assert len(told["recommendations"]) == 3
    for row in told["recommendations"]:
        assert set(row) == {"id", "title", "score", "reason", "evidence", "signals"}
        assert row["id"] not in ("k/3", "k/4") and isinstance(row["score"], float) and row["signals"]
        assert row["reason"] == " ".join(e["text"] for e in row["evidence"])
        assert all(e["span"] and e["evidence"] for e in row["evidence"])


def test_a_profile_is_a_file_and_its_limits_hold(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limit = {"attribute": "price", "op": "le", "value": 15}
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"likes": ["steel"], "constraints": [limit], "seen": ["k/1"]}), "utf-8")
    words = ["recommend", str(shop), "--profile", str(path), "--limit", "50", "--no-llm"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {r["id"] for r in told["recommendations"]} == {f"k/{i}" for i in (0, 2, 3, 4, 5)}
    assert [(c["attribute"], c["op"], c["value"]) for c in told["constraints"]] == [("price", "le", 15)]
    path.write_text(json.dumps({"likes": ["steel"], "constraints": [limit | {"value": 1}]}), "utf-8")
    assert main(words) == 0
    assert "meets all of that (price at most 1)" in capsys.readouterr().out


BAD = (
    (["index", "{tmp}/missing.jsonl", "--out", "{tmp}/x"], "missing.jsonl"),
    (["index", "{tmp}", "--out", "{tmp}/x"], "{tmp}"),
    (["index", "{tmp}/empty.jsonl", "--out", "{tmp}/x"], "empty.jsonl"),
    (["index", "{tmp}/latin.csv", "--out", "{tmp}/x"], "UTF-8"),
    (["index", "{tmp}/items.txt", "--out", "{tmp}/x"], "items.txt"),
    (["index", "{tmp}/good.jsonl", "--out", "{tmp}/good.jsonl"], "good.jsonl"),
    (["index", "{tmp}/good.jsonl", "--out", "{tmp}/x", "--title", "heading"], "title"),
    (["index", "{tmp}/good.jsonl", "--out", "{tmp}/x", "--kind", "price"], "NAME=KIND"),
    (["index", "{tmp}/good.jsonl", "--out", "{tmp}/x", "--kind", "price=money"], "money"),
    (["index", "{tmp}/good.jsonl", "--out", "{tmp}/x", "--embedder", "magic"], "magic"),
    (["index", "{tmp}/good.jsonl", "--out", "{tmp}/x", "--embedder", "onnx:{tmp}/nowhere"], "nowhere"),
    (["recommend", "{tmp}/nowhere", "--likes", "tea", "--no-llm"], "no catalogue"),
    (["recommend", "{shop}", "--no-llm"], "nothing to go by"),
    (["recommend", "{shop}", "--likes", "tea", "--limit", "0", "--no-llm"], "--limit 0"),
    (["recommend", "{shop}", "--likes", "tea", "--limit", "many", "--no-llm"], "many"),
    (["recommend", "{shop}", "--likes-id", "k/3,k/99", "--no-llm"], "k/99"),
    (["recommend", "{shop}", "--profile", "{tmp}/missing.json", "--no-llm"], "missing.json"),
    (["recommend", "{shop}", "--profile", "{tmp}", "--no-llm"], "--profile"),
    (["recommend", "{shop}", "--profile", "{tmp}/broken.json", "--no-llm"], "broken.json"),
    (["recommend", "{shop}", "--profile", "{tmp}/field.json", "--no-llm"], "constraints.0.op"),
    (["recommend", "{shop}", "--profile", "{tmp}/unknown.json", "--no-llm"], "colour"),
    (["recommend", "{shop}", "--likes", "tea", "--model", "clever"], "clever"),
    (["recommend", "{shop}", "--likes", "tea", "--model", "gguf:{tmp}/good.jsonl"], "not a GGUF"),
    (["recommend", "{shop}", "--likes", "tea", "--model", "gguf:{tmp}/none.gguf"], "none.gguf"),
    (["recommend", "{shop}", "--likes", "tea", "--model", "openai:gpt"], "API key"),
    (["recommend", "{shop}", "--likes", "tea", "--model", "openai:gpt", "--base-url", "localhost"], "http://"),
    (["recommend", "{shop}", "--likes", "tea", "--base-url", "http://localhost:1/v1"], "--base-url"),
    (["recommend", "{other}", "--likes", "tea", "--no-llm"], "other-embedder"),
    (["chat", "{tmp}/good.jsonl", "--no-llm"], "good.jsonl"),
    (["fit", "{shop}"], "--roll-back"),
    (["fit", "{shop}", "{tmp}/missing.csv"], "missing.csv"),
    (["keys", "add"], "tenant"),
    (["chat", "--colour"], "--colour"),
    (["dance"], "dance"),
    ([], "COMMAND"),
)


@pytest.fixture(scope="module")
def places(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    tmp = tmp_path_factory.mktemp("bad")
    files = {
        "good.jsonl": '{"id": 1, "title": "Tea", "price": 3}\n', "empty.jsonl": "", "items.txt": "tea\n",
        "broken.json": "{",
        "field.json": '{"constraints": [{"attribute": "price", "op": "under", "value": 3}]}',
        "unknown.json": '{"likes": ["tea"], "constraints": [{"attribute": "colour", "op": "eq", "value": 3}]}',
    }  # fmt: skip
    for name, text in files.items():
        (tmp / name).write_text(text, "utf-8")
    (tmp / "latin.csv").write_bytes("id,title\n1,caf\xe9\n".encode("latin-1"))
    other = tmp / "other"
    assert main(["index", str(tmp / "good.jsonl"), "--out", str(other), "--quiet", "--no-llm"]) == 0
    manifest = next(other.glob("*/manifest.json"))
    manifest.write_text(manifest.read_text().replace("use-multilingual-3", "other-embedder-3"))
    return {"tmp": str(tmp), "shop": str(shop), "other": str(other)}


@pytest.mark.parametrize(("words", "named"), BAD, ids=lambda x: " ".join(x)[:60] if isinstance(x, list) else x)
def test_bad_input_is_one_line(
    words: list[str], named: str, places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(**places) for word in words]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and named.format(**places) in said.err, said.err
    assert said.err.startswith("snowmelt")


def test_help_version_and_no_reader(shop: Path) -> None:
    assert run("--version").stdout.startswith("snowmelt 0.")
    assert "recommend" in run("--help").stdout
    words = " ".join([*COMMAND, "recommend", str(shop), "--likes", "steel", "--no-llm", "--limit", "12"])
    cut = subprocess.run(["bash", "-c", f"{words} | head -1"], capture_output=True, text=True, timeout=60, check=False)
    assert cut.stdout.count("\n") == 1 and cut.stderr == ""


def test_a_key_is_never_said(shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A hosted model that refuses the key: the list still comes, marked, and the key went nowhere but there."""
    monkeypatch.setenv("SNOWMELT_API_KEY", "sk-secret-1234")
    with fault_server() as server:
        words = ["recommend", str(shop), "--likes-id", "k/3", "--model", "openai:m", "--base-url", server.url("key")]
        assert main([*words, "--json"]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out)["degraded"] is True and len(json.loads(said.out)["recommendations"]) == 5
        assert "sk-secret" not in said.out + said.err and server.seen["key"] >= 1


def test_doctor(shop: Path, places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(shop), "--no-llm", "--json"]) == 0
    told = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert told["catalogue"]["detail"].startswith("12 items") and told["chromadb"]["state"] == "ok"
    assert told["embedder"]["state"] == told["disk"]["state"] == told["python"]["state"] == "ok"
    assert main(["doctor", places["other"], "--no-llm"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("FAIL")] and all(len(line.split()) > 1 for line in lines)
    assert main(["doctor", "--model", f"gguf:{places['tmp']}/good.jsonl"]) == 1
    assert "not a GGUF" in capsys.readouterr().out


def test_piped_lines_are_the_messages(shop: Path) -> None:
    done = run("chat", shop, "--no-llm", stdin="I like Kettle 3\n\njust show me\n")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.count("\n> ") == 2 and "  5. Kettle" in done.stdout and "What was understood" in done.stdout
    silent = run("chat", shop, "--no-llm", stdin="")
    assert silent.returncode == 0 and "> " not in silent.stdout


def test_the_demo_is_played_where_nobody_types(tmp_path: Path) -> None:
    done = run("chat", "--no-llm", env={"XDG_CACHE_HOME": str(tmp_path)})
    assert done.returncode == 0 and done.stderr == "Indexing the demo films, once.\n"
    for part in ("> Hello!", "?", "  5. ", "Spirited Away", "what do you know about me?", "under two hours"):
        assert part in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100 and "\x1b" not in done.stdout
    assert list(tmp_path.glob("snowmelt/films-*/current"))


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, words: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", "COLUMNS": "80", **(env or {})})
            os.execv(COMMAND[0], [*COMMAND, *map(str, words)])
        self.heard = ""

    def hear(self, text: str, seconds: float = 60) -> str:
        until = time.monotonic() + seconds
        while text not in self.heard and time.monotonic() < until:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    piece = os.read(self.fd, 4096)
                except OSError:  # it has ended
                    break
                self.heard += piece.decode("utf-8", "replace")
        assert text in self.heard, self.heard[-3000:]
        return self.heard

    def say(self, text: str) -> None:
        self.heard = ""
        os.write(self.fd, text.encode())

    def end(self) -> int:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.heard += os.read(self.fd, 4096).decode("utf-8", "replace")
                except OSError:
                    break
        else:
            os.kill(self.pid, signal.SIGKILL)  # it would be waited for without end
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_chat_on_a_terminal(shop: Path) -> None:
    terminal = Terminal(["chat", shop, "--no-llm"])
    terminal.hear("> ")
    terminal.say("我想要一个钢水壶 kettle\n")
    terminal.hear("thinking")  # the spinner
    terminal.hear("\n> ")
    terminal.say("just show me\n")
    heard = terminal.hear("5. Kettle")
    assert "Kettle" in heard and "\x1b[" in heard
    terminal.hear("\n> ")
    terminal.say("\x04")  # Ctrl-D
    assert terminal.end() == 0 and "Traceback" not in terminal.heard


@pytest.mark.parametrize("at", ["prompt", "spinner"])
def test_ctrl_c_is_clean(shop: Path, at: str) -> None:
    """At the prompt, and while a model hangs behind the spinner: exit code 130 and not a word of a traceback."""
    with fault_server() as server:
        words = ["chat", shop, "--model", "openai:m", "--base-url", server.url("hang")] if at == "spinner" else None
        terminal = Terminal(words or ["chat", shop, "--no-llm"])
        terminal.hear("> ")
        if at == "spinner":
            terminal.say("I like Kettle 3, just show me\n")
            terminal.hear("thinking")
            until = time.monotonic() + 20
            while not server.seen["hang"] and time.monotonic() < until:
                time.sleep(0.05)
            os.kill(terminal.pid, signal.SIGINT)
        else:
            time.sleep(0.3)  # readline loses a signal that comes between its prompt and its first wait
            terminal.say("\x03")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.heard and "KeyboardInterrupt" not in terminal.heard


def test_ctrl_c_while_the_model_is_asked_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the catalogue is written, `index` asks the model how known the items are; that may be stopped."""
    from fakes import ScriptedLLM
    from snowmelt.agent import options

    def stopped(prefix: str, text: str) -> float:
        raise KeyboardInterrupt

    model = ScriptedLLM(scorer=stopped)
    monkeypatch.setattr(options, "open_llm", lambda *_, **__: model)
    source = tmp_path / "films.jsonl"
    source.write_text("".join(f'{{"id": {i}, "title": "Film {i}"}}\n' for i in range(30)))
    words = ["index", str(source), "--out", str(tmp_path / "films")]
    assert main(words) == 130
    assert "the catalogue is whole" in capsys.readouterr().err and model.scored and model.closed
    assert len(Catalogue.open(tmp_path / "films").items) == 30
    asked = len(model.scored)
    assert main([*words, "--no-llm"]) == 0 and len(model.scored) == asked
