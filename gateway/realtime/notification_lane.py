"""The lane of notifications: frames of one's own that are made of the inbox, and not of one event.

They come after those of the control lane, with earlier positions, and have a place of their own. While Redis is away, what came
since is read from the inbox itself.
"""

from collections.abc import Callable, Sequence

import msgspec
import structlog
from msgspec.structs import replace

from adapters.redis.lanes import Entry
from domain.ports.database import Db
from projections import frames, notifications
from projections.notification_frames import own_of

ROWS_MAX = 1_000

log = structlog.get_logger()


class NotificationLane:
    """How far this process has sent what inboxes got."""

    def __init__(self, db: Db, *, apply: Callable[[frames.Control], None]) -> None:
        self._db = db
        self._apply = apply
        self._sent = 0  # the position of the last notification that was sent
        self._healed = 0  # what the lane has up to here was sent from the inbox
        self._passed_over = 0
        self._looked = 0  # up to where the inbox was looked at

    @property
    def is_whole(self) -> bool:
        """Whether everything was sent that the lane had when it was passed over."""
        return self._passed_over <= max(self._sent, self._looked)

    async def begin(self) -> None:
        """What was told before is in the inbox."""
        self._sent = self._healed = await notifications.filled_to(self._db)

    def pass_over(self, entries: Sequence[Entry]) -> None:
        """Leave entries to `heal`: the frames of what they speak of come from the record, and later than these would."""
        self._passed_over = max([self._passed_over, *(entry.position for entry in entries)])

    def take(self, entries: Sequence[Entry]) -> None:
        """Send entries of the lane, but for what was sent from the inbox already."""
        for entry in entries:
            if entry.position <= self._healed:
                continue
            self._sent = max(self._sent, entry.position)
            try:
                control = frames.decode_control(entry.frame)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                log.error("an entry of the lane of notifications cannot be read", position=entry.position)
            else:
                self._apply(self._unsent(control))

    def _unsent(self, control: frames.Control) -> frames.Control:
        """Return an entry without what was sent from the inbox: it may begin before that ends."""
        own = [each for each in control.own if each.position > self._healed or not each.position]
        return control if len(own) == len(control.own) else replace(control, own=own)

    async def heal(self) -> None:
        """Send what inboxes got since the last entry. Raise `RecordUnavailableError`."""
        until = await notifications.filled_to(self._db)
        rows = await notifications.told_since(self._db, self._sent, until, limit=ROWS_MAX)
        for row in rows:
            self._sent = self._healed = row.position
            self._apply(frames.Control(row.position, own=[own_of(row)]))
        if len(rows) < ROWS_MAX:
            self._looked = until
