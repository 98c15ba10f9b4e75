"""Every route without a token, however its path is spelt: nothing is done, nothing is told. The routes are the app's own.

Requests are written by hand, byte by byte: a client library would tidy them up.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import uuid4

import pytest
from litestar.routes import BaseRoute, HTTPRoute

from gateway.app import routes, surface
from tests.channels.push_service import FakeDevice
from tests.deployments import Gateway, Person, deployment

PUBLIC = frozenset(name for name, declared in surface().routes.items() if declared.is_public)

# CONTRACT, section 3: what needs no token. A new line here is a decision, not a habit.
CONTRACTS = {
    ("POST", "/api/v1/auth/register"), ("POST", "/api/v1/auth/login"), ("POST", "/api/v1/auth/refresh"),
    ("POST", "/api/v1/auth/verify-email"), ("POST", "/api/v1/auth/password/forgot"),
    ("POST", "/api/v1/auth/password/reset"), ("GET", "/api/v1/meta"), ("GET", "/.well-known/jwks.json"), ("GET", "/livez"),
    ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/schema"), ("GET", "/schema/openapi.json"), ("GET", "/asyncapi.json"), ("GET", "/"),
    ("GET", "/api/v1/audit/checkpoint"), ("GET", "/.well-known/hansard-keys"), ("GET", "/tlog/checkpoint"), ("GET", "/tlog/tile/{tile}"),
    ("GET", "/api/v1/erasures/{erasure_id}"), ("GET", "/api/v1/mail/unsubscribe"), ("POST", "/api/v1/mail/unsubscribe"), ("POST", "/api/v1/mail/subscribe"),
    ("GET", "/assets/{asset}"),
}  # fmt: skip
PARAMETER = re.compile(r"\{(\w+):(\w+)\}")


class Asked(NamedTuple):
    """A request line's parts, and headers beside `Host`."""

    method: str
    target: str
    headers: tuple[str, ...] = ()


def header(line: str) -> Callable[[Asked], Asked]:
    return lambda asked: asked._replace(headers=(line,))


def spelt(change: Callable[[str], str]) -> Callable[[Asked], Asked]:
    return lambda asked: asked._replace(target=change(asked.target))


def method(name: str) -> Callable[[Asked], Asked]:
    return lambda asked: asked._replace(method=name)


PUBLIC_ONE = "/api/v1/auth/login"
MUTATIONS: dict[str, Callable[[Asked], Asked]] = {
    "as it is": lambda asked: asked,
    "a slash behind": spelt(lambda path: path + "/"),
    "a slash before": spelt(lambda path: "/" + path),
    "slashes doubled": spelt(lambda path: path.replace("/", "//")),
    "%2f behind": spelt(lambda path: path + "%2f"),
    "%2f within": spelt(lambda path: path[:1] + path[1:].replace("/", "%2f", 1)),
    "a letter in hex": spelt(lambda path: path[:-1] + f"%{ord(path[-1]):02x}"),
    "twice in hex": spelt(lambda path: path[:-1] + f"%25{ord(path[-1]):02x}"),
    "large letters": spelt(str.upper),
    "a dot segment": spelt(lambda path: "/." + path),
    "up from nowhere": spelt(lambda path: "/.." + path),
    "up from a public path": spelt(lambda path: f"{PUBLIC_ONE}/../../../..{path}"),
    "%2e%2e from a public path": spelt(lambda path: f"{PUBLIC_ONE}/%2e%2e/%2e%2e/%2e%2e/%2e%2e{path}"),
    "a public path behind": spelt(lambda path: f"{path}/..{PUBLIC_ONE}"),
    "backslashes": spelt(lambda path: path.replace("/", "\\")),
    "; parameters": spelt(lambda path: f"{path};a=b"),
    "; a public path": spelt(lambda path: f"{path};{PUBLIC_ONE}"),
    "a query that is public": spelt(lambda path: f"{path}?{PUBLIC_ONE}"),
    "a token in the query": spelt(lambda path: f"{path}?access_token=x"),
    "a fragment": spelt(lambda path: f"{path}#{PUBLIC_ONE}"),
    "%00 behind": spelt(lambda path: path + "%00"),
    "%00 and a suffix": spelt(lambda path: path + "%00.json"),
    ".json": spelt(lambda path: path + ".json"),
    "%0d%0a": spelt(lambda path: path + "%0d%0aX: y"),
    "wide letters": spelt(lambda path: path[:1] + "%ef%bd%81" + path[2:]),
    "overlong UTF-8": spelt(lambda path: path.replace("/", "%c0%af")),
    "no UTF-8": spelt(lambda path: path + "%ff"),
    "the absolute form": spelt(lambda path: f"http://127.0.0.1{path}"),
    "another host": spelt(lambda path: f"http://evil.example{path}"),
    "X-Original-URL": header(f"X-Original-URL: {PUBLIC_ONE}"),
    "X-Rewrite-URL": header(f"X-Rewrite-URL: {PUBLIC_ONE}"),
    "X-Forwarded-Prefix": header(f"X-Forwarded-Prefix: {PUBLIC_ONE}"),
    "X-HTTP-Method-Override": header("X-HTTP-Method-Override: OPTIONS"),
    "from here": header("X-Forwarded-For: 127.0.0.1"),
    "no scheme": header("Authorization: x"),
    "another scheme": header("Authorization: Basic YWRhOmFkYQ=="),
    "an empty token": header("Authorization: Bearer "),
    "a cookie": header("Cookie: session=x; access_token=x"),
    "HEAD": method("HEAD"),
    "OPTIONS": method("OPTIONS"),
    "TRACE": method("TRACE"),
    "a method in small letters": lambda asked: asked._replace(method=asked.method.lower()),
    "no known method": method("PROPFIND"),
}


class Wire:
    """One HTTP/1.1 connection, and what comes back on it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, asked: Asked, body: bytes = b"{}") -> tuple[int, bytes, bytes]:
        """Return status, head and body of the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        lines = (
            f"{asked.method} {asked.target} HTTP/1.1", "Host: 127.0.0.1", *asked.headers,
            "Content-Type: application/json", f"Content-Length: {len(body)}", "", "",
        )  # fmt: skip
        writer.write("\r\n".join(lines).encode() + body)
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?im)^content-length: (\d+)", head)
            is_bodiless = asked.method == "HEAD"
            rest = b"" if is_bodiless else await (reader.readexactly(int(length[1])) if length else reader.read())
        if b"connection: close" in head.lower() or not length:
            self.close()
        return int(head.split()[1]), head, rest

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


@asynccontextmanager
async def wire(hansard: Gateway) -> AsyncIterator[Wire]:
    made = Wire(hansard.port)
    try:
        yield made
    finally:
        made.close()


def routes_of(hansard: Gateway) -> list[BaseRoute]:
    return list(routes(hansard.services.policy.version).routes)


async def asked_of(hansard: Gateway, ada: Person) -> list[Asked]:
    """Return a request of each route and method of the application, about things that are there."""
    room_id = await ada.room(name="CANARY", is_private=True)
    said = await ada.say(room_id, "CANARY")
    (session,) = (await ada.ask("GET", "/auth/sessions", 200))["items"]
    file_id = (await ada.upload(b"CANARY", name="CANARY"))["id"]
    device = FakeDevice("https://push.example.org/CANARY").as_json()
    subscription_id = (await ada.ask("POST", "/push/subscriptions", 201, json=device))["id"]
    there = {
        "room_id": room_id, "message_id": said["id"], "session_id": session["id"], "file_id": file_id, "user_id": ada.id,
        "position": "1", "name": "original", "path": "x", "rebuild_id": said["id"], "task_id": "x", "emoji": "%F0%9F%91%8D", "tile": "0/000",
        "subscription_id": subscription_id, "erasure_id": said["id"], "hold_id": said["id"], "approval_id": said["id"],
        "export_id": said["id"],
        "asset": "0/main.js",
    }  # fmt: skip
    return [
        Asked(name, PARAMETER.sub(lambda found: there[found[1]], route.path))
        for route in routes_of(hansard)
        if isinstance(route, HTTPRoute)
        for name in sorted(route.methods)
        if name != "OPTIONS"
    ]


def test_the_public_list_is_the_contracts() -> None:
    assert PUBLIC == CONTRACTS


async def test_without_a_token_no_spelling_of_any_route_opens_it(hansard: Gateway) -> None:
    ada = await hansard.person()
    head = (await hansard.services.record.head()).position
    # The front page has no letter to spell otherwise (`test_front_page.py`).
    asked = [each for each in await asked_of(hansard, ada) if each.target != "/"]
    assert len(asked) > 45 and len(MUTATIONS) >= 20
    before = (await hansard.services.record.head()).position
    assert before > head
    told = 0
    async with wire(hansard) as connection:
        for plain in asked:
            for name, mutate in MUTATIONS.items():
                mutated = mutate(plain)
                status, head_of, body = await connection.ask(mutated)
                where = f"{name}: {mutated.method} {mutated.target} {mutated.headers} -> {status} {body[:200]!r}"
                assert b"CANARY" not in head_of + body, where
                if is_public(mutated):
                    assert status not in (500, 502), where
                    continue
                assert status == 401 or is_unreadable(mutated, status, body), where
                told += status == 401
    assert told > 20 * len([each for each in asked if not is_public(each)])
    assert (await hansard.services.record.head()).position == before, "and nothing was done"
    await ada.ask("GET", "/users/me", 200)


def is_public(asked: Asked) -> bool:
    """Whether a request is for a route that everybody may ask; tiles, erasures and files of the page are those of them with a
    parameter."""
    path = re.sub(r"^(/tlog/tile/).+", r"\1{tile}", path_of(asked.target))
    path = re.sub(r"^(/api/v1/erasures/)[0-9a-fA-F-]{36}$", r"\1{erasure_id}", path)
    path = re.sub(r"^(/assets/).+", r"\1{asset}", path)
    return (asked.method.replace("HEAD", "GET"), path) in PUBLIC


def is_unreadable(asked: Asked, status: int, body: bytes) -> bool:
    """Whether the server itself could not read the request: there is no application yet."""
    return status == 400 and (asked.method == "HEAD" or b'"code":"request.malformed"' in body)


def path_of(target: str) -> str:
    """Return the path that a target names (RFC 9112 3.2), as it is written."""
    return re.sub(r"^http://[^/]*", "", target).partition("?")[0].partition("#")[0]


async def test_sockets_open_to_nobody_without_a_token(hansard: Gateway) -> None:
    paths = [route.path for route in routes_of(hansard) if not isinstance(route, HTTPRoute)]
    assert sorted(paths) == ["/api/v1/ws", "/api/v1/ws/{room_id:uuid}"], "a new one is walked here"
    upgrade = (
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )  # fmt: skip
    async with wire(hansard) as connection:
        for path in (
            "/api/v1/rooms",
            "/api/v1/WS",
            "/api/v1/ws/x",
            f"/api/v1/ws/{uuid4()}/x",
            "/api/v1/auth/login",
            "//api/v1/ws",
        ):
            status, _, body = await connection.ask(Asked("GET", path, upgrade), b"")
            assert status == 404 and b"route.not_found" in body, (path, status)
        for path in ("/api/v1/ws", f"/api/v1/ws/{uuid4()}"):
            for token in ("Authorization: Bearer x", "Authorization: Basic x", "Authorization: Bearer"):
                status, _, _ = await connection.ask(Asked("GET", path, (*upgrade, token)), b"")
                assert status == 401, (path, token)
