"""Scanners fail closed: clean is only what one of them called clean, in its very words."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.media.scanner import EICAR, BasicScanner, ClamdScanner, open_scanner
from domain.file_snapshot import Scan
from domain.ports.scanner import Scanner, ScannerUnavailableError, UnscannableError, Verdict
from tests.files.clamd import KIND, STREAM_BYTES_MAX, clamd


async def pieces(content: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for i in range(0, len(content), size):
        yield content[i : i + size]


@pytest.fixture(params=["basic", "clamd"])
async def scanner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scanner]:
    if request.param == "basic":
        yield BasicScanner()
        return
    async with clamd(tmp_path) as url:
        yield ClamdScanner(url)


async def test_what_is_clean_and_what_is_not(scanner: Scanner) -> None:
    print(f"scanned by: {KIND}")
    kind: Scan = "basic" if isinstance(scanner, BasicScanner) else "clamav"
    await scanner.ping()
    for clean in (b"", b"hello", b"x" * 500_000, EICAR[:-1]):
        assert await scanner.scan(pieces(clean)) == Verdict(kind)
    for size in (1, 7, 67, 100_000):
        for harmful in (EICAR, b"x" * 99_990 + EICAR, b"a" + EICAR + b"b" * 1000):
            if len(harmful) > 1000 and size < 50:
                continue
            verdict = await scanner.scan(pieces(harmful, size))
            assert verdict.scan == kind and verdict.signature and "Eicar" in verdict.signature


async def test_what_is_too_large_for_clamd_is_never_clean(tmp_path: Path) -> None:
    async with clamd(tmp_path) as url:
        with pytest.raises((UnscannableError, ScannerUnavailableError)):
            await ClamdScanner(url).scan(pieces(b"x" * (STREAM_BYTES_MAX * 3), 65_536))


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def liar(tmp_path: Path, answer: bytes | None) -> AsyncIterator[str]:
    """Something that takes a stream and says that; None: hangs for ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\0\0\0\0")
        if answer is None:
            await reader.read()  # until whoever waits for an answer hangs up
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "liar.sock")
    try:
        yield f"unix://{tmp_path}/liar.sock"
    finally:
        server.close()


@pytest.mark.parametrize(
    "answer",
    [b"", b"OK\0", b"stream: \0", b"stream: OK but\0", b"stream: ERROR\0", b"FOUND\0", b"STREAM: OK\0",
     b"UNKNOWN COMMAND\0", b"\xff\xfe\0", b"stream: OK\0stream: X FOUND\0", b"stream: OK", None],
)  # fmt: skip
async def test_a_broken_answer_or_none_is_not_clean(tmp_path: Path, answer: bytes | None) -> None:
    async with liar(tmp_path, answer) as url:
        try:
            verdict = await ClamdScanner(url, seconds=0.3).scan(pieces(b"content"))
        except ScannerUnavailableError:
            return
        assert verdict.signature is not None


async def test_a_scanner_that_is_not_there_is_away_and_not_clean(tmp_path: Path) -> None:
    for url in (f"unix://{tmp_path}/none.sock", "tcp://127.0.0.1:1"):
        with pytest.raises(ScannerUnavailableError):
            await open_scanner(url).scan(pieces(b"x"))
        with pytest.raises(ScannerUnavailableError):
            await open_scanner(url).ping()
    assert isinstance(open_scanner(""), BasicScanner)
