"""One process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snowmelt.retrieval.errors import InputError


@contextmanager
def locked(path: Path, taken: str | None = None) -> Iterator[None]:
    """Hold the file `path`, which is made if it is not there. While another process holds it: InputError(`taken`), or,
    for None, wait. The kernel frees it when its holder is killed."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if taken is None else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(taken or "") from None
        yield
