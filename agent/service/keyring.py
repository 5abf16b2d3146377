"""A key per person, wrapped under a master key, and kept apart from what it opens: without the key a row is noise."""

from collections.abc import Sequence
from contextlib import suppress

from snowmelt.agent.service.database import KEYS, MASTER, empty_log, keys_metadata
from snowmelt.agent.service.security import Unreadable, new_key, seal, unseal
from snowmelt.retrieval.errors import InputError
from sqlalchemy import Connection, Engine, Row, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

_AT_ONCE = 5_000  # keys in memory while the master key is rotated
_CHECK = b"snowmelt"  # sealed under the master key, so that another one is noticed at the start

# takes the lock under which the master key in force stays in force
_HOLD = update(KEYS).where(KEYS.c.person == MASTER).values(person=MASTER)


class MasterChanged(Unreadable):
    """The master key was rotated, and this process has only the old one: start it again with the new one."""


class Gone(Exception):
    """There is no such person (any more)."""


class Keyring:
    """Safe between threads, processes and replicas."""

    def __init__(self, engine: Engine, masters: Sequence[bytes]) -> None:
        """`masters`: the keys that may wrap what is stored. Which of them is in force the database says."""
        self._engine, self._masters = engine, masters

    def prepare(self) -> None:
        """The table, and what shows later that the master key is the right one. InputError if it is another."""
        keys_metadata.create_all(self._engine)
        try:
            with self._engine.begin() as db:
                db.execute(insert(KEYS).values(person=MASTER, wrapped=seal(self._masters[0], _CHECK, MASTER)))
        except IntegrityError:  # not the first start
            try:
                with self._engine.connect() as db:
                    self._in_force(db)
            except MasterChanged:
                raise InputError("the master key is not the one this database was made with; set that one") from None

    def make(self, person: str) -> None:
        """A key for somebody new. Raises MasterChanged."""
        with self._engine.begin() as db:
            db.execute(_HOLD)
            wrapped = seal(self._in_force(db), new_key(), person)
            db.execute(insert(KEYS).values(person=person, wrapped=wrapped))

    def key(self, person: str) -> bytes:
        """Raises Gone, or MasterChanged."""
        with self._engine.connect() as db:
            row = db.execute(select(KEYS).where(KEYS.c.person == person)).first()
        if row is None:
            raise Gone(person)
        return self._unwrapped(row)

    def has(self, person: str) -> bool:
        with self._engine.connect() as db:
            return db.execute(select(KEYS.c.person).where(KEYS.c.person == person)).first() is not None

    def everyone(self) -> set[str]:
        """Who has a key."""
        with self._engine.connect() as db:
            return set(db.execute(select(KEYS.c.person)).scalars()) - {MASTER}

    def remove(self, person: str) -> None:
        """For good: out of the log as well."""
        with self._engine.begin() as db:
            db.execute(delete(KEYS).where(KEYS.c.person == person))
        empty_log(self._engine)

    def rotate(self) -> int:
        """Wraps every person's key under the first of the master keys, all in one transaction; returns how many.

        Other processes that have both keys go on; one that has only the old one makes no people and reads nobody
        (MasterChanged) until it is started with the new one.
        """
        new, last, count = self._masters[0], MASTER, 0
        change = update(KEYS).where(KEYS.c.person == bindparam("who")).values(wrapped=bindparam("new"))
        with self._engine.begin() as db:
            db.execute(_HOLD)
            if self._in_force(db) == new:
                return 0
            while True:
                some = select(KEYS).where(KEYS.c.person > last).order_by(KEYS.c.person).limit(_AT_ONCE)
                found = db.execute(some).all()
                if not found:
                    break
                rows = [{"who": r.person, "new": seal(new, self._unwrapped(r), r.person)} for r in found]
                db.execute(change, rows)
                last, count = found[-1].person, count + len(rows)
            db.execute(change, [{"who": MASTER, "new": seal(new, _CHECK, MASTER)}])
        empty_log(self._engine)
        return count

    def _in_force(self, db: Connection) -> bytes:
        """The master key under which new keys are to be wrapped."""
        sealed = db.execute(select(KEYS.c.wrapped).where(KEYS.c.person == MASTER)).scalar_one()
        for key in self._masters:
            with suppress(Unreadable):
                unseal(key, sealed, MASTER)
                return key
        raise MasterChanged("master key")

    def _unwrapped(self, row: Row[tuple[str, bytes]]) -> bytes:
        for key in self._masters:
            with suppress(Unreadable):
                return unseal(key, row.wrapped, row.person)
        raise MasterChanged("master key")
