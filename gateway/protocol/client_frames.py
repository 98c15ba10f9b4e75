"""The socket protocol without I/O: frames to intents, answers to frames. Pure, so that it can be fuzzed without a socket.

What the server says are the types of `gateway/protocol/server_frames.py`; events are told by `projections/frames.py`. The same types make
the AsyncAPI document (`gateway/spec/asyncapi.py`): what they say of themselves, clients read there.

A fault in a frame is answered by a `reply` when the frame has a readable `id`, with the codes of HTTP (`field.unknown`,
`field.missing`, `field.invalid`, `body.duplicate_key`). One without breaks the protocol (close 4500): nobody asked by
number, and what was meant is unknown. So does what is no JSON at all.
"""

import json
import re
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from domain.bounds import MESSAGE_CHARS_MAX, REASON_CHARS_MAX, SUBSCRIPTIONS_MAX
from domain.ids import RoomId
from domain.rights import Operation
from gateway.protocol.faults import HALF, HALF_SAID, of_sentence
from gateway.protocol.server_frames import Error, Frame, Refusal, Reply

GOING_AWAY, TOO_SLOW, TOO_MANY_FRAMES, UNAUTHENTICATED, DRAINING, TOO_MANY_SOCKETS = 4000, 4008, 4013, 4401, 4410, 4414
BAD_PROTOCOL, SESSION_REVOKED, REMOVED, NO_ROOM = 4500, 4501, 4502, 4505
NOT_UTF8, FRAME_TOO_LARGE = 1007, 1009
SUBPROTOCOL = "hansard.v1.json"
SPACED_KEY_MARK = re.compile(r'"\s+:')

Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Version = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Request = Annotated[int, Meta(ge=0, le=2**53 - 1, description="The client's number for this request.")]  # RFC 8259 6
# What the domain judges, in the order of checks, is bounded here for the document only.
Content = Annotated[str, Meta(extra_json_schema={"maxLength": MESSAGE_CHARS_MAX})]
Reason = Annotated[str, Meta(max_length=REASON_CHARS_MAX, description="Why; recorded.")]
Rooms = Annotated[dict[UUID, Position | None], Meta(min_length=1, max_length=SUBSCRIPTIONS_MAX)]


class CloseCode(NamedTuple):
    """Why a socket is closed, and whether the client may come back (with backoff, and `after`)."""

    number: int
    name: str
    sentence: str
    comes_back: bool


class _Frame(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """`operations`: those of the rights table that a frame is; of several the first where it says nothing else."""

    operations: ClassVar[tuple[Operation, ...]]

    id: Request | None = None


class Authenticate(_Frame, frozen=True, tag="authenticate", kw_only=True):
    """Show an access token: as the first frame, or later a fresh one of the same session."""

    operations = ("socket.open",)

    token: str


class Subscribe(_Frame, frozen=True, tag="subscribe", kw_only=True):
    """Hear one room (`room_id`, perhaps `after`), or many (`rooms`: id → after): all that came after, then what is new.

    Without `after`: from now on. `after` is of this record unless `record` says of which.
    """

    operations = ("room.hear",)

    room_id: UUID | None = None
    after: Position | None = None
    record: UUID | None = None
    rooms: Rooms | None = None


class Unsubscribe(_Frame, frozen=True, tag="unsubscribe", kw_only=True):
    """Hear a room no more."""

    operations = ("socket.open",)

    room_id: UUID


class Send(_Frame, frozen=True, tag="send", kw_only=True):
    """Post a message. Under a `message_id` of the client's making, sending it again changes nothing."""

    operations = ("message.post", "file.share")

    room_id: UUID
    content: Content
    message_id: UUID | None = None
    message_type: Literal["text", "image", "file"] = "text"
    file_id: UUID | None = None
    reply_to: UUID | None = None


class Edit(_Frame, frozen=True, tag="edit", kw_only=True):
    """Replace a message's text; with `version`, only if that is its present one."""

    operations = ("message.edit",)

    message_id: UUID
    content: Content
    version: Version | None = None
    reason: Reason | None = None


class Delete(_Frame, frozen=True, tag="delete", kw_only=True):
    """Leave a tombstone of a message; with `version`, only if that is its present one."""

    operations = ("message.delete",)

    message_id: UUID
    version: Version | None = None
    reason: Reason | None = None


class Read(_Frame, frozen=True, tag="read", kw_only=True):
    """Say how far one has read a room. Marks go forward only."""

    operations = ("room.mark_read",)

    room_id: UUID
    position: Position


class Typing(_Frame, frozen=True, tag="typing", kw_only=True):
    """Say that one is typing; never recorded."""

    operations = ("room.hear",)  # told through the feed that `subscribe` began; it ends with it

    room_id: UUID


class Ping(_Frame, frozen=True, tag="ping"):
    """Ask for a `pong`. The server pings by itself; nobody need send this."""

    operations = ("socket.open",)


Intent = Authenticate | Subscribe | Unsubscribe | Send | Edit | Delete | Read | Typing | Ping


def declared_operations(intents: Any = Intent) -> dict[type[Intent], tuple[Operation, ...]]:
    """Return what each kind of frame declares itself to be. Raises `LookupError` for those that declare nothing."""
    kinds: tuple[type[Intent], ...] = get_args(intents)
    silent = sorted(kind.__name__ for kind in kinds if "operations" not in vars(kind))
    if silent:
        raise LookupError(f"These frames declare nothing: {', '.join(silent)}")
    return {kind: kind.operations for kind in kinds}


class _Id(Struct):
    """The number of a frame that has a fault; what can be said back is read, though not all of it is taken."""

    id: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None


class BadFrame(Exception):
    """A frame that cannot be taken. `request` None: nobody asked by number, the socket must close."""

    def __init__(self, request: int | None, code: str, detail: str) -> None:
        super().__init__(detail)
        self.request = request
        self.code = code
        self.detail = detail


_intent = msgspec.json.Decoder(Intent).decode
_id = msgspec.json.Decoder(_Id).decode
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def parse(text: str) -> Intent:
    """Turn a frame into what the client wants. Raises `BadFrame`, and nothing else, whatever the text."""
    try:
        intent: Intent = _intent(text)
    except msgspec.ValidationError as error:
        raise _field_fault(_request_of(text, error), str(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        # JSON's grammar allows half of a surrogate pair (RFC 8259 8.2), and browsers send it: that much is answered.
        request, is_deep = _request_of(text, error), isinstance(error, RecursionError)
        what = "It is nested too deeply." if is_deep else HALF_SAID
        raise BadFrame(request, "field.invalid", f"The frame: {what}") from None
    if _may_have_duplicates(text, intent):
        _refuse_duplicates(text, intent)
    return intent


def reply(
    request: int | None,
    *,
    position: int | UnsetType = UNSET,
    message_id: UUID | UnsetType = UNSET,
    duplicate: bool | UnsetType = UNSET,
    session_expires_in: int | UnsetType = UNSET,
) -> bytes | None:
    """Return the reply to a request; None for a client that did not number it."""
    return (
        None if request is None else _encode(Reply(request, True, position, message_id, duplicate, session_expires_in))
    )


def refusal(
    request: int | None,
    code: str,
    detail: str,
    status: int,
    *,
    retry_after_seconds: int | UnsetType = UNSET,
    rooms: dict[RoomId, str] | UnsetType = UNSET,
) -> bytes | None:
    """Return the reply that says no. What may be tried again as it is, is `retryable`."""
    error = Error(code, detail, status, status in (429, 503), retry_after_seconds, rooms)
    return None if request is None else _encode(Refusal(request, False, error))


def frame(said: Frame) -> bytes:
    """Return the bytes of a frame of the server."""
    return _encode(said)


def _field_fault(request: int | None, said: str) -> BadFrame:
    """Turn msgspec's sentence into a fault that names the field."""
    fault = of_sentence(said)
    return BadFrame(request, fault.code, f"{fault.pointer or 'The frame'}: {fault.detail}")


def _request_of(text: str, fault: Exception) -> int | None:
    """Return the frame's number, None where none can be read. Raises `BadFrame` for what is no JSON after all."""
    try:
        return _id(HALF.sub(r"\\ufffd", text)).id
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        said = fault if type(fault) is msgspec.DecodeError else error
        raise BadFrame(None, "frame.not_json", f"The frame is no JSON: {said}") from None


def _may_have_duplicates(text: str, intent: Intent) -> bool:
    """Whether more keys stand in the text than were read. A mark of a key may also stand within a value; no more of them
    than that may be left over."""
    fields, marks = _keys(text), _key_marks(text)
    if marks == len(fields):
        return False
    values = {name: _key_marks(bytes(value).decode()) for name, value in fields.items()}
    rooms = len(intent.rooms or ()) if isinstance(intent, Subscribe) else 0
    return marks - sum(values.values()) != len(fields) or values.get("rooms", 0) != rooms


def _key_marks(text: str) -> int:
    """Return how often a quotation mark and a colon stand together, as behind every key."""
    return text.count('":') + len(SPACED_KEY_MARK.findall(text))


def _refuse_duplicates(text: str, intent: Intent) -> None:
    """Refuse a key that stands twice in one object, and a room that stands there in two spellings."""

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise BadFrame(intent.id, "body.duplicate_key", "A key stands twice in one object.")
        return found

    frame = json.loads(text, object_pairs_hook=without_duplicates)
    if isinstance(intent, Subscribe) and len(intent.rooms or ()) != len(frame.get("rooms") or ()):
        raise BadFrame(intent.id, "body.duplicate_key", "/rooms: A room stands there twice.")


CLOSE_CODES = (
    CloseCode(FRAME_TOO_LARGE, "frame too large", "A frame has at most 128 KiB.", False),
    CloseCode(NOT_UTF8, "not UTF-8", "Frames are UTF-8.", False),
    CloseCode(GOING_AWAY, "going away", "The server stops, or gave the connection up.", True),
    CloseCode(TOO_SLOW, "too slow", "Nothing was read for 30 s, or too much waited: resume from what was read.", True),
    CloseCode(TOO_MANY_FRAMES, "too many requests", "Frames came faster than a socket may say them.", True),
    CloseCode(UNAUTHENTICATED, "token missing or expired", "Come back with a fresh token.", True),
    CloseCode(DRAINING, "draining", "This server is replaced: another one takes over.", True),
    CloseCode(
        TOO_MANY_SOCKETS, "too many connections", "This account or address has as many sockets as it may have.", True
    ),
    CloseCode(BAD_PROTOCOL, "bad protocol", "A frame was no JSON object, or faulty and without a readable id.", False),
    CloseCode(SESSION_REVOKED, "session revoked", "The session has ended: log in again.", False),
    CloseCode(REMOVED, "removed from the room", "On `/ws/{room_id}`: the caller is no longer in it.", False),
    CloseCode(NO_ROOM, "room unknown or not yours", "On `/ws/{room_id}`: there is no such room for the caller.", False),
)
