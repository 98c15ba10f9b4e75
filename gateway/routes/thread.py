"""Threads: the replies to a message, following them, and how far one has read. Replies are posted as messages are."""

from typing import Any, Literal
from uuid import UUID

from litestar import Request, Response, delete, get, put
from litestar.handlers import BaseRouteHandler

from domain.events import Caller
from domain.ids import MessageId, RecordId
from gateway.http.declarations import declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, Place, cursor_of, place_then
from gateway.http.responses import shown, written
from gateway.operations import thread as operations
from gateway.operations.execution import me
from gateway.routes.message import admitting_at
from gateway.routes.reading import ReadBody
from gateway.routes.time_travel import As, AsOf, look
from gateway.services import Services
from projections import message_additions, message_queries, past_thread_pages, thread_pages
from projections.messages import MessageView


async def admit_listing(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Raise `DomainError` if the caller may not read the thread."""
    await message_queries.one(services.db, me(caller), MessageId(path["message_id"]), "thread.list")


def place_at(cursor: str, record: RecordId) -> tuple[tuple[int], int | None]:
    """Return the position after which a page of this list begins, and the position of the past that it is of."""
    return place_then(cursor, record, "thread", tuple[Place])


@get(
    "/messages/{message_id:uuid}/thread", opt=declare("thread.list", "audit.read", admit=admit_listing, cursor=place_at)
)
async def list_replies(
    request: Request[Any, Any, Any],
    message_id: UUID,
    services: Services,
    caller: Caller,
    render: Literal["html"] | None = None,
    as_of: AsOf | None = None,
    as_: As = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[MessageView]]:
    """List the replies in the thread of a message, oldest first, those that are shown in the room among them.

    A page holds at most 1 MiB of text, and of HTML with `?render=html`: fewer replies than `limit` where they are long, and
    a `next_cursor` to the others. `as_of` a position or time they are as they were; what was deleted since is a tombstone.
    """
    (after,), moment = ((0,), None) if cursor is None else place_at(cursor, services.record_id)
    seen = await look(
        request, services, caller, as_, as_of, cursor=moment, has_cursor=cursor is not None, admit=admit_listing
    )
    if seen.then is not None:
        then, has_more = await past_thread_pages.page(
            services.db,
            services.past,
            seen.then,
            MessageId(message_id),
            after=after,
            limit=limit,
            html=render == "html",
        )
        position = seen.then.position
        following = cursor_of(services.record_id, "thread", then[-1].position, as_of=position) if has_more else None
        return shown(Page(then, following))
    found, has_more = await thread_pages.page(
        services.db, me(caller), MessageId(message_id), after=after, limit=limit, html=render == "html"
    )
    following = cursor_of(services.record_id, "thread", found[-1].position) if has_more else None
    return shown(Page(await message_additions.complete(services.db, me(caller), found), following))


@put(
    "/messages/{message_id:uuid}/thread/follow",
    status_code=204,
    opt=declare("thread.follow", admit=admitting_at("thread.follow")),
)
async def follow_thread(message_id: UUID, services: Services, caller: Caller) -> Response[None]:
    """Follow the thread of a message, whether there are replies or not; replies from now on are unread."""
    outcome = await operations.follow(services, caller, message_id)
    return written(outcome, None, status=204)


@delete(
    "/messages/{message_id:uuid}/thread/follow",
    status_code=204,
    opt=declare("thread.unfollow", admit=admitting_at("thread.unfollow")),
)
async def unfollow_thread(message_id: UUID, services: Services, caller: Caller) -> Response[None]:
    """Follow a thread no longer, until one replies or asks for it: nobody else's mention brings it back."""
    outcome = await operations.unfollow(services, caller, message_id)
    return written(outcome, None, status=204)


@put(
    "/messages/{message_id:uuid}/thread/read",
    status_code=204,
    opt=declare("thread.mark_read", admit=admitting_at("thread.mark_read")),
)
async def mark_thread_read(message_id: UUID, data: ReadBody, services: Services, caller: Caller) -> Response[None]:
    """Move one's mark in a thread forward, at most to its last reply. Of a thread that one does not follow nothing is kept."""
    outcome = await operations.mark_read(services, caller, message_id, data.position)
    return written(outcome, None, status=204)


ROUTES: list[BaseRouteHandler] = [list_replies, follow_thread, unfollow_thread, mark_thread_read]
