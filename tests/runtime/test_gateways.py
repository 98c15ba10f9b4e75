"""Several gateways of one house, as processes: killed, and drained by SIGTERM with clients that do not read."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.clock import monotonic
from adapters.redis.cluster_state import GATEWAY_BEAT_SECONDS, GATEWAY_LEASE_SECONDS
from tests.deployments import PASSWORD
from tests.lines import check_told
from tests.ports import free_port
from tests.runtime.test_up import System, system

pytestmark = pytest.mark.asyncio(loop_scope="module")
DEAF_SOCKETS = 100
READING_SOCKETS = 10
GONE_SECONDS = 30.0
UNREADY_SECONDS = 4.0


class Second:
    """A further gateway of a running house, on a port of its own."""

    def __init__(self, hansard: System) -> None:
        self.port = free_port()
        self._services = hansard
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        self._services.environment["HANSARD_PORT"], before = str(self.port), self._services.environment["HANSARD_PORT"]
        self.process = await self._services.command("gateway")
        self._services.environment["HANSARD_PORT"] = before
        self._reading = asyncio.create_task(self._read())
        async with asyncio.timeout(30), httpx.AsyncClient() as http:
            while await self.status(http, "/readyz") != 200:
                await asyncio.sleep(0)

    async def _read(self) -> str:
        assert self.process.stdout
        return (await self.process.stdout.read()).decode()

    async def status(self, http: httpx.AsyncClient, path: str) -> int:
        try:
            return (await http.get(f"http://127.0.0.1:{self.port}{path}")).status_code
        except httpx.TransportError:
            return 0


@asynccontextmanager
async def second_gateway(hansard: System) -> AsyncIterator[Second]:
    made = Second(hansard)
    await made.start()
    try:
        yield made
    finally:
        if made.process.returncode is None:
            made.process.kill()
        await made.process.wait()


async def log_in(hansard: System, name: str) -> httpx.AsyncClient:
    http = httpx.AsyncClient(base_url=hansard.base + "/api/v1", timeout=20)
    person = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
    assert (await http.post("/auth/register", json=person)).status_code == 201
    del person["username"]
    http.headers["Authorization"] = f"Bearer {(await http.post('/auth/login', json=person)).json()['access_token']}"
    return http


def opened(port: int, http: httpx.AsyncClient, room_id: str, **options: Any) -> connect:
    headers = {"Authorization": http.headers["Authorization"]}
    return connect(f"ws://127.0.0.1:{port}/api/v1/ws/{room_id}", additional_headers=headers, close_timeout=1, **options)


async def until(socket: ClientConnection, kind: str, **fields: Any) -> dict[str, Any]:
    while True:
        frame = dict(json.loads(await socket.recv()))
        check_told(frame)
        if frame["type"] == kind and fields.items() <= frame.items():
            return frame


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hansard(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """One house for this module: each test has a second gateway of its own to kill."""
    async with system(tmp_path_factory.mktemp("house"), HANSARD_LIMITS="off") as made:
        yield made


async def test_who_was_on_a_gateway_killed_with_9_is_offline_soon_and_resumes_elsewhere(hansard: System) -> None:
    ada, ben = await log_in(hansard, "ada"), await log_in(hansard, "ben")
    room_id = (await ada.post("/rooms", json={"name": "Room"})).json()["id"]
    await ben.post(f"/rooms/{room_id}/join")
    async with opened(hansard.port, ada, room_id) as hers, second_gateway(hansard) as second:
        async with opened(second.port, ben, room_id) as his, asyncio.timeout(30):
            await until(his, "live")
            online = await until(hers, "presence", state="online")
            second.process.send_signal(signal.SIGKILL)
            with pytest.raises(ConnectionClosed):
                await until(his, "nothing of this name")
        async with asyncio.timeout(GATEWAY_LEASE_SECONDS + 2 * GATEWAY_BEAT_SECONDS + 3):
            offline = await until(hers, "presence", state="offline")
        assert offline["user_id"] == online["user_id"]
        async with opened(hansard.port, ben, room_id + "?after=0") as his, asyncio.timeout(30):
            assert (await until(his, "event"))["prev"] == 0
            assert (await until(hers, "presence"))["state"] == "online"
    for http in (ada, ben):
        await http.aclose()


async def test_sigterm_drains_a_gateway_though_a_hundred_clients_do_not_read(hansard: System) -> None:
    ada = await log_in(hansard, "eve")
    room_id = (await ada.post("/rooms", json={"name": "Room"})).json()["id"]
    async with second_gateway(hansard) as second, AsyncExitStack() as stack:
        reading = [await stack.enter_async_context(opened(second.port, ada, room_id)) for _ in range(READING_SOCKETS)]
        deaf = [await _deaf(stack, second.port, ada, room_id) for _ in range(DEAF_SOCKETS)]
        for socket in reading:
            await until(socket, "live")
        acknowledged = [asyncio.create_task(_say_until_closed(socket, room_id)) for socket in reading]
        async with asyncio.timeout(20):
            while await _said(ada, room_id) < 200:  # frames pile up for those who do not read
                await asyncio.sleep(0)
        started = monotonic()
        second.process.send_signal(signal.SIGTERM)
        async with httpx.AsyncClient() as http, asyncio.timeout(UNREADY_SECONDS):
            while await second.status(http, "/readyz") == 200:
                await asyncio.sleep(0)
        with pytest.raises((InvalidStatus, OSError)) as refused:
            async with opened(second.port, ada, room_id):
                pass
        assert not isinstance(refused.value, InvalidStatus) or refused.value.response.status_code == 503
        async with asyncio.timeout(GONE_SECONDS):
            assert await second.process.wait() == 0
            outcomes = await asyncio.gather(*acknowledged)
        assert monotonic() - started < GONE_SECONDS
        assert [code for code, _, _ in outcomes] == [4410] * READING_SOCKETS
        pauses = [after for _, after, _ in outcomes]
        assert all(0 <= after <= 10_000 for after in pauses) and len(set(pauses)) > READING_SOCKETS // 2, pauses
        # Every send that was answered is there, once.
        said = [position for _, _, positions in outcomes for position in positions]
        assert len(set(said)) == len(said)
        async with httpx.AsyncClient(base_url=hansard.base + "/api/v1", headers=ada.headers) as http:
            for position in said[:: max(1, len(said) // 20)]:
                page = await http.get(f"/rooms/{room_id}/messages?around={position}&limit=1")
                assert [message["position"] for message in page.json()["items"]] == [position]
        assert len(deaf) == DEAF_SOCKETS
    await ada.aclose()


async def _deaf(stack: AsyncExitStack, port: int, http: httpx.AsyncClient, room_id: str) -> asyncio.StreamWriter:
    """Open a socket, and never read a byte after the handshake; its own buffers are small."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
    writer.write(
        (
            f"GET /api/v1/ws/{room_id} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: {http.headers['Authorization']}\r\n\r\n"
        ).encode()
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    stack.push_async_callback(_hang_up, writer)
    return writer


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def _say_until_closed(socket: ClientConnection, room_id: str) -> tuple[int, int, list[int]]:
    """Send one after the other; answers the close code, when the server asked to come back, and what was acknowledged."""
    positions: list[int] = []
    after = -1
    try:
        for i in range(1_000_000):
            content = "x" * 2_000
            with suppress(ConnectionClosed):  # what came before the close is still to be read
                await socket.send(json.dumps({"id": i, "type": "send", "room_id": room_id, "content": content}))
            while True:
                frame = json.loads(await socket.recv())
                if frame["type"] == "reconnect":
                    after = frame["after_ms"]
                if frame["type"] == "reply" and frame["id"] == i:
                    positions.append(frame["position"])
                    break
    except ConnectionClosed as closed:
        assert closed.rcvd is not None, "the server says why"
        return closed.rcvd.code, after, positions
    raise AssertionError("the socket was never closed")


async def _said(http: httpx.AsyncClient, room_id: str) -> int:
    """Return the position of the newest message; 0 where nothing was said."""
    room = (await http.get(f"/rooms/{room_id}")).json()
    return int(room["last_message"]["position"]) if room["last_message"] else 0
