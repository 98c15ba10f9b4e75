"""Beside rebuilds in a row nobody gets an error, an empty page or a step back, and no socket hears anything twice."""

from tests.deployments import deployment
from tests.projections.beside_readers import beside


async def test_rebuilds_in_a_row_are_noticed_by_nobody(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard:
        seen = await beside(hansard, database_url, rebuilds=3, readers=4, senders=2)
    assert seen.faults == [] and seen.statuses.keys() == {200, 201}
    assert seen.rebuilds == 9 and seen.statuses[200] > 100 and len(seen.sent) > 10
