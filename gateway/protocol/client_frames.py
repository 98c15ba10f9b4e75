"""The frames of a client, as types. No I/O.

The same types make the AsyncAPI document (`gateway/spec/asyncapi.py`): clients read their docstrings there. How a text
becomes one of them: `gateway/protocol/parsing.py`.
"""

from typing import Annotated, Any, ClassVar, Literal, get_args
from uuid import UUID

from msgspec import Meta, Struct

from domain.bounds import MESSAGE_CHARS_MAX, REASON_CHARS_MAX, SUBSCRIPTIONS_MAX
from domain.rights import Operation

AUTHENTICATE_SECONDS = 10.0

SUBPROTOCOL = "hansard.v1.json"

Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Version = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Request = Annotated[int, Meta(ge=0, le=2**53 - 1, description="The client's number for this request.")]  # RFC 8259 6
# The domain checks this, in its own order; here it is bounded for the document only.
Content = Annotated[str, Meta(extra_json_schema={"maxLength": MESSAGE_CHARS_MAX})]
Reason = Annotated[str, Meta(max_length=REASON_CHARS_MAX, description="Why; recorded.")]
Rooms = Annotated[dict[UUID, Position | None], Meta(min_length=1, max_length=SUBSCRIPTIONS_MAX)]


class _Frame(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """What each kind of frame declares beside its fields.

    `operations` are its rows of the table of rights: of several the first, unless the frame says otherwise.
    `answered_with` is what a reply that says yes has beside `id` and `ok`.
    """

    operations: ClassVar[tuple[Operation, ...]]
    answered_with: ClassVar[tuple[str, ...]] = ()

    id: Request | None = None


class Authenticate(_Frame, frozen=True, tag="authenticate", kw_only=True):
    """Show an access token: as the first frame, or later a fresh one of the same session."""

    operations = ("socket.open",)
    answered_with = ("session_expires_in",)  # when it renews; the first one is followed by `hello`, which has it

    token: str


class Subscribe(_Frame, frozen=True, tag="subscribe", kw_only=True):
    """Subscribe to one room (`room_id`, perhaps `after`), or many (`rooms`: id → after): get what came after, then what is new.

    Without `after`: from now on. `after` is of this record unless `record` says of which.
    """

    operations = ("room.hear",)

    room_id: UUID | None = None
    after: Position | None = None
    record: UUID | None = None
    rooms: Rooms | None = None


class Unsubscribe(_Frame, frozen=True, tag="unsubscribe", kw_only=True):
    """End a subscription."""

    operations = ("socket.open",)

    room_id: UUID


class Send(_Frame, frozen=True, tag="send", kw_only=True):
    """Post a message. With a `message_id` that the client made, sending it again changes nothing. With `thread_id` it is a
    reply in the thread of that message; `in_room` shows it in the room, too."""

    operations = ("message.post", "file.share", "mention.room")
    answered_with = ("position", "message_id", "duplicate")

    room_id: UUID
    content: Content
    message_id: UUID | None = None
    message_type: Literal["text", "image", "file"] = "text"
    file_id: UUID | None = None
    reply_to: UUID | None = None
    thread_id: UUID | None = None
    in_room: bool = False


class Edit(_Frame, frozen=True, tag="edit", kw_only=True):
    """Replace a message's text; with `version`, only if that is its present one."""

    operations = ("message.edit",)
    answered_with = ("position",)

    message_id: UUID
    content: Content
    version: Version | None = None
    reason: Reason | None = None


class Delete(_Frame, frozen=True, tag="delete", kw_only=True):
    """Leave a tombstone of a message; with `version`, only if that is its present one."""

    operations = ("message.delete",)
    answered_with = ("position",)

    message_id: UUID
    version: Version | None = None
    reason: Reason | None = None


class Read(_Frame, frozen=True, tag="read", kw_only=True):
    """Report how far the caller has read a room. Marks go forward only."""

    operations = ("room.mark_read",)
    answered_with = ("position",)

    room_id: UUID
    position: Position


class React(_Frame, frozen=True, tag="react", kw_only=True):
    """Give a message an emoji. The same one again changes nothing."""

    operations = ("reaction.add",)
    answered_with = ("position",)

    message_id: UUID
    emoji: str


class Unreact(_Frame, frozen=True, tag="unreact", kw_only=True):
    """Take one's emoji back. One that was not given changes nothing."""

    operations = ("reaction.remove",)
    answered_with = ("position",)

    message_id: UUID
    emoji: str


class Pin(_Frame, frozen=True, tag="pin", kw_only=True):
    """Pin a message in its room; one that is pinned stays so."""

    operations = ("message.pin",)
    answered_with = ("position",)

    message_id: UUID


class Unpin(_Frame, frozen=True, tag="unpin", kw_only=True):
    """Take a message from the pinned ones; one that is not among them stays so."""

    operations = ("message.unpin",)
    answered_with = ("position",)

    message_id: UUID


class Typing(_Frame, frozen=True, tag="typing", kw_only=True):
    """Report that the caller is typing; never recorded."""

    operations = ("room.hear",)  # it needs the subscription that `subscribe` began

    room_id: UUID


class Ping(_Frame, frozen=True, tag="ping"):
    """Ask for a `pong`. The server pings by itself; no client needs to send this."""

    operations = ("socket.open",)


ClientFrame = (
    Authenticate | Subscribe | Unsubscribe | Send | Edit | Delete | Read | React | Unreact | Pin | Unpin | Typing | Ping
)


def declared_operations(frames: Any = ClientFrame) -> dict[type[ClientFrame], tuple[Operation, ...]]:
    """Return what each kind of frame declares itself to be. Raises `LookupError` for those that declare nothing."""
    kinds: tuple[type[ClientFrame], ...] = get_args(frames)
    silent = sorted(kind.__name__ for kind in kinds if "operations" not in vars(kind))
    if silent:
        raise LookupError(f"These frames declare nothing: {', '.join(silent)}")
    return {kind: kind.operations for kind in kinds}
