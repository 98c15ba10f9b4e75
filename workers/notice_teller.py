"""The teller: tells devices and addresses what is due, each of them at most once, whatever dies in between.

What is told is noted as being told before anything is sent (`adapters/postgres/outbox.py`). If the process dies after that,
nobody knows whether it was told, and it is not told again. Only an answer that says that it was not taken brings it back.
At the last moment it is looked once more whether it was read, deleted or made void, and whether the person sleeps.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

import structlog

from adapters.postgres import outbox
from adapters.postgres.outbox import Due, Outbox
from adapters.prometheus.notices import NoticeMetrics
from domain.delivery import FRESH_SECONDS, MAIL, Bundle, Delivery, again_at, bundles, waits_until
from domain.ports.channels import Channel, Gone, Later, Notice, Outcome, Refused, Told
from domain.ports.clock import Clock
from domain.ports.database import Db
from domain.ports.presence import WhoIsHere
from workers.notice_planner import settings_from
from workers.woken_loop import repeat

TELLING_SECONDS = 60.0  # of one notice: a channel has time-outs of its own, far below
UNKNOWN_SECONDS = 600.0
SWEEP_SECONDS = 60.0
ENDED_DAYS, DEAD_DAYS = 7, 30
AT_ONCE_MAX = 32  # notices that are sent at the same time

log = structlog.get_logger()


class Claimed(NamedTuple):
    """A notice that is noted as being told, and whether it may show what was written."""

    bundle: Bundle
    shows_content: bool


class NoticeTeller:
    """Any number may run: what one has claimed no other sees."""

    def __init__(
        self,
        db: Db,
        channels: Sequence[Channel],
        here: WhoIsHere,
        *,
        now: Clock,
        mail_seconds: float,
        metrics: NoticeMetrics | None = None,
    ) -> None:
        self._db = db
        self._outbox = Outbox(db)
        self._channels = {channel.name: channel for channel in channels}
        self._here = here
        self._now = now
        self._mail_seconds = mail_seconds
        self._metrics = metrics or NoticeMetrics()
        self._swept_at: datetime | None = None

    async def step(self) -> int:
        """Tell what is due; return how many notices were sent or had to wait, 0 if nothing is due."""
        await self._sweep()
        claimed, waiting = await self.claim()
        for some in _chunks(claimed, AT_ONCE_MAX):
            await asyncio.gather(*map(self.tell, some))
        return len(claimed) + waiting

    async def run(self, wake: asyncio.Event) -> None:
        """Tell what is due whenever something was planned (`wake`), and every second."""
        await repeat(self.step, wake, waits="telling waits")

    async def claim(self) -> tuple[list[Claimed], int]:
        """Note what is told now as being told. Return the notices, and how many deliveries were withdrawn or put off."""
        now = self._now()
        async with self._db.transaction() as transaction:
            fresh_since = now - timedelta(seconds=FRESH_SECONDS)
            found = await outbox.due(transaction, self._channels, now, fresh_since)
            online = await self._here.online({each.account_id for each in found if each.channel == MAIL})
            withdrawn = [each for each in found if _is_to_be_withdrawn(each)]
            await outbox.set_state(transaction, withdrawn, "withdrawn", now)
            waiting, claimed = len(withdrawn), list[Claimed]()
            kept = (each for each in found if not _is_to_be_withdrawn(each))
            for _, group in groupby(kept, key=lambda each: (each.channel, each.target_id)):
                to_one = list(group)
                settings = settings_from(to_one[0].settings, to_one[0].account_id)
                until = waits_until(
                    to_one[0].channel, settings, is_online=to_one[0].account_id in online, now=now,
                    mail_seconds=self._mail_seconds,
                )  # fmt: skip
                if until is not None:
                    await outbox.set_due(transaction, to_one, until, now, is_held=True)
                    waiting += len(to_one)
                    continue
                for bundle in bundles(to_one, now):
                    await outbox.set_state(transaction, bundle.deliveries, "telling", now)
                    claimed.append(Claimed(bundle, settings.content == "shown"))
        self._metrics.ended("withdrawn", len(withdrawn))
        return claimed, waiting

    async def tell(self, claimed: Claimed) -> None:
        """Tell one notice, and note what became of it."""
        bundle = claimed.bundle
        channel = self._channels[bundle.last.channel]
        outcome = await self._told(channel, bundle, await self._notice(claimed))
        now = self._now()
        match outcome:
            case Told():
                await outbox.set_state(self._db, bundle.deliveries[:-1], "folded", now, tries=1)
                await outbox.set_state(self._db, bundle.deliveries[-1:], "told", now, tries=1)
                self._metrics.told(bundle.last.channel, (now - bundle.last.at).total_seconds())
            case Gone():
                await self._forget(channel, bundle)
                await self._outbox.gone(channel.name, bundle.last.target_id, now)
                self._metrics.ended("gone", 1)
            case Later(seconds):
                await self._put_off(bundle, seconds, now)
            case Refused(reason):
                await self._give_up(bundle.deliveries, reason, now)
            case None:
                await outbox.set_state(self._db, bundle.deliveries, "unknown", now, tries=1)
                self._metrics.ended("unknown", 1)

    async def _told(self, channel: Channel, bundle: Bundle, notice: Notice) -> Outcome | None:
        """Return what the channel answers; None if it does not, and so nobody knows whether it was told."""
        try:
            async with asyncio.timeout(TELLING_SECONDS):
                return await channel.tell(bundle.last.target_id, notice)
        except Exception as error:  # a fault of the channel: nothing of the notice is in the log
            log.error("a channel failed", channel=channel.name, error=type(error).__name__)
            return None

    async def _forget(self, channel: Channel, bundle: Bundle) -> None:
        try:
            await channel.forget(bundle.last.target_id)
        except Exception as error:  # it will be gone the next time, too
            log.error("a target cannot be forgotten", channel=channel.name, error=type(error).__name__)

    async def _put_off(self, bundle: Bundle, seconds: float, now: datetime) -> None:
        again = again_at(bundle.deliveries, seconds, now)
        if again is None:
            await self._give_up(bundle.deliveries, "it was not taken, however often it was tried", now)
            return
        await outbox.set_due(self._db, bundle.deliveries, again, now, tries=1)
        self._metrics.ended("put_off", 1)

    async def _give_up(self, deliveries: Sequence[Delivery], reason: str, now: datetime) -> None:
        await outbox.set_state(self._db, deliveries, "dead", now, reason=reason, tries=1)
        self._metrics.ended("dead", 1)
        log.warning(
            "a notice is given up", channel=deliveries[-1].channel, position=deliveries[-1].position, reason=reason
        )

    async def _notice(self, claimed: Claimed) -> Notice:
        """Return what is told: without names and text unless the person wants them, and never the text of one out of several."""
        bundle = claimed.bundle
        last, count = bundle.last, len(bundle.deliveries)
        shown = await self._outbox.shown(last.position) if claimed.shows_content else None
        return Notice(
            account_id=last.account_id,
            position=last.position,
            kind=bundle.kind,
            room_id=bundle.room_id,
            message_id=last.message_id if count == 1 else None,
            actor_id=last.actor_id if count == 1 else None,
            thread_id=bundle.thread_id,
            at=last.at.isoformat().replace("+00:00", "Z"),
            count=count,
            room_name=None if shown is None or bundle.room_id is None else shown.room_name or None,
            actor_name=None if shown is None or count > 1 else shown.actor_name,
            text=None if shown is None or count > 1 else shown.text,
        )

    async def _sweep(self) -> None:
        """Once in a while, end what a dead process was telling, and forget what ended long ago."""
        now = self._now()
        if self._swept_at is not None and (now - self._swept_at).total_seconds() < SWEEP_SECONDS:
            return
        self._swept_at = now
        unknown = await self._outbox.sweep(
            telling_before=now - timedelta(seconds=UNKNOWN_SECONDS),
            ended_before=now - timedelta(days=ENDED_DAYS),
            dead_before=now - timedelta(days=DEAD_DAYS),
            now=now,
        )
        self._metrics.ended("unknown", unknown)


def _is_to_be_withdrawn(each: Due) -> bool:
    settings = settings_from(each.settings, each.account_id)
    is_unwanted = each.room_id is not None and settings.level_in(each.room_id) == "none"
    return each.is_read or each.is_void or is_unwanted


def _chunks(items: Sequence[Claimed], size: int) -> Iterable[Sequence[Claimed]]:
    return (items[i : i + size] for i in range(0, len(items), size))
