"""The embedded servers: Postgres and Valkey from wheels, for one home folder, on private Unix sockets.

They listen on no port, Postgres asks everybody for a password (`logins.py`), and both end with their parent (`children.py`).
"""

import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from runtime.embedded.home import EmbeddedFailedError, Home, make_private
from runtime.embedded.location import answers, locate
from runtime.embedded.postgres import POSTGRES_SETTINGS, postgres_is_up, start_postgres
from runtime.embedded.valkey import start_valkey

START_SECONDS = 60.0
REMAINS_SECONDS = 15.0
RETRY_SECONDS = 0.2
STOP_SECONDS = 20.0


class Embedded:
    """The servers of one home: `start`, then `stop`. Only one at a time may hold a home."""

    def __init__(
        self, home: Path, *, postgres: bool = True, redis: bool = True,
        postgres_settings: Mapping[str, str] = POSTGRES_SETTINGS,
    ) -> None:  # fmt: skip
        self.servers = locate(home)
        self._home = Home(home)
        self._postgres_settings = postgres_settings
        self._wants = {"postgres": postgres, "valkey": redis}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def hold(self) -> None:
        """Take the home. Raise `EmbeddedFailedError` if another process of this machine has it."""
        self._home.hold()

    def start(self) -> None:
        """Start what is wanted and wait until it answers. Raise `EmbeddedFailedError` if it does not; then nothing is left running."""
        self.hold()
        try:
            (self._home.path / "logs").mkdir(exist_ok=True)
            make_private(self.servers.sockets)
            self._bring_up([name for name, wanted in self._wants.items() if wanted])
        except OSError as error:
            self.stop()
            raise EmbeddedFailedError(
                f"The embedded servers cannot start: {error.strerror or error} ({self._home.path})."
            ) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what runs, Postgres by a fast shutdown, and release the home."""
        for name, ask in (("postgres", signal.SIGINT), ("valkey", signal.SIGTERM)):
            if (process := self._running.get(name)) and process.poll() is None:
                process.send_signal(ask)
        for process in self._running.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
        with suppress(OSError):  # what a killed server left in it is met at the next start
            self.servers.sockets.rmdir()
        self._home.release()

    def dead(self) -> dict[str, int]:
        """Return the servers that ended by themselves, with their exit codes."""
        return {name: code for name, process in self._running.items() if (code := process.poll()) is not None}

    def revive(self) -> None:
        """Start again what ended, on its data. Raise `EmbeddedFailedError` if it does not come back."""
        self._bring_up(list(self.dead()))

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._running.items()}

    def _bring_up(self, names: list[str]) -> None:
        """Start servers and wait until they answer.

        One that meets the remains of its predecessor is started again, and so is any that somebody kills meanwhile.
        """
        deadline = time.monotonic() + REMAINS_SECONDS
        for name in names:
            self._start(name)
        while not self._all_answer():
            for name, code in self.dead().items():
                if time.monotonic() > deadline or not (code < 0 or self._home.met_remains(name)):
                    raise EmbeddedFailedError(
                        f"The embedded {name} did not start ({code}): {self._home.last_line(name)}"
                    )
                time.sleep(RETRY_SECONDS)
                self._start(name)
            if time.monotonic() > deadline + START_SECONDS:
                raise EmbeddedFailedError(
                    f"The embedded servers did not answer in time; see {self._home.path / 'logs'}."
                )
            time.sleep(0.01)

    def _start(self, name: str) -> None:
        if name == "postgres":
            self._running[name] = start_postgres(self._home, self.servers, self._postgres_settings)
        else:
            self._running[name] = start_valkey(self._home, self.servers)

    def _all_answer(self) -> bool:
        servers = self.servers
        return (not self._wants["postgres"] or postgres_is_up(servers)) and (
            not self._wants["valkey"] or answers(servers.redis_socket)
        )
