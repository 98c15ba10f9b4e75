"""What administrators see of read tables over HTTP, and rebuilds that they ask for: run by a worker, recorded with who asked."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from structlog.processors import KeyValueRenderer

from adapters.clock import now
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.redis.task_queue import RedisTasks
from commands.account import GrantRole
from domain.events import Caller
from domain.ids import UserId
from domain.ports.record import RecordUnavailableError
from domain.tasks import KINDS, RebuildProjection
from projections import LIVE, PROJECTIONS, checkpoints, parked, projection_states, rebuilds, versions
from projections.parked import Parked
from runtime.operators.projections import rebuild_sentence, sentence
from tests.deployments import MASTER, Gateway, Person, as_login, deployment, ledger, logged, running, until
from tests.projections.test_read_models import project
from tests.projections.test_rebuild_crashes import Interrupted
from workers import rebuild, table_filling
from workers.rebuild_parts import Part, fill_part
from workers.rebuild_runs import Run
from workers.rebuild_tasks import RebuildWorker
from workers.table_swap import RebuildUnderWayError, alone

DIED = """
    UPDATE read.rebuilds SET state = 'running', run_by = 'worker/0', heard_at = clock_timestamp() - interval '2 min' WHERE id = $1
"""


@asynccontextmanager
async def rebuilding(database_url: str, redis_url: str, *, operator: str = "operator") -> AsyncIterator[RebuildWorker]:
    """A worker's loop of rebuilds, with its log-ins, not running."""
    async with ledger(database_url, size=2, kind="worker") as (db, record, _):
        tasks = RedisTasks.open(redis_url, (await record.head()).record, "worker", block_ms=50)
        operators = await Database.open(as_login(database_url, operator), size=4)
        yield RebuildWorker(tasks, record, db, operators, name="worker/1", beat_seconds=0.2, dispatch_seconds=0.05)
        await operators.close()
        await tasks.close()


async def administrator(hansard: Gateway) -> Person:
    ada = await hansard.person()
    await hansard.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), "admin"), Caller())
    return ada


async def ended(who: Person, rebuild_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def has_ended() -> bool:
        found.update(await who.ask("GET", f"/admin/rebuilds/{rebuild_id}", 200))
        return found["state"] in ("done", "failed")

    await until(has_ended)
    return found


async def test_projections_are_listed_with_version_position_lag_and_owner(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard:
        ada = await administrator(hansard)
        await ada.say(await ada.room(), "hello")

        async def is_served() -> bool:
            page = await ada.ask("GET", "/admin/projections", 200)
            return all(each["state"] == "served" and each["owner"] for each in page["items"])

        await until(is_served)
        items = (await ada.ask("GET", "/admin/projections", 200))["items"]
        assert [each["name"] for each in items] == list(PROJECTIONS)
        live = items[0]
        assert (live["version"], live["served_version"], live["rebuild"]) == (LIVE.version, LIVE.version, None)
        assert live["position"] > 0 and live["parked_events"] == 0 and live["lag_seconds"] >= 0
        text = (await ada.http.get(hansard.base + "/metrics")).text
        assert f'hansard_projection_version{{group="live"}} {LIVE.version}.0' in text
        assert 'hansard_projection_waiting_seconds{group="live"} ' in text and "hansard_rebuild_position{" not in text
    reads = [event for event in await all_events(database_url) if event.topic == "operations.read"]
    assert {(str(each.admin_id), each.path) for each in reads} == {(ada.id, "/api/v1/admin/projections")}


async def test_an_administrator_sees_how_the_whole_deployment_does(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard:
        ada = await administrator(hansard)
        assert (await ada.ask("GET", "/users/me/roles", 200))["roles"] == ["admin"]
        assert (await (await hansard.person()).ask("GET", "/users/me/roles", 200))["roles"] == []
        said = await ada.say(await ada.room(), "hello")
        before = await ada.ask("GET", "/admin/stats", 200)
        assert before["position"] >= said["position"] and before["redis"] is True
        assert [each["name"] for each in before["projections"]] == list(PROJECTIONS)
        assert before["keys"]["signing_keys"] >= 1 and before["notary"]["witnessed_position"] is None
        assert (
            0 < before["disk"]["free_bytes"] <= before["disk"]["total_bytes"] and before["disk"]["database_bytes"] > 0
        )
        assert {(each["kind"], each["queued"], each["later"]) for each in before["tasks"]} == {
            (kind, 0, 0) for kind in KINDS
        }
        up = await ada.upload(b"text", "a.txt")  # nobody works here: it waits for the scanner
        rebuild = await ada.ask("POST", "/admin/projections/live/rebuild", 202, json={})
        await ada.ask("GET", "/nowhere", 404)

        async def is_seen() -> bool:
            found.update(await ada.ask("GET", "/admin/stats", 200))
            return bool(found["files"]["unscanned"])

        found: dict[str, Any] = {}
        await until(is_seen)
        assert found["files"]["unscanned"] == 1 and found["files"]["failed"] == [] and up["id"]
        assert {each["kind"]: each["queued"] for each in found["tasks"]}["rebuild"] == 1
        assert found["projections"][0]["rebuild"]["id"] == rebuild["id"]
        assert found["gateway"]["requests"] - before["gateway"]["requests"] >= 4 and found["gateway"]["faults"] == 0
        assert found["gateway"]["id"] == before["gateway"]["id"], "counters of one start can be compared"
        assert found["position"] > before["position"] and found["at"] > before["at"]
    reads = [event for event in await all_events(database_url) if event.topic == "operations.read"]
    assert {(str(each.admin_id), each.path) for each in reads} == {(ada.id, "/api/v1/admin/stats")}


async def test_a_rebuild_that_an_administrator_asks_for_is_run_by_a_worker(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard, rebuilding(database_url, redis_url) as worker:
        ada = await administrator(hansard)
        await ada.say(await ada.room(), "hello")
        asked = await ada.ask("POST", "/admin/projections/live/rebuild", 202, json={})
        assert (asked["state"], asked["projection"], asked["shadow"], asked["asked_by"]) == (
            "queued",
            "live",
            False,
            ada.id,
        )
        again = await ada.ask("POST", "/admin/projections/live/rebuild", 409, json={})
        assert again["code"] == "rebuild.under_way"
        listed = (await ada.ask("GET", "/admin/projections", 200))["items"][0]
        assert listed["rebuild"]["id"] == asked["id"]
        async with running(worker.run()):
            done = await ended(ada, asked["id"])
            assert done["state"] == "done" and done["error"] is None and done["position"] > 0
            assert {table["table"] for table in done["tables"]} == {table.name for table in LIVE.tables}
            assert all(table["is_equal"] and table["is_swapped"] for table in done["tables"])
            shadow = await ada.ask("POST", "/admin/projections/message_html/rebuild", 202, json={"shadow": True})
            compared = await ended(ada, shadow["id"])
            assert not any(table["is_swapped"] for table in compared["tables"])
    asks = [event for event in await all_events(database_url) if event.topic == "rebuild.asked"]
    assert [(str(each.admin_id), each.projection, each.shadow) for each in asks] == [
        (ada.id, "live", False), (ada.id, "message_html", True),
    ]  # fmt: skip


async def test_a_rebuild_is_divided_among_as_many_jobs_as_are_asked_for(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "DIVIDED_EVENTS_MIN", 1)
    parts: list[tuple[int, int]] = []
    async with deployment(database_url, redis_url) as hansard, rebuilding(database_url, redis_url) as worker:
        operators = PostgresRecord(worker._operator, Vault(worker._operator, MASTER), now=now, chance=os.urandom)

        async def fill(part: Part, come_to: Callable[[int], None]) -> None:
            parts.append((part.number, part.parts))
            await fill_part(LIVE, operators, worker._operator, part, come_to)

        worker._fill = fill
        ada = await administrator(hansard)
        await ada.say(await ada.room(), "hello")
        await hansard.settled()  # a rebuild begins where the served tables are
        for jobs in (0, 9, "2"):
            await ada.ask("POST", "/admin/projections/live/rebuild", 422, json={"jobs": jobs})
        asked = await ada.ask("POST", "/admin/projections/live/rebuild", 202, json={"jobs": 2})
        assert asked["jobs"] == 2
        async with running(worker.run()):
            done = await ended(ada, asked["id"])
        assert (done["state"], done["jobs"]) == ("done", 2) and all(table["is_equal"] for table in done["tables"])
        assert sorted(parts) == [(0, 2), (1, 2)]
    asks = [event.jobs for event in await all_events(database_url) if event.topic == "rebuild.asked"]
    assert asks == [2]


async def test_what_redis_lost_is_found_in_the_table_and_what_may_not_be_done_is_said(
    database_url: str, redis_url: str
) -> None:
    async with deployment(database_url, redis_url) as hansard:
        ada = await administrator(hansard)
        await ada.say(await ada.room(), "hello")
        asked = await ada.ask("POST", "/admin/projections/live/rebuild", 202, json={})
        async with rebuilding(database_url, redis_url, operator="worker") as worker:
            await worker._tasks._redis.delete(worker._tasks._stream("rebuild"), worker._tasks._known)
            async with running(worker.run()):
                failed = await ended(ada, asked["id"])
        assert failed["state"] == "failed" and "HANSARD_REBUILD_URL" in failed["error"]
        asked = await ada.ask("POST", "/admin/projections/live/rebuild", 202, json={})
        async with rebuilding(database_url, redis_url) as worker, running(worker.run()):
            assert (await ended(ada, asked["id"]))["state"] == "done"


async def test_what_a_dead_worker_left_is_gone_on_with_by_the_next_under_the_same_id(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_filling, "LAST_STRETCH_EVENTS", 0)
    monkeypatch.setattr(table_filling, "REBUILD_BATCH_EVENTS_MAX", 2)
    monkeypatch.setattr(table_filling, "REBUILD_COMMIT_EVENTS_MIN", 2)
    async with deployment(database_url, redis_url) as hansard, rebuilding(database_url, redis_url) as worker:
        ada = await administrator(hansard)
        await ada.say(await ada.room(), "hello")
        await hansard.settled()
        asked = await ada.ask("POST", "/admin/projections/live/rebuild", 202, json={})
        with pytest.raises(RecordUnavailableError):
            await Interrupted(LIVE, worker._record, worker._operator, progress=lambda progress: None).run(swap=True)
        await worker._db.run(DIED, UUID(asked["id"]))
        await worker._tasks._redis.delete(worker._tasks._stream("rebuild"), worker._tasks._known)
        assert (await ada.ask("GET", f"/admin/rebuilds/{asked['id']}", 200))["state"] == "interrupted"
        with logged(KeyValueRenderer()) as said:
            async with running(worker.run()):
                assert (await ended(ada, asked["id"]))["state"] == "done"
        assert "live: going on with the rebuild of " in said.getvalue()
        assert "which came to position 4." in said.getvalue()


async def test_rebuilds_of_the_command_line_are_listed_and_one_that_gives_way_leaves_nothing(database_url: str) -> None:
    async with ledger(database_url) as (db, record, _):
        await project(record, db)
        run = Run(LIVE, record, db, run_by="one/1")
        async with alone(db, LIVE):
            with pytest.raises(RebuildUnderWayError):
                await run.run(swap=True)
            assert await rebuilds.under_way(db) == []
        assert all(verdict.swapped for verdict in await run.run(swap=True))
        row_id = await db.value("SELECT id FROM read.rebuilds")
        row = await rebuilds.of(db, row_id)
        assert row and (row.state, row.asked_by, row.is_by_hand, row.run_by) == ("done", None, True, "one/1")
        assert {table.table for table in row.tables} == {table.name for table in LIVE.tables}


async def test_one_of_the_command_line_is_not_gone_on_with_by_a_worker(database_url: str, redis_url: str) -> None:
    async with rebuilding(database_url, redis_url) as worker:
        mine, older = UUID(int=7), UUID(int=8)
        assert await rebuilds.ask(worker._operator, mine, "live", version=LIVE.version, is_shadow=False, by_hand=True)
        await worker._db.run(DIED, mine)
        assert await rebuilds.ask(worker._operator, older, "message_html", version=1, is_shadow=False)
        assert await checkpoints.take(worker._db, "message_html", 2, "one", 3) is not None
        assert await worker.dispatch() == 0
        ends = {each: await rebuilds.of(worker._db, each) for each in (mine, older)}
        assert [row and (row.state, row.fault) for row in ends.values()] == [
            ("failed", "It was interrupted; the next rebuild goes on with what it made."),
            ("failed", "A later version is served."),
        ]


async def test_a_run_that_lost_a_rebuild_to_another_one_says_nothing_of_it(database_url: str) -> None:
    async def tell(run_by: str, position: int, *, takes: bool = False) -> None:
        await rebuilds.tell(
            db, mine, run_by=run_by, began=0, position=position, total=90, seconds=1.0, doing="filling", takes=takes
        )

    async def found() -> tuple[str, str | None, int, str | None, bool]:
        row = await rebuilds.of(db, mine)
        assert row is not None
        return row.state, row.run_by, row.position, row.fault, row.ended_at is None

    async with ledger(database_url, size=2) as (db, _, __):
        mine = UUID(int=7)
        assert await rebuilds.ask(db, mine, "live", version=LIVE.version, is_shadow=False)
        await tell("one/1", 10, takes=True)
        await rebuilds.end(db, mine, "failed", [], "It was silent.")
        assert await found() == ("failed", "one/1", 10, "It was silent.", False)
        await tell("one/1", 20)
        assert await found() == ("running", "one/1", 20, None, True), "it is heard of again"
        await tell("two/2", 30, takes=True)
        await tell("one/1", 40)
        await rebuilds.end(db, mine, "failed", [], "Somebody else's.", run_by="one/1")
        assert await found() == ("running", "two/2", 30, None, True)
        await rebuilds.end(db, mine, "done", [], run_by="two/2")
        assert await found() == ("done", "two/2", 30, None, False)


async def test_a_rebuild_that_waits_says_for_what(database_url: str, redis_url: str) -> None:
    async with rebuilding(database_url, redis_url) as worker, alone(worker._operator, LIVE):
        running_one, of_others = UUID(int=7), UUID(int=8)
        assert await rebuilds.ask(worker._operator, running_one, "live", version=LIVE.version, is_shadow=False)
        tasks = (
            RebuildProjection(running_one, "live", LIVE.version),
            RebuildProjection(of_others, "live", LIVE.version + 1),
        )
        assert await worker._tasks.add(*tasks) == 2
        for _ in tasks:
            await until(worker.step)
        assert {each.name.split()[-1]: each.error for each in await worker._tasks.listed()} == {
            str(running_one): "Another rebuild of this projection runs; this one waits for its end.",
            str(of_others): "It is for the workers of the release that makes this version of the tables.",
        }


async def test_what_is_parked_is_counted_by_group(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard, ledger(database_url, size=2) as (db, _, __):
        ada = await administrator(hansard)
        await parked.park(db, "live", [Parked(at, "message.posted", "ValueError") for at in (1, 2)])
        await parked.park(db, "live", [Parked(3, "message.posted", "ValueError")], is_building=True)
        items = (await ada.ask("GET", "/admin/projections", 200))["items"]
        assert {each["name"]: each["parked_events"] for each in items} == dict.fromkeys(PROJECTIONS, 0) | {"live": 2}
        texts = [sentence(each) for each in await projection_states.of(db, versions(time_travel=True))]
        assert [text.endswith(", 2 parked.") for text in texts] == [name == "live" for name in PROJECTIONS]


async def test_the_command_line_says_the_same(database_url: str) -> None:
    async with ledger(database_url, size=2) as (db, _, __):
        found = await projection_states.of(db, versions(time_travel=True))
        assert sentence(found[0]) == f"live: not followed, version {LIVE.version}, at position 0, followed by nobody."
        rebuild_id = UUID(int=7)
        assert await rebuilds.ask(db, rebuild_id, "live", version=3, is_shadow=False)
        await rebuilds.tell(
            db, rebuild_id, run_by="one/1", began=0, position=500, total=2_000, seconds=5.0, doing="filling", takes=True
        )
        [row] = await rebuilds.under_way(db)
        assert rebuild_sentence(row) == (
            f"rebuild of live: filling, at 500 of 2,000 events, 100/s, 15 s left, run by one/1 ({rebuild_id})."
        )


async def all_events(database_url: str) -> list[Any]:
    async with ledger(database_url, size=2) as (_, record, __):
        return [recorded.event for recorded in await record.after(0, limit=10_000)]
