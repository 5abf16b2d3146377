"""`snowmelt batch`: the same lists from one process, two workers and a run that was killed; bad rows by line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from snowmelt.agent import Profile, Recommender
from snowmelt.agent import parts as cutting
from snowmelt.agent.batch import Task, batch
from snowmelt.agent.cli import main
from snowmelt.agent.types import Entry
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.errors import InputError


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "ROWS", 7)


def rows(films: Catalogue, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for n in range(count):
        row: dict[str, Any] = {"id": f"u{n}", "likes_id": [films.ids[(n * 37 + k) % len(films.ids)] for k in range(3)]}
        if n % 3 == 0:
            row |= {"constraints": [{"attribute": "runtime", "op": "le", "value": 110}], "likes": ["温暖的电影"]}
        found.append(row)
    return found


def written(path: Path, found: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), "utf-8")
    return path


def lists(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_each_profile_gets_the_list_that_recommend_gives(films: Catalogue, tmp_path: Path) -> None:
    profiles = written(tmp_path / "p.jsonl", rows(films, 17))
    report = batch(Task(films.folder.parent, profiles, tmp_path / "out.jsonl", limit=3))
    told = lists(tmp_path / "out.jsonl")
    assert [one["id"] for one in told] == [f"u{n}" for n in range(17)] and report.done.written == 17
    recommender = Recommender.open(films.folder.parent)
    for row, one in zip(rows(films, 17), told, strict=True):
        likes = [Entry(text=t, evidence=t) for t in row.get("likes", [])]
        titles = dict(zip(films.ids, films.titles, strict=True))
        likes += [Entry(text=titles[i], item_id=i, evidence=titles[i]) for i in row["likes_id"]]
        profile = Profile(likes=tuple(likes), constraints=row.get("constraints", ()))
        expected = [(r.item.id, r.score, r.reason) for r in recommender.recommend(profile, 3)]
        assert [(r["id"], r["score"], r["reason"]) for r in one["recommendations"]] == expected
    assert not (tmp_path / "out.jsonl.parts").exists()


def test_parquet_in_and_out_says_the_same(films: Catalogue, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    profiles = written(tmp_path / "p.jsonl", rows(films, 20))
    batch(Task(films.folder.parent, profiles, tmp_path / "out.jsonl"))
    as_text = [{"id": r.pop("id"), "profile": json.dumps(r)} for r in rows(films, 20)]
    pq.write_table(pa.Table.from_pylist(as_text), tmp_path / "p.parquet", row_group_size=9)
    batch(Task(films.folder.parent, tmp_path / "p.parquet", tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == lists(tmp_path / "out.jsonl")


def test_bad_rows_are_named_by_line_and_left_out(
    films: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = rows(films, 1)[0]
    bad = [
        ("{", "line: broken JSON"), ("[1]", "line: not a JSON object"), ('{"likes": ["x"]}', "id: missing"),
        ('{"id": "a", "likes": [{"text": 7}]}', "likes.0.text: "), ('{"id": "a", "CANARY": 1}', "CANARY: "),
        ('{"id": "a", "likes_id": "x"}', "likes_id: not a list"), ('{"id": "a", "profile": "{"}', "profile: broken"),
        ('{"id": "a", "profile": {}, "seen": []}', "seen: stands beside"), ('{"id": true}', "id: "),
        ('{"id": "a", "constraints": [{"attribute": "colour", "op": "le", "value": 1}]}', "colour"),
    ]  # fmt: skip
    lines = [json.dumps(good), "", *(line for line, _ in bad), json.dumps(good | {"likes_id": ["gone", films.ids[0]]})]
    profiles, out = tmp_path / "p.jsonl", tmp_path / "out.jsonl"
    profiles.write_bytes("\n".join(lines).encode() + b'\n{"id": "\xff"}\n')
    assert main(["batch", str(films.folder.parent), str(profiles), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert len(lists(out)) == 2 and "2 lists in" in told.out and "11 rows skipped" in told.out
    assert "1 liked items are not in the catalogue" in told.out
    for number, (_, says) in enumerate([*bad, ("", "")], 3):
        if says:
            assert f"skipped {profiles}:{number} " in told.err and says in told.err
    assert f"skipped {profiles}:14 line: not UTF-8" in told.err
    assert main(["batch", str(films.folder.parent), str(profiles), "--out", str(out), "--strict"]) == 2
    assert f"{profiles}:3 line: broken JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"profiles": "none.jsonl"}, "no such file"), ({"profiles": "p.txt"}, "JSON lines or Parquet"),
        ({"out": "out.csv"}, "ends in .jsonl or .parquet"), ({"out": "p.jsonl"}, "file of profiles"),
        ({"limit": 0}, "at least 1"), ({"profiles": "empty.jsonl"}, "no profiles"),
        ({"directory": "x"}, "no catalogue"),
        ({"model": "openai:x"}, "API key"), ({"profiles": "bad.jsonl"}, "no row could be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_a_line(
    films: Catalogue, tmp_path: Path, asked: dict[str, Any], says: str
) -> None:
    written(tmp_path / "p.jsonl", rows(films, 1))
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "bad.jsonl").write_text("x\n")
    settings = {"directory": films.folder.parent, "profiles": "p.jsonl", "out": "out.jsonl"} | asked
    paths = {name: tmp_path / settings[name] for name in ("directory", "profiles", "out")}
    with pytest.raises(InputError, match=says) as told:
        batch(Task(**(settings | paths)))
    assert "\n" not in str(told.value) and not (tmp_path / "out.jsonl").exists()


PROGRAM = """
import sys
from pathlib import Path
from snowmelt.agent import parts
from snowmelt.agent.batch import Task, batch
parts.ROWS = 7
batch(Task(*map(Path, sys.argv[1:4])))
"""


def test_a_killed_run_goes_on_and_says_the_same(films: Catalogue, tmp_path: Path) -> None:
    profiles = written(tmp_path / "p.jsonl", rows(films, 120))
    out, parts = tmp_path / "out.jsonl", tmp_path / "out.jsonl.parts"
    command = [sys.executable, "-c", PROGRAM, str(films.folder.parent), str(profiles), str(out)]
    running = subprocess.Popen(command)
    until = time.monotonic() + 60
    while len(list(parts.glob("*.done"))) < 3:
        assert time.monotonic() < until and running.poll() is None
        time.sleep(0.02)
    with pytest.raises(InputError, match="another process is writing it"):
        batch(Task(films.folder.parent, profiles, out))
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not out.exists()
    report = batch(Task(films.folder.parent, profiles, out))
    assert report.resumed >= 21 and report.done.written == 120
    batch(Task(films.folder.parent, profiles, tmp_path / "whole.jsonl"))
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_two_workers_of_ray_write_the_same_and_ray_sees_no_profile(films: Catalogue, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    found = rows(films, 30)
    found[5] = {"id": "CANARYROW", "likes": [7]}
    profiles = written(tmp_path / "p.jsonl", found)
    one = batch(Task(films.folder.parent, profiles, tmp_path / "one.jsonl"))
    two = batch(Task(films.folder.parent, profiles, tmp_path / "two.jsonl"), workers=2)
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert one.done == two.done and two.done.bad[0][0] == 6 and two.done.written == 29
    with pytest.raises(InputError, match="nobody answers there"):
        batch(Task(films.folder.parent, profiles, tmp_path / "three.jsonl"), cluster="127.0.0.1:1")
