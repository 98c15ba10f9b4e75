"""Watching the record's id: a record that was replaced by an earlier state of itself has a new one (`workers/publisher.py`).

Cursors, lanes, queues and limits name the record, so every process of the deployment begins anew with the new id.
"""

import asyncio
from contextlib import suppress

from domain.ids import RecordId
from domain.ports.record import Record, RecordReplacedError, RecordUnavailableError

WATCH_SECONDS = 2.0


def watching(record: Record, known: RecordId) -> "asyncio.Task[None]":
    """Start `watch_record` as a loop of this process."""
    return asyncio.create_task(watch_record(record, known), name="watch of the record's id")


async def watch_record(record: Record, known: RecordId) -> None:
    """Run until the record has another id, then raise `RecordReplacedError`: the process ends and is started again."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        with suppress(RecordUnavailableError):
            found = (await record.head()).record
            if found != known:
                raise RecordReplacedError(f"The record is {found} now, no longer {known}: this process begins anew.")
