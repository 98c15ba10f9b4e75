"""Messages: posting, editing, deleting. A post is guarded by the room, the sender's membership and account.

A post that shows a file also writes `file.shared` to the file's stream, in the same append. So the snapshot of the file
that the post carries is what the file was at that position. A deleted message is unpinned in the same append, and a reply in
a thread is counted there.
"""

from collections.abc import Sequence

from msgspec import Struct

from commands.mention import mentions_of
from commands.room import Entered, enter
from commands.thread_reply import root_of, write_deletion, write_reply
from commands.unit_of_work import Handler, UnitOfWork
from domain import message as decide
from domain.authorization import unknown
from domain.block import BLOCKS, has_blocked
from domain.errors import BlockedError, ReplyTargetUnknownError
from domain.events import Event
from domain.file import FILE, share, snapshot_of
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.kinds import MessageType
from domain.message import MESSAGE, Versions
from domain.pin import PINS, unpin
from domain.rights import Relationship, RoomOperation


class PostMessage(Struct, frozen=True):
    """`thread_id`: the root, of a reply in a thread. `room_members`: how many are in the room, if anybody counted them."""

    room_id: RoomId
    message_id: MessageId
    content: str
    message_type: MessageType = "text"
    file_id: FileId | None = None
    reply_to: MessageId | None = None
    thread_id: MessageId | None = None
    in_room: bool = False
    room_members: int | None = None


class EditMessage(Struct, frozen=True):
    """`version` None fits any version."""

    message_id: MessageId
    content: str
    version: Versions = None


class DeleteMessage(Struct, frozen=True):
    message_id: MessageId
    version: Versions = None


async def post(command: PostMessage, unit: UnitOfWork) -> None:
    """Post once. Sending a message again that was posted already succeeds even if its sender was removed from the room
    since: they may not know of the removal yet."""
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    message = await unit.load_new(MESSAGE, command.message_id)
    file = None if command.file_id is None else await unit.load(FILE, command.file_id)
    entered, root, mentions = None, None, decide.NOBODY
    if message is None or (message.room_id, message.sender_id) != (command.room_id, user_id):
        entered = await enter(unit, command.room_id, "message.post")
        await _require_heard(unit, entered)
        root = None if command.thread_id is None else await root_of(unit, entered, command.thread_id)
        mentions = await mentions_of(unit, entered, command.content, members=command.room_members)
    events = decide.post(
        message,
        message_id=command.message_id,
        room_id=command.room_id,
        sender_id=user_id,
        content=command.content,
        message_type=command.message_type,
        file_id=command.file_id,
        reply_to=command.reply_to,
        file=None if file is None else snapshot_of(file),
        mentions=mentions,
        thread_id=command.thread_id,
        root_position=None if root is None else root.position,
        in_room=command.in_room,
    )
    if command.reply_to is not None and entered is not None:
        await _require_reply_target(unit, entered, command.reply_to)
    unit.write(MESSAGE, command.message_id, events=events)
    if command.file_id is not None and events:
        shared = share(
            file,
            by=user_id,
            room_id=command.room_id,
            message_id=command.message_id,
            message_type=command.message_type,
        )
        unit.write(FILE, command.file_id, events=shared)
    if entered is not None and root is not None and events:
        await write_reply(unit, entered, root, command.message_id, mentions)


async def _require_reply_target(unit: UnitOfWork, entered: Entered, reply_to: MessageId) -> None:
    target = await unit.peek(MESSAGE, reply_to)
    if target is None or target.room_id != entered.room.room_id or not entered.may_know_of(target.position):
        raise ReplyTargetUnknownError(pointer="/reply_to")


async def _require_heard(unit: UnitOfWork, entered: Entered) -> None:
    """Refuse who writes to somebody alone by whom they are blocked. Where more people are, a block hides nothing."""
    others = [each for each in entered.room.direct if each != entered.user_id]
    if len(others) == 1 and has_blocked(await unit.load(BLOCKS, others[0]), entered.user_id):
        raise BlockedError


async def edit(command: EditMessage, unit: UnitOfWork) -> None:
    message, relationship, user_id = await reach(unit, command.message_id, "message.edit")
    decide.require_editable(message, by=user_id, relationship=relationship)
    _decide_version(command, unit)
    events = decide.edit(message, by=user_id, relationship=relationship, content=command.content)
    unit.write(MESSAGE, command.message_id, events=events)


async def delete(command: DeleteMessage, unit: UnitOfWork) -> None:
    message, relationship, user_id = await reach(unit, command.message_id, "message.delete")
    events = decide.delete(message, by=user_id, relationship=relationship)
    _decide_version(command, unit)
    await write_removal(unit, message, events, by=user_id)


async def write_removal(unit: UnitOfWork, message: decide.Message, events: Sequence[Event], *, by: UserId) -> None:
    """Write the deletion of a message with what goes with it: it is unpinned, and counted as gone in its thread."""
    unit.write(MESSAGE, message.message_id, events=events)
    if message.thread_id is not None and events:
        await write_deletion(unit, message)
    pins = await unit.load(PINS, message.room_id)
    unpinned = unpin(
        pins,
        room_id=message.room_id,
        message_id=message.message_id,
        posted_position=message.position,
        by=by,
    )
    unit.write(PINS, message.room_id, events=unpinned)


async def reach(
    unit: UnitOfWork, message_id: MessageId, operation: RoomOperation
) -> tuple[decide.Message, Relationship, UserId]:
    """Return a message, the caller's relationship to its room, and the caller. Raise `DomainError` if they may not do this in
    that room at all."""
    message = await unit.load(MESSAGE, message_id)
    if message is None:
        raise unknown(operation)
    entered = await enter(unit, message.room_id, operation)
    if not entered.may_know_of(message.position):
        raise unknown(operation)
    return message, entered.member.relationship, entered.user_id


def _decide_version(command: EditMessage | DeleteMessage, unit: UnitOfWork) -> None:
    decide.require_version(unit.version(MESSAGE, command.message_id), command.version)


HANDLERS: dict[type[Struct], Handler] = {PostMessage: post, EditMessage: edit, DeleteMessage: delete}
