"""The desk on the real record: what is cached is only ever a guess, and races end as the rules say."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from adapters.clock import now
from adapters.postgres.event_store import PostgresRecord
from commands import HANDLERS
from commands.account import ChangeProfile, Deactivate, GrantRole, RegisterAccount
from commands.audit import NoteAuditRead
from commands.command_bus import CommandBus
from commands.membership import LeaveRoom, PutMember, RemoveMember
from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.reading import MarkRead
from commands.room import ChangeRoom, OpenRoom
from commands.session import OpenSession, RefreshSession
from domain.account import AccountRegistered
from domain.errors import (
    AccountDeactivatedError,
    BadRefreshTokenError,
    BannedError,
    EmailTakenError,
    IdempotencyMismatchError,
    NotAMemberError,
    NotYourMessageError,
    ReplyTargetUnknownError,
    RoleNeededError,
    SessionRevokedError,
    UsernameTakenError,
)
from domain.events import Caller
from domain.ids import MessageId, RoomId, SessionId, StreamId, UserId
from domain.membership import MemberRemoved
from domain.message import MESSAGE, MessagePosted
from domain.ports.record import EventPage, Receipt
from domain.reading import READING
from domain.room import ROOM
from domain.session import SessionEnded, SessionRefreshed
from tests.deployments import ledger


async def person(command_bus: CommandBus, name: str | None = None) -> Caller:
    """Register somebody; answers them as a caller."""
    user_id, name = UserId(uuid4()), name or uuid4().hex[:12]
    await command_bus.do(RegisterAccount(user_id, f"{name}@example.com", name, "no hash"), Caller())
    return Caller(user_id=user_id, session_id=SessionId(uuid4()))


async def room_of(command_bus: CommandBus, owner: Caller, *members: Caller) -> RoomId:
    room_id = RoomId(uuid4())
    await command_bus.do(OpenRoom(room_id, "Room"), owner)
    for member in members:
        assert member.user_id
        await command_bus.do(PutMember(room_id, member.user_id, "member"), owner)
    return room_id


def post(room_id: RoomId, content: str = "hi", message_id: UUID | None = None) -> PostMessage:
    return PostMessage(room_id, MessageId(message_id or uuid4()), content)


class Counting:
    """A record that counts the reads of streams."""

    def __init__(self, record: PostgresRecord) -> None:
        self.reads = 0
        self._record = record

    def __getattr__(self, name: str) -> object:
        return getattr(self._record, name)

    async def stream_pages(self, after: Mapping[StreamId, int], *, limit: int) -> Mapping[StreamId, EventPage]:
        self.reads += 1
        return await self._record.stream_pages(after, limit=limit)


async def test_an_accepted_post_needs_no_read_once_the_room_is_known(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        counting = Counting(record)
        command_bus = CommandBus(counting, HANDLERS, now=now, chance=lambda n: bytes(n))  # type: ignore[arg-type]
        ada = await person(command_bus)
        room_id = await room_of(command_bus, ada)
        counting.reads = 0
        for _ in range(5):
            assert (await command_bus.do(post(room_id), ada)).recorded(MessagePosted)
        assert counting.reads == 0


async def test_a_stale_guess_is_decided_again_on_the_record(database_url: str) -> None:
    async with ledger(database_url) as (_, _, one), ledger(database_url) as (_, _, two):
        ada, ben = await person(one), await person(one)
        room_id = await room_of(one, ada)
        with pytest.raises(NotAMemberError):
            await two.do(post(room_id), ben)
        assert ben.user_id
        await one.do(PutMember(room_id, ben.user_id, "member"), ada)
        assert (await two.do(post(room_id), ben)).events, "what was refused on old folds is decided anew"
        await one.do(RemoveMember(room_id, ben.user_id), ada)
        with pytest.raises(NotAMemberError):
            await two.do(post(room_id), ben)
        await one.do(ChangeRoom(room_id, name="Renamed"), ada)
        outcome = await two.do(ChangeRoom(room_id, name="Room"), ada)
        assert outcome.events, "silence on old folds is decided anew too"


async def test_fifty_parallel_posts_under_one_id_are_one_event(database_url: str) -> None:
    async with ledger(database_url) as (_, record, one), ledger(database_url) as (_, _, two):
        ada = await person(one)
        room_id, message_id = await room_of(one, ada), uuid4()
        outcomes = await asyncio.gather(
            *(command_bus.do(post(room_id, "once", message_id), ada) for _ in range(25) for command_bus in (one, two))
        )
        assert sum(bool(outcome.events) for outcome in outcomes) == 1
        assert len({outcome.folded(MESSAGE, message_id).position for outcome in outcomes}) == 1
        assert len((await record.streams([MESSAGE.id(message_id)]))[MESSAGE.id(message_id)]) == 1


async def test_no_message_is_recorded_after_its_senders_removal_in_200_races(database_url: str) -> None:
    async with ledger(database_url) as (_, record, one), ledger(database_url) as (_, _, two):
        ada, ben = await person(one), await person(one)
        assert ben.user_id

        async def post_until_refused(room_id: RoomId) -> None:
            with pytest.raises(BannedError):
                for _ in range(1_000):
                    await two.do(post(room_id), ben)

        async def race(room_id: RoomId) -> None:
            assert ben.user_id
            await asyncio.gather(
                post_until_refused(room_id),
                post_until_refused(room_id),
                one.do(RemoveMember(room_id, ben.user_id, ban=True), ada),
            )

        rooms = [await room_of(one, ada, ben) for _ in range(200)]
        for room_id in rooms:
            await two.do(post(room_id, "both desks know the room now"), ben)
        for i in range(0, 200, 20):
            await asyncio.gather(*map(race, rooms[i : i + 20]))
        posted: dict[RoomId, int] = {}
        count = 0
        removed: dict[RoomId, int] = {}
        position = 0
        while events := await record.after(position, limit=1_000):
            position = events[-1].position
            for recorded in events:
                if isinstance(recorded.event, MessagePosted):
                    posted[recorded.event.room_id] = recorded.position
                    count += 1
                elif isinstance(recorded.event, MemberRemoved):
                    removed[recorded.event.room_id] = recorded.position
        assert len(removed) == 200 and count > 300, "posts and removals did race"
        assert [room_id for room_id in posted if posted[room_id] > removed[room_id]] == []


async def test_two_owners_leaving_at_once_leave_one_behind(database_url: str) -> None:
    async with ledger(database_url) as (_, _, one), ledger(database_url) as (_, _, two):
        for _ in range(20):
            ada, ben = await person(one), await person(one)
            room_id = await room_of(one, ada, ben)
            assert ben.user_id
            await one.do(PutMember(room_id, ben.user_id, "owner"), ada)
            outcomes = await asyncio.gather(
                one.do(LeaveRoom(room_id), ada), two.do(LeaveRoom(room_id), ben), return_exceptions=True
            )
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LastOwnerError", "Outcome"]
            room = (await one.see(ROOM, room_id)).state
            assert room is not None and len(room.owner_ids) == 1


async def test_a_receipt_answers_with_the_facts_of_the_first_use(database_url: str) -> None:
    async with ledger(database_url) as (_, _, one), ledger(database_url) as (_, _, two):
        ada = await person(one)
        receipt = Receipt(b"k", b"body")
        first = await one.do(OpenRoom(RoomId(uuid4()), "Once"), ada, receipt)
        again = await two.do(OpenRoom(RoomId(uuid4()), "Once"), ada, receipt)
        assert (again.events, again.position, again.replayed) == (first.events, first.position, True)
        with pytest.raises(IdempotencyMismatchError):
            await two.do(OpenRoom(RoomId(uuid4()), "Other"), ada, Receipt(b"k", b"other"))
        # A registration sent twice finds its own claim taken, and is answered by the receipt all the same.
        register = RegisterAccount(UserId(uuid4()), "eve@example.com", "eve", "no hash")
        made = await one.do(register, Caller(), Receipt(b"r", b"b"))
        twice = await two.do(
            RegisterAccount(UserId(uuid4()), "eve@example.com", "eve", "x"), Caller(), Receipt(b"r", b"b")
        )
        assert made.recorded(AccountRegistered) == twice.recorded(AccountRegistered)


async def test_names_and_emails_are_claimed_once_in_a_race_and_freed_by_a_change(database_url: str) -> None:
    async with ledger(database_url) as (_, _, one), ledger(database_url) as (_, _, two):
        outcomes = await asyncio.gather(
            *(
                command_bus.do(RegisterAccount(UserId(uuid4()), f"{i}@example.com", "Ada", "x"), Caller())
                for i, command_bus in enumerate((one, two) * 10)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, UsernameTakenError) for outcome in outcomes) == 19
        ben = await person(one, "ben")
        with pytest.raises(EmailTakenError):
            await one.do(RegisterAccount(UserId(uuid4()), "BEN@example.com", "other", "x"), Caller())
        await one.do(ChangeProfile(username="benjamin"), ben)
        await two.do(RegisterAccount(UserId(uuid4()), "new@example.com", "ben", "x"), Caller())


async def test_fifty_parallel_refreshes_of_one_token_succeed_once(database_url: str) -> None:
    async with ledger(database_url) as (_, _, one), ledger(database_url) as (_, _, two):
        ada = await person(one)
        session_id = SessionId(uuid4())
        assert ada.user_id
        await one.do(OpenSession(session_id, ada.user_id, "first", now() + timedelta(days=7)), Caller())
        outcomes = await asyncio.gather(
            *(
                command_bus.do(RefreshSession(session_id, "first", f"next {i}"), Caller())
                for i, command_bus in enumerate((one, two) * 25)
            ),
            return_exceptions=True,
        )
        kinds = [
            type(outcome.events[0].event) if not isinstance(outcome, BaseException) else type(outcome)
            for outcome in outcomes
        ]
        assert (kinds.count(SessionRefreshed), kinds.count(SessionEnded), kinds.count(SessionRevokedError)) == (
            1,
            1,
            48,
        )
        with pytest.raises(BadRefreshTokenError):
            await one.do(RefreshSession(SessionId(uuid4()), "x", "y"), Caller())


async def test_a_deactivated_account_may_do_nothing(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada = await person(command_bus)
        room_id = await room_of(command_bus, ada)
        assert ada.user_id
        await command_bus.do(Deactivate(ada.user_id), Caller())
        with pytest.raises(AccountDeactivatedError):
            await command_bus.do(post(room_id), ada)


async def test_who_may_edit_and_delete(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada, ben, eve = await person(command_bus), await person(command_bus), await person(command_bus)
        room_id = await room_of(command_bus, ada, ben, eve)
        message_id = MessageId(uuid4())
        await command_bus.do(post(room_id, "mine", message_id), ben)
        for other in (ada, eve):
            with pytest.raises(NotYourMessageError):
                await command_bus.do(EditMessage(message_id, "changed"), other)
        with pytest.raises(NotYourMessageError):
            await command_bus.do(DeleteMessage(message_id), eve)
        assert (await command_bus.do(DeleteMessage(message_id), ada)).events, "an owner moderates"
        assert not (await command_bus.do(DeleteMessage(message_id), ben)).events, "deleting again changes nothing"
        with pytest.raises(ReplyTargetUnknownError):
            await command_bus.do(PostMessage(room_id, MessageId(uuid4()), "re", reply_to=MessageId(uuid4())), ben)


async def test_read_marks_are_recorded_at_most_once_in_five_seconds_and_the_furthest_wins(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        clock = [now()]
        command_bus = CommandBus(record, HANDLERS, now=lambda: clock[0], chance=lambda n: uuid4().bytes[:n])
        ada = await person(command_bus)
        room_id = await room_of(command_bus, ada)
        positions = [(await command_bus.do(post(room_id), ada)).position for _ in range(5)]
        assert (await command_bus.do(MarkRead(room_id, positions[0]), ada)).events
        for position in (positions[3], positions[2]):
            assert not (await command_bus.do(MarkRead(room_id, position), ada)).events
        assert await command_bus.step() == 0
        clock[0] += timedelta(seconds=6)
        assert await command_bus.step() == 1
        assert ada.user_id
        reading = (await command_bus.see(READING, room_id, ada.user_id)).state
        assert reading is not None and reading.position == positions[3]
        clock[0] += timedelta(seconds=6)
        await command_bus.do(MarkRead(room_id, 10**12), ada)
        reading = (await command_bus.see(READING, room_id, ada.user_id)).state
        assert reading is not None and reading.position <= (await record.head()).position


async def test_a_mark_beyond_the_head_is_one_of_the_head_of_its_own_moment(database_url: str) -> None:
    """What is posted between accepting and recording a mark was read by nobody."""
    async with ledger(database_url) as (_, record, _):
        clock = [now()]
        command_bus = CommandBus(record, HANDLERS, now=lambda: clock[0], chance=lambda n: uuid4().bytes[:n])
        ada = await person(command_bus)
        assert ada.user_id
        room_id = await room_of(command_bus, ada)
        positions = [(await command_bus.do(post(room_id), ada)).position for _ in range(3)]
        await command_bus.do(MarkRead(room_id, positions[0]), ada)
        head = (await record.head()).position
        outcome = await command_bus.do(MarkRead(room_id, 2**62), ada)
        assert (outcome.events, outcome.postponed) == ((), MarkRead(room_id, head))
        unseen = (await command_bus.do(post(room_id), ada)).position
        clock[0] += timedelta(seconds=7)
        assert await command_bus.step() == 1
        reading = (await command_bus.see(READING, room_id, ada.user_id)).state
        assert reading is not None and reading.position == head < unseen


async def test_of_many_marks_that_wait_each_is_written_once_and_the_furthest(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        clock = [now()]
        command_bus = CommandBus(record, HANDLERS, now=lambda: clock[0], chance=lambda n: uuid4().bytes[:n])
        ada = await person(command_bus)
        assert ada.user_id
        rooms = [await room_of(command_bus, ada) for _ in range(6)]
        for room_id in rooms:
            await command_bus.do(MarkRead(room_id, 1), ada)
        for position in (2, 4, 3):
            for room_id in rooms:
                assert (await command_bus.do(MarkRead(room_id, position), ada)).postponed
        assert await command_bus.step() == 0
        clock[0] += timedelta(seconds=6)
        assert (await command_bus.step(), await command_bus.step()) == (len(rooms), 0)
        for room_id in rooms:
            reading = await command_bus.see(READING, room_id, ada.user_id)
            assert reading.state is not None and (reading.version, reading.state.position) == (2, 4)


async def test_an_audit_read_is_recorded_once_a_session_filter_and_minute(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        clock = [now().replace(second=1)]
        command_bus = CommandBus(record, HANDLERS, now=lambda: clock[0], chance=lambda n: uuid4().bytes[:n])
        ada = await person(command_bus)
        with pytest.raises(RoleNeededError):
            await command_bus.do(NoteAuditRead("/x"), ada)
        assert ada.user_id
        await command_bus.do(GrantRole(ada.user_id, "auditor"), Caller())
        written = [bool((await command_bus.do(NoteAuditRead(asked), ada)).events) for asked in ("/x", "/x", "/y", "/x")]
        clock[0] += timedelta(minutes=1)
        written.append(bool((await command_bus.do(NoteAuditRead("/x"), ada)).events))
        assert written == [True, False, True, False, True]


async def test_a_send_that_was_posted_is_a_duplicate_even_for_who_was_removed_since(database_url: str) -> None:
    """The answer to the first send may be lost, and the removal come before the second: it must not be called refused."""
    async with ledger(database_url) as (_, _, command_bus):
        ada, ben, room_id, message_id = UserId(uuid4()), UserId(uuid4()), RoomId(uuid4()), MessageId(uuid4())
        for user_id in (ada, ben):
            await command_bus.do(
                RegisterAccount(user_id, f"{user_id}@example.com", f"{user_id.hex[:9]}", "no hash"), Caller()
            )
        await command_bus.do(OpenRoom(room_id, "Lobby"), Caller(user_id=ada))
        await command_bus.do(PutMember(room_id, ben, "member"), Caller(user_id=ada))
        send = PostMessage(room_id, message_id, "once")
        posted = await command_bus.do(send, Caller(user_id=ben))
        await command_bus.do(RemoveMember(room_id, ben), Caller(user_id=ada))
        async with ledger(database_url) as (_, _, elsewhere):
            for at in (command_bus, elsewhere):
                again = await at.do(send, Caller(user_id=ben))
                assert (again.events, again.position) == ((), posted.position)
                with pytest.raises(NotAMemberError):
                    await at.do(PostMessage(room_id, MessageId(uuid4()), "again"), Caller(user_id=ben))
