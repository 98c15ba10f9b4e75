"""The `eventsourcing` library's own recorder test cases, run against our record, and a stock application reading it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError, OperationalError, ProgrammingError, StoredEvent
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)

from adapters.eventsourcing_bridge import Bridge, DomainFact, RecordRecorder, StreamRecorder
from adapters.postgres.master_key import Master, load_master
from commands.account import RegisterAccount
from commands.room import OpenRoom
from domain.account import AccountRegistered
from domain.events import Caller
from domain.ids import RoomId, UserId
from domain.room import RoomOpened
from tests.conftest import Servers
from tests.deployments import ledger

pytestmark = pytest.mark.usefixtures("own_record")


@pytest.fixture
def own_record(request: pytest.FixtureRequest, database_url: str) -> Iterator[None]:
    """A record of the test case's own, given to unittest's instance."""
    bridge = Bridge(database_url)
    if request.instance is not None:
        request.instance.bridge = bridge
    yield
    bridge.close()


class TestAggregateRecorder(AggregateRecorderTestCase):
    bridge: Bridge

    def create_recorder(self) -> StreamRecorder:
        return StreamRecorder(self.bridge)


class TestApplicationRecorder(ApplicationRecorderTestCase):
    bridge: Bridge

    def create_recorder(self) -> RecordRecorder:
        return RecordRecorder(self.bridge)


class TestNonInterleavingIds(NonInterleavingNotificationIDsBaseCase):
    bridge: Bridge

    def create_recorder(self) -> RecordRecorder:
        return RecordRecorder(self.bridge)


class Dog(Aggregate):
    def __init__(self, name: str) -> None:
        self.tricks: list[str] = [name]

    @event("Learned")
    def learn(self, trick: str) -> None:
        self.tricks.append(trick)


async def test_a_stock_application_saves_and_reads_its_own_aggregates(database_url: str) -> None:
    def use() -> list[str]:
        app = Application[UUID](
            env={"PERSISTENCE_MODULE": "adapters.eventsourcing_bridge", "HANSARD_DATABASE_URL": database_url}
        )
        dog = Dog("Fido")
        dog.learn("roll over")
        app.save(dog)
        found: Dog = app.repository.get(dog.id)
        app.close()
        return found.tricks

    assert await asyncio.to_thread(use) == ["Fido", "roll over"]


async def test_a_stock_application_reads_our_record(database_url: str, tmp_path: Path, servers: Servers) -> None:
    key_file = tmp_path / "master.key"
    master = load_master(key_file, create=True)
    user_id, room_id = UserId(uuid4()), RoomId(uuid4())
    async with ledger(database_url, master=master) as (_, _, command_bus):
        await command_bus.do(RegisterAccount(user_id, "ada@example.com", "ada", "no hash"), Caller())
        await command_bus.do(OpenRoom(room_id, "Lobby"), Caller(user_id=user_id))

    def read() -> list[DomainFact]:
        app = Application[UUID](
            env={
                "PERSISTENCE_MODULE": "adapters.eventsourcing_bridge",
                "HANSARD_DATABASE_URL": database_url,
                "HANSARD_MASTER_KEY_FILE": str(key_file),
            }
        )
        notifications = app.notification_log.select(start=1, limit=10)
        assert [notification.id for notification in notifications] == [1, 2, 3]
        assert [notification.topic for notification in notifications] == [
            "account.registered",
            "room.opened",
            "member.joined",
        ]
        events = [cast(DomainFact, app.mapper.to_domain_event(notification)) for notification in notifications]
        app.close()
        return events

    registered, opened, _ = await asyncio.to_thread(read)
    assert registered.recorded.event == AccountRegistered(user_id, "ada@example.com", "ada", "no hash")
    assert isinstance(opened.recorded.event, RoomOpened) and opened.recorded.event.name == "Lobby"
    assert isinstance(master, Master)


async def test_the_library_may_read_our_record_and_never_write_it(database_url: str) -> None:
    async with ledger(database_url) as (_, record, command_bus):
        await command_bus.do(RegisterAccount(UserId(uuid4()), "ada@example.com", "ada", "no hash"), Caller())

        def save() -> None:
            app = Application[UUID](
                env={"PERSISTENCE_MODULE": "adapters.eventsourcing_bridge", "HANSARD_DATABASE_URL": database_url}
            )
            try:
                app.save(Dog("Fido"))
            finally:
                app.close()

        with pytest.raises(ProgrammingError):
            await asyncio.to_thread(save)
        assert (await record.head()).position == 1


async def test_a_subscription_of_the_library_follows_what_we_append(database_url: str) -> None:
    bridge = await asyncio.to_thread(Bridge, database_url)
    heard: list[tuple[int, str]] = []

    def follow() -> None:
        with RecordRecorder(bridge).subscribe(gt=0) as subscription:
            for notification in subscription:
                heard.append((notification.id, notification.topic))
                if len(heard) == 3:
                    return

    async with ledger(database_url) as (_, _, command_bus), asyncio.timeout(30):
        following = asyncio.create_task(asyncio.to_thread(follow))
        user_id = UserId(uuid4())
        await command_bus.do(RegisterAccount(user_id, "ada@example.com", "ada", "no hash"), Caller())
        await command_bus.do(OpenRoom(RoomId(uuid4()), "Lobby"), Caller(user_id=user_id))
        await following
    await asyncio.to_thread(bridge.close)
    assert heard == [(1, "account.registered"), (2, "room.opened"), (3, "member.joined")]


async def test_a_record_that_is_away_is_told_in_the_librarys_words(database_url: str) -> None:
    def use() -> None:
        bridge = Bridge(database_url)
        recorder = RecordRecorder(bridge)
        event = StoredEvent(uuid4(), 1, "dog:born", b"{}")
        recorder.insert_events([event])
        with pytest.raises(IntegrityError):
            recorder.insert_events([event])
        bridge.close()
        with pytest.raises(OperationalError):
            Bridge("postgresql://nobody@127.0.0.1:1/nowhere")

    await asyncio.to_thread(use)
