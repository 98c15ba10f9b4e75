"""`hansard backup`: the record, its keys apart, and the files, while everything serves.

Exit codes: 0 done, 1 nothing was backed up (one sentence says why), 3 done, but the record is not what the notary signed, 130
interrupted. What was interrupted is removed; where it could not be (kill -9), no manifest says that it is a backup.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from adapters.postgres.record_moment import one_moment
from runtime.command import Command, MisusedError
from runtime.locations import database_url
from runtime.migrate import SELECT_VERSION
from runtime.operators.backups.ending import told_to_end
from runtime.operators.backups.folders import new_folder, require_empty
from runtime.operators.backups.looking import Seen
from runtime.operators.backups.making import Begun, make
from runtime.operators.backups.tools import find
from runtime.settings import Settings

DIFFERS = 3
JOBS = 2
SELECT_VERSION_NAME = "SELECT current_setting('server_version')"


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Make a backup. Return the exit code."""
    folder, keys = asked.folder.absolute(), keys_folder(asked)
    if keys == folder or keys.is_relative_to(folder) or folder.is_relative_to(keys):
        raise MisusedError(
            "The keys go into a folder of their own, neither within the record's nor around it: --keys DIR"
        )
    require_empty(folder)
    require_empty(keys)
    async with told_to_end():
        async with one_moment(database_url(settings)) as moment:
            number, name = int(await moment.value(SELECT_VERSION)), str(await moment.value(SELECT_VERSION_NAME))
        begun = Begun(
            uuid4(), folder, keys, await find("pg_dump", number // 10_000), name.partition(" ")[0], asked.jobs,
            asked.files == "copy", datetime.now(UTC),
        )  # fmt: skip
        with new_folder(folder), new_folder(keys):
            seen = await make(settings, begun)
    return _report(begun, seen)


def keys_folder(asked: argparse.Namespace) -> Path:
    """Return the folder of the keys: the one that is named, else `DIR-keys` beside the record's."""
    folder = Path(asked.folder).absolute()
    return Path(asked.keys).absolute() if asked.keys else folder.with_name(f"{folder.name}-keys")


def _report(begun: Begun, seen: Seen) -> int:
    """Say what was made; return the exit code."""
    print(f"Backed up {seen.head.position:,} events of the record {seen.head.record} into {begun.folder},")
    print(f"and their keys into {begun.keys}: keep those apart, and for days, not years. The master key is in neither.")
    if seen.is_as_signed:
        return 0
    print(
        "The record is NOT what was signed ('hansard verify' says where): keep the backups of before.", file=sys.stderr
    )
    return DIFFERS


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to: a folder that is new or empty")
    parser.add_argument("--keys", type=Path, metavar="DIR", help="where the keys go, apart; else DIR-keys beside it")
    parser.add_argument(
        "--files",
        choices=("copy", "list"),
        default="copy",
        help="copy (or link) the files of a folder store, or only list them; those on S3 are only named",
    )
    parser.add_argument("--jobs", type=int, default=JOBS, metavar="N", help=f"tables that are dumped at once ({JOBS})")


COMMAND = Command(run, _describe)
