"""The table of metrics in docs/operating.md is that of the registry, and names are as Prometheus has them."""

import re
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from adapters.prometheus.forwarding import ForwardingMetrics
from adapters.prometheus.gateway import RECORD_GAUGES, GatewayMetrics
from adapters.prometheus.notary import NOTARY_GAUGES
from adapters.prometheus.notices import NoticeMetrics
from adapters.prometheus.record import AppendMetrics
from adapters.prometheus.registry import new_registry
from adapters.prometheus.workers import ProjectionMetrics, PublisherMetrics, RetentionMetrics, TaskMetrics
from tests.runtime.test_metrics import documented

ROOT = Path(__file__).parents[2]
UNITS = ("seconds", "events", "commands")


def declared() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return type and labels of every series that a process makes, by the name that is scraped."""
    registry = CollectorRegistry()
    for family in (
        GatewayMetrics,
        AppendMetrics,
        ProjectionMetrics,
        PublisherMetrics,
        TaskMetrics,
        NoticeMetrics,
        RetentionMetrics,
        ForwardingMetrics,
    ):
        family(registry)
    found: dict[str, tuple[str, tuple[str, ...]]] = {
        name: ("gauge", (label,) if label else ()) for name, _, label in RECORD_GAUGES
    }
    found.update({name: ("gauge", ()) for name, _ in NOTARY_GAUGES})
    for metric in registry._collector_to_names:
        if isinstance(metric, MetricWrapperBase):
            name = metric._name + ("_total" if metric._type == "counter" else "")
            found[name] = str(metric._type), tuple(metric._labelnames)
    return found


def test_the_documented_series_are_those_of_the_registries() -> None:
    assert {name: (kind, labels) for name, (kind, labels, _) in documented().items()} == declared()


def test_names_say_their_unit() -> None:
    for name, (kind, _) in declared().items():
        assert re.fullmatch(r"hansard_[a-z_]+", name)
        assert (kind == "counter") == name.endswith("_total"), name
        if kind == "histogram":
            assert name.endswith(UNITS), name


def test_a_registry_belongs_to_its_process() -> None:
    """Nothing is registered when modules are loaded: two processes in one, as in tests, do not count for each other."""
    one, two = new_registry(), new_registry()
    GatewayMetrics(one).hub.delivered.inc()
    GatewayMetrics(two)
    assert (
        one.get_sample_value("hansard_frames_delivered_total"),
        two.get_sample_value("hansard_frames_delivered_total"),
    ) == (1, 0)


def test_the_alarms_name_series_that_there_are() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())["groups"][0]["rules"]
    named = {name for rule in rules for name in re.findall(r"hansard_\w+", rule["expr"])}
    assert len(rules) > 5
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in named} <= set(declared())
