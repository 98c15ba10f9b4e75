"""One Postgres and one Redis for everybody who is compared, from wheels, with fsync on, pinned to the servers' cores.

Postgres listens on loopback too, for peers whose drivers know no Unix sockets.
"""

import socket
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from adapters.postgres.master_key import load_master
from bench.comparison.machine import Cores, pinned
from runtime.embedded.location import PORT
from runtime.embedded.logins import HBA
from runtime.embedded.postgres import POSTGRES_SETTINGS
from runtime.embedded.servers import Embedded
from runtime.migrate import create_database

LOOPBACK = "127.0.0.1"
LOOPBACK_HBA = f"{HBA}host all all {LOOPBACK}/32 scram-sha-256\n"


class Servers:
    """Both servers, in a folder that goes with them."""

    def __init__(self, cores: Cores) -> None:
        self.cores = cores
        self._folder = tempfile.TemporaryDirectory(prefix="hansard-bench-")
        self.home = Path(self._folder.name) / "home"
        self.home.mkdir(mode=0o700)
        self.master_key = self.home / "master.key"
        settings = dict(POSTGRES_SETTINGS)
        self.is_on_loopback = _is_free(PORT)
        if self.is_on_loopback:
            rules = self.home.parent / "pg_hba.conf"
            rules.write_text(LOOPBACK_HBA)
            settings |= {"listen_addresses": LOOPBACK, "hba_file": str(rules)}
        self._embedded = Embedded(self.home, postgres_settings=settings)

    async def __aenter__(self) -> Self:
        with pinned(self.cores.servers):
            self._embedded.start()
        await create_database(self.database_url)
        load_master(self.master_key, create=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._embedded.stop()
        self._folder.cleanup()

    @property
    def database_url(self) -> str:
        return self._embedded.servers.database_url

    @property
    def redis_url(self) -> str:
        return self._embedded.servers.redis_url

    @property
    def processes(self) -> list[int]:
        return list(self._embedded.pids().values())

    def folder(self, name: str) -> Path:
        """Return a private folder of this name, which lives as long as the servers."""
        folder = self.home.parent / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    async def another_database(self, name: str) -> str:
        """Make a database in the same Postgres, unless it is there; return its URL."""
        owner = await asyncpg.connect(self.database_url)
        try:
            if not await owner.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                await owner.execute(f'CREATE DATABASE "{name}"')
        finally:
            await owner.close()
        return urlunsplit(urlsplit(self.database_url)._replace(path=f"/{name}"))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) != 0
