"""Channel: one socket as ASGI gives it. Its address and headers, the texts that its client sends, and how it is closed."""

from typing import Any
from uuid import UUID, uuid4

from litestar import WebSocket

from domain.bounds import AGENT_CHARS_MAX, FRAME_BYTES_MAX, REASON_CHARS_MAX
from domain.events import Caller
from domain.ports.credentials import Access
from domain.text import LINE_BREAKING
from gateway.edge.refusal_log import Refusals
from gateway.protocol import close_codes
from gateway.realtime.connection import Connection
from gateway.server.transport import EXTENSION, WebSocketTransport


class SocketClosedError(Exception):
    """The socket is closed, by either side."""


class Channel:
    def __init__(self, socket: WebSocket[Any, Any, Any], refusals: Refusals) -> None:
        self.id: UUID = uuid4()
        self.scope: Any = socket.scope
        self.receive: Any = socket.receive
        self.send: Any = socket.send
        self.transport = _transport_of(socket.scope)
        client = self.scope.get("client")
        self.address: str | None = client[0] if client else None
        agent = dict(self.scope["headers"]).get(b"user-agent", b"").decode("latin-1")
        self._agent = LINE_BREAKING.sub(" ", agent)[:AGENT_CHARS_MAX] or None
        self._correlation = str(self.id)
        self._refusals = refusals
        self._connection: Connection | None = None
        self._last_caller: tuple[Access, Caller] | None = None

    def attach(self, connection: Connection) -> None:
        """From now on the socket is closed after what its connection has queued, and refusals are its user's."""
        self._connection = connection

    async def next_text(self) -> str:
        """Return the text of the client's next frame. Raise `SocketClosedError` if there is none, or it is not acceptable."""
        message = await self.receive()
        if message["type"] == "websocket.disconnect":
            if message.get("code") == close_codes.TOO_MANY_FRAMES:
                self.note_refusal(429, "frames.too_many", None if self._connection is None else self._connection.access)
            raise SocketClosedError
        text = message.get("text")
        if text is None:
            self.close(close_codes.BAD_PROTOCOL, "frames are text")
            raise SocketClosedError
        if len(text) > FRAME_BYTES_MAX:
            self.close(close_codes.FRAME_TOO_LARGE, "the frame is too large")
            raise SocketClosedError
        return str(text)

    def close(self, code: int, reason: str) -> None:
        """Close the socket, after what is queued for it."""
        if self._connection is None:
            self.transport.close(code, reason)
        else:
            self._connection.close(code, reason)

    def note_refusal(self, status: int, code: str, access: Access | None) -> None:
        """Count a refusal, as those of HTTP are counted."""
        self._refusals.note(status, code, access.user_id if access else None, self.address)

    def caller(self, access: Access, reason: str | None = None) -> Caller:
        """Return who asks, as it is recorded with what they change."""
        if not reason and self._last_caller is not None and self._last_caller[0] is access:
            return self._last_caller[1]
        caller = Caller(
            user_id=access.user_id,
            session_id=access.session_id,
            correlation=self._correlation,
            address=self.address,
            agent=self._agent,
            reason=LINE_BREAKING.sub(" ", reason)[:REASON_CHARS_MAX] if reason else None,
        )
        if not reason:
            self._last_caller = access, caller
        return caller


def _transport_of(scope: Any) -> WebSocketTransport:
    transport: WebSocketTransport = scope["extensions"][EXTENSION]
    return transport
