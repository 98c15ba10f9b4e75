"""Connections: accepted one by one, counted from there to their end, and never more than there are descriptors for.

The loop is our own because the servers of asyncio and uvloop count nothing, see a TLS client only after its handshake,
and uvloop's stops listening for good when a descriptor is missing at the wrong moment. Here that is a pause.

Who comes past a bound gets a short answer and is closed at once: 429 for an address that has enough, 503 where all
places are taken; over TLS nothing, as it could be said only after a handshake.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM

import structlog
from msgspec import Struct

from domain.bounds import (
    ACCEPT_PAUSE_SECONDS,
    ACCEPTS_AT_ONCE_MAX,
    BODY_GRACE_SECONDS,
    BODY_IDLE_SECONDS,
    CONNECTIONS_MAX,
    HEAD_SECONDS,
    KEEP_ALIVE_SECONDS,
    WRITE_STALL_SECONDS,
)
from domain.quotas import of_address
from gateway.http.problems import Problem
from gateway.server.early_refusals import answer, new_request_id

log = structlog.get_logger()

SHORT_OF = frozenset({EMFILE, ENFILE, ENOBUFS, ENOMEM})
LATER = {"Retry-After": "1"}
TOO_MANY = Problem(429, "connections.too_many", "This address has as many connections as it may have.", headers=LATER)
FULL = Problem(503, "connections.full", "This server has as many connections as it can hold.", headers=LATER)
UNREAD_BYTES = 64 * 1024


class ConnectionBounds(Struct, frozen=True):
    """How many connections there may be (`of_address` 0: any number), and what a client may take its time for."""

    total: int = CONNECTIONS_MAX
    of_address: int = 0
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    head_seconds: float = HEAD_SECONDS
    body_grace_seconds: float = BODY_GRACE_SECONDS
    body_idle_seconds: float = BODY_IDLE_SECONDS
    write_stall_seconds: float = WRITE_STALL_SECONDS


class Slot:
    """The place of one connection; given back once, by whoever sees its end."""

    def __init__(self, limit: "ConnectionLimit", whose: str | None) -> None:
        self._limit: ConnectionLimit | None = limit
        self._whose = whose

    def release(self) -> None:
        if self._limit is not None:
            self._limit.release(self._whose)
            self._limit = None


class ConnectionLimit:
    """The connections of one process: HTTP and sockets, by address (IPv6 by /64) and in all.

    A proxy that is trusted speaks for many: its connections count among all, and by no address.
    """

    def __init__(self, bounds: ConnectionBounds, trusts: Callable[[str], bool]) -> None:
        self._bounds = bounds
        self._trusts = trusts
        self._of: Counter[str] = Counter()
        self.open = 0

    def take(self, address: str | None) -> Slot | Problem:
        """Return a slot, or why there is none."""
        if self.open >= self._bounds.total:
            return FULL
        whose: str | None = None
        if self._bounds.of_address and not (address and self._trusts(address)):
            whose = of_address(address)
            if self._of[whose] >= self._bounds.of_address:
                return TOO_MANY
            self._of[whose] += 1
        self.open += 1
        return Slot(self, whose)

    def release(self, whose: str | None) -> None:
        self.open -= 1
        if whose is not None:
            self._of[whose] -= 1
            if not self._of[whose]:
                del self._of[whose]


class Acceptor:
    """What `asyncio.Server` is to uvicorn: accepts until it is closed."""

    def __init__(
        self,
        listener: socket.socket,
        limit: ConnectionLimit,
        protocol: Callable[[Slot], asyncio.Protocol],
        *,
        tls: ssl.SSLContext | None,
        handshake_seconds: float,
    ) -> None:
        self._listener = listener
        self._limit = limit
        self._protocol = protocol
        self._tls = tls
        self._handshake_seconds = handshake_seconds
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_short = False
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Accept nobody any more; whoever is in the middle of a TLS handshake is let go."""
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()
        for task in self._arriving:
            task.cancel()

    async def wait_closed(self) -> None:
        """Nothing: `close` has done it."""

    def _accept(self) -> None:
        """Accept whoever waits, a bounded number at a time."""
        for _ in range(ACCEPTS_AT_ONCE_MAX):
            try:
                client, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in SHORT_OF:
                    self._wait(error)
                    return
                log.warning("a connection was not accepted", reason=str(error))
                return
            self._is_short = False
            self._welcome(client, peer[0] if peer else None)

    def _wait(self, error: OSError) -> None:
        """Accept again in a moment: who waits keeps waiting, and those who are here are served."""
        if not self._is_short:
            log.warning("no connection can be accepted for now", reason=str(error), connections=self._limit.open)
        self._is_short = True
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(ACCEPT_PAUSE_SECONDS, self._loop.add_reader, self._listener, self._accept)

    def _welcome(self, client: socket.socket, address: str | None) -> None:
        slot = self._limit.take(address)
        if isinstance(slot, Problem):
            _send_away(client, b"" if self._tls else answer(slot, new_request_id()))
            return
        task = self._loop.create_task(self._connect(client, slot))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _connect(self, client: socket.socket, slot: Slot) -> None:
        """Make a transport of a socket. What goes wrong is the client's: it went away, or speaks no TLS."""
        client.setblocking(False)
        more = {} if self._tls is None else {"ssl": self._tls, "ssl_handshake_timeout": self._handshake_seconds}
        is_in = False
        try:
            with suppress(OSError):
                await self._loop.connect_accepted_socket(lambda: self._protocol(slot), client, **more)  # type: ignore[arg-type]
                is_in = True
        finally:
            if not is_in:
                slot.release()
                client.close()


def _send_away(client: socket.socket, said: bytes) -> None:
    """Say why, if that takes no time, and close. What the client sent already is read, or it would not hear us."""
    client.setblocking(False)
    with suppress(OSError):
        client.send(said)
        client.shutdown(socket.SHUT_WR)
        client.recv(UNREAD_BYTES)
    client.close()
