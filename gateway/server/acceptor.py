"""Acceptor: accepts connections one by one, each only where the limit has a slot for it.

The loop is our own because the servers of asyncio and uvloop count nothing, see a TLS client only after its handshake,
and uvloop's stops listening for good when a descriptor is missing at the wrong moment. Here that is a pause.

A connection beyond a limit gets a short answer and is closed at once: 429 for an address that has enough, 503 where all
slots are taken. Over TLS it gets no answer, because one could be sent only after a handshake.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM

import structlog

from gateway.http.problems import Problem
from gateway.server.connections import ConnectionLimit, Slot
from gateway.server.early_refusals import answer, new_request_id

ACCEPTS_AT_ONCE_MAX = 64
ACCEPT_PAUSE_SECONDS = 0.1

log = structlog.get_logger()

OUT_OF_RESOURCES = frozenset({EMFILE, ENFILE, ENOBUFS, ENOMEM})
UNREAD_BYTES = 64 * 1024


class Acceptor:
    """Accepts until it is closed. It stands in for uvicorn's `asyncio.Server`."""

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
        self._connecting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_out_of_resources = False
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Stop accepting, and drop clients in the middle of a TLS handshake."""
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()
        for task in self._connecting:
            task.cancel()

    async def wait_closed(self) -> None:
        """Do nothing: `close` has closed everything."""

    def _accept(self) -> None:
        """Accept the clients that wait, at most `ACCEPTS_AT_ONCE_MAX` in one turn of the loop."""
        for _ in range(ACCEPTS_AT_ONCE_MAX):
            try:
                client, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in OUT_OF_RESOURCES:
                    self._wait(error)
                    return
                log.warning("a connection was not accepted", reason=str(error))
                return
            self._is_out_of_resources = False
            self._admit(client, peer[0] if peer else None)

    def _wait(self, error: OSError) -> None:
        """Accept again after a pause. Clients that wait keep waiting, and open connections are served."""
        if not self._is_out_of_resources:
            log.warning("no connection can be accepted for now", reason=str(error), connections=self._limit.open)
        self._is_out_of_resources = True
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(ACCEPT_PAUSE_SECONDS, self._loop.add_reader, self._listener, self._accept)

    def _admit(self, client: socket.socket, address: str | None) -> None:
        slot = self._limit.take(address)
        if isinstance(slot, Problem):
            _turn_away(client, b"" if self._tls else answer(slot, new_request_id()))
            return
        task = self._loop.create_task(self._connect(client, slot))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, client: socket.socket, slot: Slot) -> None:
        """Make a transport of a socket. An OSError here is the client's: it went away, or speaks no TLS."""
        client.setblocking(False)
        more = {} if self._tls is None else {"ssl": self._tls, "ssl_handshake_timeout": self._handshake_seconds}
        is_connected = False
        try:
            with suppress(OSError):
                await self._loop.connect_accepted_socket(lambda: self._protocol(slot), client, **more)  # type: ignore[arg-type]
                is_connected = True
        finally:
            if not is_connected:
                slot.release()
                client.close()


def _turn_away(client: socket.socket, refusal: bytes) -> None:
    """Send the refusal if it can be sent at once, and close. Read what the client sent, or it would not receive ours."""
    client.setblocking(False)
    with suppress(OSError):
        client.send(refusal)
        client.shutdown(socket.SHUT_WR)
        client.recv(UNREAD_BYTES)
    client.close()
