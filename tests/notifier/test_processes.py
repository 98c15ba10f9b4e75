"""The notifier as a process, what operators see of it, and what it hears of presence."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from adapters.postgres.database import Database
from adapters.postgres.outbox import Outbox, set_state
from adapters.redis.who_is_here import RedisPresence
from domain.delivery import Delivery
from domain.ids import RoomId, UserId
from tests.commands.test_desk import room_of
from tests.deployments import Gateway, as_login, deployment, until
from tests.lines import line
from tests.notifier.desks import notifier

MASTER_KEY = b"a master key for tests, 32 bytes".hex()


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def test_who_is_here_is_who_the_gateways_see(hansard: Gateway, redis_url: str) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id, both = RoomId(UUID(await ada.room(ben))), [UserId(UUID(each.id)) for each in (ada, ben)]
    here = RedisPresence.open(redis_url, hansard.services.record_id)
    async with line(hansard, ben, str(room_id)) as his, line(hansard, ada):
        await his.until("live")

        async def seen() -> bool:
            return (await here.looking([room_id]))[room_id] == {both[1]} and await here.online(both) == set(both)

        await until(seen)
    assert await here.looking([]) == {} and await here.online([]) == frozenset()
    await until(lambda: nobody(here, both))
    await here.close()
    away = RedisPresence.open("redis://127.0.0.1:1", hansard.services.record_id)
    assert (await away.looking([room_id]), await away.online(both)) == ({}, frozenset())
    await away.close()


async def nobody(here: RedisPresence, people: list[UserId]) -> bool:
    return await here.online(people) == frozenset()


async def run(database_url: str, redis_url: str, folder: Path, command: str, **more: str) -> asyncio.subprocess.Process:
    """Start a command of `hansard` with the log-in of its kind; `more` is of the environment."""
    (folder / "master.key").write_text(MASTER_KEY)
    (folder / "master.key").chmod(0o600)
    kind = "notifier" if command == "notifier" else "operator"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HANSARD_")},
        "HANSARD_HOME": str(folder / "home"), "HANSARD_DATABASE_URL": as_login(database_url, kind),
        "HANSARD_REDIS_URL": redis_url, "HANSARD_MASTER_KEY_FILE": str(folder / "master.key"), **more,
    }  # fmt: skip
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runtime.cli", command),
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def test_operators_see_what_waits_and_what_was_given_up(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with notifier(database_url) as desk:
        process = await run(database_url, redis_url, tmp_path, "notifications")
        assert (await process.communicate())[0].decode() == "Nobody was told anything yet.\n"
        ada, ben = await desk.somebody(), await desk.somebody()
        room_id = await desk.room(ada, ben)
        position = await desk.say(ada, room_id, f"@{ben.name} CANARY")
        await desk.plan()
        at = datetime.now(UTC) - timedelta(minutes=1)
        delivery = Delivery(ben.id, position, "push", ben.device, "mention", room_id, None, ada.id, at)
        await set_state(desk.own, [delivery], "dead", at, reason="413", tries=1)
        process = await run(database_url, redis_url, tmp_path, "notifications")
        said = (await process.communicate())[0].decode()
        assert process.returncode == 0
        assert said.splitlines()[:2] == ["push: 1 dead", "push: 1 told"]
        assert f"push {ben.device}: given up, 413 (mention at position {position}, 1 tries, " in said
        assert "CANARY" not in said and ben.name not in said


async def test_the_notifier_alone_keeps_inboxes_and_ends_when_it_is_told_to(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with notifier(database_url) as desk:
        ada, ben = await desk.somebody(), await desk.somebody()
        room_id = await room_of(desk.command_bus, ada.caller, ben.caller)
        position = await desk.say(ada, room_id, f"@{ben.name}")
        process = await run(database_url, redis_url, tmp_path, "notifier")

        async def planned() -> bool:
            return (await Outbox(desk.own).place()).record == (await desk.record.head()).record and await told(desk.own)

        async def told(db: Database) -> bool:
            sql = "SELECT count(*) FROM read.notifications WHERE position = $1"
            return bool(await db.value(sql, position))

        try:
            await until(planned, seconds=30)
        finally:
            process.terminate()
        said = (await process.communicate())[0].decode()
        assert process.returncode == 0, said
