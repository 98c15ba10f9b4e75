"""Where the embedded servers of a home listen, and with which passwords, whether they run or not."""

import hashlib
import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from runtime.embedded import logins
from runtime.embedded.home import EmbeddedFailedError
from runtime.embedded.logins import OWNER, password_of, read_secret
from runtime.groups import GROUP_OF, login

SOCKET_PATH_BYTES_MAX = 80  # of 107 that the kernel allows, leaving room for the names of the sockets
PORT = 5432


@dataclass(frozen=True)
class Servers:
    """Where the servers of a home are, whether they run or not."""

    sockets: Path
    home: Path

    @property
    def database_url(self) -> str:
        """The owner's URL: for migrations and backups, and for no process that serves."""
        return self._url(OWNER)

    def login_url(self, kind: str) -> str:
        """Return the URL for a process of this kind (`runtime/groups.py`)."""
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
            raise EmbeddedFailedError(
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
    """Return where a home's servers listen: below it, or in a private temporary folder if its path is too long."""
    home = home.resolve()
    below = home / "run"
    if len(os.fsencode(below)) <= SOCKET_PATH_BYTES_MAX:
        return Servers(below, home)
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Servers(Path(tempfile.gettempdir()) / f"hansard-{os.geteuid()}-{name}", home)


def answers(path: Path) -> bool:
    """Return whether somebody listens on this Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
