"""The AsyncAPI 3 document: both sockets, every frame either way, and why a socket is closed.

All of it is generated: schemas from the very types that parse and encode (`gateway/protocol/client_frames.py`, `gateway/protocol/server_frames.py`,
`projections/frames.py`), examples from values of them. A type that is missing here fails a test. The document describes
the server: it *receives* what clients send. The tests hold every frame that they see to these schemas.
"""

from functools import lru_cache
from inspect import cleandoc
from typing import get_args

import msgspec
from msgspec import Struct

from domain.bounds import FRAME_BYTES_MAX, SUBSCRIPTIONS_MAX
from domain.events import Event
from gateway.protocol import client_frames, close_codes, server_frames
from gateway.protocol.client_frames import AUTHENTICATE_SECONDS, ClientFrame, Ping
from gateway.protocol.close_codes import CLOSE_CODES
from gateway.spec import examples
from gateway.spec.json_schemas import SCHEMAS, Json, always_present
from projections.frames import OWN_FRAMES, ROOM_FRAMES, FrameData, OwnEvent, RoomEvent

VERSION = "3.0.0"
ADDRESSES = {"rooms": "/api/v1/ws", "room": "/api/v1/ws/{room_id}"}
OF_ONE_ROOM = (close_codes.REMOVED, close_codes.NO_ROOM)
SERVER_OPERATIONS = {
    "connection": (server_frames.Hello, server_frames.Expiring, server_frames.Reconnect),
    "feeds": (server_frames.Live, server_frames.Reset, server_frames.Unsubscribed),
    "ephemera": (server_frames.IsTyping, server_frames.Presence),
}
INFO = f"""
Text frames, one JSON object each, UTF-8, at most {FRAME_BYTES_MAX} bytes to the server. Subprotocol
`{client_frames.SUBPROTOCOL}` (offered or absent). This document describes the server: it receives what a client sends.

Whoever numbers a request (`id`) gets exactly one `reply`. Unknown fields and keys that stand twice are refused. Clients
ignore fields, events and types that they do not know. `event.skipped` stands for an event of the room that cannot be told:
nothing is to be shown of it, and the next event's `prev` is its position.

Credentials: a bearer token in the handshake, or a ticket in the query, or a first frame `authenticate` within
{AUTHENTICATE_SECONDS:.0f} s. `hello` is the first frame after that, but for the reply to `authenticate`.

Close codes 4000 to 4499: come back, with backoff, and resume with `after`. 4500 to 4999: stay away. See `x-close-codes`.
"""
SECURITY: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Of POST /api/v1/auth/login."},
    "ticket": {
        "type": "httpApiKey",
        "name": "ticket",
        "in": "query",
        "description": "Of POST /api/v1/ws/tickets, for browsers, which cannot set headers: one use, 30 s.",
    },
}
TICKET: Json = {"type": "string", "description": "A ticket, where neither a header nor a first frame authenticates."}
PLACE: Json = {
    "after": {"type": "integer", "minimum": 0, "description": "Resume after this position; absent: from now on."},
    "record": {"type": "string", "format": "uuid", "description": "The record that `after` is of; absent: this one."},
}
HEADERS: Json = {
    "type": "object",
    "properties": {
        "Authorization": {"type": "string", "pattern": "^Bearer ", "description": "An access token."},
        "Sec-WebSocket-Protocol": {"type": "string", "enum": [client_frames.SUBPROTOCOL]},
    },
}
# A subscription needs one of the two; msgspec cannot express that.
ONE_ROOM_OR_MANY: Json = {"anyOf": [{"required": ["room_id"]}, {"required": ["rooms"]}]}


@lru_cache(maxsize=1)
def documented(version: str) -> Json:
    """Return the document; `version` is that of the API. It is made once; nobody changes it."""
    messages = {
        **_client_messages(),
        **_server_messages(),
        **_event_messages(ROOM_FRAMES, is_own=False),
        **_event_messages(OWN_FRAMES, is_own=True),
    }
    return {
        "asyncapi": VERSION,
        "info": {"title": "Hansard sockets", "version": version, "description": cleandoc(INFO)},
        "defaultContentType": "application/json",
        "servers": {"plain": _server("ws"), "tls": _server("wss")},
        "channels": {name: _channel(name, messages) for name in ADDRESSES},
        "operations": {
            f"{channel}.{name}": operation for channel in ADDRESSES for name, operation in _operations(channel).items()
        },
        "components": {
            "messages": messages,
            "schemas": _schemas(),
            "securitySchemes": SECURITY,
            "correlationIds": {"request": {"location": "$message.payload#/id"}},
        },
    }


def name_of(kind: type[Event], *, is_own: bool) -> str:
    """Return the name of an event's message: that of a room, or of one's own feed."""
    return f"own.{kind.topic}" if is_own else kind.topic


# Schemas


def _schemas() -> Json:
    client_kinds, others = (
        get_args(ClientFrame),
        (*get_args(server_frames.Frame), server_frames.Error, RoomEvent, OwnEvent),
    )
    kinds = {telling.kind for telling in (*ROOM_FRAMES.values(), *OWN_FRAMES.values())}
    encoded = (*others, *sorted(kinds, key=lambda kind: kind.__name__))
    _, schemas = msgspec.json.schema_components((*client_kinds, *encoded), ref_template=SCHEMAS + "{name}")
    for kind in encoded:
        schemas[kind.__name__]["required"] = always_present(kind)
    schemas["Subscribe"] |= ONE_ROOM_OR_MANY
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
    for frame, tellings in ((RoomEvent, ROOM_FRAMES), (OwnEvent, OWN_FRAMES)):
        of_any = schemas.pop(frame.__name__)
        for event, telling in tellings.items():
            is_own = frame is OwnEvent
            schemas[name_of(event, is_own=is_own)] = _of_event(of_any, event, telling)
    return schemas


def _of_event(of_any: Json, event: type[Event], telling: FrameData) -> Json:
    """Return the schema of one event's frame: that of any, with the name and the `data` of this one."""
    of_this = {"event": {"const": event.topic}, "data": {"$ref": SCHEMAS + telling.kind.__name__}}
    return {**of_any, "title": event.topic, "properties": {**of_any["properties"], **of_this}}


# Messages


def _client_messages() -> Json:
    return {
        kind.__name__: _message(kind, examples.of_client_frame(kind), numbered=True) for kind in get_args(ClientFrame)
    }


def _server_messages() -> Json:
    replies = (server_frames.Reply, server_frames.Refusal)
    return {
        kind.__name__: _message(kind, examples.of_server_frame(kind), numbered=kind in replies)
        for kind in get_args(server_frames.Frame)
    }


def _event_messages(tellings: dict[type[Event], FrameData], *, is_own: bool) -> Json:
    found = {}
    for event in tellings:
        name = name_of(event, is_own=is_own)
        found[name] = _reference(name, f"{event.topic}, {'of oneself' if is_own else 'in a room'}.")
        found[name]["examples"] = [{"payload": example} for example in examples.of_event(event, is_own=is_own)]
    return found


def _message(kind: type[Struct], payloads: list[Json], *, numbered: bool) -> Json:
    message = _reference(kind.__name__, cleandoc(kind.__doc__ or "").splitlines()[0])
    if numbered:
        message["correlationId"] = {"$ref": "#/components/correlationIds/request"}
    message["examples"] = [{"payload": example} for example in payloads]
    return message


def _reference(name: str, summary: str) -> Json:
    return {"name": name, "summary": summary, "payload": {"$ref": SCHEMAS + name}}


# Servers, channels, operations


def _server(scheme: str) -> Json:
    return {
        "host": "{host}",
        "protocol": scheme,
        "variables": {"host": {"default": "127.0.0.1:8000", "description": "Where the gateway listens."}},
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in SECURITY],
        "bindings": {"ws": {}},
    }


def _channel(name: str, messages: Json) -> Json:
    is_room = name == "room"
    channel: Json = {
        "address": ADDRESSES[name],
        "title": "One room" if is_room else "Many rooms",
        "description": "The same as many rooms, with one subscribed from the start."
        if is_room
        else f"At most {SUBSCRIPTIONS_MAX} rooms, subscribed by frames.",
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {"type": "object", "properties": {**(PLACE if is_room else {}), "ticket": TICKET}},
                "headers": HEADERS,
                "bindingVersion": "0.1.0",
            }
        },
        "x-close-codes": [code._asdict() for code in CLOSE_CODES if is_room or code.number not in OF_ONE_ROOM],
    }
    if is_room:
        channel["parameters"] = {"room_id": {"description": "The room's id.", "examples": [str(examples.ROOM)]}}
    return channel


def _operations(channel: str) -> Json:
    def some(names: list[str]) -> list[Json]:
        return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]

    of = {"$ref": f"#/channels/{channel}"}
    found: Json = {}
    for kind in get_args(ClientFrame):
        pong = [server_frames.Pong.__name__] if kind is Ping else []
        found[str(kind.__struct_config__.tag)] = {
            "action": "receive",
            "channel": of,
            "summary": cleandoc(kind.__doc__ or "").splitlines()[0],
            "messages": some([kind.__name__]),
            "reply": {
                "channel": of,
                "messages": some([*pong, server_frames.Reply.__name__, server_frames.Refusal.__name__]),
            },
            "x-answered-with": list(kind.answered_with),
        }
    sent = {name: [kind.__name__ for kind in kinds] for name, kinds in SERVER_OPERATIONS.items()}
    sent["events"] = [name_of(event, is_own=False) for event in ROOM_FRAMES]
    sent["own"] = [name_of(event, is_own=True) for event in OWN_FRAMES]
    for name, messages in sent.items():
        found[name] = {"action": "send", "channel": of, "messages": some(messages)}
    return found
