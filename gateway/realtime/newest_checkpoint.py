"""The newest signed checkpoint, for every socket that opens: it is read once a second at most, and lent to all of them."""

from adapters.clock import monotonic
from adapters.postgres.tiles import TileStore

FRESH_SECONDS = 1.0


class NewestCheckpoint:
    """What the notary signed last, as this process saw it."""

    def __init__(self, store: TileStore, origin: str) -> None:
        self._store = store
        self._origin = origin
        self._read_at: float | None = None
        self._note: str | None = None

    async def newest(self) -> str | None:
        """Return the note; None where nothing was signed."""
        now = monotonic()
        if self._read_at is None or now - self._read_at >= FRESH_SECONDS:
            self._read_at = now
            found = await self._store.newest(self._origin)
            self._note = None if found is None else found.note
        return self._note
