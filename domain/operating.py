"""Operating: what administrators look at and have done, by the API. Each leaves an event on the record, with who asked.

Looking is recorded once for each session, path and minute, as an auditor's reads are (`domain/audit.py`).
"""

from typing import ClassVar
from uuid import UUID, uuid5

from msgspec import Struct

from domain.errors import ConflictError, NotFoundError
from domain.events import Event, Recorded, Stream
from domain.ids import SessionId, UserId
from domain.integers import Int4, Int8

LOOKS = UUID("6d0d5b0c-6f4b-5a37-9d2f-54a5b3e7c8aa")
RETRIES = UUID("c4b1f2a7-5e0f-5b61-8f35-9a6d2be01c73")


class NoSuchProjectionError(NotFoundError, code="projection.not_found"):
    """There is no projection of this name."""


class NoSuchRebuildError(NotFoundError, code="rebuild.not_found"):
    """There was no rebuild of this id, or it was long ago."""


class RebuildUnderWayError(ConflictError, code="rebuild.under_way"):
    """A rebuild of this projection is queued or runs already."""


class NoSuchTaskError(NotFoundError, code="task.not_found"):
    """There is no such task: it is done, or there never was one."""


class TaskNotRetryableError(ConflictError, code="task.not_retryable"):
    """This ended for good, or goes on by itself; what is wanted again must be asked for anew."""


class OperationsRead(Event, frozen=True):
    """An administrator looked at `path`."""

    topic: ClassVar = "operations.read"

    admin_id: UserId
    path: str
    minute: Int8

    def about(self) -> UUID:
        return self.admin_id


class RebuildAsked(Event, frozen=True):
    """An administrator asked for a rebuild of a projection by so many processes; with `shadow` it is only compared with what is
    served."""

    topic: ClassVar = "rebuild.asked"

    rebuild_id: UUID
    admin_id: UserId
    projection: str
    shadow: bool
    jobs: Int4 = 1

    def about(self) -> UUID:
        return self.admin_id


class TaskRetried(Event, frozen=True):
    """An administrator had a task tried again that had failed. `task_id` names it as the list of tasks does, `failure` which of its
    failures it was."""

    topic: ClassVar = "task.retried"

    admin_id: UserId
    kind: str
    task_id: str
    failure: str

    def about(self) -> UUID:
        return self.admin_id


class Look(Struct, frozen=True):
    minute: int


class Asked(Struct, frozen=True):
    projection: str


class Retried(Struct, frozen=True):
    kind: str


def look_key(session_id: SessionId, path: str, minute: int) -> UUID:
    return uuid5(LOOKS, f"{session_id}\n{minute}\n{path}")


def retry_key(task_id: str, failure: str) -> UUID:
    return uuid5(RETRIES, f"{task_id}\n{failure}")


def note(look: Look | None, *, admin_id: UserId, path: str, minute: int) -> tuple[OperationsRead, ...]:
    """Record the first look of a minute. `minute` counts from 1970."""
    return () if look else (OperationsRead(admin_id, path, minute),)


def ask(
    asked: Asked | None, *, rebuild_id: UUID, admin_id: UserId, projection: str, shadow: bool, jobs: int
) -> tuple[RebuildAsked, ...]:
    """Record that a rebuild was asked for; the same one again changes nothing."""
    return () if asked else (RebuildAsked(rebuild_id, admin_id, projection, shadow, jobs),)


def retry(
    retried: Retried | None, *, admin_id: UserId, kind: str, task_id: str, failure: str
) -> tuple[TaskRetried, ...]:
    """Record that a task is to be tried again; after the same failure once is enough."""
    return () if retried else (TaskRetried(admin_id, kind, task_id, failure),)


def evolve_look(look: Look | None, recorded: Recorded[OperationsRead]) -> Look:
    return Look(recorded.event.minute)


def evolve_asked(asked: Asked | None, recorded: Recorded[RebuildAsked]) -> Asked:
    return Asked(recorded.event.projection)


def evolve_retried(retried: Retried | None, recorded: Recorded[TaskRetried]) -> Retried:
    return Retried(recorded.event.kind)


OPERATIONS_READS: Stream[Look] = Stream("operations-read", evolve_look, Look)
REBUILDS: Stream[Asked] = Stream("rebuild", evolve_asked, Asked)
TASK_RETRIES: Stream[Retried] = Stream("task-retry", evolve_retried, Retried)
READS: tuple[type[Event], ...] = (OperationsRead,)
ASKS: tuple[type[Event], ...] = (RebuildAsked,)
RETRYING: tuple[type[Event], ...] = (TaskRetried,)
