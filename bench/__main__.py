"""`make bench`: measure on this machine and print tables. Everything runs embedded, on loopback; no time is asserted.

S1 to S5 run side by side with other chats, pinned and in turns (`bench/comparison`). The other rows are Hansard's own.
Absolute figures say what this machine did just now; compare ratios of one run. `ROWS="S1 S6"` measures only those.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from adapters.postgres.master_key import load_master
from bench import files, growth, logins, mentions, million, notary, notices, rebuild_beside, record, sockets, writers
from bench.comparison.chart import chart
from bench.comparison.report import machine, table
from bench.comparison.runner import QUICK, ROUNDS, Plan, compare, peers
from bench.comparison.scenarios import SCENARIOS, Length, Run
from bench.curves import draw
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
    return [*await with_deployment(notary.price), *await notary.rates(), *await record.sealing()]


async def curves() -> list[Measured]:
    """G, and its picture where one is asked for."""
    measured, rows = [], []
    async for curve in growth.growth(asked.events, asked.sockets):
        measured.append(curve)
        for point in curve.points:
            rows.append(Measured(f"G {curve.title}, {point.size:,} {curve.sizes}", f"{point.figure:,.3g} {curve.unit}"))
            print(rows[-1].name, rows[-1].figure, file=sys.stderr, flush=True)
    if asked.curves:
        foot = f"Processor time of all processes of the server; {time.strftime('%Y-%m-%d')}, {machine()}"
        asked.curves.write_text(draw(measured, foot))
    return rows


async def rebuilds() -> list[Measured]:
    """R, and its picture and figures where they are asked for."""
    return await rebuild_beside.beside(Deployment(), picture=asked.rebuild_chart, figures=asked.rebuild_json)


ROWS: dict[str, Callable[[], Awaitable[list[Measured]]]] = {
    "S6": commands,
    "S9": gateways,
    "S8": lambda: with_deployment(sockets.slow_readers),
    "T1": lambda: with_log_ins(logins.confirming(), logins.stopwatch),
    "L1": lambda: with_log_ins(logins.behind_a_proxy(), logins.flood),
    "L2": lambda: with_log_ins(Deployment(), logins.crowd),
    "N1": notaries,
    "C1": lambda: with_deployment(mentions.price),
    "E1": notices.rate,
    "M": lambda: million.million(Deployment()),
    "G": curves,
    "R": rebuilds,
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


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    rows = f"side by side: {', '.join(SCENARIOS)}; by itself: {', '.join(ROWS)} (S6 includes S7)"
    parser.add_argument("rows", nargs="*", metavar="ROW", help=rows)
    parser.add_argument("--peers", default="", help=f"who is compared, by comma: {', '.join(peers())}, or folders")
    parser.add_argument("--cores", type=int, choices=(1, 2), default=1, help="how many the compared servers have")
    parser.add_argument("--rounds", type=int, help="how often each peer runs each scenario")
    parser.add_argument(
        "--quick", action="store_true", help="side by side in about a minute: one short round, less of all"
    )
    parser.add_argument("--json", type=Path, help="write the comparison here")
    parser.add_argument("--chart", type=Path, help="draw the comparison here, as SVG")
    parser.add_argument("--events", type=numbers, default=growth.EVENTS, help="G: sizes of the record, by comma")
    parser.add_argument(
        "--sockets", type=numbers, default=growth.SOCKETS, help="G: how many sockets are open, by comma"
    )
    parser.add_argument("--curves", type=Path, help="G: draw the curves here, as SVG")
    parser.add_argument("--rebuild-chart", type=Path, help="R: draw the rate of a rebuild here, as SVG")
    parser.add_argument("--rebuild-json", type=Path, help="R: write its figures here")
    return parser.parse_args()


def numbers(given: str) -> tuple[int, ...]:
    return tuple(int(number) for number in given.split(","))


def side_by_side(names: Sequence[str], asked: argparse.Namespace) -> bool:
    """Compare, and print, write and draw the report. Return whether everything that Hansard promises held."""
    plan = Plan(
        names,
        [name for name in asked.peers.split(",") if name],
        asked.cores,
        asked.rounds or (1 if asked.quick else ROUNDS),
        QUICK if asked.quick else Length(),
    )
    made = uvloop.run(compare(plan, say=say))
    if not made.are_apart:
        print("The generator shares a core with the servers: what it takes, they lack.")
    print(table(made), flush=True)
    if asked.json:
        made.written(asked.json)
    if asked.chart:
        asked.chart.write_text(chart(made))
    return not any(run.findings for run in made.runs if run.peer == "hansard")


def say(run: Run) -> None:
    print(
        f"{run.scenario:<5} {run.peer:<9} {run.rate:>9,.0f}/s {run.cpu_ms:>7.3f} ms  p50 {run.p50_ms:.1f} p99 {run.p99_ms:.1f}"
        f"  generator {run.generator_percent:.0f} %, others {run.others_percent:.0f} %  {'; '.join(run.findings) or 'holds'}",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    asked = arguments()
    if unknown := set(asked.rows) - set(ROWS) - set(SCENARIOS):
        sys.exit(f"No such row: {', '.join(sorted(unknown))}. There are {', '.join((*SCENARIOS, *ROWS))}.")
    quick = [name for name in SCENARIOS if name != "S2x5"] if asked.quick else None
    wanted = asked.rows or quick or [*SCENARIOS, *ROWS]
    spare_the_collector()
    holds = True
    if compared := [name for name in wanted if name in SCENARIOS]:
        holds = side_by_side(compared, asked)
    if others := [name for name in wanted if name in ROWS]:
        uvloop.run(main(others))
    sys.exit(not holds)
