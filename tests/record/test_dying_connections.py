"""A connection whose end Postgres has announced, and that is not closed yet: what a kill of the postmaster leaves."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.connection_pool import ConnectionPool
from adapters.postgres.database import Database, DatabaseRefusedError, connect
from domain.ports.record import Appended, RecordUnavailableError
from tests.deployments import ledger, until
from tests.record.test_record import post

FIELDS = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0"
LAST_WORDS = b"E" + (4 + len(FIELDS)).to_bytes(4, "big") + FIELDS


class Between:
    """What stands between clients and Postgres, and may say Postgres' last words for it."""

    def __init__(self, url: str, folder: str) -> None:
        parts = urlsplit(url)
        at = parse_qs(parts.query)
        host = at.get("host", [parts.hostname or ""])[0]
        port = at.get("port", [str(parts.port or 5432)])[0]
        self._real = (host, port)
        self._own = Path(folder) / f".s.PGSQL.{port}"
        who = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{who}@", query=f"host={quote(folder, safe='')}&port={port}").geturl()
        self._clients: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_unix_server(self._meet, self._own)

    async def say_last_words(self) -> None:
        """Announce the end to every client; nobody hears more from the server, and no connection is closed."""
        for task in self._tasks:
            task.cancel()
        for client in self._clients:
            client.write(LAST_WORDS)
            await client.drain()

    def let_go(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._real
        if host.startswith("/"):
            from_server, to_server = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            from_server, to_server = await asyncio.open_connection(host, int(port))
        self._clients.append(writer)
        for one, other in ((reader, to_server), (from_server, writer)):
            task = asyncio.create_task(_carry(one, other))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _carry(one: asyncio.StreamReader, other: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while some := await one.read(65_536):
            other.write(some)
            await other.drain()
    other.close()


@asynccontextmanager
async def between(url: str) -> AsyncIterator[Between]:
    with tempfile.TemporaryDirectory(prefix="hansard-between-") as folder:
        made = Between(url, folder)
        async with await made.listen():
            yield made
            made.let_go()


async def turns() -> None:
    """Let everything that was said arrive."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_query_on_a_dying_connection_says_that_the_record_is_away(database_url: str) -> None:
    async with between(database_url) as proxy:
        connection = await connect(proxy.url)
        db = await Database.open(proxy.url, size=1)
        assert await db.value("SELECT 1") == 1
        await proxy.say_last_words()
        await turns()
        with pytest.raises(RecordUnavailableError):
            await db.value("SELECT 1")
        proxy.let_go()
        connection.terminate()
        db.pool.terminate()


async def test_an_append_on_a_dying_connection_says_that_the_record_is_away(database_url: str) -> None:
    """And the next one works: whoever is answered so may repeat the command with its ids."""
    async with between(database_url) as proxy, ledger(proxy.url, size=2) as (_, record, _):
        assert isinstance(await record.append(post()), Appended)
        await proxy.say_last_words()
        await turns()
        with pytest.raises(RecordUnavailableError):
            await record.append(post())
        proxy.let_go()
        answer = await record.append(post())
        assert isinstance(answer, Appended) and answer.events[0].position == 2


async def test_a_transaction_whose_connection_is_cut_says_that_the_record_is_away(database_url: str) -> None:
    """Rolling back what is gone already is no error of its own."""
    async with between(database_url) as proxy:
        db = await Database.open(proxy.url, size=1)
        with pytest.raises(RecordUnavailableError):
            async with db.transaction() as transaction:
                proxy.let_go()
                await transaction.run("SELECT 1")
        db.pool.terminate()


async def test_a_password_that_was_changed_meanwhile_is_told_as_a_database_that_is_away(database_url: str) -> None:
    """A pool connects again: what it is refused then is for the operator, and 503 for clients."""
    owner = await connect(database_url)
    name = f"rotated_{uuid4().hex}"
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'first'")
    parts = urlsplit(database_url)
    url = parts._replace(netloc=f"{name}:first@{parts.netloc.rpartition('@')[2]}").geturl()
    try:
        db = await Database.open(url, size=1)
        assert await db.value("SELECT 1") == 1
        await owner.execute(f"ALTER ROLE {name} PASSWORD 'second'")
        await owner.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", name)

        async def refused() -> bool:
            try:
                await db.value("SELECT 1")
            except DatabaseRefusedError as error:
                return "does not let us in" in str(error)
            except RecordUnavailableError:
                return False  # the connection that was ended
            raise AssertionError("nobody may log in with the old password")

        await until(refused)
        await db.close()
    finally:
        await owner.execute(f"DROP ROLE {name}")
        await owner.close()


class LeftPool:
    """A pool whose server is gone: closing it raises what asyncpg raises where a query's cancellation found nobody (0.31)."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.is_terminated = False

    async def close(self) -> None:
        raise self._error

    def terminate(self) -> None:
        self.is_terminated = True


def database_of(pool: LeftPool) -> Database:
    return Database(cast(ConnectionPool, pool), "postgresql:///nowhere")


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "Connection refused"),
        ConnectionResetError(),
        TimeoutError(),
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.ConnectionDoesNotExistError("connection was closed"),
        asyncpg.InterfaceError("connection is closed"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_closing_what_postgres_has_left_is_no_error(error: Exception) -> None:
    """Whoever ends can do nothing about a server that is away: its connections are ended, and nobody hears more."""
    pool = LeftPool(error)
    await database_of(pool).close()
    assert pool.is_terminated


async def test_closing_tells_what_is_our_own_fault() -> None:
    with pytest.raises(ZeroDivisionError):
        await database_of(LeftPool(ZeroDivisionError())).close()
