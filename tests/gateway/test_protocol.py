"""The socket protocol, without a socket: whatever comes in, it is an intent or a `BadFrameError`, and nothing else."""

import json
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.operations import FRAMES
from gateway.protocol import parsing, server_frames
from gateway.protocol.client_frames import Authenticate, ClientFrame, Ping, Send, Subscribe, Typing, Unsubscribe
from gateway.protocol.parsing import BadFrameError
from tests.fuzz.making import Case
from tests.fuzz.promises import hold

ROOM = "6f6c0df5-315c-4673-bd3f-72096be22ff7"  # the same in every process of a run, for it is in the names of tests
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
        return parsing.parse(text)
    except BadFrameError as bad:
        return bad


@settings(max_examples=400)
@given(kinds, st.dictionaries(names, values, max_size=6))
def test_frames_of_every_shape(kind: str, fields: dict[str, Any]) -> None:
    hold(Case(json.dumps({**fields, "type": kind})))


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    hold(Case(text))


@settings(max_examples=300)
@given(st.integers(0, 120), st.text(max_size=3))
def test_mutated_frames(at: int, inserted: str) -> None:
    good = json.dumps({"id": 1, "type": "send", "room_id": ROOM, "content": "hello"})
    hold(Case(good[:at] + inserted + good[at + len(inserted) :]))


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
        # What can be said back is answered, though no client's numbers hold it exactly.
        ('{"id":9007199254740992,"type":"ping"}', 9007199254740992, "field.invalid"),
        ('{"id":-1,"type":"ping"}', -1, "field.invalid"),
        ('{"id":9223372036854775808,"type":"ping"}', None, "field.invalid"),
        ('{"id":%s,"type":"ping"}' % ("1" * 5000), None, "field.invalid"),
        ('{"id":7.0,"type":"ping"}', None, "field.invalid"),
        ('{"id":true,"type":"ping"}', None, "field.invalid"),
        ('{"id":7,"type":"edit","message_id":"%s","content":"","version":2147483648}' % ROOM, 7, "field.invalid"),
        ('{"id":7,"type":"edit","message_id":"%s","content":"","version":-1}' % ROOM, 7, "field.invalid"),
        ('{"id":7,"type":"delete","message_id":"%s","reason":"%s"}' % (ROOM, "x" * 501), 7, "field.invalid"),
        ('{"id":7,"type":"subscribe","rooms":{}}', 7, "field.invalid"),
        ('{"id":7,"type":"subscribe","rooms":{"%s":1,"%s":1}}' % (ROOM, ROOM), 7, "body.duplicate_key"),
        ('{"id":7,"type":"subscribe","rooms":{"%s":1,"%s":2}}' % (ROOM, ROOM.upper()), 7, "body.duplicate_key"),
        ('{"id":7,"type":"ping","\\u0069d":8}', 8, "body.duplicate_key"),
        # However many marks of keys its texts hold.
        ('{"id":7,"type":"authenticate","token":"\\":\\" :","id":8}', 8, "body.duplicate_key"),
        ('{"id":7,"type":"authenticate","token":"a","token":"\\":"}', 7, "body.duplicate_key"),
        ('{"id":7,"type":"authenticate","token":"\\":","token":"\\":"}', 7, "body.duplicate_key"),
        ('{"id":7,"type":"authenticate","token":"\\":","token" :"a"}', 7, "body.duplicate_key"),
        ('{"id":7,"type":"ping","extra":1', None, "frame.not_json"),
        ('{"id":7,"type":"authenticate","token":"\\ud83d"}', 7, "field.invalid"),
        ('{"id":7,"type":"authenticate","token":"\\ud83d"', None, "frame.not_json"),
        ('{"id":7,"type":"ping"}x', None, "frame.not_json"),
        ('\ufeff{"id":7,"type":"ping"}', None, "frame.not_json"),
    ],
)
def test_bad_frames(text: str, request_id: int | None, code: str) -> None:
    bad = parse(text)
    assert isinstance(bad, BadFrameError)
    assert (bad.request, bad.code) == (request_id, code)


@pytest.mark.parametrize("text", ['":', '" :', '"id":1,"id":2', '":"', ":", '"', '":' * 40_000, '"\n:' * 20_000])
def test_a_text_may_look_like_keys(text: str) -> None:
    sent = parse(json.dumps({"id": 4, "type": "send", "room_id": ROOM, "content": text}))
    assert sent == Send(id=4, room_id=UUID(ROOM), content=text)


def test_many_rooms_are_as_many_as_a_socket_may_hear() -> None:
    rooms = {str(uuid4()): None for _ in range(1_001)}
    assert parse(json.dumps({"id": 1, "type": "subscribe", "rooms": rooms})).code == "field.invalid"
    rooms.popitem()
    assert len(parse(json.dumps({"id": 1, "type": "subscribe", "rooms": rooms})).rooms) == 1_000


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        # What the client wrote never passes for the server's own words about where the fault is.
        ('{"id":7,"type":"ping","a` - at `$.b":1}', "/a` - at `$.b: This field is not known here."),
        ('{"id":7,"type":"pi - at `$.b`"}', "/type: This is none of the values that are known here."),
        ('{"id":7,"type":"subscribe","rooms":{"x":1}}', "/rooms: This is not a UUID."),
        (
            '{"id":7,"type":"read","room_id":"%s","position":"1"}' % ROOM,
            "/position: This is to be a whole number, not a text.",
        ),
    ],
)
def test_a_fault_names_its_field(text: str, detail: str) -> None:
    assert parse(text).detail == detail


def test_a_fault_does_not_repeat_a_whole_frame() -> None:
    for text in ('{"id":7,"type":"ping","%s":1}', '{"id":7,"type":"%s"}'):
        assert len(parse(text % ("x" * 100_000)).detail) < 400


def test_what_is_no_number_of_a_client_is_still_answered() -> None:
    bad = parse('{"id":-9223372036854775808,"type":"ping"}')
    assert json.loads(server_frames.refusal(bad.request, bad.code, bad.detail, 422) or b"")["id"] == -(2**63)


def test_replies() -> None:
    assert server_frames.reply(None, position=1) is None
    assert json.loads(server_frames.reply(3, position=1) or b"") == {
        "type": "reply",
        "id": 3,
        "ok": True,
        "position": 1,
    }
    no = json.loads(server_frames.refusal(3, "room.not_found", "No.", 404) or b"")
    assert no["error"] == {"code": "room.not_found", "detail": "No.", "status": 404, "retryable": False}
    assert (
        json.loads(server_frames.refusal(3, "server.unavailable", "Later.", 503) or b"")["error"]["retryable"] is True
    )


def test_every_frame_is_the_sockets_own_or_becomes_a_command() -> None:
    assert {*FRAMES, Authenticate, Ping, Subscribe, Typing, Unsubscribe} == set(get_args(ClientFrame))
