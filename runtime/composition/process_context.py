"""What every process needs: Postgres, the keys, the record and the command bus."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from adapters.clock import now
from adapters.postgres.clock_watch import ClockWatch
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.key_news import KeyNews
from adapters.postgres.master_key import MasterKeyWrongError, load_master
from adapters.postgres.master_key_check import require_right
from adapters.postgres.snapshots import PostgresSnapshots
from adapters.prometheus.record import AppendMetrics
from adapters.prometheus.registry import Registry, new_registry
from commands import HANDLERS
from commands.command_bus import CommandBus
from domain.ids import RecordId
from domain.ports.record import RecordUnavailableError
from runtime.locations import NotRunningError, database_url
from runtime.login_checks import guard_login
from runtime.restoring import refuse_while_restoring
from runtime.settings import Settings
from runtime.startup_checks import guard

ANY_SECONDS = 100 * 365 * 24 * 3600


@dataclass(frozen=True)
class ProcessContext:
    """What every process needs."""

    settings: Settings
    db: Database
    vault: Vault
    record: PostgresRecord
    record_id: RecordId
    command_bus: CommandBus
    clock: ClockWatch
    registry: Registry


@asynccontextmanager
async def process_context(
    settings: Settings,
    *,
    kind: str = "operator",
    statement_seconds: float | None = None,
    any_clock: bool = False,
    restoring: bool = False,
) -> AsyncIterator[ProcessContext]:
    """Open what every process needs, with the log-in of its kind, and close it in reverse order.

    `any_clock` accepts whatever Postgres' clock says: an operator looked at it. `restoring` is for the one command that opens a
    record which is not restored yet; for all others it does not serve. Raise `NotRunningError` if the database is
    not there or has no record yet, `MasterKeyWrongError` if the key is another record's.
    """
    async with AsyncExitStack() as stack:
        longer = {} if statement_seconds is None else {"statement_seconds": statement_seconds}
        url, plans_once = database_url(settings, kind), kind == "gateway"
        db = await Database.open(url, size=settings.pool_size, plans_once=plans_once, **longer)
        stack.push_async_callback(db.close)
        guard(settings)
        await guard_login(settings, db, kind)
        if not restoring:
            await refuse_while_restoring(db)
        vault = Vault(db, load_master(settings.master_key, create=False))
        clock = ClockWatch(ANY_SECONDS if any_clock else settings.clock_ahead_seconds)
        registry = new_registry()
        appending = None if kind == "projector" else AppendMetrics(registry)
        record = PostgresRecord(db, vault, now=now, chance=os.urandom, clock=clock, metrics=appending)
        try:
            head = await record.head()
            await require_right(db, vault.master, settings.master_key, keep=kind != "projector")
        except (RecordUnavailableError, MasterKeyWrongError):
            raise
        except Exception as error:
            raise NotRunningError(
                "The database has no record yet, or is older than this release: run 'hansard migrate' first."
            ) from error
        command_bus = CommandBus(record, HANDLERS, now=now, chance=os.urandom, snapshots=PostgresSnapshots(db, vault))
        yield ProcessContext(settings, db, vault, record, head.record, command_bus, clock, registry)


def following_key_news(base: ProcessContext, *hear: Callable[[], None]) -> "asyncio.Task[None]":
    """Start the loop in which a process hears of data keys that were destroyed; `hear` is called beside the vault's own."""
    return asyncio.create_task(
        KeyNews(base.db.url, base.vault.hear, base.command_bus.forget, *hear).run(), name="news of data keys"
    )


def process_name() -> str:
    """Return the name under which this process holds leases and tasks: its host and its id."""
    return f"{os.uname().nodename}/{os.getpid()}"
