"""`make bench`: measure on this machine and print a table. Everything runs embedded, on loopback; nothing is asserted.

Absolute figures say what this machine did just now; compare ratios of one run. `ROWS="S1 S6"` measures only those.
"""

import argparse
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from adapters.postgres.master_key import load_master
from bench import files, logins, million, notary, pages, record, sockets, writers
from bench.deployment import Deployment
from bench.sockets import Measured
from runtime.embedded.servers import Embedded
from runtime.migrate import create_database, migrate
from runtime.start import spare_the_collector

REBUILD_EVENTS = 200_000


async def with_deployment(measure: Callable[[Deployment], Awaitable[Measured]]) -> list[Measured]:
    async with Deployment() as deployment:
        return [await measure(deployment)]


async def with_log_ins(
    deployment: Deployment, measure: Callable[[Deployment], Awaitable[list[Measured]]]
) -> list[Measured]:
    async with deployment as made:
        return await measure(made)


async def commands() -> list[Measured]:
    with tempfile.TemporaryDirectory(prefix="hansard-bench-") as folder:
        home = Path(folder) / "home"
        with Embedded(home) as embedded:
            url = embedded.servers.database_url
            await create_database(url)
            await migrate(url, say=lambda sentence: None)
            master = load_master(home / "master.key", create=True)
            rows = await record.commands(url, master)
            await record.fill(url, master, REBUILD_EVENTS)
            return [*rows, *await record.rebuilds(url, master)]


async def gateways() -> list[Measured]:
    with tempfile.TemporaryDirectory(prefix="hansard-bench-") as folder:
        home = Path(folder) / "home"
        with Embedded(home, redis=False) as embedded:
            url = embedded.servers.database_url
            await create_database(url)
            await migrate(url, say=lambda sentence: None)
            load_master(home / "master.key", create=True)
            return await writers.gateways(url, home / "master.key")


async def notaries() -> list[Measured]:
    return [*await with_deployment(notary.price), *await notary.rates()]


ROWS: dict[str, Callable[[], Awaitable[list[Measured]]]] = {
    "S1": lambda: with_deployment(sockets.deliveries),
    "S2": lambda: with_deployment(sockets.durable_sends),
    "S3": lambda: with_deployment(sockets.latency),
    "S4": lambda: with_deployment(sockets.idle),
    "S5": lambda: with_deployment(pages.newest),
    "S6": commands,
    "S9": gateways,
    "S8": lambda: with_deployment(sockets.slow_readers),
    "T1": lambda: with_log_ins(logins.confirming(), logins.stopwatch),
    "L1": lambda: with_log_ins(logins.behind_a_proxy(), logins.flood),
    "N1": notaries,
    "M": lambda: million.million(Deployment()),
    "F1": files.pictures,
    "F2": files.large_upload,
    "F3": files.large_upload_to_s3,
}


async def main(wanted: list[str]) -> None:
    print(f"{'what':<66} {'figure':>28} {'CPU ms/message':>15}")
    for name in wanted:
        for row in await ROWS[name]():
            cpu = "" if row.cpu_ms_a_message is None else f"{row.cpu_ms_a_message:.2f}"
            print(f"{row.name:<66} {row.figure:>28} {cpu:>15}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which to measure: {', '.join(ROWS)} (S6 includes S7)")
    asked = parser.parse_args().rows or list(ROWS)
    if unknown := set(asked) - set(ROWS):
        sys.exit(f"No such row: {', '.join(sorted(unknown))}. There are {', '.join(ROWS)}.")
    spare_the_collector()
    uvloop.run(main(asked))
