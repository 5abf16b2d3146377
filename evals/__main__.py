"""`python -m snowmelt.evals`, which is `snowmelt eval`: evaluate, compare, convert."""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from snowmelt.retrieval.errors import InputError

USAGE = """snowmelt eval DATA [--split user|item|scene|domain|impressions|conversation|dialogues] [--arms A,B]
                     [--reveal 0,1,3,5,10] [--out RUN] ...
       snowmelt eval compare RUN_A RUN_B [--arms ARM_OF_A,ARM_OF_B]
       snowmelt eval convert SOURCE OUT"""


def _parser() -> argparse.ArgumentParser:
    from snowmelt.evals.splits import KINDS

    parser = argparse.ArgumentParser("snowmelt eval", usage=USAGE, description="Evaluate recommenders offline.")
    parser.add_argument(
        "data", help="a folder: our format, or MovieLens, Amazon Reviews, MIND, HetRec, ReDial as published"
    )
    parser.add_argument("--split", default="user", choices=KINDS)
    parser.add_argument("--arms", help="names, name(setting=value), module:function or path.py:function, by commas")
    parser.add_argument("--reveal", default="0,1,3,5,10", help="numbers of revealed likes (default %(default)s)")
    parser.add_argument("--users", type=int, help="test at most this many people")
    parser.add_argument("--model", help="language model of the arms that use one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="run folder: kept, and continued when it was cut")
    parser.add_argument("--jobs", type=int, default=2, help="arms at a time (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--candidates", default="full", help="full, or sampled:N (easier; labelled)")
    parser.add_argument("--order", default="random", choices=("random", "time"), help="user split: who is new and when")
    parser.add_argument("--target", help="domain split: the new domain")
    parser.add_argument(
        "--manner", default="0.05,0.05,0.1", help="conversation split: how often the simulated user answers at random, "
        "refuses, does not know (default %(default)s)"
    )  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program name). 0 when done, 2 for bad input (one line on stderr)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    kinds = {"compare": _compare, "convert": _convert}
    run = kinds.get(arguments[0]) if arguments else None
    return said(
        "snowmelt eval", lambda: run(arguments[1:]) if run else _evaluate(arguments),
        "stopped; the same command with the same --out goes on",
    )  # fmt: skip


def said(command: str, run: Callable[[], int], stopped: str) -> int:
    """The exit code of `run`, which is 2 for bad input and 130 when it was `stopped`; both say so in one line."""
    try:
        return run()
    except InputError as error:
        sys.stderr.write(f"{command}: {error}\n")
        return 2
    except SystemExit as stop:  # argparse has said what is wrong
        return int(stop.code or 0)
    except KeyboardInterrupt:
        sys.stderr.write(f"{command}: {stopped}\n")
        return 130


def _compare(arguments: list[str]) -> int:
    from snowmelt.evals.compare import compare_runs

    parser = argparse.ArgumentParser("snowmelt eval compare", description="Which arm won, by how much, how sure.")
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--arms", help="the arm of A and the arm of B, by a comma; default: the best of each")
    parser.add_argument("--at", type=int, help="compare with this many revealed (default: the most that both ran)")
    asked = parser.parse_args(arguments)
    names = None
    if asked.arms:
        from snowmelt.evals.systems import split_arms

        given = split_arms(asked.arms)
        if len(given) not in (1, 2):
            raise InputError("compare --arms: give one arm, or one of each run")
        names = (given[0], given[-1])
    sys.stdout.write(compare_runs(asked.a, asked.b, names, asked.at) + "\n")
    return 0


def _convert(arguments: list[str]) -> int:
    from snowmelt.evals.loading import load, write

    parser = argparse.ArgumentParser("snowmelt eval convert", description="Write a data set in our format.")
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args(arguments)
    data = load(asked.source)
    write(data, asked.out)
    sys.stdout.write(f"{asked.out}: {len(data.ids)} items, {len(data.user)} interactions of {len(data.users)} people\n")
    return 0


def _evaluate(arguments: list[str]) -> int:
    asked = _parser().parse_args(arguments)
    try:
        reveal = tuple(int(part) for part in asked.reveal.split(","))
    except ValueError:
        raise InputError(f"--reveal: {asked.reveal!r} is not a list of whole numbers such as 0,1,5") from None
    try:
        noise, refusal, unknown = (float(part) for part in asked.manner.split(","))
    except ValueError:
        raise InputError(f"--manner: {asked.manner!r} is not three numbers such as 0.05,0.05,0.1") from None
    sampled = None
    if asked.candidates != "full":
        match = re.fullmatch(r"sampled:(\d+)", asked.candidates)
        if not match:
            raise InputError(f"--candidates: {asked.candidates!r} is neither full nor sampled:N")
        sampled = int(match[1])
    from snowmelt.evals import evaluate
    from snowmelt.evals.report import markdown
    from snowmelt.evals.summary import headline
    from snowmelt.evals.systems import split_arms

    result = evaluate(
        asked.data, split=asked.split, arms=split_arms(asked.arms) if asked.arms else None, reveal=reveal,
        users=asked.users, model=asked.model, seed=asked.seed, out=asked.out, jobs=asked.jobs, sampled=sampled,
        order=asked.order, target=asked.target, manner=(noise, refusal, unknown),
        progress=_bar() if sys.stderr.isatty() else None,
    )  # fmt: skip
    for name, told in result["settings"].items():
        if told["error"]:
            sys.stderr.write(f"{name} did not run: {told['error']}\n")
    sys.stdout.write((json.dumps(headline(result), indent=1) if asked.json else markdown(result)) + "\n")
    return 0


def _bar() -> Callable[[str, int, int], None]:
    """A progress line with the time left, on a terminal only."""
    started = time.monotonic()

    def show(what: str, done: int, total: int) -> None:
        left = (time.monotonic() - started) / max(done, 1) * (total - done)
        filled = 24 * done // max(total, 1)
        line = f"\r{'━' * filled}{'─' * (24 - filled)} {done}/{total} {what[:24]:24} {left:5.0f} s left"
        sys.stderr.write(line if done < total else "\r" + " " * len(line) + "\r")
        sys.stderr.flush()

    return show


if __name__ == "__main__":
    raise SystemExit(main())
