"""Decisions, without a database: given facts, when somebody decides, then facts, silence or a refusal."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import account, audit, membership, message, reading, room, session
from domain.account import (
    AccountRegistered,
    EmailVerified,
    NameClaimed,
    PasswordChanged,
    PasswordRehashed,
    ProfileChanged,
)
from domain.errors import (
    AccountDeactivatedError,
    AccountNotFoundError,
    BadRefreshTokenError,
    InvalidError,
    LastOwnerError,
    MemberNotFoundError,
    MessageDeletedError,
    MessageIdTakenError,
    NotYourMessageError,
    RoleNeededError,
    RoleTooLowError,
    SessionRevokedError,
    StaleVersionError,
    TooManyEditsError,
    TooManyOwnersError,
    WrongPasswordError,
)
from domain.events import Event, Meta, Recorded, Stream, UnknownEvent
from domain.ids import (
    EventId,
    FileId,
    MessageId,
    RoomId,
    SessionId,
    StreamId,
    UserId,
    stream_id,
    system_message_id,
    uuid7,
)
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.room import OwnersChanged, RoomArchived, RoomChanged, RoomOpened
from domain.session import SessionEnded, SessionOpened, SessionRefreshed
from domain.text import check_content, check_email, check_username, fold

ADA, BEN, EVE = (UserId(UUID(int=n)) for n in (1, 2, 3))
LOBBY, M = RoomId(UUID(int=10)), MessageId(UUID(int=20))
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def given_facts(stream: Stream[Any], *events: Event) -> Any:
    """Fold events as if they had been recorded one a minute, from position 101 on."""
    state = None
    for version, event in enumerate(events, 1):
        meta = Meta(EventId(UUID(int=0)), "Test")
        at = DAY + timedelta(minutes=version)
        state = stream.evolve(state, Recorded(100 + version, StreamId(UUID(int=0)), version, at, event, meta))
    return state


REGISTERED = AccountRegistered(ADA, "ada@example.com", "ada", "hash")
OPENED = RoomOpened(LOBBY, "Lobby", None, False, ADA)
POSTED = MessagePosted(M, LOBBY, ADA, "hello")


class TestAccount:
    def test_the_same_profile_again_changes_nothing(self) -> None:
        ada = given_facts(account.ACCOUNT, REGISTERED)
        assert account.change_profile(ada, username="ada", avatar_url=None) == ()
        assert account.change_profile(ada, username="ada2", avatar_url=None) == (ProfileChanged(ADA, "ada2", None),)

    def test_a_deactivated_account_decides_nothing_until_it_is_active_again(self) -> None:
        gone = given_facts(account.ACCOUNT, REGISTERED, account.AccountDeactivated(ADA))
        with pytest.raises(AccountDeactivatedError):
            account.change_profile(gone, username="x", avatar_url=None)
        assert account.deactivate(gone) == ()
        back = given_facts(account.ACCOUNT, REGISTERED, account.AccountDeactivated(ADA), account.AccountActivated(ADA))
        assert account.change_profile(back, username="x", avatar_url=None)

    def test_a_password_is_changed_by_who_knew_the_last_one(self) -> None:
        ada = given_facts(account.ACCOUNT, REGISTERED)
        with pytest.raises(WrongPasswordError):
            account.change_password(ada, seen_hash="of long ago", password_hash="new")
        changed = account.change_password(ada, seen_hash="hash", password_hash="new")
        assert changed == (PasswordChanged(ADA, "new"),)
        after = given_facts(account.ACCOUNT, REGISTERED, *changed)
        assert (after.password_hash, after.password_position, after.is_verified) == ("new", 102, False)

    def test_a_hash_is_made_anew_only_where_it_is_still_the_same(self) -> None:
        ada = given_facts(account.ACCOUNT, REGISTERED)
        assert account.rehash_password(ada, seen_hash="of long ago", password_hash="dearer") == ()
        rehashed = account.rehash_password(ada, seen_hash="hash", password_hash="dearer")
        assert rehashed == (PasswordRehashed(ADA, "dearer"),)
        after = given_facts(account.ACCOUNT, REGISTERED, *rehashed)
        assert (after.password_hash, after.password_position) == ("dearer", ada.password_position)

    def test_who_reads_the_mail_of_an_address_shows_that_it_is_theirs(self) -> None:
        unverified = AccountRegistered(ADA, "ada@example.com", "ada", "hash", is_verified=False)
        ada = given_facts(account.ACCOUNT, unverified)
        assert not ada.is_verified
        verified = account.verify_email(ada)
        assert verified == (EmailVerified(ADA),)
        assert account.verify_email(given_facts(account.ACCOUNT, unverified, *verified)) == ()
        reset = account.reset_password(ada, password_hash="new", address="192.0.2.7")
        after = given_facts(account.ACCOUNT, unverified, *reset)
        assert (after.is_verified, after.password_hash, after.reset_address) == (True, "new", "192.0.2.7")

    def test_a_name_that_is_claimed_changes_nothing_that_decisions_need(self) -> None:
        assert given_facts(account.ACCOUNT, REGISTERED, NameClaimed(ADA)) == given_facts(account.ACCOUNT, REGISTERED)

    def test_roles_are_given_and_taken_once(self) -> None:
        ada = given_facts(account.ACCOUNT, REGISTERED)
        with pytest.raises(RoleNeededError):
            account.require_right(ada, "audit.read")
        granted = account.grant(ada, role="auditor")
        ada = given_facts(account.ACCOUNT, REGISTERED, *granted)
        assert account.grant(ada, role="auditor") == ()
        assert account.require_right(ada, "audit.read") == ada
        ada = given_facts(account.ACCOUNT, REGISTERED, *granted, *account.revoke(ada, role="auditor"))
        assert account.revoke(ada, role="auditor") == ()
        with pytest.raises(AccountNotFoundError):
            account.grant(None, role="auditor")


class TestSession:
    opened = SessionOpened(SessionId(UUID(int=5)), ADA, "first", DAY + timedelta(days=7))

    def refresh(self, *events: Event, token: str, at: datetime = DAY) -> tuple[Event, ...]:
        state = given_facts(session.SESSION, *events) if events else None
        return session.refresh(state, presented_hash=token, next_hash="next", now=at)

    def test_a_token_is_spent_for_the_next(self) -> None:
        assert self.refresh(self.opened, token="first") == (SessionRefreshed(self.opened.session_id, ADA, "next"),)

    def test_a_spent_token_ends_the_session(self) -> None:
        refreshed = SessionRefreshed(self.opened.session_id, ADA, "second")
        ended = SessionEnded(self.opened.session_id, ADA, "reuse")
        assert self.refresh(self.opened, refreshed, token="first") == (ended,)
        with pytest.raises(SessionRevokedError):
            self.refresh(self.opened, refreshed, ended, token="second")

    def test_who_lost_the_answer_gets_the_same_again_for_ten_seconds(self) -> None:
        refreshed = SessionRefreshed(self.opened.session_id, ADA, "next")
        assert self.refresh(self.opened, refreshed, token="first", at=DAY + timedelta(minutes=2, seconds=10)) == ()
        ended = (SessionEnded(self.opened.session_id, ADA, "reuse"),)
        assert self.refresh(self.opened, refreshed, token="first", at=DAY + timedelta(minutes=2, seconds=11)) == ended
        spent = SessionRefreshed(self.opened.session_id, ADA, "after next")
        again = self.refresh(self.opened, refreshed, spent, token="first", at=DAY + timedelta(minutes=3))
        assert again == ended, "the next one was spent as well"

    def test_the_same_answer_is_not_given_for_as_long_as_a_clock_was_ahead(self) -> None:
        refreshed = SessionRefreshed(self.opened.session_id, ADA, "next")
        ended = (SessionEnded(self.opened.session_id, ADA, "reuse"),)
        assert self.refresh(self.opened, refreshed, token="first", at=DAY - timedelta(days=8)) == ended
        assert self.refresh(self.opened, refreshed, token="first", at=DAY + timedelta(minutes=1, seconds=55)) == ()

    def test_an_unknown_or_old_session_is_refused(self) -> None:
        with pytest.raises(BadRefreshTokenError):
            self.refresh(token="first")
        with pytest.raises(BadRefreshTokenError):
            self.refresh(self.opened, token="first", at=DAY + timedelta(days=7))

    def test_ending_twice_changes_nothing(self) -> None:
        state = given_facts(session.SESSION, self.opened)
        ended = session.end(state, reason="logout")
        assert session.end(given_facts(session.SESSION, self.opened, *ended), reason="logout") == ()


class TestRoom:
    def test_changing_to_what_is_changes_nothing(self) -> None:
        state = given_facts(room.ROOM, OPENED)
        assert room.change(state, name="Lobby", by=ADA) == ()
        (changed,) = room.change(state, name="Hall", by=ADA)
        assert changed == RoomChanged(LOBBY, "Hall", None, False, "shared", ADA)

    def test_a_topic_stays_until_it_is_changed_or_cleared(self) -> None:
        (named,) = room.change(given_facts(room.ROOM, OPENED), room_topic="Lunch", by=ADA)
        assert named == RoomChanged(LOBBY, "Lobby", None, False, "shared", ADA, "Lunch")
        state = given_facts(room.ROOM, OPENED, named)
        assert room.change(state, room_topic="Lunch", by=BEN) == ()
        assert room.change(state, name="Hall", by=BEN) == (
            RoomChanged(LOBBY, "Hall", None, False, "shared", BEN, "Lunch"),
        )
        assert room.change(state, room_topic=None, by=BEN) == (RoomChanged(LOBBY, "Lobby", None, False, "shared", BEN),)
        assert room.archive(state, by=ADA) == (RoomArchived(LOBBY, ADA, "Lobby", None, False, "shared", "Lunch"),)

    def test_nothing_is_changed_in_an_archived_room(self) -> None:
        state = given_facts(room.ROOM, OPENED, RoomArchived(LOBBY, ADA))
        assert room.archive(state, by=ADA) == ()
        with pytest.raises(AssertionError):  # nobody comes so far (domain/rights.py)
            room.change(state, name="Hall", by=ADA)

    def test_archiving_says_what_the_room_stays(self) -> None:
        changed = RoomChanged(LOBBY, "Hall", "Where we meet", True, "joined", ADA)
        (archived,) = room.archive(given_facts(room.ROOM, OPENED, changed), by=ADA)
        assert archived == RoomArchived(LOBBY, ADA, "Hall", "Where we meet", True, "joined")

    @given(st.lists(st.tuples(st.booleans(), st.sampled_from([ADA, BEN, EVE]))))
    def test_a_room_never_loses_its_last_owner(self, steps: list[tuple[bool, UserId]]) -> None:
        events: list[Event] = [OPENED]
        for adds, user_id in steps:
            state = given_facts(room.ROOM, *events)
            try:
                events += (room.add_owner if adds else room.remove_owner)(state, user_id=user_id)
            except LastOwnerError:
                assert state.owner_ids == (user_id,)
        owners = given_facts(room.ROOM, *events).owner_ids
        assert len(owners) >= 1 and len(set(owners)) == len(owners)

    def test_a_room_has_at_most_a_hundred_owners(self) -> None:
        hundred = tuple(UserId(UUID(int=n)) for n in range(1, 101))
        state = given_facts(room.ROOM, OPENED, OwnersChanged(LOBBY, hundred))
        with pytest.raises(TooManyOwnersError):
            room.add_owner(state, user_id=UserId(UUID(int=101)))
        assert room.add_owner(state, user_id=hundred[7]) == ()
        assert room.remove_owner(state, user_id=UserId(UUID(int=101))) == ()

    def test_a_change_holds_the_whole_room_and_null_clears(self) -> None:
        first = RoomChanged(LOBBY, "Hall", "Where we meet", True, "joined", ADA)
        state = given_facts(room.ROOM, OPENED, first)
        assert room.change(state, description=None, by=BEN) == (RoomChanged(LOBBY, "Hall", None, True, "joined", BEN),)
        assert room.change(state, is_private=True, history="joined", by=BEN) == ()

    def test_an_archived_room_gets_no_owners_and_may_be_left_by_them(self) -> None:
        state = given_facts(room.ROOM, OPENED, OwnersChanged(LOBBY, (ADA, BEN)), RoomArchived(LOBBY, ADA))
        with pytest.raises(AssertionError):
            room.add_owner(state, user_id=ADA)
        assert room.remove_owner(state, user_id=ADA) == (OwnersChanged(LOBBY, (BEN,)),)

    def test_the_eldest_owner_comes_first(self) -> None:
        state = given_facts(room.ROOM, OPENED, OwnersChanged(LOBBY, (ADA, BEN)))
        assert room.remove_owner(state, user_id=ADA) == (OwnersChanged(LOBBY, (BEN,)),)


class TestMembership:
    def member(self, user_id: UserId, role: Any, *more: Event) -> Any:
        return given_facts(membership.MEMBERSHIP, MemberJoined(LOBBY, user_id, role, by=ADA), *more)

    def test_joining(self) -> None:
        joined = (MemberJoined(LOBBY, BEN, "member", by=BEN),)
        assert membership.join(None, room_id=LOBBY, user_id=BEN) == joined
        assert membership.join(self.member(BEN, "admin"), room_id=LOBBY, user_id=BEN) == ()
        removed = self.member(BEN, "member", MemberRemoved(LOBBY, BEN, by=ADA))
        assert membership.join(removed, room_id=LOBBY, user_id=BEN) == joined

    @pytest.mark.parametrize(
        ("by", "target", "role", "outcome"),
        [
            ("owner", None, "owner", MemberJoined),
            ("owner", None, "member", MemberJoined),
            ("admin", None, "member", MemberJoined),
            ("admin", None, "admin", RoleTooLowError),
            ("admin", "member", "admin", RoleTooLowError),
            ("admin", "admin", "member", RoleTooLowError),
            ("owner", "member", "owner", MemberRoleChanged),
            ("owner", "owner", "member", MemberRoleChanged),
            ("owner", "admin", "admin", None),
        ],
    )
    def test_who_may_add_and_change(self, by: Any, target: Any, role: Any, outcome: Any) -> None:
        actor = self.member(ADA, by)
        subject = self.member(BEN, target) if target else None

        def put() -> tuple[Event, ...]:
            return membership.put(actor, subject, room_id=LOBBY, user_id=BEN, role=role)

        if outcome is None:
            assert put() == ()
        elif issubclass(outcome, Exception):
            with pytest.raises(outcome):
                put()
        else:
            assert [type(event) for event in put()] == [outcome]

    @pytest.mark.parametrize(
        ("by", "target", "outcome"),
        [
            ("owner", "owner", None),
            ("owner", "admin", None),
            ("admin", "member", None),
            ("admin", "admin", RoleTooLowError),
            ("admin", "owner", RoleTooLowError),
            ("owner", None, MemberNotFoundError),
        ],
    )
    def test_who_may_remove(self, by: Any, target: Any, outcome: Any) -> None:
        actor, subject = self.member(ADA, by), self.member(BEN, target) if target else None
        if outcome:
            with pytest.raises(outcome):
                membership.remove(actor, subject, ban=True)
        else:
            assert membership.remove(actor, subject, ban=True) == (MemberRemoved(LOBBY, BEN, by=ADA, banned=True),)

    def test_what_one_is_to_a_room_and_of_which_kind_it_is(self) -> None:
        assert membership.relationship_of(None) == "stranger"
        for gone, relationship in [
            (MemberLeft(LOBBY, BEN), "left"),
            (MemberRemoved(LOBBY, BEN, by=ADA), "removed"),
            (MemberRemoved(LOBBY, BEN, by=ADA, banned=True), "banned"),
            (MemberRoleChanged(LOBBY, BEN, "owner", by=ADA), "owner"),
        ]:
            assert membership.relationship_of(self.member(BEN, "member", gone)) == relationship
        hidden = RoomChanged(LOBBY, "Lobby", None, True, "shared", ADA)
        archived = RoomArchived(LOBBY, ADA)
        kinds = [
            given_facts(room.ROOM, OPENED, *more).kind for more in ((), (hidden,), (archived,), (hidden, archived))
        ]
        assert kinds == ["public", "private", "archived", "private archived"]

    def test_who_comes_back_begins_anew(self) -> None:
        gone = (MemberRemoved(LOBBY, BEN, by=ADA, banned=True), MemberJoined(LOBBY, BEN, "member", by=ADA))
        back = self.member(BEN, "admin", *gone)
        assert (back.relationship, back.joined_position) == ("member", 103)
        promoted = self.member(BEN, "member", MemberRoleChanged(LOBBY, BEN, "admin", by=ADA))
        assert (promoted.role, promoted.joined_position) == ("admin", 101)

    def test_adding_a_banned_person_lifts_the_ban(self) -> None:
        banned = self.member(BEN, "member", MemberRemoved(LOBBY, BEN, by=ADA, banned=True))
        joined = membership.put(self.member(ADA, "admin"), banned, room_id=LOBBY, user_id=BEN, role="member")
        assert joined == (MemberJoined(LOBBY, BEN, "member", by=ADA),)

    def test_nobody_removes_themselves(self) -> None:
        ada = self.member(ADA, "owner")
        with pytest.raises(RoleTooLowError):
            membership.remove(ada, ada, ban=False)
        assert membership.leave(ada) == (MemberLeft(LOBBY, ADA),)


class TestMessage:
    def post(self, state: Any, **changes: Any) -> tuple[Event, ...]:
        fields: dict[str, Any] = {"message_id": M, "room_id": LOBBY, "sender_id": ADA, "content": "hello"} | changes
        return message.post(state, **fields)

    def test_the_very_same_post_again_changes_nothing_whatever_was_edited_since(self) -> None:
        assert self.post(None) == (POSTED,)
        edited = message.edit(given_facts(message.MESSAGE, POSTED), by=ADA, relationship="member", content="changed")
        state = given_facts(message.MESSAGE, POSTED, *edited)
        assert self.post(state) == ()
        for changes in ({"content": "changed"}, {"sender_id": BEN}, {"room_id": RoomId(UUID(int=11))}, {"reply_to": M}):
            with pytest.raises(MessageIdTakenError):
                self.post(state, **changes)

    def test_kinds_say_what_they_hold(self) -> None:
        file_id = FileId(UUID(int=30))
        assert self.post(None, message_type="image", content="", file_id=file_id)
        for bad in (
            {"content": ""},
            {"file_id": file_id},
            {"message_type": "image"},
            {"message_type": "system"},
            {"content": "x" * 10_001},
            {"content": "nul \x00"},
            {"content": "return \r"},
            {"content": "\ud800"},
        ):
            with pytest.raises(InvalidError):
                self.post(None, **bad)
        assert self.post(None, content="x" * 10_000)
        assert self.post(None, content="tab\tand\nnewline")

    def test_nobody_else_may_edit_it(self) -> None:
        state = given_facts(message.MESSAGE, POSTED)
        with pytest.raises(NotYourMessageError):
            message.edit(state, by=BEN, relationship="owner", content="x")
        assert message.edit(state, by=ADA, relationship="member", content="hello") == ()
        at = DAY + timedelta(minutes=1)
        assert message.edit(state, by=ADA, relationship="member", content="bye") == (
            MessageEdited(M, LOBBY, ADA, "bye", "text", None, None, 101, at),
        )

    def test_a_message_is_edited_so_many_times_and_no_more(self) -> None:
        edits = [MessageEdited(M, LOBBY, ADA, f"text {i}", "text", None, None, 101, DAY) for i in range(1_000)]
        last = given_facts(message.MESSAGE, POSTED, *edits[:-1])
        assert len(message.edit(last, by=ADA, relationship="member", content="the last one")) == 1
        state = given_facts(message.MESSAGE, POSTED, *edits)
        with pytest.raises(TooManyEditsError):
            message.edit(state, by=ADA, relationship="member", content="one more")
        assert message.edit(state, by=ADA, relationship="member", content="text 999") == (), "it says so already"
        assert len(message.delete(state, by=ADA, relationship="member")) == 1

    def test_a_tombstone_stays_one(self) -> None:
        state = given_facts(message.MESSAGE, POSTED)
        with pytest.raises(NotYourMessageError):
            message.delete(state, by=BEN, relationship="member")
        at = DAY + timedelta(minutes=1)
        deleted = MessageDeleted(M, LOBBY, ADA, "text", None, None, 101, at, False, BEN)
        assert message.delete(state, by=BEN, relationship="admin") == (deleted,)
        gone = given_facts(message.MESSAGE, POSTED, deleted)
        assert message.delete(gone, by=ADA, relationship="member") == ()
        with pytest.raises(MessageDeletedError):
            message.edit(gone, by=ADA, relationship="member", content="x")

    def test_a_version_that_is_not_the_present_one_is_stale(self) -> None:
        message.require_version(3, 3)
        message.require_version(3, None)
        message.require_version(3, frozenset({2, 3}))
        with pytest.raises(StaleVersionError):
            message.require_version(3, 2)
        with pytest.raises(StaleVersionError):
            message.require_version(3, frozenset())

    def test_what_was_edited_is_known_to_have_been(self) -> None:
        edited = message.edit(given_facts(message.MESSAGE, POSTED), by=ADA, relationship="member", content="bye")
        state = given_facts(message.MESSAGE, POSTED, *edited)
        (deleted,) = message.delete(state, by=ADA, relationship="member")
        assert isinstance(deleted, MessageDeleted) and deleted.is_edited and deleted.posted_position == 101
        assert given_facts(message.MESSAGE, POSTED, *edited, deleted).digest == b"", "and nothing is kept of its text"

    def test_an_id_that_is_taken_is_told_before_what_is_wrong_with_the_text(self) -> None:
        with pytest.raises(MessageIdTakenError):
            self.post(given_facts(message.MESSAGE, POSTED), content="")


class TestReading:
    def mark(self, state: Any, position: int) -> tuple[Event, ...]:
        return reading.mark(state, room_id=LOBBY, user_id=ADA, position=position, head=50)

    def test_marks_go_forward_only_and_never_past_the_head(self) -> None:
        assert self.mark(None, 99) == (reading.ReadMarked(LOBBY, ADA, 50),)
        at_40 = given_facts(reading.READING, reading.ReadMarked(LOBBY, ADA, 40))
        assert self.mark(at_40, 40) == self.mark(at_40, 3) == ()
        assert self.mark(at_40, 41)

    def test_the_next_mark_is_due_five_seconds_later(self) -> None:
        state = given_facts(reading.READING, reading.ReadMarked(LOBBY, ADA, 40))
        assert reading.due_in(state, now=state.marked_at + timedelta(seconds=2)) == 3.0
        assert reading.due_in(state, now=state.marked_at + timedelta(seconds=5)) == 0.0
        assert reading.due_in(None, now=DAY) == 0.0


def test_an_audit_read_is_noted_once() -> None:
    (noted,) = audit.note(None, auditor_id=ADA, filter="/x", minute=7)
    assert audit.note(given_facts(audit.AUDIT_READS, noted), auditor_id=ADA, filter="/x", minute=7) == ()
    assert audit.read_key(SessionId(ADA), "/x", 7) != audit.read_key(SessionId(ADA), "/x", 8)


def test_ids() -> None:
    made = uuid7(0x0123456789AB, b"\xff" * 10)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == 0x0123456789AB
    assert stream_id("room", ADA) != stream_id("account", ADA)
    assert stream_id("membership", ADA, BEN) != stream_id("membership", BEN, ADA)


def test_ids_that_the_record_holds_are_for_ever() -> None:
    """Streams are found, and system messages named, by these very values: another derivation would lose them."""
    assert str(stream_id("room", LOBBY)) == "7bffca59-a0b8-5339-9c0c-b364e5dee2a4"
    assert str(stream_id("membership", LOBBY, ADA)) == "6d3e707a-2828-50ca-a3c8-d008f4d0fcf8"
    assert str(system_message_id(7)) == "0bfb4675-8039-58ea-b86c-a1326d8f91ae"
    assert str(audit.read_key(SessionId(ADA), "/x", 7)) == "38a4e0c4-67db-5abf-bad9-541e88b346f4"


def test_every_event_says_who_hears_it_and_whose_it_is() -> None:
    assert POSTED.frame_room() == OPENED.frame_room() == MemberLeft(LOBBY, ADA).frame_room() == LOBBY
    for unheard in (
        REGISTERED,
        OwnersChanged(LOBBY, (ADA,)),
        reading.ReadMarked(LOBBY, ADA, 1),
        TestSession.opened,
        audit.AuditRead(ADA, "/x", 7),
    ):
        assert unheard.frame_room() is None
    assert POSTED.encryption_subject() == (ADA, LOBBY)
    assert REGISTERED.encryption_subject() == TestSession.opened.encryption_subject() == (ADA, None)
    assert OPENED.encryption_subject() == (LOBBY, LOBBY)
    assert UnknownEvent("later.topic", LOBBY).frame_room() == LOBBY
    with pytest.raises(AssertionError):
        MemberLeft(LOBBY, ADA).encryption_subject()


def test_names_are_compared_folded() -> None:
    assert fold("Straße") == fold("STRASSE")
    assert fold("Ａda") == "ada"


@pytest.mark.parametrize("email", ["a@b.c", "first.last+tag@sub.example.org", "o'neil@example.com"])
def test_an_email(email: str) -> None:
    check_email(email)


@pytest.mark.parametrize(
    "email", ["", "a@b", "a b@c.d", "@c.d", "a@c..d", "a@-c.d", "a@c.d\n", f"{'a' * 250}@c.de", "ä@c.d"]
)
def test_no_email(email: str) -> None:
    with pytest.raises(InvalidError):
        check_email(email)


@pytest.mark.parametrize("username", ["", "x", "a b", "a@b", "x" * 51, "a/b", "a\x00", "a\u202eb", "<b>"])
def test_no_username(username: str) -> None:
    with pytest.raises(InvalidError):
        check_username(username)


@given(st.text(min_size=1, max_size=200))
def test_content_is_refused_exactly_for_control_characters_and_surrogates(content: str) -> None:
    import unicodedata

    bad = any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n" for c in content)
    if bad:
        with pytest.raises(InvalidError):
            check_content(content)
    else:
        check_content(content)
