"""`hansard record topics`: what the record holds, by topic and version."""

import argparse
import sys
import time
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from adapters.postgres.record_topics import Counted, count_topics
from domain.topics import kind_of, read_written
from runtime.command import Command
from runtime.composition.process_context import process_context
from runtime.operators.progress import ProgressShown
from runtime.settings import Settings
from workers.rebuild_reports import Progress

STATEMENT_SECONDS = 600.0


class TopicLine(Struct, frozen=True):
    """A version of a topic, as it is printed. `is_known`: this release has a type for it, and can read it."""

    topic: str
    version: int
    is_known: bool
    count: int
    first: int
    last: int


class Topics(Struct, frozen=True):
    """All topics of the record up to `position`, by name."""

    position: int
    topics: tuple[TopicLine, ...]


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Read the record once; print a line a topic, or one JSON document."""
    shown, began = ProgressShown(sys.stderr), time.perf_counter()
    counted = Counted(0, ())
    async with process_context(settings, statement_seconds=STATEMENT_SECONDS) as base:
        head = await base.record.head()
        async for counted in count_topics(base.db, head.position):
            shown(Progress("record", counted.position, head.position, time.perf_counter() - began))
    topics = topics_of(counted)
    for line in [msgspec.json.encode(topics).decode()] if asked.json else table(topics):
        print(line)
    return 0


def topics_of(counted: Counted) -> Topics:
    lines = tuple(
        TopicLine(*read_written(each.topic), kind_of(each.topic) is not None, each.count, each.first, each.last)
        for each in counted.topics
    )
    return Topics(counted.position, lines)


def table(topics: Topics) -> Iterator[str]:
    """Give the lines of a table for people."""
    width = max((len(each.topic) for each in topics.topics), default=5)
    yield f"{'topic':<{width}} {'version':>7} {'count':>13} {'first':>13} {'last':>13}"
    for each in topics.topics:
        unknown = "" if each.is_known else "  unknown to this release"
        yield f"{each.topic:<{width}} {each.version:>7} {each.count:>13,} {each.first:>13,} {each.last:>13,}{unknown}"
    yield f"{sum(each.count for each in topics.topics):,} events up to position {topics.position:,}."


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=("topics",), help="topics: how many events of each version, the first and the last"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


COMMAND = Command(run, _describe)
