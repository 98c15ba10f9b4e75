"""The reference pages say what the documents say: types, bounds, who may, what comes back."""

from pathlib import Path
from typing import Any

import pytest

from handbook import api, sockets
from handbook.schemas import UnknownKeywordError, type_of
from handbook.staging import drawn, stage
from tests.house.test_style import ROOT

ROOM: dict[str, Any] = {
    "type": "object",
    "description": "A room.",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 100},
        "owner": {"anyOf": [{"$ref": "#/components/schemas/User"}, {"type": "null"}], "default": None},
    },
    "additionalProperties": False,
}
OPENAPI: dict[str, Any] = {
    "info": {"summary": "Chat.", "version": "1.2.3"},
    "paths": {
        "/api/v1/rooms": {
            "get": {"responses": {"200": {"description": "OK"}}},
            "head": {"responses": {"200": {"description": "OK"}}},
            "post": {
                "description": "Open a room.",
                "security": [],
                "parameters": [
                    {"name": "dry", "in": "query", "schema": {"type": "boolean"}, "description": "Do nothing | much."},
                    {"name": "Why", "in": "header", "required": True, "schema": {"type": "string"}},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Room_"}}}},
                "responses": {
                    "201": {
                        "description": "Created",
                        "headers": {"ETag": {}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Room_"}}},
                    },
                    "409": {"description": "Conflict", "content": {"application/problem+json": {}}},
                },
            },
        },
        "/livez": {"get": {"responses": {"200": {"description": "OK"}}}},
    },
    "components": {"schemas": {"Room_": ROOM}},
}
ASYNCAPI: dict[str, Any] = {
    "info": {"description": "Frames."},
    "channels": {
        "rooms": {
            "address": "/ws",
            "title": "Many Rooms",
            "description": "At most 3.",
            "x-close-codes": [{"number": 4013, "name": "too fast", "sentence": "Slower.", "comes_back": True}],
        },
        "room": {"address": "/ws/{id}", "title": "One", "description": "One.", "x-close-codes": []},
    },
    "operations": {
        f"{channel}.send": {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"#/channels/{channel}/messages/room.said"}],
            "x-answered-with": ["position"],
        }
        for channel in ("rooms", "room")
    },
    "components": {
        "messages": {
            "room.said": {
                "name": "room.said",
                "summary": "Say it.",
                "payload": {"$ref": "#/components/schemas/room.said"},
                "examples": [{"payload": {"type": "send", "text": "é"}}],
            }
        },
        "schemas": {"room.said": ROOM},
    },
}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string", "format": "uuid"}, "string (uuid)"),
        ({"type": "integer", "minimum": 0, "maximum": 9}, "integer, ≥ 0, ≤ 9"),
        ({"enum": ["a", None]}, "`a` or `null`"),
        ({"const": True}, "`true`"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/own.Room"}}, "list of [own.Room](#ownroom)"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer"),
    ],
)
def test_a_type_is_told_with_its_bounds(schema: dict[str, Any], said: str) -> None:
    assert type_of(schema) == said


def test_a_bound_that_cannot_be_told_stops_the_build() -> None:
    with pytest.raises(UnknownKeywordError, match="multipleOf"):
        type_of({"type": "integer", "multipleOf": 5})


def test_the_api_page_tells_each_operation_once() -> None:
    lines = api.page(OPENAPI).splitlines()
    assert [line for line in lines if line.startswith("##")] == [
        "## Headers of requests",
        *("## Rooms", "### GET /api/v1/rooms", "### POST /api/v1/rooms"),
        *("## Operating", "### GET /livez"),
        *("## Schemas", "### Room_"),
    ]
    for line in (
        "Needs no credentials.",
        "| `dry` | boolean | Do nothing \\| much. |",
        "Headers: `Why` (required).",
        "Body, `application/json`: [Room_](#room_).",
        "| 201 | Created | [Room_](#room_) | `ETag` |",
        "Problems: 409 (Conflict).",
        "| `name` | string, at least 1 characters, at most 100 characters | required |",
        "| `owner` | [User](#user) or null | default `null` |",
        "Other fields are refused.",
    ):
        assert line in lines


def test_the_socket_page_tells_each_frame_once_and_why_sockets_are_closed() -> None:
    page = sockets.page(ASYNCAPI)
    assert page.count("### Frame `room.said`") == 1
    for line in (
        "## `/ws`: many rooms",
        "## `/ws/{id}`: one",
        "| 4013 | too fast | Slower. | come back |",
        "## Frames that a client sends",
        "Fields: [room.said](#roomsaid).",
        "Its `reply` has `position`.",
        '  "text": "é"',
    ):
        assert line in page.splitlines()


def test_a_diagram_becomes_a_picture_beside_its_page(tmp_path: Path) -> None:
    text = "# T\n```mermaid\nA\nB\n```\nand\n```mermaid\nC\n```\n```sh\n```\n"
    assert drawn(text, tmp_path / "page.md", str.lower) == (
        "# T\n![Diagram](page-0.svg)\nand\n![Diagram](page-1.svg)\n```sh\n```\n"
    )
    assert [(tmp_path / f"page-{i}.svg").read_text() for i in (0, 1)] == ["a\nb", "c"]


def test_pages_lie_on_the_site_as_in_the_repository(tmp_path: Path) -> None:
    (tmp_path / "gone.md").touch()
    stage(ROOT, tmp_path, str.lower)
    for name in ("README.md", "LICENSE", "docs/operating.md", "docs/decisions/README.md", "clients/python/README.md"):
        assert (tmp_path / name).exists(), name
    assert not (tmp_path / "gone.md").exists()
    assert (tmp_path / "docs" / "operating.md").read_text() == (ROOT / "docs" / "operating.md").read_text()
