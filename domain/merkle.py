"""The Merkle tree of RFC 6962 and 9162, section 2.1: hashes, roots, proofs, and how they are verified. Pure.

A proof is a list of roots of ranges of leaves; which ranges is said here, and their hashes are read from tiles
(`domain/tiles.py`). Every range of a proof is a run of complete subtrees, the largest first.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

EMPTY_ROOT = sha256(b"").digest()
HASH_BYTES = 32


class Subtree(NamedTuple):
    """A complete subtree of 2^height leaves; `number` counts those of its height from the left."""

    height: int
    number: int


class Range(NamedTuple):
    """Leaves from `start` up to before `end`."""

    start: int
    end: int


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node above two others."""
    return sha256(b"\x01" + left + right).digest()


def joined(hashes: Sequence[bytes]) -> bytes:
    """Return the root of complete subtrees side by side, the largest first; of none that of the empty tree."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over hashes whose number is a power of two."""
    level = list(hashes)
    while len(level) > 1:
        level = [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
    return level[0]


def subtrees_of(leaves: Range) -> tuple[Subtree, ...]:
    """Return the complete subtrees of a range that begins where one as large as any of them could (as those of proofs do)."""
    found, at = [], leaves.start
    while at < leaves.end:
        height = (leaves.end - at).bit_length() - 1
        found.append(Subtree(height, at >> height))
        at += 1 << height
    return tuple(found)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a tree of these leaf hashes."""
    runs = (
        Range(tree.number << tree.height, (tree.number + 1) << tree.height)
        for tree in subtrees_of(Range(0, len(leaves)))
    )
    return joined([complete_root(leaves[run.start : run.end]) for run in runs])


def inclusion_ranges(index: int, size: int) -> tuple[Range, ...]:
    """Return the ranges whose roots are the inclusion proof of a leaf in a tree, from the leaf up (RFC 9162 2.1.3.1)."""
    assert 0 <= index < size, "the leaf is in the tree"
    return tuple(_path(index, Range(0, size)))


def consistency_ranges(first: int, second: int) -> tuple[Range, ...]:
    """Return the ranges whose roots prove that a tree extends another (RFC 9162 2.1.4.1)."""
    assert 0 < first <= second, "the first tree is not empty, and not larger than the second"
    return tuple(_subproof(first, Range(0, second), True)) if first < second else ()


def _split(leaves: Range) -> int:
    """Return where the left half of a range ends: it has the largest power of two that is smaller than the whole."""
    return leaves.start + (1 << ((leaves.end - leaves.start - 1).bit_length() - 1))


def _path(index: int, leaves: Range) -> Iterator[Range]:
    if leaves.end - leaves.start == 1:
        return
    middle = _split(leaves)
    left, right = Range(leaves.start, middle), Range(middle, leaves.end)
    yield from _path(index, left if index < middle else right)
    yield right if index < middle else left


def _subproof(first: int, leaves: Range, is_known: bool) -> Iterator[Range]:
    if first == leaves.end:
        if not is_known:
            yield leaves
        return
    middle = _split(leaves)
    left, right = Range(leaves.start, middle), Range(middle, leaves.end)
    if first <= middle:
        yield from _subproof(first, left, is_known)
        yield right
    else:
        yield from _subproof(first, right, False)
        yield left


def proof(ranges: Sequence[Range], hash_of: Callable[[Subtree], bytes]) -> list[bytes]:
    """Return the hashes of a proof, of the hashes of complete subtrees."""
    return [joined([hash_of(tree) for tree in subtrees_of(run)]) for run in ranges]


def includes(leaf: bytes, index: int, size: int, hashes: Sequence[bytes], root: bytes) -> bool:
    """Return whether a proof shows that a leaf hash stands at an index of the tree with this root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for hashed in hashes:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(hashed, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, hashed)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def extends(first: int, first_root: bytes, second: int, second_root: bytes, hashes: Sequence[bytes]) -> bool:
    """Return whether a proof shows that the second tree extends the first (RFC 9162 2.1.4.2)."""
    if first == second:
        return not hashes and first_root == second_root
    if not 0 < first < second or not hashes:
        return False
    path = [first_root, *hashes] if first & (first - 1) == 0 else list(hashes)
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for hashed in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(hashed, old), node_hash(hashed, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, hashed)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root
