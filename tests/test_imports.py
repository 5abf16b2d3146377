"""Imports run one way: evals -> agent -> {retrieval, prompts}, and inside agent from the surface down to the types."""

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOMS = ("agent", "prompts", "retrieval", "evals")
MAY = {
    "evals": {"agent", "retrieval", "prompts"},
    "agent": {"retrieval", "prompts"},
    "retrieval": set(),
    "prompts": set(),
}
# Modules of agent, from the top down: one imports only what stands on a lower line, or on its own.
FLOORS = (
    ("cli",),
    ("actions", "driving", "mcp_server"),
    ("langchain",),
    ("desk",),
    ("terminal", "doctor", "batch", "learning", "cataloguing"),
    ("options",),
    ("service",),
    ("parts",),
    ("settings",),
    ("recommender", ""),
    ("dialogue",),
    ("understanding", "onboarding", "ranking", "reasons", "scoring", "familiarity", "calibration"),
    ("models",),
    ("llm",),
    ("types",),
)
MIDDLE = next(i for i, names in enumerate(FLOORS) if "understanding" in names)  # of a module that is not named


def _folder(room: str) -> Path:
    spec = find_spec(f"snowmelt.{room}")
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


def _imports(tree: ast.AST) -> list[tuple[str, bool]]:
    """(module, whether it is imported when the file is: not inside a function and not for type checkers only)."""
    found = []

    def walk(node: ast.AST, now: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((alias.name, now) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"line {child.lineno}: relative import"
                found.append((child.module or "", now))
            lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or (
                isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            )
            walk(child, now and not lazy)

    walk(tree, True)
    return found


def _all() -> list[tuple[str, Path, Path]]:
    return [(room, path, _folder(room)) for room in ROOMS for path in sorted(_folder(room).rglob("*.py"))]


def test_every_room_is_there() -> None:
    files = _all()
    assert len(files) > 30 and {room for room, _, _ in files} == set(ROOMS)


def test_rooms_import_one_way_and_by_their_full_names() -> None:
    wrong = []
    for room, path, _ in _all():
        for module, _ in _imports(ast.parse(path.read_text("utf-8"))):
            parts = module.split(".")
            if parts[0] in (*ROOMS, "tests"):
                wrong.append(f"{path}: bare import of {module}")
            if path.name == "cli.py" and module in ("snowmelt.evals.__main__", "snowmelt.evals.audit.__main__"):
                continue  # the command line hands `snowmelt eval` on; nothing else may look up
            if parts[0] == "snowmelt" and len(parts) > 1 and parts[1] != room and parts[1] not in MAY[room]:
                wrong.append(f"{path}: {room} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_agent_imports_downwards() -> None:
    floor = {name: i for i, names in enumerate(FLOORS) for name in names}
    folder, wrong = _folder("agent"), []
    for path in sorted(folder.rglob("*.py")):
        here = path.relative_to(folder).with_suffix("").parts
        name = "" if here == ("__init__",) else here[0]
        for module, now in _imports(ast.parse(path.read_text("utf-8"))):
            if not module.startswith("snowmelt.agent") or not now:
                continue
            target = [*module.split("."), ""][2]
            if target != name and floor.get(target, MIDDLE) < floor.get(name, MIDDLE):
                wrong.append(f"{path.name} imports {module}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", ["snowmelt.agent", "snowmelt.agent.cli"])
def test_importing_is_light(module: str) -> None:
    heavy = {
        "chromadb", "openai", "llama_cpp", "langchain_core", "scipy", "bm25s", "pyarrow", "sklearn", "fastapi", "ray",
        "mcp",
    }  # fmt: skip
    code = f"import sys, {module}; print(*({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_only_settings_reads_the_environment() -> None:
    """The harness hands its environment on to its workers, and llama.cpp is told something by it: no reading."""
    reading = re.compile(r"os\.environ(?!\.setdefault)|getenv")
    found = {p.name for room, p, _ in _all() if room != "evals" and reading.search(p.read_text("utf-8"))}
    assert found == {"settings.py"}
