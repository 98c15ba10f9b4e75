"""A store that hangs is told of before a client has given up, whatever it was asked for."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from adapters.blobs.s3 import BLOB_PART_BYTES, S3Blobs
from domain.ports.blobs import BlobsUnavailableError
from tests.ports import free_port

BLOB = "ab" * 32
ANSWERED_SECONDS = 10.0
STARTED = b"<?xml version='1.0'?><InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"


async def test_a_hung_store_is_told_of_within_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections and answers nothing; or begins an upload in parts, takes them, and hangs when they are joined."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x")
    large.write_bytes(bytes(BLOB_PART_BYTES + 1))

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            await reader.readexactly(length)
            if b"uploads" in head.split(b"\r\n")[0]:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(STARTED), STARTED))
            elif b"partNumber" in head:
                writer.write(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\n\r\n')

    async def opened(answers: Any, name: str) -> tuple[S3Blobs, asyncio.Server]:
        port = free_port()
        server = await asyncio.start_server(answers, "127.0.0.1", port)
        endpoint = f"http://127.0.0.1:{port}"
        return await S3Blobs.open(bucket="b", endpoint=endpoint, staging=tmp_path / name), server

    async def seconds(call: Coroutine[Any, Any, Any]) -> float:
        began = time.monotonic()
        with pytest.raises(BlobsUnavailableError):
            await call
        return time.monotonic() - began

    async def read(blobs: S3Blobs) -> None:
        async for _ in blobs.read(BLOB):
            pass

    (hung, one), (joining, two) = await opened(silent, "one"), await opened(half, "two")
    try:
        async with asyncio.timeout(120):
            took = await asyncio.gather(
                seconds(hung.put(BLOB, small)),
                seconds(read(hung)),
                seconds(hung.ping()),
                seconds(joining.put(BLOB, large)),
            )
    finally:
        await hung.close()
        await joining.close()
        one.close()
        two.close()
    assert max(took) < ANSWERED_SECONDS, took
