"""Regulars: people who use the client library, and leave coming back, repeating and resuming to it.

What its feeds hand out and its sends return is held to the same promises as raw frames. One feed is one subscription of
the history, however many connections it takes.
"""

import asyncio
import random
from uuid import UUID

from hansard_client import Backoff, Chat, Client, Event, Feed, HansardError, Refused, Unacknowledged, Unreachable

from tests.chaos.deployment import GATEWAYS, Deployment
from tests.chaos.log import Log
from tests.chaos.people import AGAIN_SECONDS, PACE_SECONDS, RESUBSCRIBE_SECONDS, Account, shown
from tests.deployments import PASSWORD

SEND_SECONDS = 10.0
BACKOFF = Backoff(first_seconds=0.1, most_seconds=1.0)


class Regular:
    """Somebody who talks and listens by `hansard_client`. `held` is up to where it was handed everything of a room."""

    def __init__(
        self, deployment: Deployment, log: Log, account: Account, rooms: list[str], chance: random.Random
    ) -> None:
        self.stopping = False
        self.is_done = False
        self.user_id = account.user_id
        self.rooms = rooms
        self.held: dict[str, int] = {}
        self._log = log
        self._email = account.email
        self._chance = chance
        self._client = Client(deployment.base(chance.choice(GATEWAYS)), backoff=BACKOFF, chance=chance)
        self._connections = 0
        self._count = 0
        self._pending: tuple[str, str, str] | None = None

    async def log_in(self) -> None:
        await self._client.login(self._email, PASSWORD)

    async def run(self) -> None:
        """Talk until told to stop, and listen until cancelled. A chat that gives up is a complaint, and begun again."""
        async with self._client:
            while True:
                try:
                    async with self._client.chat() as chat, asyncio.TaskGroup() as group:
                        for room in self.rooms:
                            group.create_task(self._listen(chat, room))
                        group.create_task(self._talk(chat))
                except* Unreachable:
                    self._log.figures["the library was kept waiting too long"] += 1
                except* HansardError as errors:
                    for error in errors.exceptions:
                        self._log.complaints[f"the library gave up: {error}"] += 1
                await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self, chat: Chat, room: str) -> None:
        """Hear a room; after a removal again, once back in it."""
        while True:
            try:
                await self._hear(await chat.subscribe(room, after=self.held.get(room)))
            except Refused as refused:  # also of a feed that came back while its listener was out
                if refused.code not in ("room.not_found", "room.not_a_member"):
                    raise
                await asyncio.sleep(RESUBSCRIBE_SECONDS)

    async def _hear(self, feed: Feed) -> None:
        """Note everything that a feed hands out, to its end."""
        room = feed.room_id
        assert feed.position is not None, "a feed that began knows where"
        number = self._begin(room, feed.position)
        self._log.figures["feeds of the library"] += 1
        self.held[room] = max(self.held.get(room, 0), feed.position)
        try:
            async for event in feed:
                if event.kind == "member.joined" and event.data["user_id"] == self.user_id and event.prev == 0:
                    # Removed and brought back between two connections, to a room told since joining: a new stretch.
                    number = self._begin(room, event.position - 1)
                self._note(number, event)
                self.held[room] = max(self.held[room], event.position)
        finally:
            self._log.ended(number, feed.reason or "")

    def _begin(self, room: str, after: int) -> int:
        self._connections += 1
        return self._log.subscribed(self.user_id, self._connections, room, after, lasts=True)

    def _note(self, number: int, event: Event) -> None:
        assert event.prev is not None, "events of rooms name the one before"
        subject, content, deleted = shown(event.kind, event.data)
        self._log.figures["events handed out by the library"] += 1
        self._log.told(number, event.position, event.prev, event.kind, subject, content, deleted=deleted)

    async def _talk(self, chat: Chat) -> None:
        while self._pending is not None or not self.stopping:
            if self._pending is None:
                self._count += 1
                message_id = str(UUID(int=self._chance.getrandbits(128), version=4))
                self._pending = (self._chance.choice(self.rooms), message_id, f"{self.user_id[-6:]} r{self._count}")
            room, message_id, content = self._pending
            sent = self._log.sent(self.user_id, room, message_id, content)
            try:
                done = await chat.send(room, content, message_id=message_id, timeout=SEND_SECONDS)
            except Unacknowledged:
                self._log.unknown(sent, "unacknowledged")
                continue
            except Refused as refused:
                # The library repeats by itself: an earlier try of this one may have been written.
                self._log.unknown(sent, refused.code)
            else:
                self._log.acknowledged(sent, done.position)
            self._pending = None
            await asyncio.sleep(self._chance.expovariate(1 / (2 * PACE_SECONDS)))
        self.is_done = True
