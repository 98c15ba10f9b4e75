"""Attackers who have everything but the witness: the database as its superuser, the notary's key, its folder. They sign the record
anew after each attack, checkpoints and all; what a witness has kept still finds them out, and where.
"""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from adapters.notary.key import NotaryKey
from adapters.postgres.standing_rows import StandingRows
from domain.merkle import leaf_hash, root_of
from domain.tiles import GrowingTree
from tests.record.believable import Town, record
from tests.record.offices import Office, office_on
from tests.record.test_verification import ATTACKS, EVENTS, SHIFT, Attack, Done, change, restore
from workers.altered_events import Finding
from workers.record_rules import RecordRules
from workers.verification import Note, Verification

STEP = EVENTS // 13
POSITIONS = int(os.environ.get("ATTACK_POSITIONS", "2"))  # `make honest` tries ten
NOT_OF_KEYS = ("another record", "tiles alone", "tiles forged too", "tiles forged, checkpoints gone")
KEPT = ("record.events", "notary.tiles", "notary.checkpoints", "record.identity")


async def sign_anew(office: Office) -> None:
    """Make tiles, every checkpoint and the notary's memory of the record as it is now."""
    key, head = NotaryKey(office.secret, office.origin), await office.events.head()
    entries = (await office.events.after(0, until=head.position)).entries
    sizes = [row[0] for row in await office.owner.fetch("SELECT size FROM notary.checkpoints ORDER BY size")]
    tree = GrowingTree()
    tree.extend(entries)
    await office.owner.execute("TRUNCATE notary.tiles, notary.checkpoints")
    levels = [(tile.level, tile.number, hashes) for tile, hashes in tree.take_changed().items()]
    await office.owner.executemany("INSERT INTO notary.tiles VALUES ($1, $2, $3)", levels)
    leaves = [leaf_hash(entry) for entry in entries]
    for size in {*(size for size in sizes if size <= tree.size), *([tree.size] if tree.size else [])}:
        note = key.sign(size, root_of(leaves[:size]))
        await office.owner.execute("INSERT INTO notary.checkpoints VALUES ($1, $2, $3)", office.origin, size, note)
        if size == tree.size:
            office.memory.write(note)


async def no_member_posts(office: Office, chance: Random) -> Done:
    """A post by somebody who was no member then, in the place of another event."""
    at = chance.randint(1, EVENTS)
    town = Town(chance)
    stream, _, topic, data, room = town.post(town.rooms[0], town.people[0])
    await office.tamper(
        f"UPDATE record.events SET stream = '{stream}', version = 1, topic = '{topic}', data = convert_to('{data}', 'UTF8'), "
        f"room_id = '{room}' WHERE position = {at}"
    )
    return {"no member"}, at


async def fork(office: Office, chance: Random) -> Done:
    """The record goes on from an earlier place with other events, as long as it was, and is shown to somebody else."""
    at = chance.randint(1, EVENTS)
    await office.tamper(f"DELETE FROM record.events WHERE position >= {at}")
    await record(office, list(Town(chance).events(EVENTS - at + 1)))
    return {"altered"}, at


CLASSES: dict[str, Attack] = {
    **{name: attack for name, attack in ATTACKS.items() if name not in NOT_OF_KEYS},
    "another version": change("version", "version + 1000"),
    "another sender": change("data", """convert_to('{"sender_id":"x"}', 'UTF8')"""),
    "posted by no member": no_member_posts,
    "forked": fork,
}


@pytest.fixture
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with office_on(database_url, tmp_path) as made:
        town, notary = Town(Random(5)), made.notary()
        for _ in range(13):
            await record(made, list(town.events(STEP)))
            await notary.step()
        await made.owner.execute("CREATE SCHEMA kept")
        for table in KEPT:
            await made.owner.execute(f"CREATE TABLE kept.{table.replace('.', '_')} AS TABLE {table}")
        yield made


async def judged(office: Office, *notes: Note) -> list[Finding]:
    key, rules = NotaryKey(office.secret, office.origin).verifier, RecordRules(StandingRows(office.db))
    remembered = office.memory.read() or ""
    known = [Note("the notary", remembered, is_notarys=True), *notes]
    verification = Verification(office.events, office.store, key, known, lambda at, of: None, rules)
    return (await verification.judge()).findings


def covers(finding: Finding, at: int) -> bool:
    """Whether a finding names the position, or two witnessed sizes with it in between."""
    return finding.position == at or (
        finding.position <= at <= (finding.until or 0) and (finding.until or 0) - finding.position < STEP
    )


async def test_whoever_has_every_key_but_the_witnesss_is_found_out_and_located(office: Office) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rows = await office.owner.fetch("SELECT note FROM notary.checkpoints ORDER BY size")
    witnessed = [Note("the witness", row[0]) for row in rows]
    remembered = office.memory.read()
    assert remembered is not None
    assert await judged(office, *witnessed) == []
    missed, alone = [], 0
    for name, attack in CLASSES.items():
        chance = Random(f"{seed} {name}")
        for _ in range(POSITIONS):
            _, at = await attack(office, chance)
            if not name.startswith("another topic"):
                at = min(at, EVENTS)
            await sign_anew(office)
            found = await judged(office, *witnessed)
            if not any(covers(each, at) for each in found):
                missed.append(f"{name} at {at}: {found[:4]}")
            alone += bool(await judged(office))
            await restore(office)
            office.memory.write(remembered)
    assert len(CLASSES) >= 12
    assert not missed, "\n".join(missed)
    print(f"{alone} of {len(CLASSES) * POSITIONS} are found without a witness, by the record's own rules")
    assert await judged(office, *witnessed) == []


async def test_what_is_taken_out_after_the_last_witnessed_size_that_is_left_is_located(office: Office) -> None:
    """The record ends before what a witness has; what the notary signed anew of the rest vouches for nothing."""
    witnessed = [Note("the witness", row[0]) for row in await office.owner.fetch("SELECT note FROM notary.checkpoints")]
    at = EVENTS - STEP // 2
    await office.tamper(f"DELETE FROM record.events WHERE position = {at}", SHIFT.format(-1, at))
    await sign_anew(office)
    found = {(each.kind, each.position, each.until) for each in await judged(office, *witnessed)}
    assert {("rolled back", EVENTS, EVENTS), ("unwitnessed", EVENTS - STEP + 1, EVENTS - 1)} <= found


async def test_some_attacks_contradict_the_record_itself(office: Office) -> None:
    """No witness, every key stolen: guards and the clock are on the record."""
    chance, remembered = Random(11), office.memory.read()
    assert remembered is not None
    for attack, kind in (
        (no_member_posts, "no member"),
        (change("recorded_at", "recorded_at - interval '1 day'"), "back-dated"),
    ):
        for _ in range(3):
            _, at = await attack(office, chance)
            await sign_anew(office)
            if at > 1:
                assert (kind, at) in [(each.kind, each.position) for each in await judged(office)]
            await restore(office)
            office.memory.write(remembered)


def test_what_is_said_of_members_is_read_as_it_is_written() -> None:
    town = Town(Random(1))
    topics = {row[2]: json.loads(row[3]) for row in town.events(400)}
    assert {"member.joined", "member.left", "member.removed", "message.posted", "message.posted@2"} < set(topics)
