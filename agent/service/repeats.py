"""Writes that may safely be sent twice: the second one with the same idempotency key gets the answer to the first."""

import hashlib
from typing import Annotated, Any

from fastapi import Header
from snowmelt.agent.service.access import Service
from snowmelt.agent.service.problems import Stop
from snowmelt.agent.service.store import Person, Put

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=8, max_length=128, pattern="^[!-~]+$", description="repeat a write safely, for 24 hours"),
]


async def repeated(s: Service, person: Person, key: str | None, asked: str) -> dict[str, Any] | None:
    """The answer to this very write, if its idempotency key was there before. Stop(422) if it was for another one."""
    if key is None:
        return None
    found = await s.rows(s.store.get, person.id, "reply", _digest(key))
    if found is None:
        return None
    if found.value["asked"] != _digest(asked):
        raise Stop(422, "This idempotency key was used for another request.")
    return found.value["answer"]


async def remembered(s: Service, person: Person, key: str | None, asked: str, answer: dict[str, Any]) -> dict[str, Any]:
    if key is not None:
        await s.rows(s.store.put, person.id, *reply_put(key, asked, answer))
    return answer


def reply_put(key: str | None, asked: str, answer: dict[str, Any]) -> list[Put]:
    return [] if key is None else [Put("reply", _digest(key), {"asked": _digest(asked), "answer": answer})]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
