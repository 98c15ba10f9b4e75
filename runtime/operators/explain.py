"""`hansard explain`: what somebody is to something, since which event, and what the table of rights says to that.

It reads the record, and the read tables for who may see a file, and writes nothing. Exit code 0: allowed, 1: refused, 2:
nothing was judged, because something of this name is not there.
"""

import argparse
import textwrap
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal, get_args

from domain import authorization, rights
from domain.account import Account
from domain.file import FILE
from domain.message import MESSAGE
from domain.rights import OPERATIONS, MemberOperation, PersonalOperation, RoomOperation
from domain.room import ROOM, Room
from domain.session import SESSION
from gateway.app import surface
from gateway.spec.rights_page import reached_by, refusal_of
from runtime.command import Command
from runtime.composition.process_context import ProcessContext, process_context
from runtime.operators.explaining.answer import Answer
from runtime.operators.explaining.files import SEEING_A_FILE, of_file
from runtime.operators.explaining.rooms import OF_A_MESSAGE, in_room, of_member, of_message
from runtime.operators.explaining.streams import NotJudgedError, Read, found, name_of, person, since_event
from runtime.settings import Settings

# What nobody asks of another's account: no request names one.
OWN_ONLY = frozenset({"password.change", "profile.change", "profile.read", "session.close", "session.list"})
OF_ANY_MESSAGE = frozenset(
    {
        "message.pin",
        "message.read",
        "message.unpin",
        "message.versions",
        "reaction.add",
        "reaction.list",
        "reaction.remove",
        "thread.follow",
        "thread.list",
        "thread.mark_read",
        "thread.unfollow",
    }
)
IN_A_ROOM: Mapping[str, RoomOperation] = {each: each for each in get_args(RoomOperation)}
OF_A_MEMBER: Mapping[str, MemberOperation] = {each: each for each in get_args(MemberOperation)}


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    return await explain(settings, asked.user, asked.operation, asked.target, asked.whom)


async def explain(settings: Settings, user: str, operation: str, target: str | None, whom: str | None) -> int:
    """Print why somebody may or may not do something. Return the exit code."""
    async with process_context(settings) as base:
        answer = Answer()
        account = await person(base, user)
        answer.say("who", name_of(account.known))
        _as_whom(answer, account, operation, must_verify=settings.verify_email == "required")
        if answer.verdict is None:
            await _of_target(base, answer, account.known, operation, target, whom)
    answer.say("asked by", ", ".join(reached_by(operation, surface())))
    if answer.verdict is None:
        answer.say("verdict", "allowed")
        return 0
    code, status, sentence = refusal_of(answer.verdict)
    answer.say("verdict", f"refused: {code} (HTTP {status}): {sentence}")
    return 1


def _as_whom(answer: Answer, account: Read[Account], operation: str, *, must_verify: bool) -> None:
    state, row = account.known, _row_of(operation)
    if not state.is_active:
        recorded = account.since(lambda each: not each.is_active)
        answer.say("is", f"deactivated, so every session has ended; {since_event(recorded)}")
        answer.row("as whom one comes", row, "deactivated", authorization.as_whom(operation, "deactivated"))
        return
    if must_verify and not state.is_verified and authorization.as_whom(operation, "unverified") is not None:
        answer.say("is", f"not verified; {since_event(account.events[0])}")
        answer.row("as whom one comes", row, "unverified", authorization.as_whom(operation, "unverified"))
        return
    roles = [role for role in sorted(state.roles) if authorization.as_whom(operation, role) is None]
    if authorization.as_whom(operation, "person") is None or not roles:
        answer.row("as whom one comes", row, "person", authorization.as_whom(operation, "person"))
        return
    answer.say("is", f"{roles[0]}; {since_event(account.since(lambda each: roles[0] in each.roles))}")
    answer.row("as whom one comes", row, roles[0], None)


async def _of_target(
    base: ProcessContext, answer: Answer, who: Account, operation: str, target: str | None, whom: str | None
) -> None:
    if operation in get_args(PersonalOperation):
        await _personal(base, answer, who, operation, target)
        return
    if target is None:
        raise NotJudgedError(f"{operation} is asked of something: name the {_wanted(operation)}.")
    match _wanted(operation):
        case "file":
            await of_file(base, answer, who, operation, await found(base, FILE, target, "file"))
        case "message":
            await of_message(base, answer, who, IN_A_ROOM[operation], await found(base, MESSAGE, target, "message"))
        case "room":
            room: Read[Room] = await found(base, ROOM, target, "room")
            relationship = await in_room(base, answer, who, IN_A_ROOM[operation], room)
            if answer.verdict is None and operation in OF_A_MEMBER:
                await of_member(base, answer, who, OF_A_MEMBER[operation], relationship, room.known, whom)


async def _personal(base: ProcessContext, answer: Answer, who: Account, operation: str, target: str | None) -> None:
    if operation == "session.end":
        session = await found(base, SESSION, target or "", "session")
        is_own = session.known.user_id == who.user_id
        answer.say("is", f"{'its owner' if is_own else 'not its owner'}; {since_event(session.events[0])}")
        verdict = authorization.of_session("session.end", is_own=is_own)
        answer.row("whose session it is", operation, "own" if is_own else "others", verdict)
    elif target is not None:
        other = await person(base, target)
        if operation in OWN_ONLY and other.known.user_id != who.user_id:
            raise NotJudgedError(f"{operation} is only ever asked of oneself: no request names another person.")
        answer.say("target", name_of(other.known))


def _row_of(operation: str) -> str:
    return operation if any(row.operation == operation for row in rights.AS_WHOM) else rights.EVERY_OTHER


def _wanted(operation: str) -> Literal["file", "message", "room"]:
    if operation in SEEING_A_FILE or operation == "file.share":
        return "file"
    return "message" if operation in OF_A_MESSAGE or operation in OF_ANY_MESSAGE else "room"


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _operations()
    parser.add_argument("user", metavar="USER", help="who: an id, a name or an e-mail")
    parser.add_argument("operation", metavar="OPERATION", type=_operation, help="what: one of those listed below")
    parser.add_argument(
        "target", metavar="TARGET", nargs="?", help="the id of the room, message, file, session or user it is asked of"
    )
    parser.add_argument("--whom", metavar="USER", help="with member.…: of whom it is asked")


def _operation(text: str) -> str:
    if text not in OPERATIONS:
        near = get_close_matches(text, OPERATIONS, n=1)
        hint = f"did you mean {near[0]}?" if near else "'hansard explain --help' lists them"
        raise argparse.ArgumentTypeError(f"{text!r} is no operation: {hint}")
    return text


def _operations() -> str:
    listed = textwrap.fill(", ".join(OPERATIONS), width=78, break_on_hyphens=False)
    return (
        f"operations:\n{listed}\n\ndocs/rights.md says which request is which, and who may what.\n"
        "exit codes: 0 allowed, 1 refused, 2 not judged (no such person, room, message or file)"
    )


COMMAND = Command(run, _describe)
