"""Members: who is in a room, as what, and how far they have read. Owns the table `read.room_members`."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.authorization import require_standing, standings
from domain.bounds import ROOM_OWNERS_MAX
from domain.events import Recorded
from domain.ids import RoomId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRole, MemberRoleChanged
from domain.ports.database import Db
from domain.reading import ReadMarked
from projections.tables import Change, Projection, Table

SELECT_PAGE = """
    SELECT room.standing, member.joined_position, member.user_id, member.role, member.joined_at
    FROM (
        SELECT r.id, read.standing(r.is_private, r.is_archived, m.role, m.is_banned) AS standing
        FROM read.rooms r LEFT JOIN read.room_members m ON m.room_id = r.id AND m.user_id = $1 WHERE r.id = $2
    ) room
    LEFT JOIN LATERAL (
        SELECT m.user_id, m.role, m.joined_at, m.joined_position FROM read.room_members m
        WHERE m.room_id = room.id AND m.role IS NOT NULL AND (m.joined_position, m.user_id) > ($3, $4)
            AND room.standing = ANY ($6::text[])
        ORDER BY m.joined_position, m.user_id LIMIT $5
    ) member ON true
    ORDER BY member.joined_position, member.user_id
"""
SELECT_MODERATORS = """
    SELECT user_id FROM read.room_members WHERE room_id = $1 AND role IN ('owner', 'admin')
    ORDER BY joined_position, user_id LIMIT $2
"""

MEMBERS = Table(
    "read.room_members",
    key={"room_id": "uuid", "user_id": "uuid"},
    columns={
        "role": "text",
        "joined_at": "timestamptz",
        "joined_position": "bigint",
        "is_banned": "bool",
        "read_position": "bigint",
    },
    kept=("read_position",),
)


class MemberView(Struct, frozen=True):
    user_id: UserId
    role: MemberRole
    joined_at: datetime


class MemberInPage(Struct, frozen=True):
    """A member, and what the viewer is to the room; only that if the page has no member."""

    standing: str
    joined_position: int | None
    member: MemberView | None


async def page(
    db: Db, viewer_id: UserId, room_id: RoomId, *, after: tuple[int, UUID] | None, limit: int
) -> list[tuple[MemberView, tuple[int, UUID]]]:
    """Return members in the order they joined, each with its cursor. Raise `DomainError` if the viewer may not see them."""
    position, user_id = after or (0, UUID(int=0))
    rows = await db.all(
        MemberInPage, SELECT_PAGE, viewer_id, room_id, position, user_id, limit, standings("member.list")
    )
    require_standing("member.list", rows[0].standing if rows else None)
    return [
        (row.member, (row.joined_position, row.member.user_id))
        for row in rows
        if row.member is not None and row.joined_position is not None
    ]


async def moderators(db: Db, room_id: RoomId) -> list[UserId]:
    """Return a room's owners and admins, at most as many as a room may have owners, those who joined first come first."""
    return await db.all(UserId, SELECT_MODERATORS, room_id, ROOM_OWNERS_MAX)


def joined(recorded: Recorded[MemberJoined]) -> Iterable[Change]:
    e = recorded.event
    yield MEMBERS.put(
        e.room_id, e.user_id, role=e.role, joined_at=recorded.at, joined_position=recorded.position, is_banned=False,
        read_position=0,
    )  # fmt: skip


def left(recorded: Recorded[MemberLeft]) -> Iterable[Change]:
    yield MEMBERS.set(recorded.event.room_id, recorded.event.user_id, role=None)


def removed(recorded: Recorded[MemberRemoved]) -> Iterable[Change]:
    yield MEMBERS.set(recorded.event.room_id, recorded.event.user_id, role=None, is_banned=recorded.event.banned)


def role_changed(recorded: Recorded[MemberRoleChanged]) -> Iterable[Change]:
    yield MEMBERS.set(recorded.event.room_id, recorded.event.user_id, role=recorded.event.role)


def marked(recorded: Recorded[ReadMarked]) -> Iterable[Change]:
    yield MEMBERS.set(recorded.event.room_id, recorded.event.user_id, read_position=recorded.event.position)


PROJECTION = Projection(
    tables=(MEMBERS,),
    handlers={
        MemberJoined: joined,
        MemberLeft: left,
        MemberRemoved: removed,
        MemberRoleChanged: role_changed,
        ReadMarked: marked,
    },
)
