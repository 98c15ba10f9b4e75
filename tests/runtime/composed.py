"""The services of compose.yaml as processes of this machine: the very commands and settings, at the addresses of the tests.

There need be no Docker for that. What Compose itself does (images, volumes, its network) is not tried; what stands in the file is.
"""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.deployments import LOGIN_PASSWORD
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
GIVEN = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
# Those of the log-ins that all databases of the tests' one Postgres share.
PASSWORDS = {f"{kind}_PASSWORD": LOGIN_PASSWORD for kind in ("GATEWAY", "PROJECTOR", "WORKER", "NOTARY", "OPERATOR")}
STOP_SECONDS = 20


def services() -> dict[str, Any]:
    """Return the services of compose.yaml."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return found


def published(service: dict[str, Any]) -> tuple[str, int, int]:
    """Return where a service is published: address and port of the host, and its own port."""
    [mapping] = service["ports"]
    address, outer, inner = mapping.split(":")
    return address, int(outer), int(inner)


class Composed:
    """Starts services; `places` says what stands here for what the file names (`db:5432`, a folder)."""

    def __init__(self, places: dict[str, str]) -> None:
        self._services = services()
        self._places = places
        self._running: list[asyncio.subprocess.Process] = []

    def local(self, text: str) -> str:
        """Return a text of the file as it is on this machine."""
        filled = GIVEN.sub(lambda found: PASSWORDS.get(found[1], found[2] or ""), text)
        for named, here in self._places.items():
            filled = filled.replace(named, here)
        return filled

    async def start(self, name: str, **more: str) -> asyncio.subprocess.Process:
        """Start a service, with the settings of the file and those that this machine needs besides."""
        service = self._services[name]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HANSARD_", "AWS_"))}
        settings = {key: self.local(str(value)) for key, value in service["environment"].items()}
        if "HANSARD_METRICS_LISTEN" in settings:  # where each has a host of its own, all may have one port
            settings["HANSARD_METRICS_LISTEN"] = f"127.0.0.1:{free_port()}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "runtime.cli", *service["command"],
            env=kept | settings | more, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self._running.append(process)
        return process

    async def is_healthy(self, name: str) -> bool:
        """Run a service's own health check."""
        kind, *command = self._services[name]["healthcheck"]["test"]
        assert (kind, command[0]) == ("CMD", "python")
        check = await asyncio.create_subprocess_exec(
            sys.executable, *map(self.local, command[1:]), stderr=asyncio.subprocess.DEVNULL
        )
        return await check.wait() == 0

    async def stop(self) -> None:
        for process in self._running:
            if process.returncode is None:
                process.terminate()
        async with asyncio.timeout(STOP_SECONDS):
            await asyncio.gather(*(process.wait() for process in self._running))
