"""Metrics: every series of every process, by who counts, in Prometheus' form and by its own client library.

Each class makes its series on the registry that it is given; None: on none, for tools and tests that nobody scrapes. The
values of labels come from tables of ours (routes, groups, kinds), never from what somebody sent, so there are few of
them. Children are bound once: finding one by its labels costs twice what counting does. Seconds are the machine's (`perf_counter`), for a
loop's own clock stands still within a turn. docs/operating.md has the table
of all series, and a test holds it to this.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Registry = CollectorRegistry

# Upper bounds of buckets, in seconds: of what is done within a turn of the loop, of what waits for a disk, of a request,
# of a delay, of work on files. Each one more costs a line for every child.
TURN = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0)
COMMIT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
LAG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0)
WORK = (0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0)
SIZE = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 2_000)

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
    ("hansard_parked_events", "How many events a group of read tables goes without.", "group"),
)
# `done`: a refused file is done too; `retried`: later again; `lost`: to another worker; `interrupted`: the queue or this
# process ended in between.
TaskOutcome = Literal["done", "retried", "gave_up", "lost", "interrupted"]
Samples = Mapping[str, Sequence[tuple[str, float]]]


def new_registry() -> Registry:
    """Return the registry of a process, with what it takes of the machine (processor, memory, descriptors, collections)."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a line more for every counter and child, which no query of ours needs
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class HttpMetrics:
    """Of the answers to requests."""

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
        """Count an answer. All three have few values: a method of HTTP or `other`, a route's template or none, a status."""
        bound = self._bound.get((method, route, status))
        if bound is None:
            bound = self._bound[method, route, status] = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(method, route, f"{status // 100}xx"),
            )
        bound[0].inc()
        bound[1].observe(seconds)


class HubMetrics:
    """Of a gateway's sockets and rooms."""

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


class AppendMetrics:
    """Of appending to the record."""

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


class ProjectionMetrics:
    """Of following the record: of all groups of read tables that a process may own."""

    def __init__(self, registry: Registry | None = None) -> None:
        of_group = ("group",)
        self.owned = Gauge(
            "hansard_projection_owned", "Whether this process holds the group's lease.", of_group, registry=registry
        )
        self.batch_events = Histogram(
            "hansard_projection_batch_events",
            "Events whose rows were written together.",
            of_group,
            buckets=SIZE,
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "hansard_projection_commit_seconds",
            "What writing their rows takes.",
            of_group,
            buckets=COMMIT,
            registry=registry,
        )
        self.lag_seconds = Histogram(
            "hansard_projection_lag_seconds",
            "From an event's recording, by Postgres' clock, until its rows were written: of the oldest of each batch.",
            of_group,
            buckets=LAG,
            registry=registry,
        )
        self.behind_events = Gauge(
            "hansard_projection_behind_events",
            "Events that were known to this process and not written yet, when it last looked.",
            of_group,
            registry=registry,
        )
        self.parked = Counter(
            "hansard_projection_parked_events", "Events that this process parked.", of_group, registry=registry
        )


class GroupMetrics:
    """The same of one group, bound."""

    def __init__(self, of_all: ProjectionMetrics, group: str) -> None:
        self.owned = of_all.owned.labels(group)
        self.batch_events = of_all.batch_events.labels(group)
        self.commit_seconds = of_all.commit_seconds.labels(group)
        self.lag_seconds = of_all.lag_seconds.labels(group)
        self.behind_events = of_all.behind_events.labels(group)
        self.parked = of_all.parked.labels(group)


class PublisherMetrics:
    """Of telling frames to Redis."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.seconds = Histogram(
            "hansard_publish_seconds", "What telling the frames of one batch takes.", buckets=COMMIT, registry=registry
        )
        self.frames = Counter("hansard_frames_published", "Frames that were told to lanes.", registry=registry)
        self.lanes_behind = Gauge("hansard_lanes_behind", "Lanes that refuse frames.", registry=registry)


class TaskMetrics:
    """Of the tasks of files."""

    def __init__(self, registry: Registry | None = None) -> None:
        self._seconds = Histogram(
            "hansard_task_seconds",
            "What one try of a task takes.",
            ("kind", "outcome"),
            buckets=WORK,
            registry=registry,
        )
        self.running = Gauge("hansard_tasks_running", "Tasks that this process is at.", ("kind",), registry=registry)

    def ended(self, kind: str, outcome: TaskOutcome, seconds: float) -> None:
        """Count one try of a task, by how it ended."""
        self._seconds.labels(kind, outcome).observe(seconds)


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
    """All of a gateway but those of its record."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.http = HttpMetrics(registry)
        self.hub = HubMetrics(registry)
        self.record = RecordGauges(registry)
        self.asyncio_tasks = Gauge("hansard_asyncio_tasks", "Tasks of the event loop.", registry=registry)
