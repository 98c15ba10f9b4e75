"""Authorization: looking up the tables of rights (`domain/rights.py`).

Commands know a relationship from folded streams, and look up its refusal. Queries cannot do that row by row: they pass the
relationships that a table allows to their statement (`standings`, `read.standing` in the database).
"""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from domain.errors import DomainError
from domain.rights import (
    AS_WHOM,
    EVERY_OTHER,
    IN_ROOM,
    OF_FILE,
    OF_MEMBER,
    OF_MESSAGE,
    OF_SESSION,
    AsWhom,
    FileOperation,
    FileRelationship,
    InRoom,
    MemberOperation,
    MemberTarget,
    MessageOperation,
    Outside,
    Relationship,
    RoomKind,
    RoomOperation,
    Verdict,
    Whom,
)


def as_whom(operation: str, whom: Whom) -> Verdict:
    """Return the refusal for this kind of caller, or None if they may go on."""
    verdict: Verdict = getattr(_AS_WHOM.get(operation, _AS_WHOM[EVERY_OTHER]), whom)
    return verdict


def is_public(operation: str) -> bool:
    """Return whether the operation needs no token."""
    return as_whom(operation, "nobody") is None


def in_room(operation: RoomOperation, kind: RoomKind | None, relationship: Relationship) -> Verdict:
    """Return the refusal for somebody with this relationship to a room of this kind (None: there is no such room)."""
    return unknown(operation) if kind is None else _IN_ROOM[operation, kind, relationship]


def require_in_room(operation: RoomOperation, kind: RoomKind | None, relationship: Relationship) -> None:
    """Raise what `in_room` returns, if that is a refusal."""
    if (refusal := in_room(operation, kind, relationship)) is not None:
        raise refusal


def unknown(operation: RoomOperation) -> type[DomainError]:
    """Return the refusal for something that does not exist."""
    return _UNKNOWN[operation]


def standing(kind: RoomKind, relationship: Relationship) -> str:
    """Return a room's kind and somebody's relationship to it as one text, as queries have them."""
    return f"{kind}/{relationship}"


def standings(operation: RoomOperation) -> Collection[str]:
    """Return those texts for which an operation is allowed."""
    return _STANDINGS[operation]


def require_standing(operation: RoomOperation, found: str | None) -> None:
    """Raise the refusal for such a text; None stands for a room that does not exist."""
    if found is None:
        raise unknown(operation)
    if (refusal := _BY_STANDING[operation, found]) is not None:
        raise refusal


def of_message(operation: MessageOperation, relationship: Relationship, *, is_sender: bool) -> Verdict:
    """Return the refusal for a member who sent the message, or who did not."""
    assert relationship not in get_args(Outside), "the room's table refuses everybody else"
    return _OF_MESSAGE[operation, "sender" if is_sender else relationship]


def of_member(operation: MemberOperation, by: Relationship, target: MemberTarget) -> Verdict:
    """Return the refusal for an admin or owner who wants to do this to somebody."""
    return _OF_MEMBER[operation, by, target]


def of_file(operation: FileOperation, relationship: FileRelationship) -> Verdict:
    """Return the refusal for somebody with this relationship to a file."""
    return _OF_FILE[operation, relationship]


def file_relationships(operation: FileOperation) -> Collection[FileRelationship]:
    """Return the relationships to a file with which this is allowed."""
    return [relationship for relationship in get_args(FileRelationship) if of_file(operation, relationship) is None]


def of_session(operation: Literal["session.end"], *, is_own: bool) -> Verdict:
    """Return the refusal for the session's owner, or for others."""
    (row,) = (row for row in OF_SESSION if row.operation == operation)
    return row.own if is_own else row.others


def reads_since(
    history: Literal["shared", "joined"], relationship: Relationship, *, joined_position: int
) -> int | None:
    """Return the first position of a room that somebody may read whom the table allows to read, or None if they may read
    no message at all.

    Queries have the same as `read.readable_from` (`migrations/0088_what_may_be_read.sql`).
    """
    if history == "shared":
        return 0
    return None if is_outside(relationship) else joined_position


def is_outside(relationship: Relationship) -> bool:
    """Return whether somebody with this relationship is not a member."""
    return relationship in get_args(Outside)


def _cell(row: InRoom, kind: RoomKind, relationship: Relationship) -> Verdict:
    """Return what a cell of `IN_ROOM` says in a room of this kind."""
    if kind.startswith("private") and is_outside(relationship):
        return row.unknown
    refusal: Verdict = getattr(row, relationship)
    return row.archived if refusal is None and kind.endswith("archived") else refusal


_Cells = Mapping[tuple[RoomOperation, RoomKind, Relationship], Verdict]
_AS_WHOM: Mapping[str, AsWhom] = {row.operation: row for row in AS_WHOM}
_UNKNOWN: Mapping[RoomOperation, type[DomainError]] = {row.operation: row.unknown for row in IN_ROOM}
_IN_ROOM: _Cells = {
    (row.operation, kind, relationship): _cell(row, kind, relationship)
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
