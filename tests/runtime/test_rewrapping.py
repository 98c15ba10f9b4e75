"""`hansard keys rewrap` and `master rotate`: everything is read as before, by processes that go on, and old copies of keys open nothing."""

import argparse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest

from adapters.key_file import read_key_files_secrets, replace_file
from adapters.postgres.key_destruction import live_keys
from adapters.postgres.master_key import MasterKeyWrongError, load_master
from adapters.wrapping_keys import WrappingKeyError
from commands.account import ChangeProfile, RegisterAccount
from domain.account import ACCOUNT
from domain.events import Caller
from domain.ids import UserId
from runtime.composition.process_context import ProcessContext, process_context
from runtime.operators import keys, wrapping
from runtime.operators.doctor import doctor
from runtime.settings import Settings
from tests.deployments import running
from tests.runtime.test_backup import into

SELECT_KEY = "SELECT wrapped, wrapped_with FROM vault.data_keys WHERE key_id = $1"


class Scene(NamedTuple):
    """A process that runs all the while, and who is in its record."""

    settings: Settings
    running: ProcessContext
    owner: asyncpg.Connection
    ada: UserId
    ben: UserId


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    settings, ada, ben = into(tmp_path, database_url), UserId(uuid4()), UserId(uuid4())
    owner = await asyncpg.connect(database_url)
    async with process_context(settings) as base, running(base.record.run()):
        for user_id, name in ((ada, "ada"), (ben, "ben")):
            await base.command_bus.do(RegisterAccount(user_id, f"{name}@example.com", name, "x"), Caller())
        yield Scene(settings, base, owner, ada, ben)
    await owner.close()


async def run(settings: Settings, *typed: str, forget: bool = False) -> int:
    """Run `hansard keys` with these words."""
    action, kid = [*typed, None][:2]
    return await keys.run(settings, argparse.Namespace(action=action, kid=kid, now=False, forget=forget))


async def name_of(base: ProcessContext, user_id: UserId) -> str:
    base.command_bus.forget()
    base.vault.hear()
    state = (await base.command_bus.see(ACCOUNT, user_id)).state
    assert state is not None
    return state.username


async def key_of(scene: Scene, user_id: UserId) -> tuple[UUID, bytes, int]:
    [key] = await live_keys(scene.running.db, user_id)
    wrapped, version = await scene.owner.fetchrow(SELECT_KEY, key.key_id)
    return key.key_id, wrapped, version


async def test_a_copy_of_a_key_opens_nothing_once_its_wrapping_key_is_destroyed(scene: Scene) -> None:
    assert await run(scene.settings, "rewrap") == 0
    key_id, copied, version = await key_of(scene, scene.ada)
    assert version == 1 and await name_of(scene.running, scene.ada) == "ada"
    assert await run(scene.settings, "rewrap") == 0
    master = load_master(scene.settings.master_key, create=False)
    assert master.unwrap_data_key(copied, str(key_id), 1), "a backup of keys is good for some days"
    assert await run(scene.settings, "rewrap", forget=True) == 0
    with pytest.raises(WrappingKeyError, match="The wrapping key 1 is not in"):
        load_master(scene.settings.master_key, create=False).unwrap_data_key(copied, str(key_id), 1)
    assert (await key_of(scene, scene.ada))[2] == 3 and await name_of(scene.running, scene.ada) == "ada"


async def test_no_key_is_made_by_an_old_wrapping_key_and_none_that_is_destroyed_comes_back(scene: Scene) -> None:
    [condemned] = await live_keys(scene.running.db, scene.ben)
    old = scene.running.vault.master.wrap(bytes(32), name=b"x")
    await run(scene.settings, "rewrap")
    insert = "INSERT INTO vault.data_keys (key_id, subject, day, wrapped) VALUES ($1, $1, now(), $2)"
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await scene.owner.execute(insert, uuid4(), old)
    await scene.owner.execute("UPDATE vault.data_keys SET wrapped = NULL WHERE key_id = $1", condemned.key_id)
    await run(scene.settings, "rewrap", forget=True)
    assert await live_keys(scene.running.db, scene.ben) == [] and await name_of(scene.running, scene.ben) == ""
    cleo = UserId(uuid4())
    await scene.running.command_bus.do(RegisterAccount(cleo, "cleo@example.com", "cleo", "x"), Caller())
    assert (await key_of(scene, cleo))[2] == 2


@pytest.mark.parametrize("broken_off", ["", "after the file", "after the keys"])
async def test_a_new_master_key_opens_everything_and_claims_survive_it(scene: Scene, broken_off: str) -> None:
    path, base = scene.settings.master_key, scene.running
    [before] = read_key_files_secrets(path)
    ticket = base.vault.master.ticket_mark(b"a ticket")
    if broken_off:
        await _broken_off(scene, broken_off)
        assert await name_of(base, scene.ada) == "ada"
    assert await run(scene.settings, "master", "rotate") == 0
    [after] = read_key_files_secrets(path)
    assert after != before
    assert await name_of(base, scene.ada) == "ada", "who runs goes on"
    await base.command_bus.do(ChangeProfile(username="adele"), Caller(scene.ada))
    async with process_context(scene.settings) as fresh:
        assert await name_of(fresh, scene.ada) == "adele"
        assert await fresh.record.claimant("email", "ada@example.com") == ACCOUNT.id(scene.ada)
        assert fresh.vault.master.ticket_mark(b"a ticket") == ticket
    replace_file(path, [before.hex()])
    with pytest.raises(MasterKeyWrongError):
        async with process_context(scene.settings):
            pass


async def test_the_doctor_says_which_keys_wrap_how_many_and_which_nobody_needs(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    async def said() -> tuple[int, str]:
        capsys.readouterr()
        return await doctor(scene.settings, ["wrapping keys"]), capsys.readouterr().out

    every = await scene.owner.fetchval("SELECT count(*) FROM vault.data_keys WHERE wrapped IS NOT NULL")
    assert every == 2
    code, found = await said()
    assert code == 0 and "[ok]   wrapping keys: none; the master key alone wraps 2 data keys" in found
    await run(scene.settings, "rewrap")
    code, found = await said()
    assert code == 0 and "[ok]   wrapping keys: 1 wraps 2 data keys\n" in found
    await run(scene.settings, "rewrap")
    code, found = await said()
    assert code == 0 and "2 wraps 2 data keys; no data key needs 1: 'hansard keys rewrap' destroys it, " in found
    key_id, wrapped, _ = await key_of(scene, scene.ada)
    copied, version = scene.running.vault.master.wrap_data_key(bytes(32), str(key_id))
    older = "UPDATE vault.data_keys SET wrapped = $2, wrapped_with = $3 WHERE key_id = $1"
    await scene.owner.execute("ALTER TABLE vault.data_keys DISABLE TRIGGER USER")
    await scene.owner.execute(older, key_id, copied, version - 1)
    code, found = await said()
    assert code == 1 and "2 wraps 1 data key, 1 wraps 1 data key: 'hansard keys rewrap' was broken off" in found
    await scene.owner.execute(older, key_id, wrapped, version)
    kept = scene.settings.master_key.with_name("wrapping.keys")
    lines = kept.read_text().splitlines()
    replace_file(kept, lines[:1])
    code, found = await said()
    assert code == 1 and "[FAIL] wrapping keys: 2 wraps 2 data keys, and is not in " in found
    replace_file(kept, lines)
    await _broken_off(scene, "after the keys")
    code, found = await said()
    assert code == 1 and "holds two master keys: run 'hansard keys master rotate' again, which ends with one" in found


class BrokenOffError(Exception):
    pass


async def _broken_off(scene: Scene, when: str) -> None:
    """Begin to replace the master key, and come as far as this."""
    with pytest.MonkeyPatch.context() as patch:

        async def breaks(*_: object) -> tuple[int, int]:
            raise BrokenOffError

        rotate = wrapping._rotate
        patch.setattr(wrapping, "_rotate", breaks)
        with pytest.raises(BrokenOffError):
            await run(scene.settings, "master", "rotate")
        if when == "after the keys":
            async with process_context(scene.settings) as base:
                await rotate(base.db, base.vault.master)
    assert len(read_key_files_secrets(scene.settings.master_key)) == 2
