"""What all tests stand on: real servers, started once, and a database of one's own for each test.

The servers are the embedded ones, in a folder that is gone afterwards: in memory where the machine has room for it, since a
database is made and dropped for most tests. With `TEST_DATABASE_URL` (a superuser's) and
`TEST_REDIS_URL` set, those are used instead.
"""

import asyncio
import fcntl
import gc
import logging
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from adapters.postgres import database
from runtime.embedded.postgres import POSTGRES_SETTINGS
from runtime.embedded.servers import Embedded
from runtime.groups import LOGINS
from runtime.migrate import create_database, migrate
from runtime.roles import make_groups
from tests import reports
from tests.deployments import LOGIN_PASSWORD, PASSWORD
from tests.files.clamd import CLAMD, KIND
from tests.web.chromium import PAGE_WAS
from tests.web.firefox import CHAT_WAS

# These servers do not wait for the disk: nobody cuts the power here. Tests that kill a server start one of their own, as an
# operator would.
SPARING = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}
PREFIX = "hansard-tests-"
# What takes longest, longest first by the clock, so that no process of a run sits idle at the end beside one long file.
LONGEST = (
    "files/test_crashes.py",
    "runtime/test_up.py",
    "exports/test_operating.py",
    "files/test_sandbox.py",
    "runtime/test_notary.py",
    "gateway/test_connections.py",
    "web/test_page.py",
    "runtime/test_gateways.py",
    "gateway/test_presence.py",
    "gateway/test_proofs.py",
    "projections/test_leases.py",
    "forwarding/test_forwarding.py",
    "gateway/test_rights.py",
    "web/test_deployed.py",
    "gateway/test_sockets.py",
    "chaos/test_chaos.py",
    "files/test_saga.py",
    "projections/test_determinism.py",
    "simulation/test_simulation.py",
    "clients/test_javascript.py",
    "attack/test_attacks.py",
    "runtime/test_logins.py",
    "erasure/test_erasing.py",
    "schema/test_schema.py",
    "projections/test_read_models.py",
    "chaos/test_checker.py",
    "web/test_audit.py",
    "runtime/test_front.py",
    "gateway/test_frame_meter.py",
    "erasure/test_whole_house.py",
    "runtime/test_sentences.py",
    "runtime/test_backup.py",
    "gateway/test_audit_stream.py",
    "files/test_answers.py",
    "gateway/test_sessions.py",
    "gateway/test_http.py",
    "projections/test_rebuild_crashes.py",
    "runtime/test_restored_home.py",
    "projections/test_plans.py",
    "exports/test_packages.py",
    "clients/test_chat.py",
    "files/test_uploads.py",
    "gateway/test_socket_sessions.py",
    "projections/test_rebuild_beside_readers.py",
    "runtime/test_talk.py",
    "gateway/test_limits.py",
    "record/test_turns.py",
    "gateway/test_audit_load.py",
    "projections/test_rebuild.py",
    "projections/test_replay.py",
    "web/test_firefox.py",
    "notifier/test_devices.py",
    "clients/test_client.py",
)
HOUSE = "tests/house/"
MEMORY_BYTES = 2 * 1024**3
TEMPLATE = f"hansard_template_{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}"  # each process of a run has its own
# A shared machine stands still for seconds now and then. Who waited for a connection meanwhile is told 503, which is right, and
# is not what the tests of a deployment in their own process ask about; those of the bound itself give one of their own.
database.POOL_WAIT_SECONDS = 10.0
settings.register_profile("hansard", deadline=None, print_blob=True)
settings.load_profile("hansard")
logging.getLogger("httpx").setLevel(logging.WARNING)
# A shell has what it runs in the background ignore Ctrl-C, children included; tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# What no log line may hold, whatever is tested: access tokens, refresh tokens and codes of letters, tickets, passwords.
SECRETS = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{20,}|[0-9a-f-]{32,36}\.[\w-]{43}\b|[\w-]{120,}={0,2}|" + re.escape(PASSWORD)
)


def pytest_configure(config: pytest.Config) -> None:
    """Have failures be reported undisturbed."""
    config.pluginmanager.register(reports)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that passed and whose output, logs of the deployment among it, shows a secret."""
    report = yield
    if report.passed and (found := SECRETS.search(report.capstdout + report.capstderr + report.caplog)):
        report.outcome = "failed"
        report.longrepr = f"a secret stands in the output: {found[0][:24]}…"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the house first, then the longest files; the rest stays as it was collected."""
    here = Path(__file__).parent
    rank = {here / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: -1 if item.path.parent == here / "house" else rank.get(item.path, len(rank)))


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Files go to one process each, and the house goes to one whole: its tests share the trees of all modules."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return HOUSE if file.startswith(HOUSE) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    """Schedule by files as above, where `--dist loadfile` asks for that."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Have the collector pass over what stays until the end anyway: two million objects, which it else looks at again and again."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which scanner the tests of files were scanned by, and in which browsers the page was seen."""
    terminalreporter.write_line(
        f"Files were scanned by a {KIND}{f' ({CLAMD})' if CLAMD else ': no clamd is installed'}."
    )
    terminalreporter.write_line(PAGE_WAS)
    terminalreporter.write_line(CHAT_WAS)


@dataclass(frozen=True)
class Servers:
    database_url: str
    redis_url: str

    def database(self, name: str) -> str:
        return urlunsplit(urlsplit(self.database_url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Real Postgres and Valkey, with a migrated template database."""
    given = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
    if given[0] and given[1]:
        found = Servers(given[0], given[1])
        asyncio.run(_make_template(found))
        yield found
        return
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=_memory()) as folder,
        Embedded(Path(folder) / "home", postgres_settings=POSTGRES_SETTINGS | SPARING) as embedded,
    ):
        found = Servers(embedded.servers.database_url, embedded.servers.redis_url)
        asyncio.run(_check_that_the_disk_is_spared(found))
        asyncio.run(_make_template(found))
        yield found


@pytest.fixture
async def database_url(servers: Servers) -> AsyncIterator[str]:
    async with fresh_database(servers) as url:
        yield url


@asynccontextmanager
async def fresh_database(servers: Servers) -> AsyncIterator[str]:
    """A fresh migrated database with a record id of its own; a module whose tests share one deployment asks for it here."""
    name = f"t_{uuid4().hex}"
    admin = await asyncpg.connect(servers.database("postgres"))
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE} STRATEGY FILE_COPY')
    own = await asyncpg.connect(servers.database(name))
    await own.execute("UPDATE record.head SET record = gen_random_uuid()")
    await make_groups(own)  # a copy of a template is not granted what the template was
    await own.close()
    try:
        yield servers.database(name)
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The one Valkey; every key names its record, so tests cannot meet."""
    return servers.redis_url


def _memory() -> Path | None:
    """Return a folder in memory with room for the databases of the tests; None where there is none.

    What a killed run left there is removed first: it would fill the memory.
    """
    shared = Path("/dev/shm")
    if not shared.is_dir():
        return None
    for lock in shared.glob(f"{PREFIX}*/home/lock"):
        with suppress(OSError), lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parents[1])
    return shared if shutil.disk_usage(shared).free >= MEMORY_BYTES else None


async def _check_that_the_disk_is_spared(servers: Servers) -> None:
    """A setting of the command line outranks one of `ALTER SYSTEM`, silently."""
    db = await asyncpg.connect(servers.database("postgres"))
    assert {name: await db.fetchval(f"SHOW {name}") for name in SPARING} == SPARING
    await db.close()


async def _make_template(servers: Servers) -> None:
    admin = await asyncpg.connect(servers.database("postgres"))
    await admin.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
    await admin.close()
    url = servers.database(TEMPLATE)
    await create_database(url)
    # Every log-in, with a password that everybody knows: these servers are for tests, and on loopback or a private socket.
    await migrate(url, say=lambda sentence: None, logins=dict.fromkeys(LOGINS, LOGIN_PASSWORD))
