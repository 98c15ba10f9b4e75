"""A handful of the records of `make honest`."""

import os

from tests.record.honest import alarms


async def test_nothing_is_found_in_honest_records(database_url: str) -> None:
    first = int.from_bytes(os.urandom(3), "big")
    assert await alarms(database_url, range(first, first + 8)) == []
