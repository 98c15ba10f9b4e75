"""The recorder protocols of the `eventsourcing` library, kept on our record: a small synchronous bridge.

It is a persistence module of the library (`PERSISTENCE_MODULE=adapters.eventsourcing_bridge`, with `HANSARD_DATABASE_URL`): a stock
application of the library reads the record through it, and the library's own test cases for recorders hold it to the
contract, in a record of their own. It opens nothing that is sealed unless `HANSARD_MASTER_KEY_FILE` is given.

Appending goes through `record.append`, like everybody's; the library decides versions by itself, so none are expected
here and a version that exists already is an `IntegrityError`. What is Hansard's own can only be read: nothing could
take a foreign event from an append-only record again.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import asyncpg
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    IntegrityError,
    ListenNotifySubscription,
    Mapper,
    Notification,
    NotSupportedError,
    OperationalError,
    ProcessRecorder,
    ProgrammingError,
    StoredEvent,
    Subscription,
    TrackingRecorder,
)

from adapters.postgres.append_batch import APPEND, CommandOutcome
from adapters.postgres.codec import StoredRow, decode_all
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database, connect
from adapters.postgres.head_listener import CHANNEL
from adapters.postgres.master_key import load_master
from domain.events import Event, Recorded
from domain.ports.record import RecordUnavailableError
from domain.topics import kind_of

T = TypeVar("T")

SELECT_STREAM = """
    SELECT position, stream, version, topic, data, meta FROM record.events
    WHERE stream = $1 AND version > $2 AND version <= $3 ORDER BY version LIMIT $4
"""
SELECT_STREAM_BACKWARDS = """
    SELECT position, stream, version, topic, data, meta FROM record.events
    WHERE stream = $1 AND version > $2 AND version <= $3 ORDER BY version DESC LIMIT $4
"""
SELECT_NOTIFICATIONS = """
    SELECT position, stream, version, topic, data, meta FROM record.events
    WHERE position >= $1 AND position <= $2 AND (cardinality($3::text[]) = 0 OR topic = ANY ($3::text[]))
    ORDER BY position LIMIT $4
"""
SELECT_LAST = "SELECT max(position) FROM record.events"
SELECT_FIRST_TOPIC = "SELECT topic FROM record.events WHERE position = 1"
SELECT_ROW = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events WHERE position = $1
"""
INT_MIN, INT_MAX = -(2**31), 2**31 - 1
POSITION_MAX = 2**63 - 1
NO_META = b"{}"


@dataclass(frozen=True)
class RecordNotification(Notification):
    """A notification of an event of ours; `meta` is needed to open what is sealed."""

    meta: bytes = NO_META


class StoredFact(NamedTuple):
    """What of a row of the record the library has a place for."""

    position: int
    stream: UUID
    version: int
    topic: str
    data: bytes
    meta: bytes


class DomainFact(NamedTuple):
    """What the mapper makes of an event of ours: the library's names around a recorded fact."""

    originator_id: UUID
    originator_version: int
    recorded: Recorded[Event]


class Bridge:
    """An event loop in a thread, so that synchronous callers can use asyncpg."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hansard recorders", daemon=True)
        self._thread.start()
        try:
            self.db = self.wait(Database.open(url, size=8))
        except BaseException:
            self._end()
            raise

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop's thread and return its result, errors in the library's words."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except asyncpg.UniqueViolationError as error:
            raise IntegrityError(str(error)) from error
        except RecordUnavailableError as error:
            raise OperationalError(str(error)) from error

    def soon(self, work: Callable[[], object]) -> None:
        """Have the loop's thread do something, and do not wait; after `close` nothing is left to do."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work)

    def close(self) -> None:
        if self._thread.is_alive():
            self.wait(self.db.close())
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class StreamRecorder(AggregateRecorder):
    """The library's `AggregateRecorder` on the record: streams, without their positions."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        self._bridge.wait(self._insert(stored_events))
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        sql = SELECT_STREAM_BACKWARDS if desc else SELECT_STREAM
        low, high = INT_MIN if gt is None else gt, INT_MAX if lte is None else lte
        rows = self._bridge.db.all(
            StoredFact, sql, _uuid(originator_id), low, high, POSITION_MAX if limit is None else limit
        )
        return [StoredEvent(row.stream, row.version, row.topic, row.data) for row in self._bridge.wait(rows)]

    async def _insert(self, stored_events: Sequence[StoredEvent]) -> Sequence[int]:
        if not stored_events:
            return []
        if kind_of(await self._bridge.db.value(SELECT_FIRST_TOPIC) or "") is not None:
            raise ProgrammingError("This is Hansard's own record: the library may read it, not write it.")
        count = len(stored_events)
        columns: list[list[Any]] = [
            [1] * count,
            [_uuid(event.originator_id) for event in stored_events],
            [event.originator_version for event in stored_events],
            [event.topic for event in stored_events],
            [event.state for event in stored_events],
            [NO_META] * count,
            [None] * count,
        ]
        async with self._bridge.db.session() as session:
            done = await session.one(CommandOutcome, APPEND, 1, [], [], [], *columns, [], [], [], [], [], [], [])
        assert done is not None and done.first is not None and done.last is not None, "what is appended has positions"
        return list(range(done.first, done.last + 1))


class RecordRecorder(StreamRecorder, ApplicationRecorder):
    """The library's `ApplicationRecorder` on the record."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        return self._bridge.wait(self._insert(stored_events))

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        first = 1 if start is None else start if inclusive_of_start else start + 1
        last = POSITION_MAX if stop is None else stop
        rows = self._bridge.db.all(StoredFact, SELECT_NOTIFICATIONS, first, last, list(topics), limit)
        return [
            RecordNotification(row.stream, row.version, row.topic, row.data, row.position, row.meta)
            for row in self._bridge.wait(rows)
        ]

    def max_notification_id(self) -> int | None:
        return self._bridge.wait(self._bridge.db.value(SELECT_LAST))  # type: ignore[no-any-return]

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        return RecordSubscription(self, self._bridge, gt=gt, topics=topics)


class RecordSubscription(ListenNotifySubscription[ApplicationRecorder]):
    """Follows the record by LISTEN."""

    def __init__(self, recorder: RecordRecorder, bridge: Bridge, *, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._bridge = bridge
        self._ears: Any = bridge.wait(self._listen())

    def stop(self) -> None:
        super().stop()
        self._bridge.soon(self._ears.terminate)

    async def _listen(self) -> Any:
        ears = await connect(self._bridge.url)
        await ears.add_listener(CHANNEL, lambda *_: self._has_been_notified.set())
        return ears


class RecordMapper(Mapper[UUID]):
    """The library's mapper, which knows our topics: events of ours become `DomainFact`s, opened by the vault."""

    bridge: Bridge
    vault: Vault | None = None

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        if not isinstance(stored_event, RecordNotification) or stored_event.meta == NO_META:
            return super().to_domain_event(stored_event)
        assert self.vault is not None, "set HANSARD_MASTER_KEY_FILE to read events of ours"
        (recorded,) = self.bridge.wait(self._opened(stored_event.id, self.vault))
        return DomainFact(recorded.stream, recorded.version, recorded)

    async def _opened(self, position: int, vault: Vault) -> list[Recorded[Event]]:
        return await decode_all(await self.bridge.db.all(StoredRow, SELECT_ROW, position), vault)


class Factory(InfrastructureFactory[TrackingRecorder]):
    """What the library looks for in a persistence module."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._bridge = Bridge(self.env.get("HANSARD_DATABASE_URL") or "")
        key_file = self.env.get("HANSARD_MASTER_KEY_FILE")
        self._vault = Vault(self._bridge.db, load_master(Path(key_file), create=False)) if key_file else None

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        return StreamRecorder(self._bridge)

    def application_recorder(self) -> ApplicationRecorder:
        return RecordRecorder(self._bridge)

    def tracking_recorder(self, tracking_recorder_class: Any = None) -> TrackingRecorder:
        raise NotSupportedError("The record keeps no tracking of the library's; our projections have checkpoints.")

    def process_recorder(self) -> ProcessRecorder:
        raise NotSupportedError("The record keeps no tracking of the library's; our projections have checkpoints.")

    def mapper(self, transcoder: Any = None, mapper_class: Any = None) -> Mapper[Any]:
        mapper = super().mapper(transcoder, mapper_class or RecordMapper)
        if isinstance(mapper, RecordMapper):
            mapper.bridge, mapper.vault = self._bridge, self._vault
        return mapper

    def close(self) -> None:
        self._bridge.close()


def _uuid(originator_id: UUID | str) -> UUID:
    return originator_id if isinstance(originator_id, UUID) else UUID(originator_id)
