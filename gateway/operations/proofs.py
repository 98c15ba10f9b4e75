"""Proofs of the record, read from the notary's tiles and verified before they are handed out."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple

import structlog
from msgspec import Struct

from adapters.clock import monotonic
from adapters.postgres.tiles import SignedCheckpoint, TileStore
from domain.errors import BusyError, NotFoundError
from domain.merkle import (
    HASH_BYTES,
    Range,
    Subtree,
    consistency_ranges,
    extends,
    includes,
    inclusion_ranges,
    joined,
    leaf_hash,
    proof,
    subtrees_of,
)
from domain.tiles import WIDTH, Tile, hash_in, needed, tile_of, width_of
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


class Inclusion(NamedTuple):
    """That an entry stands at an index of a tree."""

    entry: bytes
    hashes: list[bytes]


class Proofs:
    """Proofs of one record."""

    def __init__(self, store: TileStore, origin: str) -> None:
        self._store = store
        self._origin = origin

    async def newest(self) -> SignedCheckpoint:
        """Return the newest checkpoint. Raise `NothingSignedError`."""
        found = await self._store.newest(self._origin)
        if found is None:
            raise NothingSignedError
        return found

    async def signed(self, position: int) -> SignedCheckpoint:
        """Return a checkpoint that holds a position; wait for it shortly. Raise `NotSignedYetError`."""
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
        ranges = inclusion_ranges(index, size)
        kept = await self._tiles([*ranges, Range(index, index + 1), *([Range(0, size)])], size)
        at = index % WIDTH * HASH_BYTES
        found = Inclusion(kept[Tile(0, index // WIDTH)][at : at + HASH_BYTES], _made(ranges, kept))
        if not includes(leaf_hash(found.entry), index, size, found.hashes, _root(size, kept)):
            raise self._unavailable(size)
        return found

    async def consistency(self, first: int, second: int) -> list[bytes]:
        """Prove that a tree extends another. Raise `ProofUnavailableError`."""
        ranges = consistency_ranges(first, second)
        kept = await self._tiles([*ranges, Range(0, first), Range(0, second)], second)
        found = _made(ranges, kept)
        if not extends(first, _root(first, kept), second, _root(second, kept), found):
            raise self._unavailable(second)
        return found

    def require_root(self, checkpoint: SignedCheckpoint, index: int, found: Inclusion) -> None:
        """Raise `ProofUnavailableError` unless a proof leads to the root that was signed."""
        head = head_of(checkpoint)
        if not includes(leaf_hash(found.entry), index, head.size, found.hashes, head.root):
            raise self._unavailable(head.size)

    async def _tiles(self, ranges: Sequence[Range], size: int) -> dict[Tile, bytes]:
        wanted = needed(ranges)
        kept = await self._store.tiles(wanted)
        if any(len(kept.get(tile, b"")) < width_of(tile, size) * HASH_BYTES for tile in wanted):
            raise self._unavailable(size)
        return kept

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


def head_of(checkpoint: SignedCheckpoint) -> TreeHead:
    """Return what a checkpoint says. It is the reader's to verify the signature."""
    return read_tree_head(read_note(checkpoint.note)[0])


def _made(ranges: Sequence[Range], kept: dict[Tile, bytes]) -> list[bytes]:
    def hash_of(tree: Subtree) -> bytes:
        return hash_in(kept[tile_of(tree)], tree)

    return proof(ranges, hash_of)


def _root(size: int, kept: dict[Tile, bytes]) -> bytes:
    return joined([hash_in(kept[tile_of(tree)], tree) for tree in subtrees_of(Range(0, size))])
