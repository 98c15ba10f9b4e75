"""`hansard parked`: which events read tables go without, and why; or have a version that can take them do so."""

import argparse
import sys

from projections import PROJECTIONS, parked
from runtime.command import Command, MisusedError
from runtime.composition.process_context import ProcessContext, process_context
from runtime.operators.progress import ProgressShown
from runtime.settings import Settings
from workers.replay import Replay

LISTED_MAX = 1_000
STATEMENT_SECONDS = 600.0
STILL_PARKED = 3


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """List what is parked, or replay it. Return 0; 3 if something stays parked after a replay."""
    if asked.action == "replay" and asked.name is None:
        raise MisusedError("Name the group whose parked events are to be replayed: hansard parked replay GROUP")
    async with process_context(settings, statement_seconds=STATEMENT_SECONDS) as base:
        return await (replay(base, asked.name) if asked.action == "replay" else listed(base, asked.name))


async def listed(base: ProcessContext, name: str | None) -> int:
    found = [each for each in await parked.listed(base.db, limit=LISTED_MAX) if name in (None, each.group)]
    for each in found:
        print(f"{each.group} {each.position} {each.topic} {each.error}")
    counts = await parked.counts(base.db)
    for group, count in counts.items():
        if name in (None, group):
            print(f"{group} goes without {count:,} events.")
    if not found:
        print("Nothing is parked.")
    return 0


async def replay(base: ProcessContext, name: str) -> int:
    replayed = await Replay(PROJECTIONS[name], base.record, base.db, progress=ProgressShown(sys.stderr)).run()
    print(f"{name}: {replayed.taken:,} events were taken after all.")
    for each in replayed.left:
        print(f"  {each.position} {each.topic} stays parked: {each.error}")
    return STILL_PARKED if replayed.left else 0


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("list", "replay"), default="list", help="what to do with them")
    parser.add_argument("name", nargs="?", choices=sorted(PROJECTIONS), help="the group of tables")


COMMAND = Command(run, _describe)
