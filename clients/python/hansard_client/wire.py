"""The wire: what a chat needs of a connection, and the real one, by `websockets`. A simulation gives another one."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from hansard_client.errors import Closed, Refused, seconds_of

SUBPROTOCOL = Subprotocol("hansard.v1.json")
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 2.0
FRAME_BYTES_MAX = 4 * 1024 * 1024
UNAUTHENTICATED = 4401


class Wire(Protocol):
    """One connection. Frames arrive in order and once, or the connection ends."""

    @property
    def heard_at(self) -> float:
        """The loop's time at which anything came last, pings included."""

    async def send(self, text: str) -> None:
        """Write a frame; waits while the other side does not read. Raises `Closed`."""

    async def receive(self) -> str:
        """Return the next frame; cancelled, it has taken none. Raises `Closed`."""

    async def close(self) -> None:
        """End the connection, in bounded time; never raises but for cancellation."""


# Opens a connection with an access token. Raises `Closed` (come back later), or `DomainError` where that is hopeless.
Dial = Callable[[str], Awaitable[Wire]]


def dialer(url: str, **options: Any) -> Dial:
    """Return what opens sockets of the server at `url` (http or https); `options` are those of `websockets.connect`."""
    address = f"ws{url.rstrip('/').removeprefix('http')}/api/v1/ws"

    async def dial(token: str) -> Wire:
        try:
            connection = await connect(
                address,
                additional_headers={"Authorization": f"Bearer {token}"},
                subprotocols=[SUBPROTOCOL],
                compression=None,
                ping_interval=None,  # the server pings, and the chat listens for it
                max_size=FRAME_BYTES_MAX,
                open_timeout=OPEN_SECONDS,
                close_timeout=CLOSE_SECONDS,
                create_connection=_Listening,
                **options,
            )
        except InvalidStatus as answer:
            raise _refusal(answer) from None
        except (OSError, InvalidHandshake, ConnectionClosed) as error:  # a time-out is an OSError
            raise Closed(None, str(error) or type(error).__name__) from None
        assert isinstance(connection, _Listening), "connections are made by the class given above"
        return _Socket(connection)

    return dial


class _Listening(ClientConnection):
    """Notes when anything arrived; pings are answered below the frames that a chat sees."""

    heard_at = 0.0

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        super().data_received(data)


class _Socket:
    def __init__(self, connection: _Listening) -> None:
        self._connection = connection

    @property
    def heard_at(self) -> float:
        return self._connection.heard_at

    async def send(self, text: str) -> None:
        try:
            await self._connection.send(text)
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def receive(self) -> str:
        try:
            return str(await self._connection.recv(decode=True))
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def close(self) -> None:
        await self._connection.close()


def _closed(error: ConnectionClosed) -> Closed:
    return Closed(error.rcvd.code, error.rcvd.reason) if error.rcvd else Closed(None, "it was cut")


def _refusal(answer: InvalidStatus) -> Closed | Refused:
    """Return what a refused handshake means: a fresh token is needed, come back later, or it will never work."""
    status, headers = answer.response.status_code, answer.response.headers
    try:
        said = json.loads(answer.response.body or b"{}")
    except ValueError:
        said = {}
    refused = Refused.of(said if isinstance(said, dict) else {}, status, seconds_of(headers.get("Retry-After")))
    if status == 401:
        return Closed(UNAUTHENTICATED, refused.detail)
    if refused.is_retryable or status >= 500:
        return Closed(None, refused.detail, retry_after=refused.retry_after or 0.0)
    return refused
