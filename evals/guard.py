"""What an arm's process may not touch: an audit hook that refuses and reports, and cannot be taken off again.

It knows the folders of the judge as hashes only, so that an arm cannot learn from it where they are.

Not defended: native code that opens files without Python noticing, a child process whose command hides the path, a
copy of the data elsewhere on the disk, an arm that brings a public data set with it, the network. Whoever runs a
stranger's arm runs a stranger's code.
"""

import os
import re
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any


def digest(path: Path) -> str:
    """The name under which a folder is known here."""
    return sha256(os.fsencode(path)).hexdigest()


_PATHS = ("open", "os.listdir", "os.scandir", "os.chdir", "os.link", "os.symlink", "os.rename", "sqlite3.connect")


def install(forbidden: frozenset[str], above: frozenset[str]) -> list[str]:
    """Refuse to open anything at or below a forbidden folder, by any name. Returns the list of what was tried."""
    tried: list[str] = []
    own = {str(os.getpid()), "self", "thread-self"}

    def refuse(what: str) -> None:
        tried.append(what)
        raise PermissionError(f"{what} is out of bounds for an arm")

    def check(path: str, opened: bool) -> None:
        given = re.match(r"/+proc/(\d+)", path)
        if given and given[1] not in own:
            refuse("another process's /proc entry")
        real = Path(os.path.realpath(path))
        if any(digest(p) in forbidden for p in (real, *real.parents)):
            refuse("a folder of the judge")
        # A descriptor of a folder above would let relative paths pass, which the hook sees without the descriptor.
        if opened and digest(real) in above and real.is_dir():
            refuse("a descriptor of a folder above those of the judge")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _PATHS:
            for path in arguments[: 2 if event in ("os.link", "os.symlink", "os.rename") else 1]:
                if isinstance(path, str | bytes | os.PathLike):
                    check(os.fsdecode(path), opened=event == "open")
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
            for word in re.findall(r"/[^\s'\"\\]+", repr(arguments)):
                check(word, opened=False)

    sys.addaudithook(hook)
    return tried
