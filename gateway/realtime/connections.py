"""Connections: the authenticated sockets of this process, and by whom."""

from collections.abc import Iterable, Iterator

from domain.ids import UserId
from gateway.protocol import close_codes
from gateway.realtime.connection import Connection


class Connections:
    def __init__(self) -> None:
        # Dictionaries where sets would do: their order is that of coming, so a simulated run can be repeated.
        self._all: dict[Connection, None] = {}
        self._by_user: dict[UserId, dict[Connection, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        """Iterate over those of this moment; they may be closed meanwhile."""
        return iter(list(self._all))

    def of_user(self, user_id: UserId) -> Iterable[Connection]:
        return self._by_user.get(user_id, ())

    def add(self, connection: Connection) -> None:
        self._all[connection] = None
        self._by_user.setdefault(connection.access.user_id, {})[connection] = None

    def remove(self, connection: Connection) -> None:
        self._all.pop(connection, None)
        of_user = self._by_user.get(connection.access.user_id, {})
        of_user.pop(connection, None)
        if not of_user:
            self._by_user.pop(connection.access.user_id, None)

    def close_stalled(self, now: float) -> None:
        """Close the sockets whose client has read nothing for too long."""
        for connection in self:
            if connection.outbox.has_stalled(now):
                connection.close(close_codes.TOO_SLOW, "nothing was read for too long")
