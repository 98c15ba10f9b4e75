"""Read tables and how batches of changes are written to them.

A handler answers a fact with changes; `Batch` folds the changes of many facts in memory, and writes each table with a
few set-based statements, never one a fact. The statements are made from the tables' declarations, once for each set of
columns, and take only parameters. The same batch serves the live follower and a rebuild (`suffix` names the tables that
stand beside the served ones; COPY where there are many new rows).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from domain.events import Event, Recorded
from domain.ports.database import Db

COPY_ROWS_MIN = 200
Operation = Literal["new", "put", "set", "add"]


class Change(NamedTuple):
    """One change of one row: `values` by column for the columns that are not the key."""

    table: "Table"
    operation: Operation
    key: tuple[object, ...]
    values: dict[str, Any]


class Table:
    """A read table: its key, its other columns, and their Postgres types, in the order of the DDL."""

    def __init__(
        self, name: str, *, key: Mapping[str, str], columns: Mapping[str, str], kept: Sequence[str] = ()
    ) -> None:
        """`kept`: columns that a `put` over an existing row leaves as they are."""
        self.name = name
        self.key = tuple(key)
        self.columns = tuple(columns)
        self.kept = frozenset(kept)
        self.types = {**key, **columns}

    def new(self, *key: object, **values: object) -> Change:
        """A row that cannot exist yet."""
        return Change(self, "new", key, values)

    def put(self, *key: object, **values: object) -> Change:
        """A whole row, whether it exists or not."""
        return Change(self, "put", key, values)

    def set(self, *key: object, **values: object) -> Change:
        """Some columns of a row; nothing where there is no such row."""
        return Change(self, "set", key, values)

    def add(self, *key: object, **values: int) -> Change:
        """Amounts to be added to columns of a row."""
        return Change(self, "add", key, values)


class RowExistsError(Exception):
    """A batch makes a row twice that cannot exist yet: as the database would say of two batches."""


Handler = Callable[[Recorded[Any]], Iterable[Change]]


class Projection(NamedTuple):
    """A feature's read model: its tables, and which facts change them."""

    tables: tuple[Table, ...]
    handlers: Mapping[type[Event], Handler]


class Group(NamedTuple):
    """Projections that are followed together: one owner, one transaction, one checkpoint of this name.

    `version` rises when the tables' content would differ for the same record; a rebuild then makes the new ones.
    """

    name: str
    version: int
    projections: tuple[Projection, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(table for projection in self.projections for table in projection.tables)

    def handlers(self) -> dict[type[Event], tuple[Handler, ...]]:
        """Return all handlers of the group by the kind of fact, in the order of its projections."""
        by_kind: dict[type[Event], tuple[Handler, ...]] = {}
        for projection in self.projections:
            for kind, handler in projection.handlers.items():
                by_kind[kind] = (*by_kind.get(kind, ()), handler)
        return by_kind


class _Pending:
    """What a batch will do to one table: rows new or put (whole), columns set, amounts added.

    `late`: columns that a put keeps, set after it; they are written last.
    """

    def __init__(self) -> None:
        self.new: dict[tuple[object, ...], dict[str, Any]] = {}
        self.put: dict[tuple[object, ...], dict[str, Any]] = {}
        self.set: dict[tuple[object, ...], dict[str, Any]] = {}
        self.add: dict[tuple[object, ...], dict[str, int]] = {}
        self.late: dict[tuple[object, ...], dict[str, Any]] = {}

    def replace(self, key: tuple[object, ...], values: Mapping[str, Any]) -> None:
        """Change some columns of a whole row."""
        rows = self.new if key in self.new else self.put
        rows[key] = {**rows[key], **values}


class Batch:
    """Changes folded in memory, in the order of the facts."""

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
            case "add":
                amounts = pending.add.setdefault(key, {})
                for name, amount in values.items():
                    amounts[name] = amounts.get(name, 0) + amount

    async def write(self, db: Db, *, suffix: str = "", bulk: bool = False) -> None:
        """Write everything; within the caller's transaction. `bulk`: new rows go in by COPY."""
        for table, pending in self._pending.items():
            await _write_table(db, table, pending, suffix, bulk)


async def _write_table(db: Db, table: Table, pending: _Pending, suffix: str, bulk: bool) -> None:
    if pending.new:
        rows = [(*key, *map(values.get, table.columns)) for key, values in pending.new.items()]
        if bulk and len(rows) >= COPY_ROWS_MIN:
            await db.copy(table.name + suffix, (*table.key, *table.columns), rows)
        else:
            await db.run(_insert(table, suffix), *_columns(rows))
    await _write_sets(db, table, pending.set, suffix)
    for columns, group in _by_columns(pending.add).items():
        await db.run(_increase(table, columns, suffix), *_columns(group))
    if pending.put:
        rows = [(*key, *map(values.get, table.columns)) for key, values in pending.put.items()]
        await db.run(_upsert(table, suffix), *_columns(rows))
    await _write_sets(db, table, pending.late, suffix)


async def _write_sets(db: Db, table: Table, rows: Mapping[tuple[object, ...], Mapping[str, Any]], suffix: str) -> None:
    for columns, group in _by_columns(rows).items():
        await db.run(_update(table, columns, suffix), *_columns(group))


def _by_columns(
    rows: Mapping[tuple[object, ...], Mapping[str, Any]],
) -> dict[tuple[str, ...], list[tuple[object, ...]]]:
    groups: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
    for key, values in rows.items():
        groups.setdefault(tuple(values), []).append((*key, *values.values()))
    return groups


def _columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _unnest(table: Table, columns: Sequence[str]) -> str:
    return ", ".join(f"${i}::{table.types[name]}[]" for i, name in enumerate(columns, 1))


@lru_cache(maxsize=256)
def _insert(table: Table, suffix: str) -> str:
    columns = (*table.key, *table.columns)
    return f"INSERT INTO {table.name}{suffix} ({', '.join(columns)}) SELECT * FROM unnest({_unnest(table, columns)})"


@lru_cache(maxsize=256)
def _upsert(table: Table, suffix: str) -> str:
    replaced = ", ".join(f"{name} = excluded.{name}" for name in table.columns if name not in table.kept)
    return f"{_insert(table, suffix)} ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {replaced}"


@lru_cache(maxsize=256)
def _update(table: Table, columns: tuple[str, ...], suffix: str) -> str:
    return _changing(table, columns, ", ".join(f"{name} = given.{name}" for name in columns), suffix)


@lru_cache(maxsize=256)
def _increase(table: Table, columns: tuple[str, ...], suffix: str) -> str:
    return _changing(table, columns, ", ".join(f"{name} = kept.{name} + given.{name}" for name in columns), suffix)


def _changing(table: Table, columns: tuple[str, ...], assignments: str, suffix: str) -> str:
    given = (*table.key, *columns)
    same = " AND ".join(f"kept.{name} = given.{name}" for name in table.key)
    return (
        f"UPDATE {table.name}{suffix} kept SET {assignments} "
        f"FROM unnest({_unnest(table, given)}) given ({', '.join(given)}) WHERE {same}"
    )
