"""Where rooms stood in their list at any position. Owns `read.past_places`.

A posting is the last one of its room from its own position until that of the next one. So the row that is open is moved by the
next posting, which need not know where it stands; at any position one row of each room lies around it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from domain.events import Recorded
from domain.ids import RoomId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRoleChanged
from domain.message import MessagePosted
from domain.room import RoomArchived, RoomChanged, RoomOpened
from projections.messages import subjects_of
from projections.tables import Change, Projection, Table

OPEN = 2**63 - 1  # of the last posting that there is

PLACES = Table(
    "read.past_places",
    key={"room_id": "uuid", "until_position": "bigint"},
    columns={"posted_position": "bigint"},
)


def opened(recorded: Recorded[RoomOpened]) -> Iterable[Change]:
    yield PLACES.new(recorded.event.room_id, OPEN, posted_position=recorded.position)


def posted(recorded: Recorded[MessagePosted]) -> Iterable[Change]:
    """Give a room a new place, unless a thread alone shows the message."""
    if recorded.event.in_room is not False:
        yield from _placed(recorded.event.room_id, recorded.position)


def changed(recorded: Recorded[Any]) -> Iterable[Change]:
    """Give a room a new place with an event that makes a system message."""
    if subjects_of(recorded.event) is not None:
        yield from _placed(recorded.event.room_id, recorded.position)


def _placed(room_id: RoomId, position: int) -> Iterator[Change]:
    yield PLACES.move(room_id, OPEN, to=position)
    yield PLACES.new(room_id, OPEN, posted_position=position)


PROJECTION = Projection(
    tables=(PLACES,),
    handlers={
        RoomOpened: opened,
        RoomChanged: changed,
        RoomArchived: changed,
        MemberJoined: changed,
        MemberLeft: changed,
        MemberRemoved: changed,
        MemberRoleChanged: changed,
        MessagePosted: posted,
    },
)
