"""Events of earlier versions of a topic are read as today's, through a chain of upcasts, by everybody who reads the record."""

from typing import Any, ClassVar
from uuid import UUID, uuid4

import asyncpg
import pytest

from adapters.postgres import codec
from adapters.postgres.audit import AuditReader
from adapters.postgres.audit_index import Filter
from adapters.postgres.record_topics import count_topics
from domain import topics
from domain.events import Caller, Event, Stream, UnknownEvent, UnreadableEvent
from domain.ids import RoomId
from domain.ports.record import Append, Appended, Record, Write
from runtime.operators.record import topics_of
from tests.deployments import MASTER, ledger

TOPIC = "thing.weighed"
DESTROY = "UPDATE vault.data_keys SET wrapped = NULL"
SELECT_TOPICS = "SELECT topic FROM record.events ORDER BY position"


class Weighed1(Event, frozen=True):
    """As it was first: a weight as people wrote it, and who weighed by name."""

    topic: ClassVar = TOPIC
    sealed: ClassVar = ("weigher",)

    thing_id: UUID
    weight: str
    weigher: str

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.thing_id, None


class Weighed2(Event, frozen=True):
    """Then a number of grams."""

    topic: ClassVar = TOPIC
    topic_version: ClassVar = 2
    sealed: ClassVar = ("weigher",)

    thing_id: UUID
    grams: int
    weigher: str

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.thing_id, None


def in_grams(members: dict[str, Any]) -> dict[str, Any]:
    number, unit = members.pop("weight").split()
    return members | {"grams": int(number) * {"g": 1, "kg": 1000}[unit]}


def in_milligrams(members: dict[str, Any]) -> dict[str, Any]:
    return members | {"milligrams": 1000 * members.pop("grams"), "by": members.pop("weigher", "")}


class Weighed3(Event, frozen=True):
    """Today milligrams, and the weigher has another name."""

    topic: ClassVar = TOPIC
    topic_version: ClassVar = 3
    upcasts: ClassVar = {1: in_grams, 2: in_milligrams}
    sealed: ClassVar = ("by",)

    thing_id: UUID
    milligrams: int
    by: str

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.thing_id, None


THING: Stream[None] = Stream("thing", lambda state, recorded: None, type(None))


async def append(record: Record, thing_id: UUID, *events: Event) -> None:
    answer = await record.append(Append("Weigh", Caller(), (Write(THING.id(thing_id), 0, events),)))
    assert isinstance(answer, Appended)


async def test_a_chain_of_upcasts_reads_every_version(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three, lost = (uuid4() for _ in range(4))
    async with ledger(database_url) as (db, record, _):
        monkeypatch.setitem(topics.STREAM_OF, TOPIC, THING)
        for kind, events in (
            (Weighed1, {one: Weighed1(one, "2 kg", "Ada"), lost: Weighed1(lost, "many tons", "Ada")}),
            (Weighed2, {two: Weighed2(two, 300, "Ben")}),
            (Weighed3, {three: Weighed3(three, 7, "Cleo")}),
        ):
            monkeypatch.setitem(topics.TOPICS, TOPIC, kind)
            for thing_id, event in events.items():
                await append(record, thing_id, event)
        owner = await asyncpg.connect(database_url)
        assert [row["topic"] for row in await owner.fetch(SELECT_TOPICS)] == [TOPIC, TOPIC, f"{TOPIC}@2", f"{TOPIC}@3"]

        read = {recorded.stream: recorded for recorded in await record.after(0, limit=10)}
        assert [read[THING.id(each)].event for each in (one, two, three)] == [
            Weighed3(one, 2_000_000, "Ada"), Weighed3(two, 300_000, "Ben"), Weighed3(three, 7, "Cleo"),
        ]  # fmt: skip
        faulty = read[THING.id(lost)].event
        assert isinstance(faulty, UnreadableEvent) and faulty.fault == "of another shape"
        assert (await record.streams([THING.id(one)]))[THING.id(one)][0].event == Weighed3(one, 2_000_000, "Ada")

        counted = [each async for each in count_topics(db, 4)][-1]
        assert [(line.topic, line.version, line.is_known, line.count) for line in topics_of(counted).topics] == [
            (TOPIC, 1, True, 2), (TOPIC, 2, True, 1), (TOPIC, 3, True, 1),
        ]  # fmt: skip
        audit = await AuditReader.open(db.url, MASTER)
        entries = (await audit.page(Filter(type=TOPIC), after=0, limit=10)).entries
        assert [(entry.type, entry.data.get("milligrams")) for entry in entries] == [
            (TOPIC, 2_000_000), (TOPIC, None), (TOPIC, 300_000), (TOPIC, 7),
        ]  # fmt: skip
        await audit.close()

        # A release that does not know the version passes it over, and nothing is guessed.
        monkeypatch.setitem(topics.TOPICS, TOPIC, Weighed2)
        codec._todays.cache_clear()
        assert [type(recorded.event) for recorded in await record.after(2, limit=10)] == [Weighed2, UnknownEvent]
        monkeypatch.setitem(topics.TOPICS, TOPIC, Weighed3)
        codec._todays.cache_clear()
        await owner.execute(DESTROY)
        await owner.close()
    async with ledger(database_url) as (_, record, _):
        erased = [recorded for recorded in await record.after(0, limit=10) if recorded.stream != THING.id(lost)]
        assert [(recorded.erased, recorded.event) for recorded in erased] == [
            (True, Weighed3(one, 2_000_000, "")), (True, Weighed3(two, 300_000, "")), (True, Weighed3(three, 7, "")),
        ]  # fmt: skip
