"""Chat: a connection that is kept up. What a user waits for here outlives any number of sockets.

One task dials, reads, writes, renews the token and comes back; it ends with `async with`. An error that coming back
cannot mend (the session is over, the server says stay away) is raised wherever the user waits: in feeds, sends, notices.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from random import Random, SystemRandom
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from hansard_client.backoff import Backoff
from hansard_client.conversation import Begun, ComeBack, Conversation, Ended, Happening, Live, Replied, Told
from hansard_client.errors import Closed, Refused, Unacknowledged, Unreachable
from hansard_client.feeds import Feed, Notices
from hansard_client.models import Event, Json, Notice, Sent
from hansard_client.wire import UNAUTHENTICATED, Dial, Wire

Id = str | UUID

REQUESTS_IN_FLIGHT_MAX = 64
REPLY_SECONDS = 30.0
SUBSCRIBE_LOOKS = 6  # how often the wait for a subscription's reply is looked at
HEARTBEAT_SECONDS = 25.0
HEARTBEATS_MISSED_MAX = 2.5
AWAY_SECONDS_MAX = 60.0
# The server has too much to do, or we asked too much: a connection that ended so is no reason to come back sooner.
OVERLOADED = frozenset({4008, 4013, 4414})


class Chat:
    """Rooms heard and messages sent over one connection at a time. Made by `Client.chat`; use it with `async with`."""

    def __init__(
        self,
        dial: Dial,
        token: Callable[[str | None], Awaitable[str]],
        *,
        user_id: str | None = None,
        backoff: Backoff | None = None,
        chance: Random | None = None,
        patience: float = REPLY_SECONDS,
    ) -> None:
        """`token` returns an access token that is not the one given, which was refused. `chance` is all randomness.

        `patience` is how many seconds a connection has to answer a subscription; then another one is asked.
        """
        self.error: Exception | None = None
        self.is_over = False
        self.connections = 0
        self._dial = dial
        self._token_not = token
        self._backoff = backoff or Backoff()
        self._chance = chance or SystemRandom()
        self._patience = patience
        self._conversation = Conversation(user_id)
        self._feeds: dict[str, Feed] = {}
        self._notices: list[Notices] = []
        self._replies: dict[int, asyncio.Future[Json]] = {}
        self._in_flight = asyncio.Semaphore(REQUESTS_IN_FLIGHT_MAX)
        self._has_news = asyncio.Event()
        self._is_expiring = asyncio.Event()
        self._is_sent_away = asyncio.Event()
        self._back_at = 0.0
        self._heartbeat_seconds = HEARTBEAT_SECONDS
        self._has_progressed = False
        self._is_held_up = False  # a feed is full, so nothing is read
        self._last_fed: Feed | None = None
        self._error_was_told = False
        self._token: str | None = None
        self._task: asyncio.Task[None]

    @property
    def record(self) -> str | None:
        """The record that the server speaks of; None: there was no connection yet."""
        return self._conversation.record

    @property
    def gaps(self) -> int:
        """How often the wire skipped an event, and the room was asked for again."""
        return self._conversation.gaps

    @property
    def duplicates(self) -> int:
        """How many events the wire brought again, and were passed over."""
        return self._conversation.duplicates

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="hansard chat")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._over(None)
        if kind is None and self.error is not None and not self._error_was_told:
            raise self.error

    # Hearing

    async def subscribe(
        self, room_id: Id, *, after: int | None = None, record: str | None = None, timeout: float = REPLY_SECONDS
    ) -> Feed:
        """Hear a room: everything after a position, or, with None, everything from the moment that this returns.

        A kept cursor is `after` and `record`. Raises `DomainError`, `RecordChanged`, and `Unreachable` when it takes longer
        than `timeout`. A room is heard by one feed at a time: ValueError.
        """
        self._require_running()
        at = str(UUID(str(room_id)))
        if at in self._feeds:
            raise ValueError(f"room {at} is heard already; close that feed first")
        if after is not None and not 0 <= after < 2**63:
            raise ValueError(f"{after} is no position")
        self._conversation.subscribe(at, after, record)
        feed = self._feeds[at] = Feed(at, after, told=self._told, forget=self._forget)
        self._has_news.set()
        try:
            async with asyncio.timeout(timeout):
                await feed.begun()
        except TimeoutError:
            await feed.close()
            raise Unreachable(f"The subscription was not taken within {timeout:g} s.") from None
        except BaseException:
            await feed.close()
            raise
        return feed

    def notices(self) -> Notices:
        """Return what is told beside the rooms, from now on."""
        self._notices.append(Notices(self._told))
        return self._notices[-1]

    # Saying

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
        timeout: float = REPLY_SECONDS,
    ) -> Sent:
        """Post a message; when this returns it is on the server's disk. Raises `DomainError`.

        It is repeated over any number of connections, under one id, so it is posted once. Raises `Unacknowledged` after
        `timeout` seconds: whether it was posted is not known then; the same send with that `message_id` finds out.
        """
        own = str(message_id or UUID(int=self._chance.getrandbits(128), version=4))
        fields: dict[str, str | bool] = {
            "room_id": str(room_id), "message_id": own, "content": content, "message_type": message_type,
        }  # fmt: skip
        for name, value in (("reply_to", reply_to), ("file_id", file_id), ("thread_id", thread_id)):
            if value is not None:
                fields[name] = str(value)
        fields |= {"in_room": True} if in_room else {}
        try:
            reply = await self._ask(timeout, "send", **fields)
        except Unacknowledged as late:
            late.message_id = own
            raise
        return Sent(own, reply["position"], bool(reply.get("duplicate")))

    async def edit(
        self, message_id: Id, content: str, *, reason: str | None = None, timeout: float = REPLY_SECONDS
    ) -> int:
        """Replace a message's text; answers the position of the edit (of the last change, where nothing changed)."""
        fields = {"message_id": str(message_id), "content": content, **({"reason": reason} if reason else {})}
        return int((await self._ask(timeout, "edit", **fields))["position"])

    async def delete(self, message_id: Id, *, reason: str | None = None, timeout: float = REPLY_SECONDS) -> int:
        """Leave a tombstone of a message; answers the position of the deletion."""
        fields = {"message_id": str(message_id), **({"reason": reason} if reason else {})}
        return int((await self._ask(timeout, "delete", **fields))["position"])

    async def read(self, room_id: Id, position: int, *, timeout: float = REPLY_SECONDS) -> None:
        """Move one's read mark of a room forward."""
        await self._ask(timeout, "read", room_id=str(room_id), position=position)

    def typing(self, room_id: Id) -> None:
        """Say that one is typing; it is worth nothing later, and so not repeated."""
        self._conversation.mention("typing", room_id=str(UUID(str(room_id))))
        self._has_news.set()

    async def _ask(self, timeout: float, kind: str, **fields: Any) -> Json:
        """Ask until answered; what the server cannot take just now is asked again after a pause."""
        pauses = self._backoff.pauses(self._chance)
        try:
            async with asyncio.timeout(timeout), self._in_flight:
                while True:
                    reply = await self._request(kind, **fields)
                    if reply["ok"]:
                        return reply
                    refused = Refused.of(reply["error"])
                    if not refused.is_retryable:
                        raise refused
                    await asyncio.sleep(max(next(pauses), refused.retry_after or 0.0))
        except TimeoutError:
            raise Unacknowledged(f"The {kind} was not answered within {timeout:g} s.") from None

    async def _request(self, kind: str, **fields: Any) -> Json:
        """Ask once, over any number of connections."""
        self._require_running()
        number = self._conversation.ask(kind, **fields)
        reply: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._replies[number] = reply
        self._has_news.set()
        try:
            return await reply
        finally:
            self._conversation.withdraw(number)
            del self._replies[number]

    # Keeping the connection up

    async def _run(self) -> None:
        """Connect and come back, until there is no coming back."""
        try:
            await self._keep_up()
        except Exception as error:
            self._over(error)

    async def _keep_up(self) -> None:
        stale: str | None = None
        pauses = self._backoff.pauses(self._chance)
        while True:
            self._back_at, self._has_progressed = 0.0, False
            try:
                self._token = await self._token_not(stale)
                stale = None
                await self._converse(await self._dial(self._token))
                raise AssertionError("a connection ends with an error")
            except Closed as error:
                closed = error
            except Unreachable as error:
                closed = Closed(None, str(error))
            except Refused as error:  # of a renewal
                if not error.is_retryable:
                    raise
                closed = Closed(None, str(error), retry_after=error.retry_after or 0.0)
            finally:
                self._conversation.lost()
            if closed.is_final:
                raise closed
            if closed.code == UNAUTHENTICATED:
                stale = self._token
            if self._has_progressed and closed.code not in OVERLOADED:
                pauses = self._backoff.pauses(self._chance)
            until_asked_back = self._back_at - asyncio.get_running_loop().time()
            await asyncio.sleep(min(max(next(pauses), closed.retry_after, until_asked_back), AWAY_SECONDS_MAX))

    async def _converse(self, wire: Wire) -> None:
        """Live one connection, to its end. Raises what ended it."""
        for event in (self._is_expiring, self._is_sent_away):
            event.clear()
        self._is_held_up = False
        self._heartbeat_seconds = HEARTBEAT_SECONDS
        try:
            await _first_to_end(
                self._read(wire),
                self._write(wire),
                self._renew(),
                self._leave_when_sent_away(),
                self._leave_when_not_answered(),
            )
        finally:
            await wire.close()

    async def _read(self, wire: Wire) -> None:
        while True:
            # A frame holds at most one event, so only the feed that got the last one can be full. Nothing is awaited
            # between taking a frame and handing it over: a connection's end cannot come in between.
            if self._last_fed is not None:
                self._is_held_up = True
                await self._last_fed.has_space()
                self._is_held_up = False
            for happening in self._conversation.receive(await self._hear(wire)):
                self._take(happening)
            self._has_news.set()

    async def _hear(self, wire: Wire) -> str:
        """Return the next frame; a connection on which nothing comes, not even a ping, for too long is given up."""
        now = asyncio.get_running_loop().time
        since = now()
        while True:
            heard_at = max(since, wire.heard_at)
            try:
                async with asyncio.timeout_at(heard_at + HEARTBEATS_MISSED_MAX * self._heartbeat_seconds):
                    return await wire.receive()
            except TimeoutError:
                if wire.heard_at <= heard_at:
                    raise Closed(None, "nothing was heard for too long") from None

    async def _write(self, wire: Wire) -> None:
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            for text in self._conversation.outgoing():
                await wire.send(text)

    async def _renew(self) -> None:
        """Show a fresh token in band whenever the present one is about to expire."""
        while True:
            await self._is_expiring.wait()
            self._is_expiring.clear()
            with suppress(Unreachable):  # then the socket is closed with 4401, and we come back
                self._token = await self._token_not(self._token)
                if not (await self._request("authenticate", token=self._token))["ok"]:
                    raise Closed(UNAUTHENTICATED, "the fresh token was refused")

    async def _leave_when_sent_away(self) -> None:
        await self._is_sent_away.wait()
        await asyncio.sleep(self._back_at - asyncio.get_running_loop().time())
        raise Closed(None, "the server asked to come back")

    async def _leave_when_not_answered(self) -> None:
        """Come back where a subscription is not answered though we listen: its feed would else wait for ever."""
        asked, looks = None, 0
        while True:
            await asyncio.sleep(self._patience / SUBSCRIBE_LOOKS)
            if self._is_held_up:
                continue
            if (number := self._conversation.unanswered) != asked:
                asked, looks = number, 0
            elif number is not None:
                looks += 1
            if looks == SUBSCRIBE_LOOKS:
                raise Closed(None, f"a subscription was not answered within {self._patience:g} s")

    def _take(self, happening: Happening) -> None:
        match happening:
            case Notice(type="hello"):
                self.connections += 1
                self._heartbeat_seconds = happening.frame.get("heartbeat_seconds") or HEARTBEAT_SECONDS
                self._tell(happening)
                return
            case Notice(type="expiring"):
                self._is_expiring.set()
            case Notice(type="reconnect"):
                after_seconds = min(happening.frame.get("after_ms", 0) / 1000, AWAY_SECONDS_MAX)
                self._back_at = asyncio.get_running_loop().time() + after_seconds
                self._is_sent_away.set()
            case Notice() | Event():
                self._tell(happening)
            case Replied():
                if (reply := self._replies.get(happening.number)) is not None and not reply.done():
                    reply.set_result(happening.reply)
            case ComeBack():
                raise Closed(None, happening.reason)
            case Begun() | Told() | Live() | Ended():
                feed = self._feeds[happening.room_id]
                if isinstance(happening, Ended):
                    del self._feeds[happening.room_id]
                feed.take(happening)
                self._last_fed = feed
        self._has_progressed = True

    def _tell(self, notice: Event | Notice) -> None:
        for notices in self._notices:
            notices.take(notice)

    # The end

    def _forget(self, feed: Feed) -> None:
        """Hear the room of this feed no more; nothing happens when it has ended."""
        if self._feeds.get(feed.room_id) is feed:
            del self._feeds[feed.room_id]
            self._conversation.unsubscribe(feed.room_id)
            self._has_news.set()

    def _told(self, error: Exception) -> Exception:
        """Note that an error reaches the user, and return it."""
        self._error_was_told = self._error_was_told or error is self.error
        return error

    def _require_running(self) -> None:
        if self.is_over:
            raise self._told(self.error or Closed(None, "the chat is over"))

    def _over(self, error: Exception | None) -> None:
        """End everything that anybody waits for, with an error or because the chat is left."""
        if self.is_over:
            return
        self.is_over, self.error = True, error
        for heard in (*self._feeds.values(), *self._notices):
            heard.end("failed" if error else "closed", error)
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(self._told(error or Closed(None, "the chat was left")))


async def _first_to_end(*work: Coroutine[Any, Any, None]) -> None:
    """Run side by side until the first ends, and end the others; raises what it raised."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
