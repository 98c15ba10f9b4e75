"""Talking from the command line: `hansard say` and `hansard listen`, as any client does, over the API of any server."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from hansard_client import Client, Event, HansardError, Room

from domain.errors import ReadableError
from runtime.command import Command
from runtime.settings import Settings, address

PATIENCE_SECONDS = 5.0  # of a person at a terminal; what was lost later is come back to without an end


class CannotTalkError(ReadableError):
    """Why it cannot; the sentence says what to do."""


def password_of(settings: Settings, email: str) -> str:
    """Return the password: the setting, or what the person at the terminal answers."""
    if settings.password:
        return settings.password
    if not sys.stdin.isatty():
        raise CannotTalkError("There is nobody to ask for the password: set HANSARD_PASSWORD.")
    return getpass.getpass(f"Password of {email}: ")


async def say(url: str, email: str, password: str, room: str, text: str) -> int:
    """Post a message, and print its position: it is then on the server's disk."""
    async with logged_in(url, email, password) as client:
        message = await client.send((await _room(client, room)).id, text)
    print(message.position)
    return 0


async def listen(url: str, email: str, password: str, room: str, *, after: int | None, as_json: bool) -> int:
    """Print a room's events until interrupted; then print on standard error from where to go on."""
    async with logged_in(url, email, password) as client, client.chat() as chat:
        found = await _room(client, room)
        feed = await chat.subscribe(found.id, after=after)
        tell(f"Listening to {visible(found.name)}; Ctrl-C ends it.")
        names: dict[str, str] = {}
        try:
            async for event in feed:
                print(_line_of_json(event) if as_json else await _line(event, client, names), flush=True)
        except BrokenPipeError:  # whoever read this has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        finally:
            tell(f"To go on from here: --after {feed.position}")
    raise CannotTalkError(f"You are no longer in {visible(found.name)}: {feed.reason}.")


def tell(sentence: str) -> None:
    """Print a sentence for the person on standard error; standard output is for programs."""
    print(sentence, file=sys.stderr, flush=True)


def visible(text: str) -> str:
    """Return somebody's text as a terminal may show it: control characters are replaced, further lines are indented."""
    return "".join(c if c.isprintable() else "\n    " if c == "\n" else " " if c == "\t" else "�" for c in text)


@asynccontextmanager
async def logged_in(url: str, email: str, password: str) -> AsyncIterator[Client]:
    """Log in as this person. Raise the errors of the client library as `CannotTalkError`."""
    try:
        async with Client(url, patience_seconds=PATIENCE_SECONDS) as client:
            await client.login(email, password)
            try:
                yield client
            finally:
                with suppress(HansardError):  # then the session ends by itself, in seven days
                    await client.logout()
    except HansardError as error:
        raise CannotTalkError(str(error)) from error


async def _room(client: Client, name: str) -> Room:
    """Return the room of this id, or the one of this name that the caller is in."""
    with suppress(ValueError):
        return await client.room(UUID(name))
    found = [room async for room in client.rooms(q=name, joined=True) if room.name == name]
    if not found:
        raise CannotTalkError(f"You are in no room named {name}: join it first, or give its id.")
    if len(found) > 1:
        raise CannotTalkError(f"Several rooms are named {name}; give an id: {', '.join(room.id for room in found)}.")
    return found[0]


def _line_of_json(event: Event) -> str:
    said = {
        "event": event.kind, "position": event.position, "prev": event.prev, "room_id": event.room_id,
        "at": event.at.isoformat(), "actor_id": event.actor_id, "data": event.data,
    }  # fmt: skip
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


async def _line(event: Event, client: Client, names: dict[str, str]) -> str:
    who = await _name(event.actor_id, client, names)
    message = event.message
    if message is None:
        whom = await _name(event.data.get("user_id"), client, names)
        return f"[{event.position}] {who}: {visible(event.kind)} {whom}".rstrip()
    text = "(deleted)" if message.deleted else visible(message.content)
    match event.kind:
        case "message.posted":
            return f"[{event.position}] {who}: {text}"
        case "message.deleted":
            return f"[{event.position}] {who} deleted [{message.position}]"
    return f"[{event.position}] {who} {visible(event.kind.removeprefix('message.'))} [{message.position}]: {text}"


async def _name(user_id: Any, client: Client, names: dict[str, str]) -> str:
    """Return somebody's name, looked up once; their id if there is none."""
    if not isinstance(user_id, str):
        return ""
    if user_id not in names:
        names[user_id] = user_id
        with suppress(HansardError):
            names[user_id] = visible((await client.user(user_id)).username)
    return names[user_id]


def _run_say(settings: Settings, asked: argparse.Namespace) -> Coroutine[Any, Any, int]:
    # The password is asked for before there is a loop, so that Ctrl-C answers too.
    return say(server_of(settings, asked), asked.email, password_of(settings, asked.email), asked.room, asked.text)


def _run_listen(settings: Settings, asked: argparse.Namespace) -> Coroutine[Any, Any, int]:
    who = server_of(settings, asked), asked.email, password_of(settings, asked.email)
    return listen(*who, asked.room, after=asked.after, as_json=asked.json)


def server_of(settings: Settings, asked: argparse.Namespace) -> str:
    return str(asked.url or address(settings))


def _describe_say(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("room", metavar="ROOM", help="its id, or its name")
    parser.add_argument("text", metavar="TEXT", help="what to say")
    describe_who(parser)


def _describe_listen(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("room", metavar="ROOM", help="its id, or its name")
    parser.add_argument("--after", type=_position, metavar="N", help="everything after this position; else from now on")
    parser.add_argument("--json", action="store_true", help="print JSON, an event a line")
    describe_who(parser)


def describe_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--email", required=True, help="who it is; the password is asked for, or HANSARD_PASSWORD")
    parser.add_argument("--url", type=_url, help="the server's address; else that of HANSARD_HOST and HANSARD_PORT")


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise argparse.ArgumentTypeError(f"{text!r} is no address like https://chat.example.com")
    return text


def _position(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no position: a whole number, from 0")
    return int(text)


SAY = Command(_run_say, _describe_say)
LISTEN = Command(_run_listen, _describe_listen)
