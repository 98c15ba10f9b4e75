"""The folder witness: checkpoints are copied to a folder that is not the database's, at most one a minute.

Put it on another machine, or where files cannot be altered for a while: who turns back the database, the notary's folder and
the host then still contradicts what lies there.
"""

import asyncio

import structlog

from adapters.notary.memory import LastSigned, WitnessFolder
from domain.tree_head import NoteUnreadableError, read_note, read_tree_head

WITNESS_SECONDS = 60.0

log = structlog.get_logger()


class Witness:
    """Copies what was signed last."""

    def __init__(self, memory: LastSigned, folder: WitnessFolder) -> None:
        self._memory = memory
        self._folder = folder

    def step(self) -> int | None:
        """Copy the checkpoint; return the size of its tree, None where there is none. Raise `OSError`."""
        note = self._memory.read()
        if note is None:
            return None
        head = read_tree_head(read_note(note)[0])
        self._folder.keep(head, note)
        return head.size

    async def run(self) -> None:
        """Copy for ever. A folder that cannot be written to is told in the log, and tried again."""
        while True:
            try:
                await asyncio.to_thread(self.step)
            except (OSError, NoteUnreadableError) as error:
                log.error("the witness's folder cannot be written to", because=str(error))
            await asyncio.sleep(WITNESS_SECONDS)
