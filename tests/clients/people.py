"""People who use the client library, and wires that fail them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

import httpx
from hansard_client import Backoff, Client, Closed, Event, Feed, Session, Wire
from hansard_client.wire import dialer

from tests.deployments import PASSWORD, Gateway

SOON = Backoff(first_seconds=0.01, most_seconds=0.1)


@asynccontextmanager
async def person(hansard: Gateway, name: str | None = None, **options: Any) -> AsyncIterator[Client]:
    """Somebody registered and logged in."""
    name = name or f"p{uuid4().hex[:12]}"
    async with Client(hansard.base, **{"backoff": SOON, **options}) as client:
        await client.register(f"{name}@example.com", name, PASSWORD)
        await client.login(f"{name}@example.com", PASSWORD)
        yield client


def own_id(client: Client) -> str:
    assert client.session is not None, "logged in"
    return client.session.user.id


def aged(hansard: Gateway, session: Session, seconds: float) -> Session:
    """The same session with an access token that was minted so long ago; it lives for 900 seconds."""
    now, tokens = hansard.services.now(), hansard.services.tokens
    access = tokens.read(session.access_token, now)
    then = now - timedelta(seconds=seconds)
    token = tokens.access(user_id=access.user_id, session_id=access.session_id, now=then)[0]
    return replace(session, access_token=token)


async def events(feed: Feed, count: int, *, seconds: float = 20) -> list[Event]:
    async with asyncio.timeout(seconds):
        return [await anext(feed) for _ in range(count)]


class Frail:
    """Dials gateways in turn; each connection is cut after a random number of frames, whichever way they go."""

    def __init__(self, houses: Sequence[Gateway], chance: Random, *, frames_max: int) -> None:
        self.cuts = 0
        self._dials = [dialer(hansard.base) for hansard in houses]
        self._chance = chance
        self._frames_max = frames_max

    async def dial(self, token: str) -> Wire:
        self._dials.append(self._dials.pop(0))
        return _FrailWire(self, await self._dials[0](token), self._chance.randrange(1, self._frames_max))

    def cut(self) -> Closed:
        self.cuts += 1
        return Closed(None, "cut by the test")


class Mute:
    """Dials a gateway; of the first connection nothing but `hello` is heard, though it lives."""

    def __init__(self, hansard: Gateway) -> None:
        self.dialled = 0
        self._dial = dialer(hansard.base)

    async def dial(self, token: str) -> Wire:
        self.dialled += 1
        wire = await self._dial(token)
        return _MuteWire(wire) if self.dialled == 1 else wire


class _MuteWire:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @property
    def heard_at(self) -> float:
        return self._wire.heard_at

    async def send(self, text: str) -> None:
        await self._wire.send(text)

    async def receive(self) -> str:
        while json.loads(text := await self._wire.receive())["type"] != "hello":
            pass
        return text

    async def close(self) -> None:
        await self._wire.close()


class _FrailWire:
    def __init__(self, line: Frail, wire: Wire, frames: int) -> None:
        self._line = line
        self._wire = wire
        self._left = frames

    @property
    def heard_at(self) -> float:
        return self._wire.heard_at

    async def send(self, text: str) -> None:
        self._spend()
        await self._wire.send(text)

    async def receive(self) -> str:
        text = await self._wire.receive()
        self._spend()
        return text

    async def close(self) -> None:
        await self._wire.close()

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise self._line.cut()


class Faults(httpx.AsyncBaseTransport):
    """Answers the next requests to a path with a fault, once each: `refuse`, `lose` (done, but the answer is lost), or
    a response."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.faults: dict[str, list[str | Callable[[], httpx.Response]]] = {}
        self._real = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        waiting = self.faults.get(request.url.path.removeprefix("/api/v1"), [])
        fault = waiting.pop(0) if waiting else None
        if fault == "refuse":
            raise httpx.ConnectError("refused by the test", request=request)
        if fault is not None and not isinstance(fault, str):
            return fault()
        answer = await self._real.handle_async_request(request)
        if fault == "lose":
            await answer.aread()
            raise httpx.ReadError("lost by the test", request=request)
        return answer

    async def aclose(self) -> None:
        await self._real.aclose()
