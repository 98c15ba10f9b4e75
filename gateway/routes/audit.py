"""The audit trail: the record itself, for people with a role for it. Every read is recorded, with its reason."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter
from msgspec import Meta, structs

from adapters.postgres.audit import AuditEntry
from adapters.postgres.audit_index import Filter
from commands.audit import NoteAuditRead
from commands.unit_of_work import UnitOfWork
from domain.account import ACCOUNT, require_right
from domain.errors import NotFoundError
from domain.events import Caller
from domain.ids import RecordId, UserId
from gateway.http.callers import require_reason
from gateway.http.declarations import Described, declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, Place, cursor_of, place_of
from gateway.http.problems import record_changed
from gateway.http.responses import shown
from gateway.operations.execution import me
from gateway.operations.proofs import InclusionView, NothingSignedError, inclusion_view, proofs_of
from gateway.services import Services

Moment = Annotated[datetime, Meta(tz=True, description="A time with its offset (RFC 3339).")]
PAGING = frozenset({"after", "cursor", "limit"})


class ProvenEntry(AuditEntry, frozen=True):
    """`inclusion` leads from the leaf to the root of the newest tree that was signed; null: it was not signed yet."""

    inclusion: InclusionView | None = None


class EntryNotFoundError(NotFoundError, code="audit.entry_not_found"):
    """The record has no event at this position."""


async def admit_auditors(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Raise `DomainError` if the caller has none of the roles, according to the record."""

    async def probe(unit: UnitOfWork) -> None:
        require_right(await unit.load(ACCOUNT, me(caller)), "audit.read")

    await services.command_bus.admit(probe, caller)


def place_at(cursor: str, record: RecordId) -> tuple[int]:
    """Return the place that a cursor of this list names."""
    place: tuple[int] = place_of(cursor, record, "audit", tuple[Place])
    return place


@get(
    "/audit/events",
    opt=declare("audit.read", admit=admit_auditors, cursor=place_at, described=Described(needs_reason=True)),
)
async def list_events(
    request: Request[Any, Any, Any],
    services: Services,
    caller: Caller,
    actor: UUID | None = None,
    room: UUID | None = None,
    subject: UUID | None = None,
    type: Annotated[str, Meta(max_length=100)] | None = None,
    from_: Annotated[Moment | None, Parameter(query="from")] = None,
    to: Moment | None = None,
    after: Place | None = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[AuditEntry]]:
    """List events in the record's order. A page may be short, or empty, and still have a next one."""
    await note(request, services, caller)
    place = after or 0
    if cursor is not None:
        (place,) = place_at(cursor, services.record_id)
    if place > (await services.record.head()).position:
        raise record_changed()
    page = await services.audit.page(Filter(actor, room, subject, type, from_, to), after=place, limit=limit)
    following = None if page.next_after is None else cursor_of(services.record_id, "audit", page.next_after)
    return shown(Page(page.entries, following))


@get(
    "/audit/events/{position:int}",
    opt=declare("audit.read", admit=admit_auditors, described=Described(needs_reason=True)),
)
async def read_event(
    position: int, request: Request[Any, Any, Any], services: Services, caller: Caller
) -> Response[ProvenEntry]:
    """Return the event at a position, whole: who, what, when, from where and why; and the proof that it stands there."""
    await note(request, services, caller)
    entry = await services.audit.entry(position) if 0 < position < 2**63 else None
    if entry is None:
        raise EntryNotFoundError
    return shown(ProvenEntry(**structs.asdict(entry), inclusion=await _inclusion(services, position)))


async def note(request: Request[Any, Any, Any], services: Services, caller: Caller) -> None:
    """Raise an error if the caller may not read this (403) or does not say why (422). Otherwise record the read."""
    await admit_auditors(services, caller, {})
    require_reason(caller)
    parameters = sorted((name, value) for name, value in request.query_params.multi_items() if name not in PAGING)
    person = next(
        (value for wanted in ("as", "subject", "actor") for name, value in parameters if name == wanted), None
    )
    command = NoteAuditRead(
        f"{request.url.path}?{urlencode(parameters)}".rstrip("?"), None if person is None else UserId(UUID(person))
    )
    await services.command_bus.do(command, caller)


async def _inclusion(services: Services, position: int) -> InclusionView | None:
    proofs = proofs_of(services)
    try:
        size = (await proofs.newest()).size
    except NothingSignedError:
        return None
    return None if size < position else inclusion_view(await proofs.inclusion(position - 1, size), position - 1, size)


ROUTES: list[BaseRouteHandler] = [list_events, read_event]
