"""Rebuilds that are killed with 9 at one of their statements each: `python -m tests.projections.crashing_rebuild DATABASE`.

Reads how each is to end, one a line: `before 12` kills it before its twelfth statement, `amid 12` while Postgres has that, and
`never` lets it end. For each it forks a process, and answers with a line of JSON: the signal that ended it, or what it did.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from adapters.postgres.database import Database, Session
from projections import LIVE
from tests.deployments import as_login, ledger
from workers import table_filling
from workers.rebuild import Rebuild

BATCH_EVENTS = 12


class Deadly:
    """Counts statements, and kills this process at one of them."""

    def __init__(self, when: str, number: int) -> None:
        self.when, self.number, self.count = when, number, 0

    def meet(self) -> None:
        self.count += 1
        if self.count == self.number:
            if self.when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            # Behind what sends the statement, and before its answer can have been read.
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGKILL)


class DeadlySession(Session):
    def __init__(self, connection: Any, deadly: Deadly) -> None:
        super().__init__(connection)
        self._deadly = deadly

    async def all(self, row: Any, sql: str, *args: object) -> Any:
        self._deadly.meet()
        return await super().all(row, sql, *args)

    async def one(self, row: Any, sql: str, *args: object) -> Any:
        self._deadly.meet()
        return await super().one(row, sql, *args)

    async def value(self, sql: str, *args: object) -> Any:
        self._deadly.meet()
        return await super().value(sql, *args)

    async def run(self, sql: str, *args: object) -> str:
        self._deadly.meet()
        return await super().run(sql, *args)

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        self._deadly.meet()
        await super().copy(table, columns, rows)


class DeadlyDatabase(Database):
    deadly: Deadly

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        async with super().session() as session:
            yield DeadlySession(session.connection, self.deadly)


async def rebuild(database_url: str, deadly: Deadly, told: int) -> None:
    said: list[str] = []
    async with ledger(database_url, size=2) as (_, record, _bus):
        db = await DeadlyDatabase.open(as_login(database_url, "operator"), size=4)
        db.deadly = deadly
        unit = Rebuild(LIVE, record, db, progress=lambda progress: None, say=said.append)
        verdicts = await unit.run(swap=True)
        ended = {"statements": deadly.count, "is_equal": all(verdict.is_equal for verdict in verdicts), "said": said}
        os.write(told, json.dumps(ended).encode())
        await db.close()


def serve() -> None:
    table_filling.REBUILD_BATCH_EVENTS_MAX = table_filling.REBUILD_COMMIT_EVENTS_MIN = BATCH_EVENTS
    table_filling.LAST_STRETCH_EVENTS = 0
    for line in sys.stdin:
        when, _, number = line.strip().partition(" ")
        heard, told = os.pipe()
        if (pid := os.fork()) == 0:
            asyncio.run(rebuild(sys.argv[1], Deadly(when, int(number or 0)), told))
            os._exit(0)
        os.close(told)
        status = os.waitpid(pid, 0)[1]
        with os.fdopen(heard) as answer:
            print(answer.read() or json.dumps({"signal": os.WTERMSIG(status)}), flush=True)


if __name__ == "__main__":
    serve()
