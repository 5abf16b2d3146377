"""The wheel and the sdist hold everything, and the wheel works in an empty environment, outside the tree."""

import os
import shutil
import site
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("agent", "prompts", "retrieval", "evals")
FILES = ("pyproject.toml", "README.md", "LICENSE")
BUILD = "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')"


def _setuptools() -> tuple[int, ...]:
    return tuple(int(part) for part in version("setuptools").split(".")[:1])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(wheel, sdist), built from a copy: building leaves files in its tree."""
    if _setuptools() < (77,):
        pytest.skip("building needs setuptools 77 or later, which the extra [dev] brings")
    tree = tmp_path_factory.mktemp("tree")
    for room in ROOMS:
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, tree / name)
    subprocess.run([sys.executable, "-c", BUILD], cwd=tree, check=True, capture_output=True)
    return next(tree.glob("dist/*.whl")), next(tree.glob("dist/*.tar.gz"))


def _wanted() -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        # notes for people who read the tree; prompts are Markdown too, and those are needed
        and path.name != "README.md"
    }


def test_wheel_and_sdist_hold_every_file(built: tuple[Path, Path]) -> None:
    wheel, sdist = built
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"snowmelt/{path}" for path in _wanted()} - names == set()
    assert not [n for n in names if n.startswith(("tests/", "agent/", "snowmelt/tests"))]
    assert [n for n in names if n.endswith("licenses/LICENSE")]
    with tarfile.open(sdist) as archive:
        stem = sdist.name.removesuffix(".tar.gz")
        names = {name.removeprefix(f"{stem}/") for name in archive.getnames()}
    assert ({*_wanted(), *FILES} - names) == set()


def test_the_wheel_works_in_an_empty_environment(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Without its dependencies, which a .pth file lends it from here; everything of ours must come from the wheel."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    words = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*words, str(built[0])], check=True, capture_output=True)
    packages = next(home.glob("lib/python3*/site-packages"))
    (packages / "lent.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    said = subprocess.run(
        [home / "bin" / "snowmelt", "--version"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert said == f"snowmelt {tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}\n"
    code = """
import importlib, pkgutil, sys
from importlib.resources import files
for room in ("agent", "prompts", "retrieval", "evals"):
    package = importlib.import_module(f"snowmelt.{room}")
    assert package.__file__.startswith(sys.argv[1]), package.__file__
    assert (files(package) / "py.typed").is_file(), room
    for module in pkgutil.walk_packages(package.__path__, f"snowmelt.{room}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
from snowmelt.prompts import render
assert render("rank", titles="Heat") and (files("snowmelt.retrieval.demo") / "films.jsonl").is_file()
assert (files("snowmelt.agent.service") / "web" / "index.html").is_file()
"""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", code, str(packages)], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_package_is_named() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {path.parent for room in ROOMS for path in (ROOT / room).rglob("__init__.py")}
    assert {f"snowmelt.{path.relative_to(ROOT).as_posix().replace('/', '.')}" for path in found} == set(
        told["packages"]
    )
    assert set(told["package-dir"]) == set(told["packages"])


def test_the_tests_run_against_what_is_installed() -> None:
    """No folder of the tree can be imported as `snowmelt`: what `make test` tests is the wheel that it installed."""
    assert not (ROOT / "snowmelt").exists() and not (ROOT / "tests" / "snowmelt").exists()
    import snowmelt.agent

    editable = (Path(snowmelt.agent.__file__).parent) == ROOT / "agent"
    assert not (editable and sys.prefix == str(ROOT / ".venv")), "make test must install the wheel"
