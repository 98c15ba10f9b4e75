"""The task queue: what is to be done with files next, and how much of it there is."""

from typing import Protocol

from msgspec import Struct

from domain.errors import ReadableError
from domain.tasks import Kind, Task


class TaskCount(Struct, frozen=True):
    """How many tasks of a kind are queued or being done, and how many wait for their next try."""

    kind: Kind
    queued: int
    later: int


class Tasks(Protocol):
    """The queue of what is to be done with files. It may lose everything: the record remembers."""

    async def add(self, *tasks: Task) -> int:
        """Queue those tasks that are not queued yet. Return how many. Raise `TasksUnavailableError`."""

    async def counts(self) -> list[TaskCount]:
        """Return how many there are of each kind. Raise `TasksUnavailableError`."""


class TasksUnavailableError(ReadableError):
    """The queue does not answer."""
