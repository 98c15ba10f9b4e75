"""What stands in the task queue, as a worker takes it and as an operator sees it. An entry is JSON that a person can read."""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from domain.ports.tasks import Listed
from domain.tasks import KIND_OF, Kind, Task, name_of, subject_of

TASK_SHOWN_BYTES = 100


class Envelope(Struct, frozen=True):
    """What stands in the queue: a task, which try this is, since when it waits, and in words why the try before failed."""

    task: Task
    attempt: int
    added_at: datetime
    error: str | None = None

    @property
    def name(self) -> str:
        return name_of(KIND_OF[type(self.task)], subject_of(self.task))


class Taken(Struct, frozen=True):
    """An entry that this consumer holds. `tries` counts this try, and those whose worker died."""

    id: bytes
    kind: Kind
    envelope: Envelope
    tries: int
    deliveries: int


decode = msgspec.json.Decoder(Envelope).decode
encode = msgspec.json.Encoder().encode


def listed(
    entry: bytes, kind: Kind, state: Literal["waiting", "running", "later"], detail: str, due_at: datetime | None = None
) -> Listed:
    """Return an entry as people see it, also one that this version does not know."""
    try:
        found = decode(entry)
    except msgspec.DecodeError:
        shown = entry[:TASK_SHOWN_BYTES].decode(errors="replace")
        return Listed(f"unknown here: {shown!r}", kind, state, detail, None, None, due_at=due_at)
    return Listed(found.name, kind, state, detail, found.attempt, found.added_at, found.task, due_at, found.error)
