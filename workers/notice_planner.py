"""The planner: decides what of the inbox is told outside the chat, by which channel, to which devices, and when.

It follows the inbox behind its own place, which stands in no read table: a rebuild of the inbox tells nobody anything, and
whatever is planned is planned once. Who has the room before them at this moment is not told; settings are those of today.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from msgspec.structs import replace

from adapters.postgres.outbox import LAST_ACCOUNT, NewNotification, Outbox, Place, Planned
from domain.delivery import due_at
from domain.ids import UserId
from domain.notification import NotificationSettings
from domain.ports.channels import Channel
from domain.ports.clock import Clock
from domain.ports.database import Db
from domain.ports.presence import WhoIsHere
from domain.ports.record import Record
from projections import notifications
from projections.notifications import decode_settings
from workers.woken_loop import repeat

PLAN_ROWS_MAX = 500
REST_SECONDS = 0.5  # between rounds, where people are named all the time
EMPTY_EVENTS = 10_000  # in which nothing was for anybody, until that is noted
BEHIND_EVENTS = 500  # the inbox behind the record: what is old is then not told piece by piece

log = structlog.get_logger()


class NoticePlanner:
    """Any number may run; of two that plan the same at once one does nothing."""

    def __init__(
        self,
        record: Record,
        db: Db,
        channels: Sequence[Channel],
        here: WhoIsHere,
        *,
        now: Clock,
        mail_seconds: float,
    ) -> None:
        self.planned = asyncio.Event()  # set when there may be something to tell
        self.caught_up = asyncio.Event()  # set when all is planned that was on the record at the first step
        self._first_head: int | None = None
        self._record = record
        self._db = db
        self._outbox = Outbox(db)
        self._channels = channels
        self._here = here
        self._now = now
        self._mail_seconds = mail_seconds

    async def step(self) -> int:
        """Plan what came next; return how many notifications were looked at, 0 if there were none."""
        head, place = await self._record.head(), await self._outbox.place()
        if self._first_head is None:
            self._first_head = head.position
        if place.record != head.record:
            place = await self._begin(place, replace(place, record=head.record), head.position)
        until = await notifications.filled_to(self._db)
        found = await self._outbox.new(place, until, limit=PLAN_ROWS_MAX)
        has_more = len(found) == PLAN_ROWS_MAX
        is_behind = has_more or head.position - until > BEHIND_EVENTS
        if has_more:
            after = Place(head.record, found[-1].position, found[-1].account_id, is_behind)
        else:
            after = Place(head.record, max(until, place.position), UserId(LAST_ACCOUNT), is_behind)
        is_first_done = not has_more and until >= self._first_head
        if not found and is_behind == place.is_behind and until - place.position < EMPTY_EVENTS:
            if is_first_done:
                self.caught_up.set()
            return 0
        now = self._now()
        planned = await self._plan(found, now)
        if not await self._outbox.plan(place, after, planned, now):
            return 0
        if planned or place.is_behind is not is_behind:
            self.planned.set()
        return len(found)

    async def run(self, wake: asyncio.Event) -> None:
        """Plan whenever the inbox has moved (`wake`), and every second."""
        await repeat(self._plan_what_came, wake, waits="planning notices waits")

    async def _plan_what_came(self) -> int:
        """Plan until nothing more is there, then rest a little, if there was something: a talk that names people all the time is
        planned twice a second."""
        planned = 0
        while found := await self.step():
            planned += found
            if found < PLAN_ROWS_MAX:
                break
        if planned:
            await asyncio.sleep(REST_SECONDS)
        return 0

    async def _begin(self, place: Place, renamed: Place, head: int) -> Place:
        """Go on in a record that has another id. One that had told something was restored to an earlier state, and what it
        holds was told before: nothing of it is told again. A place at 0 has told nothing."""
        if place.position:
            renamed = replace(renamed, position=max(head, 0), account_id=UserId(LAST_ACCOUNT))
            log.warning("the record is another one: notices begin at its end", position=head)
        await self._outbox.begin_anew(place, renamed, self._now())
        return renamed

    async def _plan(self, found: Sequence[NewNotification], now: datetime) -> list[Planned]:
        """Return what is told of these notifications."""
        looking = await self._here.looking({each.room_id for each in found if each.room_id is not None})
        online = await self._here.online({each.account_id for each in found if each.is_here})
        targets: dict[tuple[str, UserId], list[UUID]] = {}
        planned = []
        for each in found:
            if each.is_here and each.account_id not in online:
                continue
            settings = settings_from(each.settings, each.account_id)
            is_looking = each.room_id is not None and each.account_id in looking.get(each.room_id, ())
            for channel in self._channels:
                due = due_at(
                    channel.name, each.at, settings, is_looking=is_looking, now=now, mail_seconds=self._mail_seconds
                )
                if due is None:
                    continue
                key = (channel.name, each.account_id)
                if key not in targets:
                    targets[key] = await channel.targets(each.account_id)
                planned += [Planned(each, channel.name, target_id, due) for target_id in targets[key]]
        return planned


def settings_from(text: str | None, user_id: UserId) -> NotificationSettings:
    """Return settings as the read table has them; the usual ones if the person never said anything."""
    return NotificationSettings(user_id) if text is None else decode_settings(text)
