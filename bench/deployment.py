"""A deployment of its own for a bench: `hansard up` on an empty home and a free port, and what it costs."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import IO, Self

import httpx
import psutil

from bench.comparison.machine import by_process
from runtime.embedded.children import tied_to_parent

START_SECONDS = 60


class Deployment:
    """Everything that `hansard up` starts. Loopback only; gone, with its data, at the end."""

    def __init__(self, *, limits: str = "off", is_logged: bool = False, checkout: Path | None = None) -> None:
        """`is_logged`: what it says is written to the file `log` beside its home; `checkout`: the folder that it is run from."""
        self._checkout = checkout
        self._is_logged = is_logged
        self._folder = tempfile.TemporaryDirectory(prefix="hansard-bench-")
        self.home = Path(self._folder.name) / "home"
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HANSARD_")},
            "HANSARD_HOME": str(self.home),
            "HANSARD_PORT": str(self.port),
            "HANSARD_LIMITS": limits,
        }

    async def __aenter__(self) -> Self:
        with self._open_log() as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "runtime.cli", "up"),
                env=self.environment,
                stdout=log,
                stderr=log if self._is_logged else None,
                cwd=self._checkout,
                preexec_fn=tied_to_parent(signal.SIGTERM),
            )
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as http:
            while not await self._is_ready(http):
                await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        await self._process.wait()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """The process whose children are all that was started."""
        return self._process.pid

    def move_to(self, port: int) -> None:
        """Listen on this port, before it is started."""
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self.environment["HANSARD_PORT"] = str(port)

    def _open_log(self) -> IO[bytes]:
        return open(self.home.parent / "log" if self._is_logged else os.devnull, "ab")

    async def _is_ready(self, http: httpx.AsyncClient) -> bool:
        if self._process.returncode is not None:
            raise RuntimeError(f"hansard up ended with {self._process.returncode}")
        try:
            return (await http.get(self.base + "/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    def cpu_seconds(self) -> float:
        """Return the processor time of all processes of the server so far: gateway, projector, Postgres, Valkey, …"""
        return sum(by_process([self._process.pid]).values())

    def process(self, command: str) -> psutil.Process:
        """Return the process that runs this command of `hansard`."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        return next(child for child in children if child.cmdline()[-1:] == [command])

    def memory_kib(self) -> int:
        """Return what all processes hold that nobody else does (unique set size)."""
        total = 0
        root = psutil.Process(self._process.pid)
        for process in (root, *root.children(recursive=True)):
            try:
                total += process.memory_full_info().uss
            except psutil.NoSuchProcess:
                continue
        return total // 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
