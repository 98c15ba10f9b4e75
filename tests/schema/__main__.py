"""`make schema`: requests made from the OpenAPI document, valid and not, against a house of its own; all checks.

EXAMPLES says how many of each operation, SEED which ones. Exit code 0: the document and the server agree.
"""

import argparse
import asyncio
import random
import sys
from time import monotonic

import httpx

from bench.deployment import Deployment
from tests.deployments import PASSWORD
from tests.schema.run import Ran, schemathesis

EMAIL = "ada@example.com"
CHEAP = {"HANSARD_ARGON2_MEMORY_KIB": "8192", "HANSARD_ARGON2_TIME": "1"}  # one log-in in ten is for a log-out
PHASES = "examples,coverage,fuzzing,stateful"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make schema", description="Hold the server to its document.")
    parser.add_argument("--examples", type=int, default=100, help="of each operation (default 100)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="what all chance comes from")
    asked = parser.parse_args()
    started = monotonic()
    ran = asyncio.run(run(asked.examples, asked.seed))
    print(f"{ran.operations} operations, {ran.cases} cases, {monotonic() - started:.0f} s, seed {asked.seed}")
    return 0 if ran.is_good else 1


async def run(examples: int, seed: int) -> Ran:
    """Start a house, register an auditor, and try everything as that person."""
    deployment = Deployment()
    deployment.environment |= CHEAP
    async with deployment as made:
        async with httpx.AsyncClient(base_url=made.base) as http:
            body = {"email": EMAIL, "username": "ada", "password": PASSWORD}
            (await http.post("/api/v1/auth/register", json=body)).raise_for_status()
        grant = (sys.executable, "-m", "runtime.cli", "grant", EMAIL, "auditor")
        granted = await asyncio.create_subprocess_exec(*grant, env=made.environment)
        assert await granted.wait() == 0, "the operator's command is there"
        return await schemathesis(made.base, EMAIL, PASSWORD, examples=examples, seed=seed, phases=PHASES, shows=True)


if __name__ == "__main__":
    sys.exit(main())
