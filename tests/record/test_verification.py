"""Verification against a superuser: whatever is done to a record is found, and where; and nothing is found where nothing was.

The attacker owns the database, and, in one attack, has the notary's key and folder too; what a witness has is not theirs.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from adapters.notary.key import NotaryKey
from adapters.notary.memory import LastSigned
from adapters.postgres.event_entries import BATCH_EVENTS, Entries, EventEntries
from domain.tiles import GrowingTree
from tests.record.offices import Office, office_on
from workers.altered_events import Finding, Progress
from workers.refolding import PlaceFile
from workers.verification import Judgement, Note, NotJudgedError, Verification

EVENTS, POSITIONS = 1300, 10
KEPT = ("record.events", "notary.tiles", "notary.checkpoints", "record.identity")
# What an attack did: the kinds under which it may be found, and the position that must be named.
Done = tuple[set[str], int]
Attack = Callable[[Office, Random], Awaitable[Done]]
SHIFT = "UPDATE record.events SET position = -position - ({0}) WHERE position >= {1}; UPDATE record.events SET position = -position WHERE position < 0"


async def judged(office: Office, *more: Note, notes: bool = True) -> Judgement:
    """Verify, with what the notary remembers and what a witness has."""
    remembered = office.memory.read()
    known = [Note("the notary", remembered, is_notarys=True)] if notes and remembered else []
    key = NotaryKey(office.secret, office.origin).verifier
    return await Verification(office.events, office.store, key, [*known, *more], lambda at, of: None).judge()


async def forge_tree(office: Office, *, sign: bool = False) -> str:
    """Make tiles of the events as they are now, and a checkpoint, if the key is had."""
    head = await office.events.head()
    tree = GrowingTree()
    tree.extend((await office.events.after(0, until=head.position)).entries)
    await office.owner.execute("DELETE FROM notary.tiles")
    levels = [(tile.level, tile.number, hashes) for tile, hashes in tree.take_changed().items()]
    await office.owner.executemany("INSERT INTO notary.tiles VALUES ($1, $2, $3)", levels)
    note = NotaryKey(office.secret, office.origin).sign(tree.size, tree.root())
    if sign:
        await office.owner.execute("DELETE FROM notary.checkpoints")
        await office.owner.execute("INSERT INTO notary.checkpoints VALUES ($1, $2, $3)", office.origin, tree.size, note)
    return note


def change(column: str, value: str) -> Attack:
    async def attack(office: Office, chance: Random) -> Done:
        at = chance.randint(1, EVENTS)
        await office.tamper(f"UPDATE record.events SET {column} = {value} WHERE position = {at}")
        return {"altered"}, at

    return attack


async def take_out(office: Office, chance: Random) -> Done:
    at = chance.randint(1, EVENTS - 1)
    await office.tamper(f"DELETE FROM record.events WHERE position = {at}")
    return {"missing"}, at


async def take_out_and_renumber(office: Office, chance: Random) -> Done:
    at = chance.randint(1, EVENTS - 1)
    await office.tamper(f"DELETE FROM record.events WHERE position = {at}", SHIFT.format(-1, at))
    return {"missing"}, at


async def put_in(office: Office, chance: Random) -> Done:
    at = chance.randint(1, EVENTS)
    await office.tamper(
        SHIFT.format(1, at),
        "INSERT INTO record.events (position, stream, version, topic, data, meta, room_id, recorded_at) SELECT "
        f"{at}, gen_random_uuid(), 1, topic, data, meta, room_id, recorded_at FROM record.events WHERE position = {at + 1}",
    )
    return {"inserted"}, at


async def swap(office: Office, chance: Random) -> Done:
    one, other = sorted(chance.sample(range(1, EVENTS + 1), 2))
    await exchange(office, one, other)
    return {"reordered"}, one


async def swap_neighbours(office: Office, chance: Random) -> Done:
    at = chance.randint(1, EVENTS - 1)
    await exchange(office, at, at + 1)
    return {"reordered"}, at


async def exchange(office: Office, one: int, other: int) -> None:
    await office.tamper(
        f"UPDATE record.events SET position = -position WHERE position IN ({one}, {other})",
        f"UPDATE record.events SET position = {one + other} + position WHERE position < 0",
    )


async def renumber(office: Office, chance: Random) -> Done:
    at = chance.randint(1, EVENTS - 1)
    await office.tamper(f"UPDATE record.events SET position = {EVENTS + 7} WHERE position = {at}")
    return {"renumbered"}, at


async def cut(office: Office, chance: Random) -> Done:
    at = chance.randint(1, EVENTS)
    await office.tamper(f"DELETE FROM record.events WHERE position >= {at}")
    return {"truncated"}, at


async def turn_back(office: Office, chance: Random) -> Done:
    """The whole database as it was: events, tiles, checkpoints."""
    size = chance.choice([row[0] for row in await office.owner.fetch("SELECT size FROM notary.checkpoints")][:-1])
    await office.tamper(
        f"DELETE FROM record.events WHERE position > {size}", f"DELETE FROM notary.checkpoints WHERE size > {size}"
    )
    await forge_tree(office)
    return {"rolled back"}, size + 1


async def turn_back_and_go_on(office: Office, chance: Random) -> Done:
    """The same, and others were recorded since: more than before, with tiles of them."""
    _, at = await turn_back(office, chance)
    await office.record(EVENTS)
    await forge_tree(office)
    return {"altered"}, at


async def forge_tiles(office: Office, chance: Random) -> Done:
    done = await change("data", "'{}'")(office, chance)
    await forge_tree(office)
    return done


async def forge_tiles_and_forget(office: Office, chance: Random) -> Done:
    _, at = await forge_tiles(office, chance)
    await office.tamper(f"DELETE FROM notary.checkpoints WHERE size >= {at}")
    return {"altered"}, at


async def rename_the_record(office: Office, chance: Random) -> Done:
    await office.tamper("UPDATE record.identity SET record = gen_random_uuid()")
    return {"replaced"}, 1


async def alter_tiles(office: Office, chance: Random) -> Done:
    at = chance.randint(1, EVENTS)
    tile, within = divmod(at - 1, 256)
    await office.tamper(
        f"UPDATE notary.tiles SET hashes = set_byte(hashes, {32 * within}, get_byte(hashes, {32 * within}) # 1) "
        f"WHERE level = 0 AND number = {tile}"
    )
    return {"tiles"}, at


ATTACKS: dict[str, Attack] = {
    "altered data": change("data", "data || ' '"),
    "altered actor": change("meta", """'{"actor":"x"}'"""),
    "back-dated": change("recorded_at", "recorded_at - interval '1 microsecond'"),
    "another topic": change("topic", "'message.edited'"),
    "another room": change("room_id", "gen_random_uuid()"),
    "another version": change("version", "2"),
    "another stream": change("stream", "gen_random_uuid()"),
    "missing": take_out,
    "missing, renumbered": take_out_and_renumber,
    "inserted": put_in,
    "reordered": swap,
    "neighbours reordered": swap_neighbours,
    "renumbered": renumber,
    "truncated": cut,
    "rolled back": turn_back,
    "rolled back and gone on": turn_back_and_go_on,
    "tiles forged too": forge_tiles,
    "tiles forged, checkpoints gone": forge_tiles_and_forget,
    "another record": rename_the_record,
    "tiles alone": alter_tiles,
}


def names(finding: Finding, kinds: set[str], at: int) -> bool:
    """Whether a finding says what was done, and where: at a position, or between two checkpoints."""
    return finding.kind in kinds and (finding.position == at or finding.position <= at <= (finding.until or 0))


@pytest.fixture
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    """A record that was signed now and then, and a copy of all of it to go back to."""
    async with office_on(database_url, tmp_path) as made:
        notary = made.notary()
        for _ in range(13):
            await made.record(EVENTS // 13)
            await notary.step()
        await made.owner.execute("CREATE SCHEMA kept")
        for table in KEPT:
            await made.owner.execute(f"CREATE TABLE kept.{table.replace('.', '_')} AS TABLE {table}")
        yield made


async def restore(office: Office) -> None:
    for table in KEPT:
        await office.tamper(f"TRUNCATE {table}", f"INSERT INTO {table} SELECT * FROM kept.{table.replace('.', '_')}")


async def test_every_attack_is_found_and_located_wherever_it_is(office: Office) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    missed = []
    for name, attack in ATTACKS.items():
        chance = Random(f"{seed} {name}")
        for _ in range(POSITIONS):
            kinds, at = await attack(office, chance)
            found = (await judged(office)).findings
            if not any(names(each, kinds, at) for each in found) or found[0].position > at:
                missed.append(f"{name} at {at}: {found[:3]}")
            await restore(office)
    assert not missed, "\n".join(missed)
    assert (await judged(office)).findings == []


async def test_a_stolen_key_is_found_out_by_a_witness(office: Office, tmp_path: Path) -> None:
    """Whoever has database, key and the notary's folder can sign another record; not have a witness forget the old one."""
    witnessed = office.memory.read()
    assert witnessed is not None
    chance = Random(7)
    for _ in range(3):
        _, at = await change("data", "'{}'")(office, chance)
        office.memory.write(await forge_tree(office, sign=True))
        assert (await judged(office)).findings == [], "without a witness nobody can tell"
        found = (await judged(office, Note("the witness", witnessed))).findings
        assert {each.kind for each in found} >= {"forked"}
        assert any(names(each, {"altered", "forked"}, at) for each in found)
        await restore(office)


async def test_honest_records_are_whole_however_they_grew(office: Office, tmp_path: Path) -> None:
    """Between any two steps, with a tail that is not signed yet, with tiles that are behind, and after repairs."""
    assert await judged(office) == Judgement([], 1300, 0)
    notary, chance = office.notary(), Random(3)
    for _ in range(25):
        await office.record(chance.choice([1, 2, 17, 255, 256, 257]))
        if chance.random() < 0.6:
            await notary.step()
        if chance.random() < 0.2:
            notary = office.notary()
        judgement = await judged(office)
        assert judgement.findings == []
        head = await office.events.head()
        assert judgement.size + judgement.unsigned == head.position
    # Postgres crashed, and the last commit of tiles, which does not wait for the disk, is lost; the notary's file is not.
    await notary.step()
    newest = await office.store.newest(office.origin)
    assert newest is not None
    await office.tamper(f"DELETE FROM notary.checkpoints WHERE size = {newest.size}")
    assert (await judged(office)).findings == []


async def test_what_was_never_signed_or_under_another_key_is_not_judged(office: Office, tmp_path: Path) -> None:
    stranger = NotaryKey(os.urandom(32), office.origin)
    with pytest.raises(NotJudgedError, match="bears no signature"):
        await judged(office, Note("a file", stranger.sign(3, bytes(32))))
    await office.tamper("TRUNCATE notary.tiles, notary.checkpoints")
    with pytest.raises(NotJudgedError, match="Nothing that was signed was found"):
        await judged(office, notes=False)
    assert [each.kind for each in (await judged(office)).findings] == ["checkpoints"]


async def test_a_checkpoint_that_was_forged_in_the_database_is_found(office: Office) -> None:
    for damage in (
        "UPDATE notary.checkpoints SET note = replace(note, E'\\n1300\\n', E'\\n1299\\n')",
        f"INSERT INTO notary.checkpoints VALUES ('{office.origin}', 1400, 'nothing of the kind')",
        f"INSERT INTO notary.checkpoints VALUES ('{office.origin}', 1400, "
        f"'{NotaryKey(bytes(32), office.origin).sign(1400, bytes(32))}')",
    ):
        await office.tamper(damage)
        assert "checkpoints" in {each.kind for each in (await judged(office)).findings}
        await restore(office)
    assert LastSigned(Path("/nowhere")).read() is None


async def test_a_verification_that_was_ended_goes_on_where_it_was(database_url: str, tmp_path: Path) -> None:
    async with office_on(database_url, tmp_path) as office:
        await office.record(30_000)
        await office.notary().step()
        await office.tamper("UPDATE record.events SET data = data || ' ' WHERE position IN (5, 29000)")
        key, path = NotaryKey(office.secret, office.origin).verifier, tmp_path / "place"
        asked: list[int] = []

        class Noting(EventEntries):
            async def after(self, position: int, *, until: int, limit: int = BATCH_EVENTS) -> Entries:
                asked.append(position)
                return await super().after(position, until=until, limit=limit)

        def die(at: int, of: int) -> None:
            if at > 16_384:
                raise KeyboardInterrupt

        def verification(progress: Progress) -> Verification:
            place = PlaceFile(path, seconds=0)
            return Verification(Noting(office.db), office.store, key, [], progress, place=place)

        with pytest.raises(KeyboardInterrupt):
            await verification(die).judge()
        assert asked == [0, 8192, 16384]
        asked.clear()
        found = (await verification(lambda at, of: None).judge()).findings
        assert [(each.kind, each.position) for each in found] == [("altered", 5), ("altered", 29_000)]
        assert asked == [16_384, 24_576]
        assert not path.exists()
        # A place of another record, or none, is not believed.
        for text in ("nothing of the kind", "{}"):
            path.write_text(text)
            asked.clear()
            assert len((await verification(lambda at, of: None).judge()).findings) == 2
            assert asked == [0, 8192, 16_384, 24_576]
