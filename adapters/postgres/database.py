"""Postgres: one pool of connections, each with time-outs. What they may do is what their log-in may (`migrations/0050_roles.sql`).

asyncpg's own time-outs default to none; here every statement, lock, idle transaction and wait for a connection has one.
Whatever says that Postgres is away or does not answer is raised as `RecordUnavailableError`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from adapters.postgres.connection_pool import ConnectionPool
from adapters.postgres.rows import decode
from domain.errors import SetupError
from domain.ports.database import Db
from domain.ports.record import NothingWrittenError, RecordLockedError, RecordUnavailableError

STATEMENT_SECONDS = 5.0
POOL_WAIT_SECONDS = 2.0

Row = TypeVar("Row")

BEGIN = "BEGIN"
BEGIN_LAZY = "BEGIN; SET LOCAL synchronous_commit = off"
SETTINGS = {
    "application_name": "hansard",
    "jit": "off",  # one plan of the append function fell from 17,000/s to 100/s with it
    "search_path": "pg_catalog",
    "timezone": "UTC",
    "statement_timeout": str(int(STATEMENT_SECONDS * 1000)),
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "10000",
}
# To plan a page of messages anew each time costs more than to read it, and no value needs a plan of its own (`test_plans.py`).
PLANNED_ONCE = {"plan_cache_mode": "force_generic_plan"}
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a query on a connection whose end was announced and has not come yet
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
# The server's own word that the transaction came to nothing.
UNDONE = (
    asyncpg.QueryCanceledError,
    asyncpg.SerializationError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
)
LOCKED = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


VALUES_AT_FAULT = ("21", "22", "23", "54")  # SQLSTATE classes: cardinality, data, constraints, limits of a row


def blames_values(error: Exception) -> bool:
    """Return whether a write failed because of its values, and would fail again; otherwise the server is at fault, or
    its tables are not as expected."""
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate)[:2] in VALUES_AT_FAULT
    return isinstance(error, ValueError) or not isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError))


class DatabaseRefusedError(SetupError, RecordUnavailableError):
    """Postgres answers, and does not let us in, or has no such database; the sentence says what to do."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise what says "Postgres is away" as `RecordUnavailableError`, "not now" as `NothingWrittenError`, and nothing else.

    A log-in is refused here too: a pool connects again, and its password may have been changed meanwhile.
    """
    try:
        yield
    except asyncpg.InvalidCatalogNameError as error:
        raise DatabaseRefusedError(
            f"Postgres has no such database ({error}): create it, or mend the name in its URL."
        ) from None
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise _not_let_in(error) from None
    except LOCKED as error:
        raise RecordLockedError(f"Postgres is busy: {error}") from error
    except UNDONE as error:
        raise NothingWrittenError(f"Postgres is busy: {error}") from error
    except AWAY as error:
        if isinstance(error, ValueError):
            raise  # asyncpg's DataError: an argument of the wrong kind, which is our own fault
        raise RecordUnavailableError(f"Postgres does not answer: {str(error) or type(error).__name__}") from error


@contextmanager
def connecting(url: str) -> Iterator[None]:
    """As `translated`, for opening a connection: the error names the server, and what to do if waiting does not help."""
    try:
        with translated():
            yield
    except DatabaseRefusedError:
        raise
    except RecordUnavailableError as error:
        raise type(error)(f"Postgres at {_place(url)} does not answer: {_cause(error)}.") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise _not_let_in(error) from None
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise DatabaseRefusedError(f"The URL of Postgres cannot be used: {error}.") from None


def _not_let_in(error: Exception) -> DatabaseRefusedError:
    return DatabaseRefusedError(f"Postgres does not let us in ({error}): mend name and password in its URL.")


def _place(url: str) -> str:
    """Return the host of a URL, and its port or socket; nothing that is secret."""
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query))
    host = parts.hostname or asked.get("host", "localhost")
    return f"{host}:{parts.port or asked.get('port', 5432)}"


def _cause(error: Exception) -> str:
    cause = error.__cause__
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).rstrip(".")


async def connect(url: str, *, statement_seconds: float = STATEMENT_SECONDS) -> Any:
    """Open one connection outside the pool, for long use (the writer, LISTEN, rebuilds)."""
    with connecting(url):
        return await _connected(url, statement_seconds, SETTINGS)


async def _connected(url: str, statement_seconds: float, settings: Mapping[str, str]) -> Any:
    return await asyncpg.connect(
        url,
        timeout=POOL_WAIT_SECONDS,
        command_timeout=statement_seconds,
        max_cached_statement_lifetime=0,
        server_settings={**settings, "statement_timeout": str(int(statement_seconds * 1000))},
    )


class Session:
    """Queries on one connection; what `Database.transaction` gives."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def all(self, row: Callable[..., Row], sql: str, *args: object) -> list[Row]:
        with translated():
            records = await self.connection.fetch(sql, *args)
        return decode(row, records)

    async def one(self, row: Callable[..., Row], sql: str, *args: object) -> Row | None:
        with translated():
            record = await self.connection.fetchrow(sql, *args)
        return None if record is None else decode(row, [record])[0]

    async def value(self, sql: str, *args: object) -> Any:
        with translated():
            return await self.connection.fetchval(sql, *args)

    async def run(self, sql: str, *args: object) -> str:
        with translated():
            return str(await self.connection.execute(sql, *args))

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        schema, _, name = table.rpartition(".")
        with translated():
            await self.connection.copy_records_to_table(name, schema_name=schema, columns=columns, records=rows)

    @asynccontextmanager
    async def transaction(self, *, durable: bool = True) -> AsyncIterator[Db]:
        """BEGIN … COMMIT, or ROLLBACK when anything is raised. Not nested."""
        await self.run(BEGIN if durable else BEGIN_LAZY)
        try:
            yield self
        except BaseException:
            await asyncio.shield(self._roll_back())
            raise
        await self.run("COMMIT")

    async def _roll_back(self) -> None:
        try:
            await self.connection.execute("ROLLBACK")
        except (*AWAY, asyncpg.PostgresError):
            with suppress(asyncpg.InterfaceError):  # closed already: the pool has it back, and lets nobody touch it
                self.connection.terminate()


class Database:
    """A pool; each query borrows a connection, at most `POOL_WAIT_SECONDS` after it asked."""

    def __init__(self, pool: ConnectionPool, url: str) -> None:
        self.pool = pool
        self.url = url

    @classmethod
    async def open(
        cls, url: str, *, size: int = 10, statement_seconds: float = STATEMENT_SECONDS, plans_once: bool = False
    ) -> Self:
        """Connect, and raise `RecordUnavailableError` when nobody answers. `plans_once`: each connection plans a statement once
        for all values, and again when its tables were analysed."""
        settings = SETTINGS | PLANNED_ONCE if plans_once else SETTINGS
        with connecting(url):
            pool = ConnectionPool(
                partial(_connected, url, statement_seconds, settings), size_max=size, wait_seconds=POOL_WAIT_SECONDS
            )
            pool.give_back(await pool.acquire(), is_usable=True)
        return cls(pool, url)

    async def close(self) -> None:
        """End all connections, with a word to the server where it is there; where it is away that is no error."""
        try:
            async with asyncio.timeout(POOL_WAIT_SECONDS):
                await self.pool.close()
        except (*AWAY, asyncpg.PostgresError):
            self.pool.terminate()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Borrow one connection for several queries. It is ended if one of them was not heard to the end."""
        with translated():
            connection = await self.pool.acquire()
        is_usable = True
        try:
            yield Session(connection)
        except NothingWrittenError:
            raise
        except (asyncio.CancelledError, RecordUnavailableError):
            is_usable = False
            raise
        finally:
            self.pool.give_back(connection, is_usable=is_usable)

    async def all(self, row: Callable[..., Row], sql: str, *args: object) -> list[Row]:
        async with self.session() as session:
            return await session.all(row, sql, *args)

    async def one(self, row: Callable[..., Row], sql: str, *args: object) -> Row | None:
        async with self.session() as session:
            return await session.one(row, sql, *args)

    async def value(self, sql: str, *args: object) -> Any:
        async with self.session() as session:
            return await session.value(sql, *args)

    async def run(self, sql: str, *args: object) -> str:
        async with self.session() as session:
            return await session.run(sql, *args)

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        async with self.session() as session:
            await session.copy(table, columns, rows)

    def transaction(self, *, durable: bool = True) -> AbstractAsyncContextManager[Db]:
        return self._transaction(durable)

    @asynccontextmanager
    async def _transaction(self, durable: bool) -> AsyncIterator[Db]:
        async with self.session() as session, session.transaction(durable=durable) as transaction:
            yield transaction
