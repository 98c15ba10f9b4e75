"""What stands beside the rows of messages: files, reactions and threads. Each is asked for only where there is some."""

from collections.abc import Sequence

from msgspec.structs import replace

from domain.ids import UserId
from domain.ports.database import Db
from projections import message_queries, reactions, threads
from projections.messages import THREAD_ASKED, MessageView
from projections.rooms import RoomView


def are_any(found: Sequence[MessageView]) -> bool:
    """Return whether something stands beside the rows of these messages."""
    return any(
        message.reactions is None
        or message.thread is THREAD_ASKED
        or (message.file_id is not None and not message.deleted)
        for message in found
    )


async def complete(db: Db, user_id: UserId, found: Sequence[MessageView]) -> list[MessageView]:
    """Return these messages with everything that this person sees of them."""
    with_files = await message_queries.with_files(db, found)
    return await _with_threads(db, user_id, await _with_reactions(db, user_id, with_files))


async def complete_last(db: Db, user_id: UserId, found: Sequence[RoomView]) -> list[RoomView]:
    """Return these rooms, each with everything that this person sees of its last message."""
    last = {room.id: room.last_message for room in found if room.last_message is not None}
    seen = dict(zip(last, await complete(db, user_id, list(last.values())), strict=True))
    return [replace(room, last_message=seen.get(room.id)) for room in found]


async def _with_reactions(db: Db, user_id: UserId, found: list[MessageView]) -> list[MessageView]:
    wanted = [message.position for message in found if message.reactions is None]
    if not wanted:
        return found
    counted = await reactions.counted(db, user_id, wanted)
    return [
        replace(message, reactions=counted[message.position]) if message.reactions is None else message
        for message in found
    ]


async def _with_threads(db: Db, user_id: UserId, found: list[MessageView]) -> list[MessageView]:
    wanted = [message.position for message in found if message.thread is THREAD_ASKED]
    if not wanted:
        return found
    views = await threads.of_roots(db, user_id, wanted)
    return [
        replace(message, thread=views.get(message.position)) if message.thread is THREAD_ASKED else message
        for message in found
    ]
