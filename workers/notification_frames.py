"""Frames of the inbox: each notification is told to its owner's sockets, after its row is committed.

They go on a lane of their own. Whoever is told follows from the inbox and not from one event, so these frames come later than
those of the event itself, which must not wait for them: nobody is told of a message before it can be read. Like all of one's own feed they are a hint that nobody replays: who was
away reads the inbox. Redis refuses what the lane has already, so a repeat tells nobody twice, and a rebuild tells nothing.
"""

import asyncio
from collections.abc import Sequence
from itertools import groupby

import structlog

from adapters.redis.lanes import NOTIFICATIONS, Lanes, LanesUnavailableError, NotificationEntry
from domain.bounds import POLL_SECONDS
from domain.ports.database import Db
from domain.ports.record import RecordUnavailableError
from projections import frames, notifications
from projections.frames import Control
from projections.notification_frames import notified
from projections.notifications import Told

PAUSE_SECONDS = 0.05  # until it is looked again whether the events themselves were published
ROWS_MAX = 2_000
PEOPLE_OF_ENTRY_MAX = 200

log = structlog.get_logger()


class NotificationFrames:
    """Publishes frames while its process follows the inbox; a standby's waits."""

    def __init__(self, db: Db, lanes: Lanes) -> None:
        self._db = db
        self._lanes = lanes
        self._place: int | None = None
        self._is_ahead = False  # of what was published of the events themselves
        self._wake = asyncio.Event()

    def begin(self) -> None:
        """Find the place anew: another process may have published in between."""
        self._place = None
        self._wake.set()

    def wake(self) -> None:
        """Note that rows were committed."""
        self._wake.set()

    async def step(self) -> int:
        """Publish what was committed; return how many entries. Raise `LanesUnavailableError`."""
        until = await self._until()
        if self._place is None:
            last = await self._lanes.last(NOTIFICATIONS)
            self._place = int(last.partition("-")[0]) or until
        published = 0
        while rows := await notifications.told_since(self._db, self._place, until, limit=ROWS_MAX):
            entries = [
                entry for _, of_one in groupby(rows, key=lambda row: row.position) for entry in entries_of(list(of_one))
            ]
            await self._lanes.publish_notifications(entries)
            self._place = rows[-1].position
            published += len(entries)
        self._place = max(self._place, until)
        return published

    async def _until(self) -> int:
        """Return up to where inboxes are filled, and the events themselves were published."""
        inbox = await notifications.filled_to(self._db)
        told = await self._lanes.published()
        self._is_ahead = told is not None and told < inbox
        return inbox if told is None else min(inbox, told)

    async def run(self) -> None:
        """Publish whenever rows were committed, for ever. While Redis or Postgres is away, try again every second."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.step()
                if self._is_ahead:
                    await asyncio.sleep(PAUSE_SECONDS)
                    self._wake.set()
            except (LanesUnavailableError, RecordUnavailableError) as error:
                log.warning("frames of the inbox wait", reason=str(error))
                await asyncio.sleep(POLL_SECONDS)
                self._wake.set()


def entries_of(rows: Sequence[Told]) -> list[NotificationEntry]:
    """Return the entries of what was told at one position: one for so many people."""
    own = [own for row in rows for own in notified(row).own]
    position = rows[0].position
    parts = (own[begin : begin + PEOPLE_OF_ENTRY_MAX] for begin in range(0, len(own), PEOPLE_OF_ENTRY_MAX))
    return [
        NotificationEntry(position, number, frames.encode_control(Control(position, own=part)))
        for number, part in enumerate(parts)
    ]
