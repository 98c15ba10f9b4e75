"""Blob stores to test on: a folder, moto (every operation of S3, checks nothing) and nanio (real signatures, a disk)."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp

import aioboto3
import httpx
from moto.server import ThreadedMotoServer

from adapters.blobs.stores import open_blobs
from domain.ports.blobs import Blobs
from tests.deployments import until
from tests.ports import free_port

KEY, SECRET, BUCKET = "hansard-tests", "a secret for tests only", "files"
STORES = ("folder", "moto", "nanio")


def credentials() -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}


@contextmanager
def moto() -> Iterator[str]:
    """A moto server; answers its address."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


class Nanio:
    """A nanio server on a folder, which can be killed and started again on what it had."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("nanio")), "serve", "--host", "127.0.0.1"),
                *(
                    "--port",
                    str(self._port),
                    "--data-dir",
                    str(self._folder),
                    "--no-access-log",
                    "--log-level",
                    "error",
                ),
            ],
            env={**os.environ, "NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET},
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def nanio(folder: Path) -> Iterator[str]:
    """A nanio server on a folder; answers its address."""
    server = Nanio(folder)
    try:
        yield server.url
    finally:
        server.kill()


async def make_bucket(endpoint: str) -> None:
    await until_it_answers(endpoint)
    session = aioboto3.Session(aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1")
    async with session.client("s3", endpoint_url=endpoint) as client:
        await client.create_bucket(Bucket=BUCKET)


async def until_it_answers(endpoint: str) -> None:
    async def answers() -> bool:
        async with httpx.AsyncClient() as http:
            try:
                await http.get(endpoint)
            except httpx.TransportError:
                return False
        return True

    await until(answers)


@asynccontextmanager
async def opened(url: str, home: Path, **options: object) -> AsyncIterator[Blobs]:
    blobs = await open_blobs(url, home=home, **options)  # type: ignore[arg-type]
    try:
        yield blobs
    finally:
        await blobs.close()


def staged(blobs: Blobs, content: bytes) -> tuple[str, Path]:
    """Gather bytes as an upload does; answers the blob's name and the file to put."""
    handle, name = mkstemp(dir=blobs.staging())
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return sha256(content).hexdigest(), Path(name)


async def put(blobs: Blobs, content: bytes) -> str:
    blob, file = staged(blobs, content)
    await blobs.put(blob, file)
    return blob


async def names(blobs: Blobs) -> set[str]:
    return {stored.blob async for page in blobs.every() for stored in page}


async def whole(blobs: Blobs, blob: str, **part: int) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(blob, **part)])
