"""Threads: what a reply and its deletion count, who follows, and how far a thread is read."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain import message, thread
from domain.errors import MessageDeletedError, MessageIdTakenError, NotARootError
from domain.events import Event
from domain.ids import MessageId, RoomId, UserId
from domain.message import MESSAGE, Message, MessageDeleted, MessageEdited, MessagePosted
from domain.thread import (
    FOLLOWING,
    THREAD,
    Following,
    FollowingCause,
    Thread,
    ThreadFollowed,
    ThreadRead,
    ThreadReplied,
    ThreadReplyDeleted,
    ThreadUnfollowed,
)
from tests.domain.test_decisions import ADA, BEN, DAY, EVE, LOBBY, M, given_facts

REPLY = MessageId(UUID(int=21))
ROOT_POSTED = MessagePosted(M, LOBBY, ADA, "root")
REPLY_POSTED = MessagePosted(REPLY, LOBBY, BEN, "reply", thread_id=M, root_position=101, in_room=True)


def root(*later: Event) -> Message:
    found: Message | None = given_facts(MESSAGE, ROOT_POSTED, *later)
    assert found is not None
    return found


def replied(by: UserId, count: int, *participants: UserId) -> ThreadReplied:
    return ThreadReplied(LOBBY, M, REPLY, by, count, participants, len(participants), 101)


def gone(by: UserId, count: int, *participants: UserId) -> ThreadReplyDeleted:
    return ThreadReplyDeleted(LOBBY, M, REPLY, by, count, participants, len(participants), 101)


def a_thread(*events: Event) -> Thread:
    found: Thread | None = given_facts(THREAD, *events)
    assert found is not None
    return found


def test_replies_are_counted_and_by_whom_in_the_order_of_their_first() -> None:
    assert thread.reply(None, root(), message_id=REPLY, by=BEN) == (replied(BEN, 1, BEN),)
    state = a_thread(replied(BEN, 1, BEN), replied(ADA, 2, BEN, ADA))
    assert state.reply_count == 2
    assert thread.reply(state, root(), message_id=REPLY, by=BEN) == (replied(BEN, 3, BEN, ADA),)


def test_ten_participants_are_named_and_all_are_counted() -> None:
    people = [UserId(UUID(int=100 + n)) for n in range(11)]
    state = a_thread(*(replied(each, n + 1, *people[: n + 1]) for n, each in enumerate(people[:10])))
    [event] = thread.reply(state, root(), message_id=REPLY, by=people[10])
    assert (event.reply_count, event.participant_count) == (11, 11)
    assert event.participants == tuple(people[:10])


def test_a_deleted_reply_is_taken_back_and_its_writer_with_their_last_one() -> None:
    state = a_thread(replied(BEN, 1, BEN), replied(ADA, 2, BEN, ADA), replied(BEN, 3, BEN, ADA))
    reply: Message | None = given_facts(MESSAGE, REPLY_POSTED)
    assert reply is not None
    [event] = thread.delete_reply(state, reply)
    last = DAY + timedelta(minutes=3)
    assert event == ThreadReplyDeleted(LOBBY, M, REPLY, BEN, 2, (BEN, ADA), 2, 101, last)
    state = a_thread(replied(BEN, 1, BEN), replied(ADA, 2, BEN, ADA))
    assert thread.delete_reply(state, reply) == (
        ThreadReplyDeleted(LOBBY, M, REPLY, BEN, 1, (ADA,), 1, 101, DAY + timedelta(minutes=2)),
    )
    state = a_thread(replied(BEN, 1, BEN))
    assert thread.delete_reply(state, reply) == (gone(BEN, 0),), "no reply is left, so nobody replied last"
    state = a_thread(replied(BEN, 1, BEN), gone(BEN, 0))
    assert thread.reply(state, root(), message_id=REPLY, by=ADA) == (replied(ADA, 1, ADA),)


def test_only_a_message_of_the_room_that_is_no_reply_itself_is_a_root() -> None:
    assert thread.require_root(root(), room_id=LOBBY) == root()
    reply: Message | None = given_facts(MESSAGE, REPLY_POSTED)
    elsewhere = RoomId(UUID(int=11))
    for found, room_id in ((None, LOBBY), (reply, LOBBY), (root(), elsewhere), (reply, None), (None, None)):
        with pytest.raises(NotARootError):
            thread.require_root(found, room_id=room_id)


def test_a_thread_goes_on_without_its_root_but_none_begins() -> None:
    deleted = root(MessageDeleted(M, LOBBY, ADA, "text", None, None, 101, DAY, False, ADA))
    with pytest.raises(MessageDeletedError):
        thread.reply(None, deleted, message_id=REPLY, by=BEN)
    assert thread.reply(a_thread(replied(BEN, 1, BEN)), deleted, message_id=REPLY, by=BEN) == (replied(BEN, 2, BEN),)


def following(*events: Event) -> Following | None:
    found: Following | None = given_facts(FOLLOWING, *events)
    return found


def followed(since: int = 0, cause: FollowingCause = "request") -> ThreadFollowed:
    return ThreadFollowed(LOBBY, M, EVE, 101, since, cause)


UNFOLLOWED = ThreadUnfollowed(LOBBY, M, EVE, 101)


@pytest.mark.parametrize("cause", ["author", "reply", "mention", "request"])
def test_whoever_has_to_do_with_a_thread_follows_it_and_what_came_before_is_read(cause: FollowingCause) -> None:
    assert thread.follow(None, root(), None, user_id=EVE, cause=cause) == (followed(0, cause),)
    state = a_thread(replied(BEN, 1, BEN), replied(BEN, 2, BEN))
    assert thread.follow(None, root(), state, user_id=EVE, cause=cause) == (followed(102, cause),)
    assert thread.follow(following(followed()), root(), state, user_id=EVE, cause=cause) == ()


@pytest.mark.parametrize(("cause", "again"), [("author", 0), ("mention", 0), ("reply", 1), ("request", 1)])
def test_who_took_it_back_follows_again_by_what_they_do_themselves(cause: FollowingCause, again: int) -> None:
    for before in ((UNFOLLOWED,), (followed(), UNFOLLOWED)):
        assert len(thread.follow(following(*before), root(), None, user_id=EVE, cause=cause)) == again
    assert thread.unfollow(following(UNFOLLOWED), root(), user_id=EVE) == ()
    assert thread.unfollow(None, root(), user_id=EVE) == (UNFOLLOWED,), "nobody makes them follow it from now on"
    assert thread.unfollow(following(followed()), root(), user_id=EVE) == (UNFOLLOWED,)


def test_a_mark_moves_forward_up_to_the_last_reply_and_only_of_who_follows() -> None:
    state = a_thread(replied(BEN, 1, BEN), replied(BEN, 2, BEN))

    def mark(now: Following | None, position: int, of: Thread | None = state) -> tuple[Event, ...]:
        return thread.mark(now, root(), of, user_id=EVE, position=position)

    read = ThreadRead(LOBBY, M, EVE, 101, 102)
    assert mark(following(followed()), 10**6) == (read,)
    assert mark(following(followed()), 101) == (ThreadRead(LOBBY, M, EVE, 101, 101),)
    assert mark(following(followed(), read), 10**6) == mark(following(followed(), read), 101) == ()
    assert mark(following(followed(102)), 102) == ()
    assert mark(None, 102) == mark(following(UNFOLLOWED), 102) == mark(following(followed()), 102, None) == ()


def test_the_same_reply_again_is_silence_and_another_place_is_another_message() -> None:
    state: Message | None = given_facts(MESSAGE, REPLY_POSTED)

    def post(thread_id: MessageId | None = M, *, in_room: bool = True) -> tuple[Event, ...]:
        return message.post(
            state, message_id=REPLY, room_id=LOBBY, sender_id=BEN, content="reply", thread_id=thread_id, in_room=in_room
        )

    assert post() == ()
    for other in ({"thread_id": None}, {"in_room": False}, {"thread_id": MessageId(UUID(int=22))}):
        with pytest.raises(MessageIdTakenError):
            post(**other)


def test_a_reply_stays_in_its_thread_when_it_is_edited_and_deleted() -> None:
    state: Message | None = given_facts(MESSAGE, REPLY_POSTED)
    assert state is not None
    [edited] = message.edit(state, by=BEN, relationship="member", content="other")
    [deleted] = message.delete(state, by=BEN, relationship="member")
    assert isinstance(edited, MessageEdited) and (edited.thread_id, edited.in_room) == (M, True)
    assert isinstance(deleted, MessageDeleted) and (deleted.thread_id, deleted.in_room) == (M, True)


def test_a_message_outside_of_threads_is_in_the_room_whatever_is_said() -> None:
    [posted] = message.post(None, message_id=M, room_id=LOBBY, sender_id=ADA, content="x", in_room=True)
    assert isinstance(posted, MessagePosted) and posted.in_room is None
