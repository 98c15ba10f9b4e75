"""`hansard notary`: signs checkpoints of the record. It reads events as they are stored, and can open none of them."""

import argparse
import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from adapters.notary.key import verified
from adapters.prometheus.exposition import Exposition
from adapters.prometheus.notary import NotaryMetrics
from adapters.prometheus.registry import new_registry
from domain.tree_head import NoteUnreadableError, read_note, read_tree_head
from runtime.command import Command
from runtime.composition.notary import NotaryParts, opened_notary
from runtime.loops import background, stop_signal, stop_when_one_ends
from runtime.metrics_listener import metrics_listener
from runtime.settings import Settings
from workers.rebuild_reports import Progress
from workers.record_tree import EventMissingError, roots

log = structlog.get_logger()


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Run until told to stop. Return 1 if a loop failed."""
    if asked.accept:
        return await accept(settings)
    if asked.rotate:
        from runtime.processes.notary_rotation import rotate  # a notary loads nothing of what appends

        return await rotate(settings)
    stop = stop_signal()
    async with opened_notary(settings) as parts:
        log.info(
            "the record's key is this: write it down where the operator of this machine cannot",
            key=str(parts.key.verifier),
        )
        loops = [asyncio.create_task(parts.notary.run(), name="notary")]
        if parts.witnessing is not None:
            loops.append(asyncio.create_task(parts.witnessing.run(), name="witnesses"))
        failed = stop_when_one_ends(stop, *loops)
        registry = new_registry()
        NotaryMetrics(registry, parts)
        exposition = Exposition(registry)
        async with background(*loops), metrics_listener(settings.metrics_address, exposition):
            await stop.wait()
    return 1 if failed else 0


async def accept(settings: Settings) -> int:
    """Put aside what was signed last, so that the record is signed as it is from now on. A notary that runs sees it at its
    next try."""
    async with opened_notary(settings, accepting=True) as parts:
        found = await _compared(parts)
        aside = parts.memory.set_aside(datetime.now(UTC))
        newest = await parts.store.newest(parts.key.verifier.name)
        if newest is not None:
            with suppress(NoteUnreadableError):  # under a key that was lost
                verified(newest.note, parts.key.verifier)
                parts.memory.write(newest.note)
    print("Nothing was signed yet." if aside is None else f"What was signed last is kept as {aside}.")
    print(f"{found} The notary signs the record as it is: for whoever holds a checkpoint of before it is another log.")
    return 0


async def _compared(parts: NotaryParts) -> str:
    """Say what the record is to that which was signed last, whatever its id was then."""
    try:
        signed = read_tree_head(read_note(parts.memory.read() or "")[0])
    except NoteUnreadableError:
        return "There is nothing to compare the record with."
    position = (await parts.events.head()).position
    if position < signed.size:
        return f"It ends at {position:,}, and {signed.size:,} events were signed: those after it are lost."
    try:
        found = await roots(parts.events, {signed.size}, progress=_silent, name="record")
    except EventMissingError as error:
        return f"It has no event at position {error.position}, where one was signed."
    if found[signed.size] == signed.root:
        return f"Its first {signed.size:,} events are those that were signed last."
    return f"Its first {signed.size:,} events are NOT those that were signed last: 'hansard verify' with the former key says where."


def _silent(progress: Progress) -> None:
    """Show nothing: it is done in a few seconds, or somebody looks at it by 'hansard verify'."""


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accept",
        action="store_true",
        help="sign a record that was replaced on purpose, though it does not extend the last",
    )
    parser.add_argument(
        "--rotate", action="store_true", help="have another key sign from now on, by an event that both keys signed"
    )


COMMAND = Command(run, _describe)
