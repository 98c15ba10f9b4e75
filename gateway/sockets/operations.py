"""Operations: what a client's frames ask for. They run side by side, at most `OPERATIONS_IN_FLIGHT_MAX` of a socket, and
each gets its reply."""

import asyncio
from math import ceil

import structlog
from msgspec import UNSET

from domain.errors import LimitExceededError
from domain.ids import RoomId
from domain.quotas import of_user
from gateway.edge import rate_limits
from gateway.http.error_mapping import problem_of
from gateway.operations import FRAMES
from gateway.protocol import close_codes, server_frames
from gateway.protocol.client_frames import Authenticate, ClientFrame, Ping, Send, Subscribe, Typing, Unsubscribe
from gateway.protocol.parsing import BadFrameError, parse
from gateway.realtime.connection import Connection
from gateway.server.frame_meter import cost_of
from gateway.services import Services
from gateway.sockets.channel import Channel, SocketClosedError
from gateway.sockets.subscriptions import Subscriptions
from gateway.sockets.token_expiry import TokenExpiry

FRAME_UNIT_ROOMS = 20
OPERATIONS_IN_FLIGHT_MAX = 32

log = structlog.get_logger()


class Operations:
    """One socket's."""

    def __init__(
        self,
        services: Services,
        channel: Channel,
        connection: Connection,
        subscriptions: Subscriptions,
        expiry: TokenExpiry,
    ) -> None:
        self._services = services
        self._channel = channel
        self._connection = connection
        self._subscriptions = subscriptions
        self._expiry = expiry
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(OPERATIONS_IN_FLIGHT_MAX)

    async def take(self, text: str) -> None:
        """Begin what a frame asks for. Raise `SocketClosedError` if the frame has the socket closed."""
        try:
            frame = parse(text)
        except BadFrameError as bad:
            self._refuse(bad)
            return
        rooms = len(frame.rooms or ()) // FRAME_UNIT_ROOMS if isinstance(frame, Subscribe) else 0
        if rooms and not self._channel.transport.takes(rooms):
            self._channel.note_refusal(429, "frames.too_many", self._connection.access)
            self._channel.close(close_codes.TOO_MANY_FRAMES, "too many rooms in too short a time")
            raise SocketClosedError
        match frame:
            case Ping():
                self._connection.send(server_frames.encode(server_frames.Pong()))
                self._connection.send(server_frames.reply(frame.id))
            case Typing():
                self._type(frame)
            case Authenticate():
                self._expiry.renew(frame)
            case _:
                await self._begin(frame, cost_of(len(text)) + rooms)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _refuse(self, bad: BadFrameError) -> None:
        if bad.request is None:
            self._channel.close(close_codes.BAD_PROTOCOL, bad.code)
            raise SocketClosedError
        self._connection.refuse(bad.request, 422, bad.code, bad.detail)

    def _type(self, frame: Typing) -> None:
        subscription = self._connection.subscriptions.get(RoomId(frame.room_id))
        if subscription is None:
            self._connection.refuse(frame.id, 409, "room.not_subscribed", "Subscribe to the room first.")
            return
        self._services.hub.presence.typing(subscription.room, subscription.user_id)
        self._connection.send(server_frames.reply(frame.id))

    async def _begin(self, frame: ClientFrame, cost: int) -> None:
        """Wait until one operation more may run, and start it."""
        await self._free.acquire()
        if self._connection.is_closed:
            raise SocketClosedError
        self._connection.operations += 1
        task = asyncio.get_running_loop().create_task(self._run(frame, cost))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, frame: ClientFrame, cost: int) -> None:
        """Do what a frame asks, and reply."""
        try:
            await self._require_allowance(frame, cost)
            match frame:
                case Subscribe():
                    await self._subscriptions.subscribe(frame)
                case Unsubscribe():
                    await self._subscriptions.unsubscribe(frame)
                case _:
                    await self._execute(frame)
        except Exception as error:
            problem = problem_of(error)  # what HTTP answers, word for word
            wait = ceil(error.retry_after_seconds) if isinstance(error, LimitExceededError) else UNSET
            self._connection.refuse(frame.id, problem.status, problem.code, problem.detail, retry_after_seconds=wait)
        finally:
            self._connection.operations -= 1
            self._free.release()

    async def _execute(self, frame: ClientFrame) -> None:
        """Have a frame done that becomes a command, as the same request by HTTP does, and reply."""
        caller = self._channel.caller(self._connection.access, getattr(frame, "reason", None))
        self._connection.send(await FRAMES[type(frame)](self._services, caller, frame))

    async def _require_allowance(self, frame: ClientFrame, cost: int) -> None:
        """Take an operation's cost from the quotas of the same request by HTTP; a large frame costs more.

        Raise `LimitExceededError` if the user has not so much left.
        """
        quotas = self._services.policy.quotas
        quota = quotas.sends if isinstance(frame, Send) else quotas.requests
        if quota is not None:
            user = of_user(self._connection.access.user_id)
            rate_limits.require(await self._services.limits.take(user, quota.at(cost)))
