"""The frames of the server: a type for each but events, which `projections/frames.py` makes. No I/O.

The docstrings go into the AsyncAPI document. A frame grows by optional fields only: clients ignore what they do not know.
"""

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType

from domain.ids import RoomId


class Hello(Struct, frozen=True, tag_field="type", tag="hello"):
    """The socket is authenticated. `position` is the record's head at that moment.

    `checkpoint` is what the notary signed last (C2SP tlog-checkpoint): whoever keeps it holds the operator to everything before
    it. It is not there where nothing was signed.
    """

    connection: UUID
    record: UUID
    position: int
    heartbeat_seconds: int
    session_expires_in: int
    checkpoint: str | UnsetType = UNSET


class Reply(Struct, frozen=True, tag_field="type", tag="reply"):
    """Yes. What was written names its position; a send its message, and whether it was sent before."""

    id: int
    ok: Literal[True]
    position: int | UnsetType = UNSET
    message_id: UUID | UnsetType = UNSET
    duplicate: bool | UnsetType = UNSET
    session_expires_in: int | UnsetType = UNSET


class Error(Struct, frozen=True):
    """Why not. `code` is stable, `status` is HTTP's number for it; `retryable`: the very same frame may succeed later."""

    code: str
    detail: str
    status: int
    retryable: bool
    retry_after_seconds: int | UnsetType = UNSET
    rooms: dict[RoomId, str] | UnsetType = UNSET


class Refusal(Struct, frozen=True, tag_field="type", tag="reply"):
    """No. To many rooms a client subscribes all or none: `rooms` of the error says which were refused, and why."""

    id: int
    ok: Literal[False]
    error: Error


class Live(Struct, frozen=True, tag_field="type", tag="live"):
    """The replay is over; nothing at or below `position` follows."""

    room_id: UUID
    position: int


class IsTyping(Struct, frozen=True, tag_field="type", tag="typing"):
    """Somebody in the room is typing; forget it after some seconds. Dropped first where there is too much."""

    room_id: UUID
    user_id: UUID


class Presence(Struct, frozen=True, tag_field="type", tag="presence"):
    """Somebody in the room came or went. Dropped first where there is too much."""

    room_id: UUID
    user_id: UUID
    state: Literal["online", "offline"]


class Expiring(Struct, frozen=True, tag_field="type", tag="expiring"):
    """The token ends soon: authenticate with a fresh one, or the socket is closed with 4401."""

    in_seconds: int


class Reconnect(Struct, frozen=True, tag_field="type", tag="reconnect"):
    """This server goes away: reconnect after so long, and resume."""

    after_ms: int


class Pong(Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to a ping."""


class Reset(Struct, frozen=True, tag_field="type", tag="reset"):
    """This record never gave the position asked for: the room is not subscribed. Read it again, and start afresh."""

    room_id: UUID
    reason: Literal["record_changed"]


class Unsubscribed(Struct, frozen=True, tag_field="type", tag="unsubscribed"):
    """The caller is no longer in this room; the subscription ended with the event that says so."""

    room_id: UUID
    reason: Literal["left", "removed"]


Frame = Hello | Reply | Refusal | Live | IsTyping | Presence | Expiring | Reconnect | Pong | Reset | Unsubscribed

_encode = msgspec.json.Encoder().encode


def encode(frame: Frame) -> bytes:
    """Return the payload of a frame."""
    return _encode(frame)


def reply(
    request: int | None,
    *,
    position: int | UnsetType = UNSET,
    message_id: UUID | UnsetType = UNSET,
    duplicate: bool | UnsetType = UNSET,
    session_expires_in: int | UnsetType = UNSET,
) -> bytes | None:
    """Return the reply to a request, or None if the client did not number it."""
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
    """Return the reply that says no, or None if the client did not number the request.

    A refusal is `retryable` when the same frame may succeed later.
    """
    error = Error(code, detail, status, status in (429, 503), retry_after_seconds, rooms)
    return None if request is None else _encode(Refusal(request, False, error))
