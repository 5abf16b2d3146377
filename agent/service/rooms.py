"""The recommenders of a service: each catalogue kept fresh, each call in a thread, each answer by its deadline."""

import asyncio
import copy
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from snowmelt.agent.llm import ModelError
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.service.caches import Lists, RememberingEmbedder
from snowmelt.agent.service.gate import BUDGET, Budget, Gated
from snowmelt.agent.settings import hosted_embedder
from snowmelt.agent.types import Entry, Profile
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.chroma_server import Server
from snowmelt.retrieval.errors import InputError

T = TypeVar("T")
THREADS = 64  # for recommenders: most of them wait for the model
PLAIN_THREADS = 8  # for answers without the model: they must not queue behind those that wait
MARGIN = 1.2  # seconds, or 15 % of the deadline if that is more, that the model leaves for an answer without it
CHECK = 0.5  # seconds between two looks for what is new in a catalogue
MOST_CHECK = 1.5  # where taking it up takes long


class Late(Exception):
    """Not even an answer without the model was there in time."""


@dataclass
class Room:
    """One catalogue. `plain` is `recommender` without its model; both share everything else."""

    name: str
    directory: Path
    recommender: Recommender
    plain: Recommender
    lists: Lists = field(default_factory=Lists)

    def forget(self) -> None:
        """What is remembered of anybody's words and lists."""
        self.lists.clear()
        if isinstance(embedder := self.recommender.catalogue.embedder, RememberingEmbedder):
            embedder.cache.clear()


class Rooms:
    """All catalogues of a service, by name; the first one is the default."""

    def __init__(
        self, directories: Sequence[str], model: Gated | None, deadline: float, chroma: Server | None = None
    ) -> None:
        """Each directory is a path, or NAME=path; neighbours are asked of `chroma`, if given. Raises InputError."""
        self._model, self._deadline, self._chroma = model, deadline, chroma
        self._threads = ThreadPoolExecutor(THREADS, "snowmelt-ask")
        self._plain = ThreadPoolExecutor(PLAIN_THREADS, "snowmelt-plain")
        self._rooms: dict[str, Room] = {}
        for text in directories:
            name, sign, path = text.rpartition("=")
            directory = Path(path if sign else text).expanduser()
            name = name or directory.resolve().name
            if name in self._rooms:
                raise InputError(f"{text}: a second catalogue with the name {name}; write NAME={path or text}")
            if not (len(name) <= 100 and name.replace("-", "").replace("_", "").replace(".", "").isalnum()):
                raise InputError(f"{text}: {name!r} cannot be a catalogue's name; write NAME={path or text}")
            self._rooms[name] = self._open(name, directory)
        if not self._rooms:
            raise InputError("serve: no catalogue; give at least one DIR")

    def _open(self, name: str, directory: Path) -> Room:
        catalogue = Catalogue.open(directory, hosted_embedder(directory))
        catalogue = replace(catalogue, embedder=RememberingEmbedder(catalogue.embedder))
        _through(self._chroma, catalogue)
        recommender = Recommender(catalogue, self._model)
        _ = recommender.vocabulary  # or the first conversation waits for it
        return _room(name, directory, recommender)

    @property
    def all(self) -> list[Room]:
        return list(self._rooms.values())

    def room(self, name: str | None) -> Room | None:
        return self._rooms.get(name) if name is not None else self.all[0]

    @property
    def model_works(self) -> bool:
        """As far as is known: its process is there and loaded, and it did not just fail again and again."""
        model = self._model
        return model is not None and not model.breaker.open and getattr(model.llm, "alive", True)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._plain.shutdown(wait=False, cancel_futures=True)

    async def keep_fresh(self, failed: Callable[[str, Exception], None]) -> None:
        """Forever: takes up what another process has written. `failed` hears of a catalogue that cannot be opened."""
        took = 0.0
        while True:
            await asyncio.sleep(min(MOST_CHECK, max(CHECK, 9 * took)))
            began = time.monotonic()
            for room in self.all:
                try:
                    self._rooms[room.name] = await self.plainly(lambda room=room: _fresh(room, self._chroma))
                except (InputError, OSError, ValueError, KeyError) as error:  # the old one serves on
                    failed(room.name, error)
            took = time.monotonic() - began

    async def plainly(self, work: Callable[[], T]) -> T:
        """`work` in a thread, without any model."""
        return await asyncio.get_running_loop().run_in_executor(self._plain, work)

    async def answer(self, room: Room, person: str, work: Callable[[Recommender], T]) -> tuple[T, bool]:
        """What `work` gives, and whether the model failed it. By the deadline, without the model if need be.

        Cancelling this (the client went away) takes back what still waits for the model. Raises Late.
        """
        began = time.monotonic()
        if room.recommender.llm is None:
            return await self._by(began, room, work), False
        budget = Budget(person, began + self._deadline - max(MARGIN, 0.15 * self._deadline))
        context = copy_context()
        context.run(BUDGET.set, budget)
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._threads, lambda: context.run(work, room.recommender))
        asked.add_done_callback(_heard)
        try:
            left = self._deadline - 0.8 * max(MARGIN, 0.15 * self._deadline)
            return await asyncio.wait_for(asyncio.shield(asked), left), bool(budget.failures)
        except (TimeoutError, ModelError):
            budget.cancel()
            return await self._by(began, room, work), True
        except asyncio.CancelledError:
            budget.cancel()
            raise

    async def _by(self, began: float, room: Room, work: Callable[[Recommender], T]) -> T:
        made = asyncio.get_running_loop().run_in_executor(self._plain, work, room.plain)
        try:
            return await asyncio.wait_for(made, began + self._deadline - time.monotonic())
        except TimeoutError:
            raise Late from None


def _heard(future: "asyncio.Future[Any]") -> None:
    """An answer that came too late for anybody may have failed: that is no news."""
    if not future.cancelled():
        future.exception()


def _room(name: str, directory: Path, recommender: Recommender) -> Room:
    plain = copy.copy(recommender)
    plain.llm = None
    plain.ranked(Profile(likes=(Entry(text="a warm evening"),)), 1)  # loads what is loaded at first use: nobody waits
    return Room(name, directory, recommender, plain)


def _through(chroma: Server | None, catalogue: Catalogue) -> None:
    if chroma is not None:
        catalogue.through(chroma.collections(catalogue))


def _fresh(room: Room, chroma: Server | None) -> Room:
    """This room, or one with what was written to its catalogue since."""
    catalogue = room.recommender.catalogue.fresh()
    if catalogue is room.recommender.catalogue:
        newer = room.recommender.fresh()
        return room if newer is room.recommender else _room(room.name, room.directory, newer)
    _through(chroma, catalogue)
    return _room(room.name, room.directory, replace(room.recommender, catalogue=catalogue))
