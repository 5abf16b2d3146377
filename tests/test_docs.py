"""What the README says can be done is done here: its commands and its Python, in the order in which they stand."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from snowmelt.agent import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
ITEMS = (
    '{"id": "1", "title": "Tea for One", "description": "A quiet film about grief and a kettle.", "year": 1999}\n'
    '{"id": "2", "title": "The Long Loud War", "description": "Guns, tanks and brass bands.", "year": 2005}\n'
    '{"id": "3", "title": "Rain", "description": "A widow learns to swim in the sea.", "year": 1987}\n'
)


def _commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
    return [line for line in lines if line]


def test_there_is_something_to_try() -> None:
    kinds = [kind for kind, _ in BLOCKS]
    assert kinds.count("sh") >= 2 and "python" in kinds
    assert {"make run", "make test"} <= set(_commands())


def test_make_targets_are_those_of_the_makefile() -> None:
    targets = set(re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split())  # type: ignore
    assert set(re.findall(r"\bmake (\w+)", README)) <= targets


def test_extras_are_those_of_the_package() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    named = {
        name
        for group in re.findall(r"snowmelt\[([\w,]+)\]|'\.\[([\w,]+)\]'", README)
        for name in "".join(group).split(",")
    }
    assert named and named <= extras


def test_every_command_is_told_of_and_does_something() -> None:
    words = set(cli._parser()._subparsers._group_actions[0].choices)  # type: ignore
    assert {f"snowmelt {word}" for word in words} <= set(re.findall(r"snowmelt \w+", README))
    assert all(callable(cli.action(word)) for word in words - {"eval", "audit"})


def test_the_tree_in_the_readme_is_the_tree() -> None:
    text = README.partition("## The house")[2]
    for name in re.findall(r"\b[a-z_]+\.(?:py|md|jsonl)\b", text.partition("\n## ")[0]):
        assert list(ROOT.glob(f"*/**/{name}")), name


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "items.jsonl").write_text(ITEMS, "utf-8")
    (folder / "bin").mkdir()
    script = folder / "bin" / "snowmelt"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m snowmelt.agent.cli "$@"\n')
    script.chmod(0o755)
    return folder


def test_the_commands_and_the_python_run(desk: Path) -> None:
    """One after another in one folder. `make` and `pip` are compared by name above; `serve` and agent mode have tests
    of their own."""
    pytest.importorskip("llama_cpp")
    env = {**os.environ, "PATH": f"{desk / 'bin'}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(desk / "cache")}
    ran = 0
    for command in _commands():
        if command.split()[0] in ("make", "pip", "git", "cd") or command.startswith(
            ("snowmelt serve", "snowmelt chat --agent")
        ):
            continue
        done = subprocess.run(
            ["bash", "-c", command], cwd=desk, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0 and "Traceback" not in done.stderr, f"{command}\n{done.stdout}{done.stderr}"
        ran += 1
    assert ran >= 4
    for code in (text for kind, text in BLOCKS if kind == "python"):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=desk, env=env, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]


def test_every_promise_has_a_test_that_is_there() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    named = set(re.findall(r"`(tests/test_\w+\.py)::(\w+)`", text))
    rows = [line for line in text.splitlines() if line.startswith("| ") and "promise |" not in line]
    assert len(named) >= 15 and all("`tests/test_" in row for row in rows)
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text("utf-8"), f"{file}::{test}"
