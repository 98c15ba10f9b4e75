"""Reactions to messages."""

from typing import Any
from uuid import UUID

from litestar import Response, delete, get, put
from litestar.handlers import BaseRouteHandler

from domain.events import Caller
from domain.ids import MessageId, RecordId
from gateway.http.declarations import declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, Place, cursor_of, place_of
from gateway.http.responses import shown, written
from gateway.operations import reaction
from gateway.operations.execution import me
from gateway.routes.message import admitting_at
from gateway.services import Services
from projections import message_queries, reactions
from projections.reactions import ReactorView


async def admit_listing(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Raise `DomainError` if the caller may not see the message's reactions."""
    await message_queries.one(services.db, me(caller), MessageId(path["message_id"]), "reaction.list")


def place_at(cursor: str, record: RecordId) -> tuple[int]:
    """Return the position after which a page of this list begins."""
    place: tuple[int] = place_of(cursor, record, "reactions", tuple[Place])
    return place


@put(
    "/messages/{message_id:uuid}/reactions/{emoji:str}",
    status_code=204,
    opt=declare("reaction.add", admit=admitting_at("reaction.add")),
)
async def add_reaction(message_id: UUID, emoji: str, services: Services, caller: Caller) -> Response[None]:
    """Give a message a Unicode emoji, at most 20 of one person; the same one again changes nothing."""
    outcome = await reaction.add(services, caller, message_id, emoji)
    return written(outcome, None, status=204)


@delete(
    "/messages/{message_id:uuid}/reactions/{emoji:str}",
    status_code=204,
    opt=declare("reaction.remove", admit=admitting_at("reaction.remove")),
)
async def remove_reaction(message_id: UUID, emoji: str, services: Services, caller: Caller) -> Response[None]:
    """Take one's emoji back; one that was not given changes nothing."""
    outcome = await reaction.remove(services, caller, message_id, emoji)
    return written(outcome, None, status=204)


@get("/messages/{message_id:uuid}/reactions", opt=declare("reaction.list", admit=admit_listing, cursor=place_at))
async def list_reactions(
    message_id: UUID, services: Services, caller: Caller, cursor: Cursor | None = None, limit: Limit = LIMIT
) -> Response[Page[ReactorView]]:
    """List who gave which emoji, the first first; of a deleted message nobody."""
    message = await message_queries.one(services.db, me(caller), MessageId(message_id), "reaction.list")
    if message.deleted:
        return shown(Page([], None))
    (after,) = (0,) if cursor is None else place_at(cursor, services.record_id)
    found = await reactions.page(services.db, message.position, after=after, limit=limit)
    following = cursor_of(services.record_id, "reactions", found[-1].position) if len(found) == limit else None
    return shown(Page(found, following))


ROUTES: list[BaseRouteHandler] = [add_reaction, remove_reaction, list_reactions]
