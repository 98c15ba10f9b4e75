"""`hansard migrate` and `hansard url`: the database brought to this version, and the address of the embedded one."""

import argparse

from runtime.command import Command
from runtime.groups import GROUP_OF
from runtime.locations import embedded, owners_url
from runtime.migrate import migrate
from runtime.settings import Settings


async def run_migrate(settings: Settings, _: argparse.Namespace) -> int:
    """Bring the database to this version, and make its log-ins."""
    embedded_logins = {} if settings.migration_url or settings.database_url else embedded(settings).logins()
    applied = await migrate(owners_url(settings), say=print, logins=settings.login_passwords or embedded_logins)
    print(f"{applied} migrations were applied." if applied else "The database is up to date.")
    return 0


async def run_url(settings: Settings, asked: argparse.Namespace) -> int:
    """Print the address of the embedded Postgres for one of its log-ins."""
    servers = embedded(settings)
    print(servers.database_url if asked.login == "owner" else servers.login_url(asked.login))
    return 0


def _describe_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("login", nargs="?", choices=("owner", *GROUP_OF), default="operator", help="as whom")


MIGRATE = Command(run_migrate)
URL = Command(run_url, _describe_url)
