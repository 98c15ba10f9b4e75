"""What a read model declares: its tables, and which events change them how.

A handler returns the changes that a recorded event makes. They are folded and written in batches (`projections/batches.py`).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from domain.events import Event, Recorded
from domain.ports.database import Db

Operation = Literal["new", "put", "set", "add", "sum", "move", "blank", "drop"]
Policy = Literal["park", "stop"]  # what becomes of a group that meets an event which it cannot take


class Change(Struct, frozen=True, gc=False):
    """One change of one row: `values` by column for the columns that are not the key.

    `blank` and `drop` are of all rows that have the value `key` in the column `column`.
    """

    table: "Table"
    operation: Operation
    key: tuple[object, ...]
    values: dict[str, Any]
    column: str = ""


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
        """Add a row that cannot exist yet."""
        return Change(self, "new", key, values)

    def put(self, *key: object, **values: object) -> Change:
        """Write a whole row, whether it exists or not."""
        return Change(self, "put", key, values)

    def set(self, *key: object, **values: object) -> Change:
        """Set some columns of a row; nothing changes if there is no such row."""
        return Change(self, "set", key, values)

    def add(self, *key: object, **values: int) -> Change:
        """Add amounts to columns of a row."""
        return Change(self, "add", key, values)

    def sum(self, *key: object, **values: int) -> Change:
        """Add amounts to all columns of a row, which are 0 where there is none yet."""
        return Change(self, "sum", key, values)

    def move(self, *key: object, to: object) -> Change:
        """Give the last column of a row's key another value; nothing changes if there is no such row."""
        return Change(self, "move", key, {self.key[-1]: to})

    def blank(self, column: str, value: object, **values: object) -> Change:
        """Set some columns of every row that has this value in a column: once, for an erasure, whatever it costs."""
        return Change(self, "blank", (value,), values, column)

    def drop(self, column: str, value: object) -> Change:
        """Take away every row that has this value in a column: once, for an erasure, whatever it costs."""
        return Change(self, "drop", (value,), {}, column)


Handler = Callable[[Recorded[Any]], Iterable[Change]]
Handlers = Mapping[type[Event], Sequence[Handler]]
# Returns the handlers for a batch that must know more than its events: what the group's tables (with this suffix) say of them.
Prepare = Callable[[Db, str, Sequence[Recorded[Event]]], Awaitable[Handlers]]


class Projection(NamedTuple):
    """A feature's read model: its tables, and which events change them."""

    tables: tuple[Table, ...]
    handlers: Mapping[type[Event], Handler]
    reads_meta: bool = False  # whether a handler looks at who did it; a rebuild does not read what nobody asks for


class Group(NamedTuple):
    """Projections that are followed together: one owner, one transaction, one checkpoint of this name.

    `policy` is what an operator decided: to park what the group cannot take, or to stand still before it.
    `version` rises when the tables' content would differ for the same record; a rebuild then makes the new ones. With `prepare`
    each batch has handlers of its own; those of the projections are the ones that need nothing but the event.
    """

    name: str
    version: int
    projections: tuple[Projection, ...]
    prepare: Prepare | None = None
    policy: Policy = "park"

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(table for projection in self.projections for table in projection.tables)

    @property
    def reads_meta(self) -> bool:
        return any(projection.reads_meta for projection in self.projections)

    def handlers(self) -> dict[type[Event], tuple[Handler, ...]]:
        """Return all handlers of the group by the type of event, in the order of its projections."""
        by_type: dict[type[Event], tuple[Handler, ...]] = {}
        for projection in self.projections:
            for event, handler in projection.handlers.items():
                by_type[event] = (*by_type.get(event, ()), handler)
        return by_type
