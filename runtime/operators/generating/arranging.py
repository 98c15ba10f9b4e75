"""Arranging: what people do now and then, and what changes a room or an account, which everybody reads who does something.

So arrangements have rounds of their own. `ARRANGEMENTS` says how often each happens.
"""

from commands.account import Activate, ChangeProfile, Deactivate
from commands.block import BlockUser, UnblockUser
from commands.direct import OpenDirect
from commands.membership import LeaveRoom, PutMember, RemoveMember
from commands.room import ArchiveRoom, ChangeRoom
from domain.direct import people_of, room_id_of
from domain.membership import MemberRole
from runtime.operators.generating.acts import OPERATOR, Act, Make, act, in_room, in_some_room, moderator
from runtime.operators.generating.texts import text
from runtime.operators.generating.town import Town

BLOCKED_MAX = 5


def leave(town: Town) -> Act | None:
    found = in_some_room(town)
    if found is None or found[0].is_direct or found[0].roles[found[1].id] == "owner":
        return None
    room, who = found
    writes = [("membership", room.id, who.id)]
    return act(LeaveRoom(room.id), who.caller(), reads=[("room", room.id), ("account", who.id)], writes=writes)


def put(town: Town) -> Act | None:
    """Bring somebody in, or give them another role."""
    room = town.some_room()
    by, target = moderator(town, room, "owner"), town.somebody()
    if by is None or target.id == by.id or not target.is_active:
        return None
    roles: list[MemberRole] = ["member", "admin", "owner"] if target.id in room.roles else ["member"]
    role = town.chance.choice([each for each in roles if each != room.roles.get(target.id)])
    reads = [*in_room(by, room), ("account", target.id)]
    writes = [("membership", room.id, target.id), ("room", room.id)]
    return act(PutMember(room.id, target.id, role), by.caller(), reads=reads, writes=writes)


def remove(town: Town) -> Act | None:
    room = town.some_room()
    by, others = moderator(town, room, "owner"), room.by_role("member")
    if by is None or not others:
        return None
    target = town.chance.choice(others)
    command = RemoveMember(room.id, target, ban=town.chance.random() < 0.2)
    return act(
        command, by.caller(), reads=in_room(by, room), writes=[("membership", room.id, target), ("room", room.id)]
    )


def change_room(town: Town) -> Act | None:
    room = town.some_room()
    by = moderator(town, room, "owner")
    if by is None:
        return None
    match town.chance.randrange(8):
        case 0:
            command = ChangeRoom(room.id, description=text(town.chance)[:200])
        case 1:
            command = ChangeRoom(room.id, history="shared" if room.is_since_joining else "joined")
        case _:
            command = ChangeRoom(room.id, room_topic=text(town.chance)[:100])
    reads = [("membership", room.id, by.id), ("account", by.id)]
    return act(command, by.caller(), reads=reads, writes=[("room", room.id)])


def archive(town: Town) -> Act | None:
    """Archive one of the quieter half of the rooms."""
    rooms = [room for room in town.rooms.values() if not room.is_direct]
    room = town.chance.choice(rooms[len(rooms) // 2 :])
    by = moderator(town, room, "owner")
    if by is None:
        return None
    reads = [("membership", room.id, by.id), ("account", by.id)]
    return act(ArchiveRoom(room.id), by.caller(), reads=reads, writes=[("room", room.id)])


def open_direct(town: Town) -> Act | None:
    who, others = town.somebody(), [town.somebody() for _ in range(town.chance.choice((1, 1, 1, 2, 3)))]
    people = {who.id, *(other.id for other in others)}
    if len(people) < 2 or not all(town.people[each].is_active for each in people):
        return None
    everybody = people_of(who.id, tuple(people))
    room_id = room_id_of(everybody)
    if room_id in town.rooms:
        return None
    reads = [key for each in everybody for key in (("account", each), ("blocks", each))]
    writes = [("room", room_id), *(("membership", room_id, each) for each in everybody)]
    others_of = tuple(each for each in everybody if each != who.id)
    return act(OpenDirect(others_of), who.caller(), reads=reads, writes=writes)


def block(town: Town) -> Act | None:
    who, other = town.somebody(), town.somebody()
    if who.id == other.id or not who.is_active:
        return None
    if len(who.blocked) >= BLOCKED_MAX:
        other = town.people[who.blocked[0]]
    reads, writes = [("account", who.id), ("account", other.id)], [("blocks", who.id)]
    command = UnblockUser(other.id) if other.id in who.blocked else BlockUser(other.id)
    return act(command, who.caller(), reads=reads, writes=writes)


def change_profile(town: Town) -> Act | None:
    who = town.somebody()
    if not who.is_active:
        return None
    avatar = f"https://example.org/avatars/{town.chance.randrange(10_000)}.png"
    return act(ChangeProfile(avatar_url=avatar), who.caller(), writes=[("account", who.id)])


def deactivate(town: Town) -> Act | None:
    """Have somebody leave for good, or come back: one in a hundred is away."""
    if len(town.inactive) * 100 > len(town.people):
        back = town.inactive[0]
        return act(Activate(back), OPERATOR, writes=[("account", back)])
    who = town.somebody()
    if not who.is_active:
        return None
    writes = [("account", who.id), ("sessions", who.id), *(("session", each) for each in who.sessions)]
    return act(Deactivate(who.id), OPERATOR, writes=writes)


# Of about twenty arrangements.
ARRANGEMENTS: tuple[tuple[Make, int], ...] = (
    (leave, 4),
    (put, 3),
    (remove, 2),
    (change_room, 3),
    (open_direct, 2),
    (change_profile, 2),
    (block, 2),
    (archive, 2),
    (deactivate, 1),
)
