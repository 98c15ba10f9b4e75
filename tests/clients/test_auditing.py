"""What auditors ask through the client library, of a real gateway."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest
from hansard_client import Refused

from commands.account import GrantRole, RevokeRole
from domain.events import Caller
from domain.ids import UserId
from tests.clients.people import own_id, person
from tests.deployments import Gateway, deployment


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


class Cutting(httpx.AsyncBaseTransport):
    """Cuts each stream after some lines, until it has cut so many."""

    def __init__(self, cuts: int) -> None:
        self.cuts = cuts
        self._transport = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._transport.handle_async_request(request)
        if request.url.path.endswith("/audit/stream") and self.cuts:
            self.cuts -= 1
            assert isinstance(answer.stream, httpx.AsyncByteStream)
            return httpx.Response(answer.status_code, headers=answer.headers, stream=_Cut(answer.stream))
        return answer

    async def aclose(self) -> None:
        await self._transport.aclose()


class _Cut(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        came = 0
        async for piece in self._stream:
            yield piece
            came += 1
            if came == 3:
                raise httpx.ReadError("cut")

    async def aclose(self) -> None:
        await self._stream.aclose()


async def test_the_stream_goes_on_whatever_becomes_of_the_connection_until_one_may_not(hansard: Gateway) -> None:
    hansard.services.audit_streams.check_seconds = 0.0
    bus, cutting = hansard.services.command_bus, Cutting(3)
    async with person(hansard, "ada", transport=cutting) as ada, person(hansard, "ben") as ben:
        auditor = UserId(UUID(own_id(ada)))
        with pytest.raises(Refused, match=r"auth\.role_needed"):
            async for _ in ada.audit_stream(reason="duty"):
                pass
        await bus.do(GrantRole(auditor, "auditor"), Caller())
        room = await ben.open_room("Lobby")
        said = await ben.send(room.id, "a text")
        heard: list[int] = []
        with pytest.raises(Refused, match=r"auth\.role_needed"):
            async with asyncio.timeout(60):
                async for entry in ada.audit_stream(reason="duty", after=0):
                    heard.append(entry.position)
                    assert "a text" not in str(entry.data)
                    if entry.position == said.position:
                        await bus.do(RevokeRole(auditor, "auditor"), Caller())
        assert heard == list(range(1, heard[-1] + 1)) and heard[-1] >= (said.position or 0)
        assert cutting.cuts == 0


async def test_entries_and_approvals_are_asked_for_with_a_reason(hansard: Gateway) -> None:
    async with person(hansard, "ada") as ada:
        await hansard.services.command_bus.do(GrantRole(UserId(UUID(own_id(ada))), "auditor"), Caller())
        await ada.open_room("Lobby")
        entries = [
            e async for e in ada.audit_events(reason="complaint 17", actor=own_id(ada), type="room.opened", limit=1)
        ]
        assert [(entry.type, entry.actor, entry.data["name"]) for entry in entries] == [
            ("room.opened", own_id(ada), "Lobby")
        ]
        assert await ada.approvals(reason="daily round") == []
        for decide in (ada.approve, ada.refuse):
            with pytest.raises(Refused, match=r"approval\.not_found"):
                await decide(str(uuid4()), reason="yes")
