"""Which topics the record holds: how many events of each, the first and the last.

The table of events has no index by topic, and needs none for this: it is read once in the order of its positions, a stretch
at a time. So no statement takes long, no snapshot is held, and what is kept in memory is a row a topic.
"""

from collections.abc import AsyncIterator

from msgspec import Struct

from domain.ports.database import Db

STRETCH_EVENTS = 500_000
SELECT_TOPICS = """
    SELECT topic, count(*) AS count, min(position) AS first, max(position) AS last FROM record.events
    WHERE position > $1 AND position <= $2 GROUP BY topic
"""


class TopicCount(Struct, frozen=True):
    """How many events of a topic are recorded, and the positions of the first and the last."""

    topic: str
    count: int
    first: int
    last: int

    def __add__(self, later: "TopicCount") -> "TopicCount":
        return TopicCount(self.topic, self.count + later.count, self.first, later.last)


class Counted(Struct, frozen=True):
    """The topics of all events up to a position, by name."""

    position: int
    topics: tuple[TopicCount, ...]


async def count_topics(db: Db, until: int) -> AsyncIterator[Counted]:
    """Yield what is counted after each stretch; the last one is of everything up to `until`."""
    counts: dict[str, TopicCount] = {}
    position = 0
    while position < until:
        end = min(position + STRETCH_EVENTS, until)
        for found in await db.all(TopicCount, SELECT_TOPICS, position, end):
            counts[found.topic] = counts[found.topic] + found if found.topic in counts else found
        position = end
        yield Counted(position, tuple(counts[topic] for topic in sorted(counts)))
