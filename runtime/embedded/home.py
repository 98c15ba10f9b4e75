"""The folder of the embedded servers: private, held by one process at a time, with a log of each server."""

import fcntl
import os
from pathlib import Path
from typing import IO

from domain.errors import ReadableError

LAST_LINES = 20


class EmbeddedFailedError(ReadableError):
    """The embedded servers cannot run; the sentence says why and what to do."""


class Home:
    """The home folder. `hold` takes it for this process, `release` lets it go."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: IO[str] | None = None

    def hold(self) -> None:
        """Take the home. Raise `EmbeddedFailedError` if another process of this machine has it."""
        if self._lock is not None:
            return
        try:
            make_private(self.path)
            lock = open(self.path / "lock", "a+")  # noqa: SIM115 – held until the process ends
        except OSError as error:
            raise EmbeddedFailedError(
                f"{self.path} cannot hold the data ({error.strerror}): set HANSARD_HOME to a folder that you may write to."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise EmbeddedFailedError(
                f"Hansard is already running on {self.path} (process {lock.read().strip() or 'unknown'}): stop that one, or set "
                "HANSARD_HOME and HANSARD_PORT to others."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def log(self, name: str) -> Path:
        """Return where a server's log is."""
        return self.path / "logs" / f"{name}.log"

    def last_line(self, name: str) -> str:
        """Return the last telling line of a log, with the log's path."""
        lines = [line.strip() for line in self.log(name).read_text(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if "FATAL" in line or "error" in line.lower() or "No space" in line] or lines
        return f"{telling[-1] if telling else 'it said nothing'} (see {self.log(name)})"

    def met_remains(self, name: str) -> bool:
        """Return whether a server ended because processes of its killed predecessor had not ended yet."""
        lines = self.log(name).read_text(errors="replace").splitlines()[-LAST_LINES:]
        return any(
            "pre-existing shared memory" in line or "lock file" in line or "Address already" in line for line in lines
        )


def make_private(folder: Path) -> None:
    """Make a folder that is open to nobody else. Raise `EmbeddedFailedError` if it belongs to somebody else."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.geteuid():
        raise EmbeddedFailedError(f"{folder} belongs to somebody else; set HANSARD_HOME to a folder of your own.")
    folder.chmod(0o700)
