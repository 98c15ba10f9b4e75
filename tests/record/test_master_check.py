"""The check of the master key: a wrong one is told from a missing one, before anything is sealed under it."""

import asyncio
from pathlib import Path

import pytest

from adapters.postgres.database import Database
from adapters.postgres.master_key import Master, MasterKeyWrongError
from adapters.postgres.master_key_check import SELECT_CHECK, require_right
from runtime.operators import clock
from runtime.operators.doctor import doctor
from runtime.settings import Settings
from tests.deployments import MASTER, SECRET, ledger
from tests.record.test_record import post

OTHER_SECRET = b"another master key, 32 bytes, ok"
OTHER = Master(OTHER_SECRET)
PATH = Path("/keys/master.key")


async def is_right(db: Database, master: Master, *, keep: bool = True) -> bool:
    try:
        await require_right(db, master, PATH, keep=keep)
    except MasterKeyWrongError as error:
        assert str(PATH) in str(error) and "Put back the copy" in str(error)
        return False
    return True


async def test_the_first_key_of_an_empty_vault_is_the_right_one(database_url: str) -> None:
    db = await Database.open(database_url, size=4)
    assert await is_right(db, OTHER, keep=False) and await db.value(SELECT_CHECK) is None
    found = await asyncio.gather(*(is_right(db, master) for master in (MASTER, OTHER) * 4))
    assert set(zip((MASTER, OTHER) * 4, found, strict=True)) in (
        {(MASTER, True), (OTHER, False)},
        {(MASTER, False), (OTHER, True)},
    )
    assert [await is_right(db, master, keep=keep) for master in (MASTER, OTHER) for keep in (True, False)] == [
        right for right in found[:2] for _ in range(2)
    ]
    await db.close()


async def test_a_record_of_an_earlier_release_tells_by_its_data_keys(database_url: str) -> None:
    async with ledger(database_url) as (db, record, _):
        await record.append(post())
        assert not await is_right(db, OTHER) and await db.value(SELECT_CHECK) is None
        assert await is_right(db, MASTER) and await db.value(SELECT_CHECK) is not None
        assert not await is_right(db, OTHER)


async def test_no_process_starts_on_another_records_key(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "master.key"
    settings = Settings(home=tmp_path, database_url=database_url, master_key_file=key)
    for secret, code in ((SECRET, 0), (OTHER_SECRET, 1)):
        key.write_text(secret.hex())
        key.chmod(0o600)
        if code == 0:
            assert await clock.show(settings) == 0
        else:
            with pytest.raises(MasterKeyWrongError, match="is not the one of this record"):
                await clock.show(settings)
        assert await doctor(settings, ["master key"]) == code
    assert "is not the one of this record" in capsys.readouterr().out
