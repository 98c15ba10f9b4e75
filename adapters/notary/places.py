"""A witness that keeps checkpoints: a folder elsewhere."""

import asyncio

from adapters.notary.memory import WitnessFolder
from domain.ports.witnesses import Prover, WitnessUnavailableError
from domain.tree_head import Signature, TreeHead


class FolderPlace:
    """Copies checkpoints to a folder, which may be another machine's."""

    def __init__(self, folder: WitnessFolder, name: str) -> None:
        self.name = name
        self._folder = folder

    async def take(self, head: TreeHead, note: str, prove: Prover) -> Signature | None:
        try:
            await asyncio.to_thread(self._folder.keep, head, note)
        except OSError as error:
            raise WitnessUnavailableError(str(error)) from None
        return None

    async def close(self) -> None:
        """Nothing is open."""
