"""The kernel's guard of an arm's process: Landlock (Linux 5.13 on) holds for native code and child processes too.

Run as a script, it fences itself in and then becomes the arm's process, so that neither memory nor command line of
what the arm can look at names the folders. May be read: everything but the judge's folders and other processes'
`/proc` entries. May be written: the arm's own room and its cache alone, so that nothing met in one run is there in the
next. Where the kernel has no Landlock, the audit hook of `guard.py` stands alone, and the run file says so.
"""

import ctypes
import json
import os
import stat
import sys
from collections.abc import Iterable, Sequence

CREATE, ADD, RESTRICT = 444, 445, 446  # the same numbers on every architecture
PATH_BENEATH = 1
READ_FILE, WRITE_FILE, TRUNCATE, REFER = 1 << 2, 1 << 1, 1 << 14, 1 << 13
MAKE_AND_REMOVE = sum(1 << bit for bit in range(4, 13))
NO_NEW_PRIVILEGES = 38
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def version() -> int:
    """Landlock's ABI version in this kernel; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_libc.syscall(CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1))))


def fence(forbidden: Sequence[str], readable: Sequence[str], writable: Sequence[str]) -> None:
    """Restrict this process for good. Paths are real paths; `readable` and `writable` stand inside `forbidden` or out.

    Raises OSError when the kernel refuses."""
    abi = version()
    writes = WRITE_FILE | MAKE_AND_REMOVE | (REFER if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0)
    attributes = (ctypes.c_uint64 * 3)(READ_FILE | writes, 0, 3 if abi >= 6 else 0)  # 3: no signals, no sockets out
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = _call(CREATE, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint(0))

    def allow(path: str, access: int) -> None:
        try:
            file = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return  # gone, or not ours to see: then it stays closed
        try:
            if not stat.S_ISDIR(os.fstat(file).st_mode):
                access &= READ_FILE | WRITE_FILE | TRUNCATE
            rule = access.to_bytes(8, sys.byteorder) + file.to_bytes(4, sys.byteorder)
            _call(ADD, ctypes.c_int(rules), ctypes.c_int(PATH_BENEATH), rule, ctypes.c_uint(0))
        finally:
            os.close(file)

    for path in _open_ground("/", set(forbidden)):
        allow(path, READ_FILE)
    allow(f"/proc/{os.getpid()}", READ_FILE)
    for path in readable:
        allow(path, READ_FILE)
    for path in (*writable, *DEVICES):
        allow(path, READ_FILE | writes)
    if _libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    _call(RESTRICT, ctypes.c_int(rules), ctypes.c_uint(0))
    os.close(rules)


def _open_ground(folder: str, forbidden: set[str]) -> Iterable[str]:
    """What stands beside the forbidden folders, at every height: Landlock can only allow. Links are left out, since
    what they lead to is reached by its own path."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        path = entry.path
        if path in forbidden or entry.is_symlink() or (folder == "/proc" and entry.name.isdigit()):
            continue
        if path == "/proc" or any(f.startswith(path + "/") for f in forbidden):
            yield from _open_ground(path, forbidden)
        else:
            yield path


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


if __name__ == "__main__":
    limits = json.loads(sys.argv[1])
    if version():
        fence(limits["forbidden"], limits["readable"], limits["writable"])
    os.execv(sys.executable, [sys.executable, "-m", "snowmelt.evals.arm_process"])
