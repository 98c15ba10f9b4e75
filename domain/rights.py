"""Rights: who may do what. These tables are what the code asks; there is no other copy of a rule.

A column is a relation, a cell what whoever stands in it is told: `ok`, or the refusal. Questions are asked in this order,
and the first no is the answer: as whom one comes (`AS_WHOM`), what one is to the room (`IN_ROOM`), and, where it is about
something in it, what one is to that (`OF_…`). Commands ask with folded streams; queries hand the standings that a table
allows to their statement (`projections/relationship.py`). What the state forbids to everybody (a last owner, a deleted
message, a stale version) is no right: the decisions say it, afterwards.

`docs/rights.md` shows the same with the requests and codes that clients see; `hansard explain` says it of one person.
"""

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple, get_args

from domain.errors import (
    AccountDeactivatedError,
    BadCredentialsError,
    BadTokenError,
    BannedError,
    DomainError,
    LeaveInsteadError,
    MemberNotFoundError,
    MessageNotFoundError,
    NoSuchFileError,
    NotAMemberError,
    NotVerifiedError,
    NotYourMessageError,
    OnlyMembersRemovedError,
    OnlyOwnersPromoteError,
    RoleNeededError,
    RoleTooLowError,
    RoomArchivedError,
    RoomNotFoundError,
    SessionNotFoundError,
    SessionRevokedError,
)

# Who was removed may come back to a public room, who is banned may not; to be added again lifts a ban.
Relationship = Literal["stranger", "left", "removed", "banned", "member", "admin", "owner"]
Outside = Literal["stranger", "left", "removed", "banned"]
RoomKind = Literal["public", "private", "archived", "private archived"]
Whom = Literal["nobody", "ended", "deactivated", "unverified", "person", "auditor", "records_manager", "admin"]
FileRelationship = Literal["uploader", "reader", "nobody"]
MemberTarget = Literal["outsider", "oneself", "member", "admin", "owner"]

PersonalOperation = Literal[
    "account.register", "account.verify_email", "audit.read", "block.list", "block.put", "block.remove",
    "deployment.read", "direct.open", "file.upload", "password.change",
    "password.forget", "password.reset", "profile.change", "profile.read", "room.open", "session.close", "session.end",
    "session.list", "session.open", "session.refresh", "socket.open", "user.find", "user.read",
]  # fmt: skip
RoomOperation = Literal[
    "file.download", "file.read", "file.status", "file.upload_for", "member.list", "member.promote", "member.put",
    "member.remove", "mention.room", "message.delete", "message.edit", "message.list", "message.pin", "message.post", "message.read", "message.unpin",
    "message.versions", "pin.list", "reaction.add", "reaction.list", "reaction.remove", "room.archive", "room.change", "room.hear", "room.join", "room.leave", "room.list", "room.mark_read", "room.read",
]  # fmt: skip
MessageOperation = Literal["message.edit", "message.delete"]
MemberOperation = Literal["member.put", "member.promote", "member.remove"]
SeeingFile = Literal["file.read", "file.status", "file.download"]
FileOperation = SeeingFile | Literal["file.share"]
Operation = PersonalOperation | RoomOperation | FileOperation

OPERATIONS: tuple[str, ...] = tuple(sorted((*get_args(PersonalOperation), *get_args(RoomOperation), "file.share")))

Verdict = type[DomainError] | None
ok: Verdict = None


class AsWhom(NamedTuple):
    """`nobody`: without a token. `ended`: the session has. `unverified`: where e-mail addresses must be confirmed.

    Deactivating an account ends all its sessions. Whoever was let in before their address had to be confirmed stays.
    """

    operation: str
    nobody: Verdict
    ended: Verdict
    deactivated: Verdict
    unverified: Verdict
    person: Verdict
    auditor: Verdict
    records_manager: Verdict
    admin: Verdict


class InRoom(NamedTuple):
    """`unknown`: what is told of a room that is not there; so who is outside of a private one is told the same.

    `archived`: what is told in an archived room to whom their relation would allow it.
    """

    operation: RoomOperation
    unknown: type[DomainError]
    stranger: Verdict
    left: Verdict
    removed: Verdict
    banned: Verdict
    member: Verdict
    admin: Verdict
    owner: Verdict
    archived: Verdict


class OfMessage(NamedTuple):
    """For whom `IN_ROOM` lets through: its sender, or, of somebody else's, what one is to the room."""

    operation: MessageOperation
    sender: Verdict
    member: Verdict
    admin: Verdict
    owner: Verdict


class OfMember(NamedTuple):
    """For whom `IN_ROOM` lets through, an admin or an owner: the column is what the other one is to the room."""

    operation: MemberOperation
    by: Literal["admin", "owner"]
    outsider: Verdict
    oneself: Verdict
    member: Verdict
    admin: Verdict
    owner: Verdict


class OfFile(NamedTuple):
    """`reader`: may read a message that shows it, which `IN_ROOM` says."""

    operation: FileOperation
    uploader: Verdict
    reader: Verdict
    nobody: Verdict


class OfSession(NamedTuple):
    operation: Literal["session.end"]
    own: Verdict
    others: Verdict


# fmt: off
EVERY_OTHER = "every other"
AS_WHOM: tuple[AsWhom, ...] = (
    #      operation               nobody    ended           deactivated         unverified   person      auditor  records_manager  admin
    AsWhom("deployment.read",      ok,       ok,             ok,                 ok,          ok,         ok,      ok,              ok),
    AsWhom("account.register",     ok,       ok,             ok,                 ok,          ok,         ok,      ok,              ok),
    AsWhom("account.verify_email", ok,       ok,             AccountDeactivatedError, ok,          ok,         ok,      ok,              ok),
    AsWhom("password.forget",      ok,       ok,             ok,                 ok,          ok,         ok,      ok,              ok),
    AsWhom("password.reset",       ok,       ok,             AccountDeactivatedError, ok,          ok,         ok,      ok,              ok),
    AsWhom("session.open",         ok,       ok,             BadCredentialsError,     NotVerifiedError, ok,         ok,      ok,              ok),
    AsWhom("session.refresh",      ok,       SessionRevokedError, SessionRevokedError,     ok,          ok,         ok,      ok,              ok),
    AsWhom("audit.read",           BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, ok,      ok,              ok),
    AsWhom(EVERY_OTHER,            BadTokenError, SessionRevokedError, SessionRevokedError,     ok,          ok,         ok,      ok,              ok),
)
IN_ROOM: tuple[InRoom, ...] = (
    #      operation           unknown          stranger      left          removed       banned        member      admin       owner  archived
    InRoom("room.read",        RoomNotFoundError,    ok,           ok,           ok,           BannedError,       ok,         ok,         ok,    ok),
    InRoom("room.list",        RoomNotFoundError,    ok,           ok,           ok,           RoomNotFoundError, ok,         ok,         ok,    ok),
    InRoom("room.join",        RoomNotFoundError,    ok,           ok,           ok,           BannedError,       ok,         ok,         ok,    RoomArchivedError),
    InRoom("room.leave",       RoomNotFoundError,    NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       ok,         ok,         ok,    ok),
    InRoom("room.mark_read",   RoomNotFoundError,    NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       ok,         ok,         ok,    ok),
    InRoom("room.hear",        RoomNotFoundError,    NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       ok,         ok,         ok,    ok),
    InRoom("room.change",      RoomNotFoundError,    NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       RoleTooLowError, ok,         ok,    RoomArchivedError),
    InRoom("room.archive",     RoomNotFoundError,    NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       RoleTooLowError, RoleTooLowError, ok,    ok),
    InRoom("member.list",      RoomNotFoundError,    ok,           ok,           ok,           BannedError,       ok,         ok,         ok,    ok),
    InRoom("member.put",       RoomNotFoundError,    NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       RoleTooLowError, ok,         ok,    RoomArchivedError),
    InRoom("member.promote",   RoomNotFoundError,    NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       RoleTooLowError, ok,         ok,    RoomArchivedError),
    InRoom("member.remove",    RoomNotFoundError,    NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       RoleTooLowError, ok,         ok,    RoomArchivedError),
    InRoom("message.list",     RoomNotFoundError,    ok,           ok,           ok,           BannedError,       ok,         ok,         ok,    ok),
    InRoom("message.read",     MessageNotFoundError, ok,           ok,           ok,           BannedError,       ok,         ok,         ok,    ok),
    InRoom("message.versions", MessageNotFoundError, ok,           ok,           ok,           BannedError,       ok,         ok,         ok,    ok),
    InRoom("message.post",     RoomNotFoundError,    NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       ok,         ok,         ok,    RoomArchivedError),
    InRoom("mention.room",     RoomNotFoundError,    NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       RoleTooLowError, ok,         ok,    RoomArchivedError),
    InRoom("message.edit",     MessageNotFoundError, NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       ok,         ok,         ok,    RoomArchivedError),
    InRoom("message.delete",   MessageNotFoundError, NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       ok,         ok,         ok,    RoomArchivedError),
    InRoom("message.pin",      MessageNotFoundError, NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       RoleTooLowError, ok,         ok,    RoomArchivedError),
    InRoom("message.unpin",    MessageNotFoundError, NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       RoleTooLowError, ok,         ok,    RoomArchivedError),
    InRoom("pin.list",         RoomNotFoundError,    ok,           ok,           ok,           BannedError,       ok,         ok,         ok,    ok),
    InRoom("reaction.add",     MessageNotFoundError, NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       ok,         ok,         ok,    RoomArchivedError),
    InRoom("reaction.remove",  MessageNotFoundError, NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       ok,         ok,         ok,    RoomArchivedError),
    InRoom("reaction.list",    MessageNotFoundError, ok,           ok,           ok,           BannedError,       ok,         ok,         ok,    ok),
    InRoom("file.upload_for",  RoomNotFoundError,    NotAMemberError,   NotAMemberError,   NotAMemberError,   BannedError,       ok,         ok,         ok,    RoomArchivedError),
    InRoom("file.read",        NoSuchFileError,    ok,           ok,           ok,           NoSuchFileError, ok,         ok,         ok,    ok),
    InRoom("file.status",      NoSuchFileError,    ok,           ok,           ok,           NoSuchFileError, ok,         ok,         ok,    ok),
    InRoom("file.download",    NoSuchFileError,    ok,           ok,           ok,           NoSuchFileError, ok,         ok,         ok,    ok),
)
OF_MESSAGE: tuple[OfMessage, ...] = (
    #         operation         sender  member          admin           owner
    OfMessage("message.edit",   ok,     NotYourMessageError, NotYourMessageError, NotYourMessageError),
    OfMessage("message.delete", ok,     NotYourMessageError, ok,             ok),
)
# `put` gives the role member, `promote` one above it.
OF_MEMBER: tuple[OfMember, ...] = (
    #        operation         by       outsider           oneself            member             admin               owner
    OfMember("member.put",     "admin", ok,                RoleTooLowError,        ok,                RoleTooLowError,         RoleTooLowError),
    OfMember("member.put",     "owner", ok,                ok,                ok,                ok,                 ok),
    OfMember("member.promote", "admin", OnlyOwnersPromoteError, OnlyOwnersPromoteError, OnlyOwnersPromoteError, OnlyOwnersPromoteError,  OnlyOwnersPromoteError),
    OfMember("member.promote", "owner", ok,                ok,                ok,                ok,                 ok),
    OfMember("member.remove",  "admin", MemberNotFoundError,    LeaveInsteadError,      ok,                OnlyMembersRemovedError, OnlyMembersRemovedError),
    OfMember("member.remove",  "owner", MemberNotFoundError,    LeaveInsteadError,      ok,                ok,                 ok),
)
OF_FILE: tuple[OfFile, ...] = (
    #      operation        uploader  reader        nobody
    OfFile("file.read",     ok,       ok,           NoSuchFileError),
    OfFile("file.status",   ok,       ok,           NoSuchFileError),
    OfFile("file.download", ok,       ok,           NoSuchFileError),
    OfFile("file.share",    ok,       NoSuchFileError, NoSuchFileError),
)
OF_SESSION: tuple[OfSession, ...] = (
    #         operation      own  others
    OfSession("session.end", ok,  SessionNotFoundError),
)
# fmt: on


def as_whom(operation: str, whom: Whom) -> Verdict:
    """Return the refusal for this kind of caller; None to go on."""
    verdict: Verdict = getattr(_AS_WHOM.get(operation, _AS_WHOM[EVERY_OTHER]), whom)
    return verdict


def is_public(operation: str) -> bool:
    """Return whether the operation needs no token."""
    return as_whom(operation, "nobody") is None


def in_room(operation: RoomOperation, kind: RoomKind | None, relationship: Relationship) -> Verdict:
    """Return the refusal for somebody with this relation to a room of this kind (None: there is no such room)."""
    return unknown(operation) if kind is None else _IN_ROOM[operation, kind, relationship]


def require_in_room(operation: RoomOperation, kind: RoomKind | None, relationship: Relationship) -> None:
    """Raise what `in_room` returns, if that is a refusal."""
    if (refusal := in_room(operation, kind, relationship)) is not None:
        raise refusal


def unknown(operation: RoomOperation) -> type[DomainError]:
    """Return the refusal for something that is not there."""
    return _UNKNOWN[operation]


def standing(kind: RoomKind, relationship: Relationship) -> str:
    """Return both as queries have them (`projections/relationship.py`)."""
    return f"{kind}/{relationship}"


def standings(operation: RoomOperation) -> Collection[str]:
    """Return the standings in which this is allowed."""
    return _STANDINGS[operation]


def require_standing(operation: RoomOperation, found: str | None) -> None:
    """Raise the refusal for this standing; None stands for a room that is not there."""
    if found is None:
        raise unknown(operation)
    if (refusal := _BY_STANDING[operation, found]) is not None:
        raise refusal


def of_message(operation: MessageOperation, relationship: Relationship, *, is_sender: bool) -> Verdict:
    """Return the refusal for a member who sent the message, or who did not."""
    assert relationship not in get_args(Outside), "the room lets nobody else come so far"
    return _OF_MESSAGE[operation, "sender" if is_sender else relationship]


def of_member(operation: MemberOperation, by: Relationship, target: MemberTarget) -> Verdict:
    """Return the refusal for an admin or owner who asks this of somebody."""
    return _OF_MEMBER[operation, by, target]


def of_file(operation: FileOperation, relationship: FileRelationship) -> Verdict:
    """Return the refusal for somebody with this relation to a file."""
    return _OF_FILE[operation, relationship]


def file_relationships(operation: FileOperation) -> Collection[FileRelationship]:
    """Return the relations to a file in which this is allowed."""
    return [relationship for relationship in get_args(FileRelationship) if of_file(operation, relationship) is None]


def of_session(operation: Literal["session.end"], *, is_own: bool) -> Verdict:
    """Return the refusal for the session's owner, or for others."""
    (row,) = (row for row in OF_SESSION if row.operation == operation)
    return row.own if is_own else row.others


def reads_since(
    history: Literal["shared", "joined"], relationship: Relationship, *, joined_position: int
) -> int | None:
    """Return the first position of a room that may be read by whom its table lets read; None: no message at all.

    Queries have the same as `SINCE` (`projections/relationship.py`).
    """
    if history == "shared":
        return 0
    return None if is_outside(relationship) else joined_position


def is_outside(relationship: Relationship) -> bool:
    """Return whether this relation is that of somebody who is no member."""
    return relationship in get_args(Outside)


def _told(row: InRoom, kind: RoomKind, relationship: Relationship) -> Verdict:
    """Return a cell of `IN_ROOM` as it is in a room of this kind."""
    if kind.startswith("private") and is_outside(relationship):
        return row.unknown
    refusal: Verdict = getattr(row, relationship)
    return row.archived if refusal is None and kind.endswith("archived") else refusal


_Told = Mapping[tuple[RoomOperation, RoomKind, Relationship], Verdict]
_AS_WHOM: Mapping[str, AsWhom] = {row.operation: row for row in AS_WHOM}
_UNKNOWN: Mapping[RoomOperation, type[DomainError]] = {row.operation: row.unknown for row in IN_ROOM}
_IN_ROOM: _Told = {
    (row.operation, kind, relationship): _told(row, kind, relationship)
    for row in IN_ROOM
    for kind in get_args(RoomKind)
    for relationship in get_args(Relationship)
}
_BY_STANDING: Mapping[tuple[RoomOperation, str], Verdict] = {
    (operation, standing(kind, relationship)): verdict for (operation, kind, relationship), verdict in _IN_ROOM.items()
}
_STANDINGS: Mapping[RoomOperation, list[str]] = {
    row.operation: [at for (operation, at), no in _BY_STANDING.items() if operation == row.operation and no is None]
    for row in IN_ROOM
}
_OF_MESSAGE: Mapping[tuple[str, str], Verdict] = {
    (row.operation, relationship): getattr(row, relationship) for row in OF_MESSAGE for relationship in row._fields[1:]
}
_OF_MEMBER: Mapping[tuple[str, str, str], Verdict] = {
    (row.operation, row.by, target): getattr(row, target) for row in OF_MEMBER for target in get_args(MemberTarget)
}
_OF_FILE: Mapping[tuple[str, str], Verdict] = {
    (row.operation, relationship): getattr(row, relationship)
    for row in OF_FILE
    for relationship in get_args(FileRelationship)
}
