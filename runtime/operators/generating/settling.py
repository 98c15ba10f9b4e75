"""Settling: the people of a town register and log in, open rooms and join them, before anybody talks."""

from collections.abc import Iterator

from commands.account import RegisterAccount
from commands.direct import OpenDirect
from commands.membership import JoinRoom, PutMember
from commands.room import OpenRoom
from commands.session import OpenSession
from domain.direct import people_of, room_id_of
from domain.events import Caller
from domain.ids import RoomId, SessionId, UserId
from runtime.operators.generating.acts import EXPIRY, Act, act, in_room
from runtime.operators.generating.texts import name_of, room_name
from runtime.operators.generating.town import Town

PRIVATE = 0.25
MEMBERS_MIN = 3
MEMBERS_MAX = 200
NO_HASH = "no password: nobody logs in as who was generated"


def registering(town: Town, people: int) -> Iterator[Act]:
    for number in range(people):
        user_id, name = UserId(town.uuid()), name_of(number, town.seed)
        command = RegisterAccount(user_id, f"{name}@generated.example", name, NO_HASH)
        yield act(command, Caller(address="10.0.0.1"), writes=[("account", user_id)])


def logging_in(town: Town) -> Iterator[Act]:
    for who in list(town.people.values()):
        session_id = SessionId(town.uuid())
        command = OpenSession(session_id, who.id, f"{town.chance.getrandbits(256):064x}", EXPIRY)
        writes = [("sessions", who.id), ("session", session_id)]
        yield act(command, who.caller(), reads=[("account", who.id)], writes=writes)


def opening(town: Town, rooms: int) -> Iterator[Act]:
    """Have rooms opened; one in ten is of a few people alone."""
    directs: set[RoomId] = set()
    for number in range(rooms):
        who, other = town.somebody(), town.somebody()
        room_id = room_id_of(people_of(who.id, (other.id,))) if who.id != other.id else None
        if number % 10 == 9 and room_id and room_id not in directs:
            directs.add(room_id)
            reads = [key for each in (who.id, other.id) for key in (("account", each), ("blocks", each))]
            writes = [("room", room_id), ("membership", room_id, who.id), ("membership", room_id, other.id)]
            yield act(OpenDirect((other.id,)), who.caller(), reads=reads, writes=writes)
        else:
            room_id = RoomId(town.uuid())
            opened = OpenRoom(room_id, room_name(number), None, number > 0 and town.chance.random() < PRIVATE)
            writes = [("room", room_id), ("membership", room_id, who.id)]
            yield act(opened, who.caller(), reads=[("account", who.id)], writes=writes)


def joining(town: Town) -> Iterator[Act]:
    """Fill the rooms: the first ones with many people, the others with a few."""
    everybody = list(town.people.values())
    for number, room in enumerate(list(town.rooms.values())):
        if room.is_direct:
            continue
        wanted = min(len(everybody), MEMBERS_MAX, MEMBERS_MIN + len(everybody) * 2 // (number + 2))
        owner = town.people[room.members[0]]
        for who in town.chance.sample(everybody, wanted):
            if who.id in room.roles:
                continue
            writes = [("membership", room.id, who.id)]
            if room.is_private:
                reads = [*in_room(owner, room), ("account", who.id)]
                yield act(PutMember(room.id, who.id, "member"), owner.caller(), reads=reads, writes=writes)
            else:
                reads = [("room", room.id), ("account", who.id)]
                yield act(JoinRoom(room.id), who.caller(), reads=reads, writes=writes)
