"""clamd for tests: Debian's, where it is installed, with a database of one line; else a faithful fake. A run says which."""

import asyncio
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from adapters.media.scanner import EICAR, ClamdScanner
from domain.ports.scanner import ScannerUnavailableError
from tests.deployments import until

CLAMD = shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin")
STREAM_BYTES_MAX = 1024 * 1024
KIND = "real clamd" if CLAMD else "fake clamd"


@asynccontextmanager
async def clamd(folder: Path) -> AsyncIterator[str]:
    """A clamd on a Unix socket; answers its URL."""
    socket = folder / "clamd.sock"
    async with _real(folder, socket) if CLAMD else _fake(socket):
        yield f"unix://{socket}"


@asynccontextmanager
async def _real(folder: Path, socket: Path) -> AsyncIterator[None]:
    database = folder / "database"
    database.mkdir()
    (database / "eicar.ndb").write_text(f"Eicar-Test-Signature:0:*:{EICAR.hex()}\n")
    (folder / "clamd.conf").write_text(
        f"Foreground yes\nLocalSocket {socket}\nDatabaseDirectory {database}\nTemporaryDirectory {folder}\n"
        f"StreamMaxLength {STREAM_BYTES_MAX}\nAlertExceedsMax yes\n"
    )
    assert CLAMD
    command = (CLAMD, "-c", str(folder / "clamd.conf"))
    process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=DEVNULL)
    try:

        async def answers() -> bool:
            with suppress(ScannerUnavailableError):
                await ClamdScanner(f"unix://{socket}").ping()
                return True
            return False

        await until(answers)
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def _fake(socket: Path) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = await reader.readuntil(b"\0")
        if command == b"zPING\0":
            writer.write(b"PONG\0")
        elif command == b"zVERSION\0":
            writer.write(b"ClamAV 1.4.6\0")
        else:
            content = b""
            while size := int.from_bytes(await reader.readexactly(4), "big"):
                content += await reader.readexactly(size)
                if len(content) > STREAM_BYTES_MAX:
                    writer.write(b"INSTREAM size limit exceeded. ERROR\0")
                    break
            else:
                writer.write(
                    b"stream: Eicar-Test-Signature.UNOFFICIAL FOUND\0" if EICAR in content else b"stream: OK\0"
                )
        with suppress(OSError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, socket)
    async with server:
        yield
