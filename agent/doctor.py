"""`snowmelt doctor`: what is installed, which model and embedder, is the catalogue healthy. One line for each check."""

import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from snowmelt.retrieval.errors import InputError

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from snowmelt.agent.llm import LLM
    from snowmelt.retrieval.catalogue import Catalogue
    from snowmelt.retrieval.embedding import Embedder

LEAST_DISK = 500_000_000  # bytes free under which indexing is likely to fail


@dataclass(frozen=True)
class Check:
    """`state`: "ok", "note" (absent, and not needed) or "broken" (with what to do in `detail`)."""

    name: str
    state: Literal["ok", "note", "broken"]
    detail: str


def checks(directory: Path | None, open_model: Callable[[], "LLM | None"]) -> Iterator[Check]:
    """Every check in turn. `open_model` gives the model that would be used, or raises InputError."""
    yield Check("python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Check("snowmelt", "ok", version("snowmelt"))
    yield from _packages()
    yield _model(open_model)
    yield from _catalogue(directory)
    yield _disk(directory or Path.cwd())


def _packages() -> Iterator[Check]:
    """Required packages must be there; those of an extra are noted where they are not."""
    from packaging.requirements import Requirement

    missing: dict[str, list[str]] = {}
    for line in requires("snowmelt") or []:
        requirement = Requirement(line)
        extra = next((e for e in ("local", "parquet", "serve") if _asks_for(requirement, e)), None)
        if requirement.marker is not None and extra is None:
            continue  # tests, evaluation and the like are no part of a healthy installation
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            if extra:
                missing.setdefault(extra, []).append(requirement.name)
            else:
                yield Check(requirement.name, "broken", "not installed; pip install snowmelt")
            continue
        if requirement.specifier.contains(found, prereleases=True):
            yield Check(requirement.name, "ok", found)
        else:
            yield Check(requirement.name, "broken", f"{found}, but {requirement.specifier} is needed; pip install it")
    for extra, names in missing.items():
        yield Check(f"[{extra}]", "note", f"without {', '.join(names)}; pip install 'snowmelt[{extra}]' if you want it")


def _asks_for(requirement: "Requirement", extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _model(open_model: Callable[[], "LLM | None"]) -> Check:
    from snowmelt.agent.llm import Message, ModelError

    try:
        llm = open_model()
        if llm is None:
            return Check("model", "note", "none: lists stand on retrieval alone")
        began = time.monotonic()
        llm.complete([Message("user", "Say hello.")], max_tokens=4, deadline=60)
        detail = f"{llm.name}: answered in {time.monotonic() - began:.1f} s"
        llm.close()
        return Check("model", "ok", detail + ("" if llm.can_score else "; gives no likelihoods"))
    except (InputError, ModelError) as error:
        return Check("model", "broken", str(error))


def _catalogue(directory: Path | None) -> Iterator[Check]:
    from snowmelt.retrieval.catalogue import Catalogue
    from snowmelt.retrieval.embedding import open_embedder

    if directory is None:
        try:
            yield _embedder(open_embedder())
        except InputError as error:
            yield Check("embedder", "broken", str(error))
        yield Check("catalogue", "note", "none given; snowmelt doctor DIR checks one")
        return
    try:
        catalogue = Catalogue.open(directory)
    except (InputError, OSError, ValueError, KeyError) as error:  # a damaged folder may break in any of these ways
        yield Check("catalogue", "broken", f"{error or type(error).__name__}")
        return
    yield _embedder(catalogue.embedder)
    yield _healthy(directory, catalogue)


def _embedder(embedder: "Embedder") -> Check:
    import numpy as np

    began = time.monotonic()
    try:
        vector = embedder.queries(["a quiet film about grief"])
    except (InputError, OSError) as error:
        return Check("embedder", "broken", f"{embedder.id}: {error}")
    took = time.monotonic() - began
    if vector.shape != (1, embedder.dim) or not np.isfinite(vector).all():
        return Check("embedder", "broken", f"{embedder.id}: a vector of shape {vector.shape} that is not usable")
    return Check("embedder", "ok", f"{embedder.id}: {embedder.dim} numbers, first text in {took:.1f} s")


def _healthy(directory: Path, catalogue: "Catalogue") -> Check:
    """Counts agree, vectors are numbers, and an item is found by its own vector."""
    import numpy as np
    from snowmelt.retrieval.fusion import spread

    count = len(catalogue.items)
    if catalogue.vectors.shape != (count, catalogue.embedder.dim):
        return Check("catalogue", "broken", f"{count} items, vectors {catalogue.vectors.shape}; index it again")
    probe = spread(count, 20)
    if not np.isfinite(catalogue.vectors[probe]).all():
        return Check("catalogue", "broken", "vectors that are no numbers; index it again")
    near = catalogue.nearest(catalogue.vectors[probe], min(5, count))
    rows = near[0] if isinstance(near, tuple) else near
    found = sum(int(row) in [int(i) for i in part] for row, part in zip(probe, rows, strict=True))
    if found < len(probe):
        return Check("catalogue", "broken", f"{len(probe) - found} of {len(probe)} items not found; index it again")
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    beside = [name for name in ("learned", "familiarity") if (directory / name).is_dir()]
    detail = f"{count:,} items, {size / 1e6:,.0f} MB, {len(probe)} probes found"
    return Check("catalogue", "ok", detail + (f", with {' and '.join(beside)}" if beside else ""))


def _disk(folder: Path) -> Check:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder.resolve()).free
    state = "ok" if free >= LEAST_DISK else "broken"
    return Check("disk", state, f"{free / 1e9:,.1f} GB free at {folder.resolve()}")
