"""X: an export of all formats by a deployment's worker: messages a second, and how its memory grows with the export.

`python -m bench.exports [MESSAGES …]`: of each number in turn, each on a deployment of its own. The figure that matters is
the difference of the worker's memory (its private pages at their highest) between a small and a large export.
"""

import asyncio
import os
import sys
import time
from uuid import UUID

import httpx
import psutil

from adapters.postgres.master_key import load_master
from bench.deployment import Deployment
from bench.generator import generate
from bench.million import WHY, caught_up
from bench.sockets import people
from domain.ids import UserId
from runtime.embedded.location import locate

MESSAGES = (10_000, 100_000)
SAMPLE_SECONDS = 0.2
FORMATS = ["jsonl", "csv", "eml", "slack", "rsmf"]


async def main(counts: list[int]) -> None:
    """Print a line for each number of messages, each of a deployment of its own."""
    for count in counts:
        async with Deployment() as deployment:
            (ada,) = await people(deployment.base, 1)
            async with httpx.AsyncClient(base_url=deployment.base + "/api/v1", timeout=60, headers=WHY) as http:
                http.headers["Authorization"] = f"Bearer {await ada.token()}"
                me = (await http.get("/users/me")).raise_for_status().json()
                await _command(deployment, "grant", me["email"], "auditor")
                master = load_master(deployment.home / "master.key", create=False)
                _, head = await generate(
                    locate(deployment.home).database_url, master, UserId(UUID(me["id"])), messages=count
                )
                await caught_up(deployment, head, time.perf_counter())
                await _export(http, _worker(deployment.pid))


async def _export(http: httpx.AsyncClient, worker: psutil.Process) -> None:
    before = worker.memory_full_info().uss
    began, most = time.perf_counter(), before
    export = (await http.post("/audit/exports", json={"formats": FORMATS})).raise_for_status().json()
    while export["status"] in ("queued", "running"):
        await asyncio.sleep(SAMPLE_SECONDS)
        most = max(most, worker.memory_full_info().uss)
        answer = await http.get(f"/audit/exports/{export['id']}")
        if answer.status_code == 401:
            raise SystemExit("The token ended: ask for fewer messages.")
        export = answer.raise_for_status().json()
    seconds = time.perf_counter() - began
    print(
        f"{export['status']}: {export['messages']:,} messages, {export['size'] or 0:,} bytes in {seconds:.1f} s "
        f"({export['messages'] / seconds:,.0f}/s); worker {before / 2**20:.0f} MiB before, {most / 2**20:.0f} MiB at most"
    )


def _worker(pid: int) -> psutil.Process:
    for child in psutil.Process(pid).children(recursive=True):
        if child.cmdline()[-1:] == ["worker"]:
            return child
    raise SystemExit("There is no worker.")


async def _command(deployment: Deployment, *words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runtime.cli", *words), env=os.environ | deployment.environment
    )
    assert await process.wait() == 0


if __name__ == "__main__":
    asyncio.run(main([int(word) for word in sys.argv[1:]] or list(MESSAGES)))
