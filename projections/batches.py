"""Batches: changes of read tables, folded in memory and written with a few set-based statements, never one an event.

The same batch serves the live follower and a rebuild. `suffix` names the tables of a rebuild, which are beside the served
ones; its many new rows go in by COPY.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.ports.database import Db
from projections import table_statements
from projections.tables import Change, Table

COPY_ROWS_MIN = 200


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
        """Give a row another key: one of this batch at once, one that is there already when the batch is written."""
        for rows in (self.new, self.put):
            if key in rows:
                rows[(*key[:-1], *values.values())] = rows.pop(key)
                return
        self.move[key] = values


class Batch:
    """Changes folded in memory, in the order of the events."""

    def __init__(self) -> None:
        self._pending: dict[Table, _Pending] = {}

    def apply(self, change: Change) -> None:
        pending = self._pending.get(change.table)
        if pending is None:
            pending = self._pending[change.table] = _Pending()
        key, values = change.key, change.values
        whole = pending.new.get(key)
        if whole is None:
            whole = pending.put.get(key)
        # Changes are left as they are: a batch that is refused is folded again in halves, of the same ones.
        match change.operation:
            case "new" if whole is not None:
                raise RowExistsError(f"{change.table.name} is given a row that it has")
            case "new":
                pending.new[key] = values
            case "put" if whole is not None:
                pending.replace(key, {name: value for name, value in values.items() if name not in change.table.kept})
            case "put":
                # A `set` of a kept column earlier in the batch must still reach the row that is there: sets go first.
                pending.put[key] = values
            case "set":
                if key in pending.put and (kept := change.table.kept & values.keys()):
                    pending.late.setdefault(key, {}).update({name: values[name] for name in kept})
                if whole is not None:
                    pending.replace(key, values)
                else:
                    pending.set.setdefault(key, {}).update(values)
            case "add" if whole is not None:
                pending.replace(key, {name: whole.get(name, 0) + amount for name, amount in values.items()})
            case "sum" if whole is not None:
                raise RowExistsError(f"{change.table.name} sums up a row that is written whole")
            case "add" | "sum":
                amounts = (pending.add if change.operation == "add" else pending.sum).setdefault(key, {})
                for name, amount in values.items():
                    amounts[name] = amounts.get(name, 0) + amount
            case "move":
                pending.rekey(key, values)

    async def write(self, db: Db, *, suffix: str = "", bulk: bool = False) -> None:
        """Write everything; within the caller's transaction. `bulk`: new rows go in by COPY."""
        for table, pending in self._pending.items():
            await _write_table(db, table, pending, suffix, bulk)


async def _write_table(db: Db, table: Table, pending: _Pending, suffix: str, bulk: bool) -> None:
    if pending.move:
        moved = [(*key, *values.values()) for key, values in pending.move.items()]
        await db.run(table_statements.move(table, suffix), *_columns(moved))
    if pending.new:
        rows = [(*key, *map(values.get, table.columns)) for key, values in pending.new.items()]
        if bulk and len(rows) >= COPY_ROWS_MIN:
            await db.copy(table.name + suffix, (*table.key, *table.columns), rows)
        else:
            await db.run(table_statements.insert(table, suffix), *_columns(rows))
    await _write_sets(db, table, pending.set, suffix)
    for columns, group in _by_columns(pending.add).items():
        await db.run(table_statements.increase(table, columns, suffix), *_columns(group))
    if pending.put:
        rows = [(*key, *map(values.get, table.columns)) for key, values in pending.put.items()]
        await db.run(table_statements.upsert(table, suffix), *_columns(rows))
    await _write_sets(db, table, pending.late, suffix)
    if pending.sum:
        rows = [(*key, *(amounts.get(name, 0) for name in table.columns)) for key, amounts in pending.sum.items()]
        await db.run(table_statements.sum_up(table, suffix), *_columns(rows))


async def _write_sets(db: Db, table: Table, rows: Mapping[tuple[object, ...], Mapping[str, Any]], suffix: str) -> None:
    for columns, group in _by_columns(rows).items():
        await db.run(table_statements.update(table, columns, suffix), *_columns(group))


def _by_columns(
    rows: Mapping[tuple[object, ...], Mapping[str, Any]],
) -> dict[tuple[str, ...], list[tuple[object, ...]]]:
    groups: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
    for key, values in rows.items():
        groups.setdefault(tuple(values), []).append((*key, *values.values()))
    return groups


def _columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
