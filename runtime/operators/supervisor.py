"""The child processes of `hansard up`: started, started again when they end by themselves, and stopped in order.

A child that ends is started again after a growing pause, unless its exit code says that it would end again
(`EX_CONFIG`): then everything stops. Each child is handed the log-in of its kind, and never the owner's. One gateway is handed the
projector's, too, and does its work (`HANSARD_TOGETHER`); several share the port (`HANSARD_GATEWAYS`), and end together.
"""

import asyncio
import os
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from runtime.command import EX_CONFIG
from runtime.embedded.children import tied_to_parent
from runtime.embedded.servers import Embedded
from runtime.settings import Settings, address

DISPENSABLE = ("notary",)  # nothing waits for it
METRICS_PORTS_ON = {"worker": 1, "notary": 2}  # from the projector's, on the same host
STOP_SECONDS = 25.0
READY_SECONDS = 60.0
PAUSE_SECONDS_MAX = 10.0
STEADY_SECONDS = 30.0
WATCH_SECONDS = 0.5


class Supervisor:
    """The child processes of one `hansard up`."""

    def __init__(self, settings: Settings, embedded: Embedded, stop: asyncio.Event, *, welcome: str) -> None:
        self._settings = settings
        self._embedded = embedded
        self._stop = stop
        self._welcome = welcome
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._started: dict[str, float] = {}
        gateways = ["gateway", *(f"gateway {number}" for number in range(2, settings.gateways + 1))]
        self._is_together = settings.together == "on" and settings.gateways == 1
        projectors = [] if self._is_together else ["projector"]
        self._stages = (gateways, projectors, ["worker"], ["notary"])  # in the order in which they start, and end
        self._pauses = dict.fromkeys((name for stage in self._stages for name in stage), 0.0)

    async def run(self) -> int:
        try:
            for name in self._pauses:
                await self._start(name)
            if await self._becomes_ready():
                say(self._welcome)
            return await self._watch()
        finally:
            for stage in self._stages:
                await asyncio.gather(*map(self._end, stage))
            say("Stopped.")

    async def _start(self, name: str) -> None:
        self._children[name] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runtime.cli", _command(name)),
            env=os.environ | self._settings_of(name),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at the terminal is for this process alone
            preexec_fn=tied_to_parent(signal.SIGTERM),
        )
        self._started[name] = time.monotonic()

    def _settings_of(self, name: str) -> dict[str, str]:
        """Return the settings of a child: its own log-in. An empty setting overrides one in a file `.env`."""
        given = name == "projector" and self._settings.projector_url
        url = given or self._settings.database_url or self._embedded.servers.login_url(_command(name))
        told = {
            "HANSARD_DATABASE_URL": url,
            "HANSARD_MIGRATION_URL": "",
            "HANSARD_REBUILD_URL": "",
            "HANSARD_PROJECTOR_URL": "",
            "HANSARD_LOGINS": "",
        }
        if _command(name) == "worker":
            told["HANSARD_REBUILD_URL"] = self._settings.rebuild_url or (
                "" if self._settings.database_url else self._embedded.servers.login_url("operator")
            )
        if self._is_together and name == "gateway":
            told["HANSARD_PROJECTOR_URL"] = (
                self._settings.projector_url
                or self._settings.database_url
                or self._embedded.servers.login_url("projector")
            )
        if name in METRICS_PORTS_ON and (address := self._settings.metrics_address) is not None:
            host, port = address
            told["HANSARD_METRICS_LISTEN"] = f"{f'[{host}]' if ':' in host else host}:{port + METRICS_PORTS_ON[name]}"
        return told

    async def _watch(self) -> int:
        """Start children again, until told to stop, or until one ends that would end again."""
        while not self._stop.is_set():
            for name, code in self._embedded.dead().items():
                say(f"The embedded {name} ended with {code}; it is started again.")
                await asyncio.to_thread(self._embedded.revive)
            for name, child in list(self._children.items()):
                if child.returncode == EX_CONFIG and name in DISPENSABLE:
                    say(
                        f"The {name} cannot run as it is set up, for the reason above. Everything else goes on without it."
                    )
                    del self._children[name]
                elif child.returncode == EX_CONFIG:
                    say(f"The {name} cannot run as it is set up, for the reason above: mend it, and start again.")
                    return 1
                elif child.returncode is not None:
                    await self._start_again(name, child.returncode)
            try:
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._stop.wait()
            except TimeoutError:
                pass
        return 0

    async def _start_again(self, name: str, code: int) -> None:
        steady = time.monotonic() - self._started[name] > STEADY_SECONDS
        self._pauses[name] = 0.5 if steady else min(PAUSE_SECONDS_MAX, max(0.5, 2 * self._pauses[name]))
        say(f"The {name} ended with {code}; it is started again in {self._pauses[name]:.1f} s.")
        await asyncio.sleep(self._pauses[name])
        if not self._stop.is_set():
            await self._start(name)

    async def _end(self, name: str) -> None:
        child = self._children.get(name)
        if child is None or child.returncode is not None:
            return
        child.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()

    async def _becomes_ready(self) -> bool:
        """Wait until requests can be served, by one gateway at least; False if told to stop before."""
        url = f"{address(self._settings)}/readyz"
        tls = _trusting(self._settings.tls_certificate) if self._settings.has_tls else None
        deadline = time.monotonic() + READY_SECONDS
        while not self._stop.is_set() and time.monotonic() < deadline:
            if await asyncio.to_thread(_answers, url, tls):
                return True
            if self._children["gateway"].returncode is not None:
                return False
            await asyncio.sleep(0.05)
        return False


def _command(name: str) -> str:
    """Return the command that a child runs: all gateways run the same."""
    return name.partition(" ")[0]


def say(sentence: str) -> None:
    print(sentence, flush=True)


def _trusting(certificate: Path) -> ssl.SSLContext:
    """Return a context that trusts this very certificate, whatever name it is for: the gateway is asked on loopback."""
    context = ssl.create_default_context(cafile=certificate)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context


def _answers(url: str, tls: ssl.SSLContext | None) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2, context=tls) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
