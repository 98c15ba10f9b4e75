"""What each log-in may do, on a real Postgres: everything is tried, and held against the tables below.

A new table or function is granted to nobody by itself, and is missing below until it is decided on.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from runtime.groups import GROUP_OF, LOGINS, SERVER, login
from tests.deployments import as_login

# r SELECT, a INSERT, w UPDATE, d DELETE, D TRUNCATE; `owner` may everything, and is whose ALTER and DROP are taken.
MATRIX = """
    table                         gateway     projector   worker      notifier    notary      operator
    files.holds                   raw         -           rawd        -           -           raw
    files.reservations            rad         -           -           -           -           rad
    notary.checkpoints            r           -           r           -           ra          r
    notary.keys                   r           -           r           -           ra          r
    notary.tiles                  r           -           r           -           raw         r
    notary.witnessed              r           -           -           -           raw         r
    notify.deliveries             rw(due_at,state,tries,reason,changed_at) - rawd rawd -      rw(due_at,state,tries,reason,changed_at)
    notify.place                  -           -           rw          rw          -           r
    public.hansard_migrations     r           r           r           r           r           r
    read.approvals                r           raw         -           -           -           owner
    read.audit_entries            r           -           raw         -           -           owner
    read.building_parts           r           -           r           -           -           owner
    read.building_tables          r           -           r           -           -           owner
    read.checkpoints              r           raw         raw         raw         r           owner
    read.erasures                 r           raw         r           -           -           owner
    read.export_parts             -           -           rawd        -           -           owner
    read.exports                  raw         -           rawd        -           -           owner
    read.file_variants            r           rawd        r           -           -           owner
    read.files                    r           raw         r           -           -           owner
    read.followers                r           raw         raw         raw         -           owner
    read.kept_parked_events       -           -           -           -           -           owner
    read.kept_tables              -           -           -           -           -           owner
    read.legal_holds              r           raw         -           -           -           owner
    read.mentions                 r           raw         -           -           -           owner
    read.message_html             r           -           raw         -           -           owner
    read.message_reactions        r           raw         r          -           -           owner
    read.messages                 r           raw         r           r           -           owner
    read.notification_blocks      r           -           rawd        rawd        -           owner
    read.notification_inboxes     r           -           rawd        rawd        -           owner
    read.notification_members     r           -           raw         raw         -           owner
    read.notification_settings    r           -           rawd        rawd        -           owner
    read.notification_threads     r           -           rawd        rawd        -           owner
    read.notifications            r           -           rawd        rawd        -           owner
    read.parked_events            r           ra          ra          ra          r           owner
    read.parking_notes            -           a           rad         a           -           owner
    read.past_deletions           r           -           raw         -           -           owner
    read.past_member_counts       r           -           raw         -           -           owner
    read.past_pins                r           -           raw         -           -           owner
    read.past_places              r           -           raw         -           -           owner
    read.past_reactions           r           -           raw         -           -           owner
    read.past_roles               r           -           raw         -           -           owner
    read.past_rooms               r           -           raw         -           -           owner
    read.past_stays               r           -           raw         -           -           owner
    read.pins                     r           raw         -           -           -           owner
    read.push_subscriptions       r           rawd        r          r           -           owner
    read.reaction_counts          r           raw         -           -           -           owner
    read.rebuilds                 ra          -           rawd        -           -           owner
    read.retention_policies       r           raw         -           -           -           owner
    read.room_changes             r           -           raw         -           -           owner
    read.room_members             r           raw         r           r           -           owner
    read.rooms                    r           raw         r           r           -           owner
    read.sessions                 r           raw         -           -           -           owner
    read.thread_followers         r           raw         r           r           -           owner
    read.threads                  r           raw         -           -           -           owner
    read.users                    r           raw         r           r           -           owner
    record.append_lock            -           -           -           -           -           -
    record.claims                 r           -           r           r           -           r
    record.events                 r           r           r           r           r           r
    record.head                   r           r           r           r           r           r
    record.identity               -           -           -           -           -           -
    record.made_keys              ra          -           ra          ra          -           ra
    record.queued_batches         -           -           -           -           -           -
    record.receipts               r           -           -           -           -           r
    record.snapshots              raw         -           raw         raw         -           raw
    vault.data_keys               ra          r           ra          ra          -           ra
    vault.master_check            ra          r           ra          ra          -           ra
    vault.master_root             r           r           r           r           -           r
    vault.signing_keys            ra          -           -           -           -           raw(retired_at)
    vault.wrapping                r           r           r           r           -           r
"""
FUNCTIONS = {
    "files.reserve": {"gateway", "operator"},
    "notary.replicated": {"notary"},
    "read.audit_unknown": {"gateway", "operator"},
    "read.bits": {"gateway", "worker", "operator"},
    "read.names": {"worker", "operator"},
    "read.readable_from": {"gateway", "operator"},
    "read.standing": {"gateway", "operator"},
    "record.answer_queued": {"gateway", "worker", "notifier", "operator"},
    "record.append": {"gateway", "worker", "notifier", "operator"},
    "record.append_in_turn": {"gateway", "worker", "notifier", "operator"},
    "record.append_or_queue": {"gateway", "worker", "notifier", "operator"},
    "record.await_commit": {"gateway", "worker", "notifier", "operator"},
    "record.forget_receipts": {"worker"},
    "record.part_of": {"operator"},
    "record.refuse": set[str](),
    "record.renew": {"projector"},
    "record.serve_queue": set[str](),
    "record.tell_head": set[str](),
    "record.withdraw": {"gateway", "worker", "notifier", "operator"},
    "record.write": set[str](),
    "record.write_queued": set[str](),
    "vault.begin_wrapping": {"operator"},
    "vault.destroy_keys": {"worker"},
    "vault.guard_wrapping": set[str](),
    "vault.replace_master": {"operator"},
    "vault.rewrap": {"operator"},
    "vault.tell_destroyed": set[str](),
    "vault.tell_gone": set[str](),
}
BECOMES = {  # by SET ROLE
    "gateway": {"hansard_app", "hansard_gateway"},
    "projector": {"hansard_app", "hansard_projector"},
    "worker": {"hansard_app", "hansard_worker", "hansard_notifier"},
    "notifier": {"hansard_app", "hansard_notifier"},
    "notary": {"hansard_app", "hansard_notary"},
    "operator": {"hansard_app", "hansard_gateway", "hansard_operator"},
    SERVER: {"hansard_app", *GROUP_OF.values()},
}
SCHEMAS = ("record", "vault", "read", "files", "notary", "notify", "public")
SELECT_TABLES = """
    SELECT n.nspname || '.' || c.relname, array_agg(a.attname::text ORDER BY a.attnum)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE n.nspname !~ '^pg_|^information_schema$' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0
        AND NOT a.attisdropped
    GROUP BY 1 ORDER BY 1
"""
SELECT_OTHERS = "SELECT has_table_privilege($1, $2::text::regclass, 'REFERENCES, TRIGGER')"
SELECT_FUNCTIONS = """
    SELECT n.nspname || '.' || p.proname, array_agg(l.kind ORDER BY l.kind) FILTER (
        WHERE has_function_privilege(l.name, p.oid, 'EXECUTE'))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, unnest($1::text[], $2::text[]) l (kind, name)
    WHERE n.nspname !~ '^pg_|^information_schema$' GROUP BY p.oid, 1
"""
SELECT_DEFINERS = """
    SELECT p.oid::regproc::text, coalesce(array_to_string(p.proconfig, ';'), '') FROM pg_proc p
    WHERE p.prosecdef AND p.pronamespace::regnamespace::text !~ '^pg_|^information_schema$' ORDER BY 1
"""
SUM = "SELECT md5(string_agg(e::text, ',' ORDER BY position)) FROM record.events e"
# What nobody that serves may do. {owner}: whoever migrates; {me}: who tries; {file}: a file of the server's.
REFUSED = """
    ALTER TABLE record.events DISABLE TRIGGER ALL
    ALTER TABLE record.events DISABLE TRIGGER append_only
    ALTER TABLE record.events DROP COLUMN meta
    ALTER TABLE record.events OWNER TO {me}
    ALTER TABLE record.head DISABLE TRIGGER ALL
    ALTER TABLE vault.data_keys ADD COLUMN more int
    ALTER TABLE files.holds RENAME TO hold
    DROP TABLE record.events CASCADE
    DROP TABLE vault.data_keys
    DROP TRIGGER append_only ON record.events
    DROP SCHEMA record CASCADE
    DROP FUNCTION record.refuse() CASCADE
    CREATE TRIGGER mine BEFORE INSERT ON record.events FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()
    CREATE RULE mine AS ON INSERT TO record.events DO INSTEAD NOTHING
    CREATE INDEX mine ON record.events (topic)
    CREATE POLICY mine ON record.events USING (true)
    CREATE STATISTICS mine ON stream, topic FROM record.events
    COMMENT ON TABLE record.events IS 'mine'
    DO 'BEGIN LOCK TABLE record.events IN ACCESS EXCLUSIVE MODE; END'
    DO 'BEGIN LOCK TABLE record.head IN SHARE MODE; END'
    DO 'BEGIN LOCK TABLE record.append_lock IN ACCESS SHARE MODE; END'
    DO 'BEGIN LOCK TABLE record.append_lock IN ROW SHARE MODE; END'
    DO 'BEGIN LOCK TABLE record.append_lock IN EXCLUSIVE MODE; END'
    SELECT * FROM record.append_lock FOR UPDATE
    SELECT * FROM record.head FOR UPDATE
    SELECT * FROM record.events FOR UPDATE
    CREATE OR REPLACE FUNCTION record.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'
    ALTER FUNCTION record.refuse() OWNER TO {me}
    ALTER FUNCTION record.forget_receipts(int, int) SET search_path = public
    GRANT {owner} TO {me}
    GRANT pg_execute_server_program TO {me}
    GRANT pg_write_all_data TO {me}
    REASSIGN OWNED BY {owner} TO {me}
    DROP OWNED BY {owner}
    SET SESSION AUTHORIZATION {owner}
    SET ROLE {owner}
    SET ROLE pg_execute_server_program
    SET session_replication_role = replica
    SET log_statement = 'all'
    ALTER SYSTEM SET fsync = off
    ALTER DATABASE {database} SET session_replication_role = replica
    ALTER DATABASE {database} OWNER TO {me}
    ALTER ROLE {owner} PASSWORD 'mine'
    ALTER ROLE {me} SUPERUSER
    ALTER ROLE {me} CREATEROLE
    ALTER ROLE {me} SET session_replication_role = replica
    CREATE ROLE mine SUPERUSER
    CREATE ROLE mine
    CREATE DATABASE mine
    CREATE SCHEMA mine
    CREATE EXTENSION pg_trgm
    CREATE EXTENSION citext
    CREATE PUBLICATION mine FOR TABLE record.events
    CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()
    CREATE TEMPORARY TABLE events (position bigint)
    CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'
    CREATE FUNCTION public.mine() RETURNS int LANGUAGE c AS '/lib/x86_64-linux-gnu/libc.so.6', 'getpid'
    LOAD '{file}'
    COPY (SELECT 1) TO PROGRAM 'true'
    COPY (SELECT 1) TO '{file}'
    COPY files.holds FROM PROGRAM 'true'
    COPY files.holds FROM '{file}'
    SELECT pg_read_file('{file}')
    SELECT pg_read_binary_file('{file}')
    SELECT pg_ls_dir('.')
    SELECT pg_stat_file('{file}')
    SELECT lo_import('{file}')
    SELECT lo_export({object}, '{file}')
    SELECT lo_get({object})
    SELECT lo_put({object}, 0, 'mine')
    SELECT lo_unlink({object})
    SELECT pg_reload_conf()
    SELECT pg_rotate_logfile()
    SELECT pg_terminate_backend({backend})
    SELECT pg_cancel_backend({backend})
    SELECT pg_switch_wal()
    SELECT pg_create_restore_point('mine')
    SELECT pg_create_physical_replication_slot('mine')
    SELECT rolpassword FROM pg_authid
    SELECT setting FROM pg_catalog.pg_file_settings
    TABLE pg_hba_file_rules
    CREATE SUBSCRIPTION mine CONNECTION '' PUBLICATION mine
"""


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture(params=LOGINS)
async def someone(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """A connection as each of the log-ins."""
    connection = await asyncpg.connect(as_login(database_url, request.param))
    yield request.param, connection
    await connection.close()


async def is_taken(connection: asyncpg.Connection, statement: str) -> bool:
    """Try a statement and take it back; False when it is refused for want of a privilege, or as views cannot do that."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(statement)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError, asyncpg.WrongObjectTypeError):
        return False
    finally:
        await transaction.rollback()
    return True


async def letters(connection: asyncpg.Connection, table: str, columns: list[str]) -> str:
    """Find out by trying what may be done with a table."""
    found = "r" * await is_taken(connection, f"TABLE {table} LIMIT 0")
    found += "a" * await is_taken(connection, f"INSERT INTO {table} SELECT (NULL::{table}).* WHERE false")
    updated = [c for c in columns if await is_taken(connection, f"UPDATE {table} SET {c} = DEFAULT WHERE false")]
    found += "w" * bool(updated) + (f"({','.join(updated)})" if updated and updated != columns else "")
    found += "d" * await is_taken(connection, f"DELETE FROM {table} WHERE false")
    found += "D" * await is_taken(connection, f"TRUNCATE {table}")
    altered = await is_taken(connection, f"ALTER TABLE {table} DISABLE TRIGGER USER")
    assert altered == await is_taken(connection, f"DROP TABLE {table}")
    assert altered == await is_taken(connection, f"CREATE INDEX ON {table} ({columns[0]})")
    if altered:
        assert found == "rawdD"
        return "owner"
    return found or "-"


async def test_every_log_in_may_do_with_every_table_what_is_written_here(
    database_url: str, owner: asyncpg.Connection
) -> None:
    kinds = list(GROUP_OF)
    expected = [line.split() for line in MATRIX.strip().splitlines()]
    assert expected[0] == ["table", *kinds]
    found = [expected[0]]
    logins = {kind: await asyncpg.connect(as_login(database_url, kind)) for kind in kinds}
    for table, columns in await owner.fetch(SELECT_TABLES):
        found.append([table, *[await letters(logins[kind], table, columns) for kind in kinds]])
        for kind, letter in zip(kinds, found[-1][1:], strict=True):
            others = await owner.fetchval(SELECT_OTHERS, login(kind).name, table)
            assert others == (letter == "owner"), f"{kind} has REFERENCES or TRIGGER on {table}"
    for connection in logins.values():
        await connection.close()
    assert found == expected


async def test_every_log_in_may_call_the_functions_that_are_written_here(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(SELECT_FUNCTIONS, list(GROUP_OF), [login(kind).name for kind in GROUP_OF])
    assert {name: set(kinds or ()) for name, kinds in rows} == FUNCTIONS
    # What runs with its owner's rights looks for names nowhere that a caller could write.
    assert await owner.fetch(SELECT_DEFINERS) == [
        ("notary.replicated", "search_path=pg_catalog, pg_temp"),
        ("read.names", "search_path=pg_catalog, pg_temp"),
        ("record.answer_queued", "search_path=pg_catalog, pg_temp;enable_seqscan=off"),
        ("record.append", "search_path=pg_catalog, pg_temp;enable_seqscan=off;plan_cache_mode=force_generic_plan"),
        (
            "record.append_or_queue",
            "search_path=pg_catalog, pg_temp;enable_seqscan=off;plan_cache_mode=force_generic_plan",
        ),
        ("record.await_commit", "search_path=pg_catalog, pg_temp"),
        ("record.forget_receipts", "search_path=pg_catalog, pg_temp"),
        ("record.renew", "search_path=pg_catalog, pg_temp"),
        ("record.withdraw", "search_path=pg_catalog, pg_temp;enable_seqscan=off"),
        ("vault.begin_wrapping", "search_path=pg_catalog, pg_temp"),
        ("vault.destroy_keys", "search_path=pg_catalog, pg_temp"),
        ("vault.guard_wrapping", "search_path=pg_catalog, pg_temp"),
        ("vault.replace_master", "search_path=pg_catalog, pg_temp"),
        ("vault.rewrap", "search_path=pg_catalog, pg_temp"),
    ]


async def test_no_log_in_gets_past_its_rights(
    someone: tuple[str, asyncpg.Connection], owner: asyncpg.Connection, tmp_path: Path
) -> None:
    _, connection = someone
    file = tmp_path / "file"
    file.write_text("a secret of the server")
    given = {
        "me": await connection.fetchval("SELECT session_user"),
        "owner": await owner.fetchval("SELECT session_user"),
        "database": await owner.fetchval("SELECT quote_ident(current_database())"),
        "backend": owner.get_server_pid(),
        "object": await owner.fetchval("SELECT lo_from_bytea(0, 'a secret')"),
        "file": file,
    }
    before = await owner.fetchval(SUM)
    wrongly = []
    for statement in (line.strip().format(**given) for line in REFUSED.strip().splitlines()):
        await connection.execute("RESET ROLE")
        try:
            await connection.execute(statement)
            wrongly.append(statement)
        except asyncpg.InsufficientPrivilegeError:
            pass
        except asyncpg.PostgresError as error:
            wrongly.append(f"{statement}: {error!r}")
    assert not wrongly, "\n".join(wrongly)
    # To grant what one may not grant is a warning; nothing comes of it.
    await connection.execute(f"GRANT UPDATE ON record.events TO {given['me']}")
    assert not await is_taken(connection, "UPDATE record.events SET topic = topic WHERE false")
    assert await owner.fetchval(SUM) == before
    assert file.read_text() == "a secret of the server"
    await owner.execute(f"SELECT lo_unlink({given['object']})")


async def test_no_log_in_becomes_somebody_stronger(
    someone: tuple[str, asyncpg.Connection], owner: asyncpg.Connection
) -> None:
    kind, connection = someone
    me = login(kind).name
    became = set()
    for (role,) in await owner.fetch("SELECT rolname FROM pg_roles"):
        if await is_taken(connection, f'SET ROLE "{role}"'):
            became.add(role)
            await connection.execute(f'SET ROLE "{role}"')
            assert not await is_taken(connection, "ALTER TABLE record.events DISABLE TRIGGER ALL")
            await connection.execute("RESET ROLE")
        if role != me:
            assert not await is_taken(connection, f'SET SESSION AUTHORIZATION "{role}"'), role
    assert became == BECOMES[kind] | {me}
    assert await connection.fetchval("SELECT session_user::text") == me


async def test_only_the_command_line_makes_tables_and_only_among_the_read_tables(
    someone: tuple[str, asyncpg.Connection], owner: asyncpg.Connection
) -> None:
    kind, connection = someone
    made = set()
    for (schema,) in await owner.fetch("SELECT nspname FROM pg_namespace"):
        for statement in (
            f"CREATE TABLE {schema}.mine (i int)",
            f"CREATE VIEW {schema}.mine AS SELECT 1",
            f"CREATE SEQUENCE {schema}.mine",
            f"CREATE TYPE {schema}.mine AS (i int)",
            f"CREATE FUNCTION {schema}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            f"CREATE OPERATOR {schema}.<<<< (FUNCTION = pg_catalog.int4eq, LEFTARG = int, RIGHTARG = int)",
        ):
            if await is_taken(connection, statement):
                made.add(schema)
    assert made == ({"read"} if kind in ("operator", SERVER) else set())


@pytest.mark.parametrize(
    ("kind", "own", "other"),
    [
        ("projector", "live", "message_html"),
        ("projector", "live", "audit_index"),
        ("projector", "live", "past"),
        ("worker", "message_html", "live"),
        ("worker", "audit_index", "live"),
        ("worker", "past", "live"),
        ("worker", "notifications", "live"),
        ("notifier", "notifications", "message_html"),
        ("projector", "live", "notifications"),
    ],
)
async def test_whoever_follows_a_group_moves_its_checkpoint_and_no_other(
    database_url: str, owner: asyncpg.Connection, kind: str, own: str, other: str
) -> None:
    insert = "INSERT INTO read.checkpoints (name, version) VALUES ($1, 1)"
    connection = await asyncpg.connect(as_login(database_url, kind))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(insert, other)
    await connection.execute(insert, own)
    await owner.execute(insert, other)
    move = "UPDATE read.checkpoints SET position = 7 WHERE name = $1"
    assert await connection.execute(move, own) == "UPDATE 1"
    assert await connection.execute(move, other) == "UPDATE 0"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("UPDATE read.checkpoints SET name = $2 WHERE name = $1", own, other)
    assert {row[0] for row in await connection.fetch("SELECT name FROM read.checkpoints")} == {own, other}, (
        "all read all"
    )
    await connection.close()
