"""Queries: what read models, audit and locks ask of Postgres."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

Row = TypeVar("Row")


class Db(Protocol):
    """Queries on a pool, or on the one connection of a transaction.

    `row` is a struct whose fields are the statement's columns, or makes a value of its only column
    (`adapters/postgres/rows.py`).
    """

    async def all(self, row: Callable[..., Row], sql: str, *args: object) -> list[Row]: ...
    async def one(self, row: Callable[..., Row], sql: str, *args: object) -> Row | None: ...
    async def value(self, sql: str, *args: object) -> Any: ...
    async def run(self, sql: str, *args: object) -> str: ...
    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Append rows to `schema.table` by COPY."""

    def transaction(self, *, durable: bool = True) -> "AbstractAsyncContextManager[Db]":
        """One transaction; `durable=False` (for what can be rebuilt) does not wait for the disk at commit."""
