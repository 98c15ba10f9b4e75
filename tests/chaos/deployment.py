"""A deployment that can be hurt: embedded servers, and every process of the system as an operator would start it.

Two gateways, a projector and one standing by, a worker. A keeper starts again what ended, and notes who ended without
having been told to. Postgres and Valkey are children of this process, each in a home of its own, so that one can be
revived while the other is meant to stay away.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO

import httpx
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from adapters.blobs.stores import open_blobs
from adapters.clock import now
from adapters.postgres.blob_leases import BlobLeases
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.master_key import load_master
from runtime.embedded.children import tied_to_parent
from runtime.embedded.home import EmbeddedFailedError
from runtime.embedded.servers import Embedded
from runtime.master_key import make_master
from runtime.migrate import create_database, migrate
from runtime.settings import Settings
from tests.chaos.owners import Owner
from tests.ports import free_port
from workers.files.sweeper import Sweeper

GATEWAYS = ("gateway-1", "gateway-2")
PROJECTORS = ("projector-1", "projector-2")
WORKER = "worker"
OLD_GATEWAY, OLD_WORKER = "gateway-old", "worker-old"
PROCESSES = (*GATEWAYS, *PROJECTORS, WORKER)
PAUSE_SECONDS = 0.2
WATCH_SECONDS = 0.02
READY_SECONDS = 30.0
STOP_SECONDS = 25.0
FLUSH_SECONDS = 2.0
REBUILD_SECONDS = 300.0
REVIVALS_MAX = 10


@dataclass(frozen=True)
class End:
    """A process that ended though nobody killed or stopped it."""

    name: str
    code: int
    said: str


class Old:
    """Two processes of a release before (`tests/chaos/old.py`), beside everything else: a gateway and a worker."""

    def __init__(self, gateway: str, processes: dict[str, asyncio.subprocess.Process], logs: dict[str, Path]) -> None:
        self.gateway = gateway
        self.processes = processes
        self._logs = logs

    def ends(self) -> list[str]:
        """Return what those said that have ended, which nobody told them to."""
        return [
            f"{name}: exit code {process.returncode}: {_last_lines(self._logs[name])}"
            for name, process in self.processes.items()
            if process.returncode is not None
        ]


class Deployment:
    """Everything, running under one folder."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.ends: list[End] = []
        self.restarts: Counter[str] = Counter()
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.ports = {name: free_port() for name in (*GATEWAYS, OLD_GATEWAY)}
        self._postgres = Embedded(self.home, redis=False)
        self._valkey = Embedded(folder / "valkey", postgres=False)
        self._pauses: dict[str, float] = {}
        self._told: set[str] = set()  # to end, by us
        self._frozen: set[int] = set()
        self._emptied = False
        self._stopping = False
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def database_url(self) -> str:
        return self._postgres.servers.database_url

    @property
    def redis_url(self) -> str:
        return self._valkey.servers.redis_url

    def base(self, gateway: str) -> str:
        return f"http://127.0.0.1:{self.ports[gateway]}"

    async def start(self) -> None:
        """Start everything, and wait until both gateways are ready."""
        await asyncio.to_thread(self._postgres.start)
        await asyncio.to_thread(self._valkey.start)
        await create_database(self.database_url)
        await migrate(self.database_url, say=lambda sentence: None, logins=self._postgres.servers.logins())
        await Owner(self.database_url).make_clock()
        make_master(self.home / "master.key")
        self._keepers = [asyncio.create_task(self._keep(name)) for name in PROCESSES]
        self._keepers.append(asyncio.create_task(self._keep_server("postgres", self._postgres)))
        self._keepers.append(asyncio.create_task(self._keep_server("valkey", self._valkey)))
        await self.ready()

    async def stop(self) -> None:
        """Stop everything; what does not stop in time is killed."""
        self._stopping = True
        self.thaw()
        for keeper in self._keepers[-2:]:
            keeper.cancel()
        for name in PROCESSES:
            self._signal(name, signal.SIGTERM)
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=STOP_SECONDS)
        for name in PROCESSES:
            self._signal(name, signal.SIGKILL)
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.to_thread(self._postgres.stop)
        await asyncio.to_thread(self._valkey.stop)

    async def ready(self, *names: str) -> float:
        """Wait until these gateways, by default both, can serve requests; answers how long that took."""
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(timeout=2) as http:
            for name in names or GATEWAYS:
                while not await _is_ready(http, self.base(name)):
                    self.check_keepers()
                    await asyncio.sleep(WATCH_SECONDS)
        return asyncio.get_running_loop().time() - began

    def check_keepers(self) -> None:
        """Raise what a keeper failed with: then this deployment is no more."""
        for keeper in self._keepers:
            if keeper.done() and not keeper.cancelled():
                keeper.result()

    # Hurting

    def kill(self, name: str, *, pause: float = PAUSE_SECONDS) -> None:
        """Kill with -9 a process, or `postgres` or `valkey`; it is started again after a pause."""
        self._pauses[name] = pause
        if name in PROCESSES:
            self._end(name, signal.SIGKILL)
        elif (pid := (self._postgres if name == "postgres" else self._valkey).pids().get(name)) is not None:
            _send(pid, signal.SIGKILL)

    def empty_valkey(self, *, pause: float = PAUSE_SECONDS) -> None:
        """Kill Valkey, and have it come back with nothing."""
        self._emptied = True
        self.kill("valkey", pause=pause)

    async def flush_valkey(self) -> None:
        """Have Valkey forget everything; nothing where it does not answer."""
        once = Retry(NoBackoff(), 0)
        redis = Redis.from_url(
            self.redis_url, socket_timeout=FLUSH_SECONDS, socket_connect_timeout=FLUSH_SECONDS, retry=once
        )
        with suppress(RedisError):
            await redis.flushall()
        await redis.aclose()

    def ask_to_stop(self, name: str) -> None:
        """Stop a process as an orchestrator would, by SIGTERM."""
        self._pauses[name] = 0.0
        self._end(name, signal.SIGTERM)

    async def freeze(self, name: str, seconds: float) -> None:
        """Stop the clock of a process (SIGSTOP) for a while; whoever is killed meanwhile stays dead."""
        pid = self._valkey.pids().get("valkey") if name == "valkey" else self._pid(name)
        if pid is None:
            return
        self._frozen.add(pid)
        _send(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            _send(pid, signal.SIGCONT)
            self._frozen.discard(pid)

    def thaw(self) -> None:
        for pid in self._frozen:
            _send(pid, signal.SIGCONT)

    # Asking

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run another command of the command line; answers its exit code and what it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runtime.cli", *arguments),
            env=self._environment(GATEWAYS[0]),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=tied_to_parent(signal.SIGKILL),
        )
        async with asyncio.timeout(REBUILD_SECONDS):
            said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    @asynccontextmanager
    async def old(self) -> AsyncIterator[Old]:
        """Run a gateway and a worker of a release before for a while; the gateway is ready."""
        names = (OLD_GATEWAY, OLD_WORKER)
        processes = {name: await self._spawn(name, "tests.chaos.old") for name in names}
        try:
            await self.ready(OLD_GATEWAY)
            yield Old(OLD_GATEWAY, processes, {name: self.log_of(name) for name in names})
        finally:
            for process in processes.values():
                if process.returncode is None:
                    _send(process.pid, signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await asyncio.gather(*(process.wait() for process in processes.values()))
            for process in processes.values():
                if process.returncode is None:
                    _send(process.pid, signal.SIGKILL)

    async def sweep(self) -> int:
        """Look through all blobs once, the newest too, and remove those that nothing refers to; answers how many."""
        db = await Database.open(self.database_url, size=2)
        try:
            vault = Vault(db, load_master(self.home / "master.key", create=False))
            record = PostgresRecord(db, vault, now=now, chance=os.urandom)
            blobs = await open_blobs("", home=self.home)
            return await Sweeper(blobs, BlobLeases(db), record, db, now=now, age_seconds=0).step()
        finally:
            await db.close()

    def log_of(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    # Keeping

    async def _keep(self, name: str) -> None:
        """Start a process, again and again, until all is to stop."""
        while not self._stopping:
            self.processes[name] = process = await self._spawn(name, "runtime.cli")
            self._told.discard(name)
            code = await process.wait()
            if self._stopping:
                return
            self.restarts[name] += 1
            if name not in self._told:
                self.ends.append(End(name, code, _last_lines(self.log_of(name))))
            await asyncio.sleep(self._pauses.pop(name, PAUSE_SECONDS))

    async def _spawn(self, name: str, module: str) -> asyncio.subprocess.Process:
        with self._open_log(name) as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, name.partition("-")[0]),
                env=self._environment(name),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=tied_to_parent(signal.SIGKILL),
            )

    async def _keep_server(self, name: str, embedded: Embedded) -> None:
        """Revive a server when it ended; one that is killed while it recovers is revived again."""
        failures = 0
        while True:
            if name in embedded.dead():
                await asyncio.sleep(self._pauses.pop(name, PAUSE_SECONDS))
                if name == "valkey" and self._emptied:
                    self._emptied = False
                    await asyncio.to_thread(shutil.rmtree, embedded.servers.home / "valkey")
                try:
                    await asyncio.to_thread(embedded.revive)
                    failures = 0
                except EmbeddedFailedError as error:
                    failures += 1
                    self.ends.append(End(name, embedded.dead().get(name, 0), str(error)))
                    if failures == REVIVALS_MAX:
                        raise
                self.restarts[name] += 1
            await asyncio.sleep(WATCH_SECONDS)

    def _open_log(self, name: str) -> IO[bytes]:
        return open(self.log_of(name), "ab")

    def _environment(self, name: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HANSARD_")}
        ours = {
            "HANSARD_HOME": str(self.home),
            "HANSARD_REDIS_URL": self.redis_url,
            "HANSARD_ARGON2_MEMORY_KIB": "8192",
        }
        if name in self.ports:
            ours["HANSARD_PORT"] = str(self.ports[name])
        if any(each.name == "limits" for each in fields(Settings)):
            ours["HANSARD_LIMITS"] = "off"
        return kept | ours

    def _end(self, name: str, number: signal.Signals) -> None:
        if self._pid(name) is not None:
            self._told.add(name)
            self._signal(name, number)

    def _signal(self, name: str, number: signal.Signals) -> None:
        if (pid := self._pid(name)) is not None:
            _send(pid, number)

    def _pid(self, name: str) -> int | None:
        process = self.processes.get(name)
        return None if process is None or process.returncode is not None else process.pid


@asynccontextmanager
async def deployment(folder: Path) -> AsyncIterator[Deployment]:
    """A running deployment, stopped at the end."""
    made = Deployment(folder)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def _is_ready(http: httpx.AsyncClient, base: str) -> bool:
    try:
        return (await http.get(f"{base}/readyz")).status_code == 200
    except httpx.HTTPError:
        return False


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _last_lines(file: Path) -> str:
    with open(file, "rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - 600))
        return log.read().decode(errors="replace")
