"""A rebuild that is divided among processes, of which one is killed at any statement: what is served stays, and the next rebuild goes on
with each part from where it was, by as many processes, by fewer or by more."""

import os
import random
from collections.abc import Mapping
from typing import Any

from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from projections import LIVE, building_parts, building_tables
from projections.building_tables import Building
from tests.conftest import Servers, fresh_database
from tests.deployments import until
from tests.projections.crashing_rebuild import Ending
from tests.projections.test_rebuild import SELECT_NEXT
from tests.projections.test_rebuild_crashes import crashing, is_free, sums
from tests.runtime.test_generating import generated
from workers.projector import Follower

EVENTS, JOBS = 260, 2
KILLS = int(
    os.environ.get("REBUILD_KILLS", "9")
)  # every process with every number of processes after it; `make crashes`: more
SEED = int(os.environ.get("SEED", "15"))
KILLED: tuple[int | None, ...] = (None, 0, 1)  # the process that divides the rebuild, or that of a part
GOES_ON_BY = (2, 1, 4)
Begun = Mapping[str, list[object]]


async def committed(db: Database, building: Building) -> Begun:
    """Return of which tables each part is, and where it is."""
    return {str(part.part): [building.suffix, part.position] for part in await building_parts.of(db, "live")}


async def test_whichever_process_is_killed_each_part_goes_on_from_where_it_was(servers: Servers) -> None:
    async with (
        fresh_database(servers) as url,
        generated(url, events=EVENTS, seed=15) as (db, record, _),
        crashing(url) as end,
    ):
        served = await followed(db, record)
        whole = await end(Ending(jobs=JOBS))
        assert (
            whole["is_equal"] and whole["said"] == [] and [begun[1] for begun in whole["begun"].values()] == [0] * JOBS
        )
        came_to, of_parts = set[object](), 0
        for kill in range(KILLS):
            ending = at_random(kill, whole)
            found = await end(ending)
            assert found == (
                {"signal": 9} if ending.part is None else {"interrupted": f"part {ending.part} was killed"}
            ), ending
            await until(lambda: is_free(db))
            assert await sums(db) == served, ending
            building = await building_tables.of(db, "live")
            if building is None:
                assert (await end(Ending(jobs=GOES_ON_BY[kill // 3 % 3])))["is_equal"]
                continue
            begun = await committed(db, building)
            ended = await end(Ending(jobs=GOES_ON_BY[kill // 3 % 3]))
            assert ended["is_equal"] and await sums(db) == served, ending
            [said] = ended["said"]
            assert said.startswith("live: going on with"), ending
            if begun:
                assert said.endswith(f" in its {JOBS} parts."), said
                assert ended["begun"] == begun, ending
                done = {part: position for part, (_, position) in begun.items()}
                assert all(
                    done[part] == 0 or count < whole["of_parts"][part] for part, count in ended["of_parts"].items()
                )
                came_to |= set(done.values())
                of_parts += any(done.values())
            assert await db.all(str, SELECT_NEXT) == [] and await building_parts.of(db, "live") == []
        assert len(came_to) > KILLS / 3 and of_parts > KILLS / 3, (came_to, of_parts)


def at_random(kill: int, whole: Mapping[str, Any]) -> Ending:
    """Return another process for each kill, and some statement of another stretch of what it does."""
    part = KILLED[kill % 3]
    count = whole["statements"] if part is None else whole["of_parts"][str(part)]
    share = (kill // 3 + random.Random(SEED + kill).random()) / (KILLS // 3 + 1)
    return Ending("before" if kill % 2 else "amid", 1 + int(count * share), JOBS, part)


async def followed(db: Database, record: PostgresRecord) -> dict[str, str]:
    """Have the live tables made; return their checksums."""
    follower = Follower(LIVE, record, db, owner="test")
    while await follower.step() > 0:
        pass
    return await sums(db)
