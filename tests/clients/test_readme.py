"""The examples of the documents that use the client library are programs that run."""

import asyncio
import re
import sys
from pathlib import Path

from hansard_client import Client

from tests.deployments import PASSWORD, deployment

ROOT = Path(__file__).parents[2]


async def run(program: str, argument: str) -> list[str]:
    """Run a program as its reader would; answers its lines."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, argument), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode().splitlines()


async def test_the_example_of_the_librarys_readme_runs(database_url: str, redis_url: str) -> None:
    readme = (ROOT / "clients" / "python" / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    async with deployment(database_url, redis_url) as hansard:
        *lines, last = await run(example, hansard.base)
        record = str((await hansard.services.record.head()).record)
    told = [line.split(" ", 1)[1] for line in lines]
    assert told == ["room.opened ", "member.joined ", "message.posted Hello, *world*"]
    assert last == f"to go on from here: {record} {lines[-1].split()[0]}"


async def test_the_socket_tour_of_the_readme_runs(database_url: str, redis_url: str) -> None:
    (tour,) = re.findall(r"<<'PY'\n(.*?)\nPY\n", (ROOT / "README.md").read_text(), re.DOTALL)
    async with deployment(database_url, redis_url) as hansard, Client(hansard.base) as grace:
        await grace.register("grace@example.com", "grace", PASSWORD)
        await grace.login("grace@example.com", PASSWORD)
        room = await grace.open_room("Bletchley")
        lines = await run(tour.replace("http://127.0.0.1:8000", hansard.base), room.id)
    assert [line.split(" ", 1)[1] for line in lines] == ["room.opened ", "member.joined ", "message.posted Hello, Alan"]
