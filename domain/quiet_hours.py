"""Quiet hours: when a person is not to be disturbed, by the clock of where they live.

They begin on the days that are named and end at the next such time of the clock, which may be on the next day. What the clock
says twice when summer time ends belongs to quiet hours both times; a time that it leaves out in spring is the moment of the
change. The table of time zones (IANA) is the package `tzdata`'s, or the machine's.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct

from domain.errors import InvalidError
from domain.moments import LATEST

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
TURNS_MAX = 10  # between quiet hours and do-not-disturb, until somebody may be told


class Quiet(Struct, frozen=True, rename={"begin": "from", "end": "to"}):
    """`begin` and `end` as the clock shows them ("22:00"); `days` are those on which it begins."""

    begin: str
    end: str
    time_zone: str
    days: tuple[Day, ...] = DAYS


def check_quiet(quiet: Quiet) -> None:
    """Refuse times that are none, no time at all, no day, a day twice, and zones that nobody knows."""
    for pointer, said in (("/quiet/from", quiet.begin), ("/quiet/to", quiet.end)):
        if not CLOCK.fullmatch(said):
            raise InvalidError("A time of the day is HH:MM, 00:00 to 23:59.", pointer=pointer)
    if quiet.begin == quiet.end:
        raise InvalidError("Quiet hours end at another time than they begin.", pointer="/quiet/to")
    if not quiet.days or len(set(quiet.days)) < len(quiet.days):
        raise InvalidError("Name one day or more, each once.", pointer="/quiet/days")
    if quiet.time_zone not in _zones():
        raise InvalidError("This is no time zone (IANA), like Europe/Berlin.", pointer="/quiet/time_zone")


def held_until(quiet: Quiet | None, dnd_until: datetime | None, now: datetime) -> datetime | None:
    """Return until when a person is not to be told anything; None if they may be told now.

    Do-not-disturb for ever, as records may have it, ends a few days before the calendar does.
    """
    until, dnd_until = now, None if dnd_until is None else min(dnd_until, LATEST)
    for _ in range(TURNS_MAX):
        ends = [end for end in (dnd_until, _quiet_until(quiet, until)) if end is not None and end > until]
        if not ends:
            break
        until = max(ends)
    return None if until == now else until


def next_time(clock: str, time_zone: str | None, now: datetime) -> datetime:
    """Return when the clock of a zone (UTC if it is unknown) next shows this time, after now."""
    zone = ZoneInfo(time_zone) if time_zone in _zones() and time_zone is not None else ZoneInfo("UTC")
    today = now.astimezone(zone).date()
    return next(
        moment for days in range(3) if (moment := _moment(today + timedelta(days=days), clock, zone, fold=0)) > now
    )


def _quiet_until(quiet: Quiet | None, now: datetime) -> datetime | None:
    """Return when the quiet hours end in which a moment lies; None if it lies in none."""
    if quiet is None or quiet.time_zone not in _zones():
        return None
    zone = ZoneInfo(quiet.time_zone)
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        if DAYS[day.weekday()] not in quiet.days:
            continue
        last = day + timedelta(days=1) if quiet.end < quiet.begin else day
        end = _moment(last, quiet.end, zone, fold=1)
        if _moment(day, quiet.begin, zone, fold=0) <= now < end:
            return end
    return None


def _moment(day: date, clock: str, zone: ZoneInfo, *, fold: Literal[0, 1]) -> datetime:
    """Return when a zone's clock shows a time on a day: the first moment (`fold` 0) or the second if there are two, and the
    moment at which the clock is put forward if it leaves the time out."""
    hours, minutes = map(int, clock.split(":"))
    shown = datetime.combine(day, time(hours, minutes), zone)
    first, second = (shown.replace(fold=each).astimezone(UTC) for each in (0, 1))
    if second < first:  # left out: PEP 495 gives the earlier moment to fold 1
        return _change_between(second, first, zone)
    return second if fold else first


def _change_between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Return the minute at which a zone's clock is changed, between two moments."""
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) // 2
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return high.replace(second=0, microsecond=0)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
