"""Faults: of a body with several all are told at once, each with its field, in words that a person understands."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.deployments import Gateway, deployment
from tests.lines import line

RFC_7578 = "A part of it is not written as RFC 7578 has it."
# What msgspec, Python and the decoders say of themselves.
INSIDE = re.compile(
    r"`|UnicodeDecodeError|utf-8|codec|b'|\bstr\b|\bint\b|\bgot\b|truncated|Invalid |msgspec|RFC3339|\\\\"
)


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


def faults(answer: Any) -> dict[str, str]:
    body = answer.json()
    assert answer.status_code == 422, answer.text
    assert body["code"] == body["errors"][0]["code"] and body["errors"][0]["detail"] in body["detail"]
    assert not INSIDE.search(answer.text), answer.text
    return {error["pointer"]: error["code"] for error in body["errors"]}


async def test_all_faults_of_a_body_are_told(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    async with hansard.client() as http:
        wrong = {"email": "nobody", "username": "a b", "password": "short"}
        invalid = dict.fromkeys(("/email", "/username", "/password"), "field.invalid")
        assert faults(await http.post("/auth/register", json=wrong)) == invalid
        assert faults(await http.post("/auth/register", json=wrong | {"username": 7, "colour": 1, "a/b": 2})) == {
            **invalid, "/colour": "field.unknown", "/a~1b": "field.unknown",
        }  # fmt: skip
        assert faults(await http.post("/auth/register", json={"username": "x"})) == {
            "/email": "field.missing", "/username": "field.invalid", "/password": "field.missing",
        }  # fmt: skip
    room = {"name": "\u2800", "description": "\u0007", "is_private": False}
    assert faults(await ada.http.post("/rooms", json=room)) == dict.fromkeys(("/name", "/description"), "field.invalid")
    message = {"content": "\u0000", "id": "7", "reply_to": 8, "message_type": "poem"}
    assert faults(await ada.http.post(f"/rooms/{room_id}/messages", json=message)) == dict.fromkeys(
        ("/content", "/id", "/reply_to", "/message_type"), "field.invalid"
    )
    # The order of checks holds: what is stale is told before what is wrong.
    stale = await ada.http.patch(f"/rooms/{room_id}", json={"name": "\u2800"}, headers={"If-Match": '"9"'})
    assert stale.status_code == 412


async def test_all_faults_of_a_form_are_told(hansard: Gateway) -> None:
    ada = await hansard.person()
    parts = [("other", ("a.txt", b"x")), ("file", (None, b"x")), ("colour", (None, b"x"))]
    assert faults(await ada.http.post("/files/upload", files=parts)) == {
        "/other": "field.unknown", "/file": "field.invalid", "/colour": "field.unknown",
    }  # fmt: skip
    parts = [("other", ("a.txt", b"x")), ("file", ("b.txt", b"x" * 1_000_000))]
    assert faults(await ada.http.post("/files/upload", files=parts)) == {"/other": "field.unknown"}
    only = [("other", ("a.txt", b"x"))]
    assert faults(await ada.http.post("/files/upload", files=only)) == {
        "/other": "field.unknown", "/file": "field.missing",
    }  # fmt: skip
    many = [("other", ("a.txt", b"x"))] * 30
    assert faults(await ada.http.post("/files/upload", files=many))["/other"] == "field.unknown"


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b'{"content":"\xff\xfe"}', "The body is no JSON: It is not UTF-8."),
        (b"\xff", "The body is no JSON: It is not UTF-8."),
        (b'{"content":"\\ud800"}', "The body is no JSON: A text holds half of a surrogate pair."),
        (b'{"content":"x', "The body is no JSON: It ends too early."),
    ],
)
async def test_what_is_no_json_is_told_in_words(hansard: Gateway, content: bytes, detail: str) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    answer = await ada.http.post(
        f"/rooms/{room_id}/messages", content=content, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)


async def test_wrong_types_and_lengths_are_told_in_words(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    for body, said in (
        ({"content": 7}, "This is to be a text, not a whole number."),
        ({"content": "x" * 10_001}, "This has at most 10,000 characters."),
        ({"content": "x", "id": "7"}, "This is not a UUID."),
        ({"content": "x", "reply_to": []}, "This is to be a UUID or null, not a list."),
    ):
        answer = await ada.http.post(f"/rooms/{room_id}/messages", json=body)
        assert faults(answer) and answer.json()["errors"][0]["detail"] == said
    for position, said in (
        (-1, "This is to be at least 0."),
        (2**63, "This is to be at most 9,223,372,036,854,775,807."),
        (1.5, "This is to be a whole number, not a number."),
    ):
        answer = await ada.http.put(f"/rooms/{room_id}/read", json={"position": position})
        assert faults(answer) and answer.json()["errors"][0]["detail"] == said
    answer = await ada.http.get(f"/rooms/{room_id}/messages?before=99999999999999999999")
    assert faults(answer) and answer.json()["errors"][0]["detail"] == "This number is out of range."
    for query in ("limit=0", "limit=x", "cursor=x", "before=-1", "render=pdf"):
        assert faults(await ada.http.get(f"/rooms/{room_id}/messages?{query}"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "It ends too early."),
        (b"x", "It ends too early."),
        (b"--b\r\n\r\nx\r\n--b--", "A part does not say which field it is."),
        (b"--b\r\nContent-Disposition: inline; name=file\r\n\r\nx\r\n--b--", RFC_7578),
        (b"--b\r\nno header\r\n\r\nx\r\n--b--", RFC_7578),
        (b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx', "It ends too early."),
    ],
)
async def test_what_is_no_form_is_told_in_words(hansard: Gateway, content: bytes, said: str) -> None:
    ada = await hansard.person()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await ada.http.post("/files/upload", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "body.not_multipart")
    assert answer.json()["detail"] == f"The body is no multipart form: {said}"


async def test_frames_are_told_in_the_same_words(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    async with line(hansard, ada) as socket:
        for text in (
            json.dumps({"id": 1, "type": "read", "room_id": room_id, "position": "1"}),
            json.dumps({"id": 1, "type": "send", "room_id": "7", "content": "x"}),
            '{"id":1,"type":"send","room_id":"%s","content":"\\ud800"}' % room_id,
        ):
            await socket.socket.send(text)
            reply = await socket.until("reply")
            assert not reply["ok"] and not INSIDE.search(reply["error"]["detail"]), reply
