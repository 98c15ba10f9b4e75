"""`hansard export`: have a package made, wait for it, and fetch it, over the API of any server, as somebody with a role for it."""

import argparse
import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from hansard_client import Client, Export

from runtime.command import Command, MisusedError
from runtime.operators.talk import describe_who, logged_in, password_of, server_of, tell
from runtime.settings import Settings

FORMATS = ("jsonl", "csv", "eml", "slack", "rsmf")
LOOK_SECONDS = 1.0


async def export(url: str, email: str, password: str, asked: argparse.Namespace) -> int:
    """Ask for an export, say how far it is until it has ended, and write the package. Return 1 if there is none."""
    async with logged_in(url, email, password) as client:
        made = await client.request_export(
            asked.formats, reason=asked.reason, since=asked.since, before=asked.before, rooms=asked.rooms, actors=asked.actors,
            recipient=None if asked.recipient is None else recipient_of(asked.recipient),
        )  # fmt: skip
        tell(f"Export {made.id} is asked for; Ctrl-C leaves it to the server, and the API gives it out later.")
        made = await ended(client, made, asked.reason)
        if made.status != "completed":
            tell(f"It is {made.status}{f': {made.error}' if made.error else ''}.")
            return 1
        await client.download_export(made.id, asked.target, reason=asked.reason)
    print(f"{asked.target}: {made.messages} messages, {made.size} bytes, SHA-256 {made.sha256}")
    return 0


async def ended(client: Client, made: Export, reason: str) -> Export:
    """Wait until an export has ended; say it when it is further."""
    said = ""
    while not made.has_ended:
        now = f"{made.status}, {made.progress:.0%}, {made.messages} messages"
        if now != said:
            tell(now)
            said = now
        await asyncio.sleep(LOOK_SECONDS)
        made = await client.export(made.id, reason=reason)
    return made


def recipient_of(given: str) -> str:
    """Return a public key that is given itself, or by the file that it is in."""
    return Path(given[1:]).read_text() if given.startswith("@") else given


def _run(settings: Settings, asked: argparse.Namespace) -> Coroutine[Any, Any, int]:
    if asked.target.exists():
        raise MisusedError(f"{asked.target} exists already.")
    return export(server_of(settings, asked), asked.email, password_of(settings, asked.email), asked)


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="PACKAGE", type=Path, help="the file to write")
    parser.add_argument("--reason", required=True, help="why; it is recorded")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=["jsonl"], help="jsonl if nothing is said")
    parser.add_argument("--from", dest="since", type=_time, metavar="TIME", help="what was recorded from then on")
    parser.add_argument("--to", dest="before", type=_time, metavar="TIME", help="what was recorded before then")
    parser.add_argument("--rooms", nargs="+", type=UUID, default=[], metavar="ID", help="only these rooms")
    parser.add_argument(
        "--actors", nargs="+", type=UUID, default=[], metavar="ID", help="only what these people are part of"
    )
    parser.add_argument(
        "--recipient", help="a public key (age1…) that alone can open it, or @FILE with one (age, OpenPGP)"
    )
    describe_who(parser)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-11-27T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


COMMAND = Command(_run, _describe)
