"""Operating: who may look at how the deployment does, have read tables rebuilt, and failed tasks tried again; each is recorded."""

from uuid import UUID

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain import file as file_decide
from domain import operating as decide
from domain.account import ACCOUNT, require_right
from domain.file import FILE
from domain.ids import FileId
from domain.operating import OPERATIONS_READS, REBUILDS, TASK_RETRIES, look_key, retry_key


class NoteOperationsRead(Struct, frozen=True):
    """Record that the caller looks at this path, at most once a minute for each session. Refused to people without the role."""

    path: str


class AskRebuild(Struct, frozen=True):
    """Record that the caller wants a projection rebuilt, or with `shadow` compared. Refused to people without the role."""

    rebuild_id: UUID
    projection: str
    shadow: bool
    jobs: int


class RetryTask(Struct, frozen=True):
    """Record that the caller has a task tried again; `file_id` is that of a file which was given up, and goes on with it. Refused to
    people without the role."""

    kind: str
    task_id: str
    failure: str
    file_id: FileId | None = None


async def note(command: NoteOperationsRead, unit: UnitOfWork) -> None:
    user_id, session_id = unit.caller.user_id, unit.caller.session_id
    assert user_id and session_id, "authentication lets no stranger here"
    require_right(await unit.load(ACCOUNT, user_id), "operations.read")
    minute = int(unit.now.timestamp()) // 60
    key = look_key(session_id, command.path, minute)
    look = await unit.load_new(OPERATIONS_READS, key)
    unit.write(OPERATIONS_READS, key, events=decide.note(look, admin_id=user_id, path=command.path, minute=minute))


async def ask(command: AskRebuild, unit: UnitOfWork) -> None:
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    require_right(await unit.load(ACCOUNT, user_id), "projection.rebuild")
    asked = await unit.load_new(REBUILDS, command.rebuild_id)
    events = decide.ask(
        asked,
        rebuild_id=command.rebuild_id,
        admin_id=user_id,
        projection=command.projection,
        shadow=command.shadow,
        jobs=command.jobs,
    )
    unit.write(REBUILDS, command.rebuild_id, events=events)


async def retry(command: RetryTask, unit: UnitOfWork) -> None:
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    require_right(await unit.load(ACCOUNT, user_id), "task.retry")
    key = retry_key(command.task_id, command.failure)
    retried = await unit.load_new(TASK_RETRIES, key)
    events = decide.retry(
        retried, admin_id=user_id, kind=command.kind, task_id=command.task_id, failure=command.failure
    )
    unit.write(TASK_RETRIES, key, events=events)
    if command.file_id is not None:
        file = await unit.load(FILE, command.file_id)
        unit.write(FILE, command.file_id, events=file_decide.retry(file))


HANDLERS: dict[type[Struct], Handler] = {NoteOperationsRead: note, AskRebuild: ask, RetryTask: retry}
