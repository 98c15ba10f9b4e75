"""Parsing: the text of a client's frame to its type. Pure, so that it can be fuzzed without a socket.

A fault in a frame is answered by a `reply` when the frame has a readable `id`, with the codes of HTTP (`field.unknown`,
`field.missing`, `field.invalid`, `body.duplicate_key`). Without one it breaks the protocol (close 4500), because no reply
could name the request. So does a text that is not JSON at all.
"""

import json
import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.protocol.client_frames import ClientFrame, Subscribe
from gateway.protocol.validation_errors import HALF_SURROGATE, HALF_SURROGATE_DETAIL, field_error

SPACED_KEY_MARK = re.compile(r'"\s+:')


class BadFrameError(Exception):
    """A frame that cannot be accepted. `request` is None where it has no readable `id`: then the socket must close."""

    def __init__(self, request: int | None, code: str, detail: str) -> None:
        super().__init__(detail)
        self.request = request
        self.code = code
        self.detail = detail


class _Id(Struct):
    """The `id` of a faulty frame. Every number that a reply can carry is read, also those that a good frame may not have."""

    id: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None


_client_frame = msgspec.json.Decoder(ClientFrame).decode
_id = msgspec.json.Decoder(_Id).decode
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def parse(text: str) -> ClientFrame:
    """Return the frame that a text holds. Raise `BadFrameError`, and nothing else, whatever the text."""
    try:
        frame: ClientFrame = _client_frame(text)
    except msgspec.ValidationError as error:
        raise _field_fault(_request_of(text, error), str(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        # JSON's grammar allows half of a surrogate pair (RFC 8259 8.2), and browsers send it: such a frame gets a reply.
        request, is_deep = _request_of(text, error), isinstance(error, RecursionError)
        what = "It is nested too deeply." if is_deep else HALF_SURROGATE_DETAIL
        raise BadFrameError(request, "field.invalid", f"The frame: {what}") from None
    if _may_have_duplicates(text, frame):
        _refuse_duplicates(text, frame)
    return frame


def _field_fault(request: int | None, sentence: str) -> BadFrameError:
    """Turn msgspec's sentence into a fault that names the field."""
    fault = field_error(sentence)
    return BadFrameError(request, fault.code, f"{fault.pointer or 'The frame'}: {fault.detail}")


def _request_of(text: str, fault: Exception) -> int | None:
    """Return the frame's `id`, or None if it has none that can be read. Raise `BadFrameError` if the text is not JSON."""
    try:
        return _id(HALF_SURROGATE.sub(r"\\ufffd", text)).id
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        reason = fault if type(fault) is msgspec.DecodeError else error
        raise BadFrameError(None, "frame.not_json", f"The frame is no JSON: {reason}") from None


def _may_have_duplicates(text: str, frame: ClientFrame) -> bool:
    """Return whether the text has more keys than were read.

    The mark of a key (`":`) may also stand within a value, so the marks within values are subtracted.
    """
    fields, marks = _keys(text), _key_marks(text)
    if marks == len(fields):
        return False
    values = {name: _key_marks(bytes(value).decode()) for name, value in fields.items()}
    rooms = len(frame.rooms or ()) if isinstance(frame, Subscribe) else 0
    return marks - sum(values.values()) != len(fields) or values.get("rooms", 0) != rooms


def _key_marks(text: str) -> int:
    """Return how often a quotation mark and a colon stand together, as they do after every key."""
    return text.count('":') + len(SPACED_KEY_MARK.findall(text))


def _refuse_duplicates(text: str, frame: ClientFrame) -> None:
    """Raise `BadFrameError` for a key that stands twice in one object, and for a room that stands twice in two spellings."""

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise BadFrameError(frame.id, "body.duplicate_key", "A key stands twice in one object.")
        return found

    document = json.loads(text, object_pairs_hook=without_duplicates)
    if isinstance(frame, Subscribe) and len(frame.rooms or ()) != len(document.get("rooms") or ()):
        raise BadFrameError(frame.id, "body.duplicate_key", "/rooms: A room stands there twice.")
