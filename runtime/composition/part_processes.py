"""Processes that fill a part of a rebuild each: `hansard rebuild NAME --part …`, of this installation and with these settings.

They log in as whoever divided the rebuild, and end with this process, however that ends. What they did until then is committed, and
the next rebuild goes on with it. On their standard output a line is JSON: a number is the position that the part came to, a text
says why it comes no further. They give way to whoever serves: nobody waits for a rebuild.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping

import msgspec

from domain.ports.record import RecordUnavailableError
from runtime.embedded.children import tied_to_parent
from workers.rebuild_parts import Part
from workers.table_swap import RebuildRefusedError

EX_TEMPFAIL = 75  # of sysexits.h: Postgres is away; what is done is kept, and the rest can be done later
SAID_BYTES_MAX = 1024**2


class PartProcesses:
    """Starts a process for each part. `url` is that of Postgres, with the log-in of an operator; `environment` has the other
    settings."""

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = {**environment, "HANSARD_DATABASE_URL": url}

    async def fill(self, part: Part, come_to: Callable[[int], None]) -> None:
        """Have a part filled. Raise `RecordUnavailableError` if the process was ended or Postgres went away, and
        `RebuildRefusedError` if it cannot, with the reason that it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runtime.cli", "rebuild", part.group, "--part", msgspec.json.encode(part).decode()),
            env=self._environment,
            stdin=DEVNULL,
            stdout=PIPE,
            limit=SAID_BYTES_MAX,
            start_new_session=True,
            preexec_fn=tied_to_parent(signal.SIGKILL),
        )
        assert process.stdout is not None, "it is a pipe"
        reason = ""
        try:
            async for line in process.stdout:
                said = msgspec.json.decode(line, type=int | str)
                if isinstance(said, int):
                    come_to(said)
                else:
                    reason = said
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        what = f"Part {part.number + 1} of {part.parts} of {part.group}"
        if code < 0 or code == EX_TEMPFAIL:
            raise RecordUnavailableError(
                f"{what} was interrupted; what is made of it stays, and is gone on with. {reason}".strip()
            )
        if code:
            raise RebuildRefusedError(f"{what} is not filled. {reason or 'Its log says why.'}")
