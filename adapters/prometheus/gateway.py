"""Metrics of a gateway: its answers, its sockets, and what the database says when it is scraped."""

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.prometheus.registry import REQUEST, TURN, Registry

# What the database says of the record and its read tables: name, sentence, label.
RECORD_GAUGES: tuple[tuple[str, str, str | None], ...] = (
    ("hansard_record_position", "The position of the record's last event.", None),
    ("hansard_record_time_ahead_seconds", "How far the record's last time is ahead of Postgres' clock.", None),
    ("hansard_clock_ahead_seconds", "How far Postgres' clock is ahead of this machine's.", None),
    ("hansard_projection_position", "How far a group of read tables is.", "group"),
    ("hansard_projection_lag_events", "How many events a group of read tables is behind the record.", "group"),
    (
        "hansard_projection_idle_seconds",
        "For how long a group has not moved although there is something to do.",
        "group",
    ),
    (
        "hansard_projection_waiting_seconds",
        "For how long the first event that a group of read tables lacks has been on the record.",
        "group",
    ),
    ("hansard_projection_version", "Which version of a group of read tables is served.", "group"),
    ("hansard_rebuild_position", "How far the tables are that a rebuild makes of a group.", "group"),
    ("hansard_rebuild_total_events", "How far they are to come.", "group"),
    ("hansard_parked_events", "How many events a group of read tables goes without.", "group"),
)
Samples = Mapping[str, Sequence[tuple[str, float]]]


class HttpMetrics:
    """Metrics of HTTP responses."""

    def __init__(self, registry: Registry | None = None) -> None:
        self._requests = Counter(
            "hansard_http_requests", "Requests that were answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "hansard_http_request_seconds",
            "From a request's head to the beginning of its answer.",
            ("method", "route", "status_class"),
            buckets=REQUEST,
            registry=registry,
        )
        self._bound: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a response. Each label has few values: a method of HTTP or `other`, a route's template or none, a
        status."""
        bound = self._bound.get((method, route, status))
        if bound is None:
            bound = self._bound[method, route, status] = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(method, route, f"{status // 100}xx"),
            )
        bound[0].inc()
        bound[1].observe(seconds)

    def answers(self) -> tuple[int, int]:
        """Return how many requests were answered since the start, and how many of them with a fault of ours (5xx)."""
        counts = [
            (each.value, each.labels["status"] >= "500")
            for family in self._requests.collect()
            for each in family.samples
            if each.name.endswith("_total")
        ]
        return int(sum(count for count, _ in counts)), int(sum(count for count, is_fault in counts if is_fault))


class HubMetrics:
    """Metrics of a gateway's sockets and rooms."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.sockets = Gauge("hansard_sockets", "Sockets that are open.", registry=registry)
        self.delivered = Counter(
            "hansard_frames_delivered", "Frames of rooms that were queued for a socket.", registry=registry
        )
        self.skipped = Counter("hansard_events_skipped", "Events of rooms that could not be told.", registry=registry)
        self.fan_out_seconds = Histogram(
            "hansard_fan_out_seconds",
            "From the first frame queued in a turn of the loop until all were written to their sockets.",
            buckets=TURN,
            registry=registry,
        )

    def figures(self) -> tuple[int, int]:
        """Return how many sockets are open, and how many frames were queued for one since the start."""
        return int(_value(self.sockets)), int(_value(self.delivered))


class RecordGauges(Collector):
    """What the database says, read anew for each scrape (`show`); while it is away there is nothing to say (`hide`)."""

    def __init__(self, registry: Registry | None = None) -> None:
        self._samples: Samples = {}
        self._answers = Gauge("hansard_postgres_answers", "Whether Postgres answered this scrape.", registry=registry)
        if registry is not None:
            registry.register(self)

    def show(self, samples: Samples) -> None:
        """`samples`: by name, values with their label's ("" where it has none)."""
        self._samples = samples
        self._answers.set(1)

    def hide(self) -> None:
        self._samples = {}
        self._answers.set(0)

    def collect(self) -> Iterable[Metric]:
        for name, sentence, label in RECORD_GAUGES:
            family = GaugeMetricFamily(name, sentence, labels=[label] if label else [])
            for value_of_label, value in self._samples.get(name, ()):
                family.add_metric([value_of_label] if label else [], value)
            yield family


class GatewayMetrics:
    """All metrics of a gateway but those of appending."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.http = HttpMetrics(registry)
        self.hub = HubMetrics(registry)
        self.record = RecordGauges(registry)
        self.asyncio_tasks = Gauge("hansard_asyncio_tasks", "Tasks of the event loop.", registry=registry)


def _value(metric: Counter | Gauge) -> float:
    return next(iter(metric.collect())).samples[0].value
