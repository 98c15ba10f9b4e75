"""`/metrics`: what this gateway counts, and what the database says of the record and its read tables just now.

While Postgres is away the latter is left out, and the rest is there nevertheless: that is when somebody looks.
"""

import asyncio
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler

from adapters.prometheus.gateway import Samples
from domain.ports.record import RecordUnavailableError
from gateway.http.declarations import Described, declare
from gateway.http.problems import not_found
from gateway.services import Services
from projections import checkpoints, followed, parked, projection_states, rebuilds, versions


@get(
    "/metrics",
    opt=declare("deployment.read", is_unlimited=True, described=Described(refused_with=frozenset({403, 404}))),
)
async def metrics(request: Request[Any, Any, Any], services: Services) -> Response[str]:
    """Return figures in the text format of Prometheus, or in OpenMetrics' to whoever asks for it."""
    if not services.policy.metrics_on:
        raise not_found()
    text, media_type = await services.exposition.text(request.headers.get("accept", ""), before=lambda: _read(services))
    return Response(text.decode(), media_type="text/plain", headers={"Content-Type": media_type})


async def _read(services: Services) -> None:
    """Set the gauges whose values are read on demand."""
    services.metrics.asyncio_tasks.set(len(asyncio.all_tasks()))
    try:
        services.metrics.record.show(await _samples(services))
    except RecordUnavailableError:
        services.metrics.record.hide()


async def _samples(services: Services) -> Samples:
    head = await services.record.head()
    groups = await checkpoints.every(services.db)
    time_travel = services.policy.time_travel_on
    names = followed(time_travel=time_travel)
    lags, missing = await checkpoints.lags(services.db, names), await parked.counts(services.db)
    states = await projection_states.of(services.db, versions(time_travel=time_travel))
    building = [row for row in await rebuilds.under_way(services.db) if row.state == "running"]
    return {
        "hansard_record_position": [("", head.position)],
        "hansard_record_time_ahead_seconds": [("", max(0, round((head.at - head.clock).total_seconds())))],
        "hansard_clock_ahead_seconds": [("", round(services.clock.ahead(head.clock).total_seconds()))],
        "hansard_projection_position": [(each.name, each.position) for each in groups],
        "hansard_projection_lag_events": [(each.name, max(0, each.events)) for each in lags],
        "hansard_projection_idle_seconds": [
            (each.name, int(each.idle_seconds) if each.events > 0 else 0) for each in lags
        ],
        "hansard_projection_waiting_seconds": [(each.name, round(each.lag_seconds, 3)) for each in states],
        "hansard_projection_version": [(each.name, each.served_version) for each in states if each.served_version],
        "hansard_rebuild_position": [(row.group_name, row.position) for row in building],
        "hansard_rebuild_total_events": [(row.group_name, row.total) for row in building],
        "hansard_parked_events": [(name, missing.get(name, 0)) for name in names],
    }


ROUTES: list[BaseRouteHandler] = [metrics]
