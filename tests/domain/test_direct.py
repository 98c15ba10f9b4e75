"""Direct rooms: the same people have one room, in whatever order they are named, and there are not too many of them."""

from itertools import permutations
from random import Random
from uuid import UUID

import pytest

from domain.bounds import DIRECT_PEOPLE_MAX
from domain.direct import open_direct, people_of, room_id_of
from domain.errors import InvalidError
from domain.ids import UserId

PEOPLE = [UserId(UUID(int=Random(n).getrandbits(128))) for n in range(DIRECT_PEOPLE_MAX + 1)]


def test_whoever_asks_and_in_whatever_order_it_is_one_room() -> None:
    rooms = {room_id_of(people_of(asking, others)) for asking, *others in permutations(PEOPLE[:4])}
    assert len(rooms) == 1
    assert people_of(PEOPLE[0], PEOPLE[:4]) == tuple(sorted(PEOPLE[:4])), "each once, in the order of their ids"
    assert room_id_of(people_of(PEOPLE[0], PEOPLE[:3])) not in rooms


def test_there_are_two_people_at_least_and_ten_at_most() -> None:
    assert len(people_of(PEOPLE[0], PEOPLE[:DIRECT_PEOPLE_MAX])) == DIRECT_PEOPLE_MAX
    for others in ([], [PEOPLE[0]], PEOPLE):
        with pytest.raises(InvalidError) as refused:
            people_of(PEOPLE[0], others)
        assert refused.value.pointer == "/user_ids"


def test_everybody_is_a_member_and_nobody_an_owner() -> None:
    people = people_of(PEOPLE[1], PEOPLE[:3])
    opened, joined = open_direct(people, by=PEOPLE[1])
    assert (opened.is_private, opened.direct, opened.room_id) == (True, people, room_id_of(people))
    assert [(each.user_id, each.role, each.by, each.is_direct) for each in joined] == [
        (each, "member", PEOPLE[1], True) for each in people
    ]
