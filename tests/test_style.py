"""Lint and format, as `make check` has them; that command runs pyright too, which takes longer than a test may."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = ("agent", "prompts", "retrieval", "evals", "tests", "benchmarks", "examples")
RUFF = shutil.which("ruff", path=str(Path(sys.executable).parent))


@pytest.mark.parametrize("words", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff(words: list[str]) -> None:
    if RUFF is None:
        pytest.skip("ruff is not installed; the extra [dev] brings it")
    done = subprocess.run([RUFF, *words, *CODE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
