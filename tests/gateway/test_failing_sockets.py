"""A socket whose service fails: its client is told so by the close code, and may come back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.processors import JSONRenderer

from adapters.redis.lanes import LanesUnavailableError
from domain.ports.record import RecordUnavailableError
from gateway.sockets.operations import Operations
from gateway.sockets.subscriptions import Subscriptions
from tests.deployments import Gateway, deployment, logged
from tests.lines import line

FAILURES = (RecordUnavailableError("no"), LanesUnavailableError("no"), RuntimeError("no"))


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


@pytest.mark.parametrize(("owner", "name"), [(Operations, "take"), (Subscriptions, "open_own_room")])
async def test_what_fails_after_the_hello_closes_with_a_code_and_leaves_nothing(
    hansard: Gateway, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    failing: list[Exception] = []

    async def fail(*asked: Any) -> None:
        raise failing[-1]

    monkeypatch.setattr(owner, name, fail)
    for error in FAILURES:
        failing.append(error)
        # Logged in short: to draw a whole trace with its variables takes seconds.
        with logged(JSONRenderer(default=repr)):
            async with line(hansard, ada, room_id if owner is Subscriptions else None) as socket:
                await socket.until("hello")
                if owner is Operations:
                    await socket.socket.send('{"type": "typing"}')
                assert await socket.closed() == 4000, error
        assert not list(hansard.services.hub._connections), "it is unregistered all the same"
