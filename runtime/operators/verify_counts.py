"""`hansard verify counts`: unread messages, mentions, members, reactions, threads and last messages, counted anew from the record and
held against what is served. 0 equal, 1 something differs, 2 it cannot be judged. It needs no key, and nothing waits for it.
"""

import argparse
import json
import sys
import time

import asyncpg

from adapters.postgres.database import Database
from projections import LIVE, parked
from runtime.locations import database_url
from runtime.operators.progress import ProgressShown
from runtime.settings import Settings
from workers.count_comparison import CountsNotJudgedError, CountsVerdict, compare_counts

EQUAL, DIFFERS, NOT_JUDGED = 0, 1, 2
STATEMENT_SECONDS = 600.0


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Compare, and print every row that differs, up to a bound. Return the exit code."""
    db = await Database.open(database_url(settings), size=2, statement_seconds=STATEMENT_SECONDS)
    try:
        verdict = await compare_counts(db, ProgressShown(sys.stderr), time.perf_counter)
        missing = (await parked.counts(db)).get(LIVE.name, 0)
    except asyncpg.UndefinedTableError:
        print("not judged: the database is older than this release: run 'hansard migrate' first")
        return NOT_JUDGED
    except CountsNotJudgedError as error:
        print(f"not judged: {error}")
        return NOT_JUDGED
    finally:
        await db.close()
    if asked.json:
        print(json.dumps(_document(verdict, missing)))
    else:
        for line in _lines(verdict, missing):
            print(line)
    return DIFFERS if verdict.differing else EQUAL


def _lines(verdict: CountsVerdict, missing: int) -> list[str]:
    rows, at = f"{verdict.rows:,} rows", f"at position {verdict.position:,}"
    lines = [f"equal: {rows} count what the record says {at}"]
    if verdict.differing:
        lines = [f"DIFFERS: {verdict.differing:,} values of {rows} are not what the record says {at}"]
    lines += [f"  {each.sentence(show_content=False)}" for each in verdict.differences]
    if verdict.differing > len(verdict.differences):
        lines.append(f"  {verdict.differing - len(verdict.differences):,} more are not listed here.")
    if verdict.unreadable:
        lines.append(f"{verdict.unreadable:,} events cannot be read, and are not counted.")
    if missing:
        lines.append(
            f"{missing:,} events are parked: {LIVE.name} goes without them, and what they would change differs."
        )
    return lines


def _document(verdict: CountsVerdict, missing: int) -> dict[str, object]:
    found = [
        {"table": each.table, "key": each.key, "column": each.column, "served": each.served, "record": each.rebuilt}
        for each in verdict.differences
    ]
    return {
        "position": verdict.position, "rows": verdict.rows, "differing": verdict.differing,
        "unreadable": verdict.unreadable, "parked": missing, "differences": found,
    }  # fmt: skip
