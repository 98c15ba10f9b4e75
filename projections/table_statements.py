"""The statements that write read tables: whole, but for the names in braces, which are those that a table declares.

No parameter can stand for a name, and each set of columns that handlers change is a statement of its own; so these are
templates, filled with declared names and never with values. `tests/house/test_sql.py` PREPAREs them for every table.
`suffix` names the tables of a rebuild, which are beside the served ones.

What a batch does to the tables is one statement after another, or, where it is little, a single one that also moves the
checkpoint (`commit`).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from projections.tables import Change, Table

INSERT = """
    INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays}){only_if}
"""
UPSERT = """
    INSERT INTO {table} AS kept ({columns}) SELECT * FROM unnest({arrays}){only_if}
    ON CONFLICT ({key}) DO {otherwise}
"""
UPDATE = """
    UPDATE {table} kept SET {assignments}
    FROM unnest({arrays}) given ({columns}) WHERE {same_key}
"""
# The checkpoint is waited for by nobody here: whoever holds its row (a rebuild that exchanges tables) wants the tables next,
# which this statement has a lock on from its start. Rows are touched after it, and only if it was moved. The answer says
# whether it was; nothing here waits for the disk.
COMMIT = """
    WITH held AS (
        SELECT position FROM read.checkpoints WHERE name = $1 AND epoch = $2 AND position = $3 FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE read.checkpoints c
        SET position = $4, leased_to = clock_timestamp() + make_interval(secs => $5), moved_at = clock_timestamp()
        WHERE c.name = $1 AND c.epoch = $2 AND c.position = $3 AND EXISTS (SELECT FROM held) RETURNING c.position
    ), {writes}
    SELECT EXISTS (SELECT FROM moved) AND set_config('synchronous_commit', 'off', true) = 'off' AS is_moved
"""
# The same for a batch that changes nothing.
COMMIT_NOTHING = """
    WITH held AS (
        SELECT position FROM read.checkpoints WHERE name = $1 AND epoch = $2 AND position = $3 FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE read.checkpoints c
        SET position = $4, leased_to = clock_timestamp() + make_interval(secs => $5), moved_at = clock_timestamp()
        WHERE c.name = $1 AND c.epoch = $2 AND c.position = $3 AND EXISTS (SELECT FROM held) RETURNING c.position
    )
    SELECT EXISTS (SELECT FROM moved) AND set_config('synchronous_commit', 'off', true) = 'off' AS is_moved
"""
BLANK = "UPDATE {table} SET {assignments} WHERE {column} = $1::{kind}"
DROP = "DELETE FROM {table} WHERE {column} = $1::{kind}"
COMMIT_ARGUMENTS = 5
IF_MOVED = "EXISTS (SELECT FROM moved)"
MOVED = "moved_to"  # what the last column of a key becomes

Kind = Literal["insert", "upsert", "update", "increase", "sum", "move"]


class Write(NamedTuple):
    """What a statement does: to which table, and, if it changes rows, to which of its columns."""

    kind: Kind
    table: Table
    columns: tuple[str, ...] = ()


def statement(write: Write, suffix: str) -> str:
    """Return the statement of a write: it takes an array for each column, those of the key first."""
    return _statement(write, suffix, 1, "")


def scrub(change: Change, suffix: str) -> str:
    """Return the statement of a `blank` or a `drop`: it takes the value that the rows have, and what is put in its place."""
    table, kinds = change.table, change.table.types
    assignments = ", ".join(f"{name} = ${i}::{kinds[name]}" for i, name in enumerate(change.values, 2))
    names = {"table": table.name + suffix, "column": change.column, "kind": kinds[change.column]}
    return DROP.format(**names) if change.operation == "drop" else BLANK.format(**names, assignments=assignments)


@lru_cache(maxsize=256)
def commit(writes: tuple[Write, ...]) -> str:
    """Return the statement that moves a checkpoint and does these writes, or none of all that.

    It takes the checkpoint's name, epoch, position and next position, the seconds of its lease, and the arrays of each write.
    All writes see the tables as they were before it: no two may concern the same row.
    """
    if not writes:
        return COMMIT_NOTHING
    parts, first = [], COMMIT_ARGUMENTS + 1
    for number, write in enumerate(writes, 1):
        parts.append(f"write_{number} AS ({_statement(write, '', first, IF_MOVED).strip()})")
        first += len(_given(write))
    return COMMIT.format(writes=", ".join(parts))


@lru_cache(maxsize=1024)
def _statement(write: Write, suffix: str, first: int, condition: str) -> str:
    table, given = write.table, _given(write)
    arrays = ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(given.values(), first))
    names = {"table": table.name + suffix, "columns": ", ".join(given), "arrays": arrays, "key": ", ".join(table.key)}
    only_if = f" WHERE {condition}" if condition else ""
    match write.kind:
        case "insert":
            return INSERT.format(**names, only_if=only_if)
        case "upsert":
            replaced = ", ".join(f"{name} = excluded.{name}" for name in table.columns if name not in table.kept)
            otherwise = f"UPDATE SET {replaced}" if replaced else "NOTHING"  # a row may be its key alone
            return UPSERT.format(**names, only_if=only_if, otherwise=otherwise)
        case "sum":
            summed = ", ".join(f"{name} = kept.{name} + excluded.{name}" for name in table.columns)
            return UPSERT.format(**names, only_if=only_if, otherwise=f"UPDATE SET {summed}")
        case "update":
            assignments = ", ".join(f"{name} = given.{name}" for name in write.columns)
        case "increase":
            assignments = ", ".join(f"{name} = kept.{name} + given.{name}" for name in write.columns)
        case "move":
            assignments = f"{table.key[-1]} = given.{MOVED}"
    conditions = (*(f"kept.{name} = given.{name}" for name in table.key), *((condition,) if condition else ()))
    return UPDATE.format(**names, assignments=assignments, same_key=" AND ".join(conditions))


def _given(write: Write) -> Mapping[str, str]:
    """Return what a write is given arrays of: names, and the types of Postgres."""
    table = write.table
    if write.kind == "move":
        return {**{name: table.types[name] for name in table.key}, MOVED: table.types[table.key[-1]]}
    whole = write.kind in ("insert", "upsert", "sum")
    return {name: table.types[name] for name in (*table.key, *(table.columns if whole else write.columns))}
