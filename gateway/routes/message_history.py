"""Message history: a room's messages page by page, one of them, and the versions of one."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler
from msgspec import Struct, json

from domain.events import Caller, UnknownEvent
from domain.ids import MessageId, RecordId, RoomId, UserId
from domain.message import MESSAGE, MessageDeleted
from gateway.http.declarations import Described, declare
from gateway.http.kept_pages import KeptPage, PageKey
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, Place, cursor_of, place_of, place_then
from gateway.http.problems import Problem, record_changed
from gateway.http.responses import ready, shown
from gateway.operations.execution import me
from gateway.protocol.faults import FieldError
from gateway.routes.room import admitting
from gateway.routes.time_travel import As, AsOf, look
from gateway.services import Services
from projections import (
    message_additions,
    message_pages,
    message_queries,
    page_states,
    past_message_queries,
    past_room_queries,
)
from projections.message_pages import PageRead
from projections.messages import MessageView, view_of
from projections.past_message_queries import Then, Wanted


class VersionView(Struct, frozen=True):
    """One version of a message. The text of a deleted message is in none of them."""

    version: int
    position: int
    at: datetime
    actor_id: UserId | None
    content: str
    deleted: bool


async def admit_readers(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Raise `DomainError` if the caller may not read the message."""
    await message_queries.one(services.db, me(caller), MessageId(path["message_id"]))


admit_listing = admitting("message.list")


def place_at(cursor: str, record: RecordId) -> tuple[tuple[str, int], int | None]:
    """Return in which direction to go on from which position, as a cursor of this list says, and the position of the past that
    it is of."""
    return place_then(cursor, record, "messages", tuple[Literal["before", "after"], Place])


@get("/rooms/{room_id:uuid}/messages", opt=declare("message.list", "audit.read", admit=admit_listing, cursor=place_at))
async def list_messages(
    request: Request[Any, Any, Any],
    room_id: UUID,
    services: Services,
    caller: Caller,
    before: Place | None = None,
    after: Place | None = None,
    around: Place | None = None,
    render: Literal["html"] | None = None,
    as_of: AsOf | None = None,
    as_: As = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[MessageView]]:
    """List messages, newest first; `after` a position oldest first, `around` one ascending.

    A page holds at most 1 MiB of text, and of HTML with `?render=html`: fewer messages than `limit` where they are long, and
    a `next_cursor` to the others. `around` a position those nearest to it are shown; go on with `before` and `after`.
    `as_of` a position or time they are as they were; what was deleted since is a tombstone.
    """
    if sum(place is not None for place in (before, after, around, cursor)) > 1:
        await admit_listing(services, caller, {"room_id": room_id})
        detail = "Only one of before, after, around and cursor can be asked for."
        raise Problem(422, "query.invalid", detail, errors=[FieldError("?cursor", "query.invalid", detail)])
    moment = None
    if cursor is not None:
        (direction, place), moment = place_at(cursor, services.record_id)
        before, after = (place, None) if direction == "before" else (None, place)
    seen = await look(
        request, services, caller, as_, as_of, cursor=moment, has_cursor=cursor is not None, admit=admit_listing
    )
    if seen.then is not None:
        return await _list_then(
            services, seen.then, RoomId(room_id), Wanted(before, after, around, limit, render == "html")
        )
    key = PageKey(RoomId(room_id), before, limit, render == "html") if after is None and around is None else None
    if key is not None and (body := await _kept(services, me(caller), key)) is not None:
        return ready(body)
    clearings = services.kept_pages.clearings
    read = await message_pages.page(
        services.db, me(caller), RoomId(room_id), before=before, after=after, around=around, limit=limit,
        html=render == "html",
    )  # fmt: skip
    found = read.messages
    await _require_of_record(services, found, after, around)
    following = None
    if read.has_more and around is None:
        direction = "before" if after is None else "after"
        following = cursor_of(services.record_id, "messages", direction, found[-1].position)
    page = Page(await message_additions.complete(services.db, me(caller), found), following)
    body = None if key is None else _keep(services, key, read, page, clearings)
    return shown(page) if body is None else ready(body)


async def _kept(services: Services, user_id: UserId, key: PageKey) -> bytes | None:
    """Return the page as it was kept, if it would be the same now. Raise `DomainError` if this person may not read it."""
    kept = services.kept_pages.find(key)
    if kept is None:
        return None
    state = await page_states.current(
        services.db, user_id, key.room_id, before=key.before, limit=key.limit, html=key.html
    )
    if kept.state != state:
        services.kept_pages.forget(key, kept)
        return None
    return kept.body


def _keep(services: Services, key: PageKey, read: PageRead, page: Page[MessageView], clearings: int) -> bytes | None:
    """Keep a page that is asked for again, if its rows are all that it shows, and all pages were not dropped since it was read
    (`clearings`). Return its bytes if they were made."""
    if not read.messages or message_additions.are_any(read.messages):
        return None
    if not services.kept_pages.is_asked_again(key, read.messages[0].position):
        return None
    if (state := page_states.of_rows(read.rows)) is None:
        return None
    body = json.encode(page)
    if services.kept_pages.clearings == clearings:
        services.kept_pages.keep(key, KeptPage(state, body))
    return body


async def _list_then(services: Services, then: Then, room_id: RoomId, wanted: Wanted) -> Response[Page[MessageView]]:
    """Return a page of messages as they were."""
    await past_room_queries.require(services.db, then, room_id)
    found, has_more = await past_message_queries.page(services.db, services.past, then, room_id, wanted)
    if max(wanted.after or 0, wanted.around or 0) > then.position:
        raise record_changed()
    following = None
    if has_more:
        direction = "before" if wanted.after is None else "after"
        following = cursor_of(services.record_id, "messages", direction, found[-1].position, as_of=then.position)
    return shown(Page(found, following))


@get(
    "/messages/{message_id:uuid}",
    opt=declare("message.read", admit=admit_readers, described=Described(has_version=True)),
)
async def read_message(
    message_id: UUID, services: Services, caller: Caller, render: Literal["html"] | None = None
) -> Response[MessageView]:
    """Return a message; with `?render=html` its text as sanitised HTML too."""
    message = await message_queries.one(services.db, me(caller), MessageId(message_id), html=render == "html")
    [message] = await message_additions.complete(services.db, me(caller), [message])
    return shown(message, version=message.version)


def version_at(cursor: str, record: RecordId) -> tuple[int]:
    """Return the version after which a page of a message's history begins."""
    place: tuple[int] = place_of(cursor, record, "versions", tuple[Place])
    return place


@get("/messages/{message_id:uuid}/history", opt=declare("message.versions", admit=admit_readers, cursor=version_at))
async def read_history(
    message_id: UUID, services: Services, caller: Caller, cursor: Cursor | None = None, limit: Limit = LIMIT
) -> Response[Page[VersionView]]:
    """List the versions of a message, the first first. If they are long, a page holds fewer than `limit`: about 1 MiB."""
    message = await message_queries.one(services.db, me(caller), MessageId(message_id), "message.versions")
    (after,) = (0,) if cursor is None else version_at(cursor, services.record_id)
    if message.message_type == "system":
        return shown(Page([VersionView(1, message.position, message.created_at, None, message.content, False)], None))
    stream_id = MESSAGE.id(message_id)
    events, is_last = (await services.record.stream_pages({stream_id: after}, limit=limit))[stream_id]
    # Read after the page: nothing of a message that was deleted by then is shown.
    state = (await services.command_bus.see(MESSAGE, message_id)).state
    deleted = message.deleted or (state is not None and state.is_deleted)
    versions = [
        VersionView(
            recorded.version,
            recorded.position,
            recorded.at,
            recorded.meta.actor,
            "" if deleted else view_of(recorded).content,
            isinstance(recorded.event, MessageDeleted),
        )
        for recorded in events
        if not isinstance(recorded.event, UnknownEvent)
    ]
    following = cursor_of(services.record_id, "versions", events[-1].version) if events and not is_last else None
    return shown(Page(versions, following))


async def _require_of_record(
    services: Services, found: list[MessageView], after: int | None, around: int | None
) -> None:
    """Raise `Problem` for a position beyond the record's end: an empty page would say that nothing has come since."""
    place = after if around is None else around
    if place is None or any(message.position >= place for message in found):
        return
    if place > (await services.record.head()).position:
        raise record_changed()


ROUTES: list[BaseRouteHandler] = [list_messages, read_message, read_history]
