"""A socket connection: one client's life, from the handshake to the close.

What is wrong before the upgrade is answered in HTTP (`gateway/sockets/handshake.py`); everything later is a reply or a close
code. What the client asks is done by `gateway/sockets/operations.py`; what it gets of its rooms comes by its subscriptions
(`gateway/sockets/subscriptions.py`).
"""

import asyncio
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import structlog
from litestar import WebSocket, websocket
from litestar.handlers import BaseRouteHandler
from msgspec import UNSET

from adapters.redis.lanes import LanesUnavailableError
from domain.errors import DomainError
from domain.ids import RoomId
from domain.ports.credentials import Access
from domain.ports.record import Head, RecordUnavailableError
from gateway.http import error_mapping
from gateway.http.declarations import declare
from gateway.http.problems import Problem
from gateway.protocol import client_frames, close_codes, server_frames
from gateway.realtime.connection import Connection
from gateway.server.uvicorn_server import HEARTBEAT_SECONDS
from gateway.services import Services
from gateway.sockets import first_frame
from gateway.sockets.channel import Channel, SocketClosedError
from gateway.sockets.handshake import credentials, cursor_of, query_of, refuse
from gateway.sockets.operations import Operations
from gateway.sockets.subscriptions import Subscriptions
from gateway.sockets.token_expiry import TokenExpiry

log = structlog.get_logger()


@websocket("/ws", opt=declare("socket.open"))
async def many_rooms(socket: WebSocket[Any, Any, Any], services: Services) -> None:
    await SocketConnection(services, socket, None).live()


@websocket("/ws/{room_id:uuid}", opt=declare("room.hear"))
async def one_room(socket: WebSocket[Any, Any, Any], services: Services, room_id: UUID) -> None:
    await SocketConnection(services, socket, RoomId(room_id)).live()


class SocketConnection:
    """One socket. `room_id` is the room that its address names, if it names one."""

    def __init__(self, services: Services, socket: WebSocket[Any, Any, Any], room_id: RoomId | None) -> None:
        self._services = services
        self._channel = Channel(socket, services.refusals)
        self._room_id = room_id

    async def live(self) -> None:
        """Serve the socket, from the handshake to the close."""
        channel = self._channel
        if (await channel.receive())["type"] != "websocket.connect":
            return
        channel.transport.limit(self._services.policy.quotas.frames)
        try:
            access = await credentials(self._services, channel.scope, is_room=self._room_id is not None)
        except (DomainError, Problem) as refusal:
            await refuse(self._services.refusals, channel.scope, channel.send, refusal)
            return
        offered = channel.scope.get("subprotocols", ())
        chosen = client_frames.SUBPROTOCOL if client_frames.SUBPROTOCOL in offered else None
        await channel.send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})
        with ExitStack() as leaving:  # left behind the close: a socket that is unregistered says nothing any more
            try:
                await self._authenticate_and_serve(access, leaving)
            except (SocketClosedError, asyncio.CancelledError):
                pass
            except (RecordUnavailableError, LanesUnavailableError) as error:
                log.warning("a socket is sent away", reason=str(error))
                channel.close(close_codes.GOING_AWAY, "a server behind this one does not answer")
            except Exception:
                log.exception("a socket failed")
                channel.close(close_codes.GOING_AWAY, "something went wrong here")

    async def _authenticate_and_serve(self, access: Access | None, leaving: ExitStack) -> None:
        channel, limit = self._channel, self._services.socket_limit
        request = None
        if access is None:
            access, request = await first_frame.authenticate(channel, self._services.sessions)
        if not await limit.take(access.user_id, channel.address):
            channel.note_refusal(429, "sockets.too_many", access)
            channel.close(close_codes.TOO_MANY_SOCKETS, "too many sockets of this account or address")
            raise SocketClosedError
        leaving.callback(limit.leave, access.user_id, channel.address)
        await self._serve(access, request, leaving)

    async def _serve(self, access: Access, request: int | None, leaving: ExitStack) -> None:
        channel, hub, head = self._channel, self._services.hub, await self._services.record.head()
        checkpoint = await self._services.checkpoints.newest()
        connection = Connection(
            hub.outbox(channel.transport),
            access,
            note_refusal=lambda status, code: channel.note_refusal(status, code, access),
            is_of_one_room=self._room_id is not None,
        )
        channel.attach(connection)
        subscriptions = Subscriptions(self._services, connection)
        expiry = TokenExpiry(connection, self._services.sessions, self._services.now)
        operations = Operations(self._services, channel, connection, subscriptions, expiry)
        for leave in (operations.cancel, expiry.cancel, lambda: hub.unregister(connection)):  # the last one first
            leaving.callback(leave)
        hub.register(connection)
        # Nothing is awaited between registering and the hello, so no other frame comes before it.
        connection.send(server_frames.reply(request))
        connection.send(self._hello(head, expiry.watch(), checkpoint))
        if self._room_id is not None:
            await self._open_own_room(subscriptions, access, head.position)
        await self._receive_for_ever(connection, operations)

    async def _receive_for_ever(self, connection: Connection, operations: Operations) -> None:
        """Take the client's frames until the socket closes. Raise `SocketClosedError` then."""
        while True:
            text = await self._channel.next_text()
            if connection.is_closed:
                raise SocketClosedError
            if not connection.is_draining:
                await operations.take(text)
            if connection.outbox.is_full:
                await connection.outbox.drained()  # a client that does not read is not read from

    def _hello(self, head: Head, expires_in: int, checkpoint: str | None) -> bytes:
        return server_frames.encode(
            server_frames.Hello(
                connection=self._channel.id,
                record=head.record,
                position=head.position,
                heartbeat_seconds=int(HEARTBEAT_SECONDS),
                session_expires_in=expires_in,
                checkpoint=UNSET if checkpoint is None else checkpoint,
            )
        )

    async def _open_own_room(self, subscriptions: Subscriptions, access: Access, head: int) -> None:
        """Subscribe `/ws/{room_id}` to its room, from `?after=` and `?record=`."""
        assert self._room_id is not None, "the address names a room"
        after, record = cursor_of(query_of(self._channel.scope))
        try:
            await subscriptions.open_own_room(self._room_id, after, record, head)
        except DomainError as refused:
            self._channel.note_refusal(error_mapping.status_of(refused), refused.code, access)
            self._channel.close(close_codes.NO_ROOM, "this room is unknown, or not yours")
            raise SocketClosedError from None


ROUTES: list[BaseRouteHandler] = [many_rooms, one_room]
