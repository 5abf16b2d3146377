"""People's data at rest: durable, sealed, erasable, and nobody else's. Real SQLite files; PostgreSQL where it is."""

import base64
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from service import postgres as running_postgres
from snowmelt.agent.service.keyring import Gone, MasterChanged
from snowmelt.agent.service.security import RateLimit, Unreadable, change_key_file, master_keys, new_key, seal, unseal
from snowmelt.agent.service.server import manage_keys
from snowmelt.agent.service.store import Conflict, Put, Store
from snowmelt.retrieval.errors import InputError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(str(tmp_path / "people.db"))
    yield store
    store.close()


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_what_is_put_is_got_and_listed(store: Store) -> None:
    person, token = store.create_person("shop")
    assert store.person_of(token) == person and store.person_of(token + "x") is None
    for i in range(7):
        store.put(person.id, Put("feedback", f"f{i}", {"i": i, "words": "喜欢 \U0001f984"}))
    first, cursor = store.page(person.id, "feedback", 3)
    second, cursor = store.page(person.id, "feedback", 3, cursor)
    third, end = store.page(person.id, "feedback", 3, cursor)
    assert sorted(s.value["i"] for s in [*first, *second, *third]) == list(range(7)) and end is None
    assert store.get(person.id, "feedback", "f3").value["words"] == "喜欢 \U0001f984"  # type: ignore[union-attr]
    assert store.remove(person.id, "feedback", "f3") and not store.remove(person.id, "feedback", "f3")
    assert {kind: len(rows) for kind, rows in store.export(person.id).items()} == {"feedback": 6}
    for cursor in ("x", "!!!", base64.b64encode(b"-1:a").decode(), "é"):
        with pytest.raises(InputError, match="cursor"):
            store.page(person.id, "feedback", 3, cursor)


def test_versions_see_what_others_changed_and_all_or_nothing_is_written(store: Store) -> None:
    person, _ = store.create_person("shop")
    assert store.put(person.id, Put("profile", "films", {"a": 1}, 0)) == [1]
    with pytest.raises(Conflict):
        store.put(person.id, Put("conversation", "c", {}), Put("profile", "films", {"a": 2}, 0))
    assert store.get(person.id, "conversation", "c") is None
    assert store.put(person.id, Put("profile", "films", {"a": 2}, 1)) == [2]


def test_nobody_reads_anybody_else(store: Store) -> None:
    (a, _), (b, _) = store.create_person("shop"), store.create_person("shop")
    store.put(a.id, Put("profile", "films", {"secret": "a"}))
    assert store.get(b.id, "profile", "films") is None and store.export(b.id) == {}
    assert not store.remove(b.id, "profile", "films") and store.get(a.id, "profile", "films") is not None
    with pytest.raises(Gone):
        store.rotate_token(a.id, "another tenant")


def test_a_row_moved_to_someone_else_or_changed_does_not_open(store: Store, tmp_path: Path) -> None:
    (a, _), (b, _) = store.create_person("shop"), store.create_person("shop")
    store.put(a.id, Put("profile", "films", {"secret": "a"}))
    with sqlite3.connect(tmp_path / "people.db") as db:
        db.execute("UPDATE records SET person = ?", (b.id,))
    with pytest.raises(Unreadable):
        store.get(b.id, "profile", "films")


def test_tokens_are_kept_as_hashes_expire_and_are_renewed(store: Store, tmp_path: Path) -> None:
    person, token = store.create_person("shop")
    key = store.add_api_key("shop")
    assert store.tenant_of(key) == "shop" and store.tenant_of(token) is None
    new = store.rotate_token(person.id, "shop")
    assert store.person_of(token) is None and store.person_of(new) == person
    assert not any(secret.encode() in everything(tmp_path) for secret in (token, new, key))
    with sqlite3.connect(tmp_path / "people.db") as db:
        db.execute("UPDATE tokens SET expires = 1")
    assert store.person_of(new) is None
    [(start, tenant, _, expires)] = store.api_keys()
    assert expires is None
    brief = store.add_api_key("shop", days=1)
    assert store.tenant_of(brief) == "shop"
    with sqlite3.connect(tmp_path / "people.db") as db:
        db.execute("UPDATE api_keys SET expires = 1 WHERE expires IS NOT NULL")
    assert store.tenant_of(brief) is None and store.tenant_of(key) == "shop"
    [late] = [start for start, _, _, expires in store.api_keys() if expires]
    assert store.revoke_api_key(late) == 1
    assert tenant == "shop" and store.revoke_api_key(start) == 1 and store.tenant_of(key) is None


def test_nothing_is_in_the_clear_and_after_erase_nothing_opens(store: Store, tmp_path: Path) -> None:
    canaries = [f"CANARY-{i:04}-大熊猫" for i in range(200)]
    person, token = store.create_person("shop")
    for i, canary in enumerate(canaries):
        store.put(person.id, Put("conversation", f"c{i}", {"turns": [canary]}))
    raw = everything(tmp_path)
    assert not any(canary.encode() in raw or canary[:11].encode() in raw for canary in canaries)
    keys = sqlite3.connect(tmp_path / "people.keys.db")
    wrapped = keys.execute("SELECT wrapped FROM person_keys WHERE person = ?", (person.id,)).fetchone()[0]
    keys.close()
    backup = tmp_path.parent / f"{tmp_path.name}-backup.db"
    with sqlite3.connect(tmp_path / "people.db") as db, sqlite3.connect(backup) as copy:
        db.backup(copy)
    assert wrapped in everything(tmp_path)
    bodies = [r[0] for r in sqlite3.connect(backup).execute("SELECT body FROM records")]
    store.erase(person.id)
    raw = everything(tmp_path)
    # neither the key nor a row is left anywhere, in no log either
    assert wrapped not in raw and person.id.encode() not in raw and not any(body in raw for body in bodies)
    assert store.person_of(token) is None and store.get(person.id, "conversation", "c0") is None
    with pytest.raises(Gone):
        store.put(person.id, Put("profile", "films", {}))
    # the backup, restored over today's keys, opens for nobody
    store.close()
    shutil.copy(backup, tmp_path / "people.db")
    restored = Store.open(str(tmp_path / "people.db"))
    assert restored.person_of(token) is None  # before the sweep, too
    with pytest.raises(Gone):
        restored.get(person.id, "conversation", "c0")
    assert restored.sweep(365) == 1 and restored.sweep(365) == 0  # and the erasure is finished
    restored.close()


def test_retention(store: Store, tmp_path: Path) -> None:
    (old, _), (new, _) = store.create_person("shop"), store.create_person("shop")
    store.put(new.id, Put("reply", "r", {"answer": 1}))
    with sqlite3.connect(tmp_path / "people.db") as db:
        db.execute("UPDATE people SET touched = touched - 31 * 86400000 WHERE id = ?", (old.id,))
        db.execute("UPDATE records SET updated = updated - 2 * 86400000")
    assert store.sweep(30) == 1
    with pytest.raises(Gone):
        store.put(old.id, Put("profile", "films", {}))
    assert store.get(new.id, "reply", "r") is None and store.put(new.id, Put("profile", "films", {})) == [1]


def test_the_master_key(tmp_path: Path) -> None:
    file = tmp_path / "people.key"
    [key] = master_keys(None, file)
    assert file.stat().st_mode & 0o777 == 0o600 and master_keys(None, file) == [key]
    assert master_keys(base64.b64encode(key).decode(), None) == [key]
    file.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        master_keys(None, file)
    for bad in ("short", "#", "猫", base64.b64encode(b"x" * 31).decode()):
        with pytest.raises(InputError, match="32 bytes"):
            master_keys(bad, None)
    with pytest.raises(InputError, match="SNOWMELT_MASTER_KEY"):
        master_keys(None, None)
    sealed = seal(key, b"text", "here")
    assert unseal(key, sealed, "here") == b"text"
    for other, about, value in (
        (new_key(), "here", sealed),
        (key, "there", sealed),
        (key, "here", sealed[:-1]),
        (key, "here", b""),
    ):
        with pytest.raises(Unreadable):
            unseal(other, value, about)


@pytest.mark.parametrize(
    "users", ["mysql://x/y", "sqlite://", "postgresql://127.0.0.1:1/none", "://", "/proc/none/people.db"]
)
def test_a_database_that_cannot_be_opened_is_one_line_without_its_password(users: str) -> None:
    with pytest.raises(InputError) as told:
        Store.open(users.replace("postgresql://", "postgresql://me:hunter2@"), base64.b64encode(new_key()).decode())
    assert "\n" not in str(told.value) and "hunter2" not in str(told.value)


def test_another_master_key_is_noticed_at_the_start(tmp_path: Path) -> None:
    Store.open(str(tmp_path / "people.db")).close()
    with pytest.raises(InputError, match="not the one"):
        Store.open(str(tmp_path / "people.db"), base64.b64encode(new_key()).decode())


def in_base64(*keys: bytes) -> str:
    return " ".join(base64.b64encode(key).decode() for key in keys)


def rotated(users: str, keys_of: Path | None = None) -> None:
    """While three processes use the database: with both keys, with the old one alone, and the one that rotates."""
    old, new = new_key(), new_key()
    behind, both = Store.open(users, in_base64(old)), Store.open(users, in_base64(new, old))
    (anna, token), (bob, _) = behind.create_person("shop"), both.create_person("shop")
    both.put(anna.id, Put("profile", "films", {"secret": "猫"}))
    before = keys_of.read_bytes() if keys_of else b""
    assert manage_keys("rotate", users, in_base64(new, old))[0].startswith("2 keys")
    assert manage_keys("rotate", users, in_base64(new, old))[0].startswith("0 keys")
    with pytest.raises(MasterChanged):
        behind.get(anna.id, "profile", "films")
    with pytest.raises(MasterChanged):  # under the old key nobody could be read when that one is gone
        behind.create_person("shop")
    carl, _ = both.create_person("shop")
    after = Store.open(users, in_base64(new))
    assert after.person_of(token) == anna and after.get(anna.id, "profile", "films").value == {"secret": "猫"}  # type: ignore[union-attr]
    for someone in (bob, carl):
        assert after.put(someone.id, Put("profile", "films", {}, 0)) == [1]
    with pytest.raises(InputError, match="not the one"):
        Store.open(users, in_base64(old))
    for store in (behind, both, after):
        store.close()
    assert not keys_of or before != keys_of.read_bytes()


def test_the_master_key_is_rotated_while_others_are_at_work(tmp_path: Path) -> None:
    rotated(str(tmp_path / "people.db"), tmp_path / "people.keys.db")
    with pytest.raises(InputError, match="new key and the old one"):
        manage_keys("rotate", str(tmp_path / "people.db"), in_base64(new_key()))


def test_the_key_file_is_rotated_and_a_kill_half_way_loses_nothing(tmp_path: Path) -> None:
    users, file = str(tmp_path / "people.db"), tmp_path / "people.key"
    store = Store.open(users)
    people = [store.create_person("shop")[0] for _ in range(7)]
    for person in people:
        store.put(person.id, Put("profile", "films", {"of": person.id}))
    store.close()
    first = master_keys(None, file)
    change_key_file(file, [new_key(), *first])  # here it was killed
    for _ in range(2):
        assert manage_keys("rotate", users)[0].startswith("7 keys")
        [key] = master_keys(None, file)
        assert key not in first and file.stat().st_mode & 0o777 == 0o600
        store = Store.open(users)
        assert all(store.get(p.id, "profile", "films").value == {"of": p.id} for p in people)  # type: ignore[union-attr]
        store.close()


def test_a_database_of_before_keys_could_expire(tmp_path: Path) -> None:
    Store.open(str(tmp_path / "people.db")).close()
    with sqlite3.connect(tmp_path / "people.db") as db:
        db.execute("ALTER TABLE api_keys DROP COLUMN expires")
    key = manage_keys("add", str(tmp_path / "people.db"), None, "shop", 30)[0]
    assert key.startswith("smk_") and "until" in manage_keys("list", str(tmp_path / "people.db"))[0]


WRITER = """
import sys
from snowmelt.agent.service.store import Put, Store
store = Store.open(sys.argv[1])
person, token = store.create_person("shop")
print(token, flush=True)
for i in range(100000):
    store.put(person.id, Put("feedback", f"f{i}", {"i": i}))
    print(i, flush=True)
"""


def test_acknowledged_writes_survive_kill_9(tmp_path: Path) -> None:
    for n in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "people.db")], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        token, acknowledged = writer.stdout.readline().strip(), -1
        while acknowledged < 20 + 7 * n:
            acknowledged = int(writer.stdout.readline())
        writer.kill()
        acknowledged = max([acknowledged, *(int(line) for line in writer.stdout.read().split("\n")[:-1])])
        writer.wait()
        store = Store.open(str(tmp_path / "people.db"))
        person = store.person_of(token)
        assert person is not None
        assert {row.value["i"] for row in store.export(person.id)["feedback"]} >= set(range(acknowledged + 1))
        store.close()


def test_rate_limit() -> None:
    limit = RateLimit(rate=1000, burst=3)
    assert [limit.wait("a") for _ in range(3)] == [0, 0, 0]
    slow = RateLimit(rate=0.1, burst=1)
    assert slow.wait("a") == 0 and 9 < slow.wait("a") <= 10 and slow.wait("b") == 0


@pytest.mark.skipif(
    not Path("/usr/lib/postgresql").is_dir() or os.getuid() != 0, reason="PostgreSQL (Debian's) is not installed here"
)
def test_postgresql(postgres: str) -> None:
    given = base64.b64encode(new_key()).decode()
    store, replica = Store.open(postgres, given), Store.open(postgres, given)
    person, token = store.create_person("shop")
    assert replica.person_of(token) == person
    assert store.put(person.id, Put("profile", "films", {"a": "猫"}, 0)) == [1]
    with pytest.raises(Conflict):
        replica.put(person.id, Put("profile", "films", {}, 0))
    assert replica.get(person.id, "profile", "films").value == {"a": "猫"}  # type: ignore[union-attr]
    for i in range(3):
        store.put(person.id, Put("feedback", f"f{i}", {}))
    assert len(replica.page(person.id, "feedback", 2)[0]) == 2
    replica.erase(person.id)
    assert store.person_of(token) is None
    with pytest.raises(Gone):
        store.put(person.id, Put("profile", "films", {}))
    store.close()
    replica.close()


@pytest.mark.skipif(
    not Path("/usr/lib/postgresql").is_dir() or os.getuid() != 0, reason="PostgreSQL (Debian's) is not installed here"
)
def test_the_master_key_is_rotated_in_postgresql(postgres: str) -> None:
    rotated(postgres)


@pytest.fixture
def postgres() -> Iterator[str]:
    with running_postgres() as url:
        yield url
