"""The command line: `hansard COMMAND`. Exit codes: 0 done, 1 it cannot (one sentence says why), 2 misused.

`explain` answers with its own: 0 allowed, 1 refused, 2 not judged. A process that a supervisor starts (gateway, projector,
worker) ends with 78 for what will not go away by itself: whoever starts it again and again should not.
"""

import argparse
import gc
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

from domain.account import ACCOUNT_ROLES
from domain.errors import SetupError
from projections import PROJECTIONS
from runtime.arguments import describe_explain, describe_talk
from runtime.env_file import env_file
from runtime.roles import GROUP_OF
from runtime.settings import SettingRefused, Settings, address, read

MISUSED = 2
EX_CONFIG = 78  # of sysexits.h; systemd: RestartPreventExitStatus=78
SUPERVISED = ("gateway", "projector", "worker")
Command = Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, int]]


def main(arguments: Sequence[str] | None = None) -> None:
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code."""
    asked = parser().parse_args(arguments)
    try:
        settings = read({**env_file(Path(".env")), **os.environ})
    except SettingRefused as error:
        return _fail(str(error), asked.lasting or asked.failure)
    import uvloop

    with leaving_out("rich"):  # which structlog would load to colour what we never print: a tenth of a start
        import structlog as _  # noqa: F401
    from runtime.descriptors import raise_limit
    from runtime.logs import configure_logs

    configure_logs(settings)
    raise_limit()
    spare_the_collector()
    try:
        return int(uvloop.run(asked.command(settings, asked)))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from runtime.sentences import sentence_of

        sentence = sentence_of(error, settings, migrates=asked.command is _migrate)
        if settings.log_level == "debug" or sentence is None:
            raise
        lasts = asked.lasting and isinstance(error, SetupError)
        return _fail(sentence, asked.lasting if lasts else asked.failure)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="hansard",
        description="Team chat in which every change is an event on a provable record.",
        epilog="Settings are HANSARD_… variables of the environment, or of a file .env here; .env.example lists them.",
    )
    top.add_argument("--version", action="version", version=f"hansard {version('hansard')}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Command, sentence: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=sentence, description=sentence)
        made.set_defaults(command=command, failure=1, lasting=EX_CONFIG if name in SUPERVISED else 0)
        return made

    add("up", _up, "Run everything on this machine: embedded servers, gateway, projector and worker.")
    add("gateway", _gateway, "Serve HTTP and WebSockets on HANSARD_HOST:HANSARD_PORT; any number may run.")
    add("projector", _projector, "Keep the read tables up to the record and tell frames; further ones stand by.")
    add("worker", _worker, "Do what is slower than a frame: scan and process files, render HTML, sweep.")
    add("migrate", _migrate, "Bring the database to this version.")
    place = add("url", _url_of, "Print the address of the embedded Postgres, password and all, for psql and pg_dump.")
    place.add_argument("login", nargs="?", choices=("owner", *GROUP_OF), default="operator", help="as whom")
    rebuilding = add("rebuild", _rebuild, "Rebuild read tables from the record while everything serves, and compare.")
    which = rebuilding.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", choices=sorted(PROJECTIONS), help="the group of tables")
    which.add_argument("--all", action="store_true", help="all groups, one after the other")
    rebuilding.add_argument("--shadow", action="store_true", help="only compare and report, swap nothing")
    for name, sentence in (("grant", "Give an account a role."), ("revoke", "Take a role from an account.")):
        made = add(name, _grant if name == "grant" else _revoke, sentence)
        made.add_argument("email")
        made.add_argument("role", choices=ACCOUNT_ROLES)
    account = add("account", _account, "Deactivate an account, or activate it again.")
    account.add_argument("action", choices=("deactivate", "activate"))
    account.add_argument("email")
    keys = add("keys", _keys, "List the keys that sign access tokens, make or retire one; or make the master key.")
    keys.add_argument("action", choices=("list", "rotate", "retire", "master"))
    keys.add_argument("kid", nargs="?", help="with retire: the key that is no secret any more; with master: new")
    keys.add_argument("--now", action="store_true", help="with rotate: sign with it as soon as all processes know it")
    clock = add("clock", _clock, "Say what the clocks say that times are taken from, or accept the database's.")
    clock.add_argument("action", nargs="?", choices=("show", "accept"), default="show")
    describe_explain(
        add("explain", _explain, "Say whether somebody may do something, by which rule, and since which fact.")
    )
    tasks = add("tasks", _tasks, "List what is queued for files and what failed, or have one file tried again.")
    tasks.add_argument("action", nargs="?", choices=("list", "retry"), default="list")
    tasks.add_argument("file", nargs="?", type=UUID, help="the id of the file to try again")
    saying = add("say", _say, "Post a message as a member of a room; prints its position.")
    listening = add("listen", _listen, "Print what happens in a room, whatever becomes of the connection.")
    describe_talk(saying, listening)
    add("doctor", _doctor, "Say what is set up, what answers, and what to mend.")
    return top


@contextmanager
def leaving_out(name: str) -> Iterator[None]:
    """Have an optional module seem not to be installed, for what is imported meanwhile."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # an import then raises ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules[name]


def spare_the_collector() -> None:
    """Have Python look for reference cycles less often: batches make many objects and no cycles (a third of a rebuild)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _up(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.operators.up import up

    return await up(settings)


async def _gateway(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.composition import run_gateway

    return await run_gateway(settings)


async def _projector(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.composition import run_projector

    return await run_projector(settings)


async def _worker(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.composition import run_worker

    return await run_worker(settings)


async def _migrate(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.composition import embedded, owners_url
    from runtime.migrate import migrate

    embedded_logins = {} if settings.migration_url or settings.database_url else embedded(settings).logins()
    applied = await migrate(owners_url(settings), say=print, logins=settings.login_passwords or embedded_logins)
    print(f"{applied} migrations were applied." if applied else "The database is up to date.")
    return 0


async def _url_of(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.composition import embedded

    servers = embedded(settings)
    print(servers.database_url if asked.login == "owner" else servers.login_url(asked.login))
    return 0


async def _rebuild(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.composition import rebuild

    return await rebuild(settings, None if asked.all else [asked.name], shadow_only=asked.shadow)


async def _grant(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.composition import grant

    return await grant(settings, asked.email, asked.role)


async def _revoke(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.composition import revoke

    return await revoke(settings, asked.email, asked.role)


async def _account(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.composition import set_active

    return await set_active(settings, asked.email, active=asked.action == "activate")


async def _keys(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.operators.keys import every, new_master, retire, rotate

    if asked.action == "master":
        if asked.kid != "new":
            return _fail("Make the master key with 'hansard keys master new'.", MISUSED)
        return await new_master(settings)
    if (asked.action == "retire") != (asked.kid is not None):
        return _fail("Name the key with 'hansard keys retire KID', and with nothing else.", MISUSED)
    match asked.action:
        case "rotate":
            return await rotate(settings, at_once=asked.now)
        case "retire":
            return await retire(settings, asked.kid)
    return await every(settings)


async def _clock(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.operators.clock import accept, show

    return await (accept(settings) if asked.action == "accept" else show(settings))


async def _explain(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.operators.explain import explain

    return await explain(settings, asked.user, asked.operation, asked.target, asked.whom)


async def _tasks(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.operators.tasks import list_tasks, retry_task

    if asked.action == "list":
        return await list_tasks(settings)
    if asked.file is None:
        return _fail("Say which file: hansard tasks retry FILE_ID", MISUSED)
    return await retry_task(settings, asked.file)


def _say(settings: Settings, asked: argparse.Namespace) -> Coroutine[Any, Any, int]:
    from runtime.operators.talk import password_of, say

    # The password is asked for before there is a loop, so that Ctrl-C answers too.
    return say(_server(settings, asked), asked.email, password_of(settings, asked.email), asked.room, asked.text)


def _listen(settings: Settings, asked: argparse.Namespace) -> Coroutine[Any, Any, int]:
    from runtime.operators.talk import listen, password_of

    who = _server(settings, asked), asked.email, password_of(settings, asked.email)
    return listen(*who, asked.room, after=asked.after, as_json=asked.json)


def _server(settings: Settings, asked: argparse.Namespace) -> str:
    return str(asked.url or address(settings))


async def _doctor(settings: Settings, asked: argparse.Namespace) -> int:
    from runtime.operators.doctor import doctor

    return await doctor(settings)


def _fail(sentence: str, code: int = 1) -> int:
    print(f"hansard: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
