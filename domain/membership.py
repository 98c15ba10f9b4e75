"""Membership: what one person is in one room. One stream per pair, so that two people joining never collide.

The key of a membership's stream is (room, user). The rules of who may do what to whom stand here; that a room keeps an
owner is the room's own to say.
"""

from typing import ClassVar, Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from domain.facts import Event, Recorded, Stream
from domain.ids import RoomId, UserId
from domain.refusals import Banned, MemberNotFound, NotAMember, RoleTooLow, RoomNotFound

MemberRole = Literal["owner", "admin", "member"]


class _OfMember(Event, frozen=True):
    room_id: RoomId
    user_id: UserId

    def audience(self) -> RoomId | None:
        return self.room_id


class MemberJoined(_OfMember, frozen=True):
    """`by` is the member themselves, or who added them."""

    topic: ClassVar = "member.joined"

    role: MemberRole
    by: UserId


class MemberLeft(_OfMember, frozen=True):
    topic: ClassVar = "member.left"


class MemberRemoved(_OfMember, frozen=True):
    topic: ClassVar = "member.removed"

    by: UserId
    banned: bool = False


class MemberRoleChanged(_OfMember, frozen=True):
    topic: ClassVar = "member.role_changed"

    role: MemberRole
    by: UserId


MemberEvent = MemberJoined | MemberLeft | MemberRemoved | MemberRoleChanged


class Membership(Struct, frozen=True):
    """`role` None: was in the room once, and is not now. `joined_position` is that of the latest joining."""

    room_id: RoomId
    user_id: UserId
    role: MemberRole | None
    is_banned: bool
    joined_position: int


def join(
    membership: Membership | None, *, room_id: RoomId, user_id: UserId, is_private: bool
) -> tuple[MemberEvent, ...]:
    """Enter a public room; a member already changes nothing."""
    if membership is not None and membership.role is not None:
        return ()
    if is_private:
        raise RoomNotFound
    if membership is not None and membership.is_banned:
        raise Banned
    return (MemberJoined(room_id, user_id, "member", by=user_id),)


def leave(membership: Membership | None) -> tuple[MemberEvent, ...]:
    membership = require_member(membership)
    return (MemberLeft(membership.room_id, membership.user_id),)


def put(
    by: Membership | None, target: Membership | None, *, room_id: RoomId, user_id: UserId, role: MemberRole
) -> tuple[MemberEvent, ...]:
    """Add somebody (owners and admins; only owners add above `member`), or change a role (owners only).

    Adding a banned person lifts the ban. The same role again changes nothing.
    """
    by = require_role(by, "owner", "admin")
    if by.role != "owner" and role != "member":
        raise RoleTooLow("Only an owner gives a role above member.")
    if target is None or target.role is None:
        return (MemberJoined(room_id, user_id, role, by=by.user_id),)
    if target.role == role:
        return ()
    require_role(by, "owner")
    return (MemberRoleChanged(room_id, user_id, role, by=by.user_id),)


def remove(by: Membership | None, target: Membership | None, *, ban: bool) -> tuple[MemberEvent, ...]:
    """Remove somebody of a lower role (owners may remove anybody); nobody removes themselves: that is leaving."""
    by = require_role(by, "owner", "admin")
    if target is None or target.role is None:
        raise MemberNotFound
    if target.user_id == by.user_id:
        raise RoleTooLow("To go, leave the room.")
    if by.role == "admin" and target.role != "member":
        raise RoleTooLow("An admin removes members only.")
    return (MemberRemoved(target.room_id, target.user_id, by=by.user_id, banned=ban),)


def require_member(membership: Membership | None) -> Membership:
    if membership is None or membership.role is None:
        raise NotAMember
    return membership


def require_role(membership: Membership | None, *roles: MemberRole) -> Membership:
    membership = require_member(membership)
    if membership.role not in roles:
        raise RoleTooLow
    return membership


def admit(membership: Membership | None, *, is_private: bool) -> None:
    """Refuse whoever may not know of the room (404), or may, and is banned from it (403)."""
    if membership is not None and membership.role is not None:
        return
    if is_private:
        raise RoomNotFound
    if membership is not None and membership.is_banned:
        raise Banned


def evolve(membership: Membership | None, fact: Recorded[MemberEvent]) -> Membership:
    event = fact.event
    if isinstance(event, MemberJoined):
        return Membership(event.room_id, event.user_id, event.role, False, fact.position)
    assert membership is not None, "nobody leaves before they joined"
    match event:
        case MemberLeft():
            return replace(membership, role=None)
        case MemberRemoved():
            return replace(membership, role=None, is_banned=event.banned)
        case MemberRoleChanged():
            return replace(membership, role=event.role)
        case _:
            assert_never(event)


MEMBERSHIP: Stream[Membership] = Stream("membership", evolve)
EVENTS: tuple[type[Event], ...] = (MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged)
