"""Backoff: how long to wait before trying again."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Backoff:
    """Pauses that double, up to a bound; chance spreads clients that were cut off together."""

    first_seconds: float = 0.2
    most_seconds: float = 20.0

    def pauses(self, chance: Random) -> Iterator[float]:
        """Yield pauses in seconds without end, each between half of its bound and all of it."""
        bound = self.first_seconds
        while True:
            yield chance.uniform(bound / 2, bound)
            bound = min(2 * bound, self.most_seconds)
