"""Pagination: the shape of a page, and cursors, which are opaque to clients."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from domain.bounds import PAGE_ITEMS_MAX
from domain.ids import RecordId
from gateway.http.problems import Problem, record_changed
from gateway.protocol.faults import FieldError

PAGE_ITEMS_DEFAULT = 50
INVALID = "cursor.invalid"
OF_THE_PAST = "@"  # after the kind of a list, in cursors of one as it was

Item = TypeVar("Item")
Place = Annotated[int, Meta(ge=0, le=2**63 - 1, description="A position.")]
Microseconds = Annotated[int, Meta(ge=0, le=2**53, description="A time, since 1970.")]
Limit = Annotated[int, Meta(ge=1, le=PAGE_ITEMS_MAX, description=f"How many items, 1 to {PAGE_ITEMS_MAX}.")]
Cursor = Annotated[str, Meta(description="`next_cursor` of the page before.", extra_json_schema={"format": "cursor"})]
LIMIT = PAGE_ITEMS_DEFAULT


class Page(Struct, Generic[Item], frozen=True):
    """`next_cursor` null: there is nothing after this page."""

    items: list[Item]
    next_cursor: str | None


def cursor_of(record: RecordId, kind: str, *place: Any, as_of: int | None = None) -> str:
    """Return the cursor of an offset in a list of this kind; `as_of`: in the list as it was at this position."""
    if as_of is not None:
        kind, place = kind + OF_THE_PAST, (as_of, *place)
    return urlsafe_b64encode(msgspec.msgpack.encode((record.bytes[:6], kind, *place))).rstrip(b"=").decode()


def place_of(cursor: str, record: RecordId, kind: str, shape: Any) -> Any:
    """Return the offset (a tuple of `shape`) in a cursor of this kind. Raise `Problem` for other cursors, and other records'.

    Cursors are not signed: whoever makes one up gets a page that they could have asked for anyway.
    """
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        of, named, *place = msgspec.msgpack.decode(raw)
        place = msgspec.convert(tuple(place), shape)
    except (ValueError, TypeError, msgspec.MsgspecError, RecursionError):
        raise _invalid() from None
    if of != record.bytes[:6]:
        raise record_changed()
    if named != kind:
        raise _invalid()
    return place


def placed(at: datetime) -> int:
    """Return a time as it stands in a cursor: in microseconds, of which none is lost."""
    return int(at.replace(microsecond=0).timestamp()) * 1_000_000 + at.microsecond


def moment_at(microseconds: int) -> datetime:
    """Return the time that a cursor has."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(microsecond=microseconds % 1_000_000)


def place_then(cursor: str, record: RecordId, kind: str, shape: Any) -> tuple[Any, int | None]:
    """Return the offset in a cursor of this kind, and the position of the past that it is of; None: of the present."""
    try:
        return place_of(cursor, record, kind, shape), None
    except Problem as problem:
        if problem.code != INVALID:
            raise
    whole: Any = tuple.__class_getitem__((Place, *get_args(shape)))
    as_of, *place = place_of(cursor, record, kind + OF_THE_PAST, whole)
    return tuple(place), as_of


def _invalid() -> Problem:
    detail = "This is no cursor of this list."
    return Problem(422, INVALID, detail, errors=[FieldError("?cursor", INVALID, detail)])
