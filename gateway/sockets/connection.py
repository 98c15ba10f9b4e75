"""Sockets: one client's life, from the handshake to the close.

What is wrong before the upgrade is answered in HTTP; everything later is a reply or a close code. Commands run side by
side, a bounded number of them. What the client hears is its subscriptions' (`gateway/sockets/subscriptions.py`).
"""

import asyncio
from collections.abc import Coroutine
from math import ceil
from typing import Any
from uuid import UUID, uuid4

import structlog
from litestar import WebSocket, websocket
from litestar.handlers import BaseRouteHandler
from msgspec import UNSET

from adapters.redis.lanes import LanesUnavailable
from commands.command_bus import Outcome
from domain.bounds import (
    AGENT_CHARS_MAX,
    AUTHENTICATE_SECONDS,
    EXPIRY_NOTICE_SECONDS,
    FRAME_BYTES_MAX,
    FRAME_UNIT_ROOMS,
    HEARTBEAT_SECONDS,
    OPERATIONS_IN_FLIGHT_MAX,
    REASON_CHARS_MAX,
)
from domain.errors import BadToken, Limited, Refused, SessionRevoked
from domain.events import Caller
from domain.ids import RoomId
from domain.ports import Access, Allowance, Head, RecordUnavailable
from domain.quotas import of_user
from domain.text import LINE_BREAKING
from gateway.edge import rate_limits
from gateway.http import problems
from gateway.http.declarations import declare
from gateway.operations import message, reading
from gateway.protocol import client_frames, server_frames
from gateway.protocol.client_frames import (
    Authenticate,
    BadFrame,
    Delete,
    Edit,
    Intent,
    Ping,
    Read,
    Send,
    Subscribe,
    Typing,
    Unsubscribe,
)
from gateway.realtime.feeds import Connection
from gateway.server.frame_meter import cost_of
from gateway.server.transport import EXTENSION, Outlet, prepared
from gateway.services import House
from gateway.sockets.handshake import credentials, place_of, query_of, refuse
from gateway.sockets.subscriptions import Subscriptions

log = structlog.get_logger()


class SocketGone(Exception):
    """The socket is closed, by whichever side."""


@websocket("/ws", opt=declare("socket.open"))
async def many_rooms(socket: WebSocket[Any, Any, Any], house: House) -> None:
    await Session(house, socket, None).live()


@websocket("/ws/{room_id:uuid}", opt=declare("room.hear"))
async def one_room(socket: WebSocket[Any, Any, Any], house: House, room_id: UUID) -> None:
    await Session(house, socket, RoomId(room_id)).live()


class Session:
    """One socket."""

    def __init__(self, house: House, socket: WebSocket[Any, Any, Any], room_id: RoomId | None) -> None:
        self._house = house
        self._scope: Any = socket.scope
        self._receive: Any = socket.receive
        self._send: Any = socket.send
        self._room_id = room_id
        self._headers: dict[bytes, bytes] = dict(self._scope["headers"])
        self._query = query_of(self._scope)
        self._id = uuid4()
        self._connection: Connection
        self._subscriptions: Subscriptions
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(OPERATIONS_IN_FLIGHT_MAX)
        self._timers: list[asyncio.TimerHandle] = []

    async def live(self) -> None:
        """From the handshake to the close."""
        if (await self._receive())["type"] != "websocket.connect":
            return
        self._way.limit(self._house.terms.quotas.frames)
        try:
            access = await credentials(self._house, self._scope, is_room=self._room_id is not None)
        except (Refused, problems.Problem) as refusal:
            await refuse(self._house.refusals, self._scope, self._send, refusal)
            return
        offered = self._scope.get("subprotocols", ())
        chosen = client_frames.SUBPROTOCOL if client_frames.SUBPROTOCOL in offered else None
        await self._send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})
        try:
            await self._talk(access)
        except (SocketGone, asyncio.CancelledError):
            pass
        except (RecordUnavailable, LanesUnavailable) as error:
            log.warning("a socket is sent away", reason=str(error))
            self._close(client_frames.GOING_AWAY, "a server behind this one does not answer")
        except Exception:
            log.exception("a socket failed")
            self._close(client_frames.GOING_AWAY, "something went wrong here")
        finally:
            for timer in self._timers:
                timer.cancel()
            for task in self._tasks:
                task.cancel()

    async def _talk(self, access: Access | None) -> None:
        request = None
        if access is None:
            access, request = await self._first_authenticate()
        address = self._scope["client"][0] if self._scope.get("client") else None
        if not await self._house.seats.take(access.user_id, address):
            self._note(429, "sockets.too_many", access)
            self._close(client_frames.TOO_MANY_SOCKETS, "too many sockets of this account or address")
            raise SocketGone
        try:
            await self._serve(access, request)
        finally:
            self._house.seats.leave(access.user_id, address)

    async def _serve(self, access: Access, request: int | None) -> None:
        hub, head = self._house.hub, await self._house.record.head()
        self._connection = Connection(
            self._way,
            access,
            write_soon=hub.write_soon,
            note_refusal=lambda status, code: self._note(status, code, access),
            one_room=self._room_id is not None,
        )
        self._subscriptions = Subscriptions(self._house, self._connection)
        hub.enter(self._connection)
        try:
            # From entering to the hello nothing is awaited, so nothing is told before it.
            self._connection.say(client_frames.reply(request))
            self._greet(head)
            if self._room_id is not None:
                await self._open_own_room(self._room_id, head.position)
            while True:
                text = await self._next()
                if self._connection.closed:
                    raise SocketGone
                if not self._connection.leaving:
                    await self._take(text)
                if self._connection.is_full:
                    await self._connection.drained()  # who does not read is not read from
        finally:
            hub.leave(self._connection)

    # The first frames

    async def _first_authenticate(self) -> tuple[Access, int | None]:
        """Return what the first frame shows, and its number. Whatever else it is gets its reply, and is closed."""
        refused: Refused
        try:
            async with asyncio.timeout(AUTHENTICATE_SECONDS):
                intent = client_frames.parse(await self._next())
            if isinstance(intent, Authenticate):
                return self._house.sessions.authenticate(intent.token), intent.id
            request, refused = intent.id, BadToken("The first frame authenticates.")
        except TimeoutError:
            request, refused = None, BadToken()
        except BadFrame as bad:
            request, refused = bad.request, BadToken(bad.detail)
        except Refused as of_token:
            request, refused = intent.id, of_token
        self._note(401, refused.code)
        if (said := client_frames.refusal(request, refused.code, refused.detail, 401)) is not None:
            self._way.write(prepared(said))
        is_revoked = isinstance(refused, SessionRevoked)
        self._close(
            client_frames.SESSION_REVOKED if is_revoked else client_frames.UNAUTHENTICATED, "authenticate first"
        )
        raise SocketGone

    def _greet(self, head: Head) -> None:
        self._connection.say(
            client_frames.frame(
                server_frames.Hello(
                    connection=self._id,
                    record=head.record,
                    position=head.position,
                    heartbeat_seconds=int(HEARTBEAT_SECONDS),
                    session_expires_in=self._watch_expiry(),
                )
            )
        )

    async def _open_own_room(self, room_id: RoomId, head: int) -> None:
        """Subscribe `/ws/{room_id}` to its room, from `?after=` and `?record=`."""
        after, record = place_of(self._query)
        try:
            await self._subscriptions.open_own_room(room_id, after, record, head)
        except Refused as refused:
            self._note(problems.status_of(refused), refused.code, self._connection.access)
            self._close(client_frames.NO_ROOM, "this room is unknown, or not yours")
            raise SocketGone from None

    # Frames of the client

    async def _next(self) -> str:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            if message.get("code") == client_frames.TOO_MANY_FRAMES:
                self._note(429, "frames.too_many", self._access)
            raise SocketGone
        text = message.get("text")
        if text is None:
            self._close(client_frames.BAD_PROTOCOL, "frames are text")
            raise SocketGone
        if len(text) > FRAME_BYTES_MAX:
            self._close(client_frames.FRAME_TOO_LARGE, "the frame is too large")
            raise SocketGone
        return str(text)

    async def _take(self, text: str) -> None:
        try:
            intent = client_frames.parse(text)
        except BadFrame as bad:
            if bad.request is None:
                self._close(client_frames.BAD_PROTOCOL, bad.code)
                raise SocketGone from None
            self._connection.refuse(bad.request, 422, bad.code, bad.detail)
            return
        rooms = len(intent.rooms or ()) // FRAME_UNIT_ROOMS if isinstance(intent, Subscribe) else 0
        if rooms and not self._way.takes(rooms):
            self._note(429, "frames.too_many", self._connection.access)
            self._close(client_frames.TOO_MANY_FRAMES, "too many rooms in too short a time")
            raise SocketGone
        cost = cost_of(len(text)) + rooms
        match intent:
            case Ping():
                self._connection.say(client_frames.frame(server_frames.Pong()))
                self._connection.say(client_frames.reply(intent.id))
            case Typing():
                self._type(intent)
            case Authenticate():
                self._renew(intent)
            case _:
                await self._free.acquire()
                if self._connection.closed:
                    raise SocketGone
                self._connection.operations += 1
                self._start(self._answer(intent, cost))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, intent: Intent, cost: int) -> None:
        """Do what a frame asks, and reply."""
        house = self._house
        try:
            rate_limits.require(await self._allowance(intent, cost))
            match intent:
                case Subscribe():
                    await self._subscriptions.subscribe(intent)
                case Unsubscribe():
                    await self._subscriptions.unsubscribe(intent)
                case Send():
                    await self._post(intent)
                case Edit():
                    caller = self._caller(intent.reason)
                    self._done(
                        intent, await message.edit(house, caller, intent.message_id, intent.content, intent.version)
                    )
                case Delete():
                    caller = self._caller(intent.reason)
                    self._done(intent, await message.delete(house, caller, intent.message_id, intent.version))
                case Read():
                    self._done(intent, await reading.mark(house, self._caller(None), intent.room_id, intent.position))
        except Exception as error:
            problem = problems.problem_of(error)  # what HTTP answers, word for word
            wait = ceil(error.retry_after_seconds) if isinstance(error, Limited) else UNSET
            self._connection.refuse(intent.id, problem.status, problem.code, problem.detail, retry_after_seconds=wait)
        finally:
            self._connection.operations -= 1
            self._free.release()

    async def _allowance(self, intent: Intent, cost: int) -> Allowance:
        """Take what an operation costs: the same quotas that the same thing costs by HTTP, and more for a large frame."""
        quotas = self._house.terms.quotas
        quota = quotas.sends if isinstance(intent, Send) else quotas.requests
        taken = None if quota is None else quota.at(cost)
        return await self._house.limits.take(of_user(self._connection.access.user_id), taken)

    def _done(self, intent: Intent, outcome: Outcome) -> None:
        self._connection.say(client_frames.reply(intent.id, position=outcome.position))

    async def _post(self, intent: Send) -> None:
        sent = await message.send(self._house, self._caller(None), intent.room_id, intent.message_id, intent)
        self._connection.say(
            client_frames.reply(
                intent.id, position=sent.position, message_id=sent.message_id, duplicate=sent.is_duplicate
            )
        )

    def _type(self, intent: Typing) -> None:
        feed = self._connection.feeds.get(RoomId(intent.room_id))
        if feed is None:
            detail = "Subscribe to the room first."
            self._connection.refuse(intent.id, 409, "room.not_subscribed", detail)
            return
        self._house.hub.presence.typing(feed.room, feed.user_id)
        self._connection.say(client_frames.reply(intent.id))

    # Sessions

    def _renew(self, intent: Authenticate) -> None:
        """Take a fresh token of the same session."""
        try:
            access = self._house.sessions.authenticate(intent.token)
            if (access.session_id, access.user_id) != (
                self._connection.access.session_id,
                self._connection.access.user_id,
            ):
                raise BadToken("This token is of another session.")
        except Refused as refused:
            self._connection.refuse(intent.id, 401, refused.code, refused.detail)
            return
        self._connection.access = access
        self._connection.say(client_frames.reply(intent.id, session_expires_in=self._watch_expiry()))

    def _watch_expiry(self) -> int:
        """Announce the token's end and close at it; answers the seconds left."""
        for timer in self._timers:
            timer.cancel()
        left = (self._connection.access.expires_at - self._house.now()).total_seconds()
        loop = asyncio.get_running_loop()
        notice = client_frames.frame(server_frames.Expiring(int(min(left, EXPIRY_NOTICE_SECONDS))))
        self._timers = [
            loop.call_later(max(0.0, left - EXPIRY_NOTICE_SECONDS), self._connection.say, notice),
            loop.call_later(max(0.0, left), self._close, client_frames.UNAUTHENTICATED, "the token has expired"),
        ]
        return int(left)

    def _caller(self, reason: str | None) -> Caller:
        access = self._connection.access
        agent = LINE_BREAKING.sub(" ", self._headers.get(b"user-agent", b"").decode("latin-1"))[:AGENT_CHARS_MAX]
        client = self._scope.get("client")
        said = LINE_BREAKING.sub(" ", reason)[:REASON_CHARS_MAX] if reason else None
        return Caller(
            user_id=access.user_id,
            session_id=access.session_id,
            correlation=str(self._id),
            address=client[0] if client else None,
            agent=agent or None,
            reason=said,
        )

    @property
    def _access(self) -> Access | None:
        return self._connection.access if hasattr(self, "_connection") else None

    def _note(self, status: int, code: str, access: Access | None = None) -> None:
        """Count a refusal, as those of HTTP are."""
        client = self._scope.get("client")
        self._house.refusals.note(status, code, access.user_id if access else None, client[0] if client else None)

    # Closing

    @property
    def _way(self) -> Outlet:
        way: Outlet = self._scope["extensions"][EXTENSION]
        return way

    def _close(self, code: int, reason: str) -> None:
        """Close, behind what was queued for this socket."""
        if hasattr(self, "_connection"):
            self._connection.close(code, reason)
        else:
            self._way.close(code, reason)


ROUTES: list[BaseRouteHandler] = [many_rooms, one_room]
