"""`hansard backup` and `hansard restore`: what is refused with which sentence, and nothing written then; and what a restore into a
database of one's own does. `test_restored_home.py` restores a whole home, and serves it."""

import argparse
import asyncio
import io
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest

from adapters.clock import now
from adapters.postgres.key_destruction import live_keys
from adapters.postgres.master_key import MasterKeyWrongError
from adapters.postgres.master_key_check import require_right
from commands.account import GrantRole, RegisterAccount
from commands.erasure import CondemnKeys, RequestErasure, sealed_by
from commands.retention import ApplyRetention, DueKey, SetRetention
from domain.events import Caller
from domain.ids import UserId
from domain.restoration import RecordRestored
from runtime.command import MisusedError
from runtime.composition.process_context import process_context
from runtime.embedded.children import process_state
from runtime.migrate import MigrationRefusedError
from runtime.operators import backup, keys, restore
from runtime.operators.backups.contents import KEY_SCHEMAS, LEFT_OUT, RECORD_SCHEMAS
from runtime.operators.backups.folders import require_room
from runtime.operators.backups.manifest import BackupRefusedError
from runtime.operators.backups.tools import find
from runtime.operators.progress import CountShown
from runtime.restoring import BEGIN_RESTORING, NOTE_BACKUP, RecordNotRestoredError
from runtime.settings import Settings
from tests.commands.test_desk import person, post, room_of
from tests.conftest import Servers, fresh_database
from tests.deployments import MASTER, SECRET, as_login, ledger, notary
from tests.ports import free_port
from tests.runtime.test_up import System

PEOPLE = 5
SELECT_UNMADE = "SELECT count(*) FROM vault.data_keys WHERE key_id NOT IN (SELECT key_id FROM record.made_keys)"


class Made(NamedTuple):
    """A backup, the keys of a later one, and the record that both were made of."""

    folder: Path
    keys: Path
    later_keys: Path
    record: UUID


@pytest.fixture(scope="module")
def made(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A backup of a record of five people; the first one's key was destroyed before, and the second one's before the later backup."""
    return asyncio.run(_made(servers, tmp_path_factory.mktemp("backup")))


async def _made(servers: Servers, place: Path) -> Made:
    async with fresh_database(servers) as url:
        people = [UserId(uuid4()) for _ in range(PEOPLE)]
        async with ledger(url) as (db, record, command_bus):
            await require_right(db, MASTER, place, keep=True)
            for number, user_id in enumerate(people):
                await command_bus.do(RegisterAccount(user_id, f"p{number}@example.com", f"p{number}", "x"), Caller())
            head = await record.head()
        blobs = place / "home" / "files" / "blobs" / "2c"
        blobs.mkdir(parents=True)
        (blobs / "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824").write_text("hello")
        await destroy(url, people[0])
        settings = Settings(home=place / "home", database_url=as_login(url, "operator"))
        assert await backup.run(settings, asked(place / "record", keys=place / "keys")) == 0
        async with ledger(url) as (_, _, command_bus):
            await command_bus.do(RegisterAccount(UserId(uuid4()), "later@example.com", "later", "x"), Caller())
        await destroy(url, people[1])
        assert await backup.run(settings, asked(place / "later", keys=place / "later keys")) == 0
        return Made(place / "record", place / "keys", place / "later keys", head.record)


def asked(folder: Path | None, **options: object) -> argparse.Namespace:
    """Return what was typed, with the defaults of both commands."""
    defaults: dict[str, object] = {
        "keys": None,
        "files": "copy",
        "jobs": 2,
        "destroyed": [],
        "key": None,
        "in_place": False,
    }
    return argparse.Namespace(folder=folder, **(defaults | options))


async def destroy(url: str, user_id: UserId) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute("UPDATE vault.data_keys SET wrapped = NULL WHERE subject = $1", user_id)
    await owner.close()


@asynccontextmanager
async def empty_database(servers: Servers) -> AsyncIterator[str]:
    name = f"r_{uuid4().hex}"
    admin = await asyncpg.connect(servers.database("postgres"))
    await admin.execute(f'CREATE DATABASE "{name}"')
    try:
        yield servers.database(name)
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Made:
    """The backup, in folders that a test may spoil."""
    return made._replace(
        folder=Path(shutil.copytree(made.folder, tmp_path / "record")),
        keys=Path(shutil.copytree(made.keys, tmp_path / "keys")),
    )


def master_key(folder: Path, secret: bytes = SECRET) -> Path:
    path = folder / "master.key"
    path.write_text(secret.hex())
    path.chmod(0o600)
    return path


def into(folder: Path, url: str) -> Settings:
    """Return the settings of a restore into a database of one's own."""
    return Settings(
        home=folder / "home",
        master_key_file=master_key(folder),
        migration_url=url,
        database_url=as_login(url, "operator"),
    )


async def test_a_restore_gives_another_record_with_the_same_events_that_says_what_it_was(
    made: Made, servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((made.folder / "manifest.json").read_text())
    assert (manifest["record"], manifest["position"]) == (str(made.record), PEOPLE)
    async with empty_database(servers) as url:
        settings = into(tmp_path, url)
        assert await restore.run(settings, asked(made.folder, keys=made.keys)) == 0
        said = capsys.readouterr().out
        assert f"Restored the first {PEOPLE} events of the record {made.record}" in said
        async with process_context(settings) as base:
            head = await base.record.head()
            events = await base.record.after(0, limit=100)
            named = await base.db.value("SELECT count(*) FROM read.users WHERE username <> ''")
            told_to = await base.db.value("SELECT position FROM notify.place")
        assert head.record != made.record and f"The record is {head.record} now" in said
        told = events[PEOPLE].event
        assert isinstance(told, RecordRestored) and len(events) == PEOPLE + 1
        assert (told.record_before, told.position, told.root) == (made.record, PEOPLE, manifest["root"])
        assert str(told.backup) == manifest["backup"] and named == PEOPLE - 1
        assert told_to == PEOPLE, "nobody is told what was said before the backup"
        assert [event.erased for event in events] == [True, *[False] * PEOPLE]
        stored = list((tmp_path / "home" / "files" / "blobs").rglob("2cf24*"))
        assert [path.read_text() for path in stored] == ["hello"]
        with pytest.raises(BackupRefusedError, match="The database is not empty"):
            await restore.run(settings, asked(made.folder, keys=made.keys))


async def test_keys_that_were_destroyed_since_stay_destroyed(
    made: Made, servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the keys of a later backup, or by a list of them."""
    async with empty_database(servers) as url, empty_database(servers) as other:
        settings = into(tmp_path, url)
        assert await restore.run(settings, asked(made.folder, keys=made.later_keys)) == 0
        capsys.readouterr()
        async with process_context(settings) as base:
            events = await base.record.after(0, limit=100)
            assert await base.db.value(SELECT_UNMADE) == 0
        assert [event.erased for event in events] == [True, True, *[False] * (PEOPLE - 1)]
        assert await keys.destroyed(settings) == 0
        (tmp_path / "destroyed").write_text(capsys.readouterr().out)
        settings = into(tmp_path, other)
        typed = asked(made.folder, keys=made.keys, destroyed=[tmp_path / "destroyed"])
        assert await restore.run(settings, typed) == 0
        assert "1 data keys that the backup still had were destroyed" in capsys.readouterr().out
        async with process_context(settings) as base:
            events = await base.record.after(0, limit=100)
        assert [event.erased for event in events] == [True, True, *[False] * (PEOPLE - 1)]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def largest(folder: Path) -> Path:
    return max((path for path in folder.rglob("*.dat.gz")), key=lambda path: path.stat().st_size)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def altered(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


SPOILT: dict[str, tuple[Callable[[Made], object], str]] = {
    "a flipped bit in the events": (lambda m: flip(largest(m.folder / "record")), "is not what was backed up"),
    "a flipped bit in the keys": (lambda m: flip(largest(m.keys / "keys")), "is not what was backed up"),
    "a file that is shorter": (lambda m: truncate(m.folder / "record" / "toc.dat"), "were backed up"),
    "a missing file": (lambda m: largest(m.folder / "record").unlink(), "is missing: this backup is not whole"),
    "an altered blob": (lambda m: flip(next(m.folder.rglob("2cf24*"))), "is not what its name says"),
    "a missing blob": (lambda m: next(m.folder.rglob("2cf24*")).unlink(), "is missing: this backup is not whole"),
    "no manifest": (lambda m: (m.folder / "manifest.json").unlink(), "it was broken off, or is something else"),
    "no keys": (lambda m: shutil.rmtree(m.keys), "is no backup: there is nothing"),
    "a record for keys": (lambda m: shutil.copy(m.folder / "manifest.json", m.keys / "manifest.json"), "is not what a backup wrote"),
    "another record's keys": (lambda m: altered(m.keys / "manifest.json", record=str(UUID(int=1))), "name its keys with --keys"),
    "earlier keys": (lambda m: altered(m.keys / "manifest.json", position=1), "Take keys of the same backup, or of a later one"),
    "a later format": (lambda m: altered(m.folder / "manifest.json", format=2), "was made by a later release"),
    "a file outside": (
        lambda m: altered(m.folder / "manifest.json", files=[{"path": "../keys/destroyed", "size": 0, "sha256": ""}]),
        "names a file outside of its folder",
    ),
    "no list": (lambda m: (m.keys / "destroyed").write_text("erased"), "were backed up"),
}  # fmt: skip


@pytest.mark.parametrize("how", SPOILT)
async def test_a_backup_that_is_not_whole_is_refused_and_nothing_is_written(
    how: str, copied: Made, tmp_path: Path
) -> None:
    spoil, says = SPOILT[how]
    spoil(copied)
    settings = Settings(home=tmp_path / "home", master_key_file=master_key(tmp_path))
    with pytest.raises(BackupRefusedError, match=says):
        await restore.run(settings, asked(copied.folder, keys=copied.keys))
    assert not settings.home.exists()


async def test_another_master_key_a_later_migration_and_a_home_with_a_database_are_refused(
    copied: Made, tmp_path: Path
) -> None:
    typed = asked(copied.folder, keys=copied.keys)
    settings = Settings(
        home=tmp_path / "home", master_key_file=master_key(tmp_path, b"another master key, of 32 bytes!")
    )
    with pytest.raises(MasterKeyWrongError, match="is not the one of this backup"):
        await restore.run(settings, typed)
    settings.master_key_file.unlink()
    with pytest.raises(MasterKeyWrongError, match="There is no master key at"):
        await restore.run(settings, typed)
    assert not settings.home.exists()
    master_key(tmp_path)
    (settings.home / "postgres").mkdir(parents=True)
    with pytest.raises(BackupRefusedError, match="There is a database in"):
        await restore.run(settings, typed)
    migrations = [{"number": 9999, "sha256": "x"}]
    altered(copied.folder / "manifest.json", migrations=migrations)
    with pytest.raises(MigrationRefusedError, match="A newer release brought the database to migration 9999"):
        await restore.run(settings, typed)
    assert list((settings.home / "postgres").iterdir()) == []


async def test_what_was_restored_is_hashed_again_and_what_differs_does_not_serve(
    copied: Made, servers: Servers, tmp_path: Path
) -> None:
    altered(copied.folder / "manifest.json", root="00" * 32)
    async with empty_database(servers) as url:
        settings = into(tmp_path, url)
        with pytest.raises(BackupRefusedError, match="the root of its tree is another"):
            await restore.run(settings, asked(copied.folder, keys=copied.keys))
        with pytest.raises(RecordNotRestoredError, match="drop the database"):
            async with process_context(settings):
                pass


async def test_an_embedded_database_is_removed_again_if_what_was_restored_differs(copied: Made, tmp_path: Path) -> None:
    altered(copied.folder / "manifest.json", root="00" * 32)
    settings = Settings(home=tmp_path / "home", master_key_file=master_key(tmp_path))
    with pytest.raises(BackupRefusedError, match="the root of its tree is another"):
        await restore.run(settings, asked(copied.folder, keys=copied.keys))
    assert {path.name for path in settings.home.iterdir()} == {"lock", "logs"}


async def test_a_restore_needs_the_database_for_itself(made: Made, servers: Servers, tmp_path: Path) -> None:
    async with empty_database(servers) as url:
        somebody = await asyncpg.connect(url)
        with pytest.raises(BackupRefusedError, match="1 other sessions are connected"):
            await restore.run(into(tmp_path, url), asked(made.folder, keys=made.keys))
        assert await somebody.fetchval("SELECT to_regnamespace('record') IS NULL")
        await somebody.close()


async def test_a_backup_goes_into_empty_folders_with_its_keys_apart(database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", database_url=as_login(database_url, "operator"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    for typed in (asked(tmp_path / "full"), asked(tmp_path / "new", keys=tmp_path / "full")):
        with pytest.raises(BackupRefusedError, match="perhaps a backup that was broken off"):
            await backup.run(settings, typed)
    for within in (tmp_path / "new", tmp_path / "new" / "keys", tmp_path):
        with pytest.raises(Exception, match="The keys go into a folder of their own"):
            await backup.run(settings, asked(tmp_path / "new", keys=within))
    assert not (tmp_path / "new").exists() and not settings.home.exists()
    with pytest.raises(BackupRefusedError, match=r"There is no pg_dump of Postgres 99 or newer \(.*pg_dump is \d+"):
        await find("pg_dump", 99)


async def test_files_are_linked_or_listed_and_those_on_s3_are_named(
    made: Made, database_url: str, tmp_path: Path
) -> None:
    assert next(made.folder.rglob("2cf24*")).stat().st_nlink == 3, "in the store and in two backups"
    blobs = tmp_path / "home" / "files" / "blobs" / "2c"
    blobs.mkdir(parents=True)
    (blobs / f"2cf24{'0' * 59}").write_text("hello")
    url = as_login(database_url, "operator")
    for settings, how, expected in (
        (
            Settings(home=tmp_path / "home", database_url=url),
            "list",
            ["listed", str(tmp_path / "home" / "files"), 1, 5],
        ),
        (
            Settings(home=tmp_path / "home", database_url=url, blobs_url="s3://bucket/x"),
            "copy",
            ["elsewhere", "s3://bucket/x", 0, 0],
        ),
    ):
        assert await backup.run(settings, asked(tmp_path / how, files=how)) == 0
        found = json.loads((tmp_path / how / "manifest.json").read_text())["blobs"]
        assert [found[name] for name in ("how", "where", "count", "size")] == expected
        assert not (tmp_path / how / "blobs").exists()


async def test_a_record_that_is_not_what_was_signed_is_backed_up_and_one_with_a_hole_is_not(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(home=tmp_path / "home", database_url=as_login(database_url, "operator"))
    async with ledger(database_url) as (db, _, command_bus):
        await require_right(db, MASTER, tmp_path, keep=True)
        for name in ("ada", "ben"):
            await command_bus.do(RegisterAccount(UserId(uuid4()), f"{name}@example.com", name, "x"), Caller())
    async with notary(database_url):
        pass
    assert await backup.run(settings, asked(tmp_path / "good")) == 0
    assert json.loads((tmp_path / "good" / "manifest.json").read_text())["checkpoint"].startswith("hansard/")
    superuser = await asyncpg.connect(database_url)
    await superuser.execute("SET session_replication_role = replica")
    await superuser.execute("UPDATE record.events SET recorded_at = recorded_at - interval '1 day' WHERE position = 1")
    capsys.readouterr()
    assert await backup.run(settings, asked(tmp_path / "altered")) == 3
    assert "The record is NOT what was signed" in capsys.readouterr().err
    await superuser.execute("DELETE FROM record.events WHERE position = 1")
    await superuser.close()
    with pytest.raises(BackupRefusedError, match="There is no event at position 1, and the record goes on to 2"):
        await backup.run(settings, asked(tmp_path / "with a hole"))
    assert not (tmp_path / "with a hole").exists() and not (tmp_path / "with a hole-keys").exists()


async def test_every_table_is_backed_up_or_is_said_not_to_be(database_url: str, made: Made) -> None:
    db = await asyncpg.connect(database_url)
    rows = await db.fetch(
        "SELECT relnamespace::regnamespace::text AS schema, oid::regclass::text AS name FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'"
    )
    await db.close()
    elsewhere = {row["schema"] for row in rows} - {*RECORD_SCHEMAS, *KEY_SCHEMAS}
    assert {schema for schema in elsewhere if not schema.startswith("read")} == {"files", "notify", "public"}
    names = {row["name"] for row in rows}
    assert LEFT_OUT.keys() <= names
    assert names - LEFT_OUT.keys() >= {
        "record.events",
        "record.claims",
        "record.receipts",
        "record.made_keys",
        "vault.data_keys",
    }


@pytest.fixture
def slow_tools(tmp_path: Path) -> Iterator[Path]:
    """A folder for PATH with a pg_dump that says so when it has begun, and never ends."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "pg_dump"
    script.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo "pg_dump (PostgreSQL) 99.1"; exit; fi\n'
        f'for word; do case "$word" in --file=*) mkdir "${{word#--file=}}";; esac; done\necho $$ > {tmp_path}/begun\nexec sleep 600\n'
    )
    script.chmod(0o700)
    yield folder
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((tmp_path / "begun").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
async def test_a_backup_that_is_broken_off_is_no_backup(
    how: signal.Signals, code: int, database_url: str, slow_tools: Path, tmp_path: Path
) -> None:
    system = System(tmp_path / "home", free_port())
    system.environment |= {
        "HANSARD_DATABASE_URL": as_login(database_url, "operator"),
        "PATH": f"{slow_tools}{os.pathsep}{os.environ['PATH']}",
    }
    async with ledger(database_url) as (db, _, command_bus):
        await require_right(db, MASTER, tmp_path, keep=True)
        await command_bus.do(RegisterAccount(UserId(uuid4()), "a@example.com", "ada", "x"), Caller())
    process = await system.command("backup", str(tmp_path / "made"))
    async with asyncio.timeout(60):
        while not (tmp_path / "begun").exists() or not (tmp_path / "begun").read_text().strip():
            await asyncio.sleep(0.02)
    process.send_signal(how)
    said, _ = await process.communicate()
    assert process.returncode == code, said.decode()
    child = int((tmp_path / "begun").read_text())
    async with asyncio.timeout(20):
        while process_state(child) not in (None, "Z"):
            await asyncio.sleep(0.02)
    if how == signal.SIGKILL:
        with pytest.raises(BackupRefusedError, match="it was broken off, or is something else"):
            await restore.run(Settings(home=tmp_path / "home"), asked(tmp_path / "made"))
    else:
        assert not (tmp_path / "made").exists() and not (tmp_path / "made-keys").exists()


async def test_a_database_that_postgres_brought_back_becomes_another_record_in_place(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = into(tmp_path, database_url)
    async with ledger(database_url) as (db, record, command_bus):
        await require_right(db, MASTER, tmp_path, keep=True)
        await command_bus.do(RegisterAccount(UserId(uuid4()), "a@example.com", "ada", "x"), Caller())
        before = await record.head()
        with pytest.raises(BackupRefusedError, match="other sessions are connected"):
            await restore.run(settings, asked(None, in_place=True))
    assert await restore.run(settings, asked(None, in_place=True)) == 0
    async with process_context(settings) as base:
        head, events = await base.record.head(), await base.record.after(0, limit=10)
        assert await base.db.value("SELECT username FROM read.users") == "ada"
    told = events[1].event
    assert isinstance(told, RecordRestored) and head.record != before.record
    assert (told.record_before, told.position, told.backup) == (before.record, 1, None)
    assert f"brought back to position 1, is the record {head.record} now" in capsys.readouterr().out
    owner = await asyncpg.connect(database_url)
    await owner.execute(BEGIN_RESTORING)
    await owner.execute(NOTE_BACKUP)
    await owner.close()
    with pytest.raises(BackupRefusedError, match="was broken off: drop it"):
        await restore.run(settings, asked(None, in_place=True))
    for typed in (asked(None), asked(tmp_path, in_place=True)):
        with pytest.raises(MisusedError, match="Name the backup's folder, or say --in-place"):
            await restore.run(settings, typed)


async def test_what_the_record_says_is_destroyed_is_destroyed_in_whatever_is_restored(
    database_url: str, servers: Servers, tmp_path: Path
) -> None:
    """The process died after it recorded what it destroys: so does a backup of keys look that is older than the record."""
    ada, settings = UserId(uuid4()), into(tmp_path, database_url)
    async with ledger(database_url) as (db, _, command_bus):
        await require_right(db, MASTER, tmp_path, keep=True)
        await command_bus.do(RegisterAccount(ada, "a@example.com", "ada", "x"), Caller())
        await command_bus.do(RequestErasure(ada, uuid4()), Caller())
        keys_of_ada = [sealed_by(key.key_id, key.room_id, key.day) for key in await live_keys(db, ada)]
        await command_bus.do(CondemnKeys(ada, tuple(keys_of_ada)), Caller())
        assert len(await live_keys(db, ada)) == 1
    assert await backup.run(settings, asked(tmp_path / "record", keys=tmp_path / "keys")) == 0
    async with empty_database(servers) as url:
        again = into(tmp_path, url)
        assert await restore.run(again, asked(tmp_path / "record", keys=tmp_path / "keys")) == 0
        async with process_context(again) as base:
            assert await live_keys(base.db, ada) == []
            assert await base.db.value("SELECT username FROM read.users") == ""
    assert await restore.run(settings, asked(None, in_place=True)) == 0
    async with process_context(settings) as base:
        assert await live_keys(base.db, ada) == []


async def test_a_process_does_not_begin_on_a_record_that_is_being_restored(database_url: str, tmp_path: Path) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute(BEGIN_RESTORING)
    await owner.close()
    settings = Settings(
        home=tmp_path, master_key_file=master_key(tmp_path), database_url=as_login(database_url, "gateway")
    )
    with pytest.raises(RecordNotRestoredError, match="This database is being restored"):
        async with process_context(settings, kind="gateway"):
            pass


def test_a_disk_that_is_too_full_is_one_sentence(tmp_path: Path) -> None:
    require_room(tmp_path / "not there" / "yet", 1, "The record")
    with pytest.raises(
        BackupRefusedError, match=r"The record needs up to 1,099,511,627,776 MiB where .*, and [\d,]+ MiB are free"
    ):
        require_room(tmp_path / "not there", 2**60, "The record")


def test_counts_are_shown_now_and_then() -> None:
    seconds, said = iter((0.0, 5.0, 11.0, 12.0, 22.0)), io.StringIO()
    shown = CountShown(said, "files", "bytes", clock=lambda: next(seconds))
    for done, total in ((1, 0), (2, 0), (3, 9), (4_000, 9_000)):
        shown(done, total)
    assert said.getvalue() == "files: 2 bytes\nfiles: 4,000 of 9,000 bytes\n"


async def test_what_retention_has_disposed_of_is_destroyed_in_whatever_is_restored(
    database_url: str, servers: Servers, tmp_path: Path
) -> None:
    """The keys that come back are older than what the record says of them."""
    settings, at = into(tmp_path, database_url), now() + timedelta(days=4)
    async with ledger(database_url) as (db, _, command_bus):
        await require_right(db, MASTER, tmp_path, keep=True)
        ada = await person(command_bus)
        assert ada.user_id is not None
        await command_bus.do(GrantRole(ada.user_id, "records_manager"), Caller())
        room_id = await room_of(command_bus, ada)
        await command_bus.do(post(room_id), ada)
        await command_bus.do(SetRetention(room_id, None, 1), ada)
        [key] = [each for each in await live_keys(db, ada.user_id) if each.room_id == room_id]
        named = DueKey(key.key_id, ada.user_id, key.day, at)
        await command_bus.do(ApplyRetention(room_id, (named,), 1, 0, at), Caller())
    assert await backup.run(settings, asked(tmp_path / "record", keys=tmp_path / "keys")) == 0
    async with empty_database(servers) as url:
        again = into(tmp_path, url)
        assert await restore.run(again, asked(tmp_path / "record", keys=tmp_path / "keys")) == 0
        async with process_context(again) as base:
            assert key.key_id not in {each.key_id for each in await live_keys(base.db, ada.user_id)}
