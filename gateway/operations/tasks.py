"""Tasks, as administrators see them: what the queue holds and what tables keep, in one list; and another try for what failed.

A task is named `<kind>.<key>`. The queue may be away: what was given up is in tables, and is listed and tried again without it.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from adapters.postgres import standing_tasks
from adapters.postgres.standing_tasks import DeliveryKey, StandingTask, TaskState
from commands.operating import RetryTask
from commands.unit_of_work import Outcome
from domain.errors import BusyError
from domain.events import Caller
from domain.file import FILE, File
from domain.ids import FileId, UserId
from domain.operating import NoSuchTaskError, TaskNotRetryableError
from domain.ports.tasks import Listed, TasksUnavailableError
from domain.processing import SENTENCES
from domain.tasks import KIND_OF, KINDS, FileTask, Kind, MakeExport, RebuildProjection, next_task, subject_of
from gateway.operations.execution import execute
from gateway.services import Services
from projections import exports, rebuilds

TaskKind = Literal["scan", "image", "document", "rebuild", "export", "push", "mail", "webhook", "erasure"]
TASK_KINDS: tuple[TaskKind, ...] = get_args(TaskKind)
CHANNELS = frozenset({"push", "mail", "webhook"})
POSITION = re.compile("0|[1-9][0-9]{0,18}")
# What the queue calls a task that waits for its next try is a failure of the one before.
STATES: dict[str, TaskState] = {"waiting": "queued", "running": "running", "later": "failed"}
QUEUE_AWAY = "The queue of tasks does not answer; what was given up can be listed without it (`state=dead`)."
WORDS = {
    "gave_up": SENTENCES["gave_up"],
    "proof_unavailable": "The record could not prove what is in it; `hansard verify` says where.",
    "recipient_unusable": "Nothing can be encrypted for the key that was named.",
    "held": "A legal hold keeps something of it.",
}


class TaskView(Struct, frozen=True):
    """`id` names the task, for as long as it is one. `state` `failed`: it is tried again at `due_at`; `dead`: it was given up.
    `attempts`: how often it was tried; null: nobody counts. `at`: since when it waits, or stands so. `error` says why the last try
    failed. `about_id` is the file, rebuild or export, the device or address that is told, or who is erased; `user_id` whose it is.
    `can_retry`: another try can be asked for."""

    id: str
    kind: TaskKind
    state: TaskState
    attempts: int | None
    error: str | None
    at: datetime
    due_at: datetime | None
    user_id: UserId | None
    about_id: UUID
    can_retry: bool


def key_of(view: TaskView) -> str:
    """Return what a task is named by, without its kind: the order of what stands so since the same moment."""
    return view.id.partition(".")[2]


async def listed(
    services: Services,
    kinds: Sequence[TaskKind],
    states: Sequence[TaskState],
    *,
    before: tuple[datetime, str],
    limit: int,
) -> list[TaskView]:
    """Return tasks of these kinds and states, the latest first, from before a place. Raise `BusyError` if the queue is away."""
    found = [
        _of_table(row)
        for row in await standing_tasks.page(services.db, kinds, states, before=before, limit=limit)
        if row.kind in TASK_KINDS
    ]
    if set(states) != {"dead"} and not set(kinds).isdisjoint(KINDS):
        found += [each for each in await _queued(services) if each.kind in kinds and each.state in states]
    found = [each for each in found if (each.at, key_of(each)) < before]
    return sorted(found, key=lambda each: (each.at, key_of(each)), reverse=True)[:limit]


async def retry(services: Services, caller: Caller, task_id: str) -> tuple[TaskKind, Outcome | None]:
    """Have a task tried again that failed or was given up; return its kind, and None if it is under way as it is. What is asked
    twice after one failure is done once. Raise `DomainError`."""
    named, _, key = task_id.partition(".")
    kind = next((each for each in TASK_KINDS if each == named), None)
    if kind is None:
        raise NoSuchTaskError
    if kind in CHANNELS:
        return kind, await _retry_delivery(services, caller, task_id, _delivery_key(kind, key))
    subject = _uuid(key)
    if kind == "scan" or kind == "image" or kind == "document":
        return kind, await _retry_file(services, caller, task_id, kind, FileId(subject))
    return kind, await _retry_other(services, caller, task_id, kind, subject)


async def _retry_file(services: Services, caller: Caller, task_id: str, kind: Kind, file_id: FileId) -> Outcome | None:
    folded = await services.command_bus.see(FILE, file_id)
    file = folded.state
    if file is None or (file.is_over and file.reason is None):
        raise NoSuchTaskError
    if file.is_over and file.reason != "gave_up":
        raise TaskNotRetryableError
    would_be = _next_of(replace(file, status="processing" if file.scan else "pending") if file.is_over else file)
    if would_be is None or KIND_OF[type(would_be)] != kind:
        raise NoSuchTaskError
    if not file.is_over:
        return await _hurry(services, caller, task_id, kind, file_id)
    outcome = await execute(services, RetryTask(kind, task_id, f"{folded.version}", file_id), caller)
    file = outcome.folded(FILE, file_id).state
    assert file is not None, "it was there before"
    due = _next_of(file)
    with suppress(TasksUnavailableError):  # a worker finds it in the tables, too
        await services.tasks.add(*([] if due is None else [due]))
    return outcome


def _next_of(file: File) -> FileTask | None:
    return next_task(file.file_id, file.uploader_id, file.status, file.mime_type)


async def _retry_other(
    services: Services, caller: Caller, task_id: str, kind: TaskKind, subject: UUID
) -> Outcome | None:
    if kind == "erasure":
        raise TaskNotRetryableError
    table = exports if kind == "export" else rebuilds
    row = await table.of(services.db, subject)
    if row is None or row.state in ("done", "completed", "cancelled", "expired"):
        raise NoSuchTaskError
    if row.state == "failed":
        raise TaskNotRetryableError
    return await _hurry(services, caller, task_id, "export" if kind == "export" else "rebuild", subject)


async def _retry_delivery(services: Services, caller: Caller, task_id: str, key: DeliveryKey) -> Outcome | None:
    found = await standing_tasks.delivery(services.db, key)
    if found is None:
        raise NoSuchTaskError
    if found.state in ("queued", "running"):
        return None
    outcome = await execute(services, RetryTask(key.channel, task_id, found.changed_at.isoformat()), caller)
    await standing_tasks.make_due(services.db, key)
    return outcome


async def _hurry(services: Services, caller: Caller, task_id: str, kind: Kind, subject: UUID) -> Outcome | None:
    """Have a task of the queue tried now; one that does not wait for its next try is under way."""
    try:
        found = await services.tasks.postponed(kind, subject)
    except TasksUnavailableError:
        raise BusyError(QUEUE_AWAY) from None
    if found is None:
        return None
    outcome = await execute(services, RetryTask(kind, task_id, f"try {found.attempt}, {found.due_at}"), caller)
    with suppress(TasksUnavailableError):  # it comes to its try by itself
        await services.tasks.hurry_one(kind, subject)
    return outcome


async def _queued(services: Services) -> list[TaskView]:
    """Return what is in the queue, but for what this version does not know."""
    try:
        entries = await services.tasks.listed()
    except TasksUnavailableError:
        raise BusyError(QUEUE_AWAY) from None
    return [view for entry in entries if (view := _of_queue(entry)) is not None]


def _of_queue(entry: Listed) -> TaskView | None:
    task = entry.task
    if task is None or entry.attempt is None or entry.added_at is None:
        return None
    about, state = subject_of(task), STATES[entry.state]
    user_id = None if isinstance(task, RebuildProjection | MakeExport) else task.user_id
    attempts = entry.attempt if state == "running" else entry.attempt - 1
    return TaskView(
        f"{entry.kind}.{about}", entry.kind, state, attempts, entry.error, entry.added_at, entry.due_at, user_id, about,
        state == "failed",
    )  # fmt: skip


def _of_table(row: StandingTask) -> TaskView:
    kind = next(each for each in TASK_KINDS if each == row.kind)
    error = None if row.error is None else WORDS.get(row.error, row.error)
    can_retry = row.state in ("failed", "dead") and kind not in ("export", "rebuild", "erasure")
    return TaskView(
        f"{kind}.{row.key}",
        kind,
        row.state,
        row.attempts,
        error,
        row.at,
        row.due_at,
        row.user_id,
        row.about_id,
        can_retry,
    )


def _delivery_key(channel: str, key: str) -> DeliveryKey:
    parts = key.split(".")
    if len(parts) != 3 or not POSITION.fullmatch(parts[1]) or int(parts[1]) >= 2**63:
        raise NoSuchTaskError
    return DeliveryKey(channel, _uuid(parts[0]), int(parts[1]), _uuid(parts[2]))


def _uuid(text: str) -> UUID:
    """Return the id that is written so, and no other way."""
    try:
        found = UUID(text)
    except ValueError:
        raise NoSuchTaskError from None
    if str(found) != text:
        raise NoSuchTaskError
    return found
