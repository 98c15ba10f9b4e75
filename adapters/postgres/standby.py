"""Synchronous standbys: up to which position of the record one of them has everything on its disk.

Postgres shows a commit to others when its standby has it, but after a crash, or where somebody ended a wait, also one that the
standby lacks. What is signed must survive the failover to it, so the notary asks for itself.
"""

from typing import NamedTuple

from domain.ports.database import Db

SELECT_STANDING = """
    SELECT current_setting('synchronous_standby_names') <> '' AS is_wanted,
        coalesce(notary.replicated() >= $1::text::pg_lsn, false) AS has_it, pg_current_wal_insert_lsn()::text AS now
"""
NOWHERE = "FFFFFFFF/FFFFFFFF"


class _Standing(NamedTuple):
    is_wanted: bool
    has_it: bool
    now: str


class _Waiting(NamedTuple):
    """A position, and a place of the write-ahead log at which it was written for certain."""

    position: int
    log: str


class Standby:
    """What the synchronous standbys of one database have."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._waiting: _Waiting | None = None
        self._has = 0

    async def has(self, head: int) -> int:
        """Return up to which position a standby has everything; `head`, which was read before, where none is wanted."""
        asked = self._waiting.log if self._waiting is not None else NOWHERE
        found = await self._db.one(_Standing, SELECT_STANDING, asked)
        assert found is not None, "it is one row"
        if not found.is_wanted:
            return head
        if self._waiting is not None and found.has_it:
            self._has, self._waiting = self._waiting.position, None
        if self._waiting is None and head > self._has:
            self._waiting = _Waiting(head, found.now)
        return self._has
