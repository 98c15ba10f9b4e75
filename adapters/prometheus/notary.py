"""Metrics of the notary, read when they are scraped: what it has signed, what waits, and who witnesses it."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

NOTARY_GAUGES = (
    ("hansard_notary_signed_position", "The last position that is signed."),
    ("hansard_notary_behind_events", "Events that are recorded and not signed yet, when it last looked."),
    ("hansard_notary_waiting_events", "Events that no synchronous standby has yet, when it last looked."),
    ("hansard_notary_refusing", "Whether the record is not what was signed, so that nothing is signed."),
    ("hansard_notary_witnessed_position", "The last position that enough witnesses have."),
    ("hansard_notary_witnesses_missing", "Witnesses that were not reached the last time."),
    ("hansard_notary_witnesses_contradicting", "Witnesses that have seen another record than this."),
)


class NotaryState(Protocol):
    """What a notary says of itself, in the order of the gauges."""

    def figures(self) -> tuple[float, ...]: ...


class NotaryMetrics(Collector):
    """The gauges of one notary."""

    def __init__(self, registry: CollectorRegistry, state: NotaryState) -> None:
        self._state = state
        registry.register(self)

    def describe(self) -> Iterator[Metric]:
        return (GaugeMetricFamily(name, sentence) for name, sentence in NOTARY_GAUGES)

    def collect(self) -> Iterator[Metric]:
        for (name, sentence), figure in zip(NOTARY_GAUGES, self._state.figures(), strict=True):
            yield GaugeMetricFamily(name, sentence, value=figure)
