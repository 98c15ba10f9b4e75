"""The JavaScript client in Node: its own tests, against two real gateways."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.javascript import NODE
from tests.deployments import Gateway, deployment, gateway

LIBRARY = Path(__file__).parents[2] / "clients" / "javascript"
TESTS = LIBRARY / "test" / "server.test.js"
EXAMPLE = re.compile(r"```js\n(.*?)```", re.DOTALL)
SECONDS = 100


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[tuple[Gateway, Gateway]]:
    async with deployment(database_url, redis_url) as first, gateway(database_url, redis_url) as second:
        yield first, second


async def test_the_example_of_its_readme_runs(hansard: tuple[Gateway, Gateway], tmp_path: Path) -> None:
    [example] = EXAMPLE.findall((LIBRARY / "README.md").read_text())
    index = (LIBRARY / "hansard-client" / "index.js").as_uri()
    script = tmp_path / "example.mjs"
    script.write_text(
        example.replace('"hansard-client"', f'"{index}"').replace("http://127.0.0.1:8000", hansard[0].base)
    )
    running = await asyncio.create_subprocess_exec(
        NODE, script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(SECONDS):
        said, _ = await running.communicate()
    assert running.returncode == 0, said.decode()
    assert re.search(r"\d+ message\.posted Hello, \*world\*\nto go on from here: [0-9a-f-]{36} \d+\n$", said.decode())


@pytest.mark.parametrize("flags", [(), ("--no-experimental-websocket",)], ids=["of its own", "as before Node 22"])
async def test_it_keeps_its_promises_with_a_websocket(hansard: tuple[Gateway, Gateway], flags: tuple[str, ...]) -> None:
    first, second = hansard
    running = await asyncio.create_subprocess_exec(
        NODE, *flags, TESTS,
        env={**os.environ, "HANSARD_URL": first.base, "HANSARD_SECOND_URL": second.base},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            said, _ = await running.communicate()
    except TimeoutError:
        running.kill()
        raise
    assert running.returncode == 0 and b"\n# fail 0\n" in said.replace("ℹ".encode(), b"#"), said.decode()
