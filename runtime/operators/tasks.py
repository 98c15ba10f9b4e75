"""`hansard tasks`: what is queued for files, what failed lately, and another try for one of them."""

import argparse
from contextlib import AsyncExitStack
from uuid import UUID

from commands.file import RetryFile
from domain.file import FILE
from domain.ids import FileId
from domain.tasks import next_task
from gateway.http.pagination import PAGE_ITEMS_DEFAULT
from projections import file_queries
from runtime.command import Command, MisusedError
from runtime.composition.process_context import process_context
from runtime.composition.resources import opened_tasks
from runtime.operators.writing import OPERATOR, operator
from runtime.settings import Settings


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """List, or have one file tried again."""
    if asked.action == "list":
        return await list_tasks(settings)
    if asked.file is None:
        raise MisusedError("Say which file: hansard tasks retry FILE_ID")
    return await retry_task(settings, asked.file)


async def list_tasks(settings: Settings) -> int:
    """Show what is queued, and which files failed lately."""
    async with process_context(settings) as base, AsyncExitStack() as stack:
        queued = await opened_tasks(base, stack).listed()
        for task in queued:
            said = f"{task.state} {task.detail}".strip()
            since = (
                "" if task.added_at is None else f" (try {task.attempt}, since {task.added_at:%Y-%m-%d %H:%M:%S} UTC)"
            )
            print(f"{task.name}: {said}{since}")
        failures = await file_queries.failed_lately(base.db, limit=PAGE_ITEMS_DEFAULT)
        for failed in failures:
            print(f"{failed.id}: failed, {failed.reason} (at {failed.failed_at:%Y-%m-%d %H:%M:%S} UTC)")
    if not queued and not failures:
        print("Nothing waits, and nothing failed.")
    return 0


async def retry_task(settings: Settings, file_id: UUID) -> int:
    """Have a file that was given up tried again, and everything that waits for its next try be tried now."""
    async with operator(settings) as base, AsyncExitStack() as stack:
        outcome = await base.command_bus.do(RetryFile(FileId(file_id)), OPERATOR)
        file = outcome.folded(FILE, file_id).state
        tasks = opened_tasks(base, stack)
        due = None if file is None else next_task(file.file_id, file.uploader_id, file.status, file.mime_type)
        if due is not None:
            await tasks.add(due)
        await tasks.hurry()
    if outcome.events:
        print(f"{file_id} is tried again.")
    else:
        print(f"{file_id} is under way." if due else f"{file_id} is completed already.")
    return 0


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        choices=("list", "retry"),
        default="list",
        help="list: what is queued and what failed (if nothing is said); retry: try a file again that was given up",
    )
    parser.add_argument("file", nargs="?", type=UUID, help="the id of the file to try again")


COMMAND = Command(run, _describe)
