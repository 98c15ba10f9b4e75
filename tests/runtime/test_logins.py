"""Log-ins: a start with one that is too strong or too weak ends with a sentence, and the embedded servers trust nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.database import Database
from runtime.embedded.location import locate
from runtime.embedded.logins import SECRET_FILE
from runtime.embedded.servers import Embedded
from runtime.groups import GROUP_OF, LOGINS, SERVER, login
from runtime.login_checks import LoginRefusedError, guard_login, require_same_database
from runtime.migrate import MigrationRefusedError, create_database, migrate, migrations
from runtime.operators.doctor import doctor
from runtime.operators.supervisor import Supervisor
from runtime.roles import RolesRefusedError
from runtime.settings import SettingRefusedError, Settings
from runtime.settings_reader import read
from tests.conftest import Servers
from tests.deployments import LOGIN_PASSWORD, as_login, until
from tests.ports import free_port
from tests.runtime.test_guards import environment
from tests.runtime.test_up import System, system

SELECT_WHO = "SELECT DISTINCT usename::text FROM pg_stat_activity WHERE application_name = 'hansard'"
PRODUCTION = Settings(env="production", database_url="postgresql://x", redis_url="redis://x")


@asynccontextmanager
async def role(url: str, *statements: str) -> AsyncIterator[str]:
    """A log-in of this test, with whatever these statements give it; answers its URL."""
    name = f"t_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(url)
    await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{LOGIN_PASSWORD}'")
    for statement in statements:
        await admin.execute(statement.format(name))
    try:
        yield as_login(url, "gateway").replace(login("gateway").name, name)
    finally:
        await admin.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER")
        await admin.execute(f"DROP OWNED BY {name}")
        await admin.execute(f"DROP ROLE {name}")
        await admin.close()


async def refused(url: str, settings: Settings = PRODUCTION, kind: str = "gateway") -> str:
    """Return the sentence with which a start of this kind ends; empty when it goes on."""
    db = await Database.open(url, size=1)
    try:
        await guard_login(settings, db, kind)
    except LoginRefusedError as error:
        return str(error)
    finally:
        await db.close()
    return ""


@pytest.mark.parametrize(
    ("statement", "power"),
    [
        ("ALTER ROLE {} SUPERUSER", "is a superuser"),
        ("ALTER ROLE {} CREATEROLE", "may create roles"),
        ("ALTER ROLE {} CREATEDB", "may create databases"),
        ("ALTER ROLE {} REPLICATION", "may replicate"),
        ("ALTER ROLE {} BYPASSRLS", "passes by row security"),
        ("GRANT pg_execute_server_program TO {}", "is a member of pg_execute_server_program"),
        ("GRANT pg_write_server_files TO {}", "is a member of pg_write_server_files"),
        ("GRANT pg_read_server_files TO {}", "is a member of pg_read_server_files"),
        ("GRANT pg_write_all_data TO {}", "is a member of pg_write_all_data"),
        ("ALTER TABLE record.events OWNER TO {}", "owns record.events"),
        ("ALTER SCHEMA vault OWNER TO {}", "owns the schema vault"),
        ("ALTER FUNCTION record.refuse() OWNER TO {}", "owns record.refuse"),
        ("GRANT DELETE ON record.events TO {}", "may write record.events"),
        ("GRANT UPDATE (data) ON record.events TO {}", "may write record.events"),
        ("GRANT TRIGGER ON record.head TO {}", "may write record.head"),
        ("GRANT CREATE ON SCHEMA record TO {}", "may create things in the schema record"),
    ],
)
async def test_a_log_in_that_could_alter_the_record_does_not_start_in_production(
    database_url: str, statement: str, power: str
) -> None:
    async with role(database_url, "GRANT hansard_gateway TO {}", statement) as url:
        sentence = await refused(url)
        assert f", {power}" in sentence and "HANSARD_MIGRATION_URL" in sentence
        assert await refused(url, Settings()) == "", "elsewhere it is said in the log"


async def test_owning_the_database_or_becoming_its_owner_counts(database_url: str) -> None:
    owner = f"t_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(database_url)
    database = await admin.fetchval("SELECT quote_ident(current_database())")
    me = await admin.fetchval("SELECT quote_ident(current_user)")
    await admin.execute(f"CREATE ROLE {owner} NOLOGIN; ALTER DATABASE {database} OWNER TO {owner}")
    async with role(database_url, "GRANT hansard_gateway TO {}", f"GRANT {owner} TO {{}}") as url:
        assert f"owns the database (as {owner})" in await refused(url)
    await admin.execute(f"ALTER DATABASE {database} OWNER TO {me}; DROP ROLE {owner}")
    await admin.close()


async def test_the_log_ins_that_are_made_start_in_production_for_their_own_process(database_url: str) -> None:
    for kind in GROUP_OF:
        for process in GROUP_OF:
            sentence = await refused(as_login(database_url, kind), kind=process)
            fits = kind == process or (kind, process) in (("operator", "gateway"), ("worker", "notifier"))
            assert (sentence == "") == fits, sentence
            if not fits:
                assert f"GRANT hansard_{process} TO {login(kind).name}" in sentence
        assert await refused(as_login(database_url, SERVER), kind=kind) == ""


async def test_in_production_the_owners_log_in_is_in_no_process_environment(database_url: str) -> None:
    settings = Settings(env="production", database_url="postgresql://x", migration_url="postgresql://y")
    assert "take it out of" in await refused(as_login(database_url, "worker"), settings, "worker")
    assert await refused(as_login(database_url, "operator"), settings, "operator") == ""


async def test_a_production_start_as_the_owner_is_one_sentence_and_not_tried_again(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    alone = System(tmp_path / "home", free_port())
    alone.environment |= environment(tmp_path, HANSARD_DATABASE_URL=database_url, HANSARD_REDIS_URL=redis_url)
    code, said = await alone.run("worker")
    assert (code, said.count("\n")) == (78, 1)
    assert said.startswith("hansard: ") and "is a superuser" in said
    assert LOGIN_PASSWORD not in said


async def test_the_doctor_says_which_log_in_is_too_strong(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await doctor(Settings(database_url=database_url), ["log-in"]) == 1
    assert "[FAIL] log-in: " in (said := capsys.readouterr().out) and "is a superuser" in said
    assert await doctor(Settings(database_url=as_login(database_url, "worker")), ["log-in"]) == 0
    assert "[ok]   log-in: hansard_worker_login: may do no more" in capsys.readouterr().out


async def test_the_doctor_looks_at_the_projectors_log_in_of_a_gateway_too(
    database_url: str, servers: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway, projector = as_login(database_url, "gateway"), as_login(database_url, "projector")
    for second, code, says in (
        (projector, 0, "[ok]   log-in: hansard_gateway_login, hansard_projector_login: may do no more"),
        (database_url, 1, "as which HANSARD_PROJECTOR_URL logs in, is a superuser"),
        (projector.replace(LOGIN_PASSWORD, "another"), 1, "It stands in HANSARD_PROJECTOR_URL."),
        (servers.database("postgres"), 1, "HANSARD_PROJECTOR_URL leads to another database"),
    ):
        assert await doctor(Settings(database_url=gateway, projector_url=second), ["log-in"]) == code
        assert says in capsys.readouterr().out


async def test_a_gateway_names_the_setting_of_the_projectors_log_in_and_wants_one_database(
    tmp_path: Path, database_url: str, redis_url: str, servers: Servers
) -> None:
    gateway, projector = as_login(database_url, "gateway"), as_login(database_url, "projector")
    alone = System(tmp_path / "home", free_port())
    given = {"HANSARD_DATABASE_URL": gateway, "HANSARD_REDIS_URL": redis_url, "HANSARD_TRUSTED_PROXIES": "10.0.0.0/8"}
    alone.environment |= environment(tmp_path, **given)
    for second, says in (
        (projector.replace(LOGIN_PASSWORD, "another"), "It stands in HANSARD_PROJECTOR_URL."),
        (database_url, "as which HANSARD_PROJECTOR_URL logs in, is a superuser"),
    ):
        alone.environment["HANSARD_PROJECTOR_URL"] = second
        code, said = await alone.run("gateway")
        assert (code, said.count("\n")) == (78, 1) and says in said, said
    one = await Database.open(gateway, size=1)
    for second, is_same in ((projector, True), (servers.database("postgres"), False)):
        other = await Database.open(second, size=1)
        try:
            await require_same_database(one, other)
            assert is_same
        except LoginRefusedError as error:
            assert not is_same and "HANSARD_PROJECTOR_URL leads to another database" in str(error)
        await other.close()
    await one.close()


def test_a_projector_of_its_own_gets_the_projectors_log_in_where_it_is_given(tmp_path: Path) -> None:
    given = Settings(database_url="postgresql://all", projector_url="postgresql://projector", redis_url="redis://x")
    for settings in (replace(given, gateways=2), replace(given, together="off")):
        embedded = Embedded(tmp_path, postgres=False, redis=False)
        children = Supervisor(settings, embedded, asyncio.Event(), welcome="")
        assert children._settings_of("projector")["HANSARD_DATABASE_URL"] == "postgresql://projector"
        for other in ("gateway", "worker", "notary"):
            told = children._settings_of(other)
            assert (told["HANSARD_DATABASE_URL"], told["HANSARD_PROJECTOR_URL"]) == ("postgresql://all", "")


async def test_an_owner_that_may_create_roles_migrates_and_one_that_may_not_is_told_what_is_missing(
    servers: Servers,
) -> None:
    admin = await asyncpg.connect(servers.database("postgres"))
    name, database = f"t_{uuid4().hex[:12]}", f"t_{uuid4().hex}"
    await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{LOGIN_PASSWORD}'")
    await admin.execute(f'CREATE DATABASE "{database}" OWNER {name}')
    url = as_login(servers.database(database), "gateway").replace(login("gateway").name, name)
    try:
        with pytest.raises(RolesRefusedError, match=f"GRANT hansard_app, .* TO {name}"):
            await migrate(url, say=print)
        # What the sentence asks for, where the roles are there already; then it owns what it made, and serves too.
        await admin.execute(f"GRANT {', '.join(('hansard_app', *GROUP_OF.values()))} TO {name}")
        assert await migrate(url, say=print) == len(migrations())
        assert "owns the database" in await refused(url)
        assert await refused(as_login(servers.database(database), SERVER)) == ""
        with pytest.raises(
            MigrationRefusedError, match="1 migrations are due, and hansard_gateway_login may not make them"
        ):
            await _forget_the_last_migration(url)
            await migrate(as_login(servers.database(database), "gateway"), say=print)
    finally:
        await admin.execute(f'DROP DATABASE "{database}"')
        await admin.execute(f"DROP ROLE {name}")
        await admin.close()


async def _forget_the_last_migration(url: str) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute(
        "DELETE FROM public.hansard_migrations WHERE number = (SELECT max(number) FROM public.hansard_migrations)"
    )
    await owner.close()


async def test_whoever_may_not_migrate_starts_where_nothing_is_to_be_migrated(database_url: str) -> None:
    assert await migrate(as_login(database_url, "gateway"), say=print) == 0


def test_log_ins_to_be_made_are_named_by_their_process() -> None:
    settings = read({"HANSARD_LOGINS": "gateway=one, worker=two=2"})
    assert settings.login_passwords == {"gateway": "one", "worker": "two=2"}
    assert "one" not in repr(settings)
    for wrong in ("one", "gateway", "gateway=", "postgres=x"):
        with pytest.raises(SettingRefusedError, match="HANSARD_LOGINS is KIND=PASSWORD"):
            read({"HANSARD_LOGINS": wrong})


# The embedded servers


async def test_every_child_of_up_has_its_own_log_in_and_nobody_comes_in_without_one(tmp_path: Path) -> None:
    async with system(tmp_path) as hansard:
        servers = locate(hansard.home)
        for name in ("postgres", login("gateway").name, "hansard_app"):
            url = f"postgresql://{name}@/hansard?host={str(servers.sockets).replace(' ', '%20')}"
            with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
                await asyncpg.connect(url)
            with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
                await asyncpg.connect(url, password="postgres")
        owner = await asyncpg.connect(servers.database_url)
        # The worker makes read tables with the operator's.
        expected = {login(kind).name for kind in ("gateway", "projector", "worker", "notary", "operator")}
        seen: set[str] = set()

        async def all_are_there() -> bool:
            seen.update(row[0] for row in await owner.fetch(SELECT_WHO))
            return seen >= expected

        await until(all_are_there)
        assert seen == expected
        await owner.close()
        assert (hansard.home / SECRET_FILE).stat().st_mode & 0o777 == 0o600
        secrets = [servers.database_url, (hansard.home / SECRET_FILE).read_text().strip()]
        for kind in ("gateway", "worker", "notary"):
            told = hansard.child(kind).environ()
            assert told["HANSARD_DATABASE_URL"] == servers.login_url(kind)
            assert told["HANSARD_REBUILD_URL"] == (servers.login_url("operator") if kind == "worker" else "")
            # A gateway that does the projector's work, too, has its log-in beside its own.
            assert told["HANSARD_PROJECTOR_URL"] == (servers.login_url("projector") if kind == "gateway" else "")
            assert not [value for value in told.values() if value in secrets]
        _, said = await hansard.run("doctor")
        assert "[ok]   log-in: hansard_gateway_login, hansard_projector_login" in said, said
        assert await hansard.run("url", "owner") == (0, servers.database_url + "\n")


async def test_a_home_that_trusted_its_socket_is_mended_at_the_next_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Embedded(home, redis=False) as embedded:
        await create_database(embedded.servers.database_url)
        await migrate(embedded.servers.database_url, say=print)
        owner = await asyncpg.connect(embedded.servers.database_url)
        await owner.execute("ALTER ROLE postgres PASSWORD NULL")  # as it was made by older versions
        await owner.close()
    (home / SECRET_FILE).unlink()
    (home / "postgres" / "pg_hba.conf").write_text("local all all trust\n")
    with Embedded(home, redis=False) as embedded:
        owner = await asyncpg.connect(embedded.servers.database_url)
        assert await owner.fetchval("SELECT count(*) FROM record.head") == 1
        rules = await owner.fetch("SELECT type, database, user_name, auth_method FROM pg_hba_file_rules")
        assert [tuple(rule) for rule in rules] == [("local", ["all"], ["all"], "scram-sha-256")]
        await owner.close()
    assert LOGINS == ("gateway", "projector", "worker", "notifier", "notary", "operator", "server")


async def test_a_stopped_home_leaves_no_folder_of_sockets_elsewhere(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path / ("a path too long for sockets" * 5) / "home", postgres=False)
    sockets = embedded.servers.sockets
    assert not sockets.is_relative_to(tmp_path)
    await asyncio.to_thread(embedded.start)
    assert embedded.servers.redis_socket.is_socket()
    await asyncio.to_thread(embedded.stop)
    assert not sockets.exists()


async def test_lost_passwords_are_made_anew_even_after_a_kill(tmp_path: Path) -> None:
    home = tmp_path / "home"
    embedded = Embedded(home, redis=False)
    await asyncio.to_thread(embedded.start)
    before = embedded.servers.database_url
    try:
        embedded._running["postgres"].kill()
        embedded._running["postgres"].wait()
        (home / SECRET_FILE).unlink()
        await asyncio.to_thread(embedded.revive)
        assert embedded.servers.database_url != before
        await (await asyncpg.connect(embedded.servers.database_url.replace("/hansard?", "/postgres?"))).close()
    finally:
        await asyncio.to_thread(embedded.stop)
