"""`hansard keys rewrap`, `wrapping` and `master rotate`: keys are wrapped anew, nothing that they sealed is touched.

Both go on where they were broken off when they are called again.
"""

import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from adapters.key_file import SECRET_BYTES, read_key_files_secrets, replace_file
from adapters.postgres.master_key import Master, load_master
from adapters.postgres.rewrapping import in_use, replace_others, rewrap
from adapters.wrapping_keys import WrappingKeys
from domain.ports.database import Db
from runtime.composition.process_context import process_context
from runtime.settings import Settings

KEPT_DAYS = 7  # an old wrapping key is kept so long, for backups of keys that were made before it was replaced


async def rewrap_keys(settings: Settings, *, forget: bool) -> int:
    """Wrap all data keys by a new wrapping key, and destroy those that were replaced long enough ago; with `forget`, all."""
    async with process_context(settings) as base:
        master, wrappings = base.vault.master, _of(base.vault.master)
        made = wrappings.add(datetime.now(UTC), master.mark)
        done = await rewrap(base.db, master, made.version)
        gone = _destroy(wrappings, made.version, everything=forget)
    print(f"{done:,} data keys are wrapped by the wrapping key {made.version} now.")
    print(
        f"Copy {wrappings.path} to where the master key is kept, in place of the copy there: without it nobody reads the record."
    )
    if gone:
        named = ", ".join(map(str, sorted(gone)))
        print(f"Destroyed {named}: copies of keys from before (backups, archives) cannot be opened any more.")
    return 0


async def rotate_master(settings: Settings) -> int:
    """Replace the master key: a new one wraps all keys, and the old one is of no use any more."""
    path = settings.master_key
    async with process_context(settings) as base:
        await replace_others(base.db, base.vault.master)  # the root is in the vault before there are two
        secrets = read_key_files_secrets(path)
        if len(secrets) == 1:
            replace_file(path, [os.urandom(SECRET_BYTES).hex(), secrets[0].hex()])
        master = load_master(path, create=False)
        master.adopt(base.vault.master.root)
        done, version = await _rotate(base.db, master)
        replace_file(path, [read_key_files_secrets(path)[0].hex()])
        gone = _destroy(_of(master), version, everything=True)
    print(
        f"{done:,} data keys are wrapped by a new master key, with the wrapping key {version}. Claims are as they were."
    )
    print(
        f"Copy {path} and {_of(master).path} to where they are kept. Keep the old master key as long as backups that need it."
    )
    return 0 if gone is not None else 1


async def list_wrapping(settings: Settings) -> int:
    """Print a line a wrapping key that is left, the newest first."""
    async with process_context(settings) as base:
        used = await in_use(base.db)
        for key in reversed(_of(base.vault.master).every()):
            print(f"{key.version}  made {key.made_at:%Y-%m-%d %H:%M:%S} UTC{'  in use' if key.version == used else ''}")
    return 0


async def _rotate(db: Db, master: Master) -> tuple[int, int]:
    made = _of(master).add(datetime.now(UTC), master.mark)
    done = await rewrap(db, master, made.version)
    await replace_others(db, master)
    return done, made.version


def _destroy(wrappings: WrappingKeys, newest: int, *, everything: bool) -> set[int]:
    """Take out of the file what was replaced long enough ago; return the versions. A key is replaced when the next is made."""
    keys, before = wrappings.every(), datetime.now(UTC) - timedelta(days=KEPT_DAYS)
    gone = {
        key.version for key, later in pairwise(keys) if key.version < newest and (everything or later.made_at <= before)
    }
    if gone:
        wrappings.destroy(gone)
    return gone


def _of(master: Master) -> WrappingKeys:
    assert master.wrappings is not None, "a master key of a file has wrapping keys beside it"
    return master.wrappings
