"""Rebuilds of which a process is killed with 9 at one of its statements: `python -m tests.projections.crashing_rebuild DATABASE`.

Reads how each is to end, a line of JSON each (`Ending`), forks a process for it, and answers with a line of JSON: the signal that ended
it, or what it did.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from msgspec import Struct

import workers.rebuild
from adapters.postgres.database import Database, Session
from adapters.postgres.event_store import PostgresRecord
from domain.ports.record import RecordUnavailableError
from projections import LIVE
from runtime.embedded.children import tied_to_parent
from tests.deployments import as_login, ledger
from workers import table_filling
from workers.rebuild import Rebuild
from workers.rebuild_parts import Part, fill_part

BATCH_EVENTS = 12


class Ending(Struct, omit_defaults=True):
    """How a rebuild by so many processes ends: `before` its twelfth statement a process is killed, `amid` while Postgres has that,
    `never` it is not. `part`: the process of that part; None: the one that divides the rebuild."""

    when: Literal["before", "amid", "never"] = "never"
    at: int = 0
    jobs: int = 1
    part: int | None = None


class Deadly:
    """Counts statements, and kills this process at one of them."""

    def __init__(self, when: str, number: int) -> None:
        self.when, self.number, self.count = when, number, 0

    @classmethod
    def of(cls, ending: Ending, part: int | None) -> "Deadly":
        """Return that of a part's process, or of the one that divides the rebuild."""
        return cls(ending.when, ending.at if part == ending.part else 0)

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


@asynccontextmanager
async def deadly_database(database_url: str, deadly: Deadly) -> AsyncIterator[tuple[PostgresRecord, DeadlyDatabase]]:
    async with ledger(database_url, size=2) as (_, record, _bus):
        db = await DeadlyDatabase.open(as_login(database_url, "operator"), size=4)
        db.deadly = deadly
        yield record, db
        await db.close()


class Forked:
    """Fills each part in a process that is forked for it."""

    def __init__(self, database_url: str, ending: Ending) -> None:
        self._database_url = database_url
        self._ending = ending
        self.begun: list[Part] = []
        self.statements: dict[int, int] = {}

    async def fill(self, part: Part, come_to: Callable[[int], None]) -> None:
        self.begun.append(part)
        heard, told = os.pipe()
        tied = tied_to_parent(signal.SIGKILL)
        if (pid := os.fork()) == 0:
            tied()
            asyncio.run(self._fill(part, told))
            os._exit(0)
        os.close(told)
        try:
            said, status = await asyncio.to_thread(answer_of, pid, heard)
        except asyncio.CancelledError:
            os.kill(pid, signal.SIGKILL)
            raise
        if os.WIFSIGNALED(status):
            raise RecordUnavailableError(f"part {part.number} was killed")
        self.statements[part.number] = json.loads(said)
        come_to(part.until)

    async def _fill(self, part: Part, told: int) -> None:
        deadly = Deadly.of(self._ending, part.number)
        async with deadly_database(self._database_url, deadly) as (record, db):
            await fill_part(LIVE, record, db, part, lambda position: None)
            os.write(told, json.dumps(deadly.count).encode())


def answer_of(pid: int, heard: int) -> tuple[str, int]:
    """Return what a child said until it ended, and how it ended."""
    with os.fdopen(heard) as answer:
        said = answer.read()
    return said, os.waitpid(pid, 0)[1]


async def rebuild(database_url: str, ending: Ending, told: int) -> None:
    said: list[str] = []
    forked, own = Forked(database_url, ending), Deadly.of(ending, None)
    async with deadly_database(database_url, own) as (record, db):
        unit = Rebuild(
            LIVE, record, db, progress=lambda progress: None, say=said.append, jobs=ending.jobs, fill=forked.fill
        )
        try:
            verdicts = await unit.run(swap=True)
        except RecordUnavailableError as error:
            os.write(told, json.dumps({"interrupted": str(error)}).encode())
            return
        begun = {part.number: [part.suffix, part.position] for part in forked.begun}
        ended = {"statements": own.count, "is_equal": all(verdict.is_equal for verdict in verdicts), "said": said}
        os.write(told, json.dumps(ended | {"begun": begun, "of_parts": forked.statements}).encode())


def serve() -> None:
    table_filling.REBUILD_BATCH_EVENTS_MAX = table_filling.REBUILD_COMMIT_EVENTS_MIN = BATCH_EVENTS
    table_filling.LAST_STRETCH_EVENTS = 0
    workers.rebuild.DIVIDED_EVENTS_MIN = 1
    for line in sys.stdin:
        ending = msgspec.json.decode(line, type=Ending)
        heard, told = os.pipe()
        if (pid := os.fork()) == 0:
            asyncio.run(rebuild(sys.argv[1], ending, told))
            os._exit(0)
        os.close(told)
        said, status = answer_of(pid, heard)
        print(said or json.dumps({"signal": os.WTERMSIG(status)}), flush=True)


if __name__ == "__main__":
    serve()
