"""Health: whether the process is alive, and whether it can serve requests."""

from typing import Any

from litestar import Response, get
from litestar.handlers import BaseRouteHandler

from adapters.postgres.applied_migrations import applied
from adapters.postgres.clock_watch import ClockLeaptError
from adapters.redis.lanes import LanesUnavailableError
from domain.ports.record import Head, RecordUnavailableError
from domain.tree_head import origin_of
from gateway.http.declarations import Described, declare
from gateway.services import Services
from projections import LIVE, checkpoints, followed, parked, versions

LAG_EVENTS_MAX = 10_000
UNSIGNED_SECONDS_MAX = 60.0  # the notary signs within one


@get("/livez", opt=declare("deployment.read", is_unlimited=True))
async def live() -> Response[dict[str, str]]:
    """Answer while the process runs."""
    return Response({"status": "alive"})


@get(
    "/readyz",
    opt=declare("deployment.read", is_unlimited=True, described=Described(answers={503: "Not ready"})),
)
async def ready(services: Services) -> Response[dict[str, Any]]:
    """Answer 200 when requests can be served: Postgres with all migrations, read tables of the version that this release reads,
    Redis, and a projection that keeps up.

    Parked events, projections that stand still beside the live one, and events that no notary signs (`unsigned`) are reported, but
    leave it ready: they are for the operator to look at, and another gateway would be no better.
    """
    state: dict[str, Any] = {}
    try:
        head = await services.record.head()
        state["postgres"] = "ok"
        state["clock"] = clock_of(services, head)
        lag = head.position - await checkpoints.position(services.db, "live")
        state["projection_lag_events"] = lag
        lags, missing = (
            await checkpoints.lags(services.db, followed(time_travel=services.policy.time_travel_on)),
            await parked.counts(services.db),
        )
        still = {each.name: _idle(each) for each in lags if each.stands_still}
        state |= {name: found for name, found in (("standing_still", still), ("parked_events", missing)) if found}
        unsigned = await services.tiles.unsigned(origin_of(services.record_id))
        if unsigned.seconds > UNSIGNED_SECONDS_MAX:
            state["unsigned"] = {"events": unsigned.events, "seconds": int(unsigned.seconds)}
        state["read_tables"] = await _read_tables(services)
        due = len(services.policy.migrations - await applied(services.db))
        state["migrations"] = f"due: {due}" if due else "ok"
    except RecordUnavailableError:
        state["postgres"], state["clock"] = "away", "unknown"
        lag = LAG_EVENTS_MAX
        still = {}
    try:
        await services.lanes.ping()
        state["redis"] = "ok"
    except LanesUnavailableError:
        state["redis"] = "away"
    answers = state["postgres"] == state["redis"] == state.get("migrations") == state.get("read_tables") == "ok"
    keeps_up = lag < LAG_EVENTS_MAX and LIVE.name not in still
    is_ready = answers and keeps_up and state["clock"] != "leapt"
    state["status"] = "ready" if is_ready and not services.hub.draining else "not ready"
    return Response(state, status_code=200 if state["status"] == "ready" else 503)


async def _read_tables(services: Services) -> str | dict[str, str]:
    """Return what is to be said of the versions of read tables: those of a later release serve, too."""
    needed = dict(versions(time_travel=services.policy.time_travel_on))
    behind = {
        each.name: f"version {each.version} is served, this release reads {needed[each.name]}"
        for each in await checkpoints.every(services.db)
        if each.version < needed.get(each.name, 0)
    }
    return behind or "ok"


def clock_of(services: Services, head: Head) -> str:
    """Return what is to be said of the database's clock. `leapt`: nothing is recorded. `behind the record`: times stand
    still until it has come up to the last one."""
    try:
        services.clock.judge(head.clock, head.at)
    except ClockLeaptError:
        return "leapt"
    if head.at - head.clock > services.clock.ahead_max:
        return "behind the record"
    return "ok" if abs(services.clock.ahead(head.clock)) <= services.clock.ahead_max else "unlike this machine's"


def _idle(lag: checkpoints.Lag) -> dict[str, int]:
    return {"lag_events": lag.events, "idle_seconds": int(lag.idle_seconds)}


ROUTES: list[BaseRouteHandler] = [live, ready]
