"""Every crash point of the saga, three times: the file ends once, soon after everything heals, and no blob is left over."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from runtime.embedded import Embedded
from runtime.migrate import create_database, migrate
from tests.blobs.stores import names
from tests.blobs.test_sweeper import sweeper_of
from tests.files import pictures
from tests.files.crashing_worker import POINTS
from tests.files.houses import Works, ended, worker, working
from tests.files.test_saga import ends
from tests.houses import Person, deployment, ledger, until

ROOT = Path(__file__).parents[2]
ROUNDS = 3
HEALED_SECONDS = 60.0


async def blobs_are_those_referred_to(works: Works, database_url: str) -> None:
    """Sweep without patience; then what is stored is what is referred to."""
    store = works.house.house.blobs
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


async def all_end_once(works: Works, who: Person, ids: Sequence[str], database_url: str) -> None:
    started = time.monotonic()
    for file_id in ids:
        status = await ended(who, file_id, HEALED_SECONDS)
        assert status["status"] == "completed", status
        assert len(await ends(works, file_id)) == 1
    assert time.monotonic() - started < HEALED_SECONDS
    await blobs_are_those_referred_to(works, database_url)

    async def idle() -> bool:
        return await works.tasks.listed() == []

    await until(idle)


@pytest.mark.parametrize("turn", range(ROUNDS))
async def test_kill_9_of_the_worker_at_every_point(database_url: str, redis_url: str, turn: int) -> None:
    async with (
        deployment(database_url, redis_url) as house,
        worker(house, database_url, redis_url, claim_seconds=1.0) as works,
    ):
        ada, ids = await house.person(), []
        folder = str(house.house.blobs.staging().parent)
        crashing = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.files.crashing_worker", database_url, redis_url, folder),
            cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
        )  # fmt: skip
        assert crashing.stdin and crashing.stdout
        for number, point in enumerate(POINTS):
            ids.append((await ada.upload(pictures.jpeg(300 + number, 200 + turn)))["id"])
            crashing.stdin.write(f"{point}\n".encode())
            async with asyncio.timeout(30):
                assert int(await crashing.stdout.readline()) == signal.SIGKILL, point
        crashing.stdin.close()
        await crashing.wait()
        async with working(works, backoff_seconds=0.1):
            await all_end_once(works, ada, ids, database_url)


async def test_kill_9_of_children_again_and_again(database_url: str, redis_url: str) -> None:
    async with (
        deployment(database_url, redis_url) as house,
        worker(house, database_url, redis_url) as works,
        working(works, backoff_seconds=0.1),
    ):
        ada = await house.person()
        ids = [(await ada.upload(pictures.jpeg(1600 + i, 1200)))["id"] for i in range(6)]
        for _ in range(3):

            async def at_work() -> bool:
                return bool(works.sandbox.pids())

            await until(at_work)
            os.kill(works.sandbox.pids()[0], signal.SIGKILL)
        await all_end_once(works, ada, ids, database_url)


@pytest.mark.parametrize("victim", ["valkey", "postgres"])
async def test_kill_9_of_a_server_amid_the_work(tmp_path: Path, victim: str) -> None:
    """Valkey comes back empty: what it knew is found in the record. Postgres comes back with all that was acknowledged."""
    with Embedded(tmp_path / "home") as embedded:
        url, redis_url = embedded.servers.database_url, embedded.servers.redis_url
        await create_database(url)
        await migrate(url, say=lambda sentence: None)
        async with (
            deployment(url, redis_url) as house,
            worker(house, url, redis_url) as works,
        ):
            ada = await house.person()
            ids = []
            for turn in range(ROUNDS):
                ids += [(await ada.upload(pictures.jpeg(1200 + i, 900 + turn)))["id"] for i in range(3)]
                async with working(works, backoff_seconds=0.1):

                    async def begun() -> bool:
                        return any(task.state == "running" for task in await works.tasks.listed())

                    await until(begun)
                    psutil.Process(embedded.pids()[victim]).kill()

                    async def dead() -> bool:
                        return victim in embedded.dead()

                    await until(dead)
                    if victim == "valkey":
                        for file in (tmp_path / "home" / "valkey").rglob("*.aof*"):
                            file.unlink()
                    await asyncio.to_thread(embedded.revive)
                    await all_end_once(works, ada, ids, url)


async def test_a_scanner_that_hangs_and_comes_back(database_url: str, redis_url: str, tmp_path: Path) -> None:
    from adapters.scanner import ClamdScanner
    from tests.files.clamd import clamd
    from tests.files.test_scanner import liar

    link = tmp_path / "clamd-now.sock"
    scanner = ClamdScanner(f"unix://{link}", seconds=0.5)
    async with (
        deployment(database_url, redis_url) as house,
        worker(house, database_url, redis_url, scanner=scanner) as works,
        working(works, backoff_seconds=0.2),
        clamd(tmp_path) as well,
    ):
        ada = await house.person()
        ids = []
        for turn in range(ROUNDS):
            async with liar(tmp_path, None if turn % 2 == 0 else b"stream: nonsense\0") as hanging:
                link.unlink(missing_ok=True)
                link.symlink_to(hanging.removeprefix("unix://"))
                ids += [(await ada.upload(pictures.jpeg(100 + i, 90 + turn)))["id"] for i in range(2)]

                async def tried() -> bool:
                    return any(task.envelope.attempt > 1 for task in await works.tasks.listed())

                await until(tried)
                assert (await ada.ask("GET", f"/files/{ids[-1]}/status", 200))["status"] == "pending"
            (tmp_path / "liar.sock").unlink(missing_ok=True)
            link.unlink()
            link.symlink_to(well.removeprefix("unix://"))
            await all_end_once(works, ada, ids, database_url)
        assert (await ended(ada, ids[0]))["scan"] == "clamav"
