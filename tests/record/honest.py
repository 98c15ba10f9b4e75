"""Honest records: grown in made-up steps, with notaries that are killed, keys that are rotated, tiles that are lost, witnesses that come
late, and never one alteration. Verification must find nothing: `python -m tests.record.honest --records 1000`, or `make honest`.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import asyncpg
import msgspec
import structlog

from adapters.key_file import make_key_file
from adapters.notary.key import NotaryKey
from adapters.notary.keyring import Keyring
from adapters.notary.memory import NOTARY_KEY, LastSigned, WitnessFolder
from adapters.notary.package import Package
from adapters.notary.places import FolderPlace
from adapters.notary.rotation import rotation_note
from adapters.postgres.database import Database
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.standing_rows import StandingRows
from adapters.postgres.tiles import TileStore
from domain.key_rotation import NOTARY_KEYS
from domain.tree_head import origin_of
from runtime.embedded.servers import Embedded
from runtime.migrate import create_database, migrate
from runtime.operators.package import pack
from tests.record.believable import Town, record
from tests.record.offices import Office
from workers.notary import Notary
from workers.package_verification import PackageVerification
from workers.record_rules import RecordRules
from workers.verification import Note, Verification
from workers.witness import Witnessing

EMPTY = "TRUNCATE record.events, notary.tiles, notary.checkpoints, notary.keys, notary.witnessed"
STEPS = (1, 2, 3, 17, 40, 255, 256, 257)


class Honest:
    """One record after the other, in one database."""

    def __init__(self, owner: asyncpg.Connection, db: Database) -> None:
        self._owner = owner
        self._db = db

    async def live(self, seed: int, folder: Path) -> list[str]:
        """Make a record by a seed, and verify it as it grows; return what was found, which is wrong."""
        chance = Random(seed)
        office = Office(self._owner, self._db, EventEntries(self._db), TileStore(self._db), LastSigned(folder), b"", "")
        await office.tamper(EMPTY)
        await self._owner.execute("UPDATE record.head SET record = gen_random_uuid()")
        office.origin = origin_of((await office.events.head()).record)
        make_key_file(folder / NOTARY_KEY)
        keyring = Keyring(folder, office.origin)
        keys = [_current(keyring)]
        town, rotations, found = Town(chance, people=chance.randint(1, 9), rooms=chance.randint(1, 4)), 0, list[str]()
        witnesses = WitnessFolder(folder / "elsewhere")
        witnessing = Witnessing(office.memory, office.store, [FolderPlace(witnesses, "w")], quorum=1, seconds=1)
        notary = Notary(office.events, office.store, keys[-1], office.memory, keyring)
        for _ in range(chance.randint(1, 6)):
            await record(office, list(town.events(chance.choice(STEPS))))
            if chance.random() < 0.15:
                rotations += 1
                note = rotation_note(_current(keyring), keyring.make_pending())
                data = msgspec.json.encode({"origin": office.origin, "note": note}).decode()
                await record(office, [(NOTARY_KEYS.id(), rotations, "notary.key_rotated", data, None)])
            if chance.random() < 0.7:
                await notary.step()
                keys += [] if (now := _current(keyring)).verifier == keys[-1].verifier else [now]
            if chance.random() < 0.5:
                await witnessing.step()
            is_lost = chance.random() < 0.2
            if is_lost:  # with the notary stopped, as docs/operating.md has it
                await self._owner.execute("DELETE FROM notary.tiles")
            if is_lost or chance.random() < 0.4:
                notary = Notary(office.events, office.store, _current(keyring), office.memory, keyring)
                await notary.begin()
        await notary.begin()
        await record(office, list(town.events(1)))
        await notary.step()
        keys += [] if (now := _current(keyring)).verifier == keys[-1].verifier else [now]
        for key in keys:
            found += [f"live: {each}" for each in await self._findings(office, key, witnesses)]
        path = folder / "record.zip"
        await pack(office.events, office.store, path)
        notes = [Note("w", note) for _, note in witnesses.notes(office.origin)]
        with Package(path) as package:
            verification = PackageVerification(package, chance.choice(keys).verifier, notes, _silent)
            found += [f"package: {each}" for each in (await verification.judge()).findings]
        return found

    async def _findings(self, office: Office, key: NotaryKey, witnesses: WitnessFolder) -> list[object]:
        remembered, rules = office.memory.read(), RecordRules(StandingRows(self._db))
        notes = [Note("w", note) for _, note in witnesses.notes(office.origin)]
        notes += [] if remembered is None else [Note("n", remembered, is_notarys=True)]
        judgement = await Verification(office.events, office.store, key.verifier, notes, _silent, rules).judge()
        return [*judgement.findings]


def _current(keyring: Keyring) -> NotaryKey:
    found = keyring.current()
    assert found is not None, "it was made"
    return found


def _silent(at: int, of: int) -> None:
    """Show nothing."""


async def alarms(database_url: str, seeds: range) -> list[str]:
    """Return what was found in the records of these seeds."""
    owner, db, found = await asyncpg.connect(database_url), await Database.open(database_url, size=3), list[str]()
    honest, began = Honest(owner, db), time.perf_counter()
    for number, seed in enumerate(seeds, 1):
        with tempfile.TemporaryDirectory() as folder:
            found += [f"seed {seed}: {each}" for each in await honest.live(seed, Path(folder))]
        if not number % 100:
            print(f"{number} records, {len(found)} false alarms, {time.perf_counter() - began:.0f} s", flush=True)
    await db.close()
    await owner.close()
    return found


async def main() -> int:
    parser = argparse.ArgumentParser(description="Verify honest records; nothing may be found.")
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with (
        tempfile.TemporaryDirectory(prefix="hansard-honest-") as home,
        Embedded(Path(home) / "h", redis=False) as servers,
    ):
        url = servers.servers.database_url
        await create_database(url)
        await migrate(url, say=lambda sentence: None)
        found = await alarms(url, range(asked.first, asked.first + asked.records))
    for each in found[:20]:
        print(each)
    print(f"{asked.records} honest records: {len(found)} false alarms")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
