"""Proofs of the record, read from the notary's tiles and verified before they are handed out."""

import asyncio
from base64 import b64encode

import structlog
from msgspec import Struct

from adapters.clock import monotonic
from adapters.postgres.tile_proofs import Inclusion, TileProofs, TilesAlteredError
from adapters.postgres.tiles import SignedCheckpoint, TileStore, WitnessedCheckpoint
from domain.errors import BusyError, NotFoundError
from domain.merkle import includes, leaf_hash
from domain.tree_head import TreeHead, origin_of, read_note, read_tree_head
from gateway.services import Services

SIGNED_SECONDS = 2.0  # the notary signs within one
PAUSE_SECONDS = 0.1

log = structlog.get_logger()


class NothingSignedError(NotFoundError, code="audit.nothing_signed"):
    """Nothing of this record was signed yet."""


class NotSignedYetError(BusyError, code="audit.not_signed_yet"):
    """The notary has not signed this position yet; try again."""


class ProofUnavailableError(BusyError, code="audit.proof_unavailable"):
    """The tiles that this proof is made of are not those that were signed; the operator can have them made anew."""


class InclusionView(Struct, frozen=True):
    """The hashes that lead from a leaf to the root of a tree (RFC 9162 2.1.3), in Base64."""

    leaf_index: int
    tree_size: int
    leaf_hash: str
    hashes: list[str]


class Proofs:
    """Proofs of one record."""

    def __init__(self, store: TileStore, origin: str) -> None:
        self._store = store
        self._proofs = TileProofs(store)
        self._origin = origin

    async def newest(self) -> SignedCheckpoint:
        """Return the newest checkpoint. Raise `NothingSignedError`."""
        found = await self._store.newest(self._origin)
        if found is None:
            raise NothingSignedError
        return found

    async def witnessed(self) -> WitnessedCheckpoint:
        """Return the newest checkpoint that enough witnesses have. Raise `NothingSignedError`."""
        found = await self._store.witnessed(self._origin)
        if found is None:
            raise NothingSignedError
        return found

    async def signed(self, position: int) -> SignedCheckpoint | WitnessedCheckpoint:
        """Return a checkpoint that holds a position, one with cosignatures if there is one; wait for it shortly.

        Raise `NotSignedYetError`.
        """
        witnessed = await self._store.witnessed(self._origin)
        if witnessed is not None and witnessed.size >= position:
            return witnessed
        deadline = monotonic() + SIGNED_SECONDS
        while True:
            found = await self._store.newest(self._origin)
            if found is not None and found.size >= position:
                return found
            if monotonic() > deadline:
                raise NotSignedYetError
            await asyncio.sleep(PAUSE_SECONDS)

    async def inclusion(self, index: int, size: int) -> Inclusion:
        """Prove that an event stands in a tree. Raise `ProofUnavailableError`."""
        try:
            return await self._proofs.inclusion(index, size)
        except TilesAlteredError:
            raise self._unavailable(size) from None

    async def consistency(self, first: int, second: int) -> list[bytes]:
        """Prove that a tree extends another. Raise `ProofUnavailableError`."""
        try:
            return await self._proofs.consistency(first, second)
        except TilesAlteredError:
            raise self._unavailable(second) from None

    def require_root(self, checkpoint: SignedCheckpoint | WitnessedCheckpoint, index: int, found: Inclusion) -> None:
        """Raise `ProofUnavailableError` unless a proof leads to the root that was signed."""
        head = head_of(checkpoint)
        if not includes(leaf_hash(found.entry), index, head.size, found.hashes, head.root):
            raise self._unavailable(head.size)

    def _unavailable(self, size: int) -> ProofUnavailableError:
        log.error("tiles are missing or altered: hansard verify says where", size=size)
        return ProofUnavailableError()


def proofs_of(services: Services) -> Proofs:
    """Return what proves things of this record."""
    return Proofs(services.tiles, origin_of(services.record_id))


def inclusion_view(found: Inclusion, index: int, size: int) -> InclusionView:
    return InclusionView(index, size, base64(leaf_hash(found.entry)), list(map(base64, found.hashes)))


def base64(hashed: bytes) -> str:
    return b64encode(hashed).decode()


def head_of(checkpoint: SignedCheckpoint | WitnessedCheckpoint) -> TreeHead:
    """Return what a checkpoint says. It is the reader's to verify the signature."""
    return read_tree_head(read_note(checkpoint.note)[0])
