"""`hansard verify`: hashes every event again and holds it against what was signed. 0 whole, 1 altered, 2 it cannot be judged.
`hansard verify counts` holds what read tables count against the record instead (`verify_counts.py`), and
`hansard verify PACKAGE` an export against its proofs (`workers/export_verification.py`), with the same codes.

It needs no master key: what is hashed is what is stored. It reads beside whatever is going on, and verifies up to the last
checkpoint that there was when it began.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import asyncpg

from adapters.notary.memory import VERIFIER, LastSigned, WitnessFolder
from adapters.notary.package import Package, PackageUnreadableError
from adapters.postgres.database import Database
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.standing_rows import StandingRows
from adapters.postgres.tiles import TileStore
from domain.tree_head import NoteUnreadableError, VerifierKey, origin_of, read_key
from runtime.command import Command
from runtime.locations import database_url
from runtime.operators import verify_counts
from runtime.settings import Settings
from workers import export_verification
from workers.package_verification import PackageVerification
from workers.record_rules import RecordRules
from workers.refolding import PlaceFile
from workers.verification import Judgement, Note, NotJudgedError, Verification

WHOLE, ALTERED, NOT_JUDGED = 0, 1, 2
SAY_SECONDS = 1.0


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Verify the record, or what is counted of it; print what was found. Return the exit code."""
    if asked.what == "counts":
        return await verify_counts.run(settings, asked)
    if asked.what != "record":
        if await asyncio.to_thread(export_verification.is_export, Path(asked.what)):
            return await _export(settings, asked)
        return await _package(settings, asked)
    db = await Database.open(database_url(settings), size=2)
    try:
        store, events = TileStore(db), EventEntries(db)
        key = await _key(settings, asked, store, events)
        origin = origin_of((await events.head()).record)
        notes, rules = list(_notes(settings, asked, key, origin)), RecordRules(StandingRows(db))
        place = None if asked.state is None else PlaceFile(asked.state)
        verification = Verification(events, store, key, notes, _Progress(), rules, place)
        judgement = await verification.judge()
    except asyncpg.UndefinedTableError:
        return _say(asked, NOT_JUDGED, "the database is older than this release, and nothing of it was signed", None)
    except (NotJudgedError, NoteUnreadableError) as error:
        return _say(asked, NOT_JUDGED, str(error), None)
    finally:
        await db.close()
    return _judged(asked, judgement, key)


async def _export(settings: Settings, asked: argparse.Namespace) -> int:
    """Verify an export, under the key that is given or that of the notary's folder."""
    path = settings.notary / VERIFIER
    key_text = asked.key or (path.read_text() if path.exists() else "")
    return _say(asked, *await asyncio.to_thread(export_verification.judge, Path(asked.what), key_text), None)


async def _package(settings: Settings, asked: argparse.Namespace) -> int:
    """Verify a package; nothing but the file is needed, and a key that was known before."""
    try:
        if not asked.key:
            raise NotJudgedError("name the record's key with --key: that of a package proves nothing")
        key = read_key(asked.key)
        with await asyncio.to_thread(Package, Path(asked.what)) as package:
            notes = [
                *_elsewhere(asked.witness, key.name),
                *[Note(str(path), path.read_text()) for path in asked.checkpoint],
            ]
            judgement = await PackageVerification(package, key, notes, _Progress()).judge()
    except (NotJudgedError, NoteUnreadableError, PackageUnreadableError, OSError, BadZipFile) as error:
        return _say(asked, NOT_JUDGED, str(error), None)
    return _judged(asked, judgement, key)


def _judged(asked: argparse.Namespace, judgement: Judgement, key: VerifierKey) -> int:
    if judgement.findings:
        first = judgement.findings[0]
        return _say(asked, ALTERED, f"first at position {first.position}", judgement)
    said = f"all {judgement.size:,} events that were signed are as they were signed, by {key}"
    return _say(asked, WHOLE, f"{said}; {judgement.unsigned:,} later ones are not signed yet", judgement)


def _elsewhere(folders: Sequence[Path], origin: str) -> list[Note]:
    return [Note(str(path), note) for folder in folders for path, note in WitnessFolder(folder).notes(origin)]


async def _key(settings: Settings, asked: argparse.Namespace, store: TileStore, events: EventEntries) -> VerifierKey:
    """Return the key that is given, else that of the notary's folder, else (and it says so) what the database tells."""
    if asked.key:
        return read_key(asked.key)
    path = settings.notary / VERIFIER
    if path.exists():
        return read_key(path.read_text())
    keys = await store.keys(origin_of((await events.head()).record))
    if not keys:
        raise NotJudgedError("there is no key: name it with --key")
    print(
        "The key is taken from the database itself, whose owner could have exchanged it: name yours with --key.",
        file=sys.stderr,
    )
    return read_key(keys[-1].vkey)


def _notes(settings: Settings, asked: argparse.Namespace, key: VerifierKey, origin: str) -> list[Note]:
    """Return what was signed and lies outside of the database: at the notary's, at witnesses', and in files that are named.

    Whoever holds a restored record (`origin`) against the key of the former one is told that it was replaced; what its notary has
    signed since is then nothing to judge by.
    """
    found, memory = [], LastSigned(settings.notary)
    is_since = key.name != origin == memory.origin()
    if not is_since and (note := memory.read()) is not None:
        found.append(Note(f"the notary's folder ({settings.notary})", note, is_notarys=True))
    own = [settings.witness_folder, *(Path(text) for text in settings.witnesses if text.startswith("/"))]
    found += _elsewhere([*asked.witness, *(folder for folder in own if folder.parts)], key.name)
    found += [Note(str(path), path.read_text()) for path in asked.checkpoint]
    return found


class _Progress:
    """Says once a second how far it is, on standard error."""

    def __init__(self) -> None:
        self._began = self._said = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self._said >= SAY_SECONDS:
            self._said = now
            rate = done / (now - self._began)
            print(f"{done:,} of {of:,} events, {rate:,.0f} a second", file=sys.stderr, flush=True)


def _say(asked: argparse.Namespace, code: int, said: str, judgement: Judgement | None) -> int:
    """Print the verdict and each finding, in words or as JSON. Return the exit code."""
    verdict = ("whole", "altered", "not judged")[code]
    findings = judgement.findings if judgement is not None else []
    if asked.json:
        told = {"verdict": verdict, "detail": said, "findings": [each._asdict() for each in findings]}
        print(json.dumps(told))
        return code
    print(f"{verdict}: {said}")
    for each in findings:
        place = f"{each.position}" if each.until is None else f"{each.position} to {each.until}"
        print(f"  {place}: {each.kind}: {each.detail}")
    return code


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        default="record",
        metavar="WHAT",
        help="record: every event against what was signed; counts: what read tables count against the record; else the file of "
        "a package or of an export",
    )
    parser.add_argument("--key", help="the record's public key; else that of the notary's folder, else the database's")
    parser.add_argument(
        "--witness",
        type=Path,
        action="append",
        default=[],
        help="a folder of checkpoints that a witness keeps; may be repeated",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        help="a file with a signed checkpoint of before; may be repeated",
    )
    parser.add_argument(
        "--state",
        type=Path,
        help="a file that remembers how far it is: ended in between, the next run goes on from there",
    )
    parser.add_argument("--json", action="store_true", help="print verdict and findings as JSON")


COMMAND = Command(run, _describe)
