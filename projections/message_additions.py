"""What stands beside the rows of messages: files and reactions. Each is asked for only where there is some."""

from collections.abc import Sequence

from msgspec.structs import replace

from domain.ids import UserId
from domain.ports.database import Db
from projections import message_queries, reactions
from projections.messages import MessageView


async def complete(db: Db, user_id: UserId, found: Sequence[MessageView]) -> list[MessageView]:
    """Return these messages with everything that this person sees of them."""
    return await _with_reactions(db, user_id, await message_queries.with_files(db, found))


async def _with_reactions(db: Db, user_id: UserId, found: list[MessageView]) -> list[MessageView]:
    wanted = [message.position for message in found if message.reactions is None]
    if not wanted:
        return found
    counted = await reactions.counted(db, user_id, wanted)
    return [
        replace(message, reactions=counted[message.position]) if message.reactions is None else message
        for message in found
    ]
