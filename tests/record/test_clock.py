"""A clock that leaps: nothing is recorded at a time that cannot be taken back, and nothing that protects depends on one."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
import structlog

from adapters.clock import now
from adapters.postgres.clock_watch import ClockLeaptError, ClockWatch
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from commands import HANDLERS
from commands.account import ChangePassword
from commands.command_bus import CommandBus
from commands.session import EndSession, OpenSession
from domain.clock import ClockAccepted
from domain.events import Caller
from domain.ids import SessionId
from domain.ports.record import Appended
from domain.session import SessionEnded
from gateway.edge.sessions import Sessions
from projections import LIVE
from runtime.operators import clock
from runtime.operators.doctor import doctor
from runtime.settings import Settings
from tests.chaos.owners import Owner
from tests.commands.test_desk import person
from tests.commands.test_folds import as_owner
from tests.deployments import MASTER, SECRET, deployment, ledger, logged, running
from tests.record.test_record import post
from workers.projector import Follower

EIGHT_DAYS = timedelta(days=8)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SET_MADE_AT = "UPDATE record.identity SET made_at = now() + $1::interval"
PAST_TRIGGERS = "SET session_replication_role = replica"
SET_LAST_AT = """
    UPDATE record.events SET recorded_at = now() + $1::interval
    WHERE position = (SELECT max(position) FROM record.events)
"""


@asynccontextmanager
async def record_of(database_url: str, watch: ClockWatch) -> AsyncIterator[PostgresRecord]:
    db = await Database.open(database_url, size=2)
    record = PostgresRecord(db, Vault(db, MASTER), now=now, chance=os.urandom, clock=watch)
    async with running(record.run()):
        yield record
    await db.close()


async def set_head(database_url: str, by: timedelta) -> None:
    """Put the record's last time where a clock of before was: that of its last event, or of its making."""
    await as_owner(database_url, (SET_MADE_AT, by), (PAST_TRIGGERS,), (SET_LAST_AT, by))


async def test_a_clock_that_is_days_ahead_of_this_machines_writes_nothing(database_url: str) -> None:
    async with record_of(database_url, ClockWatch(own=lambda: now() - EIGHT_DAYS)) as record:
        await set_head(database_url, -EIGHT_DAYS)
        before = await record.head()
        with logged(structlog.processors.JSONRenderer()) as said:
            for _ in range(2):
                with pytest.raises(ClockLeaptError, match="hansard clock accept"):
                    await record.append(post())
        assert said.getvalue().count("the clock has leapt") == 1
        after = await record.head()
        assert (after.position, after.at) == (before.position, before.at) and not await record.after(0, limit=10)


async def test_a_clock_that_leaps_while_this_machines_does_too_writes_nothing(database_url: str) -> None:
    """One machine has one clock: what it said before and its uptime tell that it leapt."""
    leap, awake = timedelta(0), [0.0]

    def own() -> datetime:
        return now() - EIGHT_DAYS + leap

    await set_head(database_url, -EIGHT_DAYS)
    watch = ClockWatch(own=own, uptime=lambda: awake[0])
    watch.believe(own(), own())
    leap = EIGHT_DAYS
    async with record_of(database_url, watch) as record:
        with pytest.raises(ClockLeaptError):
            await record.append(post())
        awake[0] += EIGHT_DAYS.total_seconds()  # it had slept
        assert isinstance(await record.append(post()), Appended)


SELECT_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


async def test_a_clock_that_leaps_while_an_append_waits_for_its_turn_writes_nothing(database_url: str) -> None:
    """It was right when it was asked; found by `make chaos`."""
    moved, owner = Owner(database_url), await asyncpg.connect(database_url)
    await moved.make_clock()
    async with ledger(database_url) as (_, record, _):
        await record.append(post())
        async with owner.transaction():
            await owner.execute("LOCK TABLE record.append_lock IN EXCLUSIVE MODE")  # as an append does
            waiting = asyncio.create_task(record.append(post()))
            while not await owner.fetchval(SELECT_WAITING):
                assert not waiting.done()
            await moved.set_clock(EIGHT_DAYS)
        with pytest.raises(ClockLeaptError, match="hansard clock accept"):
            await waiting
        assert len(await record.after(0, limit=10)) == 1 and not await moved.ahead(MINUTE)
        await moved.set_clock(timedelta(0))
        assert isinstance(await record.append(post()), Appended)
    await owner.close()


async def test_a_record_that_is_ahead_goes_on_for_a_process_that_has_not_seen_it(database_url: str) -> None:
    """An operator accepted the clock that was: what is given out then is the record's own time."""
    async with ledger(database_url) as (_, record, _):
        await record.append(post())
        await set_head(database_url, EIGHT_DAYS)
        assert isinstance(await record.append(post()), Appended)


async def test_a_first_append_after_a_long_pause_is_no_leap(database_url: str) -> None:
    await set_head(database_url, -timedelta(days=400))
    async with ledger(database_url) as (_, record, _):
        assert isinstance(await record.append(post()), Appended)


async def test_what_an_operator_accepted_holds_for_every_process_and_is_recorded(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "master.key"
    key.write_text(SECRET.hex())
    key.chmod(0o600)
    settings = Settings(home=tmp_path, database_url=database_url, master_key_file=key)
    await set_head(database_url, -EIGHT_DAYS)
    async with record_of(database_url, ClockWatch(own=lambda: now() - EIGHT_DAYS)) as record:
        with pytest.raises(ClockLeaptError):
            await record.append(post())
        assert await clock.accept(settings) == 0
        (recorded,) = await record.after(0, limit=10)
        assert isinstance(recorded.event, ClockAccepted) and recorded.meta.agent is None
        assert recorded.event.clock - recorded.event.recorded > EIGHT_DAYS - MINUTE
        assert isinstance(await record.append(post()), Appended)
    assert await clock.show(settings) == 0
    assert "Accepted at position 1" in capsys.readouterr().out
    assert await doctor(settings, ["clock"]) == 0
    await set_head(database_url, EIGHT_DAYS)
    assert await doctor(settings, ["clock"]) == 1
    assert "times stand still" in capsys.readouterr().out


async def test_a_gateway_says_what_the_clock_does(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard:
        await hansard.person()
        http = hansard.client()

        async def ready() -> tuple[int, str]:
            answer = await http.get(f"{hansard.base}/readyz")
            return answer.status_code, answer.json()["clock"]

        assert await ready() == (200, "ok")
        object.__setattr__(hansard.services, "clock", ClockWatch(own=lambda: now() - 2 * HOUR))
        assert await ready() == (200, "unlike this machine's"), "the record is there already"
        assert "hansard_clock_ahead_seconds 7200.0\n" in (await http.get(f"{hansard.base}/metrics")).text
        object.__setattr__(hansard.services, "clock", ClockWatch(own=lambda: now() - 2 * HOUR))
        await set_head(database_url, -EIGHT_DAYS)
        assert await ready() == (503, "leapt")
        await set_head(database_url, EIGHT_DAYS)
        assert await ready() == (200, "behind the record")
        assert "hansard_record_time_ahead_seconds 691" in (await http.get(f"{hansard.base}/metrics")).text


async def open_session(command_bus: CommandBus, caller: Caller) -> SessionId:
    session_id = SessionId(uuid4())
    assert caller.user_id
    await command_bus.do(OpenSession(session_id, caller.user_id, "t", now() + timedelta(days=7)), Caller())
    return session_id


@pytest.mark.parametrize("leap", [EIGHT_DAYS, -EIGHT_DAYS], ids=["ahead", "behind"])
async def test_a_new_password_ends_all_sessions_whatever_a_clock_said(database_url: str, leap: timedelta) -> None:
    async with ledger(database_url) as (_, record, _):
        ours = CommandBus(record, HANDLERS, now=lambda: now() - min(leap, timedelta(0)), chance=os.urandom)
        ada = await person(ours)
        assert ada.user_id
        if leap > timedelta(0):
            await set_head(database_url, leap)
        ids = [await open_session(ours, ada) for _ in range(4)]
        outcome = await ours.do(ChangePassword("no hash", "changed"), Caller(ada.user_id, ids[0]))
        ended = [recorded.event.session_id for recorded in outcome.events if isinstance(recorded.event, SessionEnded)]
        assert ended == ids[1:]


async def test_an_ended_session_stays_so_at_a_gateway_whose_clock_is_ahead(database_url: str) -> None:
    """Tables say by the database's clock when it ended, tokens by the gateway's until when they are good."""
    async with ledger(database_url) as (db, record, command_bus):
        ada = await person(command_bus)
        session_id = await open_session(command_bus, ada)
        await command_bus.do(EndSession(session_id, "logout"), Caller(ada.user_id, session_id))
        await Follower(LIVE, record, db, owner="one").step()
        known = Sessions(db, NoTokens(), lambda: now() + 30 * MINUTE)  # type: ignore[arg-type]
        await known.reload()
        assert known.is_over(Has(session_id))  # type: ignore[arg-type]


class NoTokens:
    async def reload(self) -> None: ...


class Has:
    """As much of an access as is asked for."""

    user_id = UUID(int=1)

    def __init__(self, session_id: SessionId) -> None:
        self.session_id = session_id
