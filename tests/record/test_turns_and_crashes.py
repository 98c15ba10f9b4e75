"""Postgres is killed again and again while several processes append and queue: nothing acknowledged is lost or doubled."""

import asyncio
import os
import signal
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from adapters.postgres.event_store import PostgresRecord
from domain.ids import StreamId
from domain.ports.record import Appended, NothingWrittenError, RecordUnavailableError
from runtime.embedded.servers import Embedded
from runtime.groups import LOGINS
from runtime.migrate import create_database, migrate
from tests.deployments import LOGIN_PASSWORD, ledger
from tests.record.test_record import post

KILLS = 4
WRITERS = 6
BETWEEN_KILLS = 150  # acknowledged appends


async def test_what_was_acknowledged_survives_every_crash_and_what_was_refused_is_not_there() -> None:
    with tempfile.TemporaryDirectory(prefix="hansard-tests-") as folder:
        home = Path(folder) / "home"
        embedded = Embedded(home, redis=False)
        embedded.start()
        try:
            url = embedded.servers.database_url
            await create_database(url)
            await migrate(url, say=lambda sentence: None, logins=dict.fromkeys(LOGINS, LOGIN_PASSWORD))
            acknowledged: dict[StreamId, int] = {}
            refused: set[StreamId] = set()
            for _ in range(KILLS):
                enough = len(acknowledged) + BETWEEN_KILLS
                async with AsyncExitStack() as stack:
                    records = [(await stack.enter_async_context(ledger(url, size=2)))[1] for _ in range(WRITERS)]
                    killed = asyncio.Event()
                    writers = [
                        asyncio.create_task(_append_until(record, killed, acknowledged, refused)) for record in records
                    ]
                    async with asyncio.timeout(60):
                        while len(acknowledged) < enough:
                            await asyncio.sleep(0)
                        await asyncio.to_thread(_kill, home)
                        killed.set()
                        await asyncio.gather(*writers)
                await asyncio.to_thread(embedded.stop)
                embedded = Embedded(home, redis=False)
                await asyncio.to_thread(embedded.start)
            async with ledger(url, size=2) as (_, record, _):
                events = await record.after(0, limit=100_000)
                assert [recorded.position for recorded in events] == list(range(1, len(events) + 1))
                there = {recorded.stream: recorded.position for recorded in events}
                assert len(there) == len(events), "nothing is there twice"
                assert acknowledged.items() <= there.items(), "what was acknowledged is where it was said to be"
                assert refused.isdisjoint(there)
        finally:
            await asyncio.to_thread(embedded.stop)


async def _append_until(
    record: PostgresRecord, killed: asyncio.Event, acknowledged: dict[StreamId, int], refused: set[StreamId]
) -> None:
    while not killed.is_set():
        append = post()
        try:
            answer = await record.append(append)
        except NothingWrittenError:
            refused.add(append.writes[0].stream)
        except RecordUnavailableError:
            await asyncio.sleep(0)
        else:
            assert isinstance(answer, Appended)
            acknowledged[append.writes[0].stream] = answer.events[0].position


def _kill(home: Path) -> None:
    """Kill the postmaster and every backend at once, as a power cut would."""
    pid = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
    assert Path(f"/proc/{pid}/exe").resolve().name == "postgres"
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in (pid, *map(int, children)):
        with suppress(ProcessLookupError):  # a backend that had ended meanwhile
            os.kill(each, signal.SIGKILL)
