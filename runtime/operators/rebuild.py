"""`hansard rebuild`: read tables made anew from the record while everything serves, and compared with the served ones."""

import argparse
import sys

from projections import PROJECTIONS, parked
from runtime.command import Command
from runtime.composition.process_context import process_context
from runtime.settings import Settings
from workers.rebuild import Rebuild
from workers.rebuild_reports import Progress, Verdict

STATEMENT_SECONDS = 600.0


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Rebuild a group, or all of them. Return 0 if they equal what was served, 3 if not."""
    groups = list(PROJECTIONS.values()) if asked.all else [PROJECTIONS[asked.name]]
    verdicts: list[Verdict] = []
    async with process_context(settings, statement_seconds=STATEMENT_SECONDS) as base:
        for group in groups:
            unit = Rebuild(group, base.record, base.db, progress=_show_progress)
            verdicts += await unit.run(swap=not asked.shadow)
        missing = {} if asked.shadow else await parked.counts(base.db)
    for verdict in verdicts:
        print(verdict.sentence())
    for group in groups:
        if count := missing.get(group.name):
            print(f"{group.name}: {count} events are parked; 'hansard doctor projections' names them.")
    return 0 if all(verdict.is_equal for verdict in verdicts) else 3


def _show_progress(progress: Progress) -> None:
    if sys.stderr.isatty():
        end = "" if progress.done < progress.total else "\n"
        print(f"\r{progress.sentence()}", end=end, file=sys.stderr, flush=True)


def _describe(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", choices=sorted(PROJECTIONS), help="the group of tables")
    which.add_argument("--all", action="store_true", help="all groups, one after the other")
    parser.add_argument("--shadow", action="store_true", help="only compare and report, swap nothing")


COMMAND = Command(run, _describe)
