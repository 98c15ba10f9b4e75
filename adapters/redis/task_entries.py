"""What stands in the task queue, as a worker takes it and as an operator sees it. An entry is JSON that a person can read."""

from datetime import datetime

import msgspec
from msgspec import Struct

from domain.tasks import Kind, Task, subject_of

TASK_SHOWN_BYTES = 100


class Envelope(Struct, frozen=True):
    """What stands in the queue: a task, which try this is, and since when it waits."""

    task: Task
    attempt: int
    added_at: datetime

    @property
    def name(self) -> str:
        return f"{type(self.task).__name__} {subject_of(self.task)}"


class Taken(Struct, frozen=True):
    """An entry that this consumer holds. `tries` counts this try, and those whose worker died."""

    id: bytes
    kind: Kind
    envelope: Envelope
    tries: int
    deliveries: int


class Listed(Struct, frozen=True):
    """A queued task, for people: `state` is waiting, running (by whom) or later (when it is tried again).

    A task that this version does not know is named by the start of its entry, and has neither try nor time.
    """

    name: str
    kind: Kind
    state: str
    detail: str
    attempt: int | None
    added_at: datetime | None


decode = msgspec.json.Decoder(Envelope).decode
encode = msgspec.json.Encoder().encode


def listed(entry: bytes, kind: Kind, state: str, detail: str) -> Listed:
    """Return an entry as people see it, also one that this version does not know."""
    try:
        envelope = decode(entry)
    except msgspec.DecodeError:
        shown = entry[:TASK_SHOWN_BYTES].decode(errors="replace")
        return Listed(f"unknown here: {shown!r}", kind, state, detail, None, None)
    return Listed(envelope.name, kind, state, detail, envelope.attempt, envelope.added_at)
