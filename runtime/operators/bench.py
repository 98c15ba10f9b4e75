"""`hansard bench generate`: a believable history of any size on a record that has none, to try a release on before people do."""

import argparse
import asyncio
import os
import sys

from adapters.clock import now
from runtime.command import Command, MisusedError
from runtime.composition.process_context import process_context
from runtime.loops import background
from runtime.operators.generating.generator import Generator
from runtime.operators.generating.in_order import InOrder
from runtime.operators.progress import ProgressShown
from runtime.settings import Settings

SEED = 1
STATEMENT_SECONDS = 60.0


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Write the history. Return 0, or 1 if the record has one already."""
    if asked.events < 1:
        raise MisusedError("--events is how many there are to be: 1 or more.")
    async with process_context(settings, statement_seconds=STATEMENT_SECONDS) as base:
        head = await base.record.head()
        if head.position and not asked.into:
            print(
                f"hansard: The record has {head.position:,} events, and what is generated stays for ever: it is for a record "
                "that has none (--into writes it nevertheless).",
                file=sys.stderr,
            )
            return 1
        record = InOrder(base.db, base.vault, now=now, chance=os.urandom)
        async with background(asyncio.create_task(record.run())):
            generator = Generator(
                record, events=asked.events, seed=asked.seed, now=now, chance=os.urandom, progress=ProgressShown(sys.stderr)
            )  # fmt: skip
            written = await generator.run()
    town = generator.town
    print(f"{written:,} events, of {len(town.people):,} people in {len(town.rooms):,} rooms, by the seed {asked.seed}.")
    return 0


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("generate",),
        help="generate: write a history that looks like a year's; its files are events alone, without bytes",
    )
    parser.add_argument("--events", type=int, required=True, metavar="N", help="how many, about")
    parser.add_argument(
        "--seed", type=int, default=SEED, metavar="S", help=f"the same seed, the same history (now {SEED})"
    )
    parser.add_argument("--into", action="store_true", help="write it, although the record has events already")


COMMAND = Command(run, _describe)
