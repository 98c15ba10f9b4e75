"""The task queue: what is to be done with files next."""

from typing import Protocol

from domain.errors import ReadableError
from domain.tasks import Task


class Tasks(Protocol):
    """The queue of what is to be done with files. It may lose everything: the record remembers."""

    async def add(self, *tasks: Task) -> int:
        """Queue those tasks that are not queued yet. Return how many. Raise `TasksUnavailableError`."""


class TasksUnavailableError(ReadableError):
    """The queue does not answer."""
