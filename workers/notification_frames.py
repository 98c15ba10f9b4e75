"""Frames of the inbox: each notification is told to its owner's sockets, after its row is committed.

They go on a lane of their own. Whoever is told follows from the inbox and not from one event, so these frames come later than
those of the event itself, which must not wait for them: nobody is told of a message before it can be read. Like all of one's own feed they are a hint that nobody replays: who was
away reads the inbox. An entry has frames of several people and positions, and is refused if the lane does not end where it
begins; so a repeat tells nobody twice, and a rebuild tells nothing.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice, zip_longest

import structlog

from adapters.redis.lanes import NOTIFICATIONS, Lanes, LanesUnavailableError, NotificationEntry
from domain.bounds import POLL_SECONDS
from domain.ports.database import Db
from domain.ports.record import RecordUnavailableError
from projections import checkpoints, notifications
from projections.frames import Control, Own, encode_control
from projections.notification_frames import own_of
from projections.notifications import Told

PAUSE_SECONDS = 0.05  # until it is looked again whether the events themselves are in the tables, and were published
ROWS_MAX = 2_000
ENTRY_FRAMES = 20  # enough for an entry: it ends with the position
ENTRY_FRAMES_MAX = 200

log = structlog.get_logger()


class NotificationFrames:
    """Publishes frames while its process follows the inbox; a standby's waits."""

    def __init__(self, db: Db, lanes: Lanes) -> None:
        self._db = db
        self._lanes = lanes
        self._place: int | None = None
        self._is_ahead = False  # of the events themselves
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
        published, place = 0, await self._found_place(until)
        while rows := await notifications.told_since(self._db, place, until, limit=ROWS_MAX):
            entries = entries_of(rows)
            if await self._lanes.publish_notifications(entries, after=place):
                self._place = place = rows[-1].position
                published += len(entries)
            else:  # another process was here, or the answer to our last call was lost
                self._place = None
                place = await self._found_place(until)
        self._place = max(place, until)
        return published

    async def _found_place(self, until: int) -> int:
        """Return up to where everything was published; what the lane says, if it is to be found anew."""
        if self._place is None:
            self._place = int((await self._lanes.last(NOTIFICATIONS)).partition("-")[0]) or until
        return self._place

    async def _until(self) -> int:
        """Return up to where inboxes are filled, and the events themselves are in the tables and were published."""
        inbox = await checkpoints.position(self._db, notifications.GROUP)
        told = await self._lanes.published()
        shown = min(inbox, await notifications.filled_to(self._db))
        until = shown if told is None else min(shown, told)
        self._is_ahead = until < inbox
        return until

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
    """Return the entries of what was told, in its order. A position is in one of them, unless it is of very many people."""
    entries, own, part = list[NotificationEntry](), list[Own](), 0
    for row, following in zip_longest(rows, islice(rows, 1, None)):
        own.append(own_of(row))
        is_last = following is None or following.position != row.position
        is_enough = following is None or part > 0 or len(own) >= ENTRY_FRAMES
        if (is_last and is_enough) or len(own) >= ENTRY_FRAMES_MAX:
            entries.append(NotificationEntry(row.position, part, encode_control(Control(row.position, own=own))))
            own, part = [], 0 if is_last else part + 1
    return entries
