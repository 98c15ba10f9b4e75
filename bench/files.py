"""Files: pictures a second through the sandbox beside what Pillow alone reaches, and what a large upload costs in memory."""

import asyncio
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from PIL import Image

from adapters.media.sandbox import Sandbox
from bench.deployment import Deployment, free_port
from bench.sockets import Measured

CORES = 2
PICTURES = 24
UPLOAD_BYTES = 1024**3
PIECE_BYTES = 256 * 1024
PASSWORD = "correct horse battery"
OPERATIONS = ("thumbnail", "resize", "compress")


def photograph() -> bytes:
    """Return a JPEG of 12 megapixels with about as much in it as a photograph has."""
    noise = Image.effect_noise((1000, 750), 60).resize((4000, 3000), Image.Resampling.BICUBIC)
    bands = [noise, Image.linear_gradient("L").resize(noise.size), Image.radial_gradient("L").resize(noise.size)]
    out = io.BytesIO()
    Image.merge("RGB", bands).save(out, "JPEG", quality=90)
    return out.getvalue()


def draft_alone(content: bytes) -> int:
    """What Pillow reaches when nothing is asked but two small pictures: draft-mode decoding, chained resizing."""
    image = Image.open(io.BytesIO(content))
    image.draft("RGB", (1280, 1280))
    image.thumbnail((1280, 1280))
    size = 0
    for pixels in (1280, 256):
        image.thumbnail((pixels, pixels))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=80)
        size += out.tell()
    return size


def whole_alone(content: bytes) -> int:
    """The same with a whole decoding and a re-encoded original, as JPEG, without a sandbox."""
    image = Image.open(io.BytesIO(content))
    image.load()
    size = 0
    for pixels in (4000, 1280, 256):
        image.thumbnail((pixels, pixels))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=84)
        size += out.tell()
    return size


async def pictures() -> list[Measured]:
    """Return files a second on two cores, three ways."""
    content = photograph()
    rows = []
    with tempfile.TemporaryDirectory(prefix="hansard-bench-") as folder:
        file = Path(folder) / "photograph.jpg"
        file.write_bytes(content)
        with Sandbox(module="workers.files.child", size=CORES, strict=False) as sandbox:

            async def process() -> None:
                result = await sandbox.run("image", file, mime_type="image/jpeg", operations=OPERATIONS)
                assert len(result.made) == 3, result.reason

            await asyncio.gather(*(process() for _ in range(CORES)))
            started = time.perf_counter()
            await asyncio.gather(*(process() for _ in range(PICTURES)))
            seconds = time.perf_counter() - started
        rows.append(_row("12-megapixel JPEGs: sandbox, original + preview + thumbnail", seconds))
    for name, call in (
        ("the same by Pillow alone, all JPEG, no sandbox", whole_alone),
        ("Pillow alone, draft mode: preview + thumbnail, no original", draft_alone),
    ):
        with ProcessPoolExecutor(CORES) as pool:
            list(pool.map(call, [content] * CORES))
            started = time.perf_counter()
            list(pool.map(call, [content] * PICTURES))
            rows.append(_row(name, time.perf_counter() - started))
    return rows


async def large_upload() -> list[Measured]:
    """Upload 1 GiB to a deployment that allows it; how far the gateway's memory moved at most."""
    return [await _upload("folder", {})]


async def large_upload_to_s3() -> list[Measured]:
    """The same where blobs are kept in S3, or in what speaks its language."""
    with tempfile.TemporaryDirectory(prefix="hansard-bench-") as folder, _s3(Path(folder)) as settings:
        return [await _upload("S3 (nanio)", settings)]


async def _upload(store: str, settings: dict[str, str]) -> Measured:
    deployment = Deployment()
    deployment.environment |= {"HANSARD_UPLOAD_BYTES_MAX": str(2 * UPLOAD_BYTES), **settings}
    async with deployment, httpx.AsyncClient(base_url=deployment.base + "/api/v1", timeout=600) as http:
        person = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
        await http.post("/auth/register", json=person)
        login = await http.post("/auth/login", json={"email": person["email"], "password": PASSWORD})
        http.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        gateway = deployment.process("gateway")
        before = gateway.memory_info().rss
        seen = [before]
        watching = asyncio.create_task(_watch(gateway, seen))
        started = time.perf_counter()
        answer = await http.post(
            "/files/upload", content=_body(), headers={"Content-Type": "multipart/form-data; boundary=b"}
        )
        seconds = time.perf_counter() - started
        watching.cancel()
        answer.raise_for_status()
        moved = (max(*seen, _peak_bytes(gateway)) - before) / 1024**2
    name = f"upload of 1 GiB to a {store}: gateway's memory moved by, and MiB a second"
    return Measured(name, f"{moved:.1f} MiB, {UPLOAD_BYTES / 1024**2 / seconds:,.0f}/s", None)


@contextmanager
def _s3(folder: Path) -> Iterator[dict[str, str]]:
    """A small S3 server on loopback; answers the settings that name it."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("nanio")), "serve", "--host", "127.0.0.1", "--port", str(port)]
    keys = {"ACCESS_KEY": "bench", "SECRET_KEY": "a secret for the bench only"}
    server = subprocess.Popen(
        [*command, "--data-dir", str(folder), "--no-access-log", "--log-level", "error"],
        env={**os.environ, **{f"NANIO_{name}": value for name, value in keys.items()}},
    )
    try:
        (folder / "files").mkdir()
        yield {
            "HANSARD_BLOBS_URL": "s3://files",
            "HANSARD_S3_ENDPOINT": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": keys["ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": keys["SECRET_KEY"],
        }
    finally:
        server.terminate()
        server.wait()


def _peak_bytes(process: psutil.Process) -> int:
    """Return the most memory that a process ever held, by the kernel's own count; 0 where it keeps none."""
    status = Path(f"/proc/{process.pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


async def _watch(process: psutil.Process, seen: list[int]) -> None:
    while True:
        seen.append(process.memory_info().rss)
        await asyncio.sleep(0.02)


async def _body() -> AsyncIterator[bytes]:
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
    piece = os.urandom(PIECE_BYTES)
    for number in range(UPLOAD_BYTES // PIECE_BYTES):
        yield number.to_bytes(8, "big") + piece[8:]
    yield b"\r\n--b--\r\n"


def _row(name: str, seconds: float) -> Measured:
    return Measured(name, f"{PICTURES / seconds:.1f} files/s", None)
