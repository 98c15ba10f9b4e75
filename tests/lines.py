"""Lines: sockets as tests hold them. Every frame that comes in is held to the AsyncAPI document, strictly: a client
ignores fields that it does not know, a test does not. So is every frame that goes out and is meant to be good.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Any, Protocol, get_args

import fastjsonschema
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response

from adapters.clock import monotonic
from gateway.protocol.client_frames import Authenticate, ClientFrame
from gateway.spec.asyncapi import documented
from tests.deployments import Gateway

Frame = dict[str, Any]
DOCUMENT = documented("test")
FRAME_SECONDS = 20.0  # a bound for a busy machine: what does not come is a failure anyway
PROBES = 5
PROBE_FACTOR = 20  # a quiet machine answers in 2 ms
FORMATS = {
    "uuid": r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "date-time": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$",
}
INTENTS = {str(kind.__struct_config__.tag): kind for kind in get_args(ClientFrame)}


class Undocumented(AssertionError):
    """A frame that the AsyncAPI document does not know."""


def check_told(frame: Frame) -> None:
    """Hold a frame of the server to the document. Raises `Undocumented`."""
    name = _name_of(frame)
    if name not in DOCUMENT["components"]["messages"]:
        raise Undocumented(f"no message {name}: {frame}")
    _check(name, frame)


def check_asked(frame: Frame) -> None:
    """Hold a frame of a client to the document. Raises `Undocumented`."""
    _check(INTENTS[frame["type"]].__name__, frame)


def check_answer(kind: str, reply: Frame) -> None:
    """Hold a reply that says yes to what the document says of this request."""
    if reply["ok"]:
        found, expected = reply.keys() - {"type", "id", "ok"}, set(INTENTS[kind].answered_with)
        if found != expected and not (INTENTS[kind] is Authenticate and not found):
            raise Undocumented(f"{kind} is answered with {found}, not {expected}")


def _name_of(frame: Frame) -> str:
    match frame:
        case {"type": "event", "event": event, "room_id": None}:
            return f"own.{event}"
        case {"type": "event", "event": event}:
            return str(event)
        case {"type": "reply", "ok": ok}:
            return "Reply" if ok else "Refusal"
        case {"type": "typing"}:
            return "IsTyping"
    return str(frame["type"]).capitalize()


def _check(name: str, frame: Frame) -> None:
    try:
        validator(name)(frame)
    except fastjsonschema.JsonSchemaValueException as error:
        raise Undocumented(f"{name}: {error.message}: {frame}") from None


@lru_cache
def validator(name: str) -> Callable[[Frame], None]:
    """Return what holds a value to one schema of the document, compiled once."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": _strict_components()}
    validate: Callable[[Frame], None] = fastjsonschema.compile(schema, use_default=False, formats=FORMATS)
    return validate


@lru_cache
def _strict_components() -> Any:
    return _strict(DOCUMENT["components"])


def _strict(schema: Any) -> Any:
    """Return a schema that allows no field but those it names."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(part) for name, part in schema.items()}
    return {"additionalProperties": False, **strict} if schema.get("type") == "object" else strict


class Line:
    """One socket of a test: frames by kind, in the order they came."""

    def __init__(self, socket: ClientConnection, wrote: Callable[[int], None] = lambda position: None) -> None:
        self.socket = socket
        self.wrote = wrote
        self._next = 0

    async def frame(self, *, seconds: float = FRAME_SECONDS) -> Frame:
        async with asyncio.timeout(seconds):
            frame = dict(json.loads(await self.socket.recv()))
        check_told(frame)
        if frame["type"] == "reply" and "position" in frame:
            self.wrote(frame["position"])
        return frame

    async def until(self, kind: str, *, seconds: float = FRAME_SECONDS, **fields: Any) -> Frame:
        """Read frames until one of this type with these fields; answers it."""
        while True:
            frame = await self.frame(seconds=seconds)
            if frame["type"] == kind and fields.items() <= frame.items():
                return frame

    async def events(self, count: int, *, seconds: float = FRAME_SECONDS) -> list[Frame]:
        """Read the next events of rooms."""
        found: list[Frame] = []
        while len(found) < count:
            frame = await self.frame(seconds=seconds)
            if frame["type"] == "event" and frame["room_id"] is not None:
                found.append(frame)
        return found

    async def live(self) -> Frame:
        """Read until the resume of a room has ended; no more events of rooms come before that. One's own frames may."""
        while (frame := await self.frame())["type"] != "live":
            assert frame["type"] != "event" or frame["room_id"] is None, frame
        return frame

    async def send(self, kind: str, **fields: Any) -> None:
        """Send a frame that is meant to be good."""
        frame = {**fields, "type": kind}
        check_asked(frame)
        await self.socket.send(json.dumps(frame))

    async def ask(self, kind: str, **fields: Any) -> Frame:
        """Send a request and return its reply; frames before it are passed over."""
        self._next += 1
        await self.send(kind, id=self._next, **fields)
        reply = await self.until("reply", id=self._next)
        check_answer(kind, reply)
        return reply

    async def closed(self) -> int:
        """Read on until the socket is closed; answers the code."""
        try:
            while True:
                await self.frame()
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "the server said why"
            return closed.rcvd.code


class Bearer(Protocol):
    """Somebody who has an access token, or had one."""

    @property
    def token(self) -> str | None: ...


@asynccontextmanager
async def line(
    to: Gateway, person: Bearer | None, room_id: str | None = None, query: str = "", **options: Any
) -> AsyncIterator[Line]:
    headers = {"Authorization": f"Bearer {person.token}"} if person else {}
    path = f"/api/v1/ws/{room_id}" if room_id else "/api/v1/ws"
    async with connect(
        f"ws://127.0.0.1:{to.port}{path}{query}", additional_headers=headers, **{"close_timeout": 1, **options}
    ) as socket:
        yield Line(socket, partial(to.wrote, person.token) if person else lambda position: None)


async def a_second(to: Gateway) -> float:
    """Return what "within a second" means here and now: more than one where this machine is busy, told by what it answers."""
    began = monotonic()
    async with to.client() as http:
        for _ in range(PROBES):
            assert (await http.get(f"{to.base}/livez")).status_code == 200
    return 1.0 + PROBE_FACTOR * (monotonic() - began) / PROBES


async def turned_away(to: Gateway, path: str = "/api/v1/ws", **headers: str) -> Response:
    """Open a socket that is refused before it is one; answers the refusal."""
    try:
        async with connect(f"ws://127.0.0.1:{to.port}{path}", additional_headers=headers, close_timeout=1):
            raise AssertionError("a socket was opened")
    except InvalidStatus as refused:
        return refused.response
