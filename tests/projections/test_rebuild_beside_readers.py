"""Beside rebuilds in a row nobody gets an error, an empty page or a step back, and no socket hears anything twice."""

from tests.deployments import deployment
from tests.projections.beside_readers import beside, here


async def test_rebuilds_in_a_row_are_noticed_by_nobody(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard, here(database_url) as rebuilding:
        seen = await beside(hansard, rebuilding=rebuilding, rebuilds=2, readers=4, senders=2)
    assert seen.faults == [] and seen.statuses.keys() == {200, 201}
    assert seen.statuses[200] > 100 and len(seen.sent) > 10
