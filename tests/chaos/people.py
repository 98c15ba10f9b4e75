"""People: who talks and who listens, over connections that break.

A sender has one message under way at a time, and repeats what was not answered under the same id, perhaps through the
other gateway. An observer holds a position for each room, is cut off now and then, sometimes reads slowly, and resumes
from what it holds or from far back. It reads frames raw: `websockets` is all that stands between it and the server.
"""

import asyncio
import random
import socket as sockets
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.chaos.deployment import GATEWAYS, Deployment
from tests.chaos.log import Log

ANSWER_SECONDS = 8.0
AGAIN_SECONDS = 0.1
RESUBSCRIBE_SECONDS = 0.3
PACE_SECONDS = 0.06
LIFE_SECONDS = (0.5, 12.0)
SLOW_SECONDS = (0.5, 3.0)
SLOW_RECEIVE_BYTES = 4_096
LONG_TEXT_CHARS = 6_000
LONG_SHARE = 0.05
SAID_KEPT = 1_000
THREAD_SHARE = 0.3
MENTIONS = ("", "", "", "", " @p1", " @p2 @p9", " @room", " @here", " `@p1`")
ASIDE: tuple[tuple[str, str, Mapping[str, int]], ...] = (
    ("PUT", "reactions/%F0%9F%91%8D", {}), ("PUT", "reactions/%E2%9D%A4", {}), ("DELETE", "reactions/%F0%9F%91%8D", {}),
    ("PUT", "thread/follow", {}), ("DELETE", "thread/follow", {}), ("PUT", "thread/read", {"position": 2**40}),
    ("PUT", "pin", {}), ("DELETE", "pin", {}),
)  # fmt: skip
COME_BACK = (401, 503)  # a token that expired, a deployment that is not well
REMOVED = 4502
NOT_YOURS = 4505
Broken = (OSError, WebSocketException, TimeoutError, httpx.HTTPError)
decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


@dataclass
class Account:
    """Somebody registered; the token is that of the latest login."""

    user_id: str
    email: str
    token: str


@asynccontextmanager
async def line(
    deployment: Deployment, gateway: str, account: Account, path: str, *, is_slow: bool = False
) -> AsyncIterator[ClientConnection]:
    """A socket; a slow one has a small receive buffer, so that the server feels that it does not read."""
    parts = urlsplit(deployment.base(gateway))
    raw = sockets.socket()
    try:
        raw.setblocking(False)
        if is_slow:
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, SLOW_RECEIVE_BYTES)
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.get_running_loop().sock_connect(raw, (parts.hostname, parts.port))
        headers = {"Authorization": f"Bearer {account.token}"}
        async with connect(
            f"ws://{parts.netloc}{path}",
            sock=raw,
            additional_headers=headers,
            open_timeout=ANSWER_SECONDS,
            close_timeout=1,
            ping_interval=None,
            max_queue=4 if is_slow else 64,
            compression=None,
        ) as opened:
            yield opened
    finally:
        raw.close()


class Draft(NamedTuple):
    """What somebody sends, the same however often; `place` is a thread, if it is a reply in one."""

    room: str
    message_id: str
    content: str
    place: Mapping[str, str | bool] = {}


class Sender:
    """Somebody who talks, by REST or over a socket."""

    def __init__(
        self, deployment: Deployment, log: Log, account: Account, rooms: list[str], chance: random.Random
    ) -> None:
        self.stopping = False
        self.is_done = False
        self._deployment = deployment
        self._log = log
        self._account = account
        self._rooms = rooms
        self._chance = chance
        self._said: deque[Draft] = deque(maxlen=SAID_KEPT)  # what was acknowledged
        self._count = 0

    async def run(self, *, by_rest: bool) -> None:
        """Talk until told to stop; a message under way is then still repeated until its outcome is known."""
        pending: list[Draft] = []
        while not self.stopping or pending:
            with suppress(*Broken):
                gateway = self._chance.choice(GATEWAYS)
                if by_rest:
                    await self._talk_by_rest(gateway, pending)
                else:
                    await self._talk_by_socket(gateway, pending)
            await asyncio.sleep(AGAIN_SECONDS)
        self.is_done = True

    def _next(self, pending: list[Draft]) -> Draft:
        """Return what to send: what is not answered yet, now and then what was acknowledged before, or something new."""
        if not pending:
            if self._said and self._chance.random() < 0.02:
                pending.append(self._chance.choice(self._said))
            else:
                self._count += 1
                said = f"{self._account.user_id[-6:]} {self._count}{self._chance.choice(MENTIONS)} "
                message_id = str(UUID(int=self._chance.getrandbits(128), version=4))
                room, place = self._place()
                pending.append(Draft(room, message_id, some_text(said, self._chance), place))
        return pending[0]

    def _place(self) -> tuple[str, dict[str, str | bool]]:
        """Return where to say something: in a room, or in the thread of what somebody said."""
        roots = [each for each in self._log.roots if each[0] in self._rooms]
        if not roots or self._chance.random() > THREAD_SHARE:
            return self._chance.choice(self._rooms), {}
        room, root = self._chance.choice(roots)
        return room, {"thread_id": root, "in_room": self._chance.random() < THREAD_SHARE}

    def _settle(self, pending: list[Draft], sent: int, status: int, code: str, position: int) -> None:
        """Note how a try ended; what may have been written stays pending, unless this sender gives up on it."""
        if status < 300:
            self._log.acknowledged(sent, position)
            said = pending.pop()
            self._said.append(said)
            if not said.place:
                self._log.roots.append((said.room, said.message_id))
        elif status in (401, 429, 500, 502, 503):
            self._unsettle(pending, sent, code)
        else:
            self._log.refused(sent, code)
            pending.clear()
        if status == 500:
            self._log.complaints[f"500 {code}"] += 1

    def _unsettle(self, pending: list[Draft], sent: int, code: str) -> None:
        self._log.unknown(sent, code)
        if self._chance.random() < 0.05:
            pending.clear()

    async def _talk_by_rest(self, gateway: str, pending: list[Draft]) -> None:
        headers = {"Authorization": f"Bearer {self._account.token}"}
        base = f"{self._deployment.base(gateway)}/api/v1"
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=ANSWER_SECONDS) as http:
            while not self.stopping or pending:
                room, message_id, content, place = self._next(pending)
                sent = self._log.sent(self._account.user_id, room, message_id, content)
                body = {"id": message_id, "content": content, **place}
                try:
                    answer = await http.post(f"/rooms/{room}/messages", json=body)
                except httpx.HTTPError as error:
                    self._unsettle(pending, sent, type(error).__name__)
                    raise
                body = decode(answer.content)
                self._settle(pending, sent, answer.status_code, body.get("code", ""), body.get("position", 0))
                if answer.status_code in COME_BACK:
                    return
                await self._change_something(http)
                await asyncio.sleep(self._chance.expovariate(1 / PACE_SECONDS))

    async def _change_something(self, http: httpx.AsyncClient) -> None:
        """Now and then edit or delete what was said, or react to it, follow and read its thread; the record says what came of
        it."""
        what = self._chance.random()
        if not self._said or what > 0.2:
            return
        if what > 0.06 and self._log.roots:
            _, root = self._chance.choice(self._log.roots)
            method, path, body = self._chance.choice(ASIDE)
            await http.request(method, f"/messages/{root}/{path}", json=body)
            return
        _, message_id, content, _ = self._chance.choice(self._said)
        if what < 0.02:
            await http.delete(f"/messages/{message_id}")
        else:
            await http.patch(f"/messages/{message_id}", json={"content": f"{content[:20]} edited {self._count}"})

    async def _talk_by_socket(self, gateway: str, pending: list[Draft]) -> None:
        async with line(self._deployment, gateway, self._account, "/api/v1/ws") as opened:
            while not self.stopping or pending:
                room, message_id, content, place = self._next(pending)
                sent = self._log.sent(self._account.user_id, room, message_id, content)
                frame = {
                    "id": sent,
                    "type": "send",
                    "room_id": room,
                    "message_id": message_id,
                    "content": content,
                    **place,
                }
                try:
                    await opened.send(encode(frame).decode())
                    async with asyncio.timeout(ANSWER_SECONDS):
                        reply = await _reply(opened, sent)
                except Broken as error:
                    self._unsettle(pending, sent, type(error).__name__)
                    raise
                refusal = reply.get("error", {"status": 200, "code": ""})
                self._settle(pending, sent, refusal["status"], refusal["code"], reply.get("position", 0))
                if refusal["status"] in COME_BACK or self._chance.random() < 0.01:
                    return
                await asyncio.sleep(self._chance.expovariate(1 / PACE_SECONDS))


async def _reply(opened: ClientConnection, number: int) -> dict[str, Any]:
    while True:
        frame = decode(await opened.recv())
        if frame["type"] == "reply" and frame["id"] == number:
            return dict(frame)


class Observer:
    """Somebody who listens. `held` is up to where it has everything of a room."""

    def __init__(
        self, deployment: Deployment, log: Log, account: Account, rooms: list[str], chance: random.Random
    ) -> None:
        self.calm = False
        self.stopping = False
        self.user_id = account.user_id
        self.held: dict[str, int] = {}
        self.rooms = rooms
        self._deployment = deployment
        self._log = log
        self._account = account
        self._chance = chance
        self._connections = 0
        self._numbers: dict[str, int] = {}  # the subscription of each room on this connection, also one that ended
        self._open: set[str] = set()  # rooms that are subscribed now
        self._asked: dict[int, tuple[str, int | None]] = {}
        self._requests = 0
        self._reading = asyncio.Event()

    async def run(self) -> None:
        """Listen until told to stop, over as many connections as it takes."""
        while not self.stopping:
            self._connections += 1
            self._numbers.clear()
            self._open.clear()
            self._asked.clear()
            self._reading.set()
            with suppress(*Broken):
                await self._listen()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self) -> None:
        gateway, path, own = self._chance.choice(GATEWAYS), "/api/v1/ws", None
        if self.held and not self.calm and self._chance.random() < 0.3:
            own = self._chance.choice(sorted(self.held))
            after = self._after(own)
            path += f"/{own}" + ("" if after is None else f"?after={after}")
        is_slow = self._chance.random() < 0.2
        self._log.figures["connections"] += 1
        async with line(self._deployment, gateway, self._account, path, is_slow=is_slow) as opened:
            hello = decode(await self._first(opened))
            assert hello["type"] == "hello", hello
            if own is not None:
                self._begin(own, after)
            acting = asyncio.create_task(self._act(opened, is_one_room=own is not None, is_slow=is_slow))
            try:
                while True:
                    await self._reading.wait()
                    self._hear(await opened.recv(decode=False))
            except ConnectionClosed as closed:
                if closed.rcvd is not None:
                    self._log.figures[f"closed {closed.rcvd.code}"] += 1
                    if closed.rcvd.code in (REMOVED, NOT_YOURS) and own is not None:
                        self._log.ended(self._numbers[own], "removed")
            finally:
                acting.cancel()
                (outcome,) = await asyncio.gather(acting, return_exceptions=True)
                if isinstance(outcome, Exception) and not isinstance(outcome, Broken):
                    raise outcome

    async def _first(self, opened: ClientConnection) -> bytes:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await opened.recv(decode=False)

    def _after(self, room: str) -> int | None:
        """Return where to resume: what is held, or something from far back."""
        held = self.held.get(room)
        if held is None or self.calm or self._chance.random() < 0.85:
            return held
        self._log.figures["resumes from far back"] += 1
        return 0 if self._chance.random() < 0.2 else self._chance.randint(max(0, held - 2_000), held)

    async def _act(self, opened: ClientConnection, *, is_one_room: bool, is_slow: bool) -> None:
        """Subscribe, and again when a room was ended; pause now and then; in the end cut the line."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._chance.uniform(*LIFE_SECONDS)
        while not self.stopping and (self.calm or loop.time() < end):
            if not is_one_room:
                waiting = {room for room, _ in self._asked.values()}
                for room in [room for room in self.rooms if room not in self._open and room not in waiting]:
                    await self._subscribe(opened, room)
                if not self.calm and self._open and self._chance.random() < 0.03:
                    await self._subscribe(opened, self._chance.choice(sorted(self._open)))
            elif self.calm:
                break
            if is_slow and not self.calm and self._chance.random() < 0.3:
                self._log.figures["pauses of slow readers"] += 1
                self._reading.clear()
                await asyncio.sleep(self._chance.uniform(*SLOW_SECONDS))
                self._reading.set()
            await asyncio.sleep(RESUBSCRIBE_SECONDS)
        if self._chance.random() < 0.3:
            await opened.close()
        else:
            opened.transport.abort()

    async def _subscribe(self, opened: ClientConnection, room: str) -> None:
        self._requests += 1
        after = self._after(room)
        self._asked[self._requests] = (room, after)
        frame = {"id": self._requests, "type": "subscribe", "room_id": room}
        await opened.send(encode(frame if after is None else frame | {"after": after}).decode())

    def _begin(self, room: str, after: int | None) -> None:
        self._numbers[room] = self._log.subscribed(self.user_id, self._connections, room, after)
        self._open.add(room)

    # Frames

    def _hear(self, text: bytes) -> None:
        frame = decode(text)
        match frame["type"]:
            case "event" if frame["room_id"] is not None:
                self._take(frame)
            case "live":
                self._log.live(self._numbers[frame["room_id"]], frame["position"])
                self._hold(frame["room_id"], frame["position"])
            case "reply":
                self._take_reply(frame)
            case "unsubscribed" | "reset":
                self._log.ended(self._numbers[frame["room_id"]], frame.get("reason", ""))
                self._open.discard(frame["room_id"])
            case "reconnect":
                self._log.figures["reconnect asked"] += 1

    def _take(self, frame: dict[str, Any]) -> None:
        room, event = frame["room_id"], frame["event"]
        if room not in self._numbers:
            self._log.complaints["an event of a room that was not subscribed"] += 1
            return
        subject, content, deleted = shown(event, frame["data"])
        position, prev = frame["position"], frame["prev"]
        self._log.told(self._numbers[room], position, prev, event, subject, content, deleted=deleted)
        self._hold(room, position)

    def _hold(self, room: str, position: int) -> None:
        self.held[room] = max(self.held.get(room, 0), position)

    def _take_reply(self, frame: dict[str, Any]) -> None:
        room, after = self._asked.pop(frame["id"])
        if frame["ok"]:
            self._begin(room, after)
            return
        code = frame["error"]["code"]
        self._open.discard(room)
        if code not in ("room.not_found", "room.not_a_member", "server.unavailable", "server.busy"):
            self._log.complaints[f"subscribe {code}"] += 1


def some_text(beginning: str, chance: random.Random) -> str:
    """Return what somebody says: mostly a few words, now and then a page."""
    return beginning + "x" * (chance.randint(100, LONG_TEXT_CHARS) if chance.random() < LONG_SHARE else 0)


def shown(event: str, data: Mapping[str, Any]) -> tuple[str, str, bool]:
    """Return what an event is about, the text that it tells, and whether that is a tombstone's."""
    subject = data["user_id"] if event.startswith("member.") else data.get("id") or data["message_id"]
    if event not in ("message.posted", "message.edited"):
        return subject, "", False
    return subject, data["content"], data["deleted"]
