"""`hansard keys`: the keys that sign access tokens, and the master key. A new signing key signs when everybody had time to
read it; see docs/operating.md."""

from datetime import UTC, datetime
from pathlib import Path

from adapters.credentials.tokens import Keys
from adapters.postgres.data_keys import load_master
from domain.bounds import ACCESS_SECONDS, KEY_LEAD_AT_ONCE_SECONDS, KEY_LEAD_SECONDS
from domain.errors import SetupError
from runtime.composition import ground
from runtime.settings import Settings


class MasterKeyLost(SetupError):
    """The record is not empty, and its master key is not there; the sentence says what can be done."""


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


def make_master(path: Path) -> None:
    load_master(path, create=True)


async def rotate(settings: Settings, *, at_once: bool) -> int:
    """Make a key that signs in a while; what the old one signed is read until it expires."""
    async with ground(settings) as base:
        lead = KEY_LEAD_AT_ONCE_SECONDS if at_once else KEY_LEAD_SECONDS
        kid, moment = await Keys(base.db, base.vault.master).rotate(lead_seconds=lead)
    print(
        f"Key {kid} signs from {moment:%H:%M:%S} UTC on; tokens of the old one are read for {ACCESS_SECONDS // 60} more minutes."
    )
    return 0


async def retire(settings: Settings, kid: str) -> int:
    """Have a key's tokens refused, within ten seconds, by every process."""
    async with ground(settings) as base:
        await Keys(base.db, base.vault.master).retire(kid)
    print(f"Key {kid} is retired. Who holds a token of it refreshes the session.")
    return 0


async def every(settings: Settings) -> int:
    """Print a line a key, the newest first."""
    async with ground(settings) as base:
        for key in await Keys(base.db, base.vault.master).every():
            state = "signs from" if key.signs_from <= datetime.now(UTC) else "will sign from"
            print(f"{key.kid}  {state} {key.signs_from:%Y-%m-%d %H:%M:%S} UTC")
    return 0
