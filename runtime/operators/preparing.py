"""What `hansard up` has done by a process that ends before the others begin: the database brought to this version, its log-ins made,
and the master key of a record that is empty. Whoever only looks after processes then holds no driver of Postgres and no
cryptography.
"""

from adapters.postgres.database import Database
from adapters.postgres.master_key import load_master
from adapters.postgres.master_key_check import require_right
from runtime.embedded.location import Servers, locate
from runtime.master_key import MasterKeyLostError, make_master
from runtime.migrate import create_database, migrate
from runtime.settings import Settings

SELECT_POSITION = "SELECT position FROM record.head"


async def prepare(settings: Settings) -> None:
    """Prepare the database and its log-ins. Raise a `SetupError` if that cannot be."""
    if settings.database_url:
        load_master(settings.master_key, create=False)
        await migrate(settings.migration_url or settings.database_url, say=_say, logins=settings.login_passwords)
    else:
        await _prepare_embedded(settings, locate(settings.home))


async def _prepare_embedded(settings: Settings, servers: Servers) -> None:
    """Bring the embedded database to this version, make its log-ins, and the master key of a record that is empty."""
    await create_database(servers.database_url)
    await migrate(servers.database_url, say=_say, logins=servers.logins())
    db = await Database.open(servers.login_url("operator"), size=1)
    try:
        if settings.master_key.exists():
            await require_right(db, load_master(settings.master_key, create=False), settings.master_key, keep=True)
            return
        if position := await db.value(SELECT_POSITION):
            raise MasterKeyLostError(
                f"The record holds {position:,} events, and there is no master key at {settings.master_key}: without it "
                "nobody can read them. Put back the copy that you kept (docs/backup.md)."
            )
    finally:
        await db.close()
    make_master(settings.master_key)


def _say(sentence: str) -> None:
    print(sentence, flush=True)
