"""The tree: RFC 6962's published roots, proofs held to a reading of the RFC that is written another way, and tiles."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import merkle, tiles
from domain.merkle import Range, Subtree, leaf_hash, node_hash
from domain.tiles import GrowingTree, Tile

# The leaves and roots of the reference implementation's tests (google/certificate-transparency, merkle_tree_test.cc).
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = st.integers(1, 1100)


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(i.to_bytes(32, "big")) for i in range(count)]


def mth(hashes: list[bytes]) -> bytes:
    """MTH as RFC 6962, 2.1, writes it."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = max(1 << i for i in range(len(hashes).bit_length()) if 1 << i < len(hashes))
    return node_hash(mth(hashes[:k]), mth(hashes[k:]))


def hash_of(hashes: list[bytes], tree: Subtree) -> bytes:
    return merkle.complete_root(hashes[tree.number << tree.height : (tree.number + 1) << tree.height])


def proved(hashes: list[bytes], ranges: tuple[Range, ...]) -> list[bytes]:
    return merkle.proof(ranges, lambda tree: hash_of(hashes, tree))


def test_roots_are_those_that_were_published() -> None:
    hashes = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]
    assert [merkle.root_of(hashes[: i + 1]).hex() for i in range(8)] == ROOTS
    assert merkle.root_of([]) == merkle.EMPTY_ROOT == sha256(b"").digest()


def test_proofs_are_those_that_were_published() -> None:
    """RFC 6962, 2.1.3: of a tree of seven leaves, in the RFC's own names of nodes."""
    d = [leaf_hash(bytes.fromhex(text)) for text in INPUTS[:7]]
    a, b, c, e, f, j = d[0], d[1], d[2], d[4], d[5], d[6]
    g, h, i = node_hash(a, b), node_hash(c, d[3]), node_hash(e, f)
    k, last = node_hash(g, h), node_hash(i, j)
    assert proved(d, merkle.inclusion_ranges(0, 7)) == [b, h, last]
    assert proved(d, merkle.inclusion_ranges(3, 7)) == [c, g, last]
    assert proved(d, merkle.inclusion_ranges(4, 7)) == [f, j, k]
    assert proved(d, merkle.inclusion_ranges(6, 7)) == [i, k]
    assert proved(d, merkle.consistency_ranges(3, 7)) == [c, d[3], g, last]
    assert proved(d, merkle.consistency_ranges(4, 7)) == [last]
    assert proved(d, merkle.consistency_ranges(6, 7)) == [i, j, k]


@given(SIZES, st.data())
@settings(max_examples=80)
def test_a_leaf_is_proved_where_it_stands_and_nowhere_else(size: int, data: st.DataObject) -> None:
    hashes, index = leaves(size), data.draw(st.integers(0, size - 1))
    root = merkle.root_of(hashes)
    assert root == mth(hashes)
    found = proved(hashes, merkle.inclusion_ranges(index, size))
    assert merkle.includes(hashes[index], index, size, found, root)
    assert not merkle.includes(leaf_hash(b"another"), index, size, found, root)
    assert not merkle.includes(hashes[index], index, size, [*found, root], root)
    other = data.draw(st.integers(-1, size + 1).filter(lambda at: at != index))
    assert not merkle.includes(hashes[index], other, size, found, root)
    if found:
        assert not merkle.includes(hashes[index], index, size, found[:-1], root)
        at = data.draw(st.integers(0, len(found) - 1))
        assert not merkle.includes(hashes[index], index, size, [*found[:at], leaf_hash(b"x"), *found[at + 1 :]], root)


@given(SIZES, st.data())
@settings(max_examples=80)
def test_a_tree_is_proved_to_extend_another_and_no_altered_one(size: int, data: st.DataObject) -> None:
    hashes, first = leaves(size), data.draw(st.integers(1, size))
    old, new = merkle.root_of(hashes[:first]), merkle.root_of(hashes)
    found = proved(hashes, merkle.consistency_ranges(first, size))
    assert merkle.extends(first, old, size, new, found)
    altered = data.draw(st.integers(0, first - 1))
    forked = merkle.root_of([*hashes[:altered], leaf_hash(b"x"), *hashes[altered + 1 : first]])
    assert not merkle.extends(first, forked, size, new, found)
    assert not merkle.extends(first, old, size, merkle.root_of([*hashes, leaf_hash(b"x")]), found)
    if found:
        assert not merkle.extends(first, old, size, new, found[:-1])
        assert not merkle.extends(first, old, size, new, [*found, old])


@given(st.lists(st.integers(0, 700), min_size=1, max_size=4))
@settings(max_examples=40)
def test_a_tree_that_grows_has_the_same_root_and_tiles_whatever_its_steps(steps: list[int]) -> None:
    tree, kept, size = GrowingTree(), dict[Tile, bytes](), 0
    for step in steps:
        tree.extend(i.to_bytes(32, "big") for i in range(size, size + step))
        size += step
        assert (tree.size, tree.root()) == (size, merkle.root_of(leaves(size)))
        kept |= tree.take_changed()
        tree = GrowingTree.of(size, {tile: kept[tile] for tile in tiles.edge_of(size)})  # as after a restart
        assert tree.root() == merkle.root_of(leaves(size))
    whole = GrowingTree()
    whole.extend(i.to_bytes(32, "big") for i in range(size))
    assert whole.take_changed() == kept
    assert all(len(hashes) == 32 * tiles.width_of(tile, size) for tile, hashes in kept.items())


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_536, 70_000])
def test_every_proof_is_read_from_the_tiles_that_it_names(size: int) -> None:
    tree, hashes = GrowingTree(), leaves(size)
    tree.extend(i.to_bytes(32, "big") for i in range(size))
    kept = tree.take_changed()
    for index in {0, size // 3, size - 1}:
        ranges = merkle.inclusion_ranges(index, size)
        few = {tile: kept[tile] for tile in tiles.needed(ranges)}
        found = merkle.proof(ranges, lambda t, few=few: tiles.hash_in(few[tiles.tile_of(t)], t))  # type: ignore[misc]
        assert found == proved(hashes, ranges)
        assert merkle.includes(hashes[index], index, size, found, tree.root())


def test_the_partial_tiles_are_those_of_the_specification() -> None:
    """C2SP tlog-tiles: "a tree of size 70,000 …"."""
    assert [(tile, tiles.width_of(tile, 70_000)) for tile in tiles.edge_of(70_000)] == [
        (Tile(0, 273), 112), (Tile(1, 1), 17), (Tile(2, 0), 1),
    ]  # fmt: skip
    assert [(tile, tiles.width_of(tile, 256)) for tile in tiles.edge_of(256)] == [(Tile(1, 0), 1)]
    assert tiles.path_of(1_234_067) == "x001/x234/067"
    with pytest.raises(ValueError, match="tile 0 of level 1 is not whole"):
        GrowingTree.of(256, {})


@given(st.integers(0, 10**12), st.integers(1, 256))
def test_a_tile_has_one_address(index: int, width: int) -> None:
    path = tiles.path_of(index, width)
    assert tiles.read_path(path) == (index, width)
    for wrong in (
        f"x000/{path}",
        f"0{path}",
        f"{path}/",
        path.upper().replace("P/", "P/0") + ".",
        f"{path}.p/256",
        "12",
    ):
        assert tiles.read_path(wrong) is None
