"""Threads on the real record: who is made to follow one by a reply."""

from msgspec.structs import replace

from commands.membership import LeaveRoom
from domain.message import MESSAGE, MessagePosted
from domain.thread import ThreadFollowed
from tests.commands.test_desk import person, post, room_of
from tests.deployments import ledger


async def test_whoever_left_the_room_is_not_made_to_follow_its_threads(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada, ben, cyd = await person(command_bus), await person(command_bus), await person(command_bus, "cyd")
        room_id = await room_of(command_bus, ada, ben, cyd)
        posted = (await command_bus.do(post(room_id, "root @cyd"), ben)).recorded(MessagePosted)
        assert posted is not None and posted.event.mentions == (cyd.user_id,)
        for person_gone in (ben, cyd):
            await command_bus.do(LeaveRoom(room_id), person_gone)
        reply = replace(post(room_id, "reply"), thread_id=posted.event.message_id)
        outcome = await command_bus.do(reply, ada)
        assert outcome.folded(MESSAGE, reply.message_id).version == 1
        followed = [each.event.user_id for each in outcome.events if isinstance(each.event, ThreadFollowed)]
        assert followed == [ada.user_id]
