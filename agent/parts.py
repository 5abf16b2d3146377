"""A file of many profiles, cut into parts that can be read on their own, in any order, on any machine that sees it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from snowmelt.agent.types import Profile
from snowmelt.retrieval.errors import InputError

ROWS = 500  # of a part: some ten seconds of work, and what a killed run does again
ENDINGS = (".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True)
class Part:
    """`count` rows from `start` on: a byte offset (JSONL), or a row inside row group `group` (Parquet). `first` is the
    number of the first row in the file, from 1."""

    number: int
    first: int
    count: int
    start: int
    group: int = -1


@dataclass(frozen=True)
class Asked:
    """One row: whose list, for which profile. `unknown`: liked items that the catalogue does not have."""

    id: str
    profile: Profile
    unknown: int = 0


def cut(path: Path) -> list[Part]:
    """All parts of `path`, by one pass over its bytes (JSONL) or its footer (Parquet). Raises InputError."""
    if path.suffix not in ENDINGS:
        raise InputError(f"{path}: not {', '.join(ENDINGS)}; profiles come as JSON lines or Parquet")
    try:
        parts = _cut_parquet(path) if path.suffix == ".parquet" else _cut_lines(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the profiles, one a row") from None
    if not parts:
        raise InputError(f"{path}: no profiles in it")
    return parts


def _cut_lines(path: Path) -> list[Part]:
    parts, offset, start, first, number = [], 0, 0, 1, 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            offset += len(line)
            if number - first + 1 == ROWS:
                parts.append(Part(len(parts), first, ROWS, start))
                start, first = offset, number + 1
    if number >= first:
        parts.append(Part(len(parts), first, number - first + 1, start))
    return parts


def _cut_parquet(path: Path) -> list[Part]:
    parts, first = [], 1
    with _parquet(path) as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            for start in range(0, rows, ROWS):
                count = min(ROWS, rows - start)
                parts.append(Part(len(parts), first, count, start, group))
                first += count
    return parts


def _parquet(path: Path) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise InputError(f"{path}: reading Parquet needs pyarrow; pip install 'snowmelt[parquet]'") from None
    try:
        return ParquetFile(path)
    except ArrowException as error:
        raise InputError(f"{path}: broken Parquet ({str(error).splitlines()[0]})") from None


def rows(path: Path, part: Part) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """(number of the row in the file, its cells or what is wrong with it). Blank lines are left out."""
    if part.group >= 0:
        found = _group(path, part.group).slice(part.start, part.count).to_pylist()
        yield from enumerate(found, part.first)
        return
    with path.open("rb") as file:
        file.seek(part.start)
        for number in range(part.first, part.first + part.count):
            line = file.readline()
            if line.strip():
                yield number, _object(line)


@lru_cache(maxsize=1)  # the parts of a group follow one another
def _group(path: Path, group: int) -> Any:
    with _parquet(path) as file:
        return file.read_row_group(group)


def _object(line: bytes) -> dict[str, Any] | str:
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "line: not UTF-8; convert the file (iconv -f ... -t utf-8)"
    except (ValueError, RecursionError):
        return "line: broken JSON"
    return found if isinstance(found, dict) else "line: not a JSON object"


def asked(cells: Mapping[str, Any], titles: Mapping[str, str]) -> Asked:
    """What a row asks for: `id`, and the fields of a profile, at the top or in `profile` (an object, or JSON text), and
    `likes_id`. `titles` gives the title of every item by id. ValueError says "field: what is wrong", and no value: it
    would be somebody's words.
    """
    cells = {name: value for name, value in cells.items() if value is not None}
    id_, told = cells.pop("id", None), cells.pop("profile", None)
    if isinstance(id_, bool) or not isinstance(id_, str | int) or id_ == "":
        raise ValueError("id: missing, or neither text nor a whole number")
    if isinstance(told, str):
        try:
            told = json.loads(told)
        except (ValueError, RecursionError):
            raise ValueError("profile: broken JSON") from None
    if told is not None and not isinstance(told, dict):
        raise ValueError("profile: not an object")
    if told is not None and cells.keys() - {"likes_id"}:
        raise ValueError(f"{min(cells.keys() - {'likes_id'})}: stands beside `profile`; put it into it")
    body = {**(told or {}), **cells}
    ids = body.pop("likes_id", [])
    if not isinstance(ids, list) or not all(isinstance(i, str | int) and not isinstance(i, bool) for i in ids):
        raise ValueError("likes_id: not a list of ids")
    try:
        profile = Profile.model_validate({name: value for name, value in body.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'profile'}: {first['msg']}") from None
    known = [i for i in dict.fromkeys(map(str, ids)) if i in titles]
    liked = [{"text": titles[i], "item_id": i, "evidence": titles[i]} for i in known]
    likes = (*profile.likes, *Profile.model_validate({"likes": liked}).likes)
    return Asked(str(id_), profile.model_copy(update={"likes": likes}), len(set(map(str, ids))) - len(known))
