"""What the command line says when it cannot: one sentence, what happened and what to do, and never a trace."""

import socket
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from runtime.migrate import MigrationRefusedError, migrations, require_version
from tests.certificates import made
from tests.deployments import as_login
from tests.ports import free_port
from tests.runtime.test_up import System

KEY = "0f" * 32


def alone(folder: Path, **environment: str) -> System:
    system = System(folder / "home", free_port())
    system.environment |= environment
    return system


def with_key(folder: Path) -> Path:
    key = folder / "master.key"
    key.write_text(KEY)
    key.chmod(0o600)
    return key


def other(url: str, *, user: str = "", password: str = "", path: str = "") -> str:
    """Return a URL of Postgres with something else in it."""
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    name, _, secret = login.partition(":")
    return urlunsplit(parts._replace(netloc=f"{user or name}:{password or secret}@{place}", path=path or parts.path))


async def test_a_database_that_lets_nobody_in_is_one_sentence(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    served = as_login(database_url, "gateway")
    name = urlsplit(served).username
    for command, setting, url, code, says in (
        (
            "gateway",
            "HANSARD_DATABASE_URL",
            other(served, password="another"),
            78,
            f'Postgres does not let us in (password authentication failed for user "{name}"): mend name and password in '
            "its URL. It stands in HANSARD_DATABASE_URL.",
        ),
        (
            "doctor",
            "HANSARD_DATABASE_URL",
            other(served, password="another"),
            1,
            f'[FAIL] postgres: Postgres does not let us in (password authentication failed for user "{name}"): mend name '
            "and password in its URL.",
        ),
        (
            "migrate",
            "HANSARD_MIGRATION_URL",
            other(database_url, path="/elsewhere"),
            1,
            'Postgres has no such database (database "elsewhere" does not exist): create it, or mend the name in its URL. '
            "It stands in HANSARD_MIGRATION_URL.",
        ),
        (
            "migrate",
            "HANSARD_DATABASE_URL",
            "postgresql://x:secret@127.0.0.1:1/x",
            1,
            "Postgres at 127.0.0.1:1 does not answer: Connection refused. Does it run, and is HANSARD_DATABASE_URL right?",
        ),
        (
            "worker",
            "HANSARD_DATABASE_URL",
            "postgresql://x:secret@nowhere.invalid/x",
            1,
            "Postgres at nowhere.invalid:5432 does not answer: Name or service not known. Does it run, and is "
            "HANSARD_DATABASE_URL right?",
        ),
    ):
        system = alone(tmp_path, HANSARD_REDIS_URL=redis_url, **{setting: url})
        ended, said = await system.run(command)
        if command == "doctor":
            assert says in said.splitlines() and ended == code
            continue
        assert (ended, said) == (code, f"hansard: {says}\n")


async def test_a_database_of_another_release_is_one_sentence(tmp_path: Path, database_url: str, redis_url: str) -> None:
    key = with_key(tmp_path)
    given = {"HANSARD_REDIS_URL": redis_url, "HANSARD_MASTER_KEY_FILE": str(key)}
    empty = alone(tmp_path, HANSARD_DATABASE_URL=other(database_url, path="/postgres"), **given)
    code, said = await empty.run("projector")
    assert (code, said.splitlines()[-1]) == (
        1,
        "hansard: The database has no record yet, or is older than this release: run 'hansard migrate' first.",
    )
    code, said = await empty.run("doctor")
    assert code == 1
    assert (
        "[FAIL] projections: the database has no record yet, or is older than this release: run 'hansard migrate'"
        in said.splitlines()
    )
    newest = max(migration.number for migration in migrations())
    db = await asyncpg.connect(database_url)
    migrating = alone(tmp_path, HANSARD_MIGRATION_URL=database_url, **given)
    await db.execute("INSERT INTO public.hansard_migrations VALUES (9999, 'x', 'x')")
    assert await migrating.run("migrate") == (
        1,
        f"hansard: A newer release brought the database to migration 9999, and this one knows {newest} of them: run that "
        "release, or a newer one.\n",
    )
    await db.execute("DELETE FROM public.hansard_migrations WHERE number = 9999")
    await db.execute("UPDATE public.hansard_migrations SET sha256 = 'x' WHERE number = 1")
    first = migrations()[0]
    assert await migrating.run("migrate") == (
        1,
        f"hansard: Migration 1 ({first.name}) was changed after it was applied: put back the file of the release that "
        "applied it.\n",
    )
    await db.close()


def test_a_postgres_that_is_too_old_is_one_sentence() -> None:
    require_version(150_000)
    with pytest.raises(MigrationRefusedError) as refused:
        require_version(140_022)
    assert str(refused.value) == (
        "Postgres 14 is too old; 15 or newer is needed: upgrade it, or name another in HANSARD_DATABASE_URL."
    )


async def test_keys_and_folders_that_cannot_be_used_are_one_sentence(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir(mode=0o700)
    file.write_text("no key")
    file.chmod(0o600)
    served = {"HANSARD_DATABASE_URL": as_login(database_url, "gateway"), "HANSARD_REDIS_URL": redis_url}
    shown = made(tmp_path)
    nowhere = tmp_path / "nowhere.pem"
    for command, environment, code, says in (
        (
            "gateway",
            {"HANSARD_MASTER_KEY_FILE": str(folder), **served},
            78,
            f"The master key at {folder} cannot be read (Is a directory): it is a file of mode 0600 that belongs to the user "
            "whom this process runs as.",
        ),
        (
            "keys list",
            {
                "HANSARD_MASTER_KEY_FILE": str(file),
                **served,
                "HANSARD_DATABASE_URL": as_login(database_url, "operator"),
            },
            1,
            f"The master key at {file} is not 64 hexadecimal digits: name the right file in HANSARD_MASTER_KEY_FILE, or put "
            "back the copy that you kept.",
        ),
        (
            "keys master new",
            {"HANSARD_MASTER_KEY_FILE": str(file / "master.key")},
            1,
            f"No master key can be made at {file / 'master.key'} (File exists): name a file in HANSARD_MASTER_KEY_FILE "
            "whose folder you may write to.",
        ),
        (
            "up",
            {"HANSARD_HOME": str(file)},
            1,
            f"{file} cannot hold the data (File exists): set HANSARD_HOME to a folder that you may write to.",
        ),
        (
            "up",
            {"HANSARD_TLS_CERTIFICATE": str(nowhere), "HANSARD_TLS_KEY": str(shown.key)},
            1,
            f"HANSARD_TLS_CERTIFICATE ({nowhere}) and HANSARD_TLS_KEY ({shown.key}) cannot be used: No such file or "
            "directory. They are PEM files that belong together, the key without a password.",
        ),
        (
            "worker",
            {"HANSARD_BLOBS_URL": f"file://{file}/blobs", "HANSARD_MASTER_KEY_FILE": str(with_key(tmp_path)), **served}
            | {"HANSARD_DATABASE_URL": as_login(database_url, "worker")},
            1,
            f"The folder {file}/blobs cannot hold files: Not a directory. Is HANSARD_BLOBS_URL right?",
        ),
    ):
        system = alone(tmp_path, **environment)
        ended, said = await system.run(*command.split())
        assert (ended, said.splitlines()[-1]) == (code, f"hansard: {says}"), command
        assert "Traceback" not in said


async def test_an_address_that_cannot_be_listened_on_names_the_setting_that_is_to_change(tmp_path: Path) -> None:
    for host, says in (
        ("203.0.113.9", "203.0.113.9:{port}: Cannot assign requested address. {host}"),
        ("nowhere.invalid", "nowhere.invalid:{port}: Name or service not known. {host}"),
    ):
        system = alone(tmp_path, HANSARD_HOST=host)
        hint = "Set HANSARD_HOST to an address of this machine: 127.0.0.1 for itself alone, 0.0.0.0 or :: for all."
        told = says.format(port=system.port, host=hint)
        assert await system.run("gateway") == (78, f"hansard: Cannot listen on {told}\n")
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        system = alone(tmp_path, HANSARD_HOST="::1", HANSARD_PORT=str(port))
        assert await system.run("gateway") == (
            78,
            f"hansard: Cannot listen on [::1]:{port}: Address already in use. Set HANSARD_PORT to another one.\n",
        )


async def test_servers_that_are_away_name_the_setting_that_leads_to_them(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    key = with_key(tmp_path)
    system = alone(
        tmp_path,
        HANSARD_DATABASE_URL=as_login(database_url, "operator"),
        HANSARD_REDIS_URL="redis://127.0.0.1:1/0",
        HANSARD_MASTER_KEY_FILE=str(key),
    )
    code, said = await system.run("tasks")
    assert code == 1
    assert said == (
        "hansard: Redis does not answer: Error 111 connecting to 127.0.0.1:1. Connection refused. "
        "Does it run, and is HANSARD_REDIS_URL right?\n"
    )


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            "keys master",
            "hansard: Make the master key with 'hansard keys master new', or replace it with 'hansard keys master rotate'.\n",
        ),
        ("keys retire", "hansard: Name the key with 'hansard keys retire KID', and with nothing else.\n"),
        ("tasks retry", "hansard: Say which file: hansard tasks retry FILE_ID\n"),
    ],
)
async def test_what_is_misused_ends_with_2(tmp_path: Path, command: str, says: str) -> None:
    assert await alone(tmp_path).run(*command.split()) == (2, says)
