"""Metrics of what follows the record: read tables, frames, and tasks of files."""

from datetime import datetime
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

from adapters.prometheus.registry import COMMIT, LAG, SIZE, WORK, Registry

# `done`: a refused file is done too; `retried`: later again; `lost`: to another worker; `interrupted`: the queue or this
# process ended in between.
TaskOutcome = Literal["done", "retried", "gave_up", "lost", "interrupted"]


class ProjectionMetrics:
    """Metrics of following the record, for all groups of read tables of a process."""

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
    """The same for one group, with its label bound."""

    def __init__(self, of_all: ProjectionMetrics, group: str) -> None:
        self.owned = of_all.owned.labels(group)
        self.batch_events = of_all.batch_events.labels(group)
        self.commit_seconds = of_all.commit_seconds.labels(group)
        self.lag_seconds = of_all.lag_seconds.labels(group)
        self.behind_events = of_all.behind_events.labels(group)
        self.parked = of_all.parked.labels(group)


class PublisherMetrics:
    """Metrics of publishing frames to Redis."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.seconds = Histogram(
            "hansard_publish_seconds", "What telling the frames of one batch takes.", buckets=COMMIT, registry=registry
        )
        self.frames = Counter("hansard_frames_published", "Frames that were told to lanes.", registry=registry)
        self.lanes_behind = Gauge("hansard_lanes_behind", "Lanes that refuse frames.", registry=registry)


class TaskMetrics:
    """Metrics of file tasks."""

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


class RetentionMetrics:
    """Metrics of disposing of what is too old."""

    def __init__(self, registry: Registry | None = None) -> None:
        self._disposed = Counter(
            "hansard_retention_disposed",
            "What this process disposed of because it was older than its room's policy lets it get.",
            ("what",),
            registry=registry,
        )
        self._held = Gauge(
            "hansard_retention_held_keys",
            "Data keys that were due in the last round and are kept by legal holds.",
            registry=registry,
        )
        self._round_at = Gauge(
            "hansard_retention_round_timestamp_seconds",
            "When the last round of this process began, by the record's clock.",
            registry=registry,
        )

    def disposed(self, messages: int, files: int, keys: int) -> None:
        for what, count in (("messages", messages), ("files", files), ("keys", keys)):
            self._disposed.labels(what).inc(count)

    def round_ended(self, held_keys: int, began_at: datetime) -> None:
        self._held.set(held_keys)
        self._round_at.set(began_at.timestamp())
