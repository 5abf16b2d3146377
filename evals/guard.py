"""What an arm's process may not touch, as far as Python notices: an audit hook that ends the process and says why.

`fence.py` is the wall; this names and shames whoever runs against it, and stands alone where the kernel has no
Landlock. It knows the folders of the judge as hashes only. It ends the process at once, because an arm could clear or
swallow anything softer.

Not defended by either: a copy of the data elsewhere on the disk, an arm that brings a public data set with it, the
network; without Landlock also native code and child processes. Whoever runs a stranger's arm runs a stranger's code.
"""

import os
import re
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

DISQUALIFIED = 86  # exit status
_PATHS = ("open", "os.listdir", "os.scandir", "os.chdir", "os.link", "os.symlink", "os.rename", "sqlite3.connect")
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
_NATIVE = {"open", "open64", "openat", "fopen", "fopen64", "syscall", "ptrace", "process_vm_readv", "execv", "execve",
           "system", "popen", "posix_spawn"}  # fmt: skip


def digest(path: str | Path) -> str:
    """The name under which a folder is known here."""
    return sha256(os.fsencode(path)).hexdigest()


def is_run_folder(path: Path) -> bool:
    """Does `path` hold a run? Then its split and its qrels tell who was held out."""
    return (path / "split.json").exists() and (path / "arms").is_dir()


def install(forbidden: Iterable[str], allowed: Iterable[str], above: Iterable[str]) -> None:
    """Refuse everything at or below a `forbidden` folder by any name, but not below an `allowed` one; `above`: folders
    of which no descriptor may be held. All as `digest`s of real paths. Run folders are refused wherever they are."""
    kept, freed, high = frozenset(forbidden), frozenset(allowed), frozenset(above)
    own = {str(os.getpid()), "self", "thread-self"}

    def refuse(what: str) -> None:
        os.write(2, f"\n{what}\n".encode())
        os._exit(DISQUALIFIED)

    def check(path: str, opened: bool) -> None:
        real = Path(os.path.realpath(path))
        for name in (path, str(real)):
            given = re.match(r"/+proc/(\d+)", name)
            if given and given[1] not in own:
                refuse("another process's /proc entry")
        for p in (real, *real.parents):
            known = digest(p)
            if known in freed:
                break
            if known in kept or is_run_folder(p):
                refuse("a folder of the judge")
        # A descriptor of a folder above would let relative paths pass, which the hook sees without the descriptor.
        if opened and digest(real) in high and real.is_dir():
            refuse("a descriptor of a folder above those of the judge")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _PATHS:
            for path in arguments[: 2 if event in ("os.link", "os.symlink", "os.rename") else 1]:
                if isinstance(path, str | bytes | os.PathLike):
                    check(os.fsdecode(path), opened=event == "open")
        elif event in _STARTS:
            for word in re.findall(r"/[^\s'\"\\]+", repr(arguments)):
                check(word, opened=False)
        elif event == "ctypes.dlsym" and arguments[1] in _NATIVE:
            refuse(f"the native function {arguments[1]}")

    sys.addaudithook(hook)
