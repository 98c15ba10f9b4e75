"""The JavaScript client in Node and in Deno: its own tests, against two real gateways."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.javascript import NO_DENO, RUN, TEST, Command, at_home
from tests.deployments import Gateway, deployment, gateway

LIBRARY = Path(__file__).parents[2] / "clients" / "javascript"
TESTS = LIBRARY / "test" / "server.test.js"
EXAMPLE = re.compile(r"```js\n(.*?)```", re.DOTALL)
SECONDS = 100


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[tuple[Gateway, Gateway]]:
    async with deployment(database_url, redis_url) as first, gateway(database_url, redis_url) as second:
        yield first, second


def in_each(commands: dict[str, Command]) -> pytest.MarkDecorator:
    """Try each command; that there is no Deno is said."""
    absent = () if "deno" in commands else (pytest.param((), id="deno", marks=pytest.mark.skip(reason=NO_DENO)),)
    return pytest.mark.parametrize(
        "command", [*(pytest.param(each, id=name) for name, each in commands.items()), *absent]
    )


async def said_by(*command: str | Path, **environment: str) -> str:
    """Run a program to its end, and return what it says; it may not fail."""
    with at_home() as home:
        running = await asyncio.create_subprocess_exec(
            *command, env=home | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(SECONDS):
                said, _ = await running.communicate()
        except TimeoutError:
            running.kill()
            raise
    assert running.returncode == 0, said.decode()
    return said.decode()


@in_each(RUN)
async def test_the_example_of_its_readme_runs(
    hansard: tuple[Gateway, Gateway], tmp_path: Path, command: Command
) -> None:
    [example] = EXAMPLE.findall((LIBRARY / "README.md").read_text())
    index = (LIBRARY / "hansard-client" / "index.js").as_uri()
    script = tmp_path / "example.mjs"
    script.write_text(
        example.replace('"hansard-client"', f'"{index}"').replace("http://127.0.0.1:8000", hansard[0].base)
    )
    said = await said_by(*command, script)
    assert re.search(r"\d+ message\.posted Hello, \*world\*\nto go on from here: [0-9a-f-]{36} \d+\n$", said)


@in_each(TEST)
async def test_it_keeps_its_promises_with_a_websocket(hansard: tuple[Gateway, Gateway], command: Command) -> None:
    first, second = hansard
    said = await said_by(*command, TESTS, HANSARD_URL=first.base, HANSARD_SECOND_URL=second.base, NO_COLOR="1")
    assert re.search(r"^(. fail 0|ok \| [1-9]\d* passed \| 0 failed.*)$", said, re.MULTILINE), said
