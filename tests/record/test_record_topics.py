"""`hansard record topics` counts every event of the record once, by topic, and says what this release does not know."""

from collections import defaultdict

import asyncpg
import msgspec
import pytest

from adapters.postgres import record_topics
from adapters.postgres.record_topics import Counted, TopicCount, count_topics
from domain.ports.record import Record
from runtime.operators.record import TopicLine, Topics, table, topics_of
from tests.deployments import ledger
from tests.projections.test_read_models import make_history

INSERT_UNKNOWN = """
    INSERT INTO record.events SELECT position + 1, gen_random_uuid(), 1, 'thing.of_tomorrow', '{}', '{}', NULL, now() FROM record.head
"""


async def read_through(record: Record) -> dict[str, list[int]]:
    """Return the positions of each topic, as whoever follows the record finds them."""
    positions: dict[str, list[int]] = defaultdict(list)
    for recorded in await record.after(0, limit=100_000):
        positions[recorded.event.topic].append(recorded.position)
    return positions


@pytest.mark.parametrize("stretch", [7, 500_000])
async def test_every_event_is_counted_once_whatever_the_stretches(
    database_url: str, monkeypatch: pytest.MonkeyPatch, stretch: int
) -> None:
    monkeypatch.setattr(record_topics, "STRETCH_EVENTS", stretch)
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 60, 80)
        head = (await record.head()).position
        read = await read_through(record)
        counted = [each async for each in count_topics(db, head)]
        assert len(counted) == -(-head // stretch) and counted[-1].position == head
        assert counted[-1].topics == tuple(
            TopicCount(topic, len(positions), positions[0], positions[-1]) for topic, positions in sorted(read.items())
        )
        assert len(read) > 8 and sum(each.count for each in counted[-1].topics) == head
        await make_history(command_bus, 61, 5)
        assert [each async for each in count_topics(db, head)][-1] == counted[-1], (
            "what is written meanwhile does not count"
        )


async def test_an_empty_record_has_no_topics(database_url: str) -> None:
    async with ledger(database_url) as (db, record, _):
        assert [each async for each in count_topics(db, (await record.head()).position)] == []


async def test_a_topic_that_this_release_does_not_know_is_said_to_be_so(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 62, 10)
        owner = await asyncpg.connect(database_url)
        await owner.execute(INSERT_UNKNOWN)
        await owner.close()
        head = (await record.head()).position
        topics = topics_of([each async for each in count_topics(db, head)][-1])
    assert {line.topic for line in topics.topics if not line.is_known} == {"thing.of_tomorrow"}
    lines = list(table(topics))
    (unknown,) = [line for line in lines if line.startswith("thing.of_tomorrow")]
    assert unknown.split() == [
        "thing.of_tomorrow",
        "1",
        "1",
        f"{head:,}",
        f"{head:,}",
        "unknown",
        "to",
        "this",
        "release",
    ]
    assert lines[-1] == f"{head:,} events up to position {head:,}."
    assert msgspec.json.decode(msgspec.json.encode(topics), type=Topics) == topics


def test_columns_stand_below_each_other() -> None:
    counts = (TopicCount("a", 1, 2, 3), TopicCount("message.posted", 1_234_567, 5, 12_345_678))
    topics = topics_of(Counted(20_000_000, counts))
    assert topics.topics[1] == TopicLine("message.posted", 1, True, 1_234_567, 5, 12_345_678)
    assert list(table(topics)) == [
        "topic          version         count         first          last",
        "a                    1             1             2             3  unknown to this release",
        "message.posted       1     1,234,567             5    12,345,678",
        "1,234,568 events up to position 20,000,000.",
    ]
