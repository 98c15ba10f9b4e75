"""Membership: what one person is in one room. Each pair has a stream of its own, so two people who join never collide.

The key of a membership's stream is (room, user). `domain/rights.py` says who may do what to whom. That a room always has an
owner is decided by the room (`domain/room.py`).
"""

from typing import ClassVar, Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from domain import authorization, rights
from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId
from domain.rights import Relationship

MemberRole = Literal["owner", "admin", "member"]


class _OfMember(Event, frozen=True):
    room_id: RoomId
    user_id: UserId

    def frame_room(self) -> RoomId | None:
        return self.room_id


class MemberJoined(_OfMember, frozen=True):
    """`by` is the member, or the person who added them or who opened a direct room."""

    topic: ClassVar = "member.joined"

    role: MemberRole
    by: UserId
    is_direct: bool = False


class MemberLeft(_OfMember, frozen=True):
    topic: ClassVar = "member.left"
    changes: ClassVar = ("role",)


class MemberRemoved(_OfMember, frozen=True):
    topic: ClassVar = "member.removed"
    changes: ClassVar = ("role",)

    by: UserId
    banned: bool = False


class MemberRoleChanged(_OfMember, frozen=True):
    topic: ClassVar = "member.role_changed"
    changes: ClassVar = ("role",)

    role: MemberRole
    by: UserId


MemberEvent = MemberJoined | MemberLeft | MemberRemoved | MemberRoleChanged


class Membership(Struct, frozen=True):
    """The membership of somebody who was in a room at least once. `joined_position` is that of the last time they joined."""

    room_id: RoomId
    user_id: UserId
    relationship: Relationship
    joined_position: int

    @property
    def role(self) -> MemberRole | None:
        """The role of a member, or None for somebody who is not a member any more."""
        match self.relationship:
            case "member" | "admin" | "owner":
                return self.relationship
        return None


def relationship_of(membership: Membership | None) -> Relationship:
    """Return somebody's relationship to a room. Without a membership they never were in it."""
    return "stranger" if membership is None else membership.relationship


def join(membership: Membership | None, *, room_id: RoomId, user_id: UserId) -> tuple[MemberEvent, ...]:
    """Join a room. Nothing changes for somebody who is a member already."""
    if membership is not None and membership.role is not None:
        return ()
    return (MemberJoined(room_id, user_id, "member", by=user_id),)


def leave(membership: Membership) -> tuple[MemberEvent, ...]:
    return (MemberLeft(membership.room_id, membership.user_id),)


def put(
    by: Membership, target: Membership | None, *, room_id: RoomId, user_id: UserId, role: MemberRole
) -> tuple[MemberEvent, ...]:
    """Add somebody, or change a role. Adding a banned person lifts the ban. The same role again changes nothing."""
    if (refusal := authorization.of_member(putting(role), by.relationship, _target(target, by=by.user_id))) is not None:
        raise refusal
    if target is None or target.role is None:
        return (MemberJoined(room_id, user_id, role, by=by.user_id),)
    if target.role == role:
        return ()
    return (MemberRoleChanged(room_id, user_id, role, by=by.user_id),)


def putting(role: MemberRole) -> Literal["member.put", "member.promote"]:
    """Return the operation that gives this role: giving more than `member` is another right."""
    return "member.put" if role == "member" else "member.promote"


def remove(by: Membership, target: Membership | None, *, ban: bool) -> tuple[MemberEvent, ...]:
    """Remove somebody."""
    if (
        refusal := authorization.of_member("member.remove", by.relationship, _target(target, by=by.user_id))
    ) is not None:
        raise refusal
    assert target is not None, "the table of rights refuses to remove an outsider"
    return (MemberRemoved(target.room_id, target.user_id, by=by.user_id, banned=ban),)


def _target(target: Membership | None, *, by: UserId) -> rights.MemberTarget:
    if target is None or target.role is None:
        return "outsider"
    return "oneself" if target.user_id == by else target.role


def evolve(membership: Membership | None, recorded: Recorded[MemberEvent]) -> Membership:
    event = recorded.event
    if isinstance(event, MemberJoined):
        return Membership(event.room_id, event.user_id, event.role, recorded.position)
    assert membership is not None, "nobody leaves before they joined"
    match event:
        case MemberLeft():
            return replace(membership, relationship="left")
        case MemberRemoved():
            return replace(membership, relationship="banned" if event.banned else "removed")
        case MemberRoleChanged():
            return replace(membership, relationship=event.role)
        case _:
            assert_never(event)


MEMBERSHIP: Stream[Membership] = Stream("membership", evolve, Membership, fold=2)
EVENTS: tuple[type[Event], ...] = (MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged)
