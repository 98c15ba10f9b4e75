"""Batches: changes of read tables, folded in memory and written with a few set-based statements, never one an event.

The same batch serves the live follower and a rebuild. `suffix` names the tables of a rebuild, which are beside the served
ones; its many new rows go in by COPY.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from domain.ports.database import Db
from projections import table_statements
from projections.table_statements import Write
from projections.tables import Change, Table

COPY_ROWS_MIN = 200
WRITES_AT_ONCE_MAX = 4  # each set of them is a statement of its own that Postgres has to plan

Rows = list[tuple[object, ...]]


class RowExistsError(Exception):
    """A batch adds a row twice that cannot exist yet, which the database would refuse of two batches."""


class _Pending:
    """What a batch will do to one table: rows new or put (whole), columns set, amounts added or summed up, keys moved.

    `late`: columns that a put keeps, set after it; they are written last. Keys move first: what is new may take their place.
    """

    def __init__(self) -> None:
        self.new: dict[tuple[object, ...], dict[str, Any]] = {}
        self.put: dict[tuple[object, ...], dict[str, Any]] = {}
        self.set: dict[tuple[object, ...], dict[str, Any]] = {}
        self.add: dict[tuple[object, ...], dict[str, int]] = {}
        self.sum: dict[tuple[object, ...], dict[str, int]] = {}
        self.move: dict[tuple[object, ...], dict[str, Any]] = {}
        self.late: dict[tuple[object, ...], dict[str, Any]] = {}

    def replace(self, key: tuple[object, ...], values: Mapping[str, Any]) -> None:
        """Change some columns of a whole row."""
        rows = self.new if key in self.new else self.put
        rows[key] = {**rows[key], **values}

    def rekey(self, key: tuple[object, ...], values: dict[str, Any]) -> None:
        """Give a row another key: one of this batch at once, one that is there already when the batch is written. That one moves
        once: for whatever would move it again in this batch there is no such row."""
        for rows in (self.new, self.put):
            if key in rows:
                rows[(*key[:-1], *values.values())] = rows.pop(key)
                return
        self.move.setdefault(key, values)


class Batch:
    """Changes folded in memory, in the order of the events.

    What is of many rows at once (`blank`, `drop`) comes after all that was before it, and before all that follows.
    """

    def __init__(self) -> None:
        self._pending: dict[Table, _Pending] = {}
        self._before: list[tuple[dict[Table, _Pending], Change]] = []

    def apply(self, change: Change) -> None:
        """Fold a change. It is left as it is: a batch that is refused is folded again in halves, of the same ones."""
        if change.operation in ("blank", "drop"):
            self._before.append((self._pending, change))
            self._pending = {}
            return
        pending = self._pending.get(change.table)
        if pending is None:
            pending = self._pending[change.table] = _Pending()
        key, values, operation = change.key, change.values, change.operation
        # An id is hashed by Python itself: no look-up where there is nothing to be found.
        whole = pending.new.get(key) if pending.new else None
        if whole is None and pending.put:
            whole = pending.put.get(key)
        if whole is not None:
            _apply_to_whole(pending, change, whole)
        elif operation == "new":
            pending.new[key] = values
        elif operation == "set":
            before = pending.set.get(key)
            if before is None:
                pending.set[key] = dict(values)
            else:
                before.update(values)
        elif operation == "put":
            # A `set` of a kept column earlier in the batch must still reach the row that is there: sets go first.
            pending.put[key] = values
        elif operation == "move":
            pending.rekey(key, values)
        else:
            amounts = (pending.add if operation == "add" else pending.sum).setdefault(key, {})
            for name, amount in values.items():
                amounts[name] = amounts.get(name, 0) + amount

    def unmove(self, change: Change) -> Change | None:
        """Take back that the row of this change's key moves; return how it would have moved, or None if it would not."""
        pending = self._pending.get(change.table)
        values = None if pending is None else pending.move.pop(change.key, None)
        return None if values is None else Change(change.table, "move", change.key, values)

    async def write(self, db: Db, *, suffix: str = "", bulk: bool = False) -> None:
        """Write everything; within the caller's transaction. `bulk`: new rows go in by COPY."""
        for pending, change in self._before:
            await self._write_rows(db, pending, suffix, bulk)
            await db.run(table_statements.scrub(change, suffix), *change.key, *change.values.values())
        await self._write_rows(db, self._pending, suffix, bulk)

    async def _write_rows(self, db: Db, pending: Mapping[Table, _Pending], suffix: str, bulk: bool) -> None:
        for write, rows in _writes(pending):
            if bulk and write.kind == "insert" and len(rows) >= COPY_ROWS_MIN:
                await db.copy(write.table.name + suffix, (*write.table.key, *write.table.columns), rows)
            else:
                await db.run(table_statements.statement(write, suffix), *_columns(rows))

    async def commit(self, db: Db, name: str, epoch: int, position: int, until: int, seconds: float) -> bool | None:
        """Write everything and move a group's checkpoint, as one statement, which is a transaction of its own.

        Return None if that is more than a statement should do; then nothing was done. Return False if the checkpoint is not
        there, is not of this epoch, or is locked by somebody just now; then nothing was written.
        """
        writes = self._writes_at_once()
        if writes is None:
            return None
        arrays = [column for _, rows in writes for column in _columns(rows)]
        sql = table_statements.commit(tuple(write for write, _ in writes))
        return bool(await db.value(sql, name, epoch, position, until, seconds, *arrays))

    def _writes_at_once(self) -> list[tuple[Write, Rows]] | None:
        """Return all writes if they are few, and no row is met by two of them; keys that move, and sums, take statements of
        their own."""
        if self._before:
            return None
        for pending in self._pending.values():
            if pending.move or pending.sum:
                return None
            kinds = (pending.new, pending.put, pending.set, pending.add, pending.late)
            if len(set().union(*kinds)) != sum(map(len, kinds)):
                return None
        writes = list(_writes(self._pending))
        return writes if len(writes) <= WRITES_AT_ONCE_MAX else None


def _writes(tables: Mapping[Table, _Pending]) -> Iterator[tuple[Write, Rows]]:
    """Yield the writes in their order, each with its rows."""
    for table, pending in tables.items():
        if pending.move:
            yield Write("move", table), [(*key, *values.values()) for key, values in pending.move.items()]
        if pending.new:
            yield Write("insert", table), _whole(table, pending.new)
        for columns, rows in _by_columns(pending.set).items():
            yield Write("update", table, columns), rows
        for columns, rows in _by_columns(pending.add).items():
            yield Write("increase", table, columns), rows
        if pending.put:
            yield Write("upsert", table), _whole(table, pending.put)
        for columns, rows in _by_columns(pending.late).items():
            yield Write("update", table, columns), rows
        if pending.sum:
            nothing = dict.fromkeys(table.columns, 0)
            yield (
                Write("sum", table),
                _whole(table, {key: nothing | amounts for key, amounts in pending.sum.items()}),
            )


def _apply_to_whole(pending: _Pending, change: Change, whole: Mapping[str, Any]) -> None:
    """Fold a change of a row that the batch adds or writes whole."""
    key, values, kept = change.key, change.values, change.table.kept
    match change.operation:
        case "new":
            raise RowExistsError(f"{change.table.name} is given a row that it has")
        case "put":
            pending.replace(key, {name: value for name, value in values.items() if name not in kept})
        case "set":
            if kept and key in pending.put and (late := kept & values.keys()):
                pending.late.setdefault(key, {}).update({name: values[name] for name in late})
            pending.replace(key, values)
        case "add":
            pending.replace(key, {name: whole.get(name, 0) + amount for name, amount in values.items()})
        case "sum":
            raise RowExistsError(f"{change.table.name} sums up a row that is written whole")
        case "move":
            pending.rekey(key, values)


def _whole(table: Table, rows: Mapping[tuple[object, ...], Mapping[str, Any]]) -> Rows:
    columns = table.columns
    return [(*key, *map(values.get, columns)) for key, values in rows.items()]


def _by_columns(rows: Mapping[tuple[object, ...], Mapping[str, Any]]) -> dict[tuple[str, ...], Rows]:
    groups: dict[tuple[str, ...], Rows] = {}
    for key, values in rows.items():
        groups.setdefault(tuple(values), []).append((*key, *values.values()))
    return groups


def _columns(rows: Rows) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
