"""What a gateway loads before it serves: nothing that only others use, or only some settings."""

import json
import subprocess
import sys

import pytest

# `hansard gateway` up to where it would begin, which then says what is loaded.
SCRIPT = """
import json, sys
from runtime import cli

from runtime.command import Command

cli.command("gateway")  # as the command line loads it
from runtime.processes import gateway

async def say(settings, asked):
    print(json.dumps(sorted({name.partition(".")[0] for name, module in sys.modules.items() if module})))
    return 0

gateway.COMMAND = Command(say)
sys.exit(cli.run(["gateway"]))
"""
NEEDLESS = {
    "PIL", "aioboto3", "aiobotocore", "aiosmtplib", "boto3", "botocore", "eventsourcing", "hypothesis", "pypdfium2", "pytest",
    "rich",
}  # fmt: skip


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_a_gateway_loads_nothing_that_it_does_not_use(loaded: set[str]) -> None:
    assert {"litestar", "asyncpg", "redis", "structlog"} <= loaded
    assert loaded & NEEDLESS == set()
