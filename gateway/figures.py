"""Figures: what the database says of the record and its read tables, read for a scrape of `/metrics`.

While Postgres is away they are left out, and everything that the gateway counts itself is told all the same: that is when
somebody looks.
"""

import asyncio

from adapters.metrics import Samples
from domain.ports import RecordUnavailable
from gateway.services import House
from projections import PROJECTIONS, checkpoints, parked


async def read(house: House) -> None:
    """Set the gauges that are not counted along."""
    house.metrics.asyncio_tasks.set(len(asyncio.all_tasks()))
    try:
        house.metrics.record.show(await _samples(house))
    except RecordUnavailable:
        house.metrics.record.hide()


async def _samples(house: House) -> Samples:
    head = await house.record.head()
    groups = await checkpoints.every(house.db)
    lags, missing = await checkpoints.lags(house.db, list(PROJECTIONS)), await parked.counts(house.db)
    return {
        "hansard_record_position": [("", head.position)],
        "hansard_record_time_ahead_seconds": [("", max(0, round((head.at - head.clock).total_seconds())))],
        "hansard_clock_ahead_seconds": [("", round(house.clock.ahead(head.clock).total_seconds()))],
        "hansard_projection_position": [(each.name, each.position) for each in groups],
        "hansard_projection_lag_events": [(each.name, max(0, each.events)) for each in lags],
        "hansard_projection_idle_seconds": [
            (each.name, int(each.idle_seconds) if each.events > 0 else 0) for each in lags
        ],
        "hansard_parked_events": [(name, missing.get(name, 0)) for name in PROJECTIONS],
    }
