"""Secrets: values sealed under a key, a master key, tokens that are kept only as hashes, and limits on how often."""

import base64
import binascii
import hashlib
import os
import secrets
import stat
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from snowmelt.retrieval.errors import InputError

KEY = 32  # bytes: AES-256
_NONCE = 12  # bytes, random: a key seals far fewer than the 2**32 values after which a repetition becomes likely
MOST_CALLERS = 10_000  # whose rate is remembered


class Unreadable(ValueError):
    """A sealed value that does not open: another key, another place, or damaged."""


def new_key() -> bytes:
    return secrets.token_bytes(KEY)


def seal(key: bytes, value: bytes, about: str) -> bytes:
    """`value` encrypted and authenticated by AES-256-GCM. `about` names its place: moved elsewhere it does not open."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, value, about.encode())


def unseal(key: bytes, sealed: bytes, about: str) -> bytes:
    """The value that `seal` was given. Raises Unreadable."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
    except (InvalidTag, ValueError):
        raise Unreadable(f"{about}: does not open with this key") from None


def master_keys(given: str | None, file: Path | None) -> list[bytes]:
    """The keys that may wrap all others, the wanted one first: `given` (base64, with spaces between, from the
    environment), else the lines of `file`, made (0600) at first start. More than one while they are being rotated.

    InputError if one is not 32 bytes, if others may read the file, or if there is neither.
    """
    if given:
        return [_decoded(text, "SNOWMELT_MASTER_KEY") for text in given.split()]
    if file is None:
        raise InputError(
            "no master key: with PostgreSQL set SNOWMELT_MASTER_KEY, the same for every replica; make one with "
            "`head -c 32 /dev/urandom | base64`"
        )
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists():
        _write_keys(file, [new_key()])
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise InputError(f"{file}: others may read the master key; chmod 600 {file}")
    lines = file.read_text("ascii", "replace").split() or [""]
    return [_decoded(line, str(file)) for line in lines]


def change_key_file(file: Path, keys: Sequence[bytes]) -> None:
    """Puts these keys in the place of those in `file`: all of them or none, also when it is killed."""
    new = file.with_suffix(".key.new")
    new.unlink(missing_ok=True)
    _write_keys(new, keys)
    new.replace(file)
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_keys(file: Path, keys: Sequence[bytes]) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # two first starts at a time: the other one's key it is
        return
    with os.fdopen(descriptor, "w") as out:
        out.writelines(base64.b64encode(key).decode() + "\n" for key in keys)
        out.flush()
        os.fsync(out.fileno())


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY:
        raise InputError(f"{where}: not a master key; it is 32 bytes in base64")
    return key


def new_token(prefix: str) -> str:
    """A secret of 256 random bits, shown once. The prefix tells people (and secret scanners) what they look at."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def token_hash(token: str) -> str:
    """What is stored of a token. A plain hash is enough for 256 random bits: there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


class RateLimit:
    """At most `rate` calls a second for each caller, after a burst of `burst`. Safe between threads; per process."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._callers: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def wait(self, caller: str, cost: float = 1.0) -> float:
        """0 if the call may go ahead, else the seconds until it may."""
        now = time.monotonic()
        with self._lock:
            left, since = self._callers.pop(caller, (self._burst, now))
            left = min(self._burst, left + (now - since) * self._rate)
            allowed = left >= min(cost, self._burst)
            self._callers[caller] = (left - cost if allowed else left, now)
            if len(self._callers) > MOST_CALLERS:
                self._callers.popitem(last=False)
        return 0.0 if allowed else (min(cost, self._burst) - left) / self._rate
