"""What was parked is taken later after all, as if it had never been parked; the record says that it was, and that it is no more."""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

import pytest

from commands.membership import JoinRoom, LeaveRoom
from commands.message import DeleteMessage, EditMessage
from commands.parking import NoteParked
from domain.events import Caller, Event, Recorded
from domain.message import MessagePosted
from domain.parking import EventParked, EventReplayed
from projections import (
    AUDIT_INDEX,
    LIVE,
    MESSAGE_HTML,
    NOTIFICATIONS,
    PAST,
    PROJECTIONS,
    checkpoints,
    parked,
    with_policies,
)
from projections.tables import Change, Group, Projection
from runtime.settings import SettingRefusedError
from runtime.settings_checks import GROUPS
from runtime.settings_reader import read
from tests.commands.test_desk import person
from tests.projections.test_parking import Scene, scene
from tests.runtime.test_generating import generated
from workers.folding import PoisonedError
from workers.parking_notes import ParkingNotes
from workers.projector import Follower
from workers.rebuild import Rebuild
from workers.replay import Replay
from workers.table_swap import RebuildRefusedError


def broken(fails: Callable[[Recorded[Any]], bool], group: Group = LIVE) -> Group:
    """A version of a group whose handlers fail on some events."""

    def handler_of(handler: Callable[[Recorded[Any]], Iterable[Change]]) -> Callable[[Recorded[Any]], Iterable[Change]]:
        def handle(recorded: Recorded[Any]) -> Iterable[Change]:
            if fails(recorded):
                raise ValueError("a fault of this version")
            return handler(recorded)

        return handle

    projections = tuple(
        Projection(each.tables, {kind: handler_of(handler) for kind, handler in each.handlers.items()})
        for each in group.projections
    )
    return group._replace(projections=projections)


def is_one_of(positions: Collection[int], recorded: Recorded[Any]) -> bool:
    return recorded.position in positions


async def noted(here: Scene) -> list[tuple[str, int]]:
    """What the record says of parked events, in order."""
    while await ParkingNotes(here.command_bus, here.db).step():
        pass
    found = []
    for recorded in await here.record.after(0, limit=2_000):
        if isinstance(recorded.event, (EventParked, EventReplayed)):
            found.append((type(recorded.event).__name__, recorded.event.position))
    return found


async def require_as_rebuilt(here: Scene) -> None:
    await here.follow()
    verdicts = await Rebuild(LIVE, here.record, here.db, progress=lambda progress: None).run(swap=False)
    assert [verdict.table for verdict in verdicts if not verdict.is_equal] == []


async def test_a_message_that_was_parked_comes_back_with_what_was_edited_since(database_url: str) -> None:
    async with scene(database_url) as here:
        first, second, third = await here.post(3)
        await here.command_bus.do(EditMessage(here.posted[second], "better"), here.caller)
        await here.follow(broken(lambda recorded: recorded.position in (second, third)))
        await here.command_bus.do(DeleteMessage(here.posted[third]), here.caller)
        await here.follow()
        assert await here.rows() == [first]
        assert await noted(here) == [("EventParked", second), ("EventParked", third)]
        replayed = await Replay(LIVE, here.record, here.db, progress=lambda progress: None).run()
        assert (replayed.taken, list(replayed.left)) == (2, [])
        assert await here.rows() == [first, second, third]
        assert await here.db.value("SELECT content FROM read.messages WHERE position = $1", second) == "better"
        assert await noted(here) == [
            ("EventParked", second), ("EventParked", third), ("EventReplayed", second), ("EventReplayed", third),
        ]  # fmt: skip
        await require_as_rebuilt(here)


@pytest.mark.parametrize("group", [LIVE, PAST], ids=lambda group: group.name)
@pytest.mark.parametrize("seed", [31, 32, 33])
async def test_whatever_was_parked_is_as_if_it_had_never_been(database_url: str, seed: int, group: Group) -> None:
    async with generated(database_url, events=900, seed=seed) as (db, record, _):
        poisoned = broken(lambda recorded: recorded.position % 7 == seed % 7, group)
        follower = Follower(poisoned, record, db, owner="test")
        while await follower.step() > 0:
            await asyncio.sleep(0)
        assert follower.lease
        await checkpoints.let_go(db, group.name, follower.lease.epoch)
        assert (await parked.counts(db))[group.name] > 90
        replayed = await Replay(group, record, db, progress=lambda progress: None).run()
        assert (replayed.taken > 90, list(replayed.left)) == (True, [])
        verdicts = await Rebuild(group, record, db, progress=lambda progress: None).run(swap=False)
        assert [verdict.table for verdict in verdicts if not verdict.is_equal] == []


@pytest.mark.parametrize("seed", [6, 7, 14])
async def test_whichever_events_of_a_room_were_parked_its_past_is_as_if_none_had_been(
    database_url: str, seed: int
) -> None:
    """Somebody joins, leaves and joins again, while others post. Seed 6 has two leavings in one batch, without the joining between;
    seed 7 a second stay within one batch, beside one whose end is parked; seed 14 such a one with another end parked in between."""
    async with scene(database_url) as here:
        ben, chance = await person(here.command_bus), random.Random(seed)
        for _ in range(8):
            began = (await here.record.head()).position
            for _ in range(3):
                await here.command_bus.do(JoinRoom(here.room), ben)
                await here.post(2)
                await here.command_bus.do(LeaveRoom(here.room), ben)
                await here.post(1)
            head = (await here.record.head()).position
            chosen = chance.sample(range(began + 1, head + 1), (head - began) // 2)
            await here.follow(broken(partial(is_one_of, chosen), PAST))
            count = (await parked.counts(here.db))["past"]
            assert count >= len(chosen)
            replayed = await Replay(PAST, here.record, here.db, progress=lambda progress: None).run()
            assert (replayed.taken, list(replayed.left)) == (count, []), chosen
        verdicts = await Rebuild(PAST, here.record, here.db, progress=lambda progress: None).run(swap=False)
        assert [verdict.table for verdict in verdicts if not verdict.is_equal] == []


async def test_what_still_fails_stays_parked_and_keeps_back_nobody(database_url: str) -> None:
    async with scene(database_url) as here:
        positions = await here.post(4)
        await here.follow(broken(lambda recorded: recorded.position in positions[1:3]))
        still = broken(lambda recorded: recorded.position == positions[1])
        replayed = await Replay(still, here.record, here.db, progress=lambda progress: None).run()
        assert (replayed.taken, [each.position for each in replayed.left]) == (1, [positions[1]])
        assert await here.rows() == [positions[0], *positions[2:]]


async def test_a_rebuild_notes_only_what_it_changes(database_url: str) -> None:
    async with scene(database_url) as here:
        positions = await here.post(3)
        poisoned = broken(lambda recorded: recorded.position == positions[1])
        await here.follow(poisoned)
        assert await noted(here) == [("EventParked", positions[1])]
        await Rebuild(poisoned, here.record, here.db, progress=lambda progress: None).run(swap=True)
        assert await noted(here) == [("EventParked", positions[1])], "the same event is parked by both"
        await here.follow()
        await Rebuild(LIVE, here.record, here.db, progress=lambda progress: None).run(swap=True)
        assert await noted(here) == [("EventParked", positions[1]), ("EventReplayed", positions[1])]


async def test_a_note_that_was_made_before_a_crash_is_not_made_twice(database_url: str) -> None:
    async with scene(database_url) as here:
        [position] = await here.post(1)
        await here.follow(broken(lambda recorded: isinstance(recorded.event, MessagePosted)))
        await here.command_bus.do(NoteParked("live", position, "message.posted", "ValueError"), Caller())
        assert await noted(here) == [("EventParked", position)]
        assert await parked.notes(here.db, limit=10) == []


async def test_notes_that_cannot_be_taken_are_noted_by_nobody(database_url: str) -> None:
    def is_note(recorded: Recorded[Event]) -> bool:
        return isinstance(recorded.event, (EventParked, EventReplayed, MessagePosted))

    async with scene(database_url) as here:
        [position] = await here.post(1)
        index = broken(is_note, AUDIT_INDEX)
        await here.follow(index)
        assert await noted(here) == [("EventParked", position)]
        await here.follow(index)
        assert await parked.counts(here.db) == {"audit_index": 2}, "the posting, and the note of it"
        assert await noted(here) == [("EventParked", position)]


async def test_what_inboxes_go_without_is_made_by_a_rebuild_alone(database_url: str) -> None:
    async with scene(database_url) as here:
        [position] = await here.post(1)
        gone = parked.Parked(position, "message.posted", "ValueError")
        await parked.park(here.db, NOTIFICATIONS.name, [gone])
        with pytest.raises(RebuildRefusedError, match="hansard rebuild notifications"):
            await Replay(NOTIFICATIONS, here.record, here.db, progress=lambda progress: None).run()
        assert await parked.counts(here.db) == {"notifications": 1}


def test_groups_that_stop_are_named_in_a_setting() -> None:
    assert set(PROJECTIONS) == GROUPS
    assert read({"HANSARD_STOPPING": "live, audit_index"}).stopping == ("live", "audit_index")
    assert with_policies(LIVE, ("live",)).policy == "stop"
    assert with_policies(MESSAGE_HTML, ("live",)).policy == "park"
    with pytest.raises(SettingRefusedError, match="HANSARD_STOPPING has liv;"):
        read({"HANSARD_STOPPING": "liv"})


async def test_a_group_whose_policy_is_to_stop_stands_before_the_event_and_parks_nothing(database_url: str) -> None:
    async with scene(database_url) as here:
        positions = await here.post(5)
        for poisoned in (broken(lambda recorded: recorded.position == positions[2]), LIVE):
            follower = Follower(poisoned._replace(policy="stop"), here.record, here.db, owner="test")
            if poisoned is not LIVE:
                with pytest.raises(PoisonedError, match=f"position {positions[2]:,}"):
                    while await follower.step() > 0:
                        pass
                assert await here.rows() == positions[:2]
                assert await parked.counts(here.db) == {}
                assert follower.lease is not None
                await checkpoints.let_go(here.db, LIVE.name, follower.lease.epoch)
        await here.follow()
        assert await here.rows() == positions
