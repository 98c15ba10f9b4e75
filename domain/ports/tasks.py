"""The task queue: what is to be done with files next."""

from typing import Protocol

from domain.errors import ReadableError
from domain.tasks import Task


class Tasks(Protocol):
    """The queue of what is to be done with files. It may forget everything: the record remembers."""

    async def add(self, *tasks: Task) -> int:
        """Queue tasks that are not queued yet; answers how many. Raises `TasksUnavailableError`."""


class TasksUnavailableError(ReadableError):
    """The queue does not answer."""
