"""Searches of the audit trail, however slow and however many, hold up nobody but each other."""

import asyncio
from contextlib import AsyncExitStack
from uuid import UUID

from adapters.postgres.audit import AUDIT_CONNECTIONS_MAX
from commands.account import GrantRole
from domain.events import Caller
from domain.ids import UserId
from tests.deployments import deployment

SEARCHES = 20
PAGES = 50


async def test_searches_that_hold_every_connection_of_theirs_keep_nobody_from_reading(
    database_url: str, redis_url: str
) -> None:
    async with deployment(database_url, redis_url) as hansard:
        ada, ben = await hansard.person(), await hansard.person()
        await hansard.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), "auditor"), Caller())
        room_id = await ben.room()
        await ben.say(room_id, "Hello")
        path, why = "/audit/events?type=message.posted", {"Hansard-Reason": "a complaint"}
        async with AsyncExitStack() as held:
            db = hansard.services.audit.db
            for _ in range(db.pool.size_max):
                await held.enter_async_context(db.session())
            searching = [asyncio.create_task(ada.http.get(path, headers=why)) for _ in range(SEARCHES)]
            pages = await asyncio.gather(*(ben.http.get(f"/rooms/{room_id}/messages") for _ in range(PAGES)))
            assert {page.status_code for page in pages} == {200}
            answers = {answer.status_code for answer in await asyncio.gather(*searching)}
        assert answers == {503}
        assert db.pool.size_max == AUDIT_CONNECTIONS_MAX
        found = (await ada.ask("GET", path, 200, headers=why))["items"]
        assert [entry["data"]["content"] for entry in found] == ["Hello"]
