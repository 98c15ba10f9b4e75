"""The statements that write read tables: whole, but for the names in braces, which are those that a table declares.

No parameter can stand for a name, and each set of columns that handlers change is a statement of its own; so these are
templates, filled with declared names and never with values. `tests/house/test_sql.py` PREPAREs them for every table.
`suffix` names the tables of a rebuild, which are beside the served ones.
"""

from collections.abc import Sequence
from functools import lru_cache

from projections.tables import Table

INSERT = """
    INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays})
"""
UPSERT = """
    INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays})
    ON CONFLICT ({key}) DO {otherwise}
"""
SUM = """
    INSERT INTO {table} AS kept ({columns}) SELECT * FROM unnest({arrays})
    ON CONFLICT ({key}) DO UPDATE SET {assignments}
"""
MOVE = """
    UPDATE {table} kept SET {last} = given.moved
    FROM unnest({arrays}, ${number}::{kind}[]) given ({key}, moved) WHERE {same_key}
"""
UPDATE = """
    UPDATE {table} kept SET {assignments}
    FROM unnest({arrays}) given ({columns}) WHERE {same_key}
"""


@lru_cache(maxsize=256)
def insert(table: Table, suffix: str) -> str:
    """Return the statement that adds rows: an array for each column, those of the key first."""
    columns = (*table.key, *table.columns)
    return INSERT.format(table=table.name + suffix, columns=", ".join(columns), arrays=_arrays(table, columns))


@lru_cache(maxsize=256)
def upsert(table: Table, suffix: str) -> str:
    """Return the statement that adds rows or replaces them, but for the columns that the table keeps. Where a row is its key
    alone, there is nothing to replace."""
    columns = (*table.key, *table.columns)
    replaced = ", ".join(f"{name} = excluded.{name}" for name in table.columns if name not in table.kept)
    return UPSERT.format(
        table=table.name + suffix,
        columns=", ".join(columns),
        arrays=_arrays(table, columns),
        key=", ".join(table.key),
        otherwise=f"UPDATE SET {replaced}" if replaced else "NOTHING",
    )


@lru_cache(maxsize=256)
def update(table: Table, columns: tuple[str, ...], suffix: str) -> str:
    """Return the statement that sets these columns: an array for each column of the key, then one for each of them."""
    return _update(table, columns, ", ".join(f"{name} = given.{name}" for name in columns), suffix)


@lru_cache(maxsize=256)
def increase(table: Table, columns: tuple[str, ...], suffix: str) -> str:
    """Return the statement that adds to these columns; its arrays are those of `update`."""
    return _update(table, columns, ", ".join(f"{name} = kept.{name} + given.{name}" for name in columns), suffix)


@lru_cache(maxsize=256)
def sum_up(table: Table, suffix: str) -> str:
    """Return the statement that adds to all columns of rows, and makes those that are missing; its arrays are those of
    `insert`."""
    columns = (*table.key, *table.columns)
    return SUM.format(
        table=table.name + suffix,
        columns=", ".join(columns),
        arrays=_arrays(table, columns),
        key=", ".join(table.key),
        assignments=", ".join(f"{name} = kept.{name} + excluded.{name}" for name in table.columns),
    )


@lru_cache(maxsize=256)
def move(table: Table, suffix: str) -> str:
    """Return the statement that gives the last column of keys another value: an array for each column of the key, then one
    for that."""
    return MOVE.format(
        table=table.name + suffix,
        last=table.key[-1],
        arrays=_arrays(table, table.key),
        number=len(table.key) + 1,
        kind=table.types[table.key[-1]],
        key=", ".join(table.key),
        same_key=_same_key(table),
    )


def _update(table: Table, columns: tuple[str, ...], assignments: str, suffix: str) -> str:
    given = (*table.key, *columns)
    return UPDATE.format(
        table=table.name + suffix,
        assignments=assignments,
        arrays=_arrays(table, given),
        columns=", ".join(given),
        same_key=_same_key(table),
    )


def _same_key(table: Table) -> str:
    return " AND ".join(f"kept.{name} = given.{name}" for name in table.key)


def _arrays(table: Table, columns: Sequence[str]) -> str:
    return ", ".join(f"${i}::{table.types[name]}[]" for i, name in enumerate(columns, 1))
