"""The parts of a notary: its own log-in, its own key, and nothing of what opens events (no master key)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg

from adapters.notary.key import NotaryKey, NotaryKeyError, make_notary_secret, read_notary_secret
from adapters.notary.keyring import Keyring
from adapters.notary.memory import NOTARY_KEY, VERIFIER, LastSigned, held, write_whole
from adapters.postgres.database import Database
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.tiles import TileStore
from domain.tree_head import origin_of
from runtime.composition.witnesses import open_witnesses
from runtime.locations import NotRunningError, database_url
from runtime.login_checks import guard_login
from runtime.restoring import refuse_while_restoring
from runtime.settings import Settings
from runtime.startup_checks import guard
from workers.notary import Notary
from workers.witness import Witnessing

NOTARY_CONNECTIONS = 3


class NotaryParts(NamedTuple):
    """A notary, and what the process beside it needs."""

    notary: Notary
    events: EventEntries
    store: TileStore
    key: NotaryKey
    memory: LastSigned
    witnessing: Witnessing | None

    def figures(self) -> tuple[float, ...]:
        """Return what the gauges of `adapters/prometheus/notary.py` show."""
        signed, notary, witnessing = self.notary.signed, self.notary, self.witnessing
        of_witnesses = (
            (witnessing.witnessed, len(witnessing.missing), len(witnessing.contradicted)) if witnessing else (0, 0, 0)
        )
        return (0 if signed is None else signed.size, notary.behind, notary.waiting, notary.is_refusing, *of_witnesses)


@asynccontextmanager
async def opened_notary(settings: Settings, *, accepting: bool = False) -> AsyncIterator[NotaryParts]:
    """Open everything that a notary needs. Its key is made the first time; one that has signed and is gone is
    made anew with `accepting` alone, which also works beside a notary that runs.

    Raise `NotRunningError`, `NotaryKeyError`, or `NotaryRunsAlreadyError`.
    """
    async with AsyncExitStack() as stack:
        db = await Database.open(database_url(settings, "notary"), size=NOTARY_CONNECTIONS)
        stack.push_async_callback(db.close)
        guard(settings)
        await guard_login(settings, db, "notary")
        await refuse_while_restoring(db)
        if not accepting:
            stack.enter_context(held(settings.notary))
        events, store, memory = EventEntries(db), TileStore(db), LastSigned(settings.notary)
        try:
            origin = origin_of((await events.head()).record)
            is_new = memory.read() is None and not await store.has_signed(origin)
            key = NotaryKey(_secret(settings.notary / NOTARY_KEY, make=is_new or accepting), origin)
            # The key of a record that was not accepted yet is told to nobody: who verifies goes by the one before.
            if is_accepted := memory.origin() in (None, origin):
                await store.tell_key(str(key.verifier), origin)
        except asyncpg.UndefinedTableError as error:
            raise NotRunningError(
                "The database has no record yet, or is older than this release: run 'hansard migrate' first."
            ) from error
        if is_accepted:
            write_whole(settings.notary / VERIFIER, f"{key.verifier}\n")
        places = await open_witnesses(settings, stack)
        quorum, seconds = settings.witness_quorum, settings.witness_seconds
        witnessing = Witnessing(memory, store, places, quorum=quorum, seconds=seconds) if places else None
        yield NotaryParts(
            Notary(events, store, key, memory, Keyring(settings.notary, origin)), events, store, key, memory, witnessing
        )


def _secret(path: Path, *, make: bool) -> bytes:
    secret = read_notary_secret(path)
    if secret is None and not make:
        raise NotaryKeyError(
            f"There is no notary's key at {path}, and checkpoints were signed with one: put back the copy that you kept, or "
            "go on with another ('hansard notary --accept')."
        )
    return make_notary_secret(path) if secret is None else secret
