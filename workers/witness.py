"""Witnessing: what was signed last is given to places that are not the database's, all at once, each minute.

Some keep it (a folder, a bucket), some cosign it too (C2SP tlog-witness). Where as many as the quorum have it, the checkpoint is
kept with their cosignatures, and served: who holds it need not trust the notary's key alone. Nothing waits for a witness.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from adapters.notary.memory import LastSigned
from adapters.postgres.tile_proofs import TileProofs, TilesAlteredError
from adapters.postgres.tiles import TileStore
from domain.cosignature import with_lines
from domain.ports.record import RecordUnavailableError
from domain.ports.witnesses import Prover, WitnessContradictsError, WitnessPlace, WitnessUnavailableError
from domain.tree_head import NoteUnreadableError, Signature, TreeHead, read_note, read_tree_head

log = structlog.get_logger()


class _Answer(NamedTuple):
    """Which place has it, and its cosignature if it makes any."""

    name: str
    line: Signature | None


class Witnessing:
    """Gives what was signed last to all witnesses of one record."""

    def __init__(
        self, memory: LastSigned, store: TileStore, places: Sequence[WitnessPlace], *, quorum: int, seconds: float
    ) -> None:
        self._memory = memory
        self._store = store
        self._proofs = TileProofs(store)
        self._places = places
        self._quorum = max(1, quorum)
        self._seconds = seconds
        self._last: tuple[str, int] | None = None
        self.witnessed = 0
        self.missing: tuple[str, ...] = ()
        self.contradicted: tuple[str, ...] = ()

    async def step(self) -> int | None:
        """Give it to everybody; return the size of its tree, None where nothing was signed, or everybody has it already."""
        note = await asyncio.to_thread(self._memory.read)
        if note is None:
            return None
        head = read_tree_head(read_note(note)[0])
        if self._last == (note, len(self._places)):
            return None

        async def prove(old: int) -> list[bytes]:
            return await self._proofs.consistency(old, head.size)

        self.contradicted = ()
        answers = await asyncio.gather(*(self._ask(place, head, note, prove) for place in self._places))
        taken = [answer for answer in answers if answer is not None]
        names = [answer.name for answer in taken]
        self.missing = tuple(place.name for place in self._places if place.name not in names)
        if len(taken) >= self._quorum:
            lines = [answer.line for answer in taken if answer.line is not None]
            await self._store.save_witnessed(head.origin, head.size, with_lines(note, lines), names)
            self.witnessed = head.size
            log.info("checkpoint witnessed", size=head.size, root=head.root.hex(), by=names)
        self._last = (note, len(taken))
        return head.size

    async def run(self) -> None:
        """Give for ever. A place that does not answer is told in the log, and asked again."""
        while True:
            try:
                await self.step()
            except (RecordUnavailableError, NoteUnreadableError, OSError) as error:
                log.error("nothing is witnessed", because=str(error))
            await asyncio.sleep(self._seconds)

    async def _ask(self, place: WitnessPlace, head: TreeHead, note: str, prove: Prover) -> _Answer | None:
        try:
            return _Answer(place.name, await place.take(head, note, prove))
        except WitnessContradictsError as error:
            self.contradicted = (*self.contradicted, place.name)
            log.error(
                "a witness has seen another record than this: 'hansard verify' with its checkpoint", because=str(error)
            )
        except (WitnessUnavailableError, TilesAlteredError) as error:
            log.warning("a witness was not reached", witness=place.name, because=str(error) or "the tiles are altered")
        return None
