"""Places that are not the database's, which are given each checkpoint: some keep it, some cosign it too."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from domain.tree_head import Signature, TreeHead

# Returns the hashes that prove that this checkpoint's tree extends the one of this size.
Prover = Callable[[int], Awaitable[list[bytes]]]


class WitnessUnavailableError(Exception):
    """A witness does not answer, or not as one; it is asked again."""


class WitnessContradictsError(Exception):
    """A witness has seen another tree than this one, or a larger one: what it has seen is not what is signed now."""


class WitnessPlace(Protocol):
    """One witness. `name` is how operators see it, without secrets."""

    name: str

    async def take(self, head: TreeHead, note: str, prove: Prover) -> Signature | None:
        """Give it a checkpoint; return its cosignature, None if it only keeps what it is given.

        Raise `WitnessUnavailableError`, or `WitnessContradictsError`.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
