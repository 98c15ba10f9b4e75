"""Client: one person's HTTP calls, each repeated safely until it is answered, with a session that renews itself.

What the network or a busy server (429, 502, 503, 504) kept from being answered is asked again after growing pauses, for
at most `patience_seconds`. That is safe: reads and PUTs say what shall be, every POST carries an `Idempotency-Key`, a
message its own id. The one exception, a change made on condition of a version, is not repeated once it may have arrived.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, BinaryIO, Self, Unpack
from urllib.parse import quote
from uuid import UUID

import httpx

from hansard_client.asking import PAGE_ITEMS, Asked, Moment, Said, moment_of, path_of
from hansard_client.auditing import Auditing
from hansard_client.backoff import Backoff
from hansard_client.chat import REPLY_SECONDS, Chat, Id
from hansard_client.devices import Devices
from hansard_client.erasures import Erasures
from hansard_client.errors import NotLoggedIn, Refused, Unreachable, seconds_of
from hansard_client.everyday import Everyday
from hansard_client.exports import Exports
from hansard_client.models import (
    File,
    Member,
    Message,
    Meta,
    Profile,
    ProfileChanges,
    Role,
    Room,
    RoomChange,
    RoomChanges,
    Session,
    User,
    Version,
)
from hansard_client.operating import Operating
from hansard_client.records import Records
from hansard_client.wire import Dial, dialer

REQUEST_SECONDS = 10.0
PATIENCE_SECONDS = 20.0
RENEW_SECONDS = 30.0  # how long before its end an access token is renewed
# A file is sent and fetched as long as its bytes stop for no longer; whether it has been processed is asked so often.
FILE_SECONDS = 60.0
STATUS_SECONDS = 0.25

# No answer came. The first kind never reached the server; after the others a write may have arrived.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
NO_ANSWER = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)


@cache
def _trust() -> ssl.SSLContext:
    """The certificates that are trusted: read once, for that takes longer than a request."""
    return httpx.create_ssl_context()


class Client(Everyday, Devices, Erasures, Records, Exports, Auditing, Operating):
    """One person at one server. Every method raises `DomainError` where the server says no, `Unreachable` where nobody does.

    Reads take `after`: a position that the answer must be at or beyond; `client.position` is that of one's last write.
    """

    def __init__(
        self,
        url: str,
        *,
        session: Session | None = None,
        backoff: Backoff | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        chance: Random | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`session` goes on with a session that was kept. `chance` is all randomness that is used here."""
        self.url = url.rstrip("/")
        self.session = session
        self.position = 0
        self._backoff = backoff or Backoff()
        self._patience_seconds = patience_seconds
        self._chance = chance or SystemRandom()
        self._http = httpx.AsyncClient(
            base_url=self.url + "/api/v1",
            timeout=REQUEST_SECONDS,
            transport=transport,
            verify=_trust() if self.url.startswith("https:") else False,
        )
        self._renewal = ("", "")
        self._renewing = asyncio.Lock()
        self._renew_at = float("inf")  # of a session that was kept nothing is known until a token is refused

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    def chat(self, *, dial: Dial | None = None, patience: float = REPLY_SECONDS) -> Chat:
        """Return a chat as this person: `async with client.chat() as chat`.

        `dial` opens its connections; one that has not answered a subscription within `patience` seconds is given up.
        """
        session = self._require_session()
        return Chat(
            dial or dialer(self.url),
            self.token,
            user_id=session.user.id,
            backoff=self._backoff,
            chance=self._chance,
            patience=patience,
        )

    # Sessions

    async def register(self, email: str, username: str, password: str) -> Profile:
        """Make an account; it is not logged in by that."""
        body = {"email": email, "username": username, "password": password}
        return Profile.of(await self.call("POST", "/auth/register", body=body, is_public=True))

    async def login(self, email: str, password: str) -> Session:
        """Open a session, which this client keeps and renews by itself."""
        body = {"email": email, "password": password}
        return self._keep(await self.call("POST", "/auth/login", body=body, is_public=True))

    async def refresh(self) -> Session:
        """Renew the session now. Raises `DomainError` when it is over; then log in again."""
        await self.token(self._require_session().access_token)
        return self._require_session()

    async def logout(self) -> None:
        """End the session, everywhere; nothing happens where there is none."""
        if self.session is None:
            return
        try:
            await self.call("POST", "/auth/logout")
        except Refused as refused:
            if refused.status != 401:
                raise
        self.session = None

    async def token(self, stale: str | None = None) -> str:
        """Return an access token that is good for a while, and not `stale`, which the server refused or will soon.

        However many ask at once, the session is renewed once. Raises `NotLoggedIn`, `DomainError` when the session is over.
        """
        async with self._renewing:
            session = self._require_session()
            if session.access_token == stale or asyncio.get_running_loop().time() >= self._renew_at:
                session = await self._renew(session)
            return session.access_token

    async def _renew(self, session: Session) -> Session:
        # A refresh token is good for one use, and using it twice ends the session as stolen. Under the same key a lost
        # answer is given again: the key stays the same for this token however often the renewal is begun anew. It comes
        # from chance alone: whoever stole the token must not be able to compute it.
        if self._renewal[0] != session.refresh_token:
            self._renewal = session.refresh_token, self._new_id()
        key = self._renewal[1]
        body = {"refresh_token": session.refresh_token}
        try:
            return self._keep(await self.call("POST", "/auth/refresh", body=body, is_public=True, key=key))
        except Refused as refused:
            if refused.status == 401:
                self.session = None
            raise

    def _keep(self, said: Mapping[str, Any]) -> Session:
        session = self.session = Session.of(said)
        early = min(RENEW_SECONDS, session.expires_in / 4)
        self._renew_at = asyncio.get_running_loop().time() + session.expires_in - early
        return session

    def _require_session(self) -> Session:
        if self.session is None:
            raise NotLoggedIn("There is no session: log in first.")
        return self.session

    # People

    async def me(self, *, after: int | None = None) -> Profile:
        return Profile.of(await self.call("GET", "/users/me", after=after))

    async def change_me(self, *, version: int | None = None, **changes: Unpack[ProfileChanges]) -> Profile:
        return Profile.of(await self.call("PUT", "/users/me", body=changes, version=version))

    async def user(self, user_id: Id, *, after: int | None = None) -> User:
        return User.of(await self.call("GET", f"/users/{path_of(user_id)}", after=after))

    async def user_named(self, username: str, *, after: int | None = None) -> User | None:
        """Return who has this name, compared as names are; None: nobody."""
        page = await self.call("GET", "/users", query={"username": username}, after=after)
        return next((User.of(item) for item in page["items"]), None)

    async def users(self, user_ids: Sequence[Id], *, after: int | None = None) -> list[User]:
        """Return those of these people (at most 100) whom there are, in no promised order."""
        page = await self.call("GET", "/users", query={"ids": ",".join(map(path_of, user_ids))}, after=after)
        return [User.of(item) for item in page["items"]]

    # Rooms

    def rooms(
        self,
        *,
        q: str | None = None,
        joined: bool = False,
        archived: bool = False,
        as_of: Moment | None = None,
        limit: int = PAGE_ITEMS,
        after: int | None = None,
    ) -> AsyncIterator[Room]:
        """Iterate over the rooms that one may see, that of the last message first; `limit` is how many are fetched at once.
        `as_of` a position or time, here and below: as it was then, by today's rights."""
        query = {
            "q": q,
            "joined": joined or None,
            "archived": archived or None,
            "limit": limit,
            "as_of": moment_of(as_of),
        }
        return self.pages(Room, "/rooms", query, after)

    async def open_room(self, name: str, *, description: str | None = None, is_private: bool = False) -> Room:
        body = {"name": name, "description": description, "is_private": is_private}
        return Room.of(await self.call("POST", "/rooms", body=body))

    async def room(self, room_id: Id, *, as_of: Moment | None = None, after: int | None = None) -> Room:
        query = {"as_of": moment_of(as_of)}
        return Room.of(await self.call("GET", f"/rooms/{path_of(room_id)}", query=query, after=after))

    def room_history(
        self, room_id: Id, *, limit: int = PAGE_ITEMS, after: int | None = None
    ) -> AsyncIterator[RoomChange]:
        """Iterate over what was changed in a room, the latest first."""
        return self.pages(RoomChange, f"/rooms/{path_of(room_id)}/history", {"limit": limit}, after)

    async def change_room(self, room_id: Id, *, version: int | None = None, **changes: Unpack[RoomChanges]) -> Room:
        return Room.of(await self.call("PATCH", f"/rooms/{path_of(room_id)}", body=changes, version=version))

    async def archive_room(self, room_id: Id, *, version: int | None = None) -> None:
        await self.call("DELETE", f"/rooms/{path_of(room_id)}", version=version)

    async def join(self, room_id: Id) -> Role:
        """Enter a public room; answers one's role in it."""
        role: Role = (await self.call("POST", f"/rooms/{path_of(room_id)}/join"))["role"]
        return role

    async def leave(self, room_id: Id) -> None:
        await self.call("POST", f"/rooms/{path_of(room_id)}/leave")

    async def mark_read(self, room_id: Id, position: int) -> None:
        """Move one's read mark forward."""
        await self.call("PUT", f"/rooms/{path_of(room_id)}/read", body={"position": position})

    def members(
        self, room_id: Id, *, as_of: Moment | None = None, limit: int = PAGE_ITEMS, after: int | None = None
    ) -> AsyncIterator[Member]:
        """Iterate over the members in the order they joined."""
        query = {"limit": limit, "as_of": moment_of(as_of)}
        return self.pages(Member, f"/rooms/{path_of(room_id)}/members", query, after)

    async def put_member(self, room_id: Id, user_id: Id, role: Role = "member") -> None:
        """Add somebody, or change their role."""
        await self.call("PUT", f"/rooms/{path_of(room_id)}/members/{path_of(user_id)}", body={"role": role})

    async def remove_member(self, room_id: Id, user_id: Id, *, ban: bool = False, reason: str | None = None) -> None:
        path = f"/rooms/{path_of(room_id)}/members/{path_of(user_id)}"
        await self.call("DELETE", path, query={"ban": ban or None}, reason=reason)

    # Messages

    def messages(
        self,
        room_id: Id,
        *,
        older_than: int | None = None,
        newer_than: int | None = None,
        around: int | None = None,
        as_of: Moment | None = None,
        limit: int = PAGE_ITEMS,
        after: int | None = None,
    ) -> AsyncIterator[Message]:
        """Iterate over a room's messages, newest first; `newer_than` a position: oldest first; `around` one: one page."""
        query = {
            "before": older_than, "after": newer_than, "around": around, "limit": limit, "as_of": moment_of(as_of),
        }  # fmt: skip
        return self.pages(Message, f"/rooms/{path_of(room_id)}/messages", query, after)

    async def send(
        self,
        room_id: Id,
        content: str,
        *,
        message_id: Id | None = None,
        reply_to: Id | None = None,
        file_id: Id | None = None,
        message_type: str = "text",
        thread_id: Id | None = None,
        in_room: bool = False,
    ) -> Message:
        """Post a message; when this returns it is on the server's disk. The same `message_id` again posts nothing.

        With `thread_id` it is a reply in the thread of that message, which the room shows, too, if it is `in_room`.
        """
        body: dict[str, str | bool] = {
            "id": str(message_id or self._new_id()), "content": content, "message_type": message_type,
        }  # fmt: skip
        for name, value in (("reply_to", reply_to), ("file_id", file_id), ("thread_id", thread_id)):
            if value is not None:
                body[name] = str(value)
        body |= {"in_room": True} if in_room else {}
        return Message.of(await self.call("POST", f"/rooms/{path_of(room_id)}/messages", body=body))

    async def message(self, message_id: Id, *, after: int | None = None) -> Message:
        return Message.of(await self.call("GET", f"/messages/{path_of(message_id)}", after=after))

    async def edit(
        self, message_id: Id, content: str, *, version: int | None = None, reason: str | None = None
    ) -> Message:
        """Replace the text; with `version` only if the message is still that one (else `DomainError`, 412)."""
        path = f"/messages/{path_of(message_id)}"
        return Message.of(await self.call("PATCH", path, body={"content": content}, version=version, reason=reason))

    async def delete(self, message_id: Id, *, version: int | None = None, reason: str | None = None) -> Message:
        """Leave a tombstone, and return it."""
        path = f"/messages/{path_of(message_id)}"
        return Message.of(await self.call("DELETE", path, version=version, reason=reason))

    async def history(self, message_id: Id, *, after: int | None = None) -> list[Version]:
        """Return every version of a message, the first first."""
        page = await self.call("GET", f"/messages/{path_of(message_id)}/history", after=after)
        return [Version.of(item) for item in page["items"]]

    # Files

    async def upload(self, content: bytes | Path, name: str | None = None, *, room_id: Id | None = None) -> str:
        """Upload a file, given or by its path, and return its id: send it with `file_id`, wait for it with `processed`.

        `room_id`: the room that hears of its end. Its type is told by what it holds; `name` is what people see.
        """
        name = name or (content.name if isinstance(content, Path) else "file")
        query = {"room_id": None if room_id is None else path_of(room_id)}
        file = (name, content)
        said = await self.call("POST", "/files/upload", query=query, file=file, seconds=FILE_SECONDS)
        return str(said["id"])

    async def file(self, file_id: Id, *, as_of: Moment | None = None, after: int | None = None) -> File:
        query = {"as_of": moment_of(as_of)}
        return File.of(await self.call("GET", f"/files/{path_of(file_id)}", query=query, after=after))

    async def processed(self, file_id: Id) -> File:
        """Wait until a file is `completed` or `failed`, and return it. For how long is up to `asyncio.timeout`."""
        while not (file := await self.file(file_id, after=self.position)).has_ended:
            await asyncio.sleep(STATUS_SECONDS)
        return file

    async def download(self, file_id: Id, variant: str | None = None, *, after: int | None = None) -> bytes:
        """Return the bytes of a file, or of one of its variants, once it is `completed`."""
        path = f"/files/{path_of(file_id)}/" + ("content" if variant is None else f"variants/{quote(variant, safe='')}")
        return (await self._ask("GET", path, after=after, seconds=FILE_SECONDS)).content

    async def meta(self) -> Meta:
        return Meta.of(await self.call("GET", "/meta", is_public=True))

    # What the record proves; `hansard-verify` judges it offline

    async def proof(self, message_id: Id, *, after: int | None = None) -> str:
        """Return the receipt of a message (C2SP tlog-proof); keep it in a `.tlog-proof` file."""
        return (await self._ask("GET", f"/messages/{path_of(message_id)}/proof", after=after)).text

    async def checkpoint(self, *, witnessed: bool = False) -> str:
        """Return the newest signed checkpoint of the record; `witnessed`: the newest that enough witnesses have."""
        query = {"witnessed": witnessed or None}
        return (await self._ask("GET", "/audit/checkpoint", query=query, is_public=True)).text

    # Calls

    async def call(self, method: str, path: str, **asked: Unpack[Asked]) -> Any:
        """Call any route below `/api/v1` and return its body. What the methods above have no name for is called so."""
        answer = await self._ask(method, path, **asked)
        return answer.json() if answer.content else None

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        file: tuple[str, bytes | Path] | None = None,
        query: Mapping[str, str | int | bool | None] | None = None,
        after: int | None = None,
        version: int | None = None,
        reason: str | None = None,
        key: str | None = None,
        is_public: bool = False,
        span: tuple[int, int] | None = None,
        seconds: float = REQUEST_SECONDS,
    ) -> httpx.Response:
        key = key or self._new_id() if method == "POST" else None
        headers = _headers(key=key, after=after, version=version, reason=reason, span=span)
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        now, pauses = asyncio.get_running_loop().time, self._backoff.pauses(self._chance)
        until = now() + self._patience_seconds
        stale: str | None = None
        while True:
            if not is_public:
                token = await self.token(stale)
                headers["Authorization"] = f"Bearer {token}"
            try:
                with ExitStack() as opened:
                    files = None if file is None else {"file": _part(*file, opened)}
                    answer = await self._http.request(
                        method, path, headers=headers, params=asked, json=body, files=files,
                        timeout=seconds,
                        follow_redirects=method == "GET",  # a file may be at a store; the token stays with the server
                    )  # fmt: skip
            except NO_ANSWER as error:
                pause = next(pauses)
                is_safe = version is None or isinstance(error, NOT_SENT)
                if not is_safe or now() + pause > until:
                    raise Unreachable(f"{self.url} does not answer: {str(error) or type(error).__name__}") from error
            else:
                if (written := answer.headers.get("Hansard-Position", "")).isdecimal():
                    self.position = max(self.position, int(written))
                if answer.is_success:
                    return answer
                refused = _refused(answer)
                if refused.code == "auth.token_invalid" and not is_public and stale is None:
                    stale = token
                    continue
                pause = max(next(pauses), refused.retry_after or 0.0)
                is_safe = version is None or not written
                if not refused.is_retryable or not is_safe or now() + pause > until:
                    raise refused
            await asyncio.sleep(pause)

    async def pages(
        self, kind: type[Said], path: str, query: Mapping[str, str | int | bool | None], after: int | None
    ) -> AsyncIterator[Said]:
        while True:
            page = await self.call("GET", path, query=query, after=after)
            for item in page["items"]:
                yield kind.of(item)
            if page["next_cursor"] is None:
                return
            query = {**query, "before": None, "after": None, "around": None, "cursor": page["next_cursor"]}

    def _new_id(self) -> str:
        return str(UUID(int=self._chance.getrandbits(128), version=4))


def _headers(
    *, key: str | None, after: int | None, version: int | None, reason: str | None, span: tuple[int, int] | None
) -> httpx.Headers:
    headers = httpx.Headers()
    if key is not None:
        headers["Idempotency-Key"] = key
    if after is not None:
        headers["Hansard-After"] = str(after)
    if version is not None:
        headers["If-Match"] = f'"{version}"'
    if reason is not None:
        headers["Hansard-Reason"] = reason  # in UTF-8
    if span is not None:
        headers["Range"] = f"bytes={span[0]}-{span[1]}"
    return headers


def _part(name: str, content: bytes | Path, opened: ExitStack) -> tuple[str, bytes | BinaryIO]:
    """Return a file as a part of a form, to be read anew each time it is sent."""
    return name, opened.enter_context(content.open("rb")) if isinstance(content, Path) else content


def _refused(answer: httpx.Response) -> Refused:
    try:
        said = answer.json()
    except ValueError:
        said = None
    after = seconds_of(answer.headers.get("Retry-After"))
    return Refused.of(said if isinstance(said, dict) else {}, answer.status_code, after)
