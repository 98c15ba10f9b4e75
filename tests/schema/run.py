"""Running schemathesis against a house, in a process of its own, as somebody who is logged in."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
CASES = re.compile(r"(\d+) generated")
OPERATIONS = re.compile(r"Tested: (\d+)")


class Ran(NamedTuple):
    """What a run said in the end. `is_good`: no check failed, and nothing went wrong."""

    is_good: bool
    operations: int
    cases: int
    said: str


async def schemathesis(
    base: str, email: str, password: str, *, examples: int, seed: int, phases: str, shows: bool = False
) -> Ran:
    """Make so many requests of each operation, and hold every answer to the document. `shows`: as it goes."""
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.schema.hooks",
        "SCHEMA_BASE": base,
        "SCHEMA_EMAIL": email,
        "SCHEMA_PASSWORD": password,
        "PYTHONPATH": str(HERE.parent.parent),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
        *("--config-file", str(HERE / "schemathesis.toml"), "run", f"{base}/schema/openapi.json", "--checks", "all"),
        *("--max-examples", str(examples), "--seed", str(seed), "--phases", phases),
        *("--generation-database", "none", "--no-color", "--warnings", "off"),
        env=environment,
        stdout=PIPE,
        stderr=STDOUT,
    )
    assert process.stdout is not None, "it is a pipe"
    said = ""
    try:
        async for line in process.stdout:
            said += line.decode()
            if shows:
                print(line.decode(), end="", flush=True)
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    cases, operations = CASES.search(said), OPERATIONS.search(said)
    return Ran(status == 0, int(operations[1]) if operations else 0, int(cases[1]) if cases else 0, said)
