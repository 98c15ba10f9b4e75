"""Metrics of appending to the record: of gateways and workers."""

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from adapters.prometheus.registry import COMMIT, SIZE, Registry


class AppendMetrics:
    """Metrics of appending to the record."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.waiting = Gauge("hansard_append_waiting_commands", "Commands that wait to be appended.", registry=registry)
        self.seconds = Histogram(
            "hansard_append_seconds",
            "From handing a command over until it is on the disk, or refused.",
            buckets=COMMIT,
            registry=registry,
        )
        self.batch_commands = Histogram(
            "hansard_append_batch_commands", "Commands that were appended together.", buckets=SIZE, registry=registry
        )
        self.commit_seconds = Histogram(
            "hansard_append_commit_seconds", "What Postgres takes for one batch.", buckets=COMMIT, registry=registry
        )
        self._commands = Counter(
            "hansard_append_commands", "Commands, by what became of them.", ("outcome",), registry=registry
        )
        self._bound: dict[str, Counter] = {}

    def answered(self, outcomes: Iterable[str]) -> None:
        """Count what became of the commands of a batch."""
        for outcome, count in Tally(outcomes).items():
            bound = self._bound.get(outcome) or self._bound.setdefault(outcome, self._commands.labels(outcome))
            bound.inc(count)
