"""`hansard doctor`: what is set up, what answers, and what to mend. Exit code 0 if all is well."""

import argparse
from collections.abc import Awaitable, Callable, Collection

import asyncpg

from runtime.command import Command
from runtime.operators.checks import files, keys, machine, notary, record
from runtime.settings import Settings

CHECKS: dict[str, Callable[[Settings], Awaitable[str]]] = {
    "disk": machine.disk,
    "master key": record.master_key,
    "wrapping keys": keys.wrapping_keys,
    "modes": machine.modes,
    "tls": machine.tls,
    "postgres": record.postgres,
    "log-in": record.login_rights,
    "python": machine.interpreter,
    "clock": record.clock,
    "redis": record.redis,
    "projections": record.projections,
    "notary": notary.notary,
    "files": files.blobs,
    "scanner": files.scanner,
    "sandbox": files.sandbox,
}


async def run(settings: Settings, _: argparse.Namespace) -> int:
    return await doctor(settings)


async def doctor(settings: Settings, names: Collection[str] = ()) -> int:
    """Print a line a check, for all or those named. Return 0, or 1 if something is to be mended."""
    print(f"home        {settings.home.resolve()}")
    print(f"postgres    {'given by HANSARD_DATABASE_URL' if settings.database_url else 'embedded'}")
    print(f"redis       {'given by HANSARD_REDIS_URL' if settings.redis_url else 'embedded'}")
    print(f"blobs       {settings.blobs_url or settings.home.resolve() / 'files'}")
    checks = {name: check for name, check in CHECKS.items() if not names or name in names}
    failed = 0
    for name, check in checks.items():
        try:
            print(f"[ok]   {name}: {await check(settings)}")
        except asyncpg.UndefinedTableError:
            failed += 1
            print(
                f"[FAIL] {name}: the database has no record yet, or is older than this release: run 'hansard migrate'"
            )
        except Exception as error:
            failed += 1
            print(f"[FAIL] {name}: {str(error) or type(error).__name__}")
    print("All is well." if not failed else f"{failed} of {len(checks)} checks failed.")
    return 1 if failed else 0


COMMAND = Command(run)
