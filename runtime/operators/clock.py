"""`hansard clock`: what the database's clock says beside this machine's and the record, and accepting it as it is."""

import argparse

from adapters.clock import now
from adapters.postgres.clock_watch import ClockLeaptError, ClockWatch
from commands.clock import AcceptClock
from domain.ports.record import Head
from runtime.command import Command
from runtime.composition.process_context import process_context
from runtime.operators.writing import OPERATOR, operator
from runtime.settings import Settings


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Show the clocks, or accept the database's."""
    return await (accept(settings) if asked.action == "accept" else show(settings))


async def show(settings: Settings) -> int:
    """Print the three times. Return 1 if nothing could be recorded now."""
    async with process_context(settings) as base:
        head = await base.record.head()
    print(_sentence(head))
    try:
        ClockWatch(settings.clock_ahead_seconds).judge(head.clock, head.at)
    except ClockLeaptError as error:
        print(error)
        return 1
    return 0


async def accept(settings: Settings) -> int:
    """Have the record go on from what the database's clock says now. The acceptance is an event."""
    async with operator(settings, any_clock=True) as base:
        head = await base.record.head()
        outcome = await base.command_bus.do(AcceptClock(head.clock, now(), head.at), OPERATOR)
    print(_sentence(head))
    print(f"Accepted at position {outcome.position:,}: what is recorded from now on is no earlier than that.")
    return 0


def _sentence(head: Head) -> str:
    said = {"the database's clock": head.clock, "this machine's": now(), "the last event": head.at}
    return ", ".join(f"{whose} {at:%Y-%m-%d %H:%M:%S} UTC" for whose, at in said.items())


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        choices=("show", "accept"),
        default="show",
        help="show: what each clock says (if nothing is said); accept: record from here on by the database's",
    )


COMMAND = Command(run, _describe)
