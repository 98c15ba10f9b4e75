"""The read tables in memory, behind the port `Db`: just the statements of live following.

What projections write is understood from the statements that `projections/table_statements.py` makes of the tables' declarations; what is
read is answered by the statement's own constant. `test_fakes.py` holds both to Postgres.
"""

import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from adapters.clock import monotonic
from domain.ports.database import Db
from domain.ports.record import RecordUnavailableError
from projections import (
    LIVE,
    checkpoints,
    followers,
    mentions,
    message_queries,
    notifications,
    parked,
    rooms,
    sessions,
    users,
)
from projections.table_statements import COMMIT_ARGUMENTS, COMMIT_NOTHING

Row = TypeVar("Row")
Values = dict[str, Any]
INSERT = re.compile(r"\s*INSERT INTO (?P<table>[a-z_.]+) (?:AS kept )?\((?P<columns>[a-z_, ]+)\) SELECT")
CONFLICT = re.compile(r"ON CONFLICT \([a-z_, ]+\) DO UPDATE SET (?P<replaced>.*)\s$")
UPDATE = re.compile(
    r"\s*UPDATE (?P<table>[a-z_.]+) kept SET (?P<set>.*?)\s+FROM unnest.*given \((?P<columns>[a-z_, ]+)\)"
)
WRITE = re.compile(r"write_\d+ AS \((.*?)\)(?=, write_\d+ AS|\s+SELECT EXISTS)", re.DOTALL)
COMMITS_LOST_MAX = 4
KEYS = {table.name: table.key for table in LIVE.tables}


class MemoryTables:
    """The port `domain.ports.Db`. A transaction works on a copy, which takes the place of the tables when it commits."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` is the database's: leases are judged by it."""
        self.clock = clock
        self.rows: dict[str, dict[tuple[Any, ...], Values]] = {name: {} for name in KEYS}
        self.checkpoints: dict[str, Values] = {}
        self.parked: list[tuple[Any, ...]] = []
        self._crashes = 0
        self._earlier: deque[tuple[Any, Any]] = deque(maxlen=COMMITS_LOST_MAX)

    async def all(self, row: Callable[..., Row], sql: str, *args: object) -> list[Row]:
        return [row(*values) for values in self._select(sql, args)]

    async def one(self, row: Callable[..., Row], sql: str, *args: object) -> Row | None:
        found = self._select(sql, args)
        return row(*found[0]) if found else None

    async def value(self, sql: str, *args: object) -> Any:
        if (writes := WRITE.findall(sql)) or sql == COMMIT_NOTHING:
            return await self._commit(writes, args)
        found = self._select(sql, args)
        return found[0][0] if found else None

    async def run(self, sql: str, *args: Any) -> str:
        if sql == checkpoints.ENSURE:
            name, version = args
            new = {"version": version, "position": 0, "epoch": 0, "leased_to": -1.0}
            return f"INSERT 0 {int(self.checkpoints.setdefault(name, new) is new)}"
        if sql in (checkpoints.RENEW, checkpoints.MOVE, checkpoints.LET_GO):
            return self._lease(sql, args)
        if sql == followers.SAY:
            return "INSERT 0 1"  # nobody rebuilds to another version here
        if sql == parked.INSERT:
            self.parked += zip(*args[2:], strict=True)
            return "INSERT"
        if found := INSERT.match(sql):
            return self._insert(found, CONFLICT.search(sql), args)
        found = UPDATE.match(sql)
        assert found is not None, sql
        return self._update(found, args)

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        raise AssertionError("only rebuilds copy")

    def transaction(self, *, durable: bool = True) -> AbstractAsyncContextManager[Db]:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Db]:
        draft = type(self)(self.clock)
        draft.rows = {name: {key: dict(row) for key, row in rows.items()} for name, rows in self.rows.items()}
        draft.checkpoints = {name: dict(kept) for name, kept in self.checkpoints.items()}
        before = {name: dict(kept) for name, kept in self.checkpoints.items()}
        crashes = self._crashes
        yield draft
        if crashes != self._crashes:
            raise RecordUnavailableError("Postgres crashed before the commit")
        # Another transaction of the same group would have waited for the row's lock and then found another epoch.
        for name, kept in before.items():
            if kept["epoch"] != self.checkpoints[name]["epoch"]:
                raise checkpoints.LeaseLostError
        self._earlier.append((self.rows, self.checkpoints))
        self.rows, self.checkpoints = draft.rows, draft.checkpoints
        self.parked += draft.parked

    async def _commit(self, writes: Sequence[str], args: Sequence[Any]) -> bool:
        """Move a checkpoint and write, as the one statement of `Batch.commit`."""
        name, epoch, position = args[:3]
        kept, arrays = self.checkpoints[name], list(args[COMMIT_ARGUMENTS:])
        if (kept["epoch"], kept["position"]) != (epoch, position):
            return False
        async with self._transaction() as draft:
            await draft.run(checkpoints.MOVE, *args[:COMMIT_ARGUMENTS])
            for write in writes:
                given = write.count("[]")
                await draft.run(f"{write}\n", *arrays[:given])
                del arrays[:given]
        return True

    def lease_seconds_max(self, seconds: float) -> float:
        """Return for how long anybody's lease may hold up others."""
        return seconds

    def crash(self, commits: int) -> None:
        """Lose the newest commits, as a crash does with what need not wait for the disk."""
        self._crashes += 1
        while commits and self._earlier:
            self.rows, self.checkpoints = self._earlier.pop()
            commits -= 1

    def _select(self, sql: str, args: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        match sql:
            case checkpoints.SELECT_POSITION:
                kept = self.checkpoints.get(args[0])
                return [] if kept is None else [(kept["position"],)]
            case notifications.SELECT_FILLED:
                return [(min(self.checkpoints[name]["position"] if name in self.checkpoints else 0 for name in args),)]
            case checkpoints.TAKE:
                name, _, seconds, seconds_max, version = args
                kept = self.checkpoints[name]
                if kept["version"] > version or 0 <= kept["leased_to"] - self.clock() <= self.lease_seconds_max(
                    seconds_max
                ):
                    return []
                kept |= {"epoch": kept["epoch"] + 1, "leased_to": self.clock() + seconds}
                return [(kept["epoch"], kept["position"], kept["version"])]
            case checkpoints.SELECT_HELD:
                kept = self.checkpoints[args[0]]
                return [(kept["epoch"], kept["position"], kept["version"])] if kept["epoch"] == args[1] else []
            case rooms.SELECT_ACTIVITY:
                return [(key[0], row["activity"]) for key, row in self.rows["read.rooms"].items() if key[0] in args[0]]
            case mentions.SELECT_MEMBER_COUNT:
                room = self.rows["read.rooms"].get((args[0],))
                return [] if room is None else [(room["member_count"],)]
            case message_queries.SELECT_DELETED:
                found = self.rows["read.messages"]
                return [(at,) for at in args[0] if (at,) in found and found[at,]["deleted"]]
            case message_queries.SELECT_LATEST_WITH_FILES:
                shown = [
                    (row["file_id"], key[0])
                    for key, row in self.rows["read.messages"].items()
                    if row["room_id"] == args[0] and row["file_id"] in args[1] and not row["deleted"]
                ]
                return [
                    (file_id, max(at for each, at in shown if each == file_id)) for file_id in {f for f, _ in shown}
                ]
            case sessions.SELECT_CLOCK:
                return [(datetime.max.replace(tzinfo=UTC),)]  # no other clock than the gateway's own
            case sessions.SELECT_ENDED:
                found = self.rows["read.sessions"]
                return [(key[0],) for key, row in found.items() if row["ended_at"] and row["ended_at"] > args[0]]
            case notifications.SELECT_TOLD:
                return []  # nobody follows inboxes in a simulation
            case users.SELECT_INACTIVE:
                return [(key[0],) for key, row in self.rows["read.users"].items() if not row["is_active"]]
        raise AssertionError(sql)

    def _lease(self, sql: str, args: tuple[Any, ...]) -> str:
        name, epoch, *more = args
        kept = self.checkpoints[name]
        if kept["epoch"] != epoch or (sql != checkpoints.LET_GO and kept["position"] != more[0]):
            return "UPDATE 0"
        match sql:
            case checkpoints.LET_GO:
                kept["leased_to"] = -1.0
            case checkpoints.RENEW:
                kept["leased_to"] = self.clock() + more[1]
            case checkpoints.MOVE:
                kept |= {"position": more[1], "leased_to": self.clock() + more[2]}
        return "UPDATE 1"

    def _insert(self, found: re.Match[str], conflict: re.Match[str] | None, args: tuple[Any, ...]) -> str:
        table, columns = self.rows[found["table"]], found["columns"].split(", ")
        replaced = [part.split(" = ")[0] for part in conflict["replaced"].split(", ")] if conflict else []
        for values in zip(*args, strict=True):
            row = dict(zip(columns, values, strict=True))
            key = tuple(row.pop(name) for name in KEYS[found["table"]])
            if key in table and not conflict:
                raise AssertionError(f"{found['table']} has {key} already")
            if key in table:
                table[key] |= {name: row[name] for name in replaced}
            else:
                table[key] = row
        return f"INSERT 0 {len(args[0])}"

    def _update(self, found: re.Match[str], args: tuple[Any, ...]) -> str:
        table, columns = self.rows[found["table"]], found["columns"].split(", ")
        is_adding = "kept." in found["set"]
        for values in zip(*args, strict=True):
            given = dict(zip(columns, values, strict=True))
            row = table.get(tuple(given.pop(name) for name in KEYS[found["table"]]))
            if row is None:
                continue
            for name, value in given.items():
                row[name] = row[name] + value if is_adding else value
        return "UPDATE"
