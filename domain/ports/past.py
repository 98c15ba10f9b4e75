"""The past: what streams held at a position of the record, and what its clock said."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from domain.events import Recorded
from domain.ids import StreamId


class Past(Protocol):
    """Reads of the record that cost the same however long ago they look, and however much has happened since."""

    async def position_at(self, moment: datetime) -> int:
        """Return the position of the last event that was recorded at a time or before; 0 if there is none."""

    async def last_until(self, ids: Collection[StreamId], position: int) -> Mapping[StreamId, Recorded[Any]]:
        """Return the last event of each stream up to a position; streams that began later are left out."""

    async def all_until(self, ids: Collection[StreamId], position: int) -> Mapping[StreamId, Sequence[Recorded[Any]]]:
        """Return all events of each stream up to a position, in order; for streams that are short."""

    async def at(self, positions: Collection[int]) -> Mapping[int, Recorded[Any]]:
        """Return the events at these positions."""

    async def before(self, events: Collection[tuple[StreamId, int]]) -> Mapping[tuple[StreamId, int], Recorded[Any]]:
        """Return, for each stream and version, the event of the stream before it; first versions are left out."""
