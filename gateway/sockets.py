"""Sockets: one client's life, from the handshake to the close.

What is wrong before the upgrade is answered in HTTP; everything later is a reply or a close code. Commands run side by
side, a bounded number of them; feeds are the hub's.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID, uuid4

import structlog
from litestar import WebSocket, websocket
from litestar.handlers import BaseRouteHandler

from adapters.lanes import LanesUnavailable
from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.reading import MarkRead
from domain.facts import Caller
from domain.ids import FileId, MessageId, RoomId
from domain.limits import (
    AGENT_CHARS_MAX,
    AUTHENTICATE_SECONDS,
    EXPIRY_NOTICE_SECONDS,
    FRAME_BYTES_MAX,
    HEARTBEAT_SECONDS,
    OPERATIONS_IN_FLIGHT_MAX,
    REASON_CHARS_MAX,
    SUBSCRIPTIONS_MAX,
)
from domain.membership import MEMBERSHIP, Membership, admit, require_member
from domain.message import MESSAGE
from domain.ports import Access, RecordUnavailable
from domain.refusals import BadToken, Refused, RoomNotFound
from domain.room import ROOM, Room
from domain.text import LINE_BREAKING
from gateway import problems, protocol
from gateway.feeds import Connection, Feed
from gateway.handshake import credentials, query_of, refuse
from gateway.house import House
from gateway.outlet import EXTENSION
from gateway.protocol import (
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

log = structlog.get_logger()


class SocketGone(Exception):
    """The client is no more."""


@websocket("/ws")
async def many_rooms(socket: WebSocket[Any, Any, Any], house: House) -> None:
    await Session(house, socket, None).live()


@websocket("/ws/{room_id:uuid}")
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
        self._connection: Connection
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(OPERATIONS_IN_FLIGHT_MAX)
        self._timers: list[asyncio.TimerHandle] = []
        self._closing = False

    async def live(self) -> None:
        """From the handshake to the close."""
        if (await self._receive())["type"] != "websocket.connect":
            return
        try:
            access = credentials(self._house, self._scope, is_room=self._room_id is not None)
        except (Refused, problems.Problem) as refusal:
            await refuse(self._send, refusal)
            return
        offered = self._scope.get("subprotocols", ())
        chosen = protocol.SUBPROTOCOL if protocol.SUBPROTOCOL in offered else None
        await self._send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})
        try:
            await self._talk(access)
        except (SocketGone, asyncio.CancelledError):
            pass
        except (RecordUnavailable, LanesUnavailable) as error:
            log.warning("a socket is sent away", reason=str(error))
            await self._close(protocol.GOING_AWAY, "a server behind this one does not answer")
        finally:
            for timer in self._timers:
                timer.cancel()
            for task in self._tasks:
                task.cancel()

    async def _talk(self, access: Access | None) -> None:
        request = None
        if access is None:
            access, request = await self._first_authenticate()
        way = self._scope["extensions"][EXTENSION]
        self._connection = Connection(
            way,
            access,
            write_soon=self._house.hub.write_soon,
            close=self._close_soon,
            one_room=self._room_id is not None,
        )
        self._house.hub.enter(self._connection)
        try:
            self._connection.say(protocol.reply(request))
            await self._greet()
            if self._room_id is not None:
                await self._open_own_room()
            while True:
                await self._take(await self._next())
                if self._connection.is_full:
                    await self._connection.drained()  # who does not read is not read from
        finally:
            self._house.hub.leave(self._connection)

    # The first frames

    async def _first_authenticate(self) -> tuple[Access, int | None]:
        try:
            async with asyncio.timeout(AUTHENTICATE_SECONDS):
                intent = protocol.parse(await self._next())
        except (TimeoutError, BadFrame):
            intent = None
        if isinstance(intent, Authenticate):
            try:
                return self._house.sessions.authenticate(intent.token), intent.id
            except Refused:
                pass
        await self._close(protocol.UNAUTHENTICATED, "authenticate first")
        raise SocketGone

    async def _greet(self) -> None:
        head = await self._house.record.head()
        self._connection.say(
            protocol.frame(
                "hello",
                connection=uuid4(),
                record=head.record,
                position=head.position,
                heartbeat_seconds=int(HEARTBEAT_SECONDS),
                session_expires_in=self._watch_expiry(),
            )
        )

    async def _open_own_room(self) -> None:
        """Subscribe `/ws/{room_id}` to its room, from `?after=` and `?record=`."""
        after, record = (self._query.get(name, [""])[0] for name in ("after", "record"))
        try:
            place = int(after) if after else None
            of = UUID(record) if record else None
        except ValueError:
            await self._close(protocol.BAD_PROTOCOL, "after is a position, record an id")
            raise SocketGone from None
        assert self._room_id is not None
        try:
            feed = await self._feed(self._room_id, place, of)
        except Refused:
            await self._close(protocol.NO_ROOM, "this room is unknown, or not yours")
            raise SocketGone from None
        if feed is not None:
            self._house.hub.subscribe(feed)

    # Frames of the client

    async def _next(self) -> str:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise SocketGone
        text = message.get("text")
        if text is None:
            await self._close(protocol.BAD_PROTOCOL, "frames are text")
            raise SocketGone
        if len(text) > FRAME_BYTES_MAX:
            await self._close(1009, "the frame is too large")
            raise SocketGone
        return str(text)

    async def _take(self, text: str) -> None:
        try:
            intent = protocol.parse(text)
        except BadFrame as bad:
            if bad.request is None:
                await self._close(protocol.BAD_PROTOCOL, bad.code)
                raise SocketGone from None
            self._connection.say(protocol.refusal(bad.request, bad.code, bad.detail, 422))
            return
        match intent:
            case Ping():
                self._connection.say(protocol.frame("pong"))
            case Typing():
                pass
            case Unsubscribe():
                if (feed := self._connection.feeds.get(RoomId(intent.room_id))) is not None:
                    feed.drop()
                self._connection.say(protocol.reply(intent.id))
            case Authenticate():
                await self._renew(intent)
            case _:
                await self._free.acquire()
                self._start(self._answer(intent))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, intent: Intent) -> None:
        """Do what a frame asks, and reply."""
        try:
            match intent:
                case Subscribe():
                    await self._subscribe(intent)
                case Send():
                    await self._post(intent)
                case Edit():
                    edit = EditMessage(MessageId(intent.message_id), intent.content, intent.version)
                    await self._command(intent, edit, intent.reason)
                case Delete():
                    delete = DeleteMessage(MessageId(intent.message_id), intent.version)
                    await self._command(intent, delete, intent.reason)
                case Read():
                    await self._command(intent, MarkRead(RoomId(intent.room_id), intent.position))
        except Refused as refused:
            status = problems.status_of(refused)
            self._connection.say(protocol.refusal(intent.id, refused.code, refused.detail, status))
        except (RecordUnavailable, LanesUnavailable):
            detail = "A server behind this one does not answer; try again with the same ids."
            self._connection.say(protocol.refusal(intent.id, "server.unavailable", detail, 503))
        except Exception:
            log.exception("a frame failed")
            self._connection.say(protocol.refusal(intent.id, "server.error", "Something went wrong here.", 500))
        finally:
            self._free.release()

    async def _command(self, intent: Intent, command: Any, reason: str | None = None) -> None:
        outcome = await self._house.desk.do(command, self._caller(reason))
        self._house.reads.wrote(self._connection.access.user_id, outcome.position)
        self._connection.say(protocol.reply(intent.id, position=outcome.position))

    async def _post(self, intent: Send) -> None:
        message_id = MessageId(intent.message_id or self._house.desk.new_id())
        command = PostMessage(
            RoomId(intent.room_id),
            message_id,
            intent.content,
            intent.message_type,
            None if intent.file_id is None else FileId(intent.file_id),
            None if intent.reply_to is None else MessageId(intent.reply_to),
        )
        outcome = await self._house.desk.do(command, self._caller(None))
        is_duplicate = not outcome.facts
        message = outcome.folded(MESSAGE, message_id).state
        assert message is not None, "an accepted post left a message"
        self._house.reads.wrote(self._connection.access.user_id, outcome.position)
        self._connection.say(
            protocol.reply(intent.id, position=message.position, message_id=message_id, duplicate=is_duplicate)
        )

    async def _subscribe(self, intent: Subscribe) -> None:
        """Subscribe to one room or many; rooms of which one is refused are refused together."""
        wanted: dict[RoomId, int | None] = {RoomId(room): after for room, after in (intent.rooms or {}).items()}
        if intent.room_id is not None:
            wanted[RoomId(intent.room_id)] = intent.after
        if not wanted or (intent.room_id is not None and intent.rooms is not None):
            detail = "Name a room_id, or rooms."
            self._connection.say(protocol.refusal(intent.id, "frame.invalid", detail, 422))
            return
        if len(self._connection.feeds.keys() | wanted.keys()) > SUBSCRIPTIONS_MAX:
            detail = f"A socket hears at most {SUBSCRIPTIONS_MAX} rooms."
            self._connection.say(protocol.refusal(intent.id, "subscriptions.too_many", detail, 409))
            return
        # Feeds first, all of them: the reply comes before the first frame, and after the last one of an old feed.
        feeds = [await self._feed(room_id, after, intent.record) for room_id, after in wanted.items()]
        self._connection.say(protocol.reply(intent.id))
        for room_id, feed in zip(wanted, feeds, strict=True):
            if feed is not None:
                self._house.hub.subscribe(feed)
            else:
                self._reset(room_id)

    async def _feed(self, room_id: RoomId, after: int | None, record: UUID | None) -> Feed | None:
        """Return a feed that may begin; None for a position that this record never gave. Raises `Refused`.

        Access is judged on the record, at a position at or after `head`: whatever ends it later is told by the feed.
        """
        house = self._house
        head = (await house.record.head()).position
        room, membership = await self._reach(room_id)
        if (record is not None and record != house.record_id) or (after is not None and after > head):
            return None
        since = membership.joined_position if room.history == "joined" else 0
        place = max(head if after is None else after, since - 1)
        followed = await house.hub.open_room(room_id)
        return Feed(self._connection, followed, place=place, since=since, joined=membership.joined_position)

    async def _reach(self, room_id: RoomId) -> tuple[Room, Membership]:
        """Return the room and the membership that let this person hear it. Raises `Refused`."""
        desk, user_id = self._house.desk, self._connection.access.user_id
        streams = {ROOM.id(room_id): ROOM, MEMBERSHIP.id(room_id, user_id): MEMBERSHIP}
        room, membership = (folded.state for folded in (await desk.read(streams)).values())
        if room is None:
            raise RoomNotFound
        admit(membership, is_private=room.is_private)
        return room, require_member(membership)

    def _reset(self, room_id: RoomId) -> None:
        if (feed := self._connection.feeds.get(room_id)) is not None:
            feed.drop()
        self._connection.say(protocol.frame("reset", room_id=room_id, reason="record_changed"))

    # Sessions

    async def _renew(self, intent: Authenticate) -> None:
        """Take a fresh token of the same session."""
        try:
            access = self._house.sessions.authenticate(intent.token)
            if (access.session_id, access.user_id) != (
                self._connection.access.session_id,
                self._connection.access.user_id,
            ):
                raise BadToken("This token is of another session.")
        except Refused as refused:
            self._connection.say(protocol.refusal(intent.id, refused.code, refused.detail, 401))
            return
        self._connection.access = access
        self._connection.say(protocol.reply(intent.id, session_expires_in=self._watch_expiry()))

    def _watch_expiry(self) -> int:
        """Announce the token's end and close at it; answers the seconds left."""
        for timer in self._timers:
            timer.cancel()
        left = (self._connection.access.expires_at - self._house.now()).total_seconds()
        loop = asyncio.get_running_loop()
        notice = protocol.frame("expiring", in_seconds=int(min(left, EXPIRY_NOTICE_SECONDS)))
        self._timers = [
            loop.call_later(max(0.0, left - EXPIRY_NOTICE_SECONDS), self._connection.say, notice),
            loop.call_later(max(0.0, left), self._close_soon, protocol.UNAUTHENTICATED, "the token has expired"),
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
            address=client[0] if client else None,
            agent=agent or None,
            reason=said,
        )

    # Closing

    def _close_soon(self, code: int, reason: str) -> None:
        """Close after what waits was written; the receiving loop then ends by itself."""
        if not self._closing:
            self._connection.flush()
            self._start(self._close(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        if self._closing:
            return
        self._closing = True
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


ROUTES: list[BaseRouteHandler] = [many_rooms, one_room]
