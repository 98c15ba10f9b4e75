"""A database that counts what its statements read."""

from typing import Any

import asyncpg

from adapters.postgres.database import Database
from tests.deployments import rows_met


class Metered:
    """A database that counts the rows that its statements meet."""

    def __init__(self, db: Database, connection: asyncpg.Connection, mode: str) -> None:
        self._db = db
        self._connection = connection
        self._mode = mode
        self.rows = 0.0

    async def all(self, row: Any, sql: str, *args: object) -> Any:
        self.rows += await rows_met(self._connection, self._mode, None, sql, *args)
        return await self._db.all(row, sql, *args)
