"""Messages: posting, editing, deleting. A post is guarded by the room, the sender's membership and account.

A post that shows a file writes the file's stream too, in the same append: `file.shared`; and it tells what the file was
at that position, which the file's stream guards.
"""

from msgspec import Struct

from commands.desk import Handler, Work
from commands.room import enter, enter_as_member
from domain import message as decide
from domain.file import FILE, share, shown
from domain.ids import FileId, MessageId, RoomId
from domain.kinds import MessageType
from domain.membership import require_member
from domain.message import MESSAGE
from domain.refusals import MessageNotFound, ReplyTargetUnknown, RoomNotFound
from domain.room import require_open


class PostMessage(Struct, frozen=True):
    room_id: RoomId
    message_id: MessageId
    content: str
    message_type: MessageType = "text"
    file_id: FileId | None = None
    reply_to: MessageId | None = None


class EditMessage(Struct, frozen=True):
    """`version` None: whatever it is."""

    message_id: MessageId
    content: str
    version: int | None = None


class DeleteMessage(Struct, frozen=True):
    message_id: MessageId
    version: int | None = None


async def post(command: PostMessage, work: Work) -> None:
    """Post once. What its sender posted already is told so even if they were removed since: they may not know of it."""
    user_id = work.caller.user_id
    assert user_id, "strangers post nothing"
    message = await work.load_new(MESSAGE, command.message_id)
    file = None if command.file_id is None else await work.load(FILE, command.file_id)
    if message is None or (message.room_id, message.sender_id) != (command.room_id, user_id):
        await enter_as_member(work, command.room_id)
    events = decide.post(
        message,
        message_id=command.message_id,
        room_id=command.room_id,
        sender_id=user_id,
        content=command.content,
        message_type=command.message_type,
        file_id=command.file_id,
        reply_to=command.reply_to,
        file=None if file is None else shown(file),
    )
    if command.reply_to is not None:
        target = await work.peek(MESSAGE, command.reply_to)
        if target is None or target.room_id != command.room_id:
            raise ReplyTargetUnknown(pointer="/reply_to")
    work.write(MESSAGE, command.message_id, events=events)
    if command.file_id is not None and events:
        shared = share(
            file,
            by=user_id,
            room_id=command.room_id,
            message_id=command.message_id,
            message_type=command.message_type,
        )
        work.write(FILE, command.file_id, events=shared)


async def edit(command: EditMessage, work: Work) -> None:
    message = await work.load(MESSAGE, command.message_id)
    await reach(work, message)
    assert work.caller.user_id
    decide.require_editable(message, by=work.caller.user_id)
    _decide_version(command, work)
    events = decide.edit(message, by=work.caller.user_id, content=command.content)
    work.write(MESSAGE, command.message_id, events=events)


async def delete(command: DeleteMessage, work: Work) -> None:
    message = await work.load(MESSAGE, command.message_id)
    moderates = await reach(work, message)
    assert work.caller.user_id
    events = decide.delete(message, by=work.caller.user_id, moderates=moderates)
    _decide_version(command, work)
    work.write(MESSAGE, command.message_id, events=events)


async def reach(work: Work, message: decide.Message | None) -> bool:
    """Refuse who may not change anything in the message's room; answers whether the caller moderates it."""
    if message is None:
        raise MessageNotFound
    try:
        room, membership, _ = await enter(work, message.room_id)
    except RoomNotFound:
        raise MessageNotFound from None
    member = require_member(membership)
    require_open(room)
    return member.role in ("owner", "admin")


def _decide_version(command: EditMessage | DeleteMessage, work: Work) -> None:
    decide.require_version(work.version(MESSAGE, command.message_id), command.version)


HANDLERS: dict[type[Struct], Handler] = {PostMessage: post, EditMessage: edit, DeleteMessage: delete}
