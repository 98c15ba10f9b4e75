"""`hansard up`: the whole system on one machine. Embedded servers, then a gateway, a projector, a worker and a notary.

On SIGTERM or Ctrl-C the gateway ends first, then the others, then the servers; even `kill -9` of this process leaves none
of them running (`runtime/embedded/children.py`).
"""

import argparse
import asyncio

from adapters.postgres.database import Database
from adapters.postgres.master_key import load_master
from adapters.postgres.master_key_check import require_right
from gateway.server.listening import listen
from gateway.server.tls import server_context
from runtime.command import Command
from runtime.embedded.location import Servers
from runtime.embedded.servers import Embedded
from runtime.loops import stop_signal
from runtime.master_key import MasterKeyLostError, make_master
from runtime.migrate import create_database, migrate
from runtime.operators.supervisor import Supervisor, say
from runtime.settings import Settings, address
from runtime.startup_checks import guard, guard_gateway

SELECT_POSITION = "SELECT position FROM record.head"


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Run everything until told to stop. Return the exit code."""
    stop = stop_signal()
    guard(settings)
    guard_gateway(settings)
    if settings.has_tls:
        server_context(settings.tls_certificate, settings.tls_key)
    embedded = Embedded(settings.home, postgres=not settings.database_url, redis=not settings.redis_url)
    embedded.hold()
    listen(settings.host, settings.port).close()
    if settings.database_url:
        load_master(settings.master_key, create=False)
    elif not (settings.home / "postgres" / "PG_VERSION").exists():
        say("Preparing the database …")
    await asyncio.to_thread(embedded.start)
    try:
        if settings.database_url:
            await migrate(settings.migration_url or settings.database_url, say=say, logins=settings.login_passwords)
        else:
            await _prepare(settings, embedded.servers)
        return await Supervisor(settings, embedded, stop, welcome=welcome(settings)).run()
    finally:
        await asyncio.to_thread(embedded.stop)


async def _prepare(settings: Settings, servers: Servers) -> None:
    """Bring the embedded database to this version, make its log-ins, and the master key of a record that is empty."""
    await create_database(servers.database_url)
    await migrate(servers.database_url, say=say, logins=servers.logins())
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


def welcome(settings: Settings) -> str:
    """Return what a newcomer reads: the address, and three lines to type."""
    base = address(settings)
    api = f"{base}/api/v1"
    person = '{"email":"ada@example.com","username":"ada","password":"correct horse battery"}'
    login = '{"email":"ada@example.com","password":"correct horse battery"}'
    field = "python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])'"
    json_body = "-H 'Content-Type: application/json'"
    return f"""
Hansard is running at {base} (data in {settings.home}): open it in a browser. Ctrl-C stops it.

Try, in another terminal:

  curl -s {api}/auth/register {json_body} -d '{person}'
  TOKEN=$(curl -s {api}/auth/login {json_body} -d '{login}' | {field} access_token)
  ROOM=$(curl -s {api}/rooms -H "Authorization: Bearer $TOKEN" {json_body} -d '{{"name":"Lobby"}}' | {field} id); curl -s {api}/rooms/$ROOM/messages -H "Authorization: Bearer $TOKEN" {json_body} -d '{{"content":"Hello"}}'

The API: {base}/schema
"""


COMMAND = Command(run)
