"""Scans: where bytes of a phrase still are: in every row of every table, every key of Redis, every file of a folder, and an
export."""

from collections.abc import Collection, Iterator
from email import message_from_bytes
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import asyncpg
from redis.asyncio import Redis

SELECT_TABLES = """
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_|^information_schema$' ORDER BY 1
"""
SELECT_FILES = """
    SELECT DISTINCT pg_relation_filepath(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'i', 't') AND n.nspname !~ '^pg_(?!toast)|^information_schema$'
"""


def phrases_in(text: bytes, phrases: Collection[str]) -> set[str]:
    """Return the phrases that are in these bytes: as they are, as JSON escapes nothing of them, or as Postgres shows bytes."""
    lowered = text.lower()
    return {each for each in phrases if each.encode() in lowered or each.encode().hex().encode() in lowered}


async def in_tables(owner: asyncpg.Connection, phrases: Collection[str]) -> dict[str, set[str]]:
    """Return the phrases in the live rows of each table that has any."""
    found: dict[str, set[str]] = {}
    for (table,) in await owner.fetch(SELECT_TABLES):
        for (row,) in await owner.fetch(f"SELECT t::text FROM {table} t"):
            if here := phrases_in(row.encode(), phrases):
                found.setdefault(table, set()).update(here)
    return found


async def in_heap(owner: asyncpg.Connection, phrases: Collection[str]) -> dict[str, set[str]]:
    """Return the phrases in the files of tables and indexes, once they were written anew without dead rows."""
    await owner.execute("VACUUM FULL")
    await owner.execute("CHECKPOINT")
    folder = Path(await owner.fetchval("SHOW data_directory"))
    files = [folder / path for (path,) in await owner.fetch(SELECT_FILES)]
    return {str(each): here for each in files if each.exists() and (here := phrases_in(each.read_bytes(), phrases))}


async def in_reach_of_the_log(owner: asyncpg.Connection, phrases: Collection[str]) -> set[str]:
    """Return the phrases in the write-ahead log from where a recovery would begin."""
    await owner.execute("CHECKPOINT")
    begin = await owner.fetchval("SELECT redo_lsn FROM pg_control_checkpoint()")
    name, offset = await owner.fetchrow("SELECT * FROM pg_walfile_name_offset($1)", begin)
    folder = Path(await owner.fetchval("SHOW data_directory")) / "pg_wal"
    return phrases_in((folder / name).read_bytes()[offset:], phrases)


async def in_redis(url: str, phrases: Collection[str]) -> dict[str, set[str]]:
    """Return the phrases in each key of Redis that has any, its name included."""
    redis = Redis.from_url(url, protocol=2)
    try:
        found: dict[str, set[str]] = {}
        async for key in redis.scan_iter():
            if here := phrases_in(key + repr(await _value(redis, key)).encode(), phrases):
                found[key.decode()] = here
        return found
    finally:
        await redis.aclose()


async def _value(redis: Any, key: bytes) -> Any:
    match (await redis.type(key)).decode():
        case "string":
            return await redis.get(key)
        case "hash":
            return await redis.hgetall(key)
        case "stream":
            return await redis.xrange(key)
        case "zset":
            return await redis.zrange(key, 0, -1)
        case "set":
            return await redis.smembers(key)
        case "list":
            return await redis.lrange(key, 0, -1)
        case other:
            raise AssertionError(f"what is a {other}?")


def in_files(folder: Path, phrases: Collection[str]) -> dict[str, set[str]]:
    """Return the phrases in each file below a folder that has any."""
    return {
        str(each): here
        for each in _files(folder)
        if (here := phrases_in(each.read_bytes() + each.name.encode(), phrases))
    }


def in_package(package: bytes, phrases: Collection[str]) -> dict[str, set[str]]:
    """Return the phrases in each member of an export that has any: of archives in it and of parts of mails that are Base64, too."""
    found: dict[str, set[str]] = {}
    with ZipFile(BytesIO(package)) as archive:
        for name in archive.namelist():
            found |= {f"{name}/{inner}": here for inner, here in _in_member(name, archive.read(name), phrases).items()}
    return found


def _in_member(name: str, content: bytes, phrases: Collection[str]) -> dict[str, set[str]]:
    if content.startswith(b"PK"):
        return in_package(content, phrases)
    parts = [content]
    if name.endswith((".eml", ".rsmf")):
        parts += [bytes(part.get_payload(decode=True) or b"") for part in message_from_bytes(content).walk()]
    found: dict[str, set[str]] = {}
    for number, part in enumerate(parts):
        if part is not content and part.startswith(b"PK"):
            found |= in_package(part, phrases)
        elif here := phrases_in(part + name.encode(), phrases):
            found[str(number)] = here
    return found


def _files(folder: Path) -> Iterator[Path]:
    return (each for each in folder.rglob("*") if each.is_file())
