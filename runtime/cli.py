"""The command line: `hansard COMMAND`. Exit codes: 0 done, 1 it cannot (one sentence says why), 2 misused.

`explain` and `verify` have their own: 0 allowed, or whole; 1 refused, or altered; 2 not judged. A process that a supervisor
starts (gateway, projector, worker, notary) ends with 78 if the next start would fail for the same reason: whoever starts it
again and again should not.

Every command declares itself in a module of its own (`runtime/command.py`), which is imported when it is asked for: a
gateway's modules take more than a second of processor time to load, `hansard --help` 0.15 s. argparse stays: it is loaded
in 10 ms where click takes 37.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from domain.errors import SetupError
from runtime.command import EX_CONFIG, MISUSED, Command, MisusedError
from runtime.env_file import env_file
from runtime.settings import SettingRefusedError, Settings
from runtime.settings_reader import read
from runtime.start import UNLIKELY, UNUSED, give_back_memory, leaving_out, load_late, spare_the_collector


class Entry(NamedTuple):
    """A line of the table: where the command is declared, what it does, and how it ends when it fails."""

    where: str
    sentence: str
    failure: int = 1
    lasting: int = 0  # the exit code of a failure that will last; 0: as any other


def _process(where: str, sentence: str) -> Entry:
    return Entry(f"runtime.processes.{where}:COMMAND", sentence, lasting=EX_CONFIG)


def _operator(where: str, sentence: str, *, failure: int = 1) -> Entry:
    return Entry(f"runtime.operators.{where}", sentence, failure)


COMMANDS = {
    "up": _operator(
        "up:COMMAND", "Run everything on this machine: embedded servers, gateway, projector, worker and notary."
    ),
    "gateway": _process("gateway", "Serve HTTP and WebSockets on HANSARD_HOST:HANSARD_PORT; any number may run."),
    "projector": _process(
        "projector", "Keep the read tables up to the record and publish frames; further ones stand by."
    ),
    "worker": _process(
        "worker", "Do what is slower than a frame: scan and process files, render HTML, notify people, sweep."
    ),
    "notifier": _process("notifier", "Keep inboxes and tell people what concerns them; a worker does that, too."),
    "notary": _process("notary", "Sign checkpoints of the record, so that nobody can alter it unseen; one runs."),
    "witness": _process("witness", "Cosign the checkpoints of other people's records; it needs no database."),
    "migrate": _operator("migrating:MIGRATE", "Bring the database to this version."),
    "url": _operator(
        "migrating:URL", "Print the address of the embedded Postgres, password and all, for psql and pg_dump."
    ),
    "verify": _operator(
        "verify:COMMAND", "Hash every event again, and say whether the record is the one that was signed.", failure=2
    ),
    "package": _operator("package:COMMAND", "Write the record into a file that anybody verifies without this server."),
    "prove": _operator("prove:COMMAND", "Write a receipt for a message, or an event, that is verified offline."),
    "rebuild": _operator(
        "rebuild:COMMAND", "Rebuild read tables from the record while everything serves, and compare."
    ),
    "projections": _operator(
        "projections:COMMAND", "Say how the read tables do: version, position, lag, owner, and what is rebuilt."
    ),
    "record": _operator(
        "record:COMMAND", "Say what the record holds: its topics, with count, first and last position."
    ),
    "backup": _operator(
        "backup:COMMAND", "Back up the record, its keys apart, and the files, while everything serves."
    ),
    "restore": _operator(
        "restore:COMMAND", "Restore a backup into an empty database or home, checked before it serves."
    ),
    "parked": _operator("parked:COMMAND", "List events that read tables go without, or have them taken after all."),
    "bench": _operator("bench:COMMAND", "Write a believable history on an empty record, of any size, by a seed."),
    "grant": _operator("accounts:GRANT", "Give an account a role."),
    "revoke": _operator("accounts:REVOKE", "Take a role from an account."),
    "account": _operator("accounts:ACTIVATION", "Deactivate an account, activate it again, or have somebody erased."),
    "keys": _operator(
        "keys:COMMAND",
        "List, make or retire keys that sign access tokens; make or replace the master key and wrapping keys.",
    ),
    "audit": _operator("audit:COMMAND", "Forward the audit trail to syslog, CEF, OCSF or a signed webhook."),
    "clock": _operator("clock:COMMAND", "Say what the clocks say that times are taken from, or accept the database's."),
    "explain": _operator(
        "explain:COMMAND",
        "Say whether somebody may do something, by which rule, and since which fact.",
        failure=2,
    ),
    "notifications": _operator(
        "notifications:COMMAND", "Say what people are to be told outside the chat, and which notices were given up."
    ),
    "tasks": _operator("tasks:COMMAND", "List what is queued for files and what failed, or have one file tried again."),
    "say": _operator("talk:SAY", "Post a message as a member of a room; prints its position."),
    "listen": _operator("talk:LISTEN", "Print what happens in a room, whatever becomes of the connection."),
    "export": _operator(
        "exporting:COMMAND", "Have an export made, and fetch its package, as an auditor does over the API."
    ),
    "doctor": _operator("doctor:COMMAND", "Say what is set up, what answers, and what to mend."),
}


def main(arguments: Sequence[str] | None = None) -> None:
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Return the exit code."""
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return 130


def _run(typed: Sequence[str]) -> int:
    asked = parser(typed).parse_args(typed)
    entry = COMMANDS[asked.command]
    try:
        settings = read({**env_file(Path(".env")), **os.environ})
    except SettingRefusedError as error:
        return _fail(str(error), entry.lasting or entry.failure)
    import uvloop

    from runtime.descriptors import raise_limit

    with leaving_out(*UNUSED):
        from runtime.logs import configure_logs

    configure_logs(settings)
    raise_limit()
    asked_for = command(asked.command)
    spare_the_collector()
    give_back_memory()
    try:
        return int(uvloop.run(asked_for.run(settings, asked)))
    except MisusedError as error:
        return _fail(str(error), MISUSED)
    except Exception as error:
        return _failed(error, settings, asked.command)


def command(name: str) -> Command:
    """Import the module of a command; return what it declares."""
    module, _, attribute = COMMANDS[name].where.partition(":")
    load_late(*UNLIKELY)
    with leaving_out(*UNUSED):
        found: Command = getattr(import_module(module), attribute)
    return found


def parser(typed: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of all commands. Only that which is typed describes its arguments."""
    top = argparse.ArgumentParser(
        prog="hansard",
        description="Team chat in which every change is an event on a provable record.",
        epilog="Settings are HANSARD_… variables of the environment, or of a file .env here; .env.example lists them.",
    )
    top.add_argument("--version", action="version", version=_version() if "--version" in typed else "")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name, entry in COMMANDS.items():
        made = commands.add_parser(name, help=entry.sentence, description=entry.sentence)
        if name in typed[:1]:
            command(name).describe(made)
    return top


def _version() -> str:
    from importlib.metadata import version  # 5 MB, which the processes can do without

    return f"hansard {version('hansard')}"


def _failed(error: Exception, settings: Settings, name: str) -> int:
    """Say why a command failed. Return the exit code. Raise the error if it is a fault of ours, or if all is logged."""
    from runtime.sentences import sentence_of

    sentence = sentence_of(error, settings, migrates=name == "migrate")
    if settings.log_level == "debug" or sentence is None:
        raise error
    entry = COMMANDS[name]
    return _fail(sentence, (isinstance(error, SetupError) and entry.lasting) or entry.failure)


def _fail(sentence: str, code: int) -> int:
    print(f"hansard: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
