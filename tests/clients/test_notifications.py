"""The client library's inbox and settings of notifications, against a server."""

from collections.abc import AsyncIterator

import pytest

from tests.clients.people import own_id, person
from tests.deployments import Gateway, deployment


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def test_one_reads_ones_inbox_and_says_what_one_wants_to_be_told_of(hansard: Gateway) -> None:
    async with person(hansard, "ada") as ada, person(hansard, "ben") as ben:
        changed = await ben.change_notifications(
            keywords=["deploy"],
            quiet={"from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin", "days": ["mon"]},
            dnd_until="2026-01-01T00:00:00Z",
        )
        assert (changed.default, changed.keywords, changed.email) == ("mentions", ["deploy"], "off")
        assert changed.quiet == {"from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin", "days": ["mon"]}
        assert await ben.notification_settings() == changed
        room = await ada.open_room("Lobby")
        await ada.put_member(room.id, own_id(ben))
        named, told = await ada.send(room.id, "@ben look"), await ada.send(room.id, "we deploy")
        found = [each async for each in ben.notifications(limit=1, after=told.position)]
        assert [(each.kind, each.message_id, each.actor_id, each.read) for each in found] == [
            ("keyword", told.id, own_id(ada), False), ("mention", named.id, own_id(ada), False),
            ("invitation", None, own_id(ada), False),
        ]  # fmt: skip
        assert (found[0].position, found[0].at) == (told.position, told.created_at)
        await ben.read_notifications(named.position)
        assert await ben.unread_notifications(after=ben.position) == 1
