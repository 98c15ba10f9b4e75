"""A process that writes: appends posts one after the other, and prints the position of each when it is acknowledged.

Run as `python -m tests.record.writer URL COUNT`; the tests start several, and kill some.
"""

import asyncio
import sys

from domain.ports.record import Appended
from tests.deployments import ledger
from tests.record.test_record import post


async def write(url: str, count: int) -> None:
    async with ledger(url, size=2) as (_, record, _):
        for _ in range(count):
            answer = await record.append(post())
            assert isinstance(answer, Appended)
            print(answer.events[0].position, flush=True)


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], int(sys.argv[2])))
