"""Packages: what is found in a live record is found in a file, and nothing where nothing was done."""

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from adapters.notary.key import NotaryKey
from adapters.notary.package import Contents, Package, PackagedEvent, PackageUnreadableError, PackageWriter
from adapters.postgres.tile_proofs import TileProofs
from runtime.operators.package import pack
from tests.record.believable import Town, record
from tests.record.offices import Office, office_on
from workers.package_verification import PackageVerification
from workers.verification import Judgement, Note, NotJudgedError

EVENTS = 600
VERIFIER = Path(__file__).parents[2] / "clients/verify/hansard_verify.py"
Lines = list[dict[str, Any]]


@pytest.fixture
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with office_on(database_url, tmp_path) as made:
        notary = made.notary()
        for events in Town(Random(3)), Town(Random(4)):
            await record(made, list(events.events(EVENTS // 2)))
            await notary.step()
        yield made


async def judged(office: Office, path: Path, *notes: Note) -> Judgement:
    key = NotaryKey(office.secret, office.origin).verifier
    with Package(path) as package:
        return await PackageVerification(package, key, notes, lambda at, of: None).judge()


def stranger(office: Office, path: Path) -> tuple[int, str]:
    """Verify with one file and an interpreter."""
    key = str(NotaryKey(office.secret, office.origin).verifier)
    words = (sys.executable, "-I", "-S", str(VERIFIER), "package", str(path), "--key", key, "--json")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)["detail"] if done.stdout else done.stderr


def altered(path: Path, change: Callable[[Lines], Lines]) -> Path:
    """Return a copy of a package with other events."""
    copy = path.with_name(f"{len(list(path.parent.iterdir()))}.zip")
    with ZipFile(path) as old, ZipFile(copy, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "events.jsonl":
                lines = change([json.loads(line) for line in content.splitlines()])
                content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
            new.writestr(name, content)
    return copy


def renumbered(lines: Lines) -> Lines:
    return [{**line, "position": i} for i, line in enumerate(lines, 1)]


OTHER = "eyJ4IjogMX0="  # {"x": 1}: what no event of the record holds
ATTACKS: dict[str, tuple[Callable[[Lines, int], Lines], set[str]]] = {
    "altered": (lambda ls, i: [*ls[:i], {**ls[i], "data": OTHER}, *ls[i + 1 :]], {"altered"}),
    "back-dated": (
        lambda ls, i: [*ls[:i], {**ls[i], "recorded_at": "2020-01-01T00:00:00+00:00"}, *ls[i + 1 :]],
        {"altered"},
    ),
    "another actor": (lambda ls, i: [*ls[:i], {**ls[i], "meta": OTHER}, *ls[i + 1 :]], {"altered"}),
    "missing": (lambda ls, i: [*ls[:i], *ls[i + 1 :]], {"missing"}),
    "missing, renumbered": (lambda ls, i: renumbered([*ls[:i], *ls[i + 1 :]]), {"missing"}),
    "inserted": (lambda ls, i: renumbered([*ls[:i], {**ls[i], "version": 7_000}, *ls[i:]]), {"inserted"}),
    "reordered": (lambda ls, i: renumbered([*ls[:i], ls[i + 1], ls[i], *ls[i + 2 :]]), {"reordered"}),
    "truncated": (lambda ls, i: ls[:i], {"truncated"}),
}


async def test_a_whole_record_in_a_file_is_verified_and_whatever_is_done_to_it_is_found_and_where(
    office: Office, tmp_path: Path
) -> None:
    path, chance = tmp_path / "record.zip", Random(os.urandom(4))
    assert await pack(office.events, office.store, path) == EVENTS
    assert await judged(office, path) == Judgement([], EVENTS, 0)
    assert stranger(office, path)[0] == 0
    again = tmp_path / "again.zip"
    await pack(office.events, office.store, again)
    assert again.read_bytes() == path.read_bytes(), "the same record makes the same bytes"
    for name, (attack, kinds) in ATTACKS.items():
        for _ in range(3):
            at = chance.randint(2, EVENTS - 3)
            copy = altered(path, lambda lines, attack=attack, at=at: attack(lines, at - 1))  # type: ignore[misc]
            found = (await judged(office, copy)).findings
            assert found, f"{name} at {at}"
            assert (found[0].kind in kinds, found[0].position) == (True, at), (name, at, found[:3])
            code, said = stranger(office, copy)
            assert code == 1, (name, at, said)
            assert f"position {at}" in said, (name, at, said)


async def test_a_part_of_a_record_is_held_against_its_tree_event_by_event(office: Office, tmp_path: Path) -> None:
    path, proofs = tmp_path / "part.zip", TileProofs(office.store)
    newest = await office.store.newest(office.origin)
    assert newest is not None
    contents = Contents(office.origin, newest.size, False, newest.note, [], [])
    wanted = [1, 5, 300, 301, EVENTS]
    rows = await office.events.rows(wanted)
    with PackageWriter(path, contents) as package:
        for position in wanted:
            package.add(PackagedEvent(rows[position], (await proofs.inclusion(position - 1, newest.size)).hashes))
    assert await judged(office, path) == Judgement([], 5, 0)
    assert stranger(office, path)[0] == 0
    for i, position in enumerate(wanted):
        copy = altered(path, lambda lines, i=i: [*lines[:i], {**lines[i], "data": OTHER}, *lines[i + 1 :]])  # type: ignore[misc]
        assert [(each.kind, each.position) for each in (await judged(office, copy)).findings] == [("altered", position)]
        code, said = stranger(office, copy)
        assert (code, f"position {position}" in said) == (1, True), said


async def test_a_package_that_was_made_anew_with_the_stolen_key_contradicts_a_witness(
    office: Office, tmp_path: Path
) -> None:
    from tests.record.test_stolen_keys import sign_anew

    witnessed = office.memory.read()
    assert witnessed is not None
    await office.tamper("UPDATE record.events SET data = data || ' ' WHERE position = 321")
    await sign_anew(office)
    path = tmp_path / "forged.zip"
    await pack(office.events, office.store, path)
    assert (await judged(office, path)).findings == []
    found = (await judged(office, path, Note("a witness", witnessed))).findings
    assert {"forked", "altered"} <= {each.kind for each in found}


async def test_what_is_no_package_or_of_another_key_is_not_judged(office: Office, tmp_path: Path) -> None:
    path, text = tmp_path / "record.zip", tmp_path / "text"
    await pack(office.events, office.store, path)
    text.write_text("nothing of the kind")
    with pytest.raises(PackageUnreadableError):
        Package(text)
    for origin, secret in (("hansard/another", office.secret),):
        with Package(path) as package, pytest.raises(NotJudgedError):
            await PackageVerification(package, NotaryKey(secret, origin).verifier, [], lambda at, of: None).judge()
    assert stranger(office, text)[0] == 2


async def test_the_commands_exit_codes_are_whole_altered_and_not_judged(office: Office, tmp_path: Path) -> None:
    path, key = tmp_path / "record.zip", str(NotaryKey(office.secret, office.origin).verifier)
    await pack(office.events, office.store, path)
    copy = altered(path, lambda lines: [*lines[:6], {**lines[6], "data": OTHER}, *lines[7:]])

    def verify(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "runtime.cli", "verify", *words], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout

    assert verify(str(path), "--key", key)[0] == 0
    code, said = verify(str(copy), "--key", key)
    assert (code, re.findall(r"position (\d+)", said)[0]) == (1, "7")
    assert verify(str(path))[0] == 2
    assert verify(str(tmp_path / "nothing"), "--key", key)[0] == 2
