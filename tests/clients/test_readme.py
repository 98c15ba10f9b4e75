"""The example of the client library's README is a program that runs."""

import asyncio
import re
import sys
from pathlib import Path

from tests.houses import deployment

README = Path(__file__).parents[2] / "clients" / "python" / "README.md"


async def test_the_example_of_the_readme_runs(database_url: str, redis_url: str) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    async with deployment(database_url, redis_url) as house:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", example, house.base),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
        record = str((await house.house.record.head()).record)
    lines = said.decode().splitlines()
    assert process.returncode == 0, said.decode()
    assert [line.split(" ", 1)[1] for line in lines[:-1]] == [
        "room.opened ",
        "member.joined ",
        "message.posted Hello, *world*",
    ]
    assert lines[-1] == f"to go on from here: {record} {lines[-2].split()[0]}"
