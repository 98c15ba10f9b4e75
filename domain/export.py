"""Export: a package of what was said in a stretch of the record, for somebody outside: asked for, made, fetched, and gone again.

The request says everything that the package is a function of: the stretch (positions), what is left out, and the formats. So
the same request gives the same bytes, unless something was erased meanwhile. How far a worker is stands in a table and may be
lost; what was handed out, to whom it is encrypted and its hash are on the record.
"""

from datetime import datetime
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.errors import ConflictError, NotFoundError
from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId
from domain.integers import Int8

Format = Literal["jsonl", "csv", "eml", "slack", "rsmf"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "eml", "slack", "rsmf")
Status = Literal["requested", "completed", "cancelled", "failed", "expired"]
ExportFault = Literal["not_approved", "proof_unavailable", "recipient_unusable", "recalled", "gave_up"]


class NoSuchExportError(NotFoundError, code="export.not_found"):
    """There is no export of this id."""


class ExportEndedError(ConflictError, code="export.ended"):
    """This export has ended; its package, if there is one, goes when its time is over."""


class ExportNotReadyError(ConflictError, code="export.not_ready"):
    """There is no package of this export: it is not completed, or its package is gone."""


class TooManyExportsError(ConflictError, code="export.too_many"):
    """As many exports as there may be at once are queued or under way; wait for one, or cancel it."""


class _OfExport(Event, frozen=True):
    export_id: UUID
    requested_by: UserId

    def about(self) -> UUID:
        return self.requested_by


class ExportRequested(_OfExport, frozen=True):
    """Events after the position `after`, up to `until`, are exported: as `since` and `before` say, which may be null. Rooms and
    actors that are empty: all. `recipient` is the public key for which the package is encrypted; it may say whose it is."""

    topic: ClassVar = "export.requested"
    topic_version: ClassVar = 2
    upcasts: ClassVar = {1: lambda fields: fields}  # the recipient was not sealed
    sealed: ClassVar = ("recipient",)

    after: Int8
    until: Int8
    formats: tuple[Format, ...]
    rooms: tuple[RoomId, ...] = ()
    actors: tuple[UserId, ...] = ()
    since: datetime | None = None
    before: datetime | None = None
    recipient: str | None = None

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.requested_by, None


class ExportCancelled(_OfExport, frozen=True):
    topic: ClassVar = "export.cancelled"

    by: UserId


class ExportCompleted(_OfExport, frozen=True):
    """`sha256` is that of what is downloaded, `content_sha256` that of the package before it was encrypted. `erased` is how many
    texts of it nobody can read any more."""

    topic: ClassVar = "export.completed"

    sha256: str
    content_sha256: str
    size_bytes: Int8
    messages: Int8
    erased: Int8


class ExportFailed(_OfExport, frozen=True):
    topic: ClassVar = "export.failed"

    fault: ExportFault


class ExportExpired(_OfExport, frozen=True):
    """The package is not kept any longer. It can be made again."""

    topic: ClassVar = "export.expired"


ExportEvent = ExportRequested | ExportCancelled | ExportCompleted | ExportFailed | ExportExpired


class Export(Struct, frozen=True):
    """`fault` is why it failed."""

    requested_by: UserId
    status: Status
    fault: ExportFault | None = None


def request(export: Export | None, requested: ExportRequested) -> tuple[ExportEvent, ...]:
    """Ask for an export; the same one again changes nothing."""
    return () if export else (requested,)


def cancel(export: Export | None, *, export_id: UUID, by: UserId) -> tuple[ExportEvent, ...]:
    """Have an export not made. Cancelling again changes nothing; one that has ended stays as it is."""
    found = require_known(export)
    if found.status == "cancelled":
        return ()
    if found.status != "requested":
        raise ExportEndedError
    return (ExportCancelled(export_id, found.requested_by, by),)


def complete(
    export: Export | None,
    *,
    export_id: UUID,
    sha256: str,
    content_sha256: str,
    size_bytes: int,
    messages: int,
    erased: int,
) -> tuple[ExportEvent, ...]:
    """Record that the package is made. Of an export that was cancelled meanwhile nothing is recorded."""
    found = require_known(export)
    if found.status != "requested":
        return ()
    return (ExportCompleted(export_id, found.requested_by, sha256, content_sha256, size_bytes, messages, erased),)


def fail(export: Export | None, *, export_id: UUID, fault: ExportFault) -> tuple[ExportEvent, ...]:
    found = require_known(export)
    return (ExportFailed(export_id, found.requested_by, fault),) if found.status == "requested" else ()


def expire(export: Export | None, *, export_id: UUID) -> tuple[ExportEvent, ...]:
    found = require_known(export)
    return (ExportExpired(export_id, found.requested_by),) if found.status == "completed" else ()


def require_known(export: Export | None) -> Export:
    if export is None:
        raise NoSuchExportError
    return export


def evolve(export: Export | None, recorded: Recorded[ExportEvent]) -> Export:
    event = recorded.event
    if isinstance(event, ExportRequested):
        return Export(event.requested_by, "requested")
    assert export is not None, "an export is requested before anything else happens to it"
    match event:
        case ExportCancelled():
            return replace(export, status="cancelled")
        case ExportCompleted():
            return replace(export, status="completed")
        case ExportFailed():
            return replace(export, status="failed", fault=event.fault)
        case ExportExpired():
            return replace(export, status="expired")
        case _:
            assert_never(event)


EXPORT: Stream[Export] = Stream("export", evolve, Export, fold=2)
EVENTS: tuple[type[Event], ...] = (ExportRequested, ExportCancelled, ExportCompleted, ExportFailed, ExportExpired)
