"""The frames of a client, as types. No I/O.

The same types make the AsyncAPI document (`gateway/spec/asyncapi.py`): clients read their docstrings there. How a text
becomes one of them: `gateway/protocol/parsing.py`.
"""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from domain.bounds import MESSAGE_CHARS_MAX, REASON_CHARS_MAX, SUBSCRIPTIONS_MAX

SUBPROTOCOL = "hansard.v1.json"

Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Version = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Request = Annotated[int, Meta(ge=0, le=2**53 - 1, description="The client's number for this request.")]  # RFC 8259 6
# The domain checks this, in its own order; here it is bounded for the document only.
Content = Annotated[str, Meta(extra_json_schema={"maxLength": MESSAGE_CHARS_MAX})]
Reason = Annotated[str, Meta(max_length=REASON_CHARS_MAX, description="Why; recorded.")]
Rooms = Annotated[dict[UUID, Position | None], Meta(min_length=1, max_length=SUBSCRIPTIONS_MAX)]


class _Frame(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    id: Request | None = None


class Authenticate(_Frame, frozen=True, tag="authenticate", kw_only=True):
    """Show an access token: as the first frame, or later a fresh one of the same session."""

    token: str


class Subscribe(_Frame, frozen=True, tag="subscribe", kw_only=True):
    """Subscribe to one room (`room_id`, perhaps `after`), or many (`rooms`: id → after): get what came after, then what is new.

    Without `after`: from now on. `after` is of this record unless `record` says of which.
    """

    room_id: UUID | None = None
    after: Position | None = None
    record: UUID | None = None
    rooms: Rooms | None = None


class Unsubscribe(_Frame, frozen=True, tag="unsubscribe", kw_only=True):
    """End a subscription."""

    room_id: UUID


class Send(_Frame, frozen=True, tag="send", kw_only=True):
    """Post a message. With a `message_id` that the client made, sending it again changes nothing."""

    room_id: UUID
    content: Content
    message_id: UUID | None = None
    message_type: Literal["text", "image", "file"] = "text"
    file_id: UUID | None = None
    reply_to: UUID | None = None


class Edit(_Frame, frozen=True, tag="edit", kw_only=True):
    """Replace a message's text; with `version`, only if that is its present one."""

    message_id: UUID
    content: Content
    version: Version | None = None
    reason: Reason | None = None


class Delete(_Frame, frozen=True, tag="delete", kw_only=True):
    """Leave a tombstone of a message; with `version`, only if that is its present one."""

    message_id: UUID
    version: Version | None = None
    reason: Reason | None = None


class Read(_Frame, frozen=True, tag="read", kw_only=True):
    """Report how far the caller has read a room. Marks go forward only."""

    room_id: UUID
    position: Position


class Typing(_Frame, frozen=True, tag="typing", kw_only=True):
    """Report that the caller is typing; never recorded."""

    room_id: UUID


class Ping(_Frame, frozen=True, tag="ping"):
    """Ask for a `pong`. The server pings by itself; no client needs to send this."""


Intent = Authenticate | Subscribe | Unsubscribe | Send | Edit | Delete | Read | Typing | Ping
