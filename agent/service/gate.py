"""Who may ask the model, and when: a budget for each request, fair turns between people, a breaker for outages."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TypeVar

from pydantic import BaseModel
from snowmelt.agent.llm import LLM, Completion, Message, ModelError, Scores, Unsupported

T = TypeVar("T")
MOST_EACH, MOST_WAITING = 4, 64  # questions that wait: of one person, of all


@dataclass
class Budget:
    """What one request may spend on the model: until when (`time.monotonic`), and for whom.

    `failures` holds the kind of every question that went wrong, also where the recommender went on without an answer.
    """

    person: str
    until: float
    failures: list[str] = field(default_factory=list)
    cancelled: bool = False
    ticket: Event | None = None

    def cancel(self) -> None:
        """The client has gone: what waits is dropped, and nothing more is asked."""
        self.cancelled = True
        if (ticket := self.ticket) is not None:
            ticket.set()


BUDGET: ContextVar[Budget | None] = ContextVar("budget", default=None)


class FairQueue:
    """`slots` questions at a time; those that wait take turns by person, so that a busy one delays nobody else."""

    def __init__(self, slots: int) -> None:
        self._free, self._lock = slots, Lock()
        self._waiting: OrderedDict[str, deque[Event]] = OrderedDict()
        self._granted: set[Event] = set()
        self.length = 0

    @contextmanager
    def turn(self, budget: Budget) -> Iterator[None]:
        """Raises ModelError: "rate" if too many wait, "timeout" if the budget ends first, "cut" if it is cancelled."""
        ticket = Event()
        with self._lock:
            queue = self._waiting.get(budget.person)
            if self.length >= MOST_WAITING or (queue is not None and len(queue) >= MOST_EACH):
                raise ModelError("rate", "too many questions wait for the model")
            self._waiting.setdefault(budget.person, deque()).append(ticket)
            self.length += 1
            self._grant()
        budget.ticket = ticket
        if not budget.cancelled:
            ticket.wait(max(0.0, budget.until - time.monotonic()))
        budget.ticket = None
        with self._lock:
            granted = ticket in self._granted
            if granted and (budget.cancelled or time.monotonic() >= budget.until):
                self._leave(ticket)
                granted = False
            elif not granted:
                self._drop(budget.person, ticket)
        if not granted:
            raise ModelError("cut" if budget.cancelled else "timeout", "the model had no time for this question")
        try:
            yield
        finally:
            with self._lock:
                self._leave(ticket)

    def _grant(self) -> None:
        while self._free and self._waiting:
            person, queue = self._waiting.popitem(last=False)
            ticket = queue.popleft()
            if queue:
                self._waiting[person] = queue  # to the end of the round
            self.length -= 1
            self._free -= 1
            self._granted.add(ticket)
            ticket.set()

    def _leave(self, ticket: Event) -> None:
        self._granted.discard(ticket)
        self._free += 1
        self._grant()

    def _drop(self, person: str, ticket: Event) -> None:
        queue = self._waiting.get(person)
        if queue is not None and ticket in queue:
            queue.remove(ticket)
            self.length -= 1
            if not queue:
                del self._waiting[person]


class Breaker:
    """After `failures` in a row nothing is asked for `pause` seconds (doubled up to `longest`); then one probes."""

    def __init__(self, failures: int = 5, pause: float = 5.0, longest: float = 60.0) -> None:
        self._most, self._first, self._longest = failures, pause, longest
        self._lock, self._count, self._pause, self._until, self._probing = Lock(), 0, pause, 0.0, False

    @property
    def open(self) -> bool:
        return self._count >= self._most

    def admit(self) -> None:
        """Raises ModelError("unavailable") during a pause."""
        with self._lock:
            if self._count < self._most:
                return
            if self._probing or time.monotonic() < self._until:
                raise ModelError("unavailable", "the model failed again and again; it is left alone for a while")
            self._probing = True

    def tell(self, failed: bool | None) -> None:
        """How an admitted question ended. None: it says nothing about the model."""
        with self._lock:
            probed, self._probing = self._probing, False
            if failed is None:
                return
            self._count = self._count + 1 if failed else 0
            if self.open:
                self._pause = min(self._pause * 2, self._longest) if probed else self._first
                self._until = time.monotonic() + self._pause


class Gated:
    """An LLM (see `LLM`) behind the gate. The budget is that of the request in whose context a method is called."""

    def __init__(
        self, llm: LLM, slots: int, breaker: Breaker, observe: Callable[[str, float], None] = lambda *_: None,
        patience: float | None = None,
    ) -> None:  # fmt: skip
        """`patience`: while a question has no answer for so many seconds (or three times what is usual), no other one
        is asked: an endpoint that hangs must not cost everybody a deadline until the breaker has counted its failures.
        None for a model that answers one after another anyway."""
        self.name, self.can_score, self.writes_well = llm.name, llm.can_score, llm.writes_well
        self._patience, self._usual, self._in_flight = patience, 0.0, dict[object, float]()
        self.llm, self.queue, self.breaker, self._observe = llm, FairQueue(slots), breaker, observe

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 256,
        deadline: float | None = None,
    ) -> Completion:
        ask = self.llm.complete
        return self._asked(lambda left: ask(messages, schema=schema, max_tokens=max_tokens, deadline=left), deadline)

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int = 256, deadline: float | None = None
    ) -> Iterator[str]:
        with self._turn(deadline) as left:
            yield from self.llm.stream(messages, max_tokens=max_tokens, deadline=left)

    def score(self, prefix: str, continuations: Sequence[str], *, deadline: float | None = None) -> Scores:
        return self._asked(lambda left: self.llm.score(prefix, continuations, deadline=left), deadline)

    def choose(
        self, messages: Sequence[Message], letters: Sequence[str], *, deadline: float | None = None
    ) -> list[float]:
        return self._asked(lambda left: self.llm.choose(messages, letters, deadline=left), deadline)

    def count_tokens(self, text: str) -> int:
        return self.llm.count_tokens(text)

    def close(self) -> None:
        self.llm.close()

    def _asked(self, ask: Callable[[float], T], deadline: float | None) -> T:
        with self._turn(deadline) as left:
            return ask(left)

    @contextmanager
    def _turn(self, deadline: float | None) -> Iterator[float]:
        """The seconds that a question may take, and afterwards word to the breaker of how it went."""
        budget = BUDGET.get() or Budget("", time.monotonic() + 60.0)
        began, outcome, admitted, failed = time.monotonic(), "ok", False, None
        try:
            if budget.cancelled or began >= budget.until:
                raise ModelError("timeout", "there is no time left for the model")
            if self._hangs(began):
                raise ModelError("unavailable", "the model lets others wait already")
            self.breaker.admit()
            admitted = True
            with self.queue.turn(budget):
                ticket, asked = object(), time.monotonic()
                self._in_flight[ticket] = asked
                left = budget.until - asked
                failed = True
                try:
                    yield left if deadline is None else min(deadline, left)
                    failed, took = False, time.monotonic() - asked
                    self._usual = took if not self._usual else 0.8 * self._usual + 0.2 * took
                except (GeneratorExit, Unsupported):  # nobody wants the rest of a stream; it was never asked
                    failed = None
                    raise
                except ModelError as error:
                    failed = None if error.kind == "refused" else True
                    raise
                finally:
                    del self._in_flight[ticket]
        except Unsupported:
            outcome = "unsupported"
            raise
        except ModelError as error:
            outcome = error.kind
            budget.failures.append(error.kind)
            raise
        finally:
            if admitted:
                self.breaker.tell(failed)
            self._observe(outcome, time.monotonic() - began)

    def _hangs(self, now: float) -> bool:
        if self._patience is None:
            return False
        oldest = min(list(self._in_flight.values()), default=now)
        return now - oldest > max(self._patience, 3 * self._usual)
