"""Erasure as a whole: nothing that a person left is found anywhere afterwards, the record is whole, and the certificate says so."""

import asyncio

import asyncpg
from structlog.processors import JSONRenderer

from tests.deployments import logged
from tests.erasure import scans
from tests.erasure.deployments import ask_erasure, house
from tests.erasure.planting import planted

LET_GO = "UPDATE files.holds SET until = clock_timestamp() - interval '1 second' WHERE NOT condemned"


async def test_none_of_fifty_phrases_is_anywhere_after_an_erasure(database_url: str, redis_url: str) -> None:
    with logged(JSONRenderer()) as written:
        async with house(database_url, redis_url) as here:
            made = await planted(here.hansard)
            owner = await asyncpg.connect(database_url)
            before = await scans.in_tables(owner, made.phrases)
            assert {"read.messages", "read.message_html", "read.users", "read.files"} <= before.keys()
            assert len(set().union(*before.values())) > 30, "the scan finds what is there"
            erasure_id = await ask_erasure(made.person)
            await owner.execute(LET_GO)  # what was uploaded is held for an hour
            async with asyncio.timeout(60):
                while not await here.eraser.step(at_once=True):
                    pass
            assert await scans.in_tables(owner, made.phrases) == {}
            assert await scans.in_heap(owner, made.phrases) == {}
            assert await scans.in_reach_of_the_log(owner, made.phrases) == set()
            assert await scans.in_redis(redis_url, made.phrases) == {}
            assert scans.in_files(here.blobs, made.phrases) == {}
            await owner.close()
            seen = (await here.hansard.client().get(f"/erasures/{erasure_id}")).json()
            assert (seen["status"], seen["held_by"]) == ("completed", [])
    assert scans.phrases_in(written.getvalue().encode(), made.phrases) == set()
