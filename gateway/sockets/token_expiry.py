"""Token expiry: a socket lives as long as its access token, and longer if its client sends a fresh one in time."""

import asyncio

from domain.errors import BadTokenError, DomainError
from domain.ports.clock import Clock
from gateway.edge.sessions import Sessions
from gateway.protocol import close_codes, server_frames
from gateway.protocol.client_frames import Authenticate
from gateway.realtime.connection import Connection

EXPIRY_NOTICE_SECONDS = 60


class TokenExpiry:
    """One socket's timers."""

    def __init__(self, connection: Connection, sessions: Sessions, now: Clock) -> None:
        self._connection = connection
        self._sessions = sessions
        self._now = now
        self._timers: list[asyncio.TimerHandle] = []

    def watch(self) -> int:
        """Announce the end of the present token `EXPIRY_NOTICE_SECONDS` before it, and close at it. Return the seconds left."""
        self.cancel()
        left = (self._connection.access.expires_at - self._now()).total_seconds()
        loop = asyncio.get_running_loop()
        notice = server_frames.encode(server_frames.Expiring(int(min(left, EXPIRY_NOTICE_SECONDS))))
        close = self._connection.close
        self._timers = [
            loop.call_later(max(0.0, left - EXPIRY_NOTICE_SECONDS), self._connection.send, notice),
            loop.call_later(max(0.0, left), close, close_codes.UNAUTHENTICATED, "the token has expired"),
        ]
        return int(left)

    def renew(self, frame: Authenticate) -> None:
        """Accept a fresh token of the same session, and reply."""
        present = self._connection.access
        try:
            access = self._sessions.authenticate(frame.token)
            if (access.session_id, access.user_id) != (present.session_id, present.user_id):
                raise BadTokenError("This token is of another session.")
        except DomainError as refused:
            self._connection.refuse(frame.id, 401, refused.code, refused.detail)
            return
        self._connection.access = access
        self._connection.send(server_frames.reply(frame.id, session_expires_in=self.watch()))

    def cancel(self) -> None:
        for timer in self._timers:
            timer.cancel()
