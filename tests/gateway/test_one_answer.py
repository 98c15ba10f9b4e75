"""What can be asked by HTTP and by a socket is answered alike: every command of both, in every case that is refused.

The table names the case, the request and the frame; the code and the status must be the same.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import uuid4

import pytest
from structlog.processors import JSONRenderer

from adapters.postgres.clock_watch import ClockLeaptError
from adapters.redis.lanes import LanesUnavailableError
from domain.ids import system_message_id
from domain.ports.record import KeysMissingError, NothingWrittenError, RecordUnavailableError
from tests.deployments import Gateway, Person, deployment, gateway, logged, projector
from tests.lines import Line, line

Fields = dict[str, Any]


class Asked(NamedTuple):
    """One thing, as a request (method, path, options) and as a frame (type, fields)."""

    method: str
    path: str
    options: Fields
    frame: str
    fields: Fields


class Answer(NamedTuple):
    code: str
    status: int


def send(room_id: str, content: str = "hello", message_id: str | None = None, **fields: Any) -> Asked:
    body, frame = {"content": content, **fields}, {"content": content, **fields}
    if message_id is not None:
        body["id"], frame["message_id"] = message_id, message_id
    return Asked("POST", f"/rooms/{room_id}/messages", {"json": body}, "send", {"room_id": room_id, **frame})


def edit(message_id: str, content: str = "other", version: int | None = None) -> Asked:
    options, fields = _of_version({"json": {"content": content}}, {"content": content}, version)
    return Asked("PATCH", f"/messages/{message_id}", options, "edit", {"message_id": message_id, **fields})


def delete(message_id: str, version: int | None = None) -> Asked:
    options, fields = _of_version({}, {}, version)
    return Asked("DELETE", f"/messages/{message_id}", options, "delete", {"message_id": message_id, **fields})


def read(room_id: str, position: int = 1) -> Asked:
    body = {"position": position}
    return Asked("PUT", f"/rooms/{room_id}/read", {"json": body}, "read", {"room_id": room_id, **body})


def react(message_id: str, emoji: str = "👍") -> Asked:
    path = f"/messages/{message_id}/reactions/{quote(emoji)}"
    return Asked("PUT", path, {}, "react", {"message_id": message_id, "emoji": emoji})


def unreact(message_id: str, emoji: str = "👍") -> Asked:
    return react(message_id, emoji)._replace(method="DELETE", frame="unreact")


def pin(message_id: str) -> Asked:
    return Asked("PUT", f"/messages/{message_id}/pin", {}, "pin", {"message_id": message_id})


def unpin(message_id: str) -> Asked:
    return pin(message_id)._replace(method="DELETE", frame="unpin")


def _of_version(options: Fields, fields: Fields, version: int | None) -> tuple[Fields, Fields]:
    if version is None:
        return options, fields
    return {**options, "headers": {"If-Match": f'"{version}"'}}, {**fields, "version": version}


class Scene(NamedTuple):
    """Rooms and messages of every kind that one can be refused at; `ben` asks."""

    ben: Person
    room: str
    private: str
    archived: str
    public: str
    mine: str
    of_ada: str
    deleted: str
    of_archived: str
    system: str
    next_system: str


CASES: dict[str, tuple[Callable[[Scene], Asked], Answer]] = {
    "send to no room": (lambda s: send(str(uuid4())), Answer("room.not_found", 404)),
    "send to a private room": (lambda s: send(s.private), Answer("room.not_found", 404)),
    "send to a public room": (lambda s: send(s.public), Answer("room.not_a_member", 403)),
    "send to an archived room": (lambda s: send(s.archived), Answer("room.archived", 409)),
    "send nothing": (lambda s: send(s.room, ""), Answer("field.invalid", 422)),
    "send what is not printed": (lambda s: send(s.room, "a\0b"), Answer("field.invalid", 422)),
    "send under another's id": (lambda s: send(s.room, "x", s.of_ada), Answer("message.id_taken", 409)),
    "send under a system message's id": (
        lambda s: send(s.room, "x", s.next_system), Answer("message.id_reserved", 422)),
    "send under that id to a private room": (lambda s: send(s.private, "x", s.next_system), Answer("room.not_found", 404)),
    "send an answer to nothing": (
        lambda s: send(s.room, reply_to=str(uuid4())), Answer("message.reply_unknown", 422)),
    "send into the thread of nothing": (
        lambda s: send(s.room, thread_id=str(uuid4())), Answer("thread.not_a_root", 422)),
    "send into the thread of a system message": (
        lambda s: send(s.room, thread_id=s.system, in_room=True), Answer("thread.not_a_root", 422)),
    "send into the thread of what is deleted": (
        lambda s: send(s.room, thread_id=s.deleted), Answer("message.deleted", 409)),
    "send into a thread of another room": (
        lambda s: send(s.room, thread_id=s.of_archived), Answer("thread.not_a_root", 422)),
    "send no file": (lambda s: send(s.room, message_type="file"), Answer("field.invalid", 422)),
    "send an unknown file": (
        lambda s: send(s.room, message_type="file", file_id=str(uuid4())), Answer("file.not_found", 404)),
    "edit nothing": (lambda s: edit(str(uuid4())), Answer("message.not_found", 404)),
    "edit another's": (lambda s: edit(s.of_ada), Answer("message.not_yours", 403)),
    "edit what is deleted": (lambda s: edit(s.deleted), Answer("message.deleted", 409)),
    "edit in an archived room": (lambda s: edit(s.of_archived), Answer("room.archived", 409)),
    "edit another version": (lambda s: edit(s.mine, version=7), Answer("version.stale", 412)),
    "edit to what is not printed": (lambda s: edit(s.mine, "a\0b"), Answer("field.invalid", 422)),
    "edit a system message": (lambda s: edit(s.system), Answer("message.system", 409)),
    "delete nothing": (lambda s: delete(str(uuid4())), Answer("message.not_found", 404)),
    "delete another's": (lambda s: delete(s.of_ada), Answer("message.not_yours", 403)),
    "delete in an archived room": (lambda s: delete(s.of_archived), Answer("room.archived", 409)),
    "delete another version": (lambda s: delete(s.mine, version=7), Answer("version.stale", 412)),
    "delete a system message": (lambda s: delete(s.system), Answer("message.system", 409)),
    "react to nothing": (lambda s: react(str(uuid4())), Answer("message.not_found", 404)),
    "react with a word": (lambda s: react(s.of_ada, "yes"), Answer("emoji.unknown", 422)),
    "react with two": (lambda s: react(s.of_ada, "👍👍"), Answer("emoji.unknown", 422)),
    "react to what is deleted": (lambda s: react(s.deleted), Answer("message.deleted", 409)),
    "react in an archived room": (lambda s: react(s.of_archived), Answer("room.archived", 409)),
    "react to a system message": (lambda s: react(s.system), Answer("message.system", 409)),
    "take back from nothing": (lambda s: unreact(str(uuid4())), Answer("message.not_found", 404)),
    "take back a word": (lambda s: unreact(s.of_ada, "yes"), Answer("emoji.unknown", 422)),
    "take back in an archived room": (lambda s: unreact(s.of_archived), Answer("room.archived", 409)),
    "take back from a system message": (lambda s: unreact(s.system), Answer("message.system", 409)),
    "pin nothing": (lambda s: pin(str(uuid4())), Answer("message.not_found", 404)),
    "pin as a member": (lambda s: pin(s.of_ada), Answer("room.role_too_low", 403)),
    "pin a system message": (lambda s: pin(s.system), Answer("message.system", 409)),
    "unpin nothing": (lambda s: unpin(str(uuid4())), Answer("message.not_found", 404)),
    "unpin as a member": (lambda s: unpin(s.of_ada), Answer("room.role_too_low", 403)),
    "read no room": (lambda s: read(str(uuid4())), Answer("room.not_found", 404)),
    "read a private room": (lambda s: read(s.private), Answer("room.not_found", 404)),
    "read a public room": (lambda s: read(s.public), Answer("room.not_a_member", 403)),
}  # fmt: skip
AWAY: dict[str, tuple[Exception, Answer]] = {
    "the record": (RecordUnavailableError("no"), Answer("server.unavailable", 503)),
    "the lanes": (LanesUnavailableError("no"), Answer("server.unavailable", 503)),
    "a key": (KeysMissingError("no"), Answer("server.keys_missing", 503)),
    "room for writes": (NothingWrittenError("no"), Answer("server.busy", 503)),
    "the right time": (ClockLeaptError("no"), Answer("server.clock_leapt", 503)),
    "sense": (ValueError("no"), Answer("server.error", 500)),
}


async def by_http(person: Person, asked: Asked) -> Answer:
    answer = await person.http.request(asked.method, asked.path, **asked.options)
    assert answer.status_code >= 400, f"{asked} was done: {answer.text}"
    return Answer(answer.json()["code"], answer.status_code)


async def by_socket(socket: Line, asked: Asked) -> Answer:
    reply = await socket.ask(asked.frame, **asked.fields)
    assert not reply["ok"], f"{asked} was done: {reply}"
    return Answer(reply["error"]["code"], reply["error"]["status"])


async def scene_of(hansard: Gateway) -> Scene:
    ada, ben = await hansard.person(), await hansard.person()
    room, private, public = await ada.room(ben), await ada.room(is_private=True), await ada.room()
    archived = await ada.room(ben)
    mine, of_ada = await ben.say(room, "hello"), await ada.say(room, "hello")
    gone, old = await ben.say(room, "gone"), await ben.say(archived, "old")
    await ben.ask("DELETE", f"/messages/{gone['id']}", 200)
    await ada.ask("DELETE", f"/rooms/{archived}", 204)
    listed = await ben.ask("GET", f"/rooms/{room}/messages", 200)
    system = next(each["id"] for each in listed["items"] if each["message_type"] == "system")
    following = str(system_message_id((await hansard.services.record.head()).position + 5))
    return Scene(
        ben, room, private, archived, public, mine["id"], of_ada["id"], gone["id"], old["id"], system, following
    )


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def test_what_is_refused_is_refused_alike_by_http_and_by_a_socket(hansard: Gateway) -> None:
    scene = await scene_of(hansard)
    async with line(hansard, scene.ben) as socket:
        for case, (made, expected) in CASES.items():
            asked = made(scene)
            answers = await by_http(scene.ben, asked), await by_socket(socket, asked)
            assert answers == (expected, expected), case


@pytest.mark.parametrize("ask", [edit, delete])
async def test_a_system_message_that_read_tables_have_not_yet_is_refused_as_one(
    database_url: str, redis_url: str, ask: Callable[[str], Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables come to know of it after it was looked for there, and before the record says that it has no such message."""
    async with gateway(database_url, redis_url) as hansard:
        ada, ben = await hansard.person(), await hansard.person()
        room, decide = await ada.room(ben), hansard.services.command_bus.do

        async def caught_up_first(*command: Any) -> Any:
            async with projector(database_url, redis_url):
                await hansard.settled()
            return await decide(*command)

        async def new_system_message(role: str) -> str:
            body = {"role": role}
            answer = await ada.http.put(f"/rooms/{room}/members/{ben.id}", json=body)
            return str(system_message_id(int(answer.headers["Hansard-Position"])))

        async def answered(asking: Callable[[Asked], Awaitable[Answer]], role: str) -> Answer:
            message_id = await new_system_message(role)
            with monkeypatch.context() as patch:
                patch.setattr(hansard.services.command_bus, "do", caught_up_first)
                return await asking(ask(message_id))

        expected = Answer("message.system", 409)
        assert await answered(lambda asked: by_http(ben, asked), "admin") == expected
        async with line(hansard, ben) as socket:
            assert await answered(lambda asked: by_socket(socket, asked), "member") == expected


async def test_what_cannot_be_done_at_the_moment_is_told_alike(
    hansard: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await hansard.person()
    room = await ada.room()
    message = await ada.say(room, "hello")
    asking = (send(room), edit(message["id"]), delete(message["id"]), read(room))
    # Logged in short: to draw a whole trace with its variables takes seconds.
    with logged(JSONRenderer(default=repr)):
        async with line(hansard, ada) as socket:
            for case, (error, expected) in AWAY.items():

                async def fail(*command: Any, error: Exception = error) -> Any:
                    raise error

                monkeypatch.setattr(hansard.services.command_bus, "do", fail)
                for asked in asking:
                    answers = await by_http(ada, asked), await by_socket(socket, asked)
                    assert answers == (expected, expected), f"without {case}: {asked}"
