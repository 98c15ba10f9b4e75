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
    AccountDeactivated,
    BadCredentials,
    BadToken,
    Banned,
    FileNotFound,
    LeaveInstead,
    MemberNotFound,
    MessageNotFound,
    NotAMember,
    NotVerified,
    NotYourMessage,
    OnlyMembersRemoved,
    OnlyOwnersPromote,
    Refused,
    RoleNeeded,
    RoleTooLow,
    RoomArchived,
    RoomNotFound,
    SessionNotFound,
    SessionRevoked,
)

# Who was removed may come back to a public room, who is banned may not; to be added again lifts a ban.
Relation = Literal["stranger", "left", "removed", "banned", "member", "admin", "owner"]
Outside = Literal["stranger", "left", "removed", "banned"]
RoomKind = Literal["public", "private", "archived", "private archived"]
Whom = Literal["nobody", "ended", "deactivated", "unverified", "person", "auditor", "records_manager", "admin"]
FileRelation = Literal["uploader", "reader", "nobody"]
MemberTarget = Literal["outsider", "oneself", "member", "admin", "owner"]

PersonalOperation = Literal[
    "account.register", "account.verify_email", "audit.read", "deployment.read", "file.upload", "password.change",
    "password.forget", "password.reset", "profile.change", "profile.read", "room.open", "session.close", "session.end",
    "session.list", "session.open", "session.refresh", "socket.open", "user.find", "user.read",
]  # fmt: skip
RoomOperation = Literal[
    "file.download", "file.read", "file.status", "file.upload_for", "member.list", "member.promote", "member.put",
    "member.remove", "message.delete", "message.edit", "message.list", "message.post", "message.read", "message.versions",
    "room.archive", "room.change", "room.hear", "room.join", "room.leave", "room.list", "room.mark_read", "room.read",
]  # fmt: skip
MessageOperation = Literal["message.edit", "message.delete"]
MemberOperation = Literal["member.put", "member.promote", "member.remove"]
SeeingFile = Literal["file.read", "file.status", "file.download"]
FileOperation = SeeingFile | Literal["file.share"]
Operation = PersonalOperation | RoomOperation | FileOperation

OPERATIONS: tuple[str, ...] = tuple(sorted((*get_args(PersonalOperation), *get_args(RoomOperation), "file.share")))

Verdict = type[Refused] | None
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
    unknown: type[Refused]
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
    AsWhom("account.verify_email", ok,       ok,             AccountDeactivated, ok,          ok,         ok,      ok,              ok),
    AsWhom("password.forget",      ok,       ok,             ok,                 ok,          ok,         ok,      ok,              ok),
    AsWhom("password.reset",       ok,       ok,             AccountDeactivated, ok,          ok,         ok,      ok,              ok),
    AsWhom("session.open",         ok,       ok,             BadCredentials,     NotVerified, ok,         ok,      ok,              ok),
    AsWhom("session.refresh",      ok,       SessionRevoked, SessionRevoked,     ok,          ok,         ok,      ok,              ok),
    AsWhom("audit.read",           BadToken, SessionRevoked, SessionRevoked,     RoleNeeded,  RoleNeeded, ok,      ok,              ok),
    AsWhom(EVERY_OTHER,            BadToken, SessionRevoked, SessionRevoked,     ok,          ok,         ok,      ok,              ok),
)
IN_ROOM: tuple[InRoom, ...] = (
    #      operation           unknown          stranger      left          removed       banned        member      admin       owner  archived
    InRoom("room.read",        RoomNotFound,    ok,           ok,           ok,           Banned,       ok,         ok,         ok,    ok),
    InRoom("room.list",        RoomNotFound,    ok,           ok,           ok,           RoomNotFound, ok,         ok,         ok,    ok),
    InRoom("room.join",        RoomNotFound,    ok,           ok,           ok,           Banned,       ok,         ok,         ok,    RoomArchived),
    InRoom("room.leave",       RoomNotFound,    NotAMember,   NotAMember,   NotAMember,   Banned,       ok,         ok,         ok,    ok),
    InRoom("room.mark_read",   RoomNotFound,    NotAMember,   NotAMember,   NotAMember,   Banned,       ok,         ok,         ok,    ok),
    InRoom("room.hear",        RoomNotFound,    NotAMember,   NotAMember,   NotAMember,   Banned,       ok,         ok,         ok,    ok),
    InRoom("room.change",      RoomNotFound,    NotAMember,   NotAMember,   NotAMember,   Banned,       RoleTooLow, ok,         ok,    RoomArchived),
    InRoom("room.archive",     RoomNotFound,    NotAMember,   NotAMember,   NotAMember,   Banned,       RoleTooLow, RoleTooLow, ok,    ok),
    InRoom("member.list",      RoomNotFound,    ok,           ok,           ok,           Banned,       ok,         ok,         ok,    ok),
    InRoom("member.put",       RoomNotFound,    NotAMember,   NotAMember,   NotAMember,   Banned,       RoleTooLow, ok,         ok,    RoomArchived),
    InRoom("member.promote",   RoomNotFound,    NotAMember,   NotAMember,   NotAMember,   Banned,       RoleTooLow, ok,         ok,    RoomArchived),
    InRoom("member.remove",    RoomNotFound,    NotAMember,   NotAMember,   NotAMember,   Banned,       RoleTooLow, ok,         ok,    RoomArchived),
    InRoom("message.list",     RoomNotFound,    ok,           ok,           ok,           Banned,       ok,         ok,         ok,    ok),
    InRoom("message.read",     MessageNotFound, ok,           ok,           ok,           Banned,       ok,         ok,         ok,    ok),
    InRoom("message.versions", MessageNotFound, ok,           ok,           ok,           Banned,       ok,         ok,         ok,    ok),
    InRoom("message.post",     RoomNotFound,    NotAMember,   NotAMember,   NotAMember,   Banned,       ok,         ok,         ok,    RoomArchived),
    InRoom("message.edit",     MessageNotFound, NotAMember,   NotAMember,   NotAMember,   Banned,       ok,         ok,         ok,    RoomArchived),
    InRoom("message.delete",   MessageNotFound, NotAMember,   NotAMember,   NotAMember,   Banned,       ok,         ok,         ok,    RoomArchived),
    InRoom("file.upload_for",  RoomNotFound,    NotAMember,   NotAMember,   NotAMember,   Banned,       ok,         ok,         ok,    RoomArchived),
    InRoom("file.read",        FileNotFound,    ok,           ok,           ok,           FileNotFound, ok,         ok,         ok,    ok),
    InRoom("file.status",      FileNotFound,    ok,           ok,           ok,           FileNotFound, ok,         ok,         ok,    ok),
    InRoom("file.download",    FileNotFound,    ok,           ok,           ok,           FileNotFound, ok,         ok,         ok,    ok),
)
OF_MESSAGE: tuple[OfMessage, ...] = (
    #         operation         sender  member          admin           owner
    OfMessage("message.edit",   ok,     NotYourMessage, NotYourMessage, NotYourMessage),
    OfMessage("message.delete", ok,     NotYourMessage, ok,             ok),
)
# `put` gives the role member, `promote` one above it.
OF_MEMBER: tuple[OfMember, ...] = (
    #        operation         by       outsider           oneself            member             admin               owner
    OfMember("member.put",     "admin", ok,                RoleTooLow,        ok,                RoleTooLow,         RoleTooLow),
    OfMember("member.put",     "owner", ok,                ok,                ok,                ok,                 ok),
    OfMember("member.promote", "admin", OnlyOwnersPromote, OnlyOwnersPromote, OnlyOwnersPromote, OnlyOwnersPromote,  OnlyOwnersPromote),
    OfMember("member.promote", "owner", ok,                ok,                ok,                ok,                 ok),
    OfMember("member.remove",  "admin", MemberNotFound,    LeaveInstead,      ok,                OnlyMembersRemoved, OnlyMembersRemoved),
    OfMember("member.remove",  "owner", MemberNotFound,    LeaveInstead,      ok,                ok,                 ok),
)
OF_FILE: tuple[OfFile, ...] = (
    #      operation        uploader  reader        nobody
    OfFile("file.read",     ok,       ok,           FileNotFound),
    OfFile("file.status",   ok,       ok,           FileNotFound),
    OfFile("file.download", ok,       ok,           FileNotFound),
    OfFile("file.share",    ok,       FileNotFound, FileNotFound),
)
OF_SESSION: tuple[OfSession, ...] = (
    #         operation      own  others
    OfSession("session.end", ok,  SessionNotFound),
)
# fmt: on


def as_whom(operation: str, whom: Whom) -> Verdict:
    """Return the refusal for this kind of caller; None to go on."""
    verdict: Verdict = getattr(_AS_WHOM.get(operation, _AS_WHOM[EVERY_OTHER]), whom)
    return verdict


def is_public(operation: str) -> bool:
    """Return whether the operation needs no token."""
    return as_whom(operation, "nobody") is None


def in_room(operation: RoomOperation, kind: RoomKind | None, relation: Relation) -> Verdict:
    """Return the refusal for somebody with this relation to a room of this kind (None: there is no such room)."""
    return unknown(operation) if kind is None else _IN_ROOM[operation, kind, relation]


def require_in_room(operation: RoomOperation, kind: RoomKind | None, relation: Relation) -> None:
    """Raise what `in_room` returns, if that is a refusal."""
    if (refusal := in_room(operation, kind, relation)) is not None:
        raise refusal


def unknown(operation: RoomOperation) -> type[Refused]:
    """Return the refusal for something that is not there."""
    return _UNKNOWN[operation]


def standing(kind: RoomKind, relation: Relation) -> str:
    """Return both as queries have them (`projections/relationship.py`)."""
    return f"{kind}/{relation}"


def standings(operation: RoomOperation) -> Collection[str]:
    """Return the standings in which this is allowed."""
    return _STANDINGS[operation]


def require_standing(operation: RoomOperation, found: str | None) -> None:
    """Raise the refusal for this standing; None stands for a room that is not there."""
    if found is None:
        raise unknown(operation)
    if (refusal := _BY_STANDING[operation, found]) is not None:
        raise refusal


def of_message(operation: MessageOperation, relation: Relation, *, is_sender: bool) -> Verdict:
    """Return the refusal for a member who sent the message, or who did not."""
    assert relation not in get_args(Outside), "the room lets nobody else come so far"
    return _OF_MESSAGE[operation, "sender" if is_sender else relation]


def of_member(operation: MemberOperation, by: Relation, target: MemberTarget) -> Verdict:
    """Return the refusal for an admin or owner who asks this of somebody."""
    return _OF_MEMBER[operation, by, target]


def of_file(operation: FileOperation, relation: FileRelation) -> Verdict:
    """Return the refusal for somebody with this relation to a file."""
    return _OF_FILE[operation, relation]


def file_relations(operation: FileOperation) -> Collection[FileRelation]:
    """Return the relations to a file in which this is allowed."""
    return [relation for relation in get_args(FileRelation) if of_file(operation, relation) is None]


def of_session(operation: Literal["session.end"], *, is_own: bool) -> Verdict:
    """Return the refusal for the session's owner, or for others."""
    (row,) = (row for row in OF_SESSION if row.operation == operation)
    return row.own if is_own else row.others


def reads_since(history: Literal["shared", "joined"], relation: Relation, *, joined_position: int) -> int | None:
    """Return the first position of a room that may be read by whom its table lets read; None: no message at all.

    Queries have the same as `SINCE` (`projections/relationship.py`).
    """
    if history == "shared":
        return 0
    return None if is_outside(relation) else joined_position


def is_outside(relation: Relation) -> bool:
    """Return whether this relation is that of somebody who is no member."""
    return relation in get_args(Outside)


def _told(row: InRoom, kind: RoomKind, relation: Relation) -> Verdict:
    """Return a cell of `IN_ROOM` as it is in a room of this kind."""
    if kind.startswith("private") and is_outside(relation):
        return row.unknown
    refusal: Verdict = getattr(row, relation)
    return row.archived if refusal is None and kind.endswith("archived") else refusal


_Told = Mapping[tuple[RoomOperation, RoomKind, Relation], Verdict]
_AS_WHOM: Mapping[str, AsWhom] = {row.operation: row for row in AS_WHOM}
_UNKNOWN: Mapping[RoomOperation, type[Refused]] = {row.operation: row.unknown for row in IN_ROOM}
_IN_ROOM: _Told = {
    (row.operation, kind, relation): _told(row, kind, relation)
    for row in IN_ROOM
    for kind in get_args(RoomKind)
    for relation in get_args(Relation)
}
_BY_STANDING: Mapping[tuple[RoomOperation, str], Verdict] = {
    (operation, standing(kind, relation)): verdict for (operation, kind, relation), verdict in _IN_ROOM.items()
}
_STANDINGS: Mapping[RoomOperation, list[str]] = {
    row.operation: [at for (operation, at), no in _BY_STANDING.items() if operation == row.operation and no is None]
    for row in IN_ROOM
}
_OF_MESSAGE: Mapping[tuple[str, str], Verdict] = {
    (row.operation, relation): getattr(row, relation) for row in OF_MESSAGE for relation in row._fields[1:]
}
_OF_MEMBER: Mapping[tuple[str, str, str], Verdict] = {
    (row.operation, row.by, target): getattr(row, target) for row in OF_MEMBER for target in get_args(MemberTarget)
}
_OF_FILE: Mapping[tuple[str, str], Verdict] = {
    (row.operation, relation): getattr(row, relation) for row in OF_FILE for relation in get_args(FileRelation)
}
