"""What the protocol promises of every frame, held against a reader of its own: the standard library's.

`hold` answers what became of the frame, for the table of a run; a broken promise is a `Broken`.
"""

import json
from time import thread_time
from typing import Any

import msgspec

from domain.bounds import MESSAGE_CHARS_MAX
from gateway.protocol import parsing, server_frames
from gateway.protocol.client_frames import ClientFrame, Edit, Send, Subscribe
from gateway.protocol.parsing import BadFrameError
from tests.fuzz.making import Case, Pairs
from tests.lines import INTENTS, Undocumented, check_asked, check_told

# 128 KiB take 2 ms here; what is quadratic takes seconds.
CPU_SECONDS_MAX = 0.1
CODES = {"frame.not_json", "field.invalid", "field.missing", "field.unknown", "body.duplicate_key"}
DETAIL_CHARS_MAX = 1_000
REPLY_IDS = range(-(2**63), 2**63)


class Broken(AssertionError):
    """A promise is broken; its first argument says which, whatever the frame."""


class NotJson(Exception):
    """A text that is no JSON."""


class TooDeep(Exception):
    """A text that the standard library cannot judge."""


class Huge:
    """A number of more digits than anybody needs."""


def hold(case: Case) -> str:
    """Parse a frame and hold the outcome to every promise. Raises `Broken`."""
    said, seconds = _timed(case.text)
    if seconds > CPU_SECONDS_MAX and min(_timed(case.text)[1] for _ in range(4)) > CPU_SECONDS_MAX:
        raise Broken("it takes too long", f"{seconds:.3f} s of CPU for {len(case.text)} characters")
    try:
        written = _read(case.text)
    except TooDeep:
        _require(isinstance(said, BadFrameError), "what is nested deeply is refused")
        written = None
    except NotJson:
        _require(isinstance(said, BadFrameError), "what is no JSON is refused")
        _require(
            isinstance(said, BadFrameError) and said.request is None, "what is no JSON has no number to answer under"
        )
        written = None
    if isinstance(said, BadFrameError):
        _require(not case.is_good, "a good frame is taken", said.code, said.detail)
        _hold_refusal(said, written)
        return said.code
    _hold_intent(said, written)
    return type(said).__name__


def _timed(text: str) -> tuple[ClientFrame | BadFrameError, float]:
    said: ClientFrame | BadFrameError
    started = thread_time()
    try:
        said = parsing.parse(text)
    except BadFrameError as bad:
        said = bad
    except Exception as error:
        raise Broken("nothing but BadFrameError is raised", type(error).__name__, str(error)[:300]) from error
    return said, thread_time() - started


def _hold_refusal(bad: BadFrameError, written: Any) -> None:
    _require(bad.code in CODES, "a code is one of the known", bad.code)
    _require(0 < len(bad.detail) <= DETAIL_CHARS_MAX, "a detail is there, and bounded")
    if isinstance(written, Pairs):
        ids = [value for key, value in written if key == "id"]
        if all(value is None or (type(value) is int and value in REPLY_IDS) for value in ids):
            _require(bad.request == (ids[-1] if ids else None), "who numbers a frame is answered", bad.request)
        else:
            _require(bad.request is None, "a number that cannot be said back is not answered", bad.request)
    try:
        reply = server_frames.refusal(bad.request, bad.code, bad.detail, 422)
    except Exception as error:
        raise Broken("a refusal can be said", type(error).__name__, str(error)[:300]) from error
    if reply is not None:
        check_told(json.loads(reply))


def _hold_intent(intent: ClientFrame, written: Any) -> None:
    _require(isinstance(written, Pairs), "an intent is an object")
    _refuse_duplicates(written)
    known = {field.encode_name for field in msgspec.structs.fields(type(intent))} | {"type"}
    _require(all(key in known for key, _ in written), "an unknown field is refused", [key for key, _ in written])
    frame = dict(written)
    _require(INTENTS[frame["type"]] is type(intent), "an intent is of the type that was asked for")
    _require(intent.id == frame.get("id"), "an intent has the number that was sent")
    if isinstance(intent, Subscribe) and intent.rooms is not None:
        _require(len(frame["rooms"]) == len(intent.rooms), "a room that stands twice is refused", frame["rooms"])
    again = msgspec.json.encode(intent)
    _require(parsing.parse(again.decode()) == intent, "an intent written and read again is the same")
    if intent.id is not None:
        reply = json.loads(server_frames.reply(intent.id) or b"")
        _require(reply["id"] == frame["id"], "an intent can be answered under its number")
    if _is_described(intent):
        try:
            check_asked({key: value for key, value in json.loads(again).items() if value is not None})
        except Undocumented as error:
            raise Broken("what is taken is described", str(error)[:300]) from error


def _is_described(intent: ClientFrame) -> bool:
    """Whether the document says it too: what the domain or the socket judges it says more narrowly than the parser."""
    match intent:
        case Send() | Edit():
            return len(intent.content) <= MESSAGE_CHARS_MAX
        case Subscribe():
            return bool(intent.room_id or intent.rooms)
    return True


def _refuse_duplicates(written: Any) -> None:
    if isinstance(written, Pairs):
        keys = [key for key, _ in written]
        _require(len(keys) == len(set(keys)), "a key that stands twice is refused", keys)
        for _, value in written:
            _refuse_duplicates(value)
    elif isinstance(written, list):
        for value in written:
            _refuse_duplicates(value)


def _read(text: str) -> Any:
    """Return what a text says, objects as their pairs. Raises `NotJson` and `TooDeep`."""
    try:
        text.encode()
        return json.loads(text, object_pairs_hook=Pairs, parse_int=_whole, parse_constant=_no_constant)
    except RecursionError:
        raise TooDeep from None
    except ValueError:
        raise NotJson from None


def _whole(digits: str) -> int | Huge:
    return int(digits) if len(digits) < 50 else Huge()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _require(holds: bool, promise: str, *more: object) -> None:
    if not holds:
        raise Broken(promise, *more)
