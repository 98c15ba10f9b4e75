"""`hansard explain`: what somebody is to something, since which fact, and what the table of rights says to that.

It reads the record, and for who may see a file the read tables, and writes nothing. Exit code 0: allowed, 1: refused, 2:
nothing was judged, because something of this name is not there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_args
from uuid import UUID

from domain import rights
from domain.account import ACCOUNT, Account
from domain.bounds import PAGE_ITEMS_MAX
from domain.errors import ReadableError
from domain.events import Recorded, Stream, UnknownEvent, UnreadableEvent
from domain.file import FILE, File
from domain.ids import FileId, StreamId, UserId
from domain.membership import MEMBERSHIP, Membership, relation_of
from domain.message import MESSAGE, Message
from domain.ports import ClaimKind
from domain.rights import (
    FileRelation,
    MemberOperation,
    MemberTarget,
    MessageOperation,
    PersonalOperation,
    Relation,
    RoomOperation,
    SeeingFile,
    Verdict,
)
from domain.room import ROOM, Room
from domain.session import SESSION
from domain.text import fold, fold_email
from gateway.app import surface
from gateway.spec.rights_page import reached_by, refusal_of
from projections import files
from runtime.composition import Ground, ground
from runtime.settings import Settings

State = TypeVar("State")
# What nobody asks of another's account: no request names one.
OWN_ONLY = frozenset({"password.change", "profile.change", "profile.read", "session.close", "session.list"})
READING_A_MESSAGE = frozenset({"message.read", "message.versions"})
IN_A_ROOM: Mapping[str, RoomOperation] = {each: each for each in get_args(RoomOperation)}
OF_A_MESSAGE: Mapping[str, MessageOperation] = {each: each for each in get_args(MessageOperation)}
OF_A_MEMBER: Mapping[str, MemberOperation] = {each: each for each in get_args(MemberOperation)}
SEEING_A_FILE: Mapping[str, SeeingFile] = {each: each for each in get_args(SeeingFile)}
CLAIMS: tuple[ClaimKind, ...] = ("email", "username")


class NotJudged(ReadableError):
    """Something that was named is not there, or not what this operation is asked of."""


class Read(NamedTuple, Generic[State]):
    """A stream from the record: its state, and the facts that made it."""

    stream: Stream[Any]
    state: State | None
    facts: Sequence[Recorded[Any]]

    @property
    def known(self) -> State:
        """The state, where it is known that something of this name is there."""
        assert self.state is not None, "what is not there was refused before"
        return self.state

    def since(self, holds: Callable[[State], bool]) -> Recorded[Any] | None:
        """Return the fact from which on this has held; None where it never began to."""
        state, began = None, None
        for fact in self.facts:
            state = _evolved(self.stream, state, fact)
            if state is None or not holds(state):
                began = None
            elif began is None:
                began = fact
        return began


class Answer:
    """The lines of an explanation, and its verdict."""

    def __init__(self) -> None:
        self.verdict: Verdict = None

    def say(self, label: str, text: str) -> None:
        print(f"{label:<9} {text}")

    def row(self, table: str, row: str, column: str, verdict: Verdict) -> None:
        """Say what one cell says. The first no stays the verdict."""
        said = "yes" if verdict is None else refusal_of(verdict)[0]
        self.say("row", f"{table}: {row}, column {column}: {said}")
        self.verdict = self.verdict or verdict


async def explain(settings: Settings, user: str, operation: str, target: str | None, whom: str | None) -> int:
    """Print why somebody may or may not do something; answers the exit code."""
    async with ground(settings) as base:
        answer = Answer()
        account = await _person(base, user)
        answer.say("who", _name(account.known))
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
        fact = account.since(lambda each: not each.is_active)
        answer.say("is", f"deactivated, so every session has ended; {_since(fact)}")
        answer.row("as whom one comes", row, "deactivated", rights.as_whom(operation, "deactivated"))
        return
    if must_verify and not state.is_verified and rights.as_whom(operation, "unverified") is not None:
        answer.say("is", f"not verified; {_since(account.facts[0])}")
        answer.row("as whom one comes", row, "unverified", rights.as_whom(operation, "unverified"))
        return
    roles = [role for role in sorted(state.roles) if rights.as_whom(operation, role) is None]
    if rights.as_whom(operation, "person") is None or not roles:
        answer.row("as whom one comes", row, "person", rights.as_whom(operation, "person"))
        return
    answer.say("is", f"{roles[0]}; {_since(account.since(lambda each: roles[0] in each.roles))}")
    answer.row("as whom one comes", row, roles[0], None)


async def _of_target(
    base: Ground, answer: Answer, who: Account, operation: str, target: str | None, whom: str | None
) -> None:
    if operation in get_args(PersonalOperation):
        await _personal(base, answer, who, operation, target)
        return
    if target is None:
        raise NotJudged(f"{operation} is asked of something: name the {_wanted(operation)}.")
    match _wanted(operation):
        case "file":
            await _file(base, answer, who, operation, await _found(base, FILE, target, "file"))
        case "message":
            await _message(base, answer, who, IN_A_ROOM[operation], await _found(base, MESSAGE, target, "message"))
        case "room":
            room: Read[Room] = await _found(base, ROOM, target, "room")
            relation = await _in_room(base, answer, who, IN_A_ROOM[operation], room)
            if answer.verdict is None and operation in OF_A_MEMBER:
                await _member(base, answer, who, OF_A_MEMBER[operation], relation, room.known, whom)


async def _personal(base: Ground, answer: Answer, who: Account, operation: str, target: str | None) -> None:
    if operation == "session.end":
        session = await _found(base, SESSION, target or "", "session")
        is_own = session.known.user_id == who.user_id
        answer.say("is", f"{'its owner' if is_own else 'not its owner'}; {_since(session.facts[0])}")
        verdict = rights.of_session("session.end", is_own=is_own)
        answer.row("whose session it is", operation, "own" if is_own else "others", verdict)
    elif target is not None:
        other = await _person(base, target)
        if operation in OWN_ONLY and other.known.user_id != who.user_id:
            raise NotJudged(f"{operation} is only ever asked of oneself: no request names another person.")
        answer.say("target", _name(other.known))


async def _in_room(base: Ground, answer: Answer, who: Account, operation: RoomOperation, room: Read[Room]) -> Relation:
    """Judge by what somebody is to a room; answers that."""
    state = room.known
    membership: Read[Membership] = await _read(base, MEMBERSHIP, state.room_id, who.user_id)
    relation = relation_of(membership.state)
    answer.say("room", f"“{state.name}” ({state.room_id}), {state.kind}, history {state.history}")
    if state.is_private:
        answer.say("private", _since(room.since(lambda each: each.is_private)))
    if state.is_archived:
        answer.say("archived", _since(room.since(lambda each: each.is_archived)))
    said = membership.since(lambda each: each.relation == relation)
    answer.say(
        "is", "stranger: never was in it" if said is None else f"{relation}; {_since(said)}{await _by(base, said)}"
    )
    verdict, column = rights.in_room(operation, state.kind, relation), str(relation)
    if state.is_private and rights.is_outside(relation):
        column = "unknown (of a private room who is outside learns nothing)"
    elif (
        verdict is not None and rights.in_room(operation, "private" if state.is_private else "public", relation) is None
    ):
        column = "archived"
    answer.row("what one is to the room", operation, column, verdict)
    return relation


async def _message(
    base: Ground, answer: Answer, who: Account, operation: RoomOperation, message: Read[Message]
) -> None:
    state = message.known
    room: Read[Room] = await _read(base, ROOM, state.room_id)
    answer.say("message", f"{state.message_id}; {_since(message.facts[0])}{await _by(base, message.facts[0])}")
    relation = await _in_room(base, answer, who, operation, room)
    if answer.verdict is not None:
        return
    if operation in OF_A_MESSAGE:
        is_sender = state.sender_id == who.user_id
        verdict = rights.of_message(OF_A_MESSAGE[operation], relation, is_sender=is_sender)
        answer.row("what one is to a message", operation, "sender" if is_sender else relation, verdict)
        return
    membership: Read[Membership] = await _read(base, MEMBERSHIP, state.room_id, who.user_id)
    joined = membership.state.joined_position if membership.state else 0
    since = rights.reads_since(room.known.history, relation, joined_position=joined)
    if since is None or state.position < since:
        readable = "nobody outside reads a message" if since is None else f"readable from position {since} on"
        answer.say("history", f"joined: {readable}, and this is of position {state.position}")
        answer.verdict = rights.unknown(operation)


async def _member(
    base: Ground, answer: Answer, who: Account, operation: MemberOperation, by: Relation, room: Room, whom: str | None
) -> None:
    """Judge by what the other one is to the room."""
    if whom is None:
        raise NotJudged("It depends on whom it is asked of: name them with --whom.")
    other = await _person(base, whom)
    theirs: Read[Membership] = await _read(base, MEMBERSHIP, room.room_id, other.known.user_id)
    role = theirs.state.role if theirs.state else None
    target: MemberTarget = "outsider" if role is None else role
    if role is not None and other.known.user_id == who.user_id:
        target = "oneself"
    since = _since(theirs.facts[-1]) if theirs.facts else "never was in the room"
    answer.say("whom", f"{_name(other.known)}, {target}; {since}")
    answer.row("what the other one is", f"{operation} by {by}", target, rights.of_member(operation, by, target))


async def _file(base: Ground, answer: Answer, who: Account, operation: str, file: Read[File]) -> None:
    state = file.known
    answer.say("file", f"{state.file_id}, {state.status}; {_since(file.facts[0])}{await _by(base, file.facts[0])}")
    relation: FileRelation = "uploader" if state.uploader_id == who.user_id else "nobody"
    if operation not in SEEING_A_FILE:
        answer.row("what one is to a file", operation, relation, rights.of_file("file.share", relation))
        return
    seeing = SEEING_A_FILE[operation]
    if relation == "nobody":
        relation = await _reader(base, answer, who, seeing, FileId(state.file_id))
    answer.row("what one is to a file", operation, relation, rights.of_file(seeing, relation))
    if answer.verdict is None and operation == "file.download" and state.status != "completed":
        answer.say("but", f"it is {state.status}: nobody downloads it before it is completed")


async def _reader(base: Ground, answer: Answer, who: Account, operation: SeeingFile, file_id: FileId) -> FileRelation:
    """Look for a message that lets somebody see a file."""
    found = await files.showings(base.db, who.user_id, file_id, limit=PAGE_ITEMS_MAX)
    for showing in found:
        if showing.standing in rights.standings(operation) and showing.is_within_history:
            answer.say("shown by", f"message {showing.message_id} of a room in which they may read it:")
            await _in_room(base, answer, who, operation, await _read(base, ROOM, showing.room_id))
            return "reader"
    answer.say("shown by", f"{len(found)} messages, none of which they may read")
    return "nobody"


async def _person(base: Ground, named: str) -> Read[Account]:
    """Return an account by id, e-mail or name."""
    ids: list[StreamId] = [ACCOUNT.id(UUID(named))] if _is_id(named) else []
    for kind in CLAIMS:
        claimed = await base.record.claimant(kind, fold_email(named) if kind == "email" else fold(named))
        ids += [claimed] if claimed is not None else []
    for stream_id in ids:
        account: Read[Account] = await _read_stream(base, ACCOUNT, stream_id)
        if account.state is not None:
            return account
    raise NotJudged(f"There is no account with this id, name or e-mail: {named}.")


async def _found(base: Ground, stream: Stream[Any], named: str, kind: str) -> Read[Any]:
    """Return what this id names, if it is of this kind."""
    if not _is_id(named):
        raise NotJudged(f"Name the {kind} by its id; {named!r} is none.")
    read = await _read(base, stream, UUID(named))
    if read.state is not None:
        return read
    for other, name in ((ROOM, "room"), (MESSAGE, "message"), (FILE, "file"), (ACCOUNT, "person")):
        if (await _read(base, other, UUID(named))).facts:
            raise NotJudged(f"This is asked of a {kind}, and {named} is a {name}.")
    raise NotJudged(f"There is no {kind} {named} on the record; whoever asks for it is told that.")


async def _read(base: Ground, stream: Stream[Any], *key: UUID) -> Read[Any]:
    return await _read_stream(base, stream, stream.id(*key))


async def _read_stream(base: Ground, stream: Stream[Any], stream_id: StreamId) -> Read[Any]:
    facts = (await base.record.streams([stream_id]))[stream_id]
    state = None
    for fact in facts:
        state = _evolved(stream, state, fact)
    return Read(stream, state, facts)


def _evolved(stream: Stream[Any], state: Any, fact: Recorded[Any]) -> Any:
    if isinstance(fact.event, UnreadableEvent):
        raise NotJudged(f"Position {fact.position} ({fact.event.recorded_topic}) cannot be read: {fact.event.fault}.")
    return state if isinstance(fact.event, UnknownEvent) else stream.evolve(state, fact)


async def _by(base: Ground, fact: Recorded[Any]) -> str:
    """Return who did it, where somebody did."""
    if fact.meta.actor is None:
        return ""
    actor: Read[Account] = await _read(base, ACCOUNT, fact.meta.actor)
    return f", by {_name(actor.state) if actor.state else fact.meta.actor}"


def _since(fact: Recorded[Any] | None) -> str:
    assert fact is not None, "what holds began to"
    return f"since position {fact.position} ({fact.at:%Y-%m-%d %H:%M:%S} UTC, {fact.event.topic})"


def _name(account: Account) -> str:
    return f"{account.username} ({UserId(account.user_id)})"


def _row_of(operation: str) -> str:
    return operation if any(row.operation == operation for row in rights.AS_WHOM) else rights.EVERY_OTHER


def _wanted(operation: str) -> Literal["file", "message", "room"]:
    if operation in SEEING_A_FILE or operation == "file.share":
        return "file"
    return "message" if operation in OF_A_MESSAGE or operation in READING_A_MESSAGE else "room"


def _is_id(named: str) -> bool:
    try:
        UUID(named)
    except ValueError:
        return False
    return True
