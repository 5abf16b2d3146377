"""People's data at rest: sealed records in SQLite or PostgreSQL, a key per person, kept apart from what it opens.

In the clear are random ids, tenants, catalogue names, times and sizes; everything a person said or chose is sealed.
Erasing someone removes the key first: what is left of the rows, in a backup or a log, cannot be read any more.
"""

import base64
import binascii
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snowmelt.agent.service.database import (
    api_keys,
    empty_log,
    keys_metadata,
    metadata,
    open_engines,
    people,
    records,
    tokens,
)
from snowmelt.agent.service.keyring import Gone, Keyring
from snowmelt.agent.service.security import (
    change_key_file,
    master_keys,
    new_key,
    new_token,
    seal,
    token_hash,
    unseal,
)
from snowmelt.retrieval.errors import InputError
from sqlalchemy import Connection, Engine, Row, delete, insert, inspect, or_, select, tuple_, update
from sqlalchemy.exc import SQLAlchemyError

TOKEN_LIFE = 90 * 86_400  # seconds
REPLY_LIFE = 86_400  # seconds for which a repeated write is recognised
_DAY = 86_400_000  # milliseconds


class Conflict(Exception):
    """Somebody else changed the record since it was read."""


@dataclass(frozen=True)
class Stored:
    """A record: `value` is JSON-able; times are milliseconds since 1970."""

    id: str
    value: dict[str, Any]
    version: int
    created: int
    updated: int


@dataclass(frozen=True)
class Put:
    """A record to write. `expected`: the version it must have now (0: none at all; None: whatever it is)."""

    kind: str
    id: str
    value: dict[str, Any]
    expected: int | None = None


@dataclass(frozen=True)
class Person:
    id: str
    tenant: str


class Store:
    """Safe between threads, and between processes and replicas. What a method has returned from is on disk."""

    def __init__(self, data: Engine, keys: Engine, masters: Sequence[bytes]) -> None:
        self._data, self._keys, self._keyring = data, keys, Keyring(keys, masters)

    @classmethod
    def open(cls, users: str, given_master_key: str | None = None) -> "Store":
        """`users`: a path, or an SQLAlchemy URL (sqlite:///people.db, postgresql+psycopg://...). InputError in a line.

        SQLite: keys are in people.keys.db beside people.db, the master key (where none is given) in people.key.
        PostgreSQL: keys are in the table person_keys; leave it out of backups.
        """
        engines = open_engines(users)
        store = cls(engines.data, engines.keys, master_keys(given_master_key, engines.key_file))
        try:
            store._prepare()
        except SQLAlchemyError as error:  # the text of a database's error may hold its password
            store.close()
            raise InputError(f"--users: the database does not work ({type(error).__name__}); is it there?") from None
        return store

    def close(self) -> None:
        self._data.dispose()
        self._keys.dispose()

    def _prepare(self) -> None:
        with self._data.begin() as db:
            if self._data is self._keys:  # replicas start at the same moment
                db.exec_driver_sql("SELECT pg_advisory_xact_lock(7336591)")
                keys_metadata.create_all(db)
            metadata.create_all(db)
        if "expires" not in {column["name"] for column in inspect(self._data).get_columns("api_keys")}:
            with self._data.begin() as db:  # a database of before keys could expire
                db.exec_driver_sql("ALTER TABLE api_keys ADD COLUMN expires BIGINT")
        self._keyring.prepare()

    def rotate_master_key(self) -> int:
        """`Keyring.rotate`."""
        return self._keyring.rotate()

    # people and their tokens ------------------------------------------------------------------------------------------
    def create_person(self, tenant: str) -> tuple[Person, str]:
        """A new person under a random id, and the token that is theirs. The token cannot be had again."""
        person, token, now = Person(secrets.token_hex(16), tenant), new_token("smp"), _now()
        self._keyring.make(person.id)  # first, so that no row is ever without its key
        with self._data.begin() as db:
            db.execute(insert(people).values(id=person.id, tenant=tenant, created=now, touched=now))
            _add_token(db, person.id, token, now)
        return person, token

    def person_of(self, token: str) -> Person | None:
        """Whose token this is; None for an unknown or expired one, and for that of an erased person.

        A backup that was put back still has the rows of the erased, until `sweep` removes them: the key decides.
        """
        query = select(people.c.id, people.c.tenant).join(tokens, tokens.c.person == people.c.id)
        with self._data.connect() as db:
            row = db.execute(query.where(tokens.c.hash == token_hash(token), tokens.c.expires > _now())).first()
        return Person(row.id, row.tenant) if row and self._keyring.has(row.id) else None

    def rotate_token(self, person: str, tenant: str) -> str:
        """A new token; all older ones stop working. Raises Gone if the tenant has no such person."""
        token, now = new_token("smp"), _now()
        with self._data.begin() as db:
            _touch(db, person, now, tenant)
            db.execute(delete(tokens).where(tokens.c.person == person))
            _add_token(db, person, token, now)
        return token

    # records ----------------------------------------------------------------------------------------------------------
    def put(self, person: str, *puts: Put) -> list[int]:
        """Write all of them or none; returns their new versions. Raises Conflict or Gone."""
        key, now, versions = self._keyring.key(person), _now(), []
        with self._data.begin() as db:
            _touch(db, person, now)
            for put in puts:
                versions.append(_write(db, person, key, put, now))
        return versions

    def get(self, person: str, kind: str, id_: str) -> Stored | None:
        query = select(records).where(records.c.person == person, records.c.kind == kind, records.c.id == id_)
        with self._data.connect() as db:
            row = db.execute(query).first()
        return _opened(self._keyring.key(person), row) if row else None

    def page(self, person: str, kind: str, limit: int, cursor: str | None = None) -> tuple[list[Stored], str | None]:
        """Up to `limit` records, the newest first, and the cursor of the next page. InputError for a bad cursor."""
        query = select(records).where(records.c.person == person, records.c.kind == kind)
        if cursor:
            query = query.where(tuple_(records.c.created, records.c.id) < _place(cursor))
        query = query.order_by(records.c.created.desc(), records.c.id.desc()).limit(limit + 1)
        with self._data.connect() as db:
            rows = db.execute(query).all()
        key = self._keyring.key(person) if rows else b""
        return [_opened(key, row) for row in rows[:limit]], _cursor(rows[limit - 1]) if len(rows) > limit else None

    def everybody(self, kind: str, id_: str) -> Iterator[Stored]:
        """The record with this id of everyone who has one. Who is erased meanwhile is left out."""
        with self._data.connect() as db:
            rows = db.execute(select(records).where(records.c.kind == kind, records.c.id == id_)).all()
        for row in rows:
            with suppress(Gone):
                yield _opened(self._keyring.key(row.person), row)

    def remove(self, person: str, kind: str, id_: str) -> bool:
        """Whether there was one."""
        with self._data.begin() as db:
            _touch(db, person, _now())
            where = (records.c.person == person, records.c.kind == kind, records.c.id == id_)
            return db.execute(delete(records).where(*where)).rowcount > 0

    def export(self, person: str) -> dict[str, list[Stored]]:
        """Everything that is stored about someone, by kind."""
        with self._data.connect() as db:
            rows = db.execute(select(records).where(records.c.person == person).order_by(records.c.created)).all()
        key, found = self._keyring.key(person), {}
        for row in rows:
            found.setdefault(row.kind, []).append(_opened(key, row))
        return found

    def erase(self, person: str) -> None:
        """Key first, then rows; then the logs of both databases are emptied. Safe to repeat."""
        self._keyring.remove(person)
        with self._data.begin() as db:
            for table, column in ((people, people.c.id), (tokens, tokens.c.person), (records, records.c.person)):
                db.execute(delete(table).where(column == person))
        empty_log(self._data)

    def sweep(self, retention: float) -> int:
        """Erase whoever was not here for `retention` days, and finish erasures that were cut short; returns how many.

        Expired tokens and remembered replies go, too.
        """
        now = _now()
        with self._data.begin() as db:
            db.execute(delete(tokens).where(tokens.c.expires <= now))
            old = now - 1000 * REPLY_LIFE
            db.execute(delete(records).where(records.c.kind == "reply", records.c.updated < old))
        with self._data.connect() as db:
            stale = set(db.execute(select(people.c.id).where(people.c.touched < now - retention * _DAY)).scalars())
            everyone = set(db.execute(select(people.c.id)).scalars())
        gone = stale | (everyone - self._keyring.everyone())
        for person in gone:
            self.erase(person)
        return len(gone)

    # API keys ---------------------------------------------------------------------------------------------------------
    def add_api_key(self, tenant: str, days: float | None = None) -> str:
        """A key for a tenant's backend, shown once; good for `days`, or until it is revoked."""
        key, now = new_token("smk"), _now()
        expires = None if days is None else now + round(days * _DAY)
        with self._data.begin() as db:
            db.execute(insert(api_keys).values(hash=token_hash(key), tenant=tenant, created=now, expires=expires))
        return key

    def tenant_of(self, key: str) -> str | None:
        """None for an unknown, expired or revoked one."""
        good = or_(api_keys.c.expires.is_(None), api_keys.c.expires > _now())
        with self._data.connect() as db:
            return db.execute(select(api_keys.c.tenant).where(api_keys.c.hash == token_hash(key), good)).scalar()

    def api_keys(self) -> list[tuple[str, str, int, int | None]]:
        """(first 12 characters of its hash, tenant, created, expires) of every key."""
        with self._data.connect() as db:
            rows = db.execute(select(api_keys).order_by(api_keys.c.created)).all()
        return [(r.hash[:12], r.tenant, r.created, r.expires) for r in rows]

    def revoke_api_key(self, start: str) -> int:
        """Remove the keys whose hash begins with `start` (12 characters, from `api_keys`); returns how many."""
        with self._data.begin() as db:
            return db.execute(delete(api_keys).where(api_keys.c.hash.startswith(start, autoescape=True))).rowcount


def rotate_key_file(users: str, file: Path) -> int:
    """Makes a new master key in `file` and rotates to it. Killed at any moment, the file has the key that is needed."""
    change_key_file(file, [new_key(), *master_keys(None, file)])
    store = Store.open(users)
    try:
        count = store.rotate_master_key()
    finally:
        store.close()
    change_key_file(file, master_keys(None, file)[:1])
    return count


def _now() -> int:
    return int(time.time() * 1000)


def _add_token(db: Connection, person: str, token: str, now: int) -> None:
    db.execute(insert(tokens).values(hash=token_hash(token), person=person, expires=now + 1000 * TOKEN_LIFE))


def _touch(db: Connection, person: str, now: int, tenant: str | None = None) -> None:
    """Begins every write: it takes the lock, and an erased person gets no new rows."""
    change = update(people).where(people.c.id == person).values(touched=now)
    if tenant is not None:
        change = change.where(people.c.tenant == tenant)
    if not db.execute(change).rowcount:
        raise Gone(person)


def _write(db: Connection, person: str, key: bytes, put: Put, now: int) -> int:
    here = (records.c.person == person, records.c.kind == put.kind, records.c.id == put.id)
    current = db.execute(select(records.c.version).where(*here)).scalar()
    if put.expected is not None and put.expected != (current or 0):
        raise Conflict(put.kind)
    version = (current or 0) + 1
    text = json.dumps(put.value, ensure_ascii=False, separators=(",", ":")).encode()
    body = seal(key, text, _about(person, put.kind, put.id, version))
    if current is None:
        row = {"person": person, "kind": put.kind, "id": put.id, "created": now}
        db.execute(insert(records).values(**row, version=version, updated=now, body=body))
    else:
        db.execute(update(records).where(*here).values(version=version, updated=now, body=body))
    return version


def _opened(key: bytes, row: Row[Any]) -> Stored:
    text = unseal(key, row.body, _about(row.person, row.kind, row.id, row.version))
    return Stored(row.id, json.loads(text), row.version, row.created, row.updated)


def _about(person: str, kind: str, id_: str, version: int) -> str:
    return json.dumps([person, kind, id_, version])


def _cursor(row: Row[Any]) -> str:
    return base64.urlsafe_b64encode(f"{row.created}:{row.id}".encode()).decode()


def _place(cursor: str) -> tuple[int, str]:
    try:
        created, _, id_ = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
        place = int(created)
        if not 0 <= place < 2**62 or not id_.isprintable():
            raise ValueError
    except (binascii.Error, ValueError):
        raise InputError("cursor: not one that this service gave; leave it out for the first page") from None
    return place, id_
