"""What one is to a room, and by that to its messages and to its other members."""

from collections.abc import Mapping
from typing import get_args

from domain import authorization
from domain.account import Account
from domain.membership import MEMBERSHIP, Membership, relationship_of
from domain.message import Message
from domain.rights import MemberOperation, MemberTarget, MessageOperation, Relationship, RoomOperation
from domain.room import ROOM, Room
from runtime.composition.process_context import ProcessContext
from runtime.operators.explaining.answer import Answer
from runtime.operators.explaining.streams import NotJudgedError, Read, actor_of, name_of, person, read, since_event

OF_A_MESSAGE: Mapping[str, MessageOperation] = {each: each for each in get_args(MessageOperation)}


async def in_room(
    base: ProcessContext, answer: Answer, who: Account, operation: RoomOperation, room: Read[Room]
) -> Relationship:
    """Judge by somebody's relation to a room, and return that relation."""
    state = room.known
    membership: Read[Membership] = await read(base, MEMBERSHIP, state.room_id, who.user_id)
    relationship = relationship_of(membership.state)
    answer.say("room", f"“{state.name}” ({state.room_id}), {state.kind}, history {state.history}")
    if state.is_private:
        answer.say("private", since_event(room.since(lambda each: each.is_private)))
    if state.is_archived:
        answer.say("archived", since_event(room.since(lambda each: each.is_archived)))
    said = membership.since(lambda each: each.relationship == relationship)
    answer.say(
        "is",
        "stranger: never was in it"
        if said is None
        else f"{relationship}; {since_event(said)}{await actor_of(base, said)}",
    )
    verdict, column = authorization.in_room(operation, state.kind, relationship), str(relationship)
    if state.is_private and authorization.is_outside(relationship):
        column = "unknown (of a private room who is outside learns nothing)"
    elif (
        verdict is not None
        and authorization.in_room(operation, "private" if state.is_private else "public", relationship) is None
    ):
        column = "archived"
    answer.row("what one is to the room", operation, column, verdict)
    return relationship


async def of_message(
    base: ProcessContext, answer: Answer, who: Account, operation: RoomOperation, message: Read[Message]
) -> None:
    state = message.known
    room: Read[Room] = await read(base, ROOM, state.room_id)
    answer.say(
        "message", f"{state.message_id}; {since_event(message.events[0])}{await actor_of(base, message.events[0])}"
    )
    relationship = await in_room(base, answer, who, operation, room)
    if answer.verdict is not None:
        return
    if operation in OF_A_MESSAGE:
        is_sender = state.sender_id == who.user_id
        verdict = authorization.of_message(OF_A_MESSAGE[operation], relationship, is_sender=is_sender)
        answer.row("what one is to a message", operation, "sender" if is_sender else relationship, verdict)
        return
    membership: Read[Membership] = await read(base, MEMBERSHIP, state.room_id, who.user_id)
    joined = membership.state.joined_position if membership.state else 0
    since = authorization.reads_since(room.known.history, relationship, joined_position=joined)
    if since is None or state.position < since:
        readable = "nobody outside reads a message" if since is None else f"readable from position {since} on"
        answer.say("history", f"joined: {readable}, and this is of position {state.position}")
        answer.verdict = authorization.unknown(operation)


async def of_member(
    base: ProcessContext,
    answer: Answer,
    who: Account,
    operation: MemberOperation,
    by: Relationship,
    room: Room,
    whom: str | None,
) -> None:
    """Judge by what the other person is to the room."""
    if whom is None:
        raise NotJudgedError("It depends on whom it is asked of: name them with --whom.")
    other = await person(base, whom)
    theirs: Read[Membership] = await read(base, MEMBERSHIP, room.room_id, other.known.user_id)
    role = theirs.state.role if theirs.state else None
    target: MemberTarget = "outsider" if role is None else role
    if role is not None and other.known.user_id == who.user_id:
        target = "oneself"
    since = since_event(theirs.events[-1]) if theirs.events else "never was in the room"
    answer.say("whom", f"{name_of(other.known)}, {target}; {since}")
    answer.row("what the other one is", f"{operation} by {by}", target, authorization.of_member(operation, by, target))
