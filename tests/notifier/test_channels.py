"""The contract of channels, held by the one in memory. `check_channel` is for every channel that people are told by."""

from uuid import UUID, uuid4

from adapters.memory.notices import MemoryChannel
from domain.ports.channels import Channel, Gone, Later, Notice, Outcome, Refused, Told

ADA, DEVICE = UUID(int=1), UUID(int=2)


def notice_for(account_id: UUID) -> Notice:
    return Notice(
        account_id=account_id, position=7, kind="mention", room_id=None, message_id=None, actor_id=None,
        at="2026-11-27T12:00:00Z",
    )  # fmt: skip


async def check_channel(channel: Channel, account_id: UUID, target_id: UUID) -> None:
    """Hold a channel by which this person has this one target to what a notifier relies on."""
    assert channel.name
    assert await channel.targets(account_id) == [target_id]
    assert await channel.targets(uuid4()) == []
    assert await channel.tell(target_id, notice_for(account_id)) == Told()
    assert await channel.tell(uuid4(), notice_for(account_id)) == Gone(), "an unknown target is no error"
    await channel.forget(target_id)
    assert await channel.targets(account_id) == []
    assert await channel.tell(target_id, notice_for(account_id)) == Gone()
    await channel.forget(target_id)


async def test_the_channel_in_memory_keeps_the_contract() -> None:
    channel = MemoryChannel()
    channel.add(DEVICE, ADA)
    await check_channel(channel, ADA, DEVICE)


async def test_the_channel_in_memory_answers_what_it_is_set_to() -> None:
    channel = MemoryChannel()
    channel.add(DEVICE, ADA)
    answers: list[Outcome] = [Later(3.0), Refused("413"), Gone()]
    channel.answers[DEVICE] = list(answers)
    assert [await channel.tell(DEVICE, notice_for(ADA)) for _ in range(3)] == answers
    assert await channel.tell(DEVICE, notice_for(ADA)) == Told()
    assert [told.target_id for told in channel.told] == [DEVICE]
