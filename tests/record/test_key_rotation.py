"""Rotation of the notary's key: an event that both keys signed, and nothing that the old one signs from there on counts."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from adapters.key_file import make_key_file
from adapters.notary.key import NotaryKey, read_notary_secret
from adapters.notary.keyring import NEXT_KEY, Keyring
from adapters.notary.memory import NOTARY_KEY
from adapters.notary.rotation import chain_of, rotation_note
from domain.key_rotation import NOTARY_KEYS, Rotation
from domain.tiles import GrowingTree
from tests.record.offices import Office, office_on
from workers.notary import Notary, RecordContradictsError
from workers.verification import Judgement, Note, NotJudgedError, Verification

INSERT_ROTATION = """
    INSERT INTO record.events (position, stream, version, topic, data, meta, room_id, recorded_at)
    SELECT h.position + 1, $1, $2, 'notary.key_rotated', $3, '{}', NULL, clock_timestamp() FROM record.head h
"""
A, B, C, D = (NotaryKey(bytes([i]) * 32, "hansard/x") for i in range(4))


def keys(chain: object) -> list[tuple[int, NotaryKey]]:
    known = {each.verifier: each for each in (A, B, C, D)}
    return [(since, known[key]) for since, key in chain.keys]  # type: ignore[attr-defined]


def test_who_knows_one_key_knows_those_before_and_after() -> None:
    rotations = [Rotation(5, rotation_note(A, B)), Rotation(9, rotation_note(B, C))]
    for trusted in (A, B, C):
        chain = chain_of(trusted.verifier, rotations)
        assert keys(chain) == [(0, A), (5, B), (9, C)]
        assert [chain.at(size) for size in (0, 4, 5, 8, 9, 99)] == [
            key.verifier for key in (A, A, B, B, C, C)
        ]  # fmt: skip
    assert keys(chain_of(D.verifier, rotations)) == [(0, D)]


def test_what_one_key_signed_alone_or_twice_or_of_another_record_binds_nothing() -> None:
    theirs = NotaryKey(bytes([9]) * 32, "hansard/y")
    good = rotation_note(A, B)
    text, _, lines = good.rpartition("\n\n")
    first, second, _ = lines.split("\n")
    for note in (
        f"{text}\n\n{first}\n",
        f"{text}\n\n{second}\n",
        rotation_note(A, C).replace(str(C.verifier), str(B.verifier)),
        good.replace("hansard/x\n", "hansard/y\n", 1),
        rotation_note(theirs, NotaryKey(bytes([8]) * 32, "hansard/y")),
        "",
        "nothing of the kind",
    ):
        assert keys(chain_of(A.verifier, [Rotation(5, note)])) == [(0, A)], note
    again = [Rotation(5, good), Rotation(7, good), Rotation(8, rotation_note(A, D))]
    assert keys(chain_of(A.verifier, again)) == [(0, A), (5, B)]


class Desk:
    """An office whose notary has its keys in a folder."""

    def __init__(self, office: Office, folder: Path) -> None:
        self.office = office
        self.folder = folder
        self.keyring = Keyring(folder, office.origin)
        self.rotations = 0

    def key(self) -> NotaryKey:
        found = self.keyring.current()
        assert found is not None
        return found

    def notary(self) -> Notary:
        return Notary(self.office.events, self.office.store, self.key(), self.office.memory, self.keyring)

    async def rotate(self) -> int:
        """Record a rotation; return its position."""
        note = rotation_note(self.key(), self.keyring.make_pending())
        self.rotations += 1
        data = msgspec.json.encode({"origin": self.office.origin, "note": note})
        await self.office.owner.execute(INSERT_ROTATION, NOTARY_KEYS.id(), self.rotations, data)
        return (await self.office.events.head()).position

    async def judged(self, key: NotaryKey, *notes: Note) -> Judgement:
        office = self.office
        return await Verification(
            office.events, office.store, key.verifier, list(notes), lambda at, of: None
        ).judge()  # fmt: skip


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with office_on(database_url, tmp_path) as office:
        make_key_file(tmp_path / NOTARY_KEY)
        made = Desk(office, tmp_path)
        await office.record(10)
        await made.notary().step()
        yield made


async def test_the_notary_goes_over_with_the_tree_that_holds_the_event_and_every_key_verifies_all(desk: Desk) -> None:
    first, notary = desk.key(), desk.notary()
    await desk.office.record(5)
    at = await desk.rotate()
    await desk.office.record(5)
    head = await notary.step()
    assert head is not None
    assert (at, head.size) == (16, 21)
    second = desk.key()
    assert second.verifier != first.verifier
    assert read_notary_secret(desk.folder / NEXT_KEY) is None
    newest = await desk.office.store.newest(desk.office.origin)
    assert newest is not None
    assert newest.note == second.sign(head.size, head.root)
    assert [key.vkey for key in await desk.office.store.keys(desk.office.origin)] == [str(second.verifier)]
    await desk.rotate()
    await notary.step()
    await desk.office.record(1)
    await desk.notary().step()
    for key in (first, second, desk.key()):
        assert await desk.judged(key) == Judgement([], 23, 0)
    with pytest.raises(NotJudgedError):
        await desk.judged(NotaryKey(os.urandom(32), desk.office.origin), Note("x", newest.note))


async def test_it_is_killed_between_the_keys_and_the_signature_and_goes_on(desk: Desk) -> None:
    await desk.rotate()
    desk.keyring.promote()
    head = await desk.notary().step()
    assert head is not None
    newest = await desk.office.store.newest(desk.office.origin)
    assert newest is not None
    assert newest.note == desk.key().sign(11, head.root)


async def test_without_the_next_key_it_does_not_sign(desk: Desk) -> None:
    notary = desk.notary()
    await desk.rotate()
    os.unlink(desk.folder / NEXT_KEY)
    for each in (notary, desk.notary()):
        with pytest.raises(RecordContradictsError, match="signs now, and the notary's folder does not hold it"):
            await each.step()


async def test_a_signature_after_the_keys_retirement_is_found(desk: Desk) -> None:
    """Somebody copied the old key before it was destroyed; the record itself is as it was."""
    old = desk.key()
    await desk.rotate()
    await desk.office.record(9)
    await desk.notary().step()
    tree = GrowingTree()
    tree.extend((await desk.office.events.after(0, until=20)).entries)
    stolen = old.sign(20, tree.root())
    for key in (old, desk.key()):
        found = (await desk.judged(key, Note("a file", stolen))).findings
        assert [(each.kind, each.position) for each in found] == [("retired key", 20)]
        assert (await desk.judged(key, Note("a file", old.sign(10, (await desk.office.root(10)))))).findings == []
    early = Note("a file", desk.key().sign(10, await desk.office.root(10)))
    assert [each.kind for each in (await desk.judged(old, early)).findings] == ["retired key"]
    await desk.office.tamper(
        f"UPDATE notary.checkpoints SET note = '{stolen}' WHERE size = 20",
    )
    await desk.office.record(1)
    found = (await desk.judged(old)).findings
    assert ("retired key", 20) in [(each.kind, each.position) for each in found]
