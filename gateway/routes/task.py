"""Tasks: what is queued, fails or was given up, for administrators, and another try. Each look and each retry is recorded."""

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter
from msgspec import Meta, Struct

from adapters.postgres.standing_tasks import TaskState
from domain.events import Caller
from domain.ids import RecordId
from gateway.http.declarations import Described, declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Microseconds, Page, cursor_of, moment_at, place_of, placed
from gateway.http.responses import shown, written
from gateway.operations import tasks
from gateway.operations.tasks import TASK_KINDS, TaskKind, TaskView, key_of
from gateway.routes.operating import admitting, note_look
from gateway.services import Services

STATES: tuple[TaskState, ...] = ("queued", "running", "failed", "dead")
LATEST = (datetime(9999, 1, 1, tzinfo=UTC), "")
KEY_CHARS_MAX = 200

Key = Annotated[
    str, Meta(max_length=KEY_CHARS_MAX, pattern="^[0-9a-f.-]*$")
]  # ids and positions; Postgres takes no NUL


class TaskRetryView(Struct, frozen=True):
    """`retried` false: it was queued or being done already, and nothing was changed."""

    id: str
    kind: TaskKind
    retried: bool


def place_at(cursor: str, record: RecordId) -> tuple[datetime, str]:
    """Return the place that a cursor of this list names."""
    microseconds, key = place_of(cursor, record, "tasks", tuple[Microseconds, Key])
    return moment_at(microseconds), key


@get("/admin/tasks", opt=declare("operations.read", admit=admitting("operations.read"), cursor=place_at))
async def list_tasks(
    request: Request[Any, Any, Any],
    services: Services,
    caller: Caller,
    task_state: Annotated[TaskState | None, Parameter(query="state")] = None,
    kind: TaskKind | None = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[TaskView]]:
    """List what is queued, is being done, fails or was given up, the latest first."""
    await note_look(request, services, caller)
    before = LATEST if cursor is None else place_at(cursor, services.record_id)
    kinds, states = TASK_KINDS if kind is None else (kind,), STATES if task_state is None else (task_state,)
    found = await tasks.listed(services, kinds, states, before=before, limit=limit + 1)
    items = found[:limit]
    following = None
    if len(found) > limit:
        following = cursor_of(services.record_id, "tasks", placed(items[-1].at), key_of(items[-1]))
    return shown(Page(items, following))


@post(
    "/admin/tasks/{task_id:str}/retry",
    status_code=202,
    opt=declare("task.retry", admit=admitting("task.retry"), described=Described(refused_with=frozenset({404, 409}))),
)
async def retry_task(task_id: str, services: Services, caller: Caller) -> Response[TaskRetryView]:
    """Have a task that failed or was given up tried again, now. What is under way already goes on as it is."""
    await admitting("task.retry")(services, caller, {})
    kind, outcome = await tasks.retry(services, caller, task_id)
    view = TaskRetryView(task_id, kind, outcome is not None)
    return Response(view, status_code=202) if outcome is None else written(outcome, view, status=202)


ROUTES: list[BaseRouteHandler] = [list_tasks, retry_task]
