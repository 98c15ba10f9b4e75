"""Scanners: clamd by INSTREAM, and the embedded basic check. Both fail closed: what was not judged clean is not clean.

The basic check knows the EICAR test file and nothing else, and says so in every status (`scan: "basic"`): it shows that
the pipeline works, it protects nobody.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from domain.ports.scanner import AboutScanner, Scanner, ScannerUnavailableError, UnscannableError, Verdict

SCAN_SECONDS = 30.0
SCAN_CONNECT_SECONDS = 3.0

# In two halves, so that no scanner takes this module for a virus.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}" + rb"$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
EICAR_NAME = "Eicar-Test-Signature"
ANSWER_BYTES_MAX = 4096
MADE_AT = "%a %b %d %H:%M:%S %Y"  # by its own clock, which is near enough for an age in days


class BasicScanner:
    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
        tail, found = b"", False
        async for piece in pieces:
            window = tail + piece
            found = found or EICAR in window
            tail = window[-len(EICAR) :]
        return Verdict("basic", EICAR_NAME if found else None)

    async def ping(self) -> None:
        """It is always there."""

    async def about(self) -> AboutScanner:
        return AboutScanner("the basic check, which knows the EICAR test file and nothing else")


class ClamdScanner:
    """clamd at `tcp://host:port` or `unix:///path`. Anything but its exact answers counts as no answer."""

    def __init__(self, url: str, *, seconds: float = SCAN_SECONDS) -> None:
        self._url = urlsplit(url)
        self._seconds = seconds

    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
        answer = await self._asked(b"zINSTREAM\0", pieces)
        if answer == b"stream: OK":
            return Verdict("clamav")
        if answer.startswith(b"stream: ") and answer.endswith(b" FOUND"):
            return Verdict("clamav", answer[8:-6].decode("ascii", "replace")[:200] or "unnamed")
        if b"size limit exceeded" in answer:
            raise UnscannableError
        raise ScannerUnavailableError(f"clamd answered {answer[:100]!r}.")

    async def ping(self) -> None:
        if await self._asked(b"zPING\0", None) != b"PONG":
            raise ScannerUnavailableError("clamd does not answer a ping.")

    async def about(self) -> AboutScanner:
        """Version and signatures, of `ClamAV 1.4.3/27560/Tue Mar 11 08:50:10 2025`; the last two only from a real database."""
        answer = (await self._asked(b"zVERSION\0", None)).decode("ascii", "replace")
        if not answer.startswith("ClamAV "):
            raise ScannerUnavailableError(f"clamd answered {answer[:100]!r} when it was asked for its version.")
        name, _, signatures = answer[:200].partition("/")
        try:
            made_at = datetime.strptime(signatures.partition("/")[2].strip(), MADE_AT).replace(tzinfo=UTC)
        except ValueError:
            return AboutScanner(name)
        return AboutScanner(name, made_at)

    async def _asked(self, command: bytes, pieces: AsyncIterator[bytes] | None) -> bytes:
        try:
            async with asyncio.timeout(self._seconds):
                reader, writer = await self._connect()
                answering = asyncio.create_task(_answer(reader))
                try:
                    writer.write(command)
                    if pieces is not None:
                        await _send(writer, pieces, answering)
                    return await answering
                finally:
                    writer.transport.abort()
                    answering.cancel()
                    await asyncio.gather(answering, return_exceptions=True)
        except (OSError, TimeoutError, EOFError) as error:
            raise ScannerUnavailableError(f"clamd does not answer: {str(error) or type(error).__name__}.") from error

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(SCAN_CONNECT_SECONDS):
            if self._url.scheme == "unix":
                return await asyncio.open_unix_connection(unquote(self._url.path))
            return await asyncio.open_connection(self._url.hostname, self._url.port or 3310)


def open_scanner(url: str) -> Scanner:
    """Return the scanner that a URL names; "" the basic check."""
    return ClamdScanner(url) if url else BasicScanner()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """Return the answer when it is whole: one, with its end. Read while bytes are still sent, because clamd hangs up on
    what is too large for it, and what it said then is lost to whoever looks only afterwards."""
    answer = b""
    with suppress(ConnectionResetError):
        while len(answer) <= ANSWER_BYTES_MAX and (piece := await reader.read(ANSWER_BYTES_MAX)):
            answer += piece
    if answer.find(b"\0") != len(answer) - 1:
        raise ScannerUnavailableError(f"clamd answered {answer[:100]!r}, which is no whole answer.")
    return answer[:-1]


async def _send(writer: asyncio.StreamWriter, pieces: AsyncIterator[bytes], answering: "asyncio.Task[bytes]") -> None:
    """Send everything, or as much as is wanted."""
    try:
        async for piece in pieces:
            if answering.done():
                return
            writer.write(len(piece).to_bytes(4, "big") + piece)
            await writer.drain()
        writer.write(bytes(4))
        await writer.drain()
    except (BrokenPipeError, ConnectionResetError):
        return
