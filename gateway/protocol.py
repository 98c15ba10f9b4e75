"""The socket protocol without I/O: frames to intents, answers to frames. Pure, so that it can be fuzzed without a socket.

A fault in a frame is answered by a `reply` when the frame has a readable `id`, with the codes of HTTP (`field.unknown`,
`field.missing`, `field.invalid`, `body.duplicate_key`). One without breaks the protocol (close 4500): nobody asked by
number, and what was meant is unknown. So does what is no JSON at all.
"""

import json
import re
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

GOING_AWAY, TOO_SLOW, UNAUTHENTICATED, DRAINING = 4000, 4008, 4401, 4410
TOO_MANY_FRAMES, TOO_MANY_SOCKETS = 4013, 4414
BAD_PROTOCOL, SESSION_REVOKED, REMOVED, NO_ROOM = 4500, 4501, 4502, 4505
NOT_UTF8, FRAME_TOO_LARGE = 1007, 1009
SUBPROTOCOL = "hansard.v1.json"
KEY_MARK = re.compile(r'"\s*:')
FAULT = re.compile(r"(?P<what>.*?)(?: - at `\$?(?P<path>[^`]*)`)?", re.DOTALL)
FIELD_FAULTS = (
    (re.compile(r"Object contains unknown field `(.*)`", re.DOTALL), "field.unknown", "This field is not known here."),
    (re.compile(r"Object missing required field `(.*)`", re.DOTALL), "field.missing", "This field is needed."),
)

Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Frame(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    id: int | None = None


class Authenticate(_Frame, frozen=True, tag="authenticate", kw_only=True):
    token: str


class Subscribe(_Frame, frozen=True, tag="subscribe", kw_only=True):
    """One room (`room_id`, perhaps `after`), or many (`rooms`: id → after)."""

    room_id: UUID | None = None
    after: Position | None = None
    record: UUID | None = None
    rooms: dict[UUID, Position | None] | None = None


class Unsubscribe(_Frame, frozen=True, tag="unsubscribe", kw_only=True):
    room_id: UUID


class Send(_Frame, frozen=True, tag="send", kw_only=True):
    room_id: UUID
    content: str
    message_id: UUID | None = None
    message_type: Literal["text", "image", "file", "system"] = "text"
    file_id: UUID | None = None
    reply_to: UUID | None = None


class Edit(_Frame, frozen=True, tag="edit", kw_only=True):
    message_id: UUID
    content: str
    version: int | None = None
    reason: str | None = None


class Delete(_Frame, frozen=True, tag="delete", kw_only=True):
    message_id: UUID
    version: int | None = None
    reason: str | None = None


class Read(_Frame, frozen=True, tag="read", kw_only=True):
    room_id: UUID
    position: Position


class Typing(_Frame, frozen=True, tag="typing", kw_only=True):
    room_id: UUID


class Ping(_Frame, frozen=True, tag="ping"):
    pass


Intent = Authenticate | Subscribe | Unsubscribe | Send | Edit | Delete | Read | Typing | Ping


class _Id(Struct):
    id: int | None = None


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
        intent = _intent(text)
    except msgspec.ValidationError as error:
        raise _field_fault(_request_of(text), str(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise BadFrame(None, "frame.not_json", f"The frame is no JSON: {error}") from None
    if len(KEY_MARK.findall(text)) != len(_keys(text)):
        _refuse_duplicates(text)
    return intent  # type: ignore[no-any-return]


def reply(request: int | None, **said: Any) -> bytes | None:
    """Return the reply to a request; None for a client that did not number it."""
    return None if request is None else _encode({"type": "reply", "id": request, "ok": True, **said})


def refusal(request: int | None, code: str, detail: str, status: int, **said: Any) -> bytes | None:
    """Return the reply that says no. What may be tried again as it is, is `retryable`."""
    error = {"code": code, "detail": detail, "status": status, "retryable": status in (429, 503), **said}
    return None if request is None else _encode({"type": "reply", "id": request, "ok": False, "error": error})


def frame(kind: str, **said: Any) -> bytes:
    """Return a frame of the server."""
    return _encode({"type": kind, **said})


def _field_fault(request: int | None, said: str) -> BadFrame:
    """Turn msgspec's sentence (`Expected `str`, got `int` - at `$.content``) into a fault that names the field."""
    fault = FAULT.fullmatch(said)
    assert fault is not None, "every sentence has this form"
    code, detail, at = "field.invalid", fault["what"], (fault["path"] or "").replace(".", "/")
    for pattern, of_kind, sentence in FIELD_FAULTS:
        if found := pattern.fullmatch(detail):
            code, detail, at = of_kind, sentence, f"{at}/{found[1]}"
    return BadFrame(request, code, f"{at or 'The frame'}: {detail}")


def _request_of(text: str) -> int | None:
    try:
        return _id(text).id
    except (msgspec.MsgspecError, RecursionError):
        return None


def _refuse_duplicates(text: str) -> None:
    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise BadFrame(_request_of(text), "body.duplicate_key", "A key stands twice in one object.")
        return found

    json.loads(text, object_pairs_hook=without_duplicates)
