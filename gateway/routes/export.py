"""Exports: asked for by people with a role for it, with a reason; looked after, cancelled, and fetched. All of it is recorded."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import HttpMethod, Request, Response, get, post, route
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from adapters import sealing
from commands.export import CancelExport, RequestExport
from domain.errors import InvalidError
from domain.events import Caller
from domain.export import FORMATS, ExportNotReadyError, ExportRequested, Format, NoSuchExportError, TooManyExportsError
from domain.ids import RecordId, RoomId, UserId
from domain.moments import require_in_range
from domain.ports.blobs import BlobMissingError, BlobsUnavailableError
from domain.ports.record import Receipt
from domain.ports.tasks import TasksUnavailableError
from domain.tasks import MakeExport
from gateway.http import downloads
from gateway.http.callers import require_reason
from gateway.http.declarations import Described, declare
from gateway.http.downloads import Content
from gateway.http.pagination import Cursor, Limit, Microseconds, Page, cursor_of, moment_at, place_of, placed
from gateway.http.responses import shown, written
from gateway.operations.execution import execute, me
from gateway.routes.audit import note
from gateway.routes.operating import admitting
from gateway.services import Services
from projections import exports
from projections.exports import ExportRow, State

EXPORTS_AT_ONCE_MAX = 10  # queued or under way, of the whole deployment
EXPORTS_LISTED = 100
FILTER_IDS_MAX = 1_000
RECIPIENT_CHARS_MAX = 20_000
BLOB_CHARS = 64
MOMENT = timedelta(microseconds=1)  # the record's clock knows nothing shorter

Moment = Annotated[datetime, Meta(tz=True, description="A time with its offset (RFC 3339).")]
Ids = Annotated[list[UUID], Meta(max_length=FILTER_IDS_MAX)]


class ExportBody(Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """What is exported: what was recorded from a time until before another; without `to` all until now. Empty `rooms` and
    `actors`: all. `recipient`: an age key (`age1…`) or an armoured OpenPGP public key that alone can open the package."""

    formats: Annotated[list[Format], Meta(min_length=1, max_length=len(FORMATS))]
    from_: Moment | None = None
    to: Moment | None = None
    rooms: Ids = []
    actors: Ids = []
    recipient: Annotated[str, Meta(min_length=1, max_length=RECIPIENT_CHARS_MAX)] | None = None


class RangeView(Struct, frozen=True, rename={"from_": "from"}):
    """Events after the position `after`, up to `until`."""

    after: int
    until: int
    from_: datetime | None
    to: datetime | None


class ExportView(Struct, frozen=True):
    """`status` `interrupted`: it was begun, and nobody has been heard of for a minute; another worker goes on with it. `sha256` is
    that of the package, `content_sha256` that of what was encrypted. `error` is a code."""

    id: UUID
    status: State | Literal["interrupted"]
    progress: float
    messages: int
    size: int | None
    sha256: str | None
    content_sha256: str | None
    requested_by: UserId
    requested_at: datetime
    ended_at: datetime | None
    expires_at: datetime | None
    range: RangeView
    rooms: list[UUID]
    actors: list[UUID]
    formats: list[Format]
    encrypted: bool
    error: str | None


def place_at(cursor: str, record: RecordId) -> tuple[datetime, UUID]:
    """Return the place that a cursor of this list names."""
    microseconds, export_id = place_of(cursor, record, "exports", tuple[Microseconds, UUID])
    return moment_at(microseconds), export_id


READ = declare(
    "export.read",
    admit=admitting("export.read"),
    described=Described(needs_reason=True, refused_with=frozenset({404})),
)
DOWNLOAD = declare(
    "export.read",
    admit=admitting("export.read"),
    described=Described(needs_reason=True, is_download=True, refused_with=frozenset({404, 409})),
)


@post(
    "/audit/exports",
    status_code=202,
    opt=declare(
        "export.request",
        admit=admitting("export.request"),
        idempotency="receipt",
        described=Described(makes="export_id", needs_reason=True, refused_with=frozenset({409})),
    ),
)
async def request_export(
    data: ExportBody, services: Services, caller: Caller, receipt: Receipt | None
) -> Response[ExportView]:
    """Have a worker make a package of what was said. The same request of the same stretch gives the same bytes."""
    require_reason(caller)
    is_repeated = receipt is not None and await services.record.receipt(receipt.digest) is not None
    if not is_repeated and len(await exports.under_way(services.db)) >= EXPORTS_AT_ONCE_MAX:
        raise TooManyExportsError
    four_eyes = services.policy.four_eyes
    outcome = await execute(
        services, RequestExport(await _requested(data, services, caller), four_eyes), caller, receipt
    )
    recorded = outcome.recorded(ExportRequested)
    assert recorded is not None, "it is recorded now, or was"
    await _queue(services, caller, recorded.event, waits="export" in four_eyes.subjects)
    return written(outcome, _view(await _row(services, recorded.event.export_id)), status=202)


async def _queue(services: Services, caller: Caller, requested: ExportRequested, *, waits: bool) -> None:
    """Hand an export to the workers, or have it wait. One that was handed over already stays as it is."""
    if await exports.of(services.db, requested.export_id) is not None:
        return
    if not await exports.ask(services.db, requested, at_once=EXPORTS_AT_ONCE_MAX, waits=waits):
        await execute(services, CancelExport(requested.export_id), caller)
        raise TooManyExportsError
    if not waits:
        with suppress(TasksUnavailableError):  # a worker finds it in the table, too
            await services.tasks.add(MakeExport(requested.export_id))


@get(
    "/audit/exports",
    opt=declare("export.read", admit=admitting("export.read"), cursor=place_at, described=Described(needs_reason=True)),
)
async def list_exports(
    request: Request[Any, Any, Any],
    services: Services,
    caller: Caller,
    cursor: Cursor | None = None,
    limit: Limit = EXPORTS_LISTED,
) -> Response[Page[ExportView]]:
    """List the exports that were asked for, whoever asked, the latest first."""
    await note(request, services, caller)
    before = exports.LATEST if cursor is None else place_at(cursor, services.record_id)
    rows = await exports.newest(services.db, before=before, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    following = None if last is None else cursor_of(services.record_id, "exports", placed(last.requested_at), last.id)
    return shown(Page([_view(row) for row in rows[:limit]], following))


@get("/audit/exports/{export_id:uuid}", opt=READ)
async def read_export(
    export_id: UUID, request: Request[Any, Any, Any], services: Services, caller: Caller
) -> Response[ExportView]:
    """Return how far an export is, or what came of it."""
    await note(request, services, caller)
    return shown(_view(await _row(services, export_id)))


@post(
    "/audit/exports/{export_id:uuid}/cancel",
    status_code=200,
    opt=declare(
        "export.request",
        admit=admitting("export.request"),
        described=Described(needs_reason=True, refused_with=frozenset({404, 409})),
    ),
)
async def cancel_export(export_id: UUID, services: Services, caller: Caller) -> Response[ExportView]:
    """Have an export not made. Whoever has a role for exports may cancel anybody's."""
    require_reason(caller)
    outcome = await execute(services, CancelExport(export_id), caller)
    await exports.end(services.db, export_id, "cancelled")
    return written(outcome, _view(await _row(services, export_id)))


@route("/audit/exports/{export_id:uuid}/package", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt=DOWNLOAD)
async def read_package(
    export_id: UUID, request: Request[Any, Any, Any], services: Services, caller: Caller
) -> Response[Any]:
    """Return the package, or the part of it that is asked for."""
    await note(request, services, caller)
    row = await _row(services, export_id)
    if row.state != "completed" or not row.storage_path or row.ended_at is None:
        raise ExportNotReadyError
    requested = row.requested
    name = f"hansard-export-{requested.after}-{requested.until}.zip{sealing.ending(requested.recipient)}"
    mime_type = "application/zip" if requested.recipient is None else "application/octet-stream"
    content = Content(row.storage_path[-BLOB_CHARS:], name, mime_type, row.size_bytes, row.ended_at)
    try:
        return await downloads.answer(request, services.blobs, content)
    except BlobMissingError as error:
        raise BlobsUnavailableError(f"the package of {export_id} is missing: {error}") from error


async def _requested(data: ExportBody, services: Services, caller: Caller) -> ExportRequested:
    """Return the request, with times as positions. Raise `InvalidError`."""
    require_in_range(data.from_, pointer="/from")
    require_in_range(data.to, pointer="/to")
    head = (await services.record.head()).position
    after = 0 if data.from_ is None else await services.past.position_at(data.from_ - MOMENT)
    until = head if data.to is None else min(head, await services.past.position_at(data.to - MOMENT))
    if until <= after:
        raise InvalidError("Nothing was recorded in this time.", pointer="/from" if data.from_ else "/to")
    recipient = None if data.recipient is None else sealing.require_recipient(data.recipient)
    return ExportRequested(
        services.command_bus.new_id(), me(caller), after, until, tuple(each for each in FORMATS if each in data.formats),
        tuple(sorted({RoomId(room) for room in data.rooms})), tuple(sorted({UserId(actor) for actor in data.actors})),
        data.from_, data.to, recipient,
    )  # fmt: skip


async def _row(services: Services, export_id: UUID) -> ExportRow:
    row = await exports.of(services.db, export_id)
    if row is None:
        raise NoSuchExportError
    return row


def _view(row: ExportRow) -> ExportView:
    asked, is_there = row.requested, row.state == "completed"
    return ExportView(
        row.id, "interrupted" if row.is_silent else row.state, round(row.progress, 3), row.messages,
        row.size_bytes if is_there else None, row.sha256 or None, row.content_sha256 or None, row.requested_by,
        row.requested_at, row.ended_at, row.expires_at, RangeView(asked.after, asked.until, asked.since, asked.before),
        list(asked.rooms), list(asked.actors), list(asked.formats), asked.recipient is not None, row.fault,
    )  # fmt: skip


ROUTES: list[BaseRouteHandler] = [request_export, list_exports, read_export, cancel_export, read_package]
