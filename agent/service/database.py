"""The tables of people's data, and the databases they live in.

`KEYS` lives apart: in a file of its own with SQLite, in a table of its own with PostgreSQL.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from snowmelt.retrieval.errors import InputError
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

metadata, keys_metadata = MetaData(), MetaData()

MASTER = ""  # in the place of a person: what shows that the master key is the right one

people = Table(
    "people",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("touched", BigInteger, nullable=False, index=True),
)
tokens = Table(
    "tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("person", String(32), nullable=False, index=True),
    Column("expires", BigInteger, nullable=False),
)
api_keys = Table(
    "api_keys",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),  # NULL: never
)
records = Table(
    "records",
    metadata,
    Column("person", String(32), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
Index("records_by_age", records.c.person, records.c.kind, records.c.created, records.c.id)
KEYS = Table(
    "person_keys",
    keys_metadata,
    Column("person", String(32), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)


class Engines(NamedTuple):
    """Where data and keys are; `key_file`: where the master key is kept if none is given (None: nowhere)."""

    data: Engine
    keys: Engine
    key_file: Path | None


def open_engines(users: str) -> Engines:
    """`users`: a path, sqlite:///people.db or postgresql://user@host/name. Raises InputError."""
    try:
        url = make_url(users if "://" in users else f"sqlite:///{users}")
    except ArgumentError:
        raise InputError("--users: not a database URL; give a path or postgresql://USER:PASSWORD@HOST/NAME") from None
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise InputError("--users: name a file for SQLite; people expect to be remembered")
        path = Path(url.database)
        try:
            return Engines(_sqlite(path), _sqlite(path.with_suffix(".keys.db")), path.with_suffix(".key"))
        except OSError as error:
            raise InputError(f"--users {path}: {error.strerror}; give a path that can be written") from None
    if url.get_backend_name() != "postgresql":
        raise InputError(f"--users {url.drivername}://...: only sqlite and postgresql are supported")
    try:
        engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_size=16, pool_pre_ping=True)
    except ModuleNotFoundError:
        raise InputError("--users: psycopg is not installed; pip install 'snowmelt[postgres]'") from None
    return Engines(engine, engine, None)


def _sqlite(path: Path) -> Engine:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its log the same rights
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 20, "isolation_level": None}, pool_size=16)

    @event.listens_for(engine, "connect")
    def _(connection: Any, _: Any) -> None:
        # FULL: a commit is on disk when it returns. secure_delete: what is deleted is overwritten with zeros.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def empty_log(engine: Engine) -> None:
    """Move SQLite's log into the database and cut it to nothing: deleted rows are still readable in it."""
    if engine.dialect.name != "sqlite":
        return
    with _raw(engine) as connection:
        for _ in range(5):  # a reader may be in the way for a moment
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                return
            time.sleep(0.05)


@contextmanager
def _raw(engine: Engine) -> Iterator[Any]:
    connection = engine.raw_connection()
    try:
        yield connection.driver_connection
    finally:
        connection.close()
