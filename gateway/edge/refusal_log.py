"""Refusal log: refusals are counted in memory, and recorded once a minute, by code and by person or address.

Beyond `REFUSAL_LINES_MAX` persons and addresses in a minute, the others share one line for each code. A process that is
killed loses what it counted in its last minute; its log has it.
"""

import asyncio
from collections import Counter

import structlog

from commands.command_bus import CommandBus
from commands.security import CountRefusals
from domain.errors import DomainError
from domain.events import Caller
from domain.ids import UserId
from domain.ports.record import RecordUnavailableError
from domain.security import RefusalsCounted

REFUSAL_LINES_MAX = 500
REFUSAL_SECONDS = 60.0

log = structlog.get_logger()

COUNTED = frozenset({401, 403, 429})
# What belongs to others is answered as if it did not exist: looking for such things counts as being refused.
HIDDEN = frozenset({"room.not_found", "message.not_found", "file.not_found"})
OTHERS = "others"


class Refusals:
    def __init__(self, command_bus: CommandBus) -> None:
        self._command_bus = command_bus
        self._counts: Counter[tuple[str, UserId | None, str | None]] = Counter()

    def note(self, status: int, kind: str, user_id: UserId | None, address: str | None) -> None:
        """Count an answer if it is a refusal that matters."""
        if status not in COUNTED and kind not in HIDDEN:
            return
        line = (kind, user_id, None if user_id else address)
        if line not in self._counts and len(self._counts) >= REFUSAL_LINES_MAX:
            line = (kind, None, OTHERS)
        self._counts[line] += 1

    async def step(self) -> int:
        """Record what was counted. Return how many lines. If that fails, go on counting."""
        counts, self._counts = self._counts, Counter()
        if not counts:
            return 0
        minute = int(self._command_bus.now().timestamp()) // 60
        lines = tuple(
            RefusalsCounted(kind, count, minute, user_id, address) for (kind, user_id, address), count in counts.items()
        )
        try:
            await self._command_bus.do(
                CountRefusals(self._command_bus.new_id(), lines), Caller(agent="hansard gateway")
            )
        except (DomainError, RecordUnavailableError) as error:
            log.warning("refusals wait to be written down", reason=str(error))
            self._counts.update(counts)
            return 0
        return len(lines)

    async def run(self) -> None:
        """Record what was counted once a minute until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(REFUSAL_SECONDS)
                await self.step()
        finally:
            await self.step()
