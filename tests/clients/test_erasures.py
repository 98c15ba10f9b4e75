"""The client library's calls about erasures, against a server."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from hansard_client import Refused

from commands.account import GrantRole
from domain.events import Caller
from domain.ids import UserId
from tests.clients.people import own_id, person
from tests.deployments import PASSWORD, Gateway, deployment


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def test_one_asks_for_an_erasure_and_sees_how_far_it_is_when_one_is_out(hansard: Gateway) -> None:
    async with person(hansard, "ada") as ada, person(hansard, "ben") as ben, person(hansard, "cleo") as cleo:
        with pytest.raises(Refused, match="password"):
            await ada.erase_me("not that")
        asked = await ada.erase_me(PASSWORD)
        assert (asked.status, asked.held_by, asked.certificate) == ("running", [], None)
        with pytest.raises(Refused, match="session has ended"):
            await ada.me()
        seen = await ada.erasure(asked.erasure_id, after=ada.position)
        assert seen.requested_at is not None and (seen.status, seen.completed_at) == ("running", None)
        with pytest.raises(Refused):
            await ben.erase_user(own_id(cleo), reason="she asked")
        await hansard.services.command_bus.do(GrantRole(UserId(UUID(own_id(ben))), "admin"), Caller())
        assert (await ben.erase_user(own_id(cleo), reason="she asked")).status == "running"
