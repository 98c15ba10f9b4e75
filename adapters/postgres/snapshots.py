"""Snapshots in Postgres: the states of long streams, sealed as their events are.

A snapshot is a short cut and never the truth. One of another fold, of a destroyed key, or that cannot be opened or
decoded is ignored, and the stream is read from its events.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag

from adapters.postgres.data_keys import KeyName, Vault
from domain.events import Stream
from domain.ids import KeyId, StreamId
from domain.ports.database import Db
from domain.ports.record import KeysMissingError, Snapshot

SELECT_NEWEST = """
    SELECT s.stream, s.version, s.position, s.recorded_at AS at, s.key_id, s.state
    FROM unnest($1::uuid[], $2::int[]) asked (stream, fold)
    JOIN record.snapshots s ON s.stream = asked.stream AND s.fold = asked.fold
"""
UPSERT = """
    INSERT INTO record.snapshots AS kept (stream, fold, version, position, recorded_at, key_id, state)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (stream, fold) DO UPDATE SET
        version = EXCLUDED.version, position = EXCLUDED.position, recorded_at = EXCLUDED.recorded_at,
        key_id = EXCLUDED.key_id, state = EXCLUDED.state
    WHERE kept.version < EXCLUDED.version OR kept.position <> EXCLUDED.position
"""


class _Row(NamedTuple):
    stream: StreamId
    version: int
    position: int
    at: datetime
    key_id: Any
    state: bytes


class PostgresSnapshots:
    """The port `domain.ports.Snapshots`."""

    def __init__(self, db: Db, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    async def newest(self, streams: Mapping[StreamId, Stream[Any]]) -> dict[StreamId, Snapshot]:
        folds = [stream.fold for stream in streams.values()]
        rows = await self._db.all(_Row, SELECT_NEWEST, list(streams), folds)
        await self._vault.gather({KeyId(str(row.key_id)) for row in rows if row.key_id is not None})
        found = {}
        for row in rows:
            state = self._opened(row, streams[row.stream])
            if state is not None:
                found[row.stream] = Snapshot(state, row.version, row.position, row.at)
        return found

    async def keep(self, stream: Stream[Any], stream_id: StreamId, snapshot: Snapshot) -> None:
        plain, key_id = msgspec.json.encode(snapshot.state), None
        if stream.subject is not None:
            name = KeyName(*stream.subject(snapshot.state), snapshot.at.date())
            key_id = (await self._vault.make([name]))[name]
            plain = self._vault.seal(key_id, plain, _bound(stream, stream_id, snapshot.version))
        await self._db.run(
            UPSERT, stream_id, stream.fold, snapshot.version, snapshot.position, snapshot.at, key_id, plain
        )

    def _opened(self, row: _Row, stream: Stream[Any]) -> Any:
        """Return the state of a row; None if it cannot be had."""
        try:
            plain: bytes | None = row.state
            if row.key_id is not None:
                bound = _bound(stream, row.stream, row.version)
                plain = self._vault.open(KeyId(str(row.key_id)), row.state, bound)
            return None if plain is None else msgspec.json.decode(plain, type=stream.state)
        except (InvalidTag, KeysMissingError, msgspec.MsgspecError):
            return None


def _bound(stream: Stream[Any], stream_id: StreamId, version: int) -> bytes:
    return f"snapshot\n{stream.kind}\n{stream_id}\n{stream.fold}\n{version}".encode()
