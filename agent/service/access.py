"""Who calls: a person with their token, a tenant's backend with its API key, or nobody on this machine alone."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from weakref import WeakValueDictionary

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from snowmelt.agent.service.metrics import Metrics
from snowmelt.agent.service.problems import Stop
from snowmelt.agent.service.rooms import Room, Rooms
from snowmelt.agent.service.security import RateLimit, token_hash
from snowmelt.agent.service.store import Person, Store

T = TypeVar("T")
LOCAL = "local"  # the tenant of a service without API keys
BURST = 60  # requests at once, before the rate counts
NEW_PEOPLE, NEW_BURST = 5.0, 100  # people made a second by one caller
WRONG, WRONG_BURST = 0.5, 20  # wrong tokens a second from one address


class Service:
    """What the routes share. `require_key`: nothing but health and the page without a key or a token."""

    def __init__(self, store: Store, rooms: Rooms, metrics: Metrics, *, require_key: bool, rate: float) -> None:
        self.store, self.rooms, self.metrics, self.require_key = store, rooms, metrics, require_key
        self.rate, self.new_people = RateLimit(rate, max(BURST, round(rate))), RateLimit(NEW_PEOPLE, NEW_BURST)
        self.wrong = RateLimit(WRONG, WRONG_BURST)
        self.threads = ThreadPoolExecutor(8, "snowmelt-rows")
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def rows(self, work: Callable[..., T], *arguments: Any) -> T:
        """Something of the store, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work, *arguments)

    def lock(self, person: str) -> asyncio.Lock:
        """One message of a person at a time, in this process; the store's versions see to the others."""
        lock = self._locks.get(person)
        if lock is None:
            lock = self._locks[person] = asyncio.Lock()
        return lock

    def room(self, name: str | None) -> Room:
        room = self.rooms.room(name)
        if room is None:
            raise Stop(404, "There is no catalogue of that name; /v1/catalogues lists them.")
        return room


@dataclass(frozen=True)
class Caller:
    """`person` is None for a backend, and for anybody on a service without keys."""

    tenant: str
    person: Person | None
    name: str  # whose rate is limited; never logged


_bearer = HTTPBearer(auto_error=False, description="a person's token (smp_...) or a tenant's API key (smk_...)")


def service(request: Request) -> Service:
    return request.app.state.service


async def caller(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
    """Raises Stop: 401 for a token that nobody has, 429 beyond the rate."""
    s = service(request)
    address = request.client.host if request.client else ""
    if given is None and request.headers.get("authorization"):
        raise Stop(401, "Only `Authorization: Bearer TOKEN` is known here.", WWW_Authenticate="Bearer")
    if given is None:
        if s.require_key:
            raise Stop(401, "A person's token or an API key is needed.", WWW_Authenticate="Bearer")
        found = Caller(LOCAL, None, f"address {address}")
    else:
        found = await _known(s, given.credentials, address)
    _within(s.rate, found.name)
    return found


async def _known(s: Service, token: str, address: str) -> Caller:
    if token.startswith("smp_") and (person := await s.rows(s.store.person_of, token)) is not None:
        return Caller(person.tenant, person, person.id)
    if token.startswith("smk_") and (tenant := await s.rows(s.store.tenant_of, token)) is not None:
        return Caller(tenant, None, token_hash(token))
    _within(s.wrong, address)
    raise Stop(401, "This token is unknown, expired or revoked.", WWW_Authenticate="Bearer")


def _within(limit: RateLimit, name: str) -> None:
    if wait := limit.wait(name):
        raise Stop(429, "Too many requests; wait a moment.", Retry_After=str(int(wait) + 1))


async def person(found: Annotated[Caller, Depends(caller)]) -> Person:
    """The person whose token it is; a backend's key is not enough for what belongs to somebody."""
    if found.person is None:
        raise Stop(401, "This belongs to a person: send their token.", WWW_Authenticate="Bearer")
    return found.person


async def backend(request: Request, found: Annotated[Caller, Depends(caller)]) -> Caller:
    """Who may make people: a backend with its key, or anybody on a service that asks for none."""
    if found.person is not None:
        raise Stop(403, "A person's token cannot make people; send an API key.")
    _within(service(request).new_people, found.name)
    return found


TheService = Annotated[Service, Depends(service)]
TheCaller = Annotated[Caller, Depends(caller)]
ThePerson = Annotated[Person, Depends(person)]
TheBackend = Annotated[Caller, Depends(backend)]
