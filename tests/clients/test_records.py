"""The client library's legal holds and retention, against a server."""

from uuid import UUID

from commands.account import GrantRole
from domain.events import Caller
from domain.ids import UserId
from tests.clients.people import own_id, person
from tests.deployments import deployment

WHY = "matter 7"


async def test_a_records_manager_holds_and_sets_how_long_things_are_kept(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard, person(hansard, "ada") as ada:
        await hansard.services.command_bus.do(GrantRole(UserId(UUID(own_id(ada))), "records_manager"), Caller())
        room = await ada.open_room("Lobby")
        hold = await ada.place_hold("Matter", reason=WHY, persons=[own_id(ada)], rooms=[room.id])
        assert (hold.persons, hold.rooms, hold.released_at) == ([own_id(ada)], [room.id], None)
        assert [each async for each in ada.holds(reason=WHY, status="active", after=ada.position)] == [hold]
        assert await ada.release_hold(hold.id, reason=WHY) > hold.placed_at
        [released] = [each async for each in ada.holds(reason=WHY, limit=1, after=ada.position)]
        assert released.released_by == own_id(ada) and released.released_at is not None
        dry = await ada.put_retention(room.id, reason=WHY, days_max=30, dry_run=True)
        assert dry.dry_run is not None and (dry.dry_run["messages"], dry.dry_run["is_complete"]) == (0, True)
        assert (await ada.retention(room.id, reason=WHY)).source == "none"
        await ada.put_retention(reason=WHY, days_min=7, days_max=365)
        found = await ada.retention(room.id, reason=WHY)
        assert (found.source, found.days_min, found.days_max) == ("default", 7, 365) and found.destroys_from is not None
        await ada.clear_retention(reason=WHY)
        assert (await ada.retention(reason=WHY)).source == "none"
