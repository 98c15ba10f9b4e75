"""Glances: what a mention looks up is looked up once in some seconds, and what others wrote is seen after that."""

from datetime import timedelta
from typing import Any

import pytest

from adapters.clock import now
from commands import HANDLERS
from commands.account import Activate, ChangeProfile, Deactivate
from commands.block import BlockUser, UnblockUser
from commands.command_bus import CommandBus
from commands.direct import OpenDirect
from commands.folds import Folded
from commands.glances import GLANCE_SECONDS, GLANCES_MAX, Glances
from commands.membership import RemoveMember
from domain.direct import people_of, room_id_of
from domain.errors import BlockedError
from domain.events import Caller
from domain.ids import RoomId, UserId, stream_id
from domain.message import MessagePosted
from domain.ports.record import ClaimKind
from tests.commands.test_desk import Counting, person, post, room_of
from tests.deployments import ledger


class Asking(Counting):
    """A record that counts what is looked up of claims, too."""

    async def claimant(self, kind: ClaimKind, value: str) -> Any:
        self.reads += 1
        return await self._record.claimant(kind, value)


class Ahead:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> Any:
        return now() + timedelta(seconds=self.seconds)


async def test_whom_a_text_names_is_looked_up_once_in_some_seconds(database_url: str) -> None:
    async with ledger(database_url) as (_, record, other):
        asking, clock = Asking(record), Ahead()
        own = CommandBus(asking, HANDLERS, now=clock, chance=lambda n: bytes(n))  # type: ignore[arg-type]
        ada, ben, cyd = await person(other, "ada"), await person(other, "ben"), await person(other, "cyd")
        room_id = await room_of(other, ada, ben, cyd)
        assert ada.user_id and ben.user_id and cyd.user_id

        async def mentioned(by: Caller = ada) -> tuple[UserId, ...]:
            posted = (await own.do(post(room_id, "@ben"), by)).recorded(MessagePosted)
            assert posted is not None
            return posted.event.mentions

        assert await mentioned() == (ben.user_id,)
        asking.reads = 0
        assert [await mentioned() for _ in range(5)] == [(ben.user_id,)] * 5
        assert asking.reads == 0

        await other.do(ChangeProfile(username="benjamin"), ben)
        await other.do(ChangeProfile(username="ben"), cyd)
        clock.seconds += GLANCE_SECONDS + 1
        assert await mentioned() == (cyd.user_id,), "the name is another's by now"
        await other.do(BlockUser(ada.user_id), cyd)
        clock.seconds += GLANCE_SECONDS + 1
        assert await mentioned() == ()
        await other.do(UnblockUser(ada.user_id), cyd)
        clock.seconds += GLANCE_SECONDS + 1
        assert await mentioned() == (cyd.user_id,)
        await other.do(RemoveMember(room_id, cyd.user_id), ada)
        clock.seconds += GLANCE_SECONDS + 1
        assert await mentioned() == ()


async def test_what_the_same_process_wrote_is_seen_at_once(database_url: str) -> None:
    async with ledger(database_url) as (_, _, own):
        ada, ben = await person(own, "ada"), await person(own, "ben")
        room_id: RoomId = await room_of(own, ada, ben)
        assert ada.user_id and ben.user_id

        async def mentioned() -> tuple[UserId, ...]:
            posted = (await own.do(post(room_id, "@ben"), ada)).recorded(MessagePosted)
            assert posted is not None
            return posted.event.mentions

        assert await mentioned() == (ben.user_id,)
        await own.do(BlockUser(ada.user_id), ben)
        assert await mentioned() == ()
        await own.do(UnblockUser(ada.user_id), ben)
        assert await mentioned() == (ben.user_id,)
        await own.do(Deactivate(ben.user_id), Caller())
        assert await mentioned() == (), "an account that is deactivated is named by nobody"
        await own.do(Activate(ben.user_id), Caller())
        assert await mentioned() == (ben.user_id,)
        await own.do(ChangeProfile(username="benjamin"), ben)
        assert await mentioned() == ()


async def test_a_block_hides_nothing_where_more_than_two_are(database_url: str) -> None:
    async with ledger(database_url) as (_, _, own):
        ada, ben, cyd = [await person(own) for _ in range(3)]
        assert ada.user_id and ben.user_id and cyd.user_id
        await own.do(OpenDirect((ben.user_id,)), ada)
        await own.do(OpenDirect((ben.user_id, cyd.user_id)), ada)
        await own.do(BlockUser(ada.user_id), ben)
        pair, three = (
            room_id_of(people_of(ada.user_id, others)) for others in ([ben.user_id], [ben.user_id, cyd.user_id])
        )
        assert (await own.do(post(three), ada)).recorded(MessagePosted)
        with pytest.raises(BlockedError):
            await own.do(post(pair), ada)


def test_as_many_glances_are_kept_as_may_be_and_none_of_the_future() -> None:
    glances, at = Glances(), now()
    first, last = stream_id("blocks", UserId(stream_id("x"))), stream_id("blocks", UserId(stream_id("y")))
    one: Folded[Any] = Folded(None, 1)
    glances.keep(first, one, at)
    for n in range(GLANCES_MAX - 1):
        glances.keep_claimant("username", f"{n}", first, at)
    assert glances.fold(first, at) is one
    glances.keep(last, one, at)
    assert glances.fold(first, at) is None and glances.fold(last, at) is one
    assert glances.fold(last, at - timedelta(seconds=1)) is None, "the clock was set back"
