"""Every crash point of the saga, three times: the file ends once, soon after everything heals, and no blob is left over.

What is killed, or fails: the worker (at twelve points), its children, Valkey, Postgres, the scanner, and the blob store:
a folder whose disk is full or broken, an S3 that is killed, hangs or refuses, amid an upload, amid variants, amid a
download.
"""

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest
import pytest_asyncio

from adapters.blobs import s3 as s3_blobs
from adapters.clock import now
from adapters.media.scanner import ClamdScanner
from runtime.embedded.servers import Embedded
from runtime.groups import LOGINS
from runtime.migrate import create_database, migrate
from tests.blobs.faulty import Fault, FaultyS3, faulty_s3
from tests.blobs.stores import BUCKET, credentials, make_bucket, names
from tests.blobs.test_sweeper import sweeper_of
from tests.conftest import Servers, fresh_database
from tests.deployments import LOGIN_PASSWORD, Gateway, Person, deployment, ledger, until
from tests.files import pictures
from tests.files.clamd import KIND, clamd
from tests.files.crashing_worker import AT_ONCE, POINTS
from tests.files.deployments import Works, ended, worker, working
from tests.files.test_saga import ends
from tests.files.test_scanner import liar
from tests.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[2]
ROUNDS = 3
HEALED_SECONDS = 60.0
DISK_BYTES = 16 * 1024**2


async def blobs_are_those_referred_to(works: Works, database_url: str) -> None:
    """Sweep without patience; then what is stored is what is referred to."""
    store = works.services.services.blobs
    async with ledger(database_url, size=2) as (db, record, _):
        await db.run("UPDATE files.holds SET until = '-infinity' WHERE NOT condemned")
        await sweeper_of(store, db, record).step()
        referred = await db.all(
            str,
            "SELECT right(storage_path, 64) FROM read.files WHERE storage_path <> ''"
            " UNION SELECT right(storage_path, 64) FROM read.file_variants",
        )
    assert await names(store) == set(referred)
    assert os.listdir(store.staging()) == []


async def all_end_once(works: Works, who: Person, ids: Sequence[str], database_url: str, *, swept: bool = True) -> None:
    started = time.monotonic()
    for file_id in ids:
        status = await ended(who, file_id, HEALED_SECONDS)
        assert status["status"] == "completed", status
        assert len(await ends(works, file_id)) == 1
    assert time.monotonic() - started < HEALED_SECONDS
    if not swept:
        return

    async def idle() -> bool:
        return await works.tasks.listed() == []

    await until(idle)
    await blobs_are_those_referred_to(works, database_url)


class Disk:
    """Where the blobs of this deployment are: a disk of its own, where this process may mount one."""

    def __init__(self, folder: Path, *, is_small: bool) -> None:
        self.folder = folder
        self.is_small = is_small
        self._ballast = folder / "ballast"

    def fill(self, left_bytes: int) -> None:
        """Leave room for so many bytes."""
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.folder).free - left_bytes)

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    folder = tmp_path_factory.mktemp("disk")
    mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder))
    is_small = (
        shutil.which("mount") is not None and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    try:
        yield Disk(folder, is_small=is_small)
    finally:
        if is_small:
            subprocess.run(("umount", str(folder)), check=True)


class Shared(NamedTuple):
    """A deployment that every test here leaves as it found it: nothing queued, every blob referred to."""

    hansard: Gateway
    database_url: str
    redis_url: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(servers: Servers, disk: Disk) -> AsyncIterator[Shared]:
    async with (
        fresh_database(servers) as database_url,
        deployment(database_url, servers.redis_url, blobs_url=f"file://{disk.folder}/files") as hansard,
    ):
        yield Shared(hansard, database_url, servers.redis_url)


async def test_kill_9_of_the_worker_at_every_point(shared: Shared) -> None:
    """Three workers at once, each killed at the same point with a file of its own."""
    async with worker(*shared, claim_seconds=1.0) as works:
        ada = await shared.hansard.person()
        ids: list[str] = []
        folder = str(shared.hansard.services.blobs.staging().parent)
        crashing = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.files.crashing_worker", shared.database_url, shared.redis_url, folder),
            cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
        )  # fmt: skip
        assert crashing.stdin and crashing.stdout
        for number, point in enumerate(POINTS):
            ids += [(await ada.upload(pictures.jpeg(200 + number, 150 + turn)))["id"] for turn in range(AT_ONCE)]
            crashing.stdin.write(f"{point}\n".encode())
            async with asyncio.timeout(30):
                killed = [int(number) for number in (await crashing.stdout.readline()).split()]
            assert killed == [signal.SIGKILL] * ROUNDS, point
        crashing.stdin.close()
        await crashing.wait()
        async with working(works, backoff_seconds=0.1):
            await all_end_once(works, ada, ids, shared.database_url)


async def test_kill_9_of_children_again_and_again(shared: Shared) -> None:
    async with worker(*shared) as works, working(works, backoff_seconds=0.1):
        ada = await shared.hansard.person()
        ids = [(await ada.upload(pictures.jpeg(1200 + i, 900)))["id"] for i in range(ROUNDS + 1)]

        async def is_killed() -> bool:
            for pid in works.sandbox.pids():
                with suppress(ProcessLookupError):  # it ended by itself since
                    os.kill(pid, signal.SIGKILL)
                    return True
            return False

        for _ in range(ROUNDS):
            await until(is_killed)
        await all_end_once(works, ada, ids, shared.database_url)


async def test_kill_9_of_a_server_amid_the_work(tmp_path: Path) -> None:
    """Valkey comes back empty: what it knew is found in the record. Postgres comes back with all that was acknowledged."""
    with Embedded(tmp_path / "home") as embedded:
        url, redis_url = embedded.servers.database_url, embedded.servers.redis_url
        await create_database(url)
        await migrate(url, say=lambda sentence: None, logins=dict.fromkeys(LOGINS, LOGIN_PASSWORD))
        async with (
            deployment(url, redis_url) as hansard,
            worker(hansard, url, redis_url, claim_seconds=1.0) as works,
        ):
            ada = await hansard.person()
            ids = []
            for turn, victim in enumerate(("valkey", "postgres") * ROUNDS):
                ids += [(await ada.upload(pictures.jpeg(800 + i, 600 + turn)))["id"] for i in range(3)]
                async with working(works, backoff_seconds=0.1):

                    async def begun() -> bool:
                        return any(task.state == "running" for task in await works.tasks.listed())

                    await until(begun)
                    psutil.Process(embedded.pids()[victim]).kill()

                    async def dead(victim: str = victim) -> bool:
                        return victim in embedded.dead()

                    await until(dead)
                    await asyncio.to_thread(embedded.revive)
                    await all_end_once(works, ada, ids, url)


async def test_a_scanner_that_hangs_lies_or_is_away_and_comes_back(shared: Shared, tmp_path: Path) -> None:
    link = tmp_path / "clamd-now.sock"
    scanner = ClamdScanner(f"unix://{link}", seconds=0.3)
    async with (
        worker(*shared, scanner=scanner) as works,
        working(works, backoff_seconds=0.05),
        clamd(tmp_path) as well,
    ):
        print(f"scanned by: {KIND}")
        ada = await shared.hansard.person()
        ids: list[str] = []
        for turn in range(ROUNDS):
            for answer in (None, b"stream: nonsense\0", b"stream: OK", "away"):
                async with AsyncExitStack() as stack:
                    link.unlink(missing_ok=True)
                    if not isinstance(answer, str):
                        bad = await stack.enter_async_context(liar(tmp_path, answer))
                        link.symlink_to(bad.removeprefix("unix://"))
                    ids.append((await ada.upload(pictures.jpeg(100 + len(ids), 90 + turn)))["id"])
                    await delayed(works, ada, ids[-1])
                (tmp_path / "liar.sock").unlink(missing_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(well.removeprefix("unix://"))
                assert (await ended(ada, ids[-1], HEALED_SECONDS))["status"] == "completed"
        await all_end_once(works, ada, ids, shared.database_url)
        assert (await ended(ada, ids[0]))["scan"] == "clamav"


class Nothing(NamedTuple):
    """What an upload that came to nothing must not have changed."""

    position: int
    blobs: set[str]

    @classmethod
    async def of(cls, hansard: Gateway) -> "Nothing":
        return cls((await hansard.services.record.head()).position, await names(hansard.services.blobs))


async def delayed(works: Works, who: Person, file_id: str) -> None:
    """Wait until this file's work was tried and put back; it is neither lost nor over."""

    async def put_back() -> bool:
        return any((task.attempt or 0) > 1 for task in await works.tasks.listed())

    await until(put_back)
    assert (await who.ask("GET", f"/files/{file_id}/status", 200))["status"] in ("pending", "processing")


async def test_a_folder_whose_disk_is_full_or_broken(
    shared: Shared, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*asked: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    hansard = shared.hansard
    async with worker(*shared) as works:
        ada, ids = await hansard.person(), []
        for turn in range(ROUNDS):
            before = await Nothing.of(hansard)
            if disk.is_small:
                disk.fill(100_000 * turn)
                assert (await ada.upload(os.urandom(600_000), status=503))["code"] == "server.unavailable"
                assert await Nothing.of(hansard) == before and os.listdir(hansard.services.blobs.staging()) == []
                disk.free()
            with monkeypatch.context() as faults:
                faults.setattr("adapters.blobs.folder.sync", broken)
                assert (await ada.upload(b"%d" % turn, status=503))["code"] == "server.unavailable"
                assert await Nothing.of(hansard) == before and os.listdir(hansard.services.blobs.staging()) == []
            ids += [(await ada.upload(pictures.jpeg(500 + turn, 400 + i)))["id"] for i in range(2)]
            if disk.is_small:
                disk.fill(4_096 * turn)
                async with working(works, backoff_seconds=0.1):
                    await delayed(works, ada, ids[-1])
                    disk.free()
                    await all_end_once(works, ada, ids[:-1], shared.database_url, swept=False)
            ids.append((await ada.upload(pictures.jpeg(600 + turn, 410)))["id"])
            with monkeypatch.context() as faults:
                faults.setattr("adapters.blobs.folder.sync" if turn else "adapters.blobs.folder._open", broken)
                async with working(works, backoff_seconds=0.1):
                    await delayed(works, ada, ids[-1])
                    faults.undo()
                    await all_end_once(works, ada, ids, shared.database_url)
            with monkeypatch.context() as faults:
                faults.setattr("adapters.blobs.folder._open", broken)
                assert (await ada.ask("GET", f"/files/{ids[-1]}/content", 503))["code"] == "server.unavailable"
            assert (await ada.http.get(f"/files/{ids[-1]}/content")).status_code == 200


async def test_an_s3_that_is_killed_hangs_or_refuses(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in credentials().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3_blobs, "BLOB_ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(s3_blobs, "BLOB_TRIES_MAX", 1)
    monkeypatch.setattr(s3_blobs, "BLOB_PART_BYTES", 32 * 1024)
    port = free_port()
    async with faulty_s3(tmp_path / "nanio", port) as s3:
        endpoint = f"http://127.0.0.1:{port}"
        await make_bucket(endpoint)
        async with (
            deployment(database_url, redis_url, blobs_url=f"s3://{BUCKET}", endpoint=endpoint) as hansard,
            worker(hansard, database_url, redis_url) as works,
        ):
            ada, ids = await hansard.person(), []
            for turn in range(ROUNDS):
                for fault in ("killed", "hangs", ("503", "500", "503")[turn]):
                    ids.append(await survived(s3, fault, turn, works, ada))
            # Parts that could not be taken back, because the server was away, are what the sweeper takes back later.
            await hansard.services.blobs.clear(now() + timedelta(hours=1))
            assert "Uploads" not in await hansard.services.blobs._asked("list_multipart_uploads")  # type: ignore[attr-defined]
            async with working(works):
                await all_end_once(works, ada, ids, database_url)


async def survived(s3: FaultyS3, fault: Fault, turn: int, works: Works, who: Person) -> str:
    """Have it fail amid an upload, amid the variants of a picture, and amid its download; answers the picture's id."""
    hansard = works.services
    content = pictures.jpeg(400 + turn, 300, quality=95) + os.urandom(100_000)  # four parts
    before = await Nothing.of(hansard)
    s3.fail(fault, after=turn)
    assert (await who.upload(content, status=503))["code"] == "server.unavailable"
    await s3.heal()
    assert await Nothing.of(hansard) == before and os.listdir(hansard.services.blobs.staging()) == []

    file_id = str((await who.upload(content))["id"])
    s3.fail(fault, after=2 + turn)  # after it was read to be scanned and to be processed
    async with working(works, backoff_seconds=0.1):
        await s3.hit.wait()
        await delayed(works, who, file_id)
        await s3.heal()
        assert (await ended(who, file_id, HEALED_SECONDS))["status"] == "completed"
    assert len(await ends(works, file_id)) == 1

    whole = (await who.http.get(f"/files/{file_id}/content")).content
    s3.fail(fault, after=0, halfway=turn > 0)
    try:
        answer = await who.http.get(f"/files/{file_id}/content")
    except httpx.HTTPError:
        assert turn > 0, "what had not begun is told, and not broken off"
    else:
        assert answer.status_code == 503, "half a file is never given out as a whole one"
    await s3.heal()

    async def is_given_out() -> bool:  # a store that was just started may still be refusing
        return (await who.http.get(f"/files/{file_id}/content")).content == whole

    await until(is_given_out)
    return file_id
