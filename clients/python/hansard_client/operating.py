"""Operating: tasks that are queued, fail or were given up, and another try. A part of `Client`, which asks for it. For administrators."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any, Unpack
from urllib.parse import quote

from hansard_client.asking import Asked, Said
from hansard_client.models import Task, TaskKind, TaskState


class Operating(ABC):
    @abstractmethod
    async def call(self, method: str, path: str, **asked: Unpack[Asked]) -> Any:
        """Call a route and return its body."""

    @abstractmethod
    def pages(
        self, kind: type[Said], path: str, query: Mapping[str, str | int | bool | None], after: int | None
    ) -> AsyncIterator[Said]: ...

    def tasks(self, *, state: TaskState | None = None, kind: TaskKind | None = None) -> AsyncIterator[Task]:
        """Go through the tasks of the deployment, the latest first."""
        return self.pages(Task, "/admin/tasks", {"state": state, "kind": kind}, None)

    async def retry_task(self, task_id: str) -> bool:
        """Have a task tried again now that failed or was given up. Return False if it was under way already."""
        return bool((await self.call("POST", f"/admin/tasks/{quote(task_id, safe='')}/retry"))["retried"])
