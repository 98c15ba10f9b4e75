"""Where entries go: a syslog receiver by TCP, TLS or UDP, or a server that takes webhooks.

Syslog has no answer that a message arrived. What went into a TCP connection counts as taken when the other machine has
acknowledged its last byte; if the connection breaks, its last `RESENT_BYTES` are sent once more, because the program there may
have read less than its machine: at most what a socket there holds. UDP says nothing at all: what it loses is lost.
"""

import asyncio
import fcntl
import ssl
import struct
import sys
import termios
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from adapters.clock import monotonic
from adapters.forwarding.syslog import counted
from adapters.webhooks.sender import WebhookSender
from domain.ports.channels import Later, Outcome, Told

CONNECT_SECONDS = 10.0
TAKEN_SECONDS = 30.0
PAUSE_SECONDS = 0.01
AGAIN_SECONDS = 1.0
SYSLOG_ENTRIES_AT_ONCE = 100
RESENT_BYTES = 8 * 1024**2  # Linux gives a socket 6 MiB to receive into, at most
DATAGRAM_BYTES_MAX = 65_000


class Sent(NamedTuple):
    """An entry as it is sent, and its position."""

    position: int
    content: bytes


class Destination(Protocol):
    """Takes entries in order. `at_once`: how many together."""

    at_once: int

    def unsure_from(self) -> int | None:
        """Return, after entries were not taken, the first position that may be lost though it was; None: none is."""

    async def send(self, batch: Sequence[Sent]) -> Outcome: ...
    async def close(self) -> None: ...


class StreamDestination:
    """A syslog receiver on a TCP connection, with TLS or without."""

    at_once = SYSLOG_ENTRIES_AT_ONCE

    def __init__(self, host: str, port: int, *, trust: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._port = port
        self._trust = trust
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        # Of the connection, or of the last one: where each batch begins, and its bytes.
        self._sent: deque[tuple[int, int]] = deque()

    def unsure_from(self) -> int | None:
        return self._sent[0][0] if self._sent else None

    async def send(self, batch: Sequence[Sent]) -> Outcome:
        """Send messages, and wait until the other machine has all of them."""
        try:
            async with asyncio.timeout(TAKEN_SECONDS):
                reader, writer = await self._connected()
                content = b"".join(counted(each.content) for each in batch)
                self._note(batch[0].position, len(content))
                writer.write(content)
                await writer.drain()
                await _taken(reader, writer)
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            await self.close()
            return Later(AGAIN_SECONDS)
        return Told()

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort() if self._streams[1].is_closing() else self._streams[1].close()
            self._streams = None

    def _note(self, position: int, size: int) -> None:
        self._sent.append((position, size))
        while sum(size for _, size in self._sent) - self._sent[0][1] >= RESENT_BYTES:
            self._sent.popleft()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and self._streams[0].at_eof():
            raise ConnectionResetError("the receiver has gone")
        if self._streams is None:
            name = self._host if self._trust else None
            async with asyncio.timeout(CONNECT_SECONDS):
                self._streams = await asyncio.open_connection(
                    self._host, self._port, ssl=self._trust, server_hostname=name
                )
            self._sent.clear()
        return self._streams


async def _taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wait until everything was acknowledged. Raise `ConnectionResetError` where the other side went instead."""
    deadline = monotonic() + TAKEN_SECONDS
    while writer.transport.get_write_buffer_size() or _unacknowledged(writer):
        if reader.at_eof() or writer.is_closing():
            raise ConnectionResetError("the receiver has gone")
        if monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(PAUSE_SECONDS)
    if reader.at_eof():
        raise ConnectionResetError("the receiver has gone")


def _unacknowledged(writer: asyncio.StreamWriter) -> int:
    """Return how many bytes of a socket the other machine has not acknowledged (Linux: SIOCOUTQ, the number of TIOCOUTQ)."""
    socket = writer.get_extra_info("socket")
    if sys.platform != "linux" or socket is None:
        return 0
    found: int = struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
    return found


class DatagramDestination:
    """A syslog receiver by UDP (RFC 5426): a message a datagram."""

    at_once = SYSLOG_ENTRIES_AT_ONCE

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._transport: asyncio.DatagramTransport | None = None

    def unsure_from(self) -> int | None:
        return None

    async def send(self, batch: Sequence[Sent]) -> Outcome:
        """Send messages; what is longer than a datagram is cut."""
        try:
            if self._transport is None:
                made: Any = await asyncio.get_running_loop().create_datagram_endpoint(
                    asyncio.DatagramProtocol, remote_addr=(self._host, self._port)
                )
                self._transport = made[0]
            assert self._transport is not None, "it was made just now"
            for each in batch:
                self._transport.sendto(each.content[:DATAGRAM_BYTES_MAX])
        except OSError:
            await self.close()
            return Later(AGAIN_SECONDS)
        return Told()

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None


class WebhookDestination:
    """A server that takes webhooks (Standard Webhooks), one at a time: the id of each is its position."""

    at_once = 1

    def __init__(self, sender: WebhookSender, url: str, secrets: Sequence[str]) -> None:
        self._sender = sender
        self._url = url
        self._secrets = secrets

    def unsure_from(self) -> int | None:
        return None

    async def send(self, batch: Sequence[Sent]) -> Outcome:
        (each,) = batch
        return await self._sender.send(self._url, each.content, id=str(each.position), secrets=self._secrets)

    async def close(self) -> None:
        """Nothing: whoever opened the sender closes it."""
