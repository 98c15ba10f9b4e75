"""The socket protocol, without a socket: whatever comes in, it is an intent or a `BadFrame`, and nothing else."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import protocol
from gateway.protocol import BadFrame, Ping, Send, Subscribe

ROOM = str(uuid4())
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(ROOM)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
names = st.sampled_from(
    ["id", "type", "room_id", "rooms", "after", "record", "content", "message_id", "token", "version", "position", "x"]
)
kinds = st.sampled_from(
    ["authenticate", "subscribe", "unsubscribe", "send", "edit", "delete", "read", "typing", "ping", ""]
)


def parse(text: str) -> Any:
    try:
        return protocol.parse(text)
    except BadFrame as bad:
        return bad


@settings(max_examples=400)
@given(kinds, st.dictionaries(names, values, max_size=6))
def test_frames_of_every_shape(kind: str, fields: dict[str, Any]) -> None:
    asked = parse(json.dumps({**fields, "type": kind}))
    if isinstance(asked, BadFrame):
        number = fields.get("id")
        assert asked.request is None or asked.request == number


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    parse(text)


@settings(max_examples=300)
@given(st.integers(0, 120), st.text(max_size=3))
def test_mutated_frames(at: int, inserted: str) -> None:
    good = json.dumps({"id": 1, "type": "send", "room_id": ROOM, "content": "hello"})
    parse(good[:at] + inserted + good[at + len(inserted) :])


def test_intents() -> None:
    sent = parse(json.dumps({"id": 4, "type": "send", "room_id": ROOM, "content": 'say "x": "y"'}))
    assert sent == Send(id=4, room_id=UUID(ROOM), content='say "x": "y"')
    assert parse('{"type":"ping"}') == Ping()
    assert parse('{"id":1,"type":"subscribe","rooms":{"%s":7}}' % ROOM) == Subscribe(id=1, rooms={UUID(ROOM): 7})


@pytest.mark.parametrize(
    ("text", "request_id", "code"),
    [
        ("", None, "frame.not_json"),
        ("[" * 200_000, None, "field.invalid"),
        ("[]", None, "field.invalid"),
        ('{"id":7,"type":"send"}', 7, "field.missing"),
        ('{"id":7,"type":"ping","type":"ping"}', 7, "body.duplicate_key"),
        ('{"id":7,"id":8,"type":"ping"}', 8, "body.duplicate_key"),
        ('{"id":"7","type":"ping"}', None, "field.invalid"),
        ('{"id":7,"type":"read","room_id":"%s","position":-1}' % ROOM, 7, "field.invalid"),
        ('{"id":7,"type":"read","room_id":"%s","position":9223372036854775808}' % ROOM, 7, "field.invalid"),
    ],
)
def test_bad_frames(text: str, request_id: int | None, code: str) -> None:
    bad = parse(text)
    assert isinstance(bad, BadFrame)
    assert (bad.request, bad.code) == (request_id, code)


def test_replies() -> None:
    assert protocol.reply(None, position=1) is None
    assert json.loads(protocol.reply(3, position=1) or b"") == {"type": "reply", "id": 3, "ok": True, "position": 1}
    no = json.loads(protocol.refusal(3, "room.not_found", "No.", 404) or b"")
    assert no["error"] == {"code": "room.not_found", "detail": "No.", "status": 404, "retryable": False}
    assert json.loads(protocol.refusal(3, "server.unavailable", "Later.", 503) or b"")["error"]["retryable"] is True
