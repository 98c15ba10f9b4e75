"""A record that the first landed version of Hansard wrote is opened, migrated, rebuilt and served by this one.

`first/first.sql.gz` is the whole database of commit cb4502d, the first that answered over HTTP, as `pg_dump --inserts` wrote it
(without what is of one release of Postgres, and the owner's name): three people, three rooms, messages that were edited and
deleted, members who came, left, were promoted and banned, read marks, sessions. `first/files.sql.gz` is that of commit 5552a43, the
first with files: a picture, a text and a broken picture, uploaded, processed and shown. Beside each is what that version answered
to Ada and Ben afterwards, by path.
"""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.database import Database
from domain.topics import kind_of
from domain.tree_head import origin_of
from projections import PROJECTIONS
from runtime.groups import LOGINS
from runtime.migrate import migrate
from runtime.roles import make_groups
from tests.conftest import Servers
from tests.deployments import LOGIN_PASSWORD, PASSWORD, Gateway, Person, as_login, deployment, ledger, notary
from tests.projections.test_read_models import project
from workers.rebuild import Rebuild

FIRST = Path(__file__).parent / "first"
OPEN = ("Hall", "Gallery")  # rooms in which one can still write
SELECT_TOPICS = "SELECT topic FROM record.events ORDER BY position"
SELECT_SUM = "SELECT md5(string_agg(e::text, ',' ORDER BY position)) FROM record.events e"


@asynccontextmanager
async def restored(servers: Servers, kept: str) -> AsyncIterator[str]:
    """The database of that version, as it was left."""
    name = f"first_{uuid4().hex}"
    url = servers.database(name)
    admin = await asyncpg.connect(servers.database("postgres"))
    await admin.execute(f'CREATE DATABASE "{name}"')
    own = await asyncpg.connect(url)
    await make_groups(own)
    await own.execute(gzip.decompress((FIRST / f"{kept}.sql.gz").read_bytes()).decode())
    await own.close()
    try:
        yield url
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


async def logged_in(here: Gateway, name: str) -> Person:
    async with here.client() as http:
        answer = await http.post("/auth/login", json={"email": f"{name}@example.com", "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return Person(here.client(answer.json()["access_token"]), answer.json())


def lacking(now: Any, then: Any, at: str = "") -> list[str]:
    """Say where an answer of today does not hold what was answered then."""
    match now, then:
        case dict(), dict():
            told = [
                name for name in then if not (then.get("deleted") and name == "file_id")
            ]  # that version told it still
            return [found for name in told for found in lacking(now.get(name, "nothing"), then[name], f"{at}/{name}")]
        case list(), list() if len(now) == len(then):
            return [found for i, each in enumerate(then) for found in lacking(now[i], each, f"{at}/{i}")]
    return [] if now == then else [f"{at}: {now}, not {then}"]


@pytest.mark.parametrize(("kept", "events", "kinds"), [("first", 35, 16), ("files", 25, 13)])
async def test_what_the_first_version_wrote_is_opened_rebuilt_and_served(
    servers: Servers, redis_url: str, kept: str, events: int, kinds: int
) -> None:
    answers = json.loads(gzip.decompress((FIRST / f"{kept}.answers.json.gz").read_bytes()))
    async with restored(servers, kept) as url:
        owner = await asyncpg.connect(url)
        written = await owner.fetchval(SELECT_SUM)
        assert await migrate(url, say=lambda sentence: None, logins=dict.fromkeys(LOGINS, LOGIN_PASSWORD)) > 20
        topics = [row["topic"] for row in await owner.fetch(SELECT_TOPICS)]
        assert (len(topics), len(set(topics))) == (events, kinds) and all(kind_of(topic) for topic in topics)
        async with ledger(url) as (db, record, _):
            found = await record.after(0, limit=100)
            assert [recorded.event.topic for recorded in found] == topics and not any(each.erased for each in found)
            await project(record, db)
            operator = await Database.open(as_login(url, "operator"), size=4)
            for group in PROJECTIONS.values():
                await Rebuild(group, record, operator, progress=lambda progress: None).run(swap=True)
                again = await Rebuild(group, record, operator, progress=lambda progress: None).run(swap=False)
                assert [verdict.table for verdict in again if not verdict.is_equal] == []
            await operator.close()
        async with deployment(url, redis_url) as here, notary(url):
            for name, asked in answers.items():
                person = await logged_in(here, name)  # which hashes their password anew, and so changes their account
                for changed in ("version", "updated_at"):
                    asked.get("/users/me", {}).pop(changed, None)
                for path, then in asked.items():
                    assert lacking(await person.ask("GET", path, 200), then) == [], path
                    if path.startswith(("/rooms", "/files")):
                        past = await person.ask("GET", path, 200, params={"as_of": len(topics), **query_of(path)})
                        assert lacking(past, then) == [], f"{path}, as of then"
            [room_id] = {
                then["id"] for asked in answers.values() for then in asked.values() if then.get("name") in OPEN
            }
            assert (await person.say(room_id, "still here"))["position"] > len(topics)
            assert await person.ask("GET", f"/rooms/{room_id}/history", 200)
            signed = await here.services.tiles.newest(origin_of(here.services.record_id))
            assert signed is not None and signed.size >= len(topics)
        left = await owner.fetchval(SELECT_SUM.replace(" e", " e WHERE position <= $1", 1), len(topics))
        assert left == written, "no byte of the old record was touched"
        await owner.close()


def query_of(path: str) -> dict[str, str]:
    """Return the query of a path, which parameters would replace."""
    return dict(part.split("=") for part in path.partition("?")[2].split("&") if part)
