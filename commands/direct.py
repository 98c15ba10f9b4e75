"""Direct rooms: a few people talk, and nobody else is there. The room follows from who they are, whoever asks first."""

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain import direct as decide
from domain.account import ACCOUNT, require_active
from domain.block import BLOCKS, has_blocked
from domain.errors import BlockedError
from domain.ids import UserId
from domain.membership import MEMBERSHIP
from domain.room import ROOM


class OpenDirect(Struct, frozen=True):
    """`user_ids`: the others; the caller is one of them in any case."""

    user_ids: tuple[UserId, ...]


async def open_direct(command: OpenDirect, unit: UnitOfWork) -> None:
    """Open the room of these people, or find it; what was opened already stays, whatever became of them."""
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    people = decide.people_of(user_id, command.user_ids)
    room_id = decide.room_id_of(people)
    account, room = await unit.load_all((ACCOUNT, (user_id,)), (ROOM, (room_id,)))
    require_active(account)
    if room is not None:
        unit.write(ROOM, room_id, events=())
        return
    others = [each for each in people if each != user_id]
    found = await unit.load_all(*((ACCOUNT, (each,)) for each in others), *((BLOCKS, (each,)) for each in others))
    for other in found[: len(others)]:
        require_active(other)
    if any(has_blocked(blocks, user_id) for blocks in found[len(others) :]):
        raise BlockedError
    await unit.load_all(*((MEMBERSHIP, (room_id, each)) for each in people))
    opened, joined = decide.open_direct(people, by=user_id)
    unit.write(ROOM, room_id, events=(opened,))
    for event in joined:
        unit.write(MEMBERSHIP, room_id, event.user_id, events=(event,))


HANDLERS: dict[type[Struct], Handler] = {OpenDirect: open_direct}
