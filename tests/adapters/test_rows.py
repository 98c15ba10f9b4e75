"""Rows become structs by the names of their columns, which are those of the struct's fields, in order."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from msgspec import Struct

from adapters.postgres.rows import ColumnsDifferError, decode


class Door(Struct, frozen=True):
    id: int
    name: str
    colour: str = "red"


class House(Struct, frozen=True):
    street: str
    door: Door | None


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_a_row_becomes_a_struct_and_a_lone_column_a_value(db: asyncpg.Connection) -> None:
    rows = await db.fetch("SELECT i AS id, 'front' AS name, 'blue' AS colour FROM generate_series(1, 2) i")
    assert decode(Door, rows) == [Door(1, "front", "blue"), Door(2, "front", "blue")]
    assert decode(int, await db.fetch("SELECT i FROM generate_series(1, 2) i")) == [1, 2]
    assert decode(Door, []) == []


async def test_fields_with_a_default_may_be_left_out_at_the_end(db: asyncpg.Connection) -> None:
    assert decode(Door, await db.fetch("SELECT 1 AS id, 'front' AS name")) == [Door(1, "front", "red")]


async def test_the_columns_left_are_the_last_field_s_own_and_null_where_a_join_found_nothing(
    db: asyncpg.Connection,
) -> None:
    rows = await db.fetch("""
        SELECT house.street, door.id, door.name FROM (VALUES (1, 'High'), (2, 'Low')) house (id, street)
        LEFT JOIN (VALUES (1, 'front')) door (id, name) ON door.id = house.id ORDER BY house.id
    """)
    assert decode(House, rows) == [House("High", Door(1, "front")), House("Low", None)]


@pytest.mark.parametrize(
    ("row", "sql"),
    [
        (Door, "SELECT 'front' AS name, 1 AS id"),
        (Door, "SELECT 1 AS id"),
        (Door, "SELECT 1 AS id, 'front' AS title"),
        (Door, "SELECT 1 AS id, 'front' AS name, 'red' AS colour, true AS is_open"),
        (House, "SELECT 'High' AS street, 'front' AS name, 1 AS id"),
        (House, "SELECT 'High' AS street"),
        (int, "SELECT 1 AS id, 2 AS next"),
    ],
)
async def test_other_columns_than_those_of_the_struct_are_refused(
    db: asyncpg.Connection, row: type[object], sql: str
) -> None:
    with pytest.raises(ColumnsDifferError):
        decode(row, await db.fetch(sql))
