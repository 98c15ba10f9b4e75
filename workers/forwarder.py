"""Forwarding the audit trail: every entry of the record, in position order, at least once, from where it was left.

Nothing is skipped: an entry that is not taken is sent again until it is, with growing pauses, or until it was given up for as
long as the operator said. Then the forwarder ends with a sentence; the checkpoint stays where it was.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from adapters.clock import monotonic
from adapters.forwarding.checkpoint import Checkpoint
from adapters.forwarding.destinations import Destination, Sent
from adapters.postgres.audit import AuditEntry, AuditReader, without_texts
from adapters.postgres.audit_index import Filter
from adapters.prometheus.forwarding import ForwardingMetrics
from domain.errors import ReadableError
from domain.ports.channels import Gone, Later, Refused, Told
from domain.ports.record import RecordUnavailableError

PAGE_ENTRIES = 100
POLL_SECONDS = 0.5
PAUSE_SECONDS_MIN = 0.5
PAUSE_SECONDS_MAX = 300.0

log = structlog.get_logger()


class NotTakenError(ReadableError):
    """The destination refuses entries, or has not taken one for too long; nothing was skipped."""


class Forwarder:
    """Sends the entries of one record to one destination."""

    def __init__(
        self,
        audit: AuditReader,
        destination: Destination,
        checkpoint: Checkpoint,
        written: Callable[[AuditEntry], bytes],
        *,
        after: int,
        texts: bool,
        give_up_seconds: float,
        metrics: ForwardingMetrics | None = None,
    ) -> None:
        """`written` makes an entry what is sent of it. `texts`: what people wrote goes along."""
        self._audit = audit
        self._destination = destination
        self._checkpoint = checkpoint
        self._written = written
        self._texts = texts
        self._give_up_seconds = give_up_seconds
        self._metrics = metrics or ForwardingMetrics()
        self._failures = 0
        self._failing_since = 0.0
        self._next = after
        self.position = after

    async def run(self) -> None:
        """Forward for ever. Raise `NotTakenError` when it cannot go on."""
        self._metrics.at(self.position)
        while True:
            await asyncio.sleep(await self.step())

    async def step(self) -> float:
        """Forward a page; return how long to rest after it. Raise `NotTakenError`."""
        try:
            page = await self._audit.page(Filter(), after=self._next, limit=PAGE_ENTRIES)
        except RecordUnavailableError as error:
            log.warning("the record is away; forwarding waits", reason=str(error))
            return POLL_SECONDS
        size = self._destination.at_once
        for i in range(0, len(page.entries), size):
            if (pause := await self._send(page.entries[i : i + size])) is not None:
                return pause
        return POLL_SECONDS if page.next_after is None else 0.0

    async def _send(self, entries: Sequence[AuditEntry]) -> float | None:
        """Send entries, and remember that they were taken; return how long to wait where they were not."""
        shown = entries if self._texts else [without_texts(entry) for entry in entries]
        outcome = await self._destination.send([Sent(entry.position, self._written(entry)) for entry in shown])
        match outcome:
            case Told():
                self._next = entries[-1].position
                if self._next > self.position:  # what is sent again is no progress
                    await asyncio.to_thread(self._checkpoint.write, self._next)
                    self.position, self._failures = self._next, 0
                self._metrics.taken(self.position, len(entries))
                return None
            case Later(seconds):
                return self._pause(entries[0].position, seconds)
            case Gone():
                raise NotTakenError(f"The destination wants no more of them, from position {entries[0].position} on.")
            case Refused(reason):
                raise NotTakenError(f"The destination refuses the entry at position {entries[0].position}: {reason}.")

    def _pause(self, position: int, seconds: float) -> float:
        """Return how long to wait until entries are sent again, and from where. Raise `NotTakenError` after too long."""
        moment = monotonic()
        if not self._failures:
            self._failing_since = moment
        if (unsure := self._destination.unsure_from()) is not None:
            self._next = min(self._next, unsure - 1)
        self._failures += 1
        self._metrics.failed()
        if moment - self._failing_since > self._give_up_seconds:
            raise NotTakenError(
                f"Nothing was taken for {moment - self._failing_since:.0f} s; it goes on after position {self.position} next time."
            )
        pause = min(max(seconds, PAUSE_SECONDS_MIN * 2.0 ** min(self._failures - 1, 16)), PAUSE_SECONDS_MAX)
        log.warning("not taken; it is sent again", position=position, failures=self._failures, seconds=pause)
        return pause
