"""Metrics, in the text format of Prometheus."""

import asyncio
from collections.abc import Iterable

from litestar import Response, get
from litestar.handlers import BaseRouteHandler

from gateway.http.declarations import Described, declare
from gateway.http.problems import not_found
from gateway.services import House
from projections import PROJECTIONS, checkpoints, parked


@get(
    "/metrics",
    opt=declare("deployment.read", is_unlimited=True, described=Described(refused_with=frozenset({403, 404}))),
)
async def metrics(house: House) -> Response[str]:
    """Return figures in the text format of Prometheus."""
    if not house.terms.metrics_on:
        raise not_found()
    head = await house.record.head()
    groups = await checkpoints.every(house.db)
    lags, missing = await checkpoints.lags(house.db, list(PROJECTIONS)), await parked.counts(house.db)
    text = "".join((
        _metric("record_position", "gauge", [("", head.position)]),
        _metric("clock_ahead_seconds", "gauge", [("", round(house.clock.ahead(head.clock).total_seconds()))]),
        _metric("record_time_ahead_seconds", "gauge", [("", max(0, round((head.at - head.clock).total_seconds())))]),
        _metric("projection_position", "gauge", [(f'{{group="{c.name}"}}', c.position) for c in groups]),
        _metric("projection_lag_events", "gauge", [
            (f'{{group="{c.name}"}}', max(0, head.position - c.position)) for c in groups
        ]),
        _metric("projection_idle_seconds", "gauge", [
            (f'{{group="{each.name}"}}', int(each.idle_seconds) if each.events > 0 else 0) for each in lags
        ]),
        _metric("parked_events", "gauge", [(f'{{group="{name}"}}', missing.get(name, 0)) for name in PROJECTIONS]),
        _metric("asyncio_tasks", "gauge", [("", len(asyncio.all_tasks()))]),
        _metric("sockets", "gauge", [("", house.hub.socket_count)]),
        _metric("frames_delivered_total", "counter", [("", house.hub.delivered)]),
        _metric("events_skipped_total", "counter", [("", house.hub.skipped)]),
        _metric("http_answers_total", "counter", [
            (f'{{method="{method}",route="{route}",status="{status}"}}', count)
            for (method, route, status), count in sorted(house.answered.items())
        ]),
    ))  # fmt: skip
    return Response(text, media_type="text/plain; version=0.0.4")


def _metric(name: str, kind: str, samples: Iterable[tuple[str, int]]) -> str:
    """Return one metric in the text format; labels hold route templates and names of ours, which need no escaping."""
    lines = "".join(f"hansard_{name}{labels} {value}\n" for labels, value in samples)
    return f"# TYPE hansard_{name} {kind}\n{lines}"


ROUTES: list[BaseRouteHandler] = [metrics]
