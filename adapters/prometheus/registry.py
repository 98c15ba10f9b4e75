"""Metrics: the registry of a process, and the bounds of its histograms.

Series are made by Prometheus' own client on a registry that is handed on (None: on none, for tools and tests that nobody
scrapes), by who counts: `gateway.py`, `record.py`, `workers.py`. The values of labels come from tables of ours (routes,
groups, kinds), never from what somebody sent, so there are few of them. Children are bound once: finding one by its labels
costs twice what counting does. Seconds are the machine's (`perf_counter`), for a loop's own clock stands still within a
turn. docs/operating.md has the table of all series, and a test holds it to this.
"""

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

Registry = CollectorRegistry

# Upper bounds of buckets: of what is done within a turn of the loop, of what waits for a disk, of a request, of a delay, of
# work on files (all in seconds), and of batches. Each one more costs a line for every child.
TURN = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0)
COMMIT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
LAG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0)
WORK = (0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0)
SIZE = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 2_000)


def new_registry() -> Registry:
    """Return the registry of a process, with what it takes of the machine (processor, memory, descriptors, collections)."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a line more for every counter and child, which no query of ours needs
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
