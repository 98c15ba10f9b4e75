"""`hansard up`: the whole system on one machine. Embedded servers, then a gateway (which does the projector's work, too, unless it is
told not to, or there are several), a worker and a notary.

On SIGTERM or Ctrl-C the gateway ends first, then the others, then the servers; even `kill -9` of this process leaves none
of them running (`runtime/embedded/children.py`). What it does itself needs little: the database is prepared by a process that
ends (`runtime/operators/preparing.py`), so this one, which stays, has loaded no driver of it.
"""

import argparse
import asyncio
import signal
import sys

from gateway.server.listening import listen
from gateway.server.tls import server_context
from runtime.command import Command
from runtime.embedded.children import tied_to_parent
from runtime.embedded.servers import Embedded
from runtime.loops import stop_signal
from runtime.operators.supervisor import Supervisor, say
from runtime.settings import Settings, address
from runtime.startup_checks import guard, guard_gateway


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Run everything until told to stop. Return the exit code."""
    if asked.prepare:
        from runtime.operators.preparing import prepare  # which the process that stays does without

        await prepare(settings)
        return 0
    stop = stop_signal()
    guard(settings)
    guard_gateway(settings)
    if settings.has_tls:
        server_context(settings.tls_certificate, settings.tls_key)
    embedded = Embedded(settings.home, postgres=not settings.database_url, redis=not settings.redis_url)
    embedded.hold()
    listen(settings.host, settings.port).close()
    if not settings.database_url and not (settings.home / "postgres" / "PG_VERSION").exists():
        say("Preparing the database …")
    await asyncio.to_thread(embedded.start)
    try:
        code = await _prepared()
        if stop.is_set():  # whoever told us so may have told that process, too, and ended it
            return 0
        if code:
            return max(code, 1)  # it is negative after a signal
        return await Supervisor(settings, embedded, stop, welcome=welcome(settings)).run()
    finally:
        await asyncio.to_thread(embedded.stop)


async def _prepared() -> int:
    """Have the database prepared by a process of its own; return its exit code. It has said what is wrong."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runtime.cli", "up", "--prepare"),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=tied_to_parent(signal.SIGTERM),
    )
    return await process.wait()


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


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)


COMMAND = Command(run, _describe)
