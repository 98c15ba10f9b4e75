"""The command bus where things go wrong or happen at once: receipts in flight, contention, shutdown, ids and orders of checks."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from adapters.clock import now
from adapters.postgres.event_store import PostgresRecord
from commands import HANDLERS
from commands.account import Activate, ChangeProfile, Deactivate, GrantRole, RegisterAccount, RevokeRole
from commands.command_bus import DECIDE_TRIES_MAX, CommandBus
from commands.file import NoteScan, ReceiveFile
from commands.membership import PutMember
from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.reading import MarkRead
from commands.room import ArchiveRoom, ChangeRoom, OpenRoom, enter
from commands.session import EndSession, OpenSession, RefreshSession
from domain.account import ACCOUNT
from domain.errors import (
    AccountDeactivatedError,
    AccountNotFoundError,
    IdempotencyMismatchError,
    InvalidError,
    MessageDeletedError,
    MessageIdTakenError,
    NotAMemberError,
    NotYourMessageError,
    ReplyTargetUnknownError,
    SessionRevokedError,
    StaleVersionError,
    UsernameTakenError,
    WriteContendedError,
)
from domain.events import Caller
from domain.file import FILE
from domain.ids import FileId, MessageId, SessionId, UserId
from domain.message import MESSAGE, MessagePosted
from domain.ports.record import Append, Conflicted, Receipt, RecordUnavailableError
from domain.reading import READING, ReadMarked
from domain.room import ROOM
from domain.session import SESSION
from tests.commands.test_desk import person, post, room_of
from tests.deployments import ledger, running


class Elsewhere:
    """A record whose every append comes too late, or is never heard of again."""

    def __init__(self, record: PostgresRecord, answer: Any) -> None:
        self.appends = 0
        self._record = record
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)

    async def append(self, append: Append) -> Any:
        self.appends += 1
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def desk_on(record: Any) -> CommandBus:
    return CommandBus(record, HANDLERS, now=now, chance=lambda n: uuid4().bytes[:n])


async def test_fifty_parallel_requests_under_one_key_are_one_event(database_url: str) -> None:
    async with ledger(database_url) as (_, record, one), ledger(database_url) as (_, _, two):
        ada = await person(one)
        room_id = await room_of(one, ada)
        before = (await record.head()).position
        # Each request mints an id of its own, as the gateway does: only the key tells that they are one.
        outcomes = await asyncio.gather(
            *(
                command_bus.do(post(room_id, "once"), ada, Receipt(b"k", b"body"))
                for _ in range(25)
                for command_bus in (one, two)
            )
        )
        assert (await record.head()).position == before + 1
        assert {(outcome.events, outcome.position) for outcome in outcomes} == {(outcomes[0].events, before + 1)}
        assert sum(outcome.replayed for outcome in outcomes) == 49
        other = await asyncio.gather(
            *(one.do(post(room_id, "twice"), ada, Receipt(b"k", b"other")) for _ in range(5)), return_exceptions=True
        )
        assert {type(outcome) for outcome in other} == {IdempotencyMismatchError}


async def test_a_refusal_and_a_silence_keep_no_receipt(database_url: str) -> None:
    async with ledger(database_url) as (_, record, command_bus):
        ada, ben = await person(command_bus), await person(command_bus)
        room_id = await room_of(command_bus, ada)
        with pytest.raises(NotAMemberError):
            await command_bus.do(post(room_id), ben, Receipt(b"refused", b"b"))
        assert ben.user_id
        await command_bus.do(PutMember(room_id, ben.user_id, "member"), ada)
        assert (await command_bus.do(post(room_id), ben, Receipt(b"refused", b"b"))).events
        silent = await command_bus.do(ChangeRoom(room_id, name="Room"), ada, Receipt(b"silent", b"b"))
        assert (silent.events, silent.replayed) == ((), False)
        assert await record.receipt(b"silent") is None
        assert silent.position == silent.folded(ROOM, room_id).position > 0


async def test_tries_are_bounded_and_an_unknown_outcome_is_told_at_once(database_url: str) -> None:
    async with ledger(database_url) as (_, record, command_bus):
        ada = await person(command_bus)
        room_id = await room_of(command_bus, ada)
        contended = Elsewhere(record, Conflicted())
        with pytest.raises(WriteContendedError):
            await desk_on(contended).do(post(room_id), ada)
        assert contended.appends == DECIDE_TRIES_MAX
        away = Elsewhere(record, RecordUnavailableError("away"))
        with pytest.raises(RecordUnavailableError):
            await desk_on(away).do(post(room_id), ada)
        assert away.appends == 1, "who asked decides whether to ask again"


async def test_a_send_whose_answer_was_lost_is_answered_by_what_it_wrote(database_url: str) -> None:
    async with ledger(database_url) as (_, _, one), ledger(database_url) as (_, _, two):
        ada = await person(one)
        room_id = await room_of(one, ada)
        command = post(room_id, "did it arrive?")
        first = await one.do(command, ada)
        again = await two.do(command, ada)
        assert (again.events, again.position) == ((), first.position)
        assert again.folded(MESSAGE, command.message_id).version == 1
        for other in (
            PostMessage(room_id, command.message_id, "something else"),
            PostMessage(room_id, command.message_id, ""),  # 409 comes before 422
        ):
            with pytest.raises(MessageIdTakenError):
                await two.do(other, ada)


async def test_404_403_409_412_422_in_this_order(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada, ben = await person(command_bus), await person(command_bus)
        room_id = await room_of(command_bus, ada, ben)
        message_id = MessageId(uuid4())
        await command_bus.do(post(room_id, "hi", message_id), ada)
        with pytest.raises(NotYourMessageError):
            await command_bus.do(EditMessage(message_id, "", version=9), ben)
        with pytest.raises(NotYourMessageError):
            await command_bus.do(DeleteMessage(message_id, version=9), ben)
        with pytest.raises(StaleVersionError):
            await command_bus.do(EditMessage(message_id, "", version=9), ada)
        with pytest.raises(StaleVersionError):
            await command_bus.do(DeleteMessage(message_id, version=9), ada)
        with pytest.raises(InvalidError):
            await command_bus.do(EditMessage(message_id, "", version=1), ada)
        with pytest.raises(StaleVersionError):
            await command_bus.do(ChangeRoom(room_id, name="", version=9), ada)
        with pytest.raises(StaleVersionError):
            await command_bus.do(ArchiveRoom(room_id, version=9), ada)
        with pytest.raises(StaleVersionError):
            await command_bus.do(ChangeProfile(username="", version=9), ada)
        assert (await command_bus.do(EditMessage(message_id, "bye", version=1), ada)).folded(
            MESSAGE, message_id
        ).version == 2
        await command_bus.do(DeleteMessage(message_id, version=2), ada)
        with pytest.raises(MessageDeletedError):
            await command_bus.do(EditMessage(message_id, "", version=9), ada)


async def test_of_two_edits_of_one_version_one_is_stale(database_url: str) -> None:
    async with ledger(database_url) as (_, _, one), ledger(database_url) as (_, _, two):
        ada = await person(one)
        room_id = await room_of(one, ada)
        for _ in range(10):
            message_id = MessageId(uuid4())
            await one.do(post(room_id, "hi", message_id), ada)
            outcomes = await asyncio.gather(
                one.do(EditMessage(message_id, "left", version=1), ada),
                two.do(EditMessage(message_id, "right", version=1), ada),
                return_exceptions=True,
            )
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Outcome", "StaleVersionError"]


async def test_a_reply_is_to_a_message_of_the_same_room(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada = await person(command_bus)
        here, there = await room_of(command_bus, ada), await room_of(command_bus, ada)
        target, elsewhere = MessageId(uuid4()), MessageId(uuid4())
        await command_bus.do(post(here, "here", target), ada)
        await command_bus.do(post(there, "there", elsewhere), ada)
        reply = await command_bus.do(PostMessage(here, MessageId(uuid4()), "re", reply_to=target), ada)
        recorded = reply.recorded(MessagePosted)
        assert recorded is not None and recorded.event.reply_to == target
        with pytest.raises(ReplyTargetUnknownError):
            await command_bus.do(PostMessage(here, MessageId(uuid4()), "re", reply_to=elsewhere), ada)


async def test_what_exists_is_never_opened_again(database_url: str) -> None:
    """Ids of rooms, accounts and sessions are minted; one that comes twice is an accident, and takes nothing over."""
    async with ledger(database_url) as (_, record, command_bus), ledger(database_url) as (_, _, fresh):
        ada, eve = await person(command_bus), await person(command_bus)
        room_id, session_id = await room_of(command_bus, ada), SessionId(uuid4())
        assert ada.user_id and eve.user_id
        await command_bus.do(OpenSession(session_id, ada.user_id, "token", now() + timedelta(days=7)), Caller())
        before = (await record.head()).position
        for again in (command_bus, fresh):
            for command in (
                OpenRoom(room_id, "Mine now"),
                RegisterAccount(ada.user_id, "x@example.com", "xyz", "hash"),
                OpenSession(session_id, eve.user_id, "token", now() + timedelta(days=7)),
            ):
                with pytest.raises(AssertionError):
                    await again.do(command, eve)
        assert (await record.head()).position == before


async def test_profiles_change_as_asked_and_keep_their_claims(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada, ben = await person(command_bus, "ada"), await person(command_bus, "ben")
        assert ada.user_id
        await command_bus.do(ChangeProfile(avatar_url="https://example.com/a.png"), ada)
        await command_bus.do(ChangeProfile(username="ADA"), ada)  # the same name in other letters needs no new claim
        account = (await command_bus.see(ACCOUNT, ada.user_id)).state
        assert account is not None
        assert (account.username, account.avatar_url) == ("ADA", "https://example.com/a.png")
        await command_bus.do(ChangeProfile(avatar_url=None), ada)
        account = (await command_bus.see(ACCOUNT, ada.user_id)).state
        assert account is not None and account.avatar_url is None
        for taken in ("ada", "Ada", "ａｄａ"):
            with pytest.raises(UsernameTakenError):
                await command_bus.do(ChangeProfile(username=taken), ben)
        for bad in ("x", "a b", "ada\u3164"):
            with pytest.raises(InvalidError):
                await command_bus.do(ChangeProfile(username=bad), ben)
        with pytest.raises(InvalidError):
            await command_bus.do(ChangeProfile(avatar_url="javascript:alert(1)"), ben)


async def test_operators_switch_accounts_and_roles(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada = await person(command_bus)
        assert ada.user_id
        done = []
        for command in (
            GrantRole(ada.user_id, "auditor"),
            GrantRole(ada.user_id, "auditor"),
            RevokeRole(ada.user_id, "auditor"),
            RevokeRole(ada.user_id, "auditor"),
            Deactivate(ada.user_id),
            Deactivate(ada.user_id),
            Activate(ada.user_id),
            Activate(ada.user_id),
        ):
            done.append(bool((await command_bus.do(command, Caller())).events))
        assert done == [True, False] * 4
        for unknown in (GrantRole(UserId(uuid4()), "admin"), Deactivate(UserId(uuid4())), Activate(UserId(uuid4()))):
            with pytest.raises(AccountNotFoundError):
                await command_bus.do(unknown, Caller())


async def test_sessions_end_once_and_with_their_account(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada = await person(command_bus)
        assert ada.user_id
        first, second = SessionId(uuid4()), SessionId(uuid4())
        for session_id in (first, second):
            await command_bus.do(OpenSession(session_id, ada.user_id, "token", now() + timedelta(days=7)), Caller())
        assert (await command_bus.do(EndSession(first, "logout"), ada)).events
        assert not (await command_bus.do(EndSession(first, "logout"), ada)).events
        with pytest.raises(SessionRevokedError):
            await command_bus.do(RefreshSession(first, "token", "next"), Caller())
        await command_bus.do(Deactivate(ada.user_id), Caller())
        with pytest.raises(SessionRevokedError):
            await command_bus.do(RefreshSession(second, "token", "next"), Caller())
        with pytest.raises(AccountDeactivatedError):
            await command_bus.do(OpenSession(SessionId(uuid4()), ada.user_id, "t", now()), Caller())
        session = (await command_bus.see(SESSION, second)).state
        assert session is not None and session.token_hash == "token", "a refused refresh spends nothing"


async def test_who_is_admitted_is_judged_on_the_record(database_url: str) -> None:
    async with ledger(database_url) as (_, record, one), ledger(database_url) as (_, _, two):
        ada, ben = await person(one), await person(one)
        room_id = await room_of(one, ada)
        assert ben.user_id

        async def probe(unit: Any) -> None:
            await enter(unit, room_id, "message.post")

        with pytest.raises(NotAMemberError):
            await two.admit(probe, ben)
        await one.do(PutMember(room_id, ben.user_id, "member"), ada)
        before = (await record.head()).position
        await two.admit(probe, ben)
        assert (await record.head()).position == before, "a probe writes nothing"


async def test_marks_that_wait_are_written_when_the_process_ends(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        command_bus = desk_on(record)
        ada = await person(command_bus)
        room_id = await room_of(command_bus, ada)
        positions = [(await command_bus.do(post(room_id), ada)).position for _ in range(3)]
        async with running(command_bus.run()):
            assert (await command_bus.do(MarkRead(room_id, positions[0]), ada)).recorded(ReadMarked)
            for position in positions[1:]:
                assert not (await command_bus.do(MarkRead(room_id, position), ada)).events
        assert ada.user_id
        reading = (await command_bus.see(READING, room_id, ada.user_id)).state
        assert reading is not None and reading.position == positions[-1]


async def test_one_file_is_shown_in_many_rooms_at_once(database_url: str) -> None:
    """Through two gateways: each post writes to the one stream of the file, and every one of them is accepted."""
    async with ledger(database_url) as (_, _, one), ledger(database_url) as (_, _, two):
        ada, file_id = await person(one), FileId(uuid4())
        await one.do(ReceiveFile(file_id, "plan.txt", "text/plain", 100, "ab" * 32), ada)
        await one.do(NoteScan(file_id, "basic"), ada)
        room_ids = [await room_of(one, ada) for _ in range(32)]
        outcomes = await asyncio.gather(
            *(
                command_bus.do(PostMessage(room_id, MessageId(uuid4()), "", "file", file_id), ada)
                for i, room_id in enumerate(room_ids)
                for command_bus in ((one, two)[i % 2],)
            )
        )
        assert len({outcome.position for outcome in outcomes}) == 32
        state = (await one.see(FILE, file_id)).state
        assert state is not None and not [*one._turns._queues], "who has had a turn leaves no line behind"
