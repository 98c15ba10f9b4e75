"""The task queue: what is to be done with files, read models and exports next, and how much of it there is."""

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

from domain.errors import ReadableError
from domain.tasks import Kind, Task


class TaskCount(Struct, frozen=True):
    """How many tasks of a kind are queued or being done, and how many wait for their next try."""

    kind: Kind
    queued: int
    later: int


class Listed(Struct, frozen=True):
    """A queued task, for people: `state` is waiting, running (by whom) or later (when it is tried again, `due_at`). `attempt` is
    which try this is, or the next one will be; `error` says in words why the one before failed.

    A task that this version does not know is named by the start of its entry, and has neither try nor time.
    """

    name: str
    kind: Kind
    state: Literal["waiting", "running", "later"]
    detail: str
    attempt: int | None
    added_at: datetime | None
    task: Task | None = None
    due_at: datetime | None = None
    error: str | None = None


class Tasks(Protocol):
    """The queue of what is to be done. It may lose everything: the record and the tables remember."""

    async def add(self, *tasks: Task) -> int:
        """Queue those tasks that are not queued yet. Return how many. Raise `TasksUnavailableError`."""

    async def counts(self) -> list[TaskCount]:
        """Return how many there are of each kind. Raise `TasksUnavailableError`."""

    async def listed(self) -> list[Listed]:
        """Return what is queued, a bounded number of each kind and state. Raise `TasksUnavailableError`."""

    async def postponed(self, kind: Kind, subject: UUID) -> Listed | None:
        """Return a task that waits for its next try; None if it does not. Raise `TasksUnavailableError`."""

    async def hurry_one(self, kind: Kind, subject: UUID) -> bool:
        """Make a task due now; return whether it waited for its next try. Raise `TasksUnavailableError`."""


class TasksUnavailableError(ReadableError):
    """The queue does not answer."""
