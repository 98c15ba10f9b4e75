"""Who is told outside the chat, when and how often: presence, quiet hours, reading, outages, answers of channels."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from adapters.clock import now
from commands.block import BlockUser
from commands.message import DeleteMessage, PostMessage
from commands.notification import MarkNotificationsRead
from commands.reading import MarkRead
from domain.delivery import TRIES_MAX
from domain.ids import MessageId
from domain.ports.channels import Gone, Later, Refused
from domain.quiet_hours import Quiet
from projections import NOTIFICATIONS
from tests.conftest import Servers, fresh_database
from tests.deployments import logged
from tests.notifier.desks import MAIL_SECONDS, Notifier, notifier
from workers.rebuild import Rebuild


@pytest.fixture
async def desk(servers: Servers) -> AsyncIterator[Notifier]:
    async with fresh_database(servers) as url, notifier(url) as made:
        yield made


def quiet_now() -> Quiet:
    """Quiet hours that began an hour ago and end in an hour, by the clock of UTC."""
    at = datetime.now(UTC)
    return Quiet(f"{at - timedelta(hours=1):%H:%M}", f"{at + timedelta(hours=1):%H:%M}", "UTC")


async def test_a_mention_is_told_once_and_shows_no_more_than_is_wanted(desk: Notifier) -> None:
    ada, ben, cyd = await desk.somebody(), await desk.somebody(), await desk.somebody()
    await desk.want(cyd, content="shown")
    room_id = await desk.room(ada, ben, cyd)
    with logged(structlog.processors.KeyValueRenderer()) as lines:
        position = await desk.say(ada, room_id, f"@{ben.name} @{cyd.name} CANARY")
        assert await desk.run() == [(position, 1), (position, 1)]
        assert await desk.run() == []
    by_device = {told.target_id: told.notice for told in desk.push.told if told.notice.position == position}
    his, hers = by_device[ben.device], by_device[cyd.device]
    assert (his.kind, his.room_id, his.actor_id) == ("mention", room_id, ada.id)
    assert (his.text, his.room_name, his.actor_name) == (None, None, None)
    assert (hers.text, hers.room_name, hers.actor_name) == (f"@{ben.name} @{cyd.name} CANARY", "Room", ada.name)
    assert "CANARY" not in lines.getvalue() and ben.name not in lines.getvalue()


async def test_who_looks_at_the_room_is_not_told_and_here_means_here(desk: Notifier) -> None:
    ada, ben, cyd = await desk.somebody(), await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben, cyd)
    desk.here.rooms[room_id] = {ben.id}
    everybody = await desk.say(ada, room_id, "@room dinner")
    await desk.run()
    assert [told.target_id for told in desk.push.told if told.notice.position == everybody] == [cyd.device]
    desk.here.rooms.clear()
    desk.here.elsewhere = {ben.id}
    here = await desk.say(ada, room_id, "@here dinner")
    await desk.run()
    assert [told.target_id for told in desk.push.told if told.notice.position == here] == [ben.device]


@pytest.mark.parametrize("how", ["room", "inbox", "deleted", "blocked", "none"])
async def test_what_is_read_or_void_meanwhile_is_taken_back(desk: Notifier, how: str) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben)
    await desk.want(ben, dnd_until=now() + timedelta(hours=2))
    said = MessageId(ben.device)
    outcome = await desk.command_bus.do(PostMessage(room_id, said, f"@{ben.name}"), ada.caller)
    assert await desk.run() == []
    match how:
        case "room":
            await desk.command_bus.do(MarkRead(room_id, outcome.position), ben.caller)
        case "inbox":
            await desk.command_bus.do(MarkNotificationsRead(outcome.position), ben.caller)
        case "deleted":
            await desk.command_bus.do(DeleteMessage(said), ada.caller)
        case "blocked":
            await desk.command_bus.do(BlockUser(ada.id), ben.caller)
        case "none":
            await desk.want(ben, default="none")
    desk.later = timedelta(hours=3)
    assert await desk.run() == []
    assert (await desk.states())["withdrawn"] == 1


async def test_quiet_hours_end_with_one_summary(desk: Notifier) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben)
    await desk.want(ben, quiet=quiet_now(), content="shown")
    positions = [await desk.say(ada, room_id, f"@{ben.name} {n}") for n in range(3)]
    assert await desk.run() == []
    desk.later = timedelta(minutes=61)
    assert await desk.run() == [(positions[-1], 3)]
    notice = desk.push.told[-1].notice
    assert (notice.text, notice.message_id, notice.room_name) == (None, None, "Room")
    assert (await desk.states())["folded"] == 2


async def test_whoever_is_not_to_be_disturbed_for_ever_keeps_nobody_else_waiting(
    desk: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records have such times from before they were refused."""
    monkeypatch.setattr("domain.notification.require_in_range", lambda *_, **__: None, raising=False)
    ada, ben, eve = await desk.somebody(), await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben, eve)
    for quiet in (None, Quiet("22:00", "07:00", "Pacific/Kiritimati")):
        await desk.want(ben, quiet=quiet, dnd_until=datetime.fromisoformat("9999-12-31T23:59:59-14:00"))
        said = await desk.say(ada, room_id, f"@{ben.name} @{eve.name}")
        assert await desk.run() == [(said, 1)]
        assert desk.push.told[-1].target_id == eve.device


async def test_after_an_outage_of_an_hour_there_is_one_summary(desk: Notifier) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben)
    first = await desk.say(ada, room_id, f"@{ben.name} is told")
    assert await desk.run() == [(first, 1)]
    positions = [await desk.say(ada, room_id, f"@{ben.name} {n}") for n in range(40)]
    desk.later = timedelta(hours=1)
    desk.start()
    assert await desk.run() == [(positions[-1], 40)]
    fresh = await desk.say(ada, room_id, f"@{ben.name} news")
    desk.later = timedelta()
    assert await desk.run() == [(fresh, 1)]


async def test_while_the_plan_is_behind_what_is_old_waits(desk: Notifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.notice_planner.PLAN_ROWS_MAX", 7)
    ada, ben = await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben)
    positions = [await desk.say(ada, room_id, f"@{ben.name} {n}") for n in range(30)]
    desk.later = timedelta(hours=1)
    await desk.follow()
    before = len(desk.push.told)
    while await desk.planner.step():
        await desk.tell()  # a teller that is faster than the planner
    await desk.tell()
    assert [(told.notice.position, told.notice.count) for told in desk.push.told[before:]] == [(positions[-1], 30)]


async def test_a_flood_is_one_notice(desk: Notifier) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben)
    positions = [await desk.say(ada, room_id, f"@{ben.name} {n}") for n in range(4)]
    assert await desk.run() == [(positions[-1], 4)]
    positions = [await desk.say(ada, room_id, f"@{ben.name} {n}") for n in range(3)]
    assert await desk.run() == [(position, 1) for position in positions]


async def test_the_teller_is_woken_only_if_somebody_is_to_be_told(desk: Notifier) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben)
    desk.start()
    desk.here.rooms[room_id] = {ben.id}
    await desk.say(ada, room_id, f"@{ben.name} sees it")
    await desk.plan()
    assert not desk.planner.planned.is_set()
    desk.here.rooms.clear()
    await desk.say(ada, room_id, f"@{ben.name} is away")
    await desk.plan()
    assert desk.planner.planned.is_set()


async def test_nobody_is_told_of_what_cannot_be_read_yet(desk: Notifier) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben)
    position = await desk.say(ada, room_id, f"@{ben.name}")
    await desk.follow(NOTIFICATIONS)  # and the live tables are behind
    assert await desk.planner.step() == 0
    assert await desk.run() == [(position, 1)]


async def test_a_rebuild_tells_nobody_anything(desk: Notifier) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben)
    await desk.say(ada, room_id, f"@{ben.name}")
    assert len(await desk.run()) == 1
    verdicts = await Rebuild(NOTIFICATIONS, desk.record, desk.db, progress=lambda progress: None).run(swap=True)
    assert all(verdict.is_equal for verdict in verdicts)
    desk.start()
    assert await desk.run() == []
    await desk.db.run(
        "UPDATE read.checkpoints SET position = 0 WHERE name = 'notifications'"
    )  # as if all were made anew
    await desk.db.run("DELETE FROM read.notifications")
    await desk.db.run("DELETE FROM read.notification_members")
    assert await desk.run() == []
    assert await desk.db.value("SELECT count(*) FROM read.notifications") == 2


async def test_a_record_that_was_restored_tells_nothing_again(desk: Notifier) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben)
    await desk.say(ada, room_id, f"@{ben.name} was told before the backup was put back")
    await desk.follow()
    head = await desk.record.head()
    assert await desk.record.renew(head.record, head.position + 1)
    assert await desk.run() == []
    position = await desk.say(ada, room_id, f"@{ben.name} is new")
    assert await desk.run() == [(position, 1)]


async def test_later_is_tried_again_and_given_up_in_the_end(desk: Notifier) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben)
    desk.push.answers[ben.device] = [Later(90.0)]
    position = await desk.say(ada, room_id, f"@{ben.name}")
    assert await desk.run() == []
    desk.later = timedelta(seconds=60)  # the clock goes on meanwhile, and on a busy machine by seconds
    assert await desk.run() == []
    desk.later = timedelta(seconds=91)
    assert await desk.run() == [(position, 1)]
    desk.push.answers[ben.device] = [Later(0.0)] * 50
    await desk.say(ada, room_id, f"@{ben.name} again")
    for _ in range(3 * TRIES_MAX):
        await desk.run()
        desk.later += timedelta(hours=1)
    assert len(desk.push.answers[ben.device]) == 50 - TRIES_MAX
    [letter] = await desk.outbox.dead_letters(limit=10)
    assert (letter.channel, letter.target_id, letter.tries) == ("push", ben.device, TRIES_MAX)


async def test_what_is_refused_is_a_dead_letter_and_a_device_that_is_gone_is_forgotten(desk: Notifier) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    room_id = await desk.room(ada, ben)
    desk.push.answers[ben.device] = [Refused("413")]
    await desk.say(ada, room_id, f"@{ben.name}")
    assert await desk.run() == []
    assert [letter.reason for letter in await desk.outbox.dead_letters(limit=10)] == ["413"]
    desk.push.answers[ben.device] = [Gone()]
    await desk.say(ada, room_id, f"@{ben.name}")
    assert await desk.run() == []
    assert await desk.push.targets(ben.id) == []
    await desk.say(ada, room_id, f"@{ben.name}")
    assert await desk.run() == []
    assert (await desk.states())["gone"] == 1


async def test_mail_comes_to_who_has_been_away_and_one_for_all(desk: Notifier) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    await desk.want(ben, email="soon")
    room_id = await desk.room(ada, ben)
    await desk.command_bus.do(MarkNotificationsRead(2**62), ben.caller)
    desk.here.rooms[room_id] = {ben.id}
    first = await desk.say(ada, room_id, f"@{ben.name} one")
    last = await desk.say(ada, room_id, f"@{ben.name} two")
    assert await desk.run() == [], "he looks at the room"
    desk.later = timedelta(seconds=MAIL_SECONDS + 1)
    await desk.run()
    assert desk.mail.told == [], "he is still here"
    desk.here.rooms.clear()
    desk.later = timedelta(seconds=2 * MAIL_SECONDS + 5)
    await desk.run()
    assert [(told.notice.position, told.notice.count) for told in desk.mail.told] == [(last, 2)]
    assert first < last


async def test_a_digest_comes_in_the_morning_even_in_quiet_hours(desk: Notifier) -> None:
    ada, ben = await desk.somebody(), await desk.somebody()
    await desk.want(ben, email="daily", quiet=Quiet("00:00", "23:59", "Asia/Kathmandu"))
    room_id = await desk.room(ada, ben)
    await desk.command_bus.do(MarkNotificationsRead(2**62), ben.caller)
    last = await desk.say(ada, room_id, f"@{ben.name}")
    await desk.run()
    assert desk.mail.told == []
    desk.later = timedelta(hours=25)
    await desk.run()
    assert [(told.notice.position, told.notice.count) for told in desk.mail.told] == [(last, 1)]
