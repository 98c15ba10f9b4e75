"""Metrics of telling people things outside the chat."""

from typing import Literal

from prometheus_client import Counter, Histogram

from adapters.prometheus.registry import Registry

Ending = Literal["withdrawn", "gone", "put_off", "unknown", "dead"]
SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600, 3_600, 86_400)


class NoticeMetrics:
    """Metrics of one notifier."""

    def __init__(self, registry: Registry | None = None) -> None:
        self._seconds = Histogram(
            "hansard_notice_seconds",
            "From what happened until somebody was told of it.",
            ("channel",),
            buckets=SECONDS,
            registry=registry,
        )
        self._ended = Counter(
            "hansard_notices_ended",
            "Deliveries withdrawn, notices whose device is gone, put off, of unknown end, or given up (dead).",
            ("ending",),
            registry=registry,
        )

    def told(self, channel: str, seconds: float) -> None:
        """Count a notice that was taken."""
        self._seconds.labels(channel).observe(max(0.0, seconds))

    def ended(self, ending: Ending, count: int) -> None:
        self._ended.labels(ending).inc(count)
