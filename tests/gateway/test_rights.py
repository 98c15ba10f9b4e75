"""The whole authorization matrix: every route and every frame, by everybody, held to the tables of `domain/rights.py`.

Over HTTP and sockets, against a real gateway, one house for all cases. Two things are asked of every answer and frame: that
it is the one which the table says, and that it holds no canary of a room that is not the listener's to see.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from litestar import Litestar, Router, WebSocket, get, post, websocket
from websockets.exceptions import InvalidStatus

from domain import addresses, authorization, rights
from domain.addresses import FILE_VARIANT, of_variant
from domain.authorization import in_room, is_outside
from domain.rights import MemberTarget, Relationship, RoomKind, RoomOperation, Verdict
from gateway.app import rights_page, surface
from gateway.edge.route_matching import SOCKET, Routes, table_of
from gateway.http.declarations import declare
from gateway.http.problems import TITLES
from gateway.protocol.client_frames import ClientFrame, Ping, declared_operations
from gateway.spec.rights_page import refusal_of
from tests.conftest import Servers, fresh_database
from tests.deployments import PASSWORD, deployment, notary
from tests.gateway.scenes import BYTES, KINDS, Cast, Guest, Scene, canary
from tests.lines import line

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHY = {"Hansard-Reason": "case 7"}
NO_ROOM = 4505
DECLARED, FRAMES = surface()
ROUTES = {name: declared for name, declared in DECLARED.items() if name[0] != SOCKET}
SOCKETS = [path for method, path in DECLARED if method == SOCKET]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast(servers: Servers) -> AsyncIterator[Cast]:
    async with fresh_database(servers) as url, deployment(url, servers.redis_url) as hansard, AsyncExitStack() as stack:
        made = Cast(hansard)
        await made.arrive()
        await made.settled()
        await hansard.services.sessions.reload()
        await made.connect(stack)
        async with notary(url):
            yield made


# Everything is declared


async def test_every_route_and_every_frame_is_declared_and_every_route_of_the_document_is_one(cast: Cast) -> None:
    document = (await cast.person.http.get(f"{cast.services.base}/schema/openapi.json")).json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    described -= {("HEAD", path) for method, path in described if method == "GET"}  # it is what its GET is
    assert described <= ROUTES.keys() and len(described) > 40
    assert FRAMES.keys() == set(get_args(ClientFrame))


async def test_a_route_that_declares_nothing_fails_when_the_application_is_made() -> None:
    @get("/rooms/{room_id:uuid}/secrets", sync_to_thread=False)
    def tell() -> None: ...

    @get("/rooms", opt=declare("room.list"), sync_to_thread=False)
    def ask() -> None: ...

    made = Litestar([Router("/api/v1", route_handlers=[tell, ask])], openapi_config=None)
    with pytest.raises(LookupError, match=r"declare nothing: GET /api/v1/rooms/\{room_id\}/secrets$"):
        Routes(made)
    assert list(table_of(Litestar([ask], openapi_config=None))) == [("GET", "/rooms")]


async def test_an_address_that_clients_are_told_is_answered_or_the_gateway_does_not_start() -> None:
    @get("/files/{file_id:uuid}/variant/{name:str}", opt=declare("file.download"), sync_to_thread=False)
    def misspelt(file_id: UUID, name: str) -> None: ...

    assert all(told in DECLARED for told in addresses.IN_FRAMES)
    assert of_variant(UUID(int=7), "preview") == FILE_VARIANT.format(file_id=UUID(int=7), name="preview")
    app = Litestar([Router(addresses.API, route_handlers=[misspelt])], openapi_config=None)
    with pytest.raises(
        LookupError, match=r"answers at these addresses: GET /api/v1/files/\{file_id\}/variants/\{name\}$"
    ):
        Routes(app, addresses.IN_FRAMES)


async def test_a_socket_that_declares_nothing_fails_then_too() -> None:
    @websocket("/ws/everything")
    async def hear(socket: WebSocket[Any, Any, Any]) -> None: ...

    with pytest.raises(LookupError, match=r"declare nothing: WS /ws/everything$"):
        Routes(Litestar([hear], openapi_config=None))


async def test_a_route_that_takes_receipts_declares_that() -> None:
    @post("/rooms", opt=declare("room.open"), sync_to_thread=False)
    def open_room(receipt: Any) -> None: ...

    with pytest.raises(LookupError, match=r"do not declare it: POST /rooms$"):
        Routes(Litestar([open_room], openapi_config=None))


async def test_a_frame_that_declares_nothing_is_found() -> None:
    class Whisper(Ping, frozen=True, tag="whisper"):
        """A frame that somebody adds."""

    with pytest.raises(LookupError, match=r"declare nothing: Whisper$"):
        declared_operations(ClientFrame | Whisper)


async def test_every_operation_of_a_room_is_asked_by_this_matrix() -> None:
    assert READING.keys() | WRITING.keys() | OF_MEMBERS.keys() | {"room.list", "mention.room"} == set(
        get_args(RoomOperation)
    )


async def test_the_page_for_people_says_what_the_tables_say() -> None:
    page = Path(__file__).parents[2] / "docs" / "rights.md"
    assert page.read_text() == rights_page(), "write it anew: make rights"


# Asking


def in_thread(scene: Scene, by: Relationship) -> dict[str, Any]:
    return {"json": {"content": f"{scene.canary} replied", "thread_id": str(scene.theirs[by])}}


Ask = Callable[[Scene, Relationship], tuple[str, str, dict[str, Any]]]  # method and path, or "frame" and its type
READING: Mapping[RoomOperation, tuple[Ask, ...]] = {
    "room.history": (lambda s, by: ("GET", f"/rooms/{s.room_id}/history", {}),),
    "room.read": (lambda s, by: ("GET", f"/rooms/{s.room_id}", {}),),
    "member.list": (lambda s, by: ("GET", f"/rooms/{s.room_id}/members", {}),),
    "message.list": (
        lambda s, by: ("GET", f"/rooms/{s.room_id}/messages", {}),
        lambda s, by: ("GET", f"/rooms/{s.room_id}/messages?after=0&render=html", {}),
        lambda s, by: ("GET", f"/rooms/{s.room_id}/messages?around=1", {}),
    ),
    "message.read": (
        lambda s, by: ("GET", f"/messages/{s.theirs[by]}", {}),
        lambda s, by: ("GET", f"/messages/{s.theirs[by]}?render=html", {}),
    ),
    "message.versions": (lambda s, by: ("GET", f"/messages/{s.theirs[by]}/history", {}),),
    "pin.list": (lambda s, by: ("GET", f"/rooms/{s.room_id}/pins", {}),),
    "message.pin": (
        lambda s, by: ("PUT", f"/messages/{s.theirs[by]}/pin", {}),
        lambda s, by: ("frame", "pin", {"message_id": str(s.theirs[by])}),
    ),
    "message.unpin": (
        lambda s, by: ("DELETE", f"/messages/{s.theirs[by]}/pin", {}),
        lambda s, by: ("frame", "unpin", {"message_id": str(s.theirs[by])}),
    ),
    "reaction.list": (lambda s, by: ("GET", f"/messages/{s.theirs[by]}/reactions", {}),),
    "reaction.add": (
        lambda s, by: ("PUT", f"/messages/{s.theirs[by]}/reactions/%F0%9F%91%8D", {}),
        lambda s, by: ("frame", "react", {"message_id": str(s.theirs[by]), "emoji": "🎉"}),
    ),
    "reaction.remove": (
        lambda s, by: ("DELETE", f"/messages/{s.theirs[by]}/reactions/%F0%9F%91%8D", {}),
        lambda s, by: ("frame", "unreact", {"message_id": str(s.theirs[by]), "emoji": "🎉"}),
    ),
    "thread.list": (
        lambda s, by: ("GET", f"/messages/{s.theirs[by]}/thread", {}),
        lambda s, by: ("GET", f"/messages/{s.theirs[by]}/thread?render=html", {}),
    ),
    "thread.follow": (lambda s, by: ("PUT", f"/messages/{s.theirs[by]}/thread/follow", {}),),
    "thread.unfollow": (lambda s, by: ("DELETE", f"/messages/{s.theirs[by]}/thread/follow", {}),),
    "thread.mark_read": (lambda s, by: ("PUT", f"/messages/{s.theirs[by]}/thread/read", {"json": {"position": 1}}),),
    "file.read": (lambda s, by: ("GET", f"/files/{s.file_id}", {}),),
    "file.status": (lambda s, by: ("GET", f"/files/{s.file_id}/status", {}),),
    "file.download": (
        lambda s, by: ("GET", f"/files/{s.file_id}/content", {}),
        lambda s, by: ("GET", f"/files/{s.file_id}/variants/preview", {}),
        lambda s, by: ("HEAD", f"/files/{s.file_id}/content", {}),
        lambda s, by: ("HEAD", f"/files/{s.file_id}/variants/preview", {}),
    ),
    "room.hear": (
        lambda s, by: ("frame", "subscribe", {"room_id": str(s.room_id)}),
        lambda s, by: ("frame", "subscribe", {"rooms": {str(s.room_id): 0}}),
    ),
    "room.mark_read": (
        lambda s, by: ("PUT", f"/rooms/{s.room_id}/read", {"json": {"position": 1}}),
        lambda s, by: ("frame", "read", {"room_id": str(s.room_id), "position": 2}),
    ),
    "message.post": (
        lambda s, by: ("POST", f"/rooms/{s.room_id}/messages", {"json": {"content": f"{s.canary} posted"}}),
        lambda s, by: ("frame", "send", {"room_id": str(s.room_id), "content": f"{s.canary} sent"}),
        lambda s, by: ("POST", f"/rooms/{s.room_id}/messages", in_thread(s, by)),
        lambda s, by: ("frame", "send", {"room_id": str(s.room_id), **in_thread(s, by)["json"], "in_room": True}),
    ),
    "file.upload_for": (
        lambda s, by: ("POST", f"/files/upload?room_id={s.room_id}", {"files": {"file": ("x.bin", b"\0 bytes")}}),
    ),
}
# What changes the room, or who is in it: in a room of its own for each operation.
WRITING: Mapping[RoomOperation, tuple[Ask, ...]] = {
    "room.join": (lambda s, by: ("POST", f"/rooms/{s.room_id}/join", {}),),
    "room.leave": (lambda s, by: ("POST", f"/rooms/{s.room_id}/leave", {}),),
    "room.change": (lambda s, by: ("PATCH", f"/rooms/{s.room_id}", {"json": {"description": f"{s.canary} changed"}}),),
    "room.archive": (lambda s, by: ("DELETE", f"/rooms/{s.room_id}", {}),),
    "message.edit": (
        lambda s, by: ("PATCH", f"/messages/{s.theirs[by]}", {"json": {"content": f"{s.canary} edited"}}),
        lambda s, by: ("frame", "edit", {"message_id": str(s.theirs[by]), "content": f"{s.canary} edited"}),
        lambda s, by: ("PATCH", f"/messages/{s.own[by]}", {"json": {"content": f"{s.canary} edited"}}),
        lambda s, by: ("frame", "edit", {"message_id": str(s.own[by]), "content": f"{s.canary} edited again"}),
    ),
    "message.delete": (
        lambda s, by: ("DELETE", f"/messages/{s.theirs[by]}", {}),
        lambda s, by: ("frame", "delete", {"message_id": str(s.theirs[by])}),
        lambda s, by: ("frame", "delete", {"message_id": str(s.own[by])}),
        lambda s, by: ("DELETE", f"/messages/{s.own[by]}", {}),
    ),
}
OF_MEMBERS: Mapping[RoomOperation, tuple[str, dict[str, Any]]] = {
    "member.put": ("PUT", {"json": {"role": "member"}}),
    "member.promote": ("PUT", {"json": {"role": "admin"}}),
    "member.remove": ("DELETE", {}),
}


async def answered(guest: Guest, method: str, path: str, options: dict[str, Any]) -> tuple[str, int, str] | None:
    """Ask; answers code, status and sentence of a refusal, None for a yes. A refusal says these and nothing else."""
    if method == "frame":
        reply = await guest.line.ask(path, **options)
        if reply["ok"]:
            return None
        assert reply["error"].keys() <= {"code", "detail", "status", "retryable", "rooms"}
        return reply["error"]["code"], reply["error"]["status"], reply["error"]["detail"]
    answer = await guest.ask(method, path, **options)
    if answer.status_code < 400:
        return None
    if method == "HEAD":
        return "", answer.status_code, ""
    body = answer.json()
    assert body["title"] == TITLES[answer.status_code] and body["status"] == answer.status_code
    assert body.keys() <= {"type", "title", "status", "detail", "code", "request_id", "errors"}
    return body["code"], answer.status_code, body["detail"]


def of(verdict: Verdict, method: str) -> tuple[str, int, str] | None:
    """Return what `answered` answers where the table says this."""
    if verdict is None:
        return None
    code, status, sentence = refusal_of(verdict)
    return ("", status, "") if method == "HEAD" else (code, status, sentence)


def expected(operation: RoomOperation, scene: Scene, by: Relationship, request: tuple[str, str, Any]) -> Verdict:
    verdict = in_room(operation, scene.kind, by)
    if verdict is None and operation in ("message.edit", "message.delete"):
        return authorization.of_message(operation, by, is_sender=str(scene.own[by]) in f"{request}")
    return verdict


async def wrong_answers(cast: Cast, scene: Scene, asked: Mapping[RoomOperation, tuple[Ask, ...]]) -> list[str]:
    """Ask everything of a room by everybody; answers what was told otherwise than the table says."""
    wrong = []
    for operation, asks in asked.items():
        for by, guest in cast.asking.items():
            for ask in asks:
                method, path, options = ask(scene, by)
                if by == "stranger" and str(scene.own[by]) in f"{path} {options}":
                    continue  # who never was in it has no message there
                said = await answered(guest, method, path, options)
                verdict = of(expected(operation, scene, by, (method, path, options)), method)
                if said != verdict:
                    wrong.append(f"{scene.kind}: {operation} by {by} ({method} {path}): {said}, not {verdict}")
                if said is not None and scene.kind.startswith("private") and is_outside(by):
                    nowhere = await answered(guest, *ask(Scene(scene.kind), by))
                    if said != nowhere:
                        wrong.append(f"{scene.kind}: {operation} by {by}: {said}, but where nothing is {nowhere}")
    return wrong


def leaks(cast: Cast) -> list[str]:
    """Return which canaries somebody met whom the table does not let see the room."""
    found = []
    for relationship, guest in cast.asking.items():
        said = "\n".join(guest.heard)
        for kind in KINDS:
            if in_room("room.read", kind, relationship) is not None and canary(kind) in said:
                found.append(f"{relationship} met {canary(kind)}: {said[said.index(canary(kind)) - 300 :][:400]}")
        told = [frame for frame in guest.frames if frame["type"] in ("event", "typing", "presence", "live")]
        for frame in told:
            if frame["room_id"] is None:
                continue
            kind = cast.kinds[frame["room_id"]]
            if in_room("room.hear", kind, relationship) is not None:
                found.append(f"{relationship} was told of a {kind} room: {frame}")
        hidden = (cast.insider.name, str(cast.insider.id), BYTES.decode())
        if relationship == "banned":
            found += [f"banned met {each}" for each in hidden if each in said]
        elif is_outside(relationship):
            found += [f"{relationship} met {each}" for each in hidden[:2] if each in said]
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_everybody_is_told_what_the_table_says(cast: Cast, kind: RoomKind) -> None:
    gallery, *rooms = await asyncio.gather(*(cast.set(kind) for _ in range(1 + len(WRITING))))
    await cast.settled()
    wrong = await wrong_answers(cast, gallery, READING)
    wrong += await listed_otherwise(cast, gallery)
    wrong += await typing_otherwise(cast, gallery)
    for room, (operation, asks) in zip(rooms, WRITING.items(), strict=True):
        wrong += await wrong_answers(cast, room, {operation: asks})
    assert wrong == []
    await overheard(cast)
    assert leaks(cast) == []


async def listed_otherwise(cast: Cast, scene: Scene) -> list[str]:
    """Look for the room in everybody's list, and search it."""
    wrong = []
    for by, guest in cast.asking.items():
        for query in ("archived=true&limit=200", f"archived=true&limit=200&q={scene.canary}"):
            items = (await guest.ask("GET", f"/rooms?{query}")).json()["items"]
            is_listed = str(scene.room_id) in [item["id"] for item in items]
            if is_listed != (in_room("room.list", scene.kind, by) is None):
                wrong.append(f"{scene.kind}: listed for {by}: {is_listed}")
    return wrong


async def typing_otherwise(cast: Cast, scene: Scene) -> list[str]:
    """Type in the room, which who may not hear it cannot even be subscribed to."""
    wrong = []
    for by, guest in cast.asking.items():
        reply = await guest.line.ask("typing", room_id=str(scene.room_id))
        may_hear = in_room("room.hear", scene.kind, by) is None
        if reply["ok"] != may_hear or (not may_hear and reply["error"]["code"] != "room.not_subscribed"):
            wrong.append(f"{scene.kind}: typing by {by}: {reply}")
    return wrong


async def overheard(cast: Cast) -> None:
    """Wait until everything that was said was told to those who hear it, and take in what came over every socket."""
    await cast.settled()
    room = await cast.set("private")
    await cast.settled()
    await cast.founder.line.ask("subscribe", room_id=str(room.room_id))
    last = f"{room.canary} last"
    await cast.founder.line.send("send", id=0, room_id=str(room.room_id), content=last)
    # The reply is not waited for: on a busy machine the event may come before it.
    while (await cast.founder.line.until("event", room_id=str(room.room_id)))["data"].get("content") != last:
        pass
    for guest in cast.asking.values():
        await guest.line.ask("ping")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_asked_of_members_depends_on_both(cast: Cast, kind: RoomKind) -> None:
    rooms = await asyncio.gather(*(cast.set(kind, with_targets=True) for _ in OF_MEMBERS))
    await cast.settled()
    wrong = []
    for scene, (operation, (method, options)) in zip(rooms, OF_MEMBERS.items(), strict=True):
        for target in sorted(get_args(MemberTarget), key="oneself".__eq__):  # an owner may end as a member
            for by, guest in cast.asking.items():
                of_whom = guest if target == "oneself" else cast.targets[by, target]
                path = f"/rooms/{scene.room_id}/members/{of_whom.id}"
                verdict = in_room(operation, kind, by)
                if verdict is None:
                    verdict = authorization.of_member(operation, by, target)  # type: ignore[arg-type]
                said = await answered(guest, method, path, options)
                if said != of(verdict, method):
                    wrong.append(f"{kind}: {operation} of {target} by {by}: {said}, not {verdict}")
    assert wrong == []
    assert leaks(cast) == []


async def test_a_file_is_shown_by_its_uploader_alone(cast: Cast) -> None:
    shown, other = await cast.set("public"), await cast.set("public")
    await cast.settled()
    body = {"content": "", "message_type": "image", "file_id": str(shown.file_id)}
    for by, guest in cast.asking.items():
        verdict = in_room("message.post", "public", by) or authorization.of_file("file.share", "reader")
        assert await answered(guest, "POST", f"/rooms/{other.room_id}/messages", {"json": body}) == of(verdict, "POST")
    assert authorization.of_file("file.share", "uploader") is None
    path = f"/rooms/{other.room_id}/messages"
    assert await answered(cast.founder, "POST", path, {"json": body}) is None
    for method, path in (("GET", ""), ("GET", "/status"), ("GET", "/content"), ("HEAD", "/variants/original")):
        assert await answered(cast.founder, method, f"/files/{shown.file_id}{path}", {}) is None


async def test_in_a_room_of_history_joined_nobody_reads_what_came_before(cast: Cast) -> None:
    for kind in KINDS:
        scene = await cast.set(kind, history="joined")
        await cast.settled()
        for by, guest in cast.asking.items():
            before = len(guest.heard)
            old = await answered(guest, "GET", f"/messages/{scene.theirs[by]}", {})
            assert old == ("message.not_found", 404, refusal_of(authorization.unknown("message.read"))[2]), (kind, by)
            old = await answered(guest, "GET", f"/files/{scene.file_id}/content", {})
            assert old is not None and old[0] == "file.not_found", (kind, by)
            page = await guest.ask("GET", f"/rooms/{scene.room_id}/messages?limit=200&render=html")
            if in_room("message.list", kind, by) is None:
                found = {item["id"] for item in page.json()["items"]}
                assert not found & {str(each) for each in scene.theirs.values()}, (kind, by)
                assert bool(found) is not is_outside(by), (kind, by)
            if in_room("room.hear", kind, by) is None:
                await guest.line.ask("subscribe", room_id=str(scene.room_id), after=0)
                await guest.line.until("live", room_id=str(scene.room_id))
                await guest.line.ask("unsubscribe", room_id=str(scene.room_id))
            else:
                assert f"{scene.canary} said" not in "\n".join(guest.heard[before:]), (kind, by)
            assert f"{scene.canary} caption" not in "\n".join(guest.heard[before:]), (kind, by)
    assert leaks(cast) == []


async def test_a_socket_of_one_room_is_closed_where_the_table_says_no(cast: Cast) -> None:
    for kind in KINDS:
        scene = await cast.set(kind)
        for by, guest in cast.asking.items():
            async with line(cast.services, guest, str(scene.room_id)) as socket:
                if in_room("room.hear", kind, by) is None:
                    await socket.until("live", room_id=str(scene.room_id))
                else:
                    assert await socket.closed() == NO_ROOM, (kind, by)


# As whom one comes


async def _erasure_of_somebody(cast: Cast) -> str:
    """Return the id of an erasure that was requested, and that the tables know of."""
    person = await cast.services.person()
    asked = await person.ask("DELETE", "/users/me", 202, json={"password": PASSWORD})
    await cast.settled()
    return str(asked["erasure_id"])


async def test_without_a_session_nothing_opens_but_what_is_public(cast: Cast) -> None:
    strangers: dict[rights.Whom, Any] = {
        "nobody": cast.services.client(), "ended": cast.ended.http, "deactivated": cast.shut.http,
    }  # fmt: skip
    values = {
        name: str(uuid4())
        for name in (
            "room_id", "user_id", "message_id", "file_id", "session_id", "rebuild_id", "subscription_id", "hold_id",
            "approval_id", "export_id",
        )
    }  # fmt: skip
    values["erasure_id"] = await _erasure_of_somebody(cast)
    for (method, path), declared in ROUTES.items():
        operation = declared.operations[0]
        path = path.format(
            **values,
            task_id=f"scan.{uuid4()}",
            name="preview",
            position=1,
            emoji="%F0%9F%91%8D",
            tile="0/000.p/1",
            asset="0/main.js",
        )
        url = cast.services.base + path
        for whom, http in strangers.items():
            page = {"Accept": "text/html"} if path == "/" else {}  # to whom else there is nothing
            answer = await http.request(method, url, headers=page)
            verdict = authorization.as_whom(operation, whom)
            if authorization.is_public(operation):
                # This deployment shows no page, so it has no file of one either.
                refused_with = (401, 403) if path.startswith("/assets/") else (401, 403, 404)
                assert answer.status_code not in refused_with, (method, path, whom)
            elif method == "HEAD":
                assert answer.status_code == 401
            else:
                assert verdict is not None
                assert (answer.status_code, answer.json()["code"]) == (401, refusal_of(verdict)[0]), (
                    method,
                    path,
                    whom,
                )
    for path in SOCKETS:
        with pytest.raises(InvalidStatus) as refused:
            async with line(cast.services, cast.shut, values["room_id"] if "room_id" in path else None):
                pass
        assert refused.value.response.status_code == 401


async def test_the_record_is_read_in_a_role_and_a_role_opens_no_room(cast: Cast) -> None:
    paths = ("/audit/events?limit=1", "/audit/events/1")
    for path in paths:
        verdict = of(authorization.as_whom("audit.read", "person"), "GET")
        assert verdict is not None
        for guest in (*cast.asking.values(), cast.founder):
            assert await answered(guest, "GET", path, {"headers": WHY}) == verdict
        assert await answered(cast.auditor, "GET", path, {"headers": WHY}) is None
    scene = await cast.set("private")
    await cast.settled()
    before = len(cast.auditor.heard)
    for operation, asks in {**READING, **WRITING}.items():
        for ask in asks:
            method, path, options = ask(scene, "stranger")
            verdict = of(in_room(operation, "private", "stranger"), method)
            assert await answered(cast.auditor, method, path, options) == verdict, (operation, method, path)
    assert canary("private") not in "\n".join(cast.auditor.heard[before:])


async def test_operators_pages_are_for_administrators(cast: Cast) -> None:
    lists, asks = "/admin/projections", "/admin/projections/nothing/rebuild"
    one, again = f"/admin/rebuilds/{uuid4()}", f"/admin/tasks/scan.{uuid4()}/retry"
    requests: tuple[tuple[rights.PersonalOperation, str, str, dict[str, Any]], ...] = (
        ("operations.read", "GET", lists, {}),
        ("operations.read", "GET", one, {}),
        ("operations.read", "GET", "/admin/stats", {}),
        ("operations.read", "GET", "/admin/tasks", {}),
        ("projection.rebuild", "POST", asks, {"json": {}}),
        ("task.retry", "POST", again, {}),
    )
    refused: tuple[tuple[rights.Whom, Guest], ...] = (
        ("person", cast.person), ("person", cast.founder), ("auditor", cast.auditor),
    )  # fmt: skip
    for operation, method, path, options in requests:
        for whom, guest in refused:
            verdict = of(authorization.as_whom(operation, whom), method)
            assert verdict is not None and await answered(guest, method, path, options) == verdict, (path, whom)
        assert authorization.as_whom(operation, "admin") is None
    assert await answered(cast.admin, "GET", lists, {}) is None
    assert (await cast.admin.ask("GET", one)).status_code == 404
    assert (await cast.admin.ask("POST", asks, json={})).json()["code"] == "projection.not_found"
    assert (await cast.admin.ask("POST", again)).json()["code"] == "task.not_found"
    assert await answered(cast.admin, "GET", "/admin/tasks", {}) is None


async def test_exports_are_for_people_with_a_role(cast: Cast) -> None:
    one, body = f"/audit/exports/{uuid4()}", {"json": {"formats": ["jsonl"]}, "headers": WHY}
    requests: tuple[tuple[rights.PersonalOperation, str, str, dict[str, Any]], ...] = (
        ("export.read", "GET", "/audit/exports", {"headers": WHY}),
        ("export.read", "GET", one, {"headers": WHY}),
        ("export.read", "GET", one + "/package", {"headers": WHY}),
        ("export.request", "POST", one + "/cancel", {"headers": WHY}),
        ("export.request", "POST", "/audit/exports", body),
    )
    for operation, method, path, options in requests:
        verdict = of(authorization.as_whom(operation, "person"), method)
        assert verdict is not None
        for guest in (cast.person, cast.founder):
            assert await answered(guest, method, path, options) == verdict, path
        there = (404, "export.not_found") if one in path else None
        answer = await cast.auditor.ask(method, path, **options)
        assert there is None or (answer.status_code, answer.json()["code"]) == there, path
        assert all(authorization.as_whom(operation, role) is None for role in ("auditor", "records_manager", "admin"))


async def test_a_session_is_ended_by_its_owner_alone(cast: Cast) -> None:
    verdict = of(authorization.of_session("session.end", is_own=False), "DELETE")
    path = f"/auth/sessions/{cast.insider.session_id}"
    assert await answered(cast.person, "DELETE", path, {}) == verdict
    assert (await cast.person.ask("GET", "/auth/sessions")).json()["items"][0]["id"] == str(cast.person.session_id)
    assert await answered(cast.insider, "DELETE", path, {}) is None
    ended = authorization.as_whom("profile.read", "ended")
    assert ended is not None
    assert await answered(cast.insider, "GET", "/users/me", {}) == ("auth.session_revoked", 401, refusal_of(ended)[2])
