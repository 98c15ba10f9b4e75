"""Audit streams: how many listen to the record through this gateway, and of one person."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import LimitExceededError
from domain.ids import UserId

STREAMS_OF_GATEWAY_MAX = 16
STREAMS_OF_PERSON_MAX = 4
HEARTBEAT_SECONDS = 15.0
CHECK_SECONDS = 1.0


class TooManyStreamsError(LimitExceededError, code="audit.too_many_streams"):
    """As many listen to the audit stream as may; end another one, or wait."""


class AuditStreams:
    """Who listens to the audit stream through this gateway."""

    def __init__(
        self,
        *,
        of_gateway: int = STREAMS_OF_GATEWAY_MAX,
        of_person: int = STREAMS_OF_PERSON_MAX,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self.of_gateway = of_gateway
        self.of_person = of_person
        self.heartbeat_seconds = heartbeat_seconds
        self.check_seconds = check_seconds
        self._of: Counter[UserId] = Counter()

    def __len__(self) -> int:
        return self._of.total()

    @contextmanager
    def taken(self, user_id: UserId) -> Iterator[None]:
        """Count a listener while the block runs. Raise `TooManyStreamsError` if it would be one too many."""
        if len(self) >= self.of_gateway or self._of[user_id] >= self.of_person:
            raise TooManyStreamsError(self.heartbeat_seconds, TooManyStreamsError.__doc__)
        self._of[user_id] += 1
        try:
            yield
        finally:
            self._of[user_id] -= 1
