import time

from projections import PAST, past_messages, past_rooms
from tests.conftest import Servers, fresh_database
from tests.projections.test_read_models import small_step
from tests.runtime.test_generating import generated
from workers.projector import Follower


async def test_cost(servers: Servers) -> None:
    without = PAST._replace(projections=(past_rooms.PROJECTION, past_messages.PROJECTION))
    for size in (300, 40):
        async with fresh_database(servers) as url, generated(url, events=5_000, seed=5) as (db, record, _):
            head = (await record.head()).position
            out = {}
            for name, group in (("without", without), ("with", PAST)):
                await db.run(
                    "TRUNCATE read.past_rooms, read.past_roles, read.past_stays, read.past_member_counts, read.room_changes, read.past_reactions, read.past_pins, read.past_deletions, read.past_places"
                )
                await db.run("DELETE FROM read.checkpoints WHERE name='past'")
                follower = Follower(group, record, db, owner="x" + name)
                await small_step(follower, record, size)
                began, cpu = time.perf_counter(), time.process_time()
                while follower.lease is None or follower.lease.position < head:
                    await small_step(follower, record, size)
                out[name] = (time.perf_counter() - began, time.process_time() - cpu)
            n = await db.value("SELECT count(*) FROM read.past_places")
            await db.run("VACUUM read.past_places")
            sizes = await db.value(
                "SELECT pg_table_size('read.past_places')::text || ' ' || pg_indexes_size('read.past_places')::text"
            )
            await db.run("VACUUM FULL read.past_places")
            full = await db.value(
                "SELECT pg_table_size('read.past_places')::text || ' ' || pg_indexes_size('read.past_places')::text"
            )
            rec = await db.value("SELECT pg_total_relation_size('record.events')")
            print(
                "COST",
                size,
                head,
                n,
                out,
                "us per message",
                (out["with"][0] - out["without"][0]) / n * 1e6,
                (out["with"][1] - out["without"][1]) / n * 1e6,
                sizes,
                full,
                rec,
                flush=True,
            )
