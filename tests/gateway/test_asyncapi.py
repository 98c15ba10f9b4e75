"""The AsyncAPI document: valid by AsyncAPI's own schema, whole, and true of what is said and taken."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import fastjsonschema
import jsonschema
import pytest

from domain.topics import TOPICS
from gateway.protocol import close_codes, parsing, server_frames
from gateway.protocol.client_frames import ClientFrame
from gateway.protocol.close_codes import CLOSE_CODES
from gateway.spec.asyncapi import name_of
from projections.frames import OWN_FRAMES, ROOM_FRAMES
from tests.deployments import deployment, gateway
from tests.lines import DOCUMENT, Undocumented, check_answer, check_asked, check_told, validator

# schemas/3.0.0-without-$id.json of @asyncapi/specs 6.11.1, Apache-2.0 (NOTICE beside it).
META_SCHEMA = json.loads((Path(__file__).parent / "asyncapi" / "3.0.0.json").read_text())
MESSAGES = DOCUMENT["components"]["messages"]
EXAMPLES = [(name, example["payload"]) for name, message in MESSAGES.items() for example in message["examples"]]
HELLO = {
    "type": "hello",
    "connection": "9f2d4c1e-5b7a-4a5e-8d3c-2f6e7a8b9c0d",
    "record": "6f1c2a52-7c0b-4a51-9f0e-3d1f6f6f8a10",
    "position": 1049,
    "heartbeat_seconds": 25,
    "session_expires_in": 900,
}


def references(part: Any) -> Iterator[str]:
    """Return every reference of a document."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def resolved(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_it_is_a_document_of_asyncapi_3() -> None:
    checked = jsonschema.Draft7Validator(META_SCHEMA)
    assert [f"{error.json_path}: {error.message}" for error in checked.iter_errors(DOCUMENT)] == []
    assert not checked.is_valid({**DOCUMENT, "asyncapi": "2.6.0"})
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft7Validator.check_schema(schema)
        assert schema.get("title"), name


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 100
    for reference in found:
        assert isinstance(resolved(reference), dict), reference


def test_every_component_is_used() -> None:
    found = set(references(DOCUMENT))
    for kind, components in DOCUMENT["components"].items():
        for name in components:
            assert f"#/components/{kind}/{name}" in found, f"{kind} {name}"


def test_every_type_of_a_frame_is_a_message_of_both_sockets_and_of_an_operation() -> None:
    expected = {kind.__name__ for kind in (*get_args(ClientFrame), *get_args(server_frames.Frame))}
    expected |= {name_of(event, is_own=False) for event in ROOM_FRAMES}
    expected |= {name_of(event, is_own=True) for event in OWN_FRAMES}
    assert MESSAGES.keys() == expected
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == {"/api/v1/ws", "/api/v1/ws/{room_id}"}
    for name, channel in DOCUMENT["channels"].items():
        assert channel["messages"].keys() == expected
        operations = [each for key, each in DOCUMENT["operations"].items() if key.startswith(f"{name}.")]
        used = {ref for operation in operations for ref in references(operation)} - {f"#/channels/{name}"}
        assert used == {f"#/channels/{name}/messages/{message}" for message in expected}


def test_whoever_asks_is_answered() -> None:
    for channel in DOCUMENT["channels"]:
        for kind in get_args(ClientFrame):
            operation = DOCUMENT["operations"][f"{channel}.{kind.__struct_config__.tag}"]
            assert operation["action"] == "receive"
            answers = {reference.rpartition("/")[2] for reference in references(operation["reply"]["messages"])}
            assert answers - {"Pong"} == {"Reply", "Refusal"}


@pytest.mark.parametrize(("name", "payload"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_is_valid_as_its_own_message_and_as_no_other(name: str, payload: dict[str, Any]) -> None:
    matching = []
    for other in MESSAGES:
        try:
            validator(other)(payload)
            matching.append(other)
        except fastjsonschema.JsonSchemaValueException:
            pass
    assert matching == [name]
    if name in {kind.__name__ for kind in get_args(ClientFrame)}:
        assert type(parsing.parse(json.dumps(payload))).__name__ == name


def test_every_message_has_an_example() -> None:
    assert Counter(name for name, _ in EXAMPLES).keys() == MESSAGES.keys()


def test_every_event_that_a_room_hears_has_its_own_schema_of_data() -> None:
    for name, message in MESSAGES.items():
        topic = name.removeprefix("own.")
        if topic in TOPICS:
            schema = resolved(message["payload"]["$ref"])
            assert schema["properties"]["event"] == {"const": topic}
            data = resolved(schema["properties"]["data"]["$ref"])
            assert data["required"] and data["type"] == "object"


@pytest.mark.parametrize(
    "frame",
    [
        {**HELLO, "extra": 1},
        {key: value for key, value in HELLO.items() if key != "record"},
        {**HELLO, "position": "1049"},
        {**HELLO, "record": "6F1C2A52-7C0B-4A51-9F0E-3D1F6F6F8A10"},
        {"type": "greeting"},
        {"type": "reply", "id": 1},
        {"type": "reply", "id": 1, "ok": False},
        {"type": "event", "event": "message.whispered", "room_id": None},
        {"type": "presence", "room_id": HELLO["record"], "user_id": HELLO["record"], "state": "away"},
    ],
)
def test_a_frame_that_is_not_described_fails_the_test_that_hears_it(frame: dict[str, Any]) -> None:
    check_told(HELLO)
    with pytest.raises(Undocumented):
        check_told(frame)


def test_a_frame_that_is_not_described_fails_the_test_that_sends_it() -> None:
    check_asked({"type": "ping", "id": 1})
    for frame in ({"type": "ping", "id": "1"}, {"type": "ping", "extra": 1}, {"type": "subscribe"}):
        with pytest.raises(Undocumented):
            check_asked(frame)
    check_answer("read", {"type": "reply", "id": 1, "ok": True, "position": 7})
    with pytest.raises(Undocumented):
        check_answer("read", {"type": "reply", "id": 1, "ok": True})


def test_close_codes_say_who_may_come_back() -> None:
    assert {code.number: code.comes_back for code in CLOSE_CODES} == {
        1007: False, 1009: False, 4000: True, 4008: True, 4013: True, 4401: True, 4410: True, 4414: True,
        4500: False, 4501: False, 4502: False, 4505: False,
    }  # fmt: skip
    constants = {value for name, value in vars(close_codes).items() if name.isupper() and isinstance(value, int)}
    assert {value for value in constants if 4000 <= value <= 4999} == {
        c.number for c in CLOSE_CODES if c.number >= 4000
    }
    assert all(len(code.name.encode()) <= 123 and code.sentence.endswith(".") for code in CLOSE_CODES)
    many, one = (DOCUMENT["channels"][name]["x-close-codes"] for name in ("rooms", "room"))
    assert {code["number"] for code in one} - {code["number"] for code in many} == {4502, 4505}


async def test_it_is_public_unless_the_schema_is_switched_off(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard, hansard.client() as http:
        answer = await http.get(f"{hansard.base}/asyncapi.json")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json() == {**DOCUMENT, "info": {**DOCUMENT["info"], "version": "test"}}
        page = await http.get(f"{hansard.base}/schema")
        assert "/asyncapi.json" in page.text
    async with gateway(database_url, redis_url, schema_on=False) as hansard, hansard.client() as http:
        for path in ("/asyncapi.json", "/schema", "/schema/openapi.json"):
            assert (await http.get(f"{hansard.base}{path}")).status_code == 404
