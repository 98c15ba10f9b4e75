"""The audit trail: the record itself, for those whose role it is. Every read is recorded, with its reason."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter
from msgspec import Meta

from adapters.audit import AuditEntry, Filter
from commands.audit import NoteAuditRead
from commands.desk import Work
from domain.account import ACCOUNT, require_role
from domain.facts import Caller
from domain.refusals import Unknown
from gateway.answers import shown
from gateway.house import House
from gateway.pages import LIMIT, Limit, Page, cursor_of, place_of
from gateway.requests import require_reason

Moment = Annotated[datetime, Meta(tz=True, description="A time with its offset (RFC 3339).")]
PLACING = frozenset({"after", "cursor", "limit"})


class EntryNotFound(Unknown, code="audit.entry_not_found"):
    """The record has no event at this position."""


async def admit_auditors(work: Work, path: dict[str, Any]) -> None:
    assert work.caller.user_id, "the door lets no stranger here"
    require_role(await work.load(ACCOUNT, work.caller.user_id), "auditor", "records_manager", "admin")


@get("/audit/events", opt={"admit": admit_auditors})
async def list_events(
    request: Request[Any, Any, Any],
    house: House,
    caller: Caller,
    actor: UUID | None = None,
    room: UUID | None = None,
    subject: UUID | None = None,
    type: Annotated[str, Meta(max_length=100)] | None = None,
    from_: Annotated[Moment | None, Parameter(query="from")] = None,
    to: Moment | None = None,
    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None,
    cursor: str | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[AuditEntry]]:
    """List events in the record's order. A page may be short, or empty, and still have a next one."""
    await note(request, house, caller)
    place = after or 0
    if cursor is not None:
        (place,) = place_of(cursor, house.record_id, "audit", tuple[int])
    page = await house.audit.page(Filter(actor, room, subject, type, from_, to), after=place, limit=limit)
    following = None if page.next_after is None else cursor_of(house.record_id, "audit", page.next_after)
    return shown(Page(page.entries, following))


@get("/audit/events/{position:int}", opt={"admit": admit_auditors})
async def read_event(
    position: int, request: Request[Any, Any, Any], house: House, caller: Caller
) -> Response[AuditEntry]:
    """Return the event at a position, whole: who, what, when, from where and why."""
    await note(request, house, caller)
    entry = await house.audit.entry(position) if 0 < position < 2**63 else None
    if entry is None:
        raise EntryNotFound
    return shown(entry)


async def note(request: Request[Any, Any, Any], house: House, caller: Caller) -> None:
    """Refuse who may not (403) or does not say why (422), and record the read."""
    await house.desk.admit(lambda work: admit_auditors(work, {}), caller)
    require_reason(caller)
    asked = sorted((name, value) for name, value in request.query_params.multi_items() if name not in PLACING)
    await house.desk.do(NoteAuditRead(f"{request.url.path}?{urlencode(asked)}".rstrip("?")), caller)


ROUTES: list[BaseRouteHandler] = [list_events, read_event]
