"""Metrics of forwarding the audit trail."""

from prometheus_client import Counter, Gauge

from adapters.prometheus.registry import Registry


class ForwardingMetrics:
    """Metrics of one forwarder."""

    def __init__(self, registry: Registry | None = None) -> None:
        self._position = Gauge(
            "hansard_forwarded_position", "The last position that the destination has taken.", registry=registry
        )
        self._entries = Counter(
            "hansard_forwarded_entries", "Entries that were taken, those sent again among them.", registry=registry
        )
        self._failures = Counter(
            "hansard_forwarding_failures", "How often entries were not taken, and waited.", registry=registry
        )

    def at(self, position: int) -> None:
        self._position.set(position)

    def taken(self, position: int, entries: int) -> None:
        self._position.set(position)
        self._entries.inc(entries)

    def failed(self) -> None:
        self._failures.inc()
