"""Nothing of a person where it does not belong: on disk, in logs, at a hosted model."""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from openai_server import fault_server
from service import conversation, running
from snowmelt.agent.llm import Message
from snowmelt.agent.models.hosted import HostedLLM
from snowmelt.agent.privacy import Masked, masked, shown
from snowmelt.retrieval.catalogue import Catalogue

CANARIES = 25
WORDS = "QQCANARY{:04}ZZ"


def hits(*folders: Path) -> list[tuple[Path, str]]:
    """Where a canary can be read, in any of the files."""
    needles = [WORDS.format(i).encode() for i in range(CANARIES)]
    needles += [n.decode().encode("utf-16-le") for n in needles]
    return [
        (path, needle.decode("utf-8", "replace"))
        for folder in folders for path in folder.rglob("*") if path.is_file()
        for needle in needles if needle in path.read_bytes()
    ]  # fmt: skip


def test_no_word_of_anybody_on_disk_while_it_runs_after_kill_9_and_after_erasure(
    films: Catalogue, tmp_path: Path
) -> None:
    directory, data, temporary = tmp_path / "films", tmp_path / "data", tmp_path / "tmp"
    shutil.copytree(films.folder.parent, directory)
    data.mkdir()
    temporary.mkdir()
    everywhere = (directory, data, temporary)
    environ = {"TMPDIR": str(temporary), "HOME": str(temporary)}
    with running([f"films={directory}"], data, environ=environ) as service:
        anna = service.person()
        id_, _ = conversation(anna)
        for i in range(CANARIES):
            text = f"I love {WORDS.format(i)} and number {i}"
            key = {"Idempotency-Key": f"key-{WORDS.format(i)}"}
            anna.post(f"/v1/conversations/{id_}/messages", json={"text": text}, headers=key).raise_for_status()
        anna.get("/v1/items", params={"q": WORDS.format(0)})
        anna.post("/v1/recommend", json={"profile": {"likes": [WORDS.format(1)]}})
        anna.post(f"/v1/conversations/{WORDS.format(2)}/messages", json={"text": WORDS.format(3)})
        anna.get(f"/{WORDS.format(4)}", params={WORDS.format(5): WORDS.format(6)})
        assert "Max core file size        0" in Path(f"/proc/{service.process.pid}/limits").read_text()
        assert hits(*everywhere) == []
        service.kill()
    assert hits(*everywhere) == []
    with running([f"films={directory}"], data, environ=environ) as service:
        anna.base_url = service.url
        turns = anna.get(f"/v1/conversations/{id_}").json()["turns"]
        assert len(turns) == 2 * CANARIES and WORDS.format(CANARIES - 1) in json.dumps(turns)  # nothing was lost either
        backup = tmp_path / "backup.db"
        with sqlite3.connect(data / "people.db") as db, sqlite3.connect(backup) as copy:
            db.backup(copy)
        assert anna.delete("/v1/me").status_code == 204
        for file in ("people.db", "people.keys.db"):
            assert (data / f"{file}-wal").stat().st_size == 0
        service.kill()
    # the backup of the data is put back over today's keys: it opens for nobody, with the token that was good then
    for path in data.glob("people.db*"):
        path.unlink()
    shutil.copy(backup, data / "people.db")
    with running([f"films={directory}"], data, environ=environ) as service:
        anna.base_url = service.url
        assert anna.get(f"/v1/conversations/{id_}").status_code == 401
        assert anna.get("/v1/me/export").status_code == 401
    assert hits(*everywhere) == []
    anna.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail me: a.b+c@mail.example.co.uk!", "mail me: [email]!"),
        ("张三 zhang@qq.com 谢谢", "张三 [email] 谢谢"),
        ("+49 171 2345678, (030) 123-4567 or 555-123-4567", "[phone], [phone] or [phone]"),
        ("打13812345678", "打[phone]"),
        ("4111 1111 1111 1111 and 4111-1111-1111-1111", "[card] and [card]"),
        ("order 4111 1111 1111 1112", "order 4111 1111 1111 1112"),  # no card has this number
        ("DE89 3704 0044 0532 0130 00", "[account]"),
        ("身份证 11010519491231002X", "身份证 [id]"),
        ("films of 1999-2004, from 2024-01-15, 12.99 EUR, 100-120 minutes, 7.5/10", None),
        ("Blade Runner 2049, 2001: A Space Odyssey, 12 Angry Men, Se7en, THX 1138", None),
        ("Apollo 13, Ocean's 11, 127 Hours, 21 Grams, 10 000 BC, 1917", None),
    ],
)
def test_masking(text: str, expected: str | None) -> None:
    assert masked(text) == (text if expected is None else expected)


def test_titles_of_the_catalogue_are_not_masked(films: Catalogue) -> None:
    for row, item in enumerate(films.items):
        assert masked(item.title) == item.title and masked(films.text(row)) == films.text(row)


def test_a_hosted_model_gets_the_masked_text_only() -> None:
    with fault_server() as server:
        llm = Masked(HostedLLM("m", base_url=server.url("fine")))
        said = [Message("system", "You listen."), Message("user", "I am at anna@example.org, +49 171 2345678")]
        llm.complete(said)
        list(llm.stream(said))
        llm.choose(said, ["A", "B"])
        sent = json.dumps(server.bodies["fine"])
        assert len(server.bodies["fine"]) == 3 and "anna@example.org" not in sent and "2345678" not in sent
        assert sent.count("[email], [phone]") == 3
        llm.close()


def test_what_doctor_shows_is_what_is_done() -> None:
    assert all(masked(before) == after for before, after in shown())
    assert {"[email]", "[phone]", "[card]", "[account]"} <= {w for _, t in shown() for w in t.replace(",", " ").split()}
    assert os.environ.get("SNOWMELT_MASTER_KEY") is None
