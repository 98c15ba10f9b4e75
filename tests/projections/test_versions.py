"""A raised version of a group is made beside the one that serves, and takes over; code never follows tables later than itself."""

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from projections import LIVE, checkpoints, followers
from tests.deployments import as_login, gateway, ledger, running, until
from tests.projections.raised import MIGRATION, SELECT_WRONG, raised
from tests.projections.test_read_models import make_history, project
from tests.projections.test_rebuild_differences import shadow
from workers.projector import Follower
from workers.rebuild import Rebuild
from workers.rebuild_runs import ask_for_raised
from workers.rollback import Rollback
from workers.table_swap import RebuildRefusedError

RAISED = raised(LIVE)


async def is_at(db: Database, record: PostgresRecord) -> bool:
    """Return whether the live group has everything."""
    return await checkpoints.position(db, "live") == (await record.head()).position


async def comes(holds: Callable[[], bool]) -> bool:
    return holds()


async def drain(follower: Follower) -> None:
    while await follower.step() > 0:
        pass


@pytest.fixture
async def migrated_url(database_url: str) -> str:
    """A database that the raised release has migrated."""
    owner = await asyncpg.connect(database_url)
    await owner.execute(MIGRATION)
    await owner.close()
    return database_url


async def test_a_raised_version_takes_over_when_somebody_stands_by_who_follows_it(migrated_url: str) -> None:
    async with ledger(migrated_url, size=12) as (db, record, command_bus):
        await make_history(command_bus, 90, 60)
        old = Follower(LIVE, record, db, owner="old")
        new = Follower(RAISED, record, db, owner="new")
        said: list[str] = []
        async with running(old.run()):
            await until(lambda: is_at(db, record))
            rebuild = Rebuild(RAISED, record, db, progress=lambda progress: None, say=said.append)
            taking_over = asyncio.create_task(rebuild.run(swap=True))
            await until(lambda: comes(lambda: "waiting for a follower" in rebuild.doing))
            await make_history(command_bus, 91, 30)
            assert said == [f"live: version {RAISED.version} is made, and waits for a follower of this release."]
            assert await checkpoints.version(db, "live") == LIVE.version and old.lease is not None
            async with running(new.run()):
                verdicts = {verdict.table: verdict for verdict in await taking_over}
                assert verdicts["read.users"].is_equal and not verdicts["read.messages"].is_equal
                assert "differs from version 3, which was served (" in verdicts["read.messages"].sentence()
                assert verdicts["read.messages"].is_expected
                await make_history(command_bus, 92, 30)
                await until(lambda: is_at(db, record))
                assert await checkpoints.version(db, "live") == RAISED.version
                await until(lambda: comes(lambda: old.lease is None))
                assert new.lease is not None and new.lease.version == RAISED.version
            await make_history(command_bus, 93, 10)
            assert await old.step() == -1, "it does not follow what it would write wrongly, though nobody does"
        await drain(new)
        assert await db.value(SELECT_WRONG) == 0
        assert (await shadow(RAISED, record, db))[0] == []


async def test_from_the_exchange_on_the_owner_of_the_old_tables_writes_nothing(migrated_url: str) -> None:
    """Its lease has not ended, and nobody has taken it over yet."""
    async with ledger(migrated_url) as (db, record, command_bus):
        await make_history(command_bus, 98, 30)
        old = Follower(LIVE, record, db, owner="old")
        await drain(old)
        await followers.say(db, "live", RAISED.version)
        await Rebuild(RAISED, record, db, progress=lambda progress: None).run(swap=True)
        position = await checkpoints.position(db, "live")
        await make_history(command_bus, 99, 30)
        assert old.lease is not None and await old.step() == -1
        assert old.lease is None and await checkpoints.position(db, "live") == position
        await drain(Follower(RAISED, record, db, owner="new"))
        assert await db.value(SELECT_WRONG) == 0 and (await shadow(RAISED, record, db))[0] == []


async def test_where_only_the_new_release_runs_it_follows_the_old_tables_until_its_own_are_made(
    migrated_url: str,
) -> None:
    async with ledger(migrated_url, size=12) as (db, record, command_bus):
        await make_history(command_bus, 94, 40)
        await project(record, db)
        new = Follower(RAISED, record, db, owner="new")
        async with running(new.run()):
            await make_history(command_bus, 95, 40)
            await until(lambda: is_at(db, record))
            assert new.lease is not None and new.lease.version == LIVE.version
            assert await db.value(SELECT_WRONG) > 0
            await Rebuild(RAISED, record, db, progress=lambda progress: None).run(swap=True)
            await make_history(command_bus, 96, 10)
            await until(lambda: is_at(db, record))
            assert new.lease.version == RAISED.version and await db.value(SELECT_WRONG) == 0
        assert (await shadow(RAISED, record, db))[0] == []


async def test_the_release_before_rolls_back_and_the_next_one_comes_again(migrated_url: str) -> None:
    async with ledger(migrated_url) as (db, record, command_bus):
        await make_history(command_bus, 110, 40)
        await project(record, db)
        await Rebuild(RAISED, record, db, progress=lambda progress: None).run(swap=True)
        await make_history(command_bus, 111, 20)
        await drain(Follower(RAISED, record, db, owner="new"))
        with pytest.raises(RebuildRefusedError, match=r"kept are of version 3, and this release writes version 4"):
            await Rollback(RAISED, record, db, progress=lambda progress: None).run()
        await Rollback(LIVE, record, db, progress=lambda progress: None).run()
        assert await checkpoints.version(db, "live") == LIVE.version
        await make_history(command_bus, 112, 20)
        await drain(Follower(LIVE, record, db, owner="old"))
        assert (await shadow(LIVE, record, db))[0] == []
        await Rebuild(RAISED, record, db, progress=lambda progress: None).run(swap=True)
        assert await db.value(SELECT_WRONG) == 0


async def test_a_release_does_not_rebuild_what_a_later_one_serves(migrated_url: str) -> None:
    async with ledger(migrated_url) as (db, record, command_bus):
        await make_history(command_bus, 97, 20)
        await project(record, db)
        await Rebuild(RAISED, record, db, progress=lambda progress: None).run(swap=True)
        with pytest.raises(
            RebuildRefusedError, match=r"^live is served in version 4, and this release makes version 3"
        ):
            await Rebuild(LIVE, record, db, progress=lambda progress: None).run(swap=True)
        assert await ask_for_raised(db, [LIVE], {"live": RAISED.version}) == []
        assert len(await ask_for_raised(db, [RAISED], {"live": LIVE.version})) == 1
        assert await ask_for_raised(db, [RAISED], {"live": LIVE.version}) == [], "one is queued"


async def test_a_gateway_is_not_ready_before_its_version_is_served(database_url: str, redis_url: str) -> None:
    async with ledger(database_url) as (db, record, _), gateway(database_url, redis_url) as hansard:
        await project(record, db)
        http = hansard.client()
        assert (await http.get(hansard.base + "/readyz")).json()["read_tables"] == "ok"
        operator = await Database.open(as_login(database_url, "operator"), size=1)
        await operator.run("UPDATE read.checkpoints SET version = version - 1 WHERE name = 'live'")
        answer = await http.get(hansard.base + "/readyz")
        assert answer.status_code == 503
        assert answer.json()["read_tables"] == {"live": "version 2 is served, this release reads 3"}
        await operator.run("UPDATE read.checkpoints SET version = version + 2 WHERE name = 'live'")
        assert (await http.get(hansard.base + "/readyz")).status_code == 200, "a later release serves this one, too"
        await operator.close()


async def test_a_follower_that_was_seen_long_ago_is_not_waited_for(database_url: str) -> None:
    async with ledger(database_url) as (db, _, __):
        assert await followers.may_serve(db, "live", 9), "nobody follows"
        assert await checkpoints.take(db, "live", 3, "old", 30.0) is not None
        assert not await followers.may_serve(db, "live", 9)
        await followers.say(db, "live", 9)
        assert await followers.may_serve(db, "live", 9) and not await followers.may_serve(db, "live", 10)
        await db.run("UPDATE read.followers SET seen_at = seen_at - interval '6 s'")
        assert not await followers.may_serve(db, "live", 9)
