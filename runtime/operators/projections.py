"""`hansard projections`: each group of read tables with version, position, lag, owner, what it goes without and what is rebuilt."""

import argparse
import json

from msgspec import to_builtins

from projections import projection_states, rebuilds, versions
from projections.projection_states import ProjectionState
from projections.rebuilds import RebuildRow
from runtime.command import Command
from runtime.composition.process_context import process_context
from runtime.settings import Settings


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Print a line a group, and one for each rebuild that is queued or runs. Return 1 if something is to be seen to."""
    async with process_context(settings) as base:
        found = await projection_states.of(base.db, versions(time_travel=settings.time_travel == "on"))
        building = await rebuilds.under_way(base.db)
    if asked.json:
        states = [{**to_builtins(each), "state": each.state} for each in found]
        print(json.dumps({"projections": states, "rebuilds": to_builtins(building)}))
    else:
        for state in found:
            print(sentence(state))
        for row in building:
            print(f"  {rebuild_sentence(row)}")
    return 0 if all(state.state in ("served", "behind") and not state.parked_events for state in found) else 1


def sentence(state: ProjectionState) -> str:
    """Return what an operator reads of a group."""
    served = f"version {state.version}" if state.is_built else f"version {state.served_version} of {state.version}"
    lag = (
        f", {state.lag_events:,} events and {state.lag_seconds:,.1f} s behind"
        if state.lag_events and state.state != "served"
        else ""
    )
    owner = f", followed by {state.owner}" if state.is_owned else ", followed by nobody"
    parked = f", {state.parked_events:,} parked" if state.parked_events else ""
    words = state.state.replace("_", " ")
    return f"{state.name}: {words}, {served}, at position {state.position:,}{lag}{owner}{parked}."


def rebuild_sentence(row: RebuildRow) -> str:
    """Return what an operator reads of a rebuild that is queued or runs."""
    kind = "shadow rebuild" if row.is_shadow else "rebuild"
    if row.state == "queued":
        return f"{kind} of {row.group_name} to version {row.version}: queued since {row.asked_at:%Y-%m-%d %H:%M:%S} UTC ({row.id})."
    if row.is_silent:
        return f"{kind} of {row.group_name}: interrupted at position {row.position:,}; the next one goes on ({row.id})."
    left = f", {row.seconds_left:,.0f} s left" if row.seconds_left is not None else ""
    done = f"{row.doing}, at {row.position:,} of {row.total:,} events, {row.events_per_second:,.0f}/s{left}"
    return f"{kind} of {row.group_name}: {done}, run by {row.run_by} ({row.id})."


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same for a program")


COMMAND = Command(run, _describe)
