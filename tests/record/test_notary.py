"""The notary: it signs what extends the last tree that it signed, and nothing else, whatever becomes of its tiles and itself."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.notary.key import (
    NotaryKey,
    NotaryKeyError,
    NoteForgedError,
    make_notary_secret,
    read_notary_secret,
    verified,
)
from adapters.notary.memory import NotaryRunsAlreadyError, WitnessFolder, held
from adapters.notary.places import FolderPlace
from adapters.postgres.event_entries import _RowHasher
from adapters.postgres.tiles import TileStore
from domain.leaf import EventRow, encoded, entry_of
from domain.ports.record import RecordReplacedError
from domain.tiles import Tile, width_of
from domain.tree_head import origin_of, read_note
from runtime.operators.checks.notary import notary as check_notary
from runtime.settings import Settings
from tests.clients.test_verify import ROWS
from tests.deployments import running
from tests.record.offices import SELECT_ROWS, Office, office_on
from workers.notary import Notary, RecordContradictsError
from workers.witness import Witnessing


@pytest.fixture
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with office_on(database_url, tmp_path) as found:
        yield found


@given(st.lists(ROWS, min_size=1, max_size=4), st.data())
def test_what_copy_sends_is_hashed_as_the_page_says_however_it_is_cut(
    rows: list[EventRow], data: st.DataObject
) -> None:
    sent = b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"".join(map(encoded, rows)) + b"\xff\xff"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))

    async def take() -> tuple[list[int], list[bytes]]:
        hasher = _RowHasher()
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            await hasher.take(sent[start:end])
        return hasher.finished()

    assert asyncio.run(take()) == ([row.position for row in rows], [entry_of(row) for row in rows])


async def test_postgres_sends_the_canonical_bytes(office: Office) -> None:
    await office.record(600)
    rows = [EventRow(*row) for row in await office.owner.fetch(SELECT_ROWS)]
    found = await office.events.after(0, until=600)
    assert found == (list(range(1, 601)), [entry_of(row) for row in rows])
    assert await office.events.after(598, until=599) == ([599], [entry_of(rows[598])])
    assert await office.events.after(600, until=700) == ([], [])


async def test_it_signs_what_was_recorded_step_by_step_and_after_a_restart(office: Office) -> None:
    notary = office.notary()
    assert await notary.step() is None
    for events, size in ((1, 1), (255, 256), (1, 257), (700, 957)):
        await office.record(events)
        head = await notary.step()
        assert head is not None
        assert (head.size, head.root) == (size, await office.root(size))
        assert await notary.step() is None
        notary = office.notary()
    newest = await office.store.newest(office.origin)
    assert newest is not None
    assert newest.note == office.memory.read()
    assert verified(newest.note, NotaryKey(office.secret, office.origin).verifier) == head
    tiles = await office.store.tiles([Tile(0, 0), Tile(0, 3), Tile(1, 0), Tile(2, 0)])
    assert {tile: len(hashes) // 32 for tile, hashes in tiles.items()} == {
        tile: width_of(tile, 957) for tile in (Tile(0, 0), Tile(0, 3), Tile(1, 0))
    }


async def test_a_note_is_verified_under_its_own_key_alone(office: Office) -> None:
    key = NotaryKey(office.secret, office.origin)
    note = key.sign(3, bytes(32))
    with pytest.raises(NoteForgedError):
        verified(note, NotaryKey(os.urandom(32), office.origin).verifier)
    with pytest.raises(NoteForgedError):
        verified(note.replace("\n3\n", "\n4\n"), key.verifier)
    assert len(read_note(note)[1]) == 1


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM notary.tiles",
        "DELETE FROM notary.checkpoints",
        "TRUNCATE notary.tiles, notary.checkpoints",
        "UPDATE notary.tiles SET hashes = overlay(hashes placing '\\x00' from 5 for 1) WHERE level = 0 AND number = 1",
        "UPDATE notary.tiles SET hashes = substr(hashes, 1, 31) WHERE level = 1 OR number = 1",
        "UPDATE notary.checkpoints SET note = 'nothing of the kind'",
    ],
)
async def test_tiles_that_were_lost_or_altered_are_made_anew(office: Office, damage: str) -> None:
    await office.record(300)
    await office.notary().step()
    await office.owner.execute(damage)
    await office.record(300)
    head = await office.notary().step()
    assert head is not None
    assert (head.size, head.root) == (600, await office.root(600))
    kept = await office.store.tiles([Tile(0, 0), Tile(0, 1), Tile(0, 2)])
    assert b"".join(kept[tile] for tile in sorted(kept)) == b"".join((await office.events.after(0, until=600)).entries)


CUT = "The record ends at 290, and 300 events were signed."
ALTERED = "The first 300 events are not those that were signed: 'hansard verify' says where."
GONE = "An event is missing after position 300."


@pytest.mark.parametrize(
    ("attack", "first", "afterwards"),
    [
        ("DELETE FROM record.events WHERE position > 290", CUT, "An event is missing after position 290."),
        (
            "UPDATE record.events SET topic = 'x' WHERE position = 300",
            "The event at 300 is not the one that was signed.",
            ALTERED,
        ),
        ("DELETE FROM record.events WHERE position = 310", GONE.replace("300", "309"), GONE.replace("300", "309")),
    ],
)
async def test_what_does_not_extend_what_was_signed_is_not_signed(
    office: Office, attack: str, first: str, afterwards: str
) -> None:
    notary = office.notary()
    await office.record(300)
    await notary.step()
    await office.record(20)
    await office.tamper(attack)
    for tried, said in ((notary, first), (notary, afterwards), (office.notary(), afterwards)):
        with pytest.raises(RecordContradictsError) as refused:
            await tried.step()
        assert str(refused.value) == said
    newest = await office.store.newest(office.origin)
    assert newest is not None
    assert newest.size == 300


async def test_a_record_that_was_cut_and_went_on_is_not_signed_by_whoever_lost_the_tiles_either(office: Office) -> None:
    await office.record(300)
    await office.notary().step()
    await office.tamper("DELETE FROM record.events WHERE position > 250", "TRUNCATE notary.tiles, notary.checkpoints")
    await office.record(100)
    with pytest.raises(RecordContradictsError, match="The first 300 events are not those that were signed"):
        await office.notary().step()


async def test_without_its_memory_it_does_not_sign_what_it_signed_before(office: Office) -> None:
    await office.record(10)
    await office.notary().step()
    note = office.memory.read()
    assert note is not None
    os.rename(office.memory._path, office.memory._path.with_name("elsewhere"))
    await office.record(10)
    with pytest.raises(RecordContradictsError, match="the file of the last one that was signed is gone"):
        await office.notary().step()
    office.memory.write(note)
    head = await office.notary().step()
    assert head is not None
    assert head.size == 20
    stranger = Notary(office.events, office.store, NotaryKey(os.urandom(32), office.origin), office.memory)
    with pytest.raises(RecordContradictsError, match="another record, or under another key"):
        await stranger.step()


async def test_a_record_with_another_id_is_another_log(office: Office) -> None:
    await office.record(10)
    notary = office.notary()
    await notary.step()
    await office.owner.execute("UPDATE record.head SET record = gen_random_uuid()")
    with pytest.raises(RecordReplacedError):
        await notary.step()
    office.origin = origin_of((await office.events.head()).record)
    with pytest.raises(RecordContradictsError, match="of another record"):
        await office.notary().step()


async def test_it_is_killed_between_remembering_and_telling_and_goes_on(office: Office) -> None:
    await office.record(300)
    await office.notary().step()
    await office.record(300)

    class Dying(TileStore):
        async def save(self, *_: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await Notary(office.events, Dying(office.db), NotaryKey(office.secret, office.origin), office.memory).step()
    newest = await office.store.newest(office.origin)
    assert newest is not None
    assert newest.size == 300
    await office.record(1)
    head = await office.notary().step()
    assert head is not None
    assert (head.size, head.root) == (601, await office.root(601))


async def test_running_it_signs_soon_and_keeps_a_copy_elsewhere(office: Office, tmp_path: Path) -> None:
    notary = office.notary()
    place = FolderPlace(WitnessFolder(tmp_path / "elsewhere"), "elsewhere")
    witnessing = Witnessing(office.memory, office.store, [place], quorum=1, seconds=60)
    assert await witnessing.step() is None
    async with running(notary.run()):
        await office.record(5)
        async with asyncio.timeout(20):
            while notary.signed is None or notary.signed.size < 5:
                await asyncio.sleep(0.01)
    assert (await witnessing.step(), await witnessing.step()) == (5, None)
    [(path, note)] = WitnessFolder(tmp_path / "elsewhere").notes(office.origin)
    assert (path.name, note) == ("0000000000000000005.checkpoint", office.memory.read())


def test_its_key_is_a_file_of_its_own_and_two_notaries_do_not_share_it(tmp_path: Path) -> None:
    path = tmp_path / "notary" / "notary.key"
    assert read_notary_secret(path) is None
    secret = make_notary_secret(path)
    assert make_notary_secret(path) == secret == read_notary_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("nothing of the kind")
    with pytest.raises(NotaryKeyError, match="not 64 hexadecimal digits"):
        read_notary_secret(path)
    with held(tmp_path), pytest.raises(NotaryRunsAlreadyError), held(tmp_path):
        raise AssertionError("there are two")


def test_origins_are_of_records() -> None:
    assert origin_of(uuid4()) != origin_of(uuid4())  # type: ignore[arg-type]


async def test_the_doctor_and_the_tiles_say_what_is_not_signed(office: Office, database_url: str) -> None:
    settings = Settings(database_url=database_url)
    await office.record(3)
    assert (await office.store.unsigned(office.origin))[:2] == (0, 3)
    await office.notary().step()
    assert await office.store.unsigned(office.origin) == (3, 0, 0.0)
    assert "signed up to position 3; no witness has it" in await check_notary(settings)
    with pytest.raises(RuntimeError, match="too few witnesses have it"):
        await check_notary(replace(settings, witnesses=("/mnt/witness",)))
    await office.store.save_witnessed(office.origin, 3, "note", ["/mnt/witness"])
    assert "/mnt/witness witnessed 3" in await check_notary(replace(settings, witnesses=("/mnt/witness",)))
    await office.record(2)
    await office.tamper("UPDATE record.events SET recorded_at = recorded_at - interval '2 minutes' WHERE position > 3")
    with pytest.raises(RuntimeError, match=r"2 events are not signed, the first for 12\d s"):
        await check_notary(settings)
