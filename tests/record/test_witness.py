"""Witnesses: they are given what was signed, cosign what extends what they saw, and contradict whoever shows them another record."""

import asyncio
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import aioboto3
import httpx
import pytest
from botocore.exceptions import ClientError

from adapters.notary.bucket import BucketPlace
from adapters.notary.cosigner import Cosigner, cosigned
from adapters.notary.http_witness import HttpWitness
from adapters.notary.key import NotaryKey, NoteForgedError
from adapters.notary.memory import WitnessFolder
from adapters.notary.places import FolderPlace
from adapters.notary.witnessed import WitnessedLogs, digest_of
from domain import merkle
from domain.cosignature import Submission, line_of, read_line, read_submission, submission, with_lines
from domain.ports.witnesses import WitnessContradictsError, WitnessPlace, WitnessUnavailableError
from domain.tiles import GrowingTree
from domain.tree_head import COSIGNATURE, TreeHead, VerifierKey, read_key, read_note, read_signature_lines
from runtime.witness_listener import witness_listener
from tests.blobs.stores import moto
from tests.deployments import until
from tests.ports import free_port
from tests.record.offices import Office, office_on
from workers.cosigning import LogWitness
from workers.witness import Witnessing

ORIGIN, NAME = "hansard/018f0000-0000-7000-8000-000000000000", "witness.example.com/1"
LOG = NotaryKey(bytes(range(32)), ORIGIN)
ENTRIES = [i.to_bytes(32, "big") for i in range(40)]


def root(size: int, *, forked: bool = False) -> bytes:
    tree = GrowingTree()
    tree.extend([b"x" * 32, *ENTRIES[1:size]] if forked else ENTRIES[:size])
    return tree.root()


def proof(old: int, size: int) -> list[bytes]:
    hashes = [merkle.leaf_hash(entry) for entry in ENTRIES]
    return merkle.proof(
        merkle.consistency_ranges(old, size),
        lambda t: merkle.complete_root(hashes[t.number << t.height : (t.number + 1) << t.height]),
    )


@asynccontextmanager
async def served(
    folder: Path, *keys: VerifierKey, at: list[int] | None = None
) -> AsyncIterator[tuple[str, VerifierKey]]:
    """Serve a witness; yield its address and its key."""
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    cosigner, clock = Cosigner(bytes(32), NAME), at or [1_800_000_000]
    witness = LogWitness(cosigner, keys, WitnessedLogs(folder), lambda: clock[0])
    async with witness_listener("127.0.0.1", 0, witness) as port:
        yield f"http://127.0.0.1:{port}", cosigner.verifier


def test_the_published_cosignature_is_read_as_it_is_written() -> None:
    """The example of C2SP tlog-cosignature: its time is told on that page."""
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    line = "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
    _, [signature] = read_note(f"{text}\n— witness.example.com/w1 {line}\n")
    found = read_line(signature)
    assert (found.at, signature.key_id.hex(), len(found.signature)) == (1679315147, "8d66cf3f", 64)
    key = VerifierKey("witness.example.com/w1", bytes(32), COSIGNATURE)
    assert b64encode(line_of(key, found).signature) == b64encode(signature.signature)
    # The example of C2SP tlog-witness: a request, as it is written there.
    told = (
        "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\njrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
        "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n" + text + "\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    )
    asked = read_submission(told)
    assert (asked.old, len(asked.hashes), submission(asked)) == (20852014, 4, told)


async def test_it_answers_as_the_specification_says(tmp_path: Path) -> None:
    stranger = NotaryKey(os.urandom(32), ORIGIN)
    async with served(tmp_path / "w", LOG.verifier) as (address, key), httpx.AsyncClient(base_url=address) as http:

        async def add(old: int, note: str, hashes: list[bytes] | None = None) -> tuple[int, str]:
            answer = await http.post(
                "/add-checkpoint", content=submission(Submission(old, hashes or [], note)).encode()
            )
            if answer.status_code == 409:
                assert answer.headers["content-type"] == "text/x.tlog.size"
            return answer.status_code, answer.text

        note = LOG.sign(10, root(10))
        other = NotaryKey(bytes(range(32)), "another").sign(10, root(10))
        assert (await add(0, other))[0] == 404
        assert (await add(0, stranger.sign(10, root(10))))[0] == 403
        assert (await add(11, note))[0] == 400
        assert (await add(0, note, [bytes(32)]))[0] == 422
        assert (await add(3, note, proof(3, 10))) == (409, "0\n")
        status, line = await add(0, note)
        assert status == 200
        assert cosigned(with_lines(note, read_signature_lines(line)), key).at == 1_800_000_000
        later = LOG.sign(30, root(30))
        assert await add(0, later) == (409, "10\n")
        assert (await add(10, later, [bytes(32)] * 4))[0] == 422
        assert (await add(10, LOG.sign(30, root(30, forked=True)), proof(10, 30)))[0] == 422
        assert await add(10, LOG.sign(10, root(10, forked=True))) == (409, "10\n")
        assert (await add(10, later, proof(10, 30)))[0] == 200
        assert await add(10, note) == (409, "30\n")
        assert (await add(30, later))[0] == 200, "again"
        for body in (
            b"",
            b"old 1",
            b"old 01\n\n" + note.encode(),
            b"old 30\n\xff\n\n",
            b"old 30\nAAAA\n\n" + note.encode(),
        ):
            assert (await http.post("/add-checkpoint", content=body)).status_code == 400, body
        assert (await http.post("/add-checkpoint", content=b"x" * 200_000)).status_code == 413
        assert (await http.get("/add-checkpoint")).status_code == 405
        assert (await http.get("/")).status_code == 404
        kept = await http.get(f"/{digest_of(ORIGIN)}/checkpoint")
        assert kept.text.startswith(f"{ORIGIN}\n30\n")
        assert cosigned(kept.text, key)
        with pytest.raises(NoteForgedError):
            cosigned(kept.text, VerifierKey(NAME, stranger.verifier.public, COSIGNATURE))
        with pytest.raises(NoteForgedError):
            cosigned(kept.text.replace("\n30\n", "\n31\n"), key)


async def test_it_remembers_over_a_restart_and_its_time_never_goes_back(tmp_path: Path) -> None:
    clock = [1_800_000_000]
    for old, size, moment, said in ((0, 10, 100, 100), (10, 20, 50, 100), (20, 30, 101, 101)):
        clock[0] = moment
        async with served(tmp_path / "w", LOG.verifier, at=clock) as (address, key):
            note = LOG.sign(size, root(size))
            body = submission(Submission(old, proof(old, size) if old else [], note))
            async with httpx.AsyncClient() as http:
                answer = await http.post(f"{address}/add-checkpoint", content=body.encode())
            assert answer.status_code == 200, answer.text
            assert cosigned(with_lines(note, read_signature_lines(answer.text)), key).at == said


async def test_what_cannot_be_kept_is_not_cosigned(tmp_path: Path) -> None:
    async with served(tmp_path / "w", LOG.verifier) as (address, _), httpx.AsyncClient() as http:
        await asyncio.to_thread((tmp_path / "w").rmdir)
        body = submission(Submission(0, [], LOG.sign(1, root(1))))
        assert (await http.post(f"{address}/add-checkpoint", content=body.encode())).status_code == 503


def test_a_witnesss_key_is_no_logs() -> None:
    key = Cosigner(bytes(32), NAME).verifier
    assert read_key(str(key), COSIGNATURE) == key
    for text, kind in ((str(key), 1), (str(LOG.verifier), COSIGNATURE)):
        with pytest.raises(Exception, match="no Ed25519 key"):
            read_key(text, kind)


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with office_on(database_url, tmp_path) as made:
        yield made


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A server that knows object lock, with a bucket that has it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with moto() as endpoint:
        async with aioboto3.Session().client("s3", endpoint_url=endpoint, region_name="us-east-1") as s3:
            await s3.create_bucket(Bucket="witness", ObjectLockEnabledForBucket=True)
        yield endpoint


async def test_a_bucket_keeps_what_it_got_and_nobody_replaces_or_deletes_it(bucket: str) -> None:
    place = await BucketPlace.open(bucket="witness", prefix="h", days=30, endpoint=bucket)

    async def prove(old: int) -> list[bytes]:
        raise AssertionError(old)

    note = LOG.sign(10, root(10))
    head = TreeHead(ORIGIN, 10, root(10))
    assert await place.take(head, note, prove) is None
    assert await place.take(head, note, prove) is None, "again"
    with pytest.raises(WitnessContradictsError):
        await place.take(head, LOG.sign(10, root(10, forked=True)), prove)
    await place.take(TreeHead(ORIGIN, 9, root(9)), LOG.sign(9, root(9)), prove)
    assert [found async for _, found in place.notes(ORIGIN)] == [LOG.sign(9, root(9)), note]
    async with aioboto3.Session().client("s3", endpoint_url=bucket, region_name="us-east-1") as s3:
        found = await s3.list_object_versions(Bucket="witness", Prefix=f"h/{ORIGIN[8:]}/{10:019d}")
        [version] = found["Versions"]
        with pytest.raises(ClientError, match="AccessDenied"):
            await s3.delete_object(Bucket="witness", Key=version["Key"], VersionId=version["VersionId"])
    await place.close()
    nowhere = await BucketPlace.open(bucket="nowhere", prefix="", days=30, endpoint=bucket)
    with pytest.raises(WitnessUnavailableError, match="NoSuchBucket"):
        await nowhere.take(head, note, prove)
    await nowhere.close()


async def test_where_enough_witnesses_have_it_the_checkpoint_is_kept_with_their_cosignatures(
    desk: Office, tmp_path: Path, bucket: str
) -> None:
    notary, log = desk.notary(), NotaryKey(desk.secret, desk.origin).verifier
    silent = HttpWitness(f"http://127.0.0.1:{free_port()}", VerifierKey("silent", bytes(32), COSIGNATURE))
    async with served(tmp_path / "w", log) as (address, key):
        places: list[WitnessPlace] = [
            FolderPlace(WitnessFolder(tmp_path / "f"), "a folder"),
            await BucketPlace.open(bucket="witness", prefix="", days=1, endpoint=bucket),
            HttpWitness(address, key),
            silent,
        ]
        three = Witnessing(desk.memory, desk.store, places, quorum=3, seconds=1)
        four = Witnessing(desk.memory, desk.store, places, quorum=4, seconds=1)
        assert await three.step() is None, "nothing was signed"
        for size, events in ((10, 10), (310, 300), (311, 1)):
            await desk.record(events)
            await notary.step()
            assert await four.step() == size
            newest = await desk.store.witnessed(desk.origin)
            assert newest is None or newest.size < size, "three are not four"
            assert await three.step() == size
            newest = await desk.store.witnessed(desk.origin)
            assert newest is not None
            assert (newest.size, newest.witnesses) == (size, ["a folder", "s3://witness", NAME])
            assert cosigned(newest.note, key).at == 1_800_000_000
            assert newest.note.startswith(desk.memory.read() or "-")
        assert three.missing == ("silent",)
        # Another witness, that is asked for the first time, and this one after a restart of the notary.
        again = HttpWitness(address, key)
        assert await Witnessing(desk.memory, desk.store, [again], quorum=1, seconds=1).step() == 311
        for place in (*places, again):
            await place.close()


async def test_a_stolen_key_gets_no_cosignature_for_another_record(desk: Office, tmp_path: Path) -> None:
    log = NotaryKey(desk.secret, desk.origin)
    await desk.record(20)
    await desk.notary().step()
    async with served(tmp_path / "w", log.verifier) as (address, key):
        place = HttpWitness(address, key)
        witnessing = Witnessing(desk.memory, desk.store, [place], quorum=1, seconds=1)
        await witnessing.step()
        assert not witnessing.contradicted
        # Somebody turns the record back, and signs another with the notary's key and in its folder.
        for size in (15, 20, 25):
            tree = GrowingTree()
            tree.extend(ENTRIES[:size])
            desk.memory.write(log.sign(size, tree.root()))
            await desk.owner.execute("DELETE FROM notary.tiles")
            levels = [(tile.level, tile.number, hashes) for tile, hashes in tree.take_changed().items()]
            await desk.owner.executemany("INSERT INTO notary.tiles VALUES ($1, $2, $3)", levels)
            assert await witnessing.step() == size
            assert witnessing.contradicted == (NAME,), size
        newest = await desk.store.witnessed(desk.origin)
        assert newest is not None
        assert newest.note.startswith(f"{desk.origin}\n20\n")
        await place.close()


FOREIGN = os.environ.get("TEST_WITNESS_PYTHON") or (sys.executable if find_spec("aics_witness") else None)


@pytest.mark.skipif(FOREIGN is None, reason="needs aics-witness of PyPI (Python 3.12)")
async def test_a_witness_of_somebody_else_cosigns_and_refuses(desk: Office, tmp_path: Path) -> None:
    """aics-witness: another implementation of C2SP tlog-witness, and of nobody here."""
    notary, log = desk.notary(), NotaryKey(desk.secret, desk.origin)
    config, port = str(tmp_path / "witness.json"), free_port()

    def aics(*words: str) -> str:
        done = subprocess.run([str(FOREIGN), "-m", "aics_witness", *words], capture_output=True, text=True, check=True)
        return done.stdout

    vkey = aics("init", "--config", config, "--name", "foreign.example/w").split()[-1]
    aics("add-log", "--config", config, "--origin", desk.origin, "--vkey", str(log.verifier))
    server = await asyncio.create_subprocess_exec(
        str(FOREIGN), "-m", "aics_witness", "serve", "--config", config, "--listen", f"127.0.0.1:{port}"
    )  # fmt: skip
    try:
        async with httpx.AsyncClient() as http:

            async def answers() -> bool:
                try:
                    return (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(answers)
        key = read_key(vkey, COSIGNATURE)
        place = HttpWitness(f"http://127.0.0.1:{port}", key)
        witnessing = Witnessing(desk.memory, desk.store, [place], quorum=1, seconds=1)
        for events in (7, 300, 1):
            await desk.record(events)
            head = await notary.step()
            assert head is not None
            assert await witnessing.step() == head.size
            newest = await desk.store.witnessed(desk.origin)
            assert newest is not None
            assert newest.size == head.size
            assert cosigned(newest.note, key).at > 1_600_000_000
        desk.memory.write(log.sign(308, bytes(32)))
        assert await witnessing.step() == 308
        assert witnessing.contradicted == ("foreign.example/w",)
        await place.close()
    finally:
        server.terminate()
        await server.wait()
