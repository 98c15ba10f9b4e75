"""`hansard rebuild`: read tables made anew from the record while everything serves, and compared with the served ones; or
those that were served before, once more."""

import argparse
import sys
from functools import partial

import msgspec

from domain.bounds import REBUILD_JOBS_MAX
from domain.ports.record import RecordUnavailableError
from projections import PROJECTIONS, building_tables, parked, with_policies
from projections.checkpoints import LeaseLostError
from projections.tables import Group
from runtime.command import Command, MisusedError
from runtime.composition.part_processes import EX_TEMPFAIL, PartProcesses
from runtime.composition.process_context import ProcessContext, process_context, process_name
from runtime.operators.progress import ProgressShown
from runtime.priority import give_way
from runtime.settings import Settings
from workers.begun_tables import unfit
from workers.folding import PoisonedError
from workers.rebuild_parts import AGAIN, Part, fill_part
from workers.rebuild_reports import Verdict, report
from workers.rebuild_runs import Run
from workers.rollback import Rollback
from workers.table_swap import RebuildRefusedError
from workers.unserved_tables import drop_unserved

STATEMENT_SECONDS = 600.0
STEPS = {
    "indexing": "making indexes",
    "comparing": "comparing with what is served",
    "exchanging": "adding what came meanwhile, and exchanging",
}


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Rebuild a group, or all of them, or serve one's tables of before. Return 0 if what was served equals the record, 3 if
    not."""
    if asked.show_content and not asked.shadow:
        raise MisusedError("--show-content goes with --shadow, which lists the rows that differ.")
    if asked.rollback and asked.all:
        raise MisusedError("--rollback is for one group: hansard rebuild NAME --rollback")
    if asked.afresh and (asked.rollback or asked.drop):
        raise MisusedError("--afresh is for a rebuild: it leaves aside what an interrupted one began.")
    if asked.jobs != 1 and (asked.rollback or asked.drop):
        raise MisusedError("--jobs is for a rebuild: it divides the record by room among so many processes.")
    give_way()
    async with process_context(settings, statement_seconds=STATEMENT_SECONDS) as base:
        if asked.part:
            return await fill(base, msgspec.json.decode(asked.part, type=Part))
        if asked.drop:
            return await drop(base, asked)
        return await (roll_back(base, asked) if asked.rollback else rebuild(base, asked))


async def rebuild(base: ProcessContext, asked: argparse.Namespace) -> int:
    groups = [with_policies(group, base.settings.stopping) for group in _groups(asked)]
    verdicts: list[Verdict] = []
    processes = PartProcesses(base.db.url)
    for group in groups:
        run = Run(
            group, base.record, base.db, run_by=process_name(), progress=ProgressShown(sys.stderr), say=_say,
            step=partial(_say_step, group.name), jobs=asked.jobs, fill=processes.fill,
        )  # fmt: skip
        verdicts += await run.run(swap=not asked.shadow, afresh=asked.afresh)
    missing = {} if asked.shadow else await parked.counts(base.db)
    for line in report(verdicts, show_content=asked.show_content):
        print(line)
    for group in groups:
        if count := missing.get(group.name):
            print(f"{group.name}: {count} events are parked; 'hansard doctor projections' names them.")
    return 0 if all(verdict.is_expected for verdict in verdicts) else 3


async def fill(base: ProcessContext, part: Part) -> int:
    """Fill a part of what another process divided; tell it each position that this one comes to, and why it comes no further."""
    group = with_policies(PROJECTIONS[part.group], base.settings.stopping)
    try:
        await require_fit(base, group)
        await fill_part(group, base.record, base.db, part, _tell)
    except LeaseLostError:
        _tell(f"What was built of {group.name} is somebody else's by now.")
        return 1
    except PoisonedError as error:
        _tell(f"{error} {AGAIN}")
        return 1
    except RebuildRefusedError as error:
        _tell(str(error))
        return 1
    except RecordUnavailableError as error:
        _tell(str(error))
        return EX_TEMPFAIL
    return 0


async def require_fit(base: ProcessContext, group: Group) -> None:
    """Raise `RebuildRefusedError` if what was begun of a group is not what this process makes."""
    found = await building_tables.of(base.db, group.name)
    if found is None:
        raise RebuildRefusedError(f"There is nothing of {group.name} to be filled: what was begun is gone.")
    if reason := await unfit(base.db, base.record, group, found):
        raise RebuildRefusedError(f"There is nothing of {group.name} to be filled: what was begun {reason}.")


async def roll_back(base: ProcessContext, asked: argparse.Namespace) -> int:
    unit = Rollback(PROJECTIONS[asked.name], base.record, base.db, progress=ProgressShown(sys.stderr))
    for table in await unit.run():
        print(table.sentence())
    return 0


async def drop(base: ProcessContext, asked: argparse.Namespace) -> int:
    """Drop what is not served of these groups: what rebuilds replaced, and what one began."""
    for group in _groups(asked):
        print(await drop_unserved(base.db, group))
    return 0


def _groups(asked: argparse.Namespace) -> list[Group]:
    return list(PROJECTIONS.values()) if asked.all else [PROJECTIONS[asked.name]]


def _tell(said: int | str) -> None:
    """Tell the process that divided the rebuild."""
    print(msgspec.json.encode(said).decode(), flush=True)


def _say_step(group: str, step: str) -> None:
    if step in STEPS:
        _say(f"{group}: {STEPS[step]}")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def jobs(typed: str) -> int:
    """Return how many processes are asked for. Raise `ArgumentTypeError` if they are none or too many."""
    if not typed.isdecimal() or not 1 <= int(typed) <= REBUILD_JOBS_MAX:
        raise argparse.ArgumentTypeError(f"so many processes: 1 to {REBUILD_JOBS_MAX}")
    return int(typed)


def _describe(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", choices=sorted(PROJECTIONS), help="the group of tables")
    which.add_argument("--all", action="store_true", help="all groups, one after the other")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--shadow", action="store_true", help="only compare, list the rows that differ, swap nothing")
    how.add_argument("--rollback", action="store_true", help="serve what the last rebuild replaced, up to the record")
    how.add_argument("--drop", action="store_true", help="drop what rebuilds replaced and kept, and what one began")
    parser.add_argument(
        "--jobs", type=jobs, default=1, metavar="N",
        help="divide the record by room among N processes, and make as many indexes at a time (1 to 8, by default 1)",
    )  # fmt: skip
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)  # of another process that divided it
    parser.add_argument("--afresh", action="store_true", help="do not go on with what an interrupted rebuild began")
    parser.add_argument("--show-content", action="store_true", help="with --shadow: texts, too, not only their lengths")


COMMAND = Command(run, _describe)
