"""A conversation over sockets, without a socket: frames of the server in, what they mean and the frames to write out.

It outlives connections. It knows which rooms are heard and up to where each is held, and which requests await their
reply. After `hello` it subscribes to all rooms with one frame, from what is held, and repeats those requests as they
were. So whatever a wire loses, repeats or cuts off, each event of a room comes out once, in order, without a gap.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from hansard_client.errors import HansardError, RecordChanged, Refused
from hansard_client.models import Event, Json, Notice

FRAME_BYTES_MAX = 128 * 1024
FAREWELLS = {"member.removed": "removed", "member.left": "left"}


@dataclass(frozen=True)
class Begun:
    """The server took the subscription to a room of this record."""

    room_id: str
    record: str


@dataclass(frozen=True)
class Told:
    """The next event of a room."""

    room_id: str
    event: Event


@dataclass(frozen=True)
class Live:
    """Everything up to this position was told; what follows is new."""

    room_id: str
    position: int


@dataclass(frozen=True)
class Ended:
    """Nothing more is told of a room; `error` None: because its membership ended."""

    room_id: str
    reason: str
    error: HansardError | None


@dataclass(frozen=True)
class Replied:
    """The reply to a request, as it came."""

    number: int
    reply: Json


@dataclass(frozen=True)
class ComeBack:
    """The server cannot take the subscriptions now: try again on another connection."""

    reason: str


Happening = Begun | Told | Live | Ended | Replied | ComeBack | Event | Notice


@dataclass
class _Room:
    held: int | None  # everything told up to this position came out; None: nothing is known yet, the feed begins now
    record: str | None
    awaited: int | None = None  # the subscribe whose reply is to come: what comes before it is of an older feed
    farewell: str | None = None  # the last event told was the listener's own leaving


class Conversation:
    def __init__(self, user_id: str | None = None) -> None:
        """`user_id` is who listens; it lets a feed say why it ended when the socket ended at that very moment."""
        self.record: str | None = None
        self.gaps = 0
        self.duplicates = 0
        self._user_id = user_id
        self._rooms: dict[str, _Room] = {}
        self._requests: dict[int, str] = {}
        self._subscribes: dict[int, list[str]] = {}
        self._outgoing: list[str] = []
        self._numbers = count(1)
        self._is_ready = False

    # What the user wants

    def subscribe(self, room_id: str, after: int | None = None, record: str | None = None) -> None:
        """Hear a room: everything after a position (of a record; None: the server's), or from now on.

        Raises `RecordChanged` where it is known already that the record is another one.
        """
        if self.record is not None and record not in (None, self.record):
            raise RecordChanged(_OTHER_RECORD)
        self._rooms[room_id] = _Room(after, record or self.record)
        if self._is_ready:
            self._subscribe([room_id])

    def unsubscribe(self, room_id: str) -> None:
        """Hear a room no more."""
        if self._rooms.pop(room_id, None) is not None and self._is_ready:
            self._write({"type": "unsubscribe", "room_id": room_id})

    def held(self, room_id: str) -> int | None:
        """Return up to where everything of a room came out; None: it is not known yet."""
        return self._rooms[room_id].held

    @property
    def unanswered(self) -> int | None:
        """The number of the eldest subscribe whose reply is to come on this connection."""
        return min(self._subscribes, default=None)

    def ask(self, kind: str, **fields: Any) -> int:
        """Ask for something and return the request's number; it is repeated on every connection until answered.

        Raises `DomainError` for a frame longer than the server takes, and ValueError for what is no text.
        """
        number = next(self._numbers)
        text = json.dumps({"id": number, "type": kind, **fields}, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode()) > FRAME_BYTES_MAX:
            raise Refused("frame.too_large", 413, f"A frame has at most {FRAME_BYTES_MAX} bytes.")
        self._requests[number] = text
        if self._is_ready:
            self._outgoing.append(text)
        return number

    def withdraw(self, number: int) -> None:
        """Repeat a request no more; a reply to it is passed over."""
        self._requests.pop(number, None)

    def mention(self, kind: str, **fields: Any) -> None:
        """Say what needs no reply and is worth nothing later; without a connection it is not said at all."""
        if self._is_ready:
            self._write({"type": kind, **fields})

    # What the wire brings

    def outgoing(self) -> list[str]:
        """Return the frames to be written to the present connection, each once."""
        frames, self._outgoing = self._outgoing, []
        return frames

    def lost(self) -> None:
        """The connection is no more; what comes next comes from another one."""
        self._is_ready = False
        self._outgoing.clear()
        self._subscribes.clear()

    def receive(self, text: str) -> list[Happening]:
        """Take a frame and return what happened by it. Raises ValueError for what is no frame at all."""
        frame = json.loads(text)
        if not isinstance(frame, dict):
            raise ValueError("a frame is a JSON object")
        match frame.get("type"):
            case "event":
                return self._event(frame)
            case "reply":
                return self._reply(frame)
            case "live":
                return self._live(frame)
            case "hello":
                return [Notice("hello", frame), *self._hello(frame)]
            case "reset":
                return self._end([frame["room_id"]], "record_changed", RecordChanged(_OTHER_RECORD))
            case "unsubscribed":
                return self._unsubscribed(frame)
            case "pong":
                return []
        return [Notice(str(frame.get("type")), frame)]

    def _hello(self, frame: Json) -> Iterable[Happening]:
        self.record, self._is_ready = frame["record"], True
        gone = [
            at for at, room in self._rooms.items() if room.held is not None and room.record not in (None, self.record)
        ]
        ended = self._end(gone, "record_changed", RecordChanged(_OTHER_RECORD))
        for room in self._rooms.values():
            room.record = self.record
        self._subscribe(list(self._rooms))
        self._outgoing += self._requests.values()
        return ended

    def _event(self, frame: Json) -> list[Happening]:
        event = Event(
            frame["event"], frame["position"], frame.get("prev"), frame.get("room_id"),
            datetime.fromisoformat(frame["at"]), frame.get("actor_id"), frame.get("data") or {},
        )  # fmt: skip
        if event.room_id is None:
            return [event]
        room = self._rooms.get(event.room_id)
        if room is None or room.awaited is not None:
            return []
        if room.held is not None:
            if event.position <= room.held:
                self.duplicates += 1
                return []
            if (event.prev or 0) > room.held:
                self.gaps += 1
                self._subscribe([event.room_id])
                return []
        room.held = event.position
        is_own = self._user_id is not None and event.data.get("user_id") == self._user_id
        room.farewell = FAREWELLS.get(event.kind) if is_own else None
        return [Told(event.room_id, event)]

    def _live(self, frame: Json) -> list[Happening]:
        room = self._rooms.get(frame["room_id"])
        if room is None or room.awaited is not None:
            return []
        if room.held is None:  # else what is held stays the last event's: the next one's `prev` is checked against it
            room.held = frame["position"]
        return [Live(frame["room_id"], frame["position"])]

    def _unsubscribed(self, frame: Json) -> list[Happening]:
        room = self._rooms.get(frame["room_id"])
        if room is not None and room.awaited is not None:
            room.farewell = frame.get("reason")  # of the feed before; the reply to come says whether it may begin again
            return []
        return self._end([frame["room_id"]], str(frame.get("reason")), None)

    def _reply(self, frame: Json) -> list[Happening]:
        number = frame.get("id")
        if not isinstance(number, int):
            return []
        if number in self._subscribes:
            awaited = [at for at in self._subscribes.pop(number) if at in self._rooms]
            return self._subscribed([at for at in awaited if self._rooms[at].awaited == number], frame)
        return [] if self._requests.pop(number, None) is None else [Replied(number, frame)]

    def _subscribed(self, room_ids: list[str], frame: Json) -> list[Happening]:
        """Take the reply to a subscribe: of many rooms all were taken or none, and `rooms` says which were refused."""
        for room_id in room_ids:
            self._rooms[room_id].awaited = None
        if frame["ok"]:
            for room_id in room_ids:
                self._rooms[room_id].farewell = None
            return [Begun(room_id, str(self.record)) for room_id in room_ids]
        refused = Refused.of(frame["error"])
        if refused.is_retryable:
            return [ComeBack(refused.detail)]
        codes = {at: code for at, code in (frame["error"].get("rooms") or {}).items() if at in room_ids}
        codes = codes or dict.fromkeys(room_ids, refused.code)
        ended: list[Happening] = []
        for room_id, code in codes.items():
            farewell = self._rooms[room_id].farewell
            detail = refused.detail if code == refused.code else "This room is not heard."
            error = None if farewell else Refused(code, refused.status, detail)
            ended += self._end([room_id], farewell or "refused", error)
        self._subscribe([room_id for room_id in room_ids if room_id not in codes])
        return ended

    def _end(self, room_ids: Iterable[str], reason: str, error: HansardError | None) -> list[Happening]:
        return [Ended(at, reason, error) for at in room_ids if self._rooms.pop(at, None) is not None]

    def _subscribe(self, room_ids: list[str]) -> None:
        """Subscribe, all with one frame, from what is held."""
        if not room_ids:
            return
        number = next(self._numbers)
        self._subscribes[number] = room_ids
        for room_id in room_ids:
            self._rooms[room_id].awaited = number
        rooms = {room_id: self._rooms[room_id].held for room_id in room_ids}
        self._write({"id": number, "type": "subscribe", "rooms": rooms, "record": self.record})

    def _write(self, frame: Json) -> None:
        self._outgoing.append(json.dumps(frame, separators=(",", ":")))


_OTHER_RECORD = "This position is of another record, or beyond its end: read the room afresh."
