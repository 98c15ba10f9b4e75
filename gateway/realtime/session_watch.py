"""Session watch: closes sockets whose session has ended or whose account was deactivated."""

from typing import Protocol

from domain.ids import SessionId, UserId
from domain.ports.credentials import Access
from gateway.protocol import close_codes
from gateway.realtime.connection import Connection
from gateway.realtime.connections import Connections

RELOAD_SECONDS = 10.0


class Sessions(Protocol):
    """Which sessions have ended and which accounts are deactivated (`gateway.edge.sessions.Sessions`)."""

    def is_over(self, access: Access) -> bool: ...
    def end(self, session_id: SessionId) -> None: ...
    def deactivate(self, user_id: UserId) -> None: ...
    def activate(self, user_id: UserId) -> None: ...
    async def reload(self) -> None: ...


class SessionWatch:
    def __init__(self, sessions: Sessions, connections: Connections) -> None:
        self._sessions = sessions
        self._connections = connections

    def check(self, connection: Connection) -> None:
        """Close a socket if its session is over."""
        if self._sessions.is_over(connection.access):
            connection.close(close_codes.SESSION_REVOKED, "the session has ended")

    def check_all(self) -> None:
        for connection in self._connections:
            self.check(connection)

    async def reload(self) -> None:
        """Read from the tables which sessions are over, and close their sockets. Raise `RecordUnavailableError`."""
        await self._sessions.reload()
        self.check_all()
