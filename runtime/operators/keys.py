"""`hansard keys`: the keys that sign access tokens, the master key, what data keys are wrapped by, and which were destroyed.

A new signing key signs only after every process had time to read it; see docs/operating.md.
"""

import argparse
from datetime import UTC, datetime

from adapters.credentials.signing_keys import Keys
from adapters.postgres.master_key import load_master
from adapters.postgres.record_moment import SELECT_DESTROYED
from domain.bounds import ACCESS_SECONDS
from runtime.command import Command, MisusedError
from runtime.composition.process_context import process_context
from runtime.master_key import make_master
from runtime.operators.wrapping import list_wrapping, rewrap_keys, rotate_master
from runtime.settings import Settings

KEY_LEAD_SECONDS = 360  # a JWKS may be kept for five minutes
KEY_LEAD_AT_ONCE_SECONDS = 15  # until every process has read its keys anew


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """List the signing keys, make or retire one, or make the master key."""
    if asked.action == "master":
        match asked.kid:
            case "new":
                return await new_master(settings)
            case "rotate":
                return await rotate_master(settings)
        raise MisusedError(
            "Make the master key with 'hansard keys master new', or replace it with 'hansard keys master rotate'."
        )
    if (asked.action == "retire") != (asked.kid is not None):
        raise MisusedError("Name the key with 'hansard keys retire KID', and with nothing else.")
    match asked.action:
        case "rotate":
            return await rotate(settings, at_once=asked.now)
        case "retire":
            return await retire(settings, asked.kid)
        case "destroyed":
            return await destroyed(settings)
        case "rewrap":
            return await rewrap_keys(settings, forget=asked.forget)
        case "wrapping":
            return await list_wrapping(settings)
    return await every(settings)


async def new_master(settings: Settings) -> int:
    """Make the master key where there is none; one that is there stays."""
    path = settings.master_key
    if path.exists():
        load_master(path, create=False)
        print(f"There is a master key at {path} already; it stays.")
        return 0
    make_master(path)
    print(f"Made {path}. Keep a copy elsewhere: without it nobody can ever read the record.")
    return 0


async def rotate(settings: Settings, *, at_once: bool) -> int:
    """Make a key that signs after a while; tokens of the old one are read until they expire."""
    async with process_context(settings) as base:
        lead = KEY_LEAD_AT_ONCE_SECONDS if at_once else KEY_LEAD_SECONDS
        kid, moment = await Keys(base.db, base.vault.master).rotate(lead_seconds=lead)
    print(
        f"Key {kid} signs from {moment:%H:%M:%S} UTC on; tokens of the old one are read for {ACCESS_SECONDS // 60} more minutes."
    )
    return 0


async def retire(settings: Settings, kid: str) -> int:
    """Have a key's tokens refused, within ten seconds, by every process."""
    async with process_context(settings) as base:
        await Keys(base.db, base.vault.master).retire(kid)
    print(f"Key {kid} is retired. Who holds a token of it refreshes the session.")
    return 0


async def every(settings: Settings) -> int:
    """Print a line a key, the newest first."""
    async with process_context(settings) as base:
        for key in await Keys(base.db, base.vault.master).every():
            state = "signs from" if key.signs_from <= datetime.now(UTC) else "will sign from"
            print(f"{key.kid}  {state} {key.signs_from:%Y-%m-%d %H:%M:%S} UTC")
    return 0


async def destroyed(settings: Settings) -> int:
    """Print the ids of the data keys that were destroyed, a line each: for 'hansard restore --destroyed'."""
    async with process_context(settings) as base:
        for key_id in await base.db.all(str, SELECT_DESTROYED):
            print(key_id)
    return 0


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("list", "rotate", "retire", "master", "destroyed", "rewrap", "wrapping"),
        help="list, rotate, retire: keys that sign access tokens; master: the master key; destroyed: list the data keys that were "
        "destroyed; rewrap: make a wrapping key, and wrap all data keys by it; wrapping: list wrapping keys",
    )
    parser.add_argument(
        "kid", nargs="?", help="with retire: the key that is no longer secret; with master: new or rotate"
    )
    parser.add_argument("--forget", action="store_true", help="with rewrap: destroy all earlier wrapping keys at once")
    parser.add_argument("--now", action="store_true", help="with rotate: sign with it as soon as all processes know it")


COMMAND = Command(run, _describe)
