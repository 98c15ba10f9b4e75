"""Quiet hours: across midnight, on some days, and where the clock is changed; and what of settings is refused."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain import notification
from domain.errors import InvalidError
from domain.ids import RoomId, UserId
from domain.notification import NotificationSettings, NotificationsRead, RoomLevel, change, mark
from domain.quiet_hours import DAYS, Day, Quiet, held_until, next_time

ADA = UserId(UUID(int=1))
NIGHT = Quiet("22:00", "07:00", "Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        (NIGHT, "2026-11-27T20:59:59", None),
        (NIGHT, "2026-11-27T21:00:00", "2026-11-28T06:00:00"),
        (NIGHT, "2026-11-28T03:00:00", "2026-11-28T06:00:00"),
        (NIGHT, "2026-11-28T06:00:00", None),
        # 2026-11-27 is a Friday: its night is quiet, that of Saturday is not.
        (replace(NIGHT, days=("fri",)), "2026-11-28T03:00:00", "2026-11-28T06:00:00"),
        (replace(NIGHT, days=("fri",)), "2026-11-28T22:00:00", None),
        (replace(NIGHT, days=("sat",)), "2026-11-28T03:00:00", None),
        # Summer time begins on 2026-03-29, 02:00 becoming 03:00 (01:00 UTC), and ends on 2026-10-25, 03:00 becoming 02:00.
        (Quiet("01:00", "02:30", "Europe/Berlin"), "2026-03-29T00:30:00", "2026-03-29T01:00:00"),
        (Quiet("02:30", "04:00", "Europe/Berlin"), "2026-03-29T01:00:00", "2026-03-29T02:00:00"),
        (Quiet("01:00", "02:30", "Europe/Berlin"), "2026-10-25T00:45:00", "2026-10-25T01:30:00"),
        (Quiet("02:30", "04:00", "Europe/Berlin"), "2026-10-25T00:29:00", None),
        (Quiet("02:30", "04:00", "Europe/Berlin"), "2026-10-25T00:30:00", "2026-10-25T03:00:00"),
        (NIGHT, "2026-10-24T22:00:00", "2026-10-25T06:00:00"),
        (Quiet("09:00", "17:00", "Pacific/Kiritimati"), "2026-11-26T20:00:00", "2026-11-27T03:00:00"),
        (Quiet("09:00", "17:00", "Gone/Zone"), "2026-11-26T20:00:00", None),
    ],
)
def test_quiet_hours_end_by_the_clock_of_the_person(quiet: Quiet, now: str, until: str | None) -> None:
    assert held_until(quiet, None, at(now)) == (None if until is None else at(until))


def test_do_not_disturb_and_quiet_hours_are_one_silence_if_they_touch() -> None:
    assert held_until(NIGHT, at("2026-11-27T22:00:00"), at("2026-11-27T20:00:00")) == at("2026-11-28T06:00:00")
    assert held_until(NIGHT, at("2026-11-28T09:00:00"), at("2026-11-28T05:00:00")) == at("2026-11-28T09:00:00")
    assert held_until(None, at("2026-11-27T22:00:00"), at("2026-11-27T22:00:00")) is None
    always = Quiet("00:00", "23:59", "UTC")
    assert held_until(always, None, at("2026-11-27T12:00:00")) == at("2026-11-27T23:59:00")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin"])
@pytest.mark.parametrize("quiet", [("22:00", "07:00"), ("00:00", "23:59"), ("09:00", "08:59")])
@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z"])
def test_the_end_of_the_calendar_is_the_end_of_every_silence(zone: str, quiet: tuple[str, str], end: str) -> None:
    until = held_until(Quiet(*quiet, zone), datetime.fromisoformat(end), at("2026-11-27T12:00:00"))
    assert until is not None and until.astimezone(ZoneInfo(zone)).year == 9999


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/Phoenix"]),
    st.times(),
    st.times(),
    st.lists(st.sampled_from(DAYS), min_size=1, unique=True),
)
def test_where_no_clock_is_changed_the_clock_alone_says_what_is_quiet(
    naive: datetime, zone: str, begin: time, end: time, days: list[Day]
) -> None:
    now, quiet = naive.replace(tzinfo=UTC), Quiet(f"{begin:%H:%M}", f"{end:%H:%M}", zone, tuple(days))
    here = now.astimezone(ZoneInfo(zone))
    shown, today, yesterday = f"{here:%H:%M}", DAYS[here.weekday()], DAYS[here.weekday() - 1]
    if quiet.begin < quiet.end:
        expected = today in days and quiet.begin <= shown < quiet.end
    else:
        expected = (today in days and shown >= quiet.begin) or (yesterday in days and shown < quiet.end)
    until = held_until(quiet, None, now)
    assert (until is not None) == (expected and quiet.begin != quiet.end)
    assert until is None or now < until <= now + timedelta(days=1)
    assert until is None or f"{until.astimezone(ZoneInfo(zone)):%H:%M}" == quiet.end


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
    st.times(),
    st.times(),
)
def test_silence_is_over_within_a_day_and_an_hour(naive: datetime, zone: str, begin: time, end: time) -> None:
    now, quiet = naive.replace(tzinfo=UTC), Quiet(f"{begin:%H:%M}", f"{end:%H:%M}", zone)
    until = held_until(quiet, None, now)
    assert until is None or now < until <= now + timedelta(hours=25)
    assert until is None or held_until(quiet, None, until) is None


def test_a_digest_comes_at_the_next_such_time() -> None:
    assert next_time("08:00", "Europe/Berlin", at("2026-11-27T06:59:59")) == at("2026-11-27T07:00:00")
    assert next_time("08:00", "Europe/Berlin", at("2026-11-27T07:00:00")) == at("2026-11-28T07:00:00")
    assert next_time("08:00", None, at("2026-11-27T07:00:00")) == at("2026-11-27T08:00:00")


NOTHING_SAID = NotificationSettings(ADA)


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"keywords": ("",)}, "/keywords/0"),
        ({"keywords": ("ok", "  ")}, "/keywords/1"),
        ({"keywords": ("a\nb",)}, "/keywords/0"),
        ({"keywords": ("x" * 51,)}, "/keywords/0"),
        ({"keywords": tuple(f"k{i}" for i in range(51))}, "/keywords"),
        ({"rooms": tuple(RoomLevel(RoomId(UUID(int=i)), "none") for i in range(1_001))}, "/rooms"),
        ({"quiet": replace(NIGHT, begin="24:00")}, "/quiet/from"),
        ({"quiet": replace(NIGHT, end="7:00")}, "/quiet/to"),
        ({"quiet": replace(NIGHT, end="22:00")}, "/quiet/to"),
        ({"quiet": replace(NIGHT, days=())}, "/quiet/days"),
        ({"quiet": replace(NIGHT, days=("mon", "mon"))}, "/quiet/days"),
        ({"quiet": replace(NIGHT, time_zone="Europe")}, "/quiet/time_zone"),
        ({"quiet": replace(NIGHT, time_zone="../etc/passwd")}, "/quiet/time_zone"),
        ({"dnd_until": datetime(2026, 1, 1)}, "/dnd_until"),
        ({"dnd_until": datetime.fromisoformat("9999-12-31T23:59:59-14:00")}, "/dnd_until"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wanted: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidError) as refused:
        change(None, replace(NOTHING_SAID, **wanted))
    assert refused.value.pointer == pointer


def test_the_same_settings_again_change_nothing() -> None:
    assert change(None, NOTHING_SAID) == ()
    [event] = change(None, replace(NOTHING_SAID, keywords=(" Deploy ", "deploy", "ops"), quiet=NIGHT))
    assert event.keywords == ("Deploy", "ops")
    settings = notification.settings_of(event)
    assert change(settings, settings) == ()


def test_the_inbox_is_read_forward_and_at_most_to_the_head() -> None:
    assert mark(None, user_id=ADA, position=9, head=7) == (NotificationsRead(ADA, 7),)
    assert mark(notification.Inbox(7), user_id=ADA, position=7, head=9) == ()
    assert mark(None, user_id=ADA, position=0, head=9) == ()
