"""What the gateway proves: a receipt for who may read a message, tiles for who follows the record, proofs for auditors."""

import asyncio
import json
import os
import re
import shutil
import sys
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg
import hansard_verify
import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from tlog_scales import signing, tlog
from tlog_scales.backend import HttpBackend
from tlog_scales.reader import TilesReader

from adapters.notary.cosigner import Cosigner
from adapters.notary.key import NotaryKey, verified
from adapters.notary.memory import LastSigned
from adapters.postgres.database import Database
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.tiles import TileStore
from commands.account import GrantRole
from domain import merkle
from domain.cosignature import with_lines
from domain.events import Caller
from domain.ids import UserId
from domain.tree_head import origin_of, read_note
from tests.deployments import Gateway, as_login, deployment, until
from tests.lines import line
from workers.notary import Notary

VERIFIER = Path(__file__).parents[2] / "clients/verify/hansard_verify.py"


class Scene(NamedTuple):
    gateway: Gateway
    notary: Notary
    key: NotaryKey
    owner: asyncpg.Connection
    db: Database


@asynccontextmanager
async def scene(database_url: str, redis_url: str, folder: Path, **options: object) -> AsyncIterator[Scene]:
    async with deployment(database_url, redis_url, **options) as gateway:
        db, owner = await Database.open(as_login(database_url, "notary"), size=3), await asyncpg.connect(database_url)
        events, store = EventEntries(db), TileStore(db)
        key = NotaryKey(os.urandom(32), origin_of(gateway.services.record_id))
        await store.tell_key(str(key.verifier), key.verifier.name)
        yield Scene(gateway, Notary(events, store, key, LastSigned(folder)), key, owner, db)
        await owner.close()
        await db.close()


@pytest.fixture
async def stage(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(database_url, redis_url, tmp_path) as made:
        yield made


async def run_verifier(*words: str | Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", VERIFIER, *words), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_sender_gets_a_receipt_that_a_stranger_verifies_offline(stage: Scene, tmp_path: Path) -> None:
    ada, ben = await stage.gateway.person(), await stage.gateway.person()
    room = await ada.room(is_private=True)
    posted = (await ada.http.post(f"/rooms/{room}/messages", json={"content": "I owe you 40 crowns"})).json()
    headers = {"Hansard-After": str(posted["position"])}
    asked = asyncio.create_task(ada.http.get(f"/messages/{posted['id']}/proof", headers=headers))
    await stage.notary.step()
    answer = await asked
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.headers["content-disposition"] == f'attachment; filename="{posted["id"]}.tlog-proof"'
    file = tmp_path / "receipt.tlog-proof"
    file.write_bytes(answer.content)
    code, said = await run_verifier("proof", file, "--key", str(stage.key.verifier))
    assert (code, said.startswith(f"whole: Position {posted['position']} of {stage.key.verifier.name} is")) == (0, True)
    # What the receipt names is the entry of the very row.
    row = await stage.owner.fetchrow("SELECT * FROM record.events WHERE position = $1", posted["position"])
    assert row is not None
    told = {
        **row,
        "stream": str(row["stream"]),
        "room_id": str(row["room_id"]),
        "recorded_at": row["recorded_at"].isoformat(),
    }
    assert hansard_verify.entry_of(told).hex() in said
    # Who may not read the message is told that there is none.
    refused = await ben.http.get(f"/messages/{posted['id']}/proof")
    assert (refused.status_code, refused.json()["code"]) == (404, "message.not_found")


async def test_where_nobody_signs_a_receipt_is_to_be_asked_for_again(stage: Scene) -> None:
    ada = await stage.gateway.person()
    posted = (await ada.http.post(f"/rooms/{await ada.room()}/messages", json={"content": "x"})).json()
    answer = await ada.http.get(f"/messages/{posted['id']}/proof", headers={"Hansard-After": str(posted["position"])})
    assert (answer.status_code, answer.json()["code"]) == (503, "audit.not_signed_yet")
    assert answer.headers["retry-after"] == "1"
    nobody = stage.gateway.client()
    assert (await nobody.get("/audit/checkpoint")).json()["code"] == "audit.nothing_signed"


async def test_a_stranger_follows_the_record_and_learns_nothing_of_it(stage: Scene, tmp_path: Path) -> None:
    ada = await stage.gateway.person("adalovelace")
    room, key = await ada.room(), str(stage.key.verifier)
    address, seen = f"{stage.gateway.base}/tlog", tmp_path / "seen"
    for count in (3, 300):
        for _ in range(count // 100 + 1):
            batch = (
                ada.http.post(f"/rooms/{room}/messages", json={"content": "a secret"}) for _ in range(min(count, 100))
            )
            await asyncio.gather(*batch)
        head = await stage.notary.step()
        assert head is not None
        code, said = await run_verifier("log", address, "--key", key, "--seen", seen)
        assert code == 0, said
        assert said.startswith(
            f"whole: All {head.size} events of {stage.key.verifier.name} are as the notary has signed them."
        )
    assert "are those that were seen here before" in said
    async with httpx.AsyncClient(base_url=address) as http:
        checkpoint = await http.get("/checkpoint")
        assert verified(checkpoint.text, stage.key.verifier) == head
        assert checkpoint.text == (await stage.gateway.client().get("/audit/checkpoint")).text
        full, bundle, above = [await http.get(f"/tile/{name}") for name in ("0/000", "entries/000", "1/000.p/1")]
        assert (len(full.content), len(bundle.content), len(above.content)) == (8192, 256 * 34, 32)
        entries = [bundle.content[at + 2 : at + 34] for at in range(0, 256 * 34, 34)]
        assert full.content == b"".join(map(merkle.leaf_hash, entries))
        assert above.content == merkle.root_of([merkle.leaf_hash(entry) for entry in entries])
        for name in (
            "0/001",
            "0/x000/001",
            "00/000",
            "entries/1",
            "0/000.p/256",
            "0/000.p/0",
            "64/000",
            "0/999",
            "entries",
            "x/000",
        ):
            assert (await http.get(f"/tile/{name}")).status_code == 404, name
    # Whoever turns the record back is found out by whoever saw it before.
    await stage.owner.execute("DELETE FROM notary.checkpoints WHERE size = $1", head.size)
    code, said = await run_verifier("log", address, "--key", key, "--seen", seen)
    assert (code, "when it was seen last" in said) == (1, True)


async def test_entries_that_are_not_those_that_were_signed_are_found_by_a_stranger(stage: Scene) -> None:
    await stage.gateway.person()
    await stage.notary.step()
    await stage.owner.execute("UPDATE notary.tiles SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1)")
    code, said = await run_verifier("log", f"{stage.gateway.base}/tlog", "--key", str(stage.key.verifier))
    assert (code, said) == (1, "altered: The entries that are served are not those that were signed.\n")


async def test_auditors_ask_for_proofs_of_any_event_and_any_two_trees(stage: Scene) -> None:
    ada, ben = await stage.gateway.person(), await stage.gateway.person()
    sizes = []
    for _ in range(3):
        room = await ada.room()
        for _ in range(100):
            await ada.http.post(f"/rooms/{room}/messages", json={"content": "x"})
        head = await stage.notary.step()
        assert head is not None
        sizes.append(head)
    await stage.gateway.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), "auditor"), Caller())
    first, _, last = sizes
    found = (await ada.http.get("/audit/proofs/inclusion", params={"position": 7, "size": last.size})).json()
    assert (found["leaf_index"], found["tree_size"]) == (6, last.size)
    hashes = [b64decode(each) for each in found["hashes"]]
    assert merkle.includes(b64decode(found["leaf_hash"]), 6, last.size, hashes, last.root)
    newest = (await ada.http.get("/audit/proofs/inclusion", params={"position": 7})).json()
    assert newest["tree_size"] == last.size
    proof = (await ada.http.get("/audit/proofs/consistency", params={"from": first.size, "to": last.size})).json()
    assert merkle.extends(first.size, first.root, last.size, last.root, [b64decode(each) for each in proof["hashes"]])
    for query in ({}, {"position": 0}, {"position": last.size + 1}, {"position": 9, "size": 8}):
        answer = await ada.http.get("/audit/proofs/inclusion", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "audit.out_of_range"), query
    assert (await ada.http.get("/audit/proofs/consistency", params={"from": 3, "to": 2})).status_code == 422
    assert (await ben.http.get("/audit/proofs/inclusion", params={"position": 7})).status_code == 403
    # Tiles that were altered make no proof.
    await stage.owner.execute(
        "UPDATE notary.tiles SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) WHERE level = 1"
    )
    message = re.search(
        r"[0-9a-f-]{36}", json.dumps((await ada.http.get(f"/rooms/{room}/messages")).json()["items"][0])
    )
    assert message is not None
    answer = await ada.http.get(f"/messages/{message[0]}/proof")
    assert (answer.status_code, answer.json()["code"]) == (503, "audit.proof_unavailable")


async def test_an_entry_shows_its_leaf_and_the_proof_that_it_stands_there(stage: Scene) -> None:
    ada = await stage.gateway.person()
    await stage.gateway.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), "auditor"), Caller())
    why = {"Hansard-Reason": "a look"}
    assert (await ada.ask("GET", "/audit/events/1", 200, headers=why))["inclusion"] is None
    size = (await stage.gateway.services.record.head()).position
    await stage.notary.step()
    entries = (await ada.ask("GET", "/audit/events", 200, headers=why))["items"][:size]
    for entry in entries:
        shown = await ada.ask("GET", f"/audit/events/{entry['position']}", 200, headers=why)
        proof, leaf = shown["inclusion"], b64decode(entry["leaf_hash"])
        assert shown["leaf_hash"] == proof["leaf_hash"] == entry["leaf_hash"]
        assert (proof["leaf_index"], proof["tree_size"]) == (entry["position"] - 1, size)
        head = verified((await ada.http.get("/audit/checkpoint")).text, stage.key.verifier)
        hashes = list(map(b64decode, proof["hashes"]))
        assert merkle.includes(leaf, proof["leaf_index"], proof["tree_size"], hashes, head.root)


async def test_the_keys_are_told(stage: Scene) -> None:
    async with httpx.AsyncClient(base_url=stage.gateway.base) as http:
        told = (await http.get("/.well-known/hansard-keys")).json()
    assert told["origin"] == stage.key.verifier.name
    assert [(key["vkey"], key["until"]) for key in told["keys"]] == [(str(stage.key.verifier), None)]
    assert told["keys"][0]["from"].endswith("Z")


async def test_whoever_opens_a_socket_is_handed_the_newest_checkpoint(stage: Scene) -> None:
    ada = await stage.gateway.person()
    room = await ada.room()
    async with line(stage.gateway, ada, room) as hers:
        assert "checkpoint" not in await hers.frame()
    head = await stage.notary.step()

    async def is_handed() -> bool:  # a process reads it once a second
        async with line(stage.gateway, ada, room) as hers:
            note = (await hers.frame()).get("checkpoint")
            return note is not None and verified(note, stage.key.verifier) == head

    await until(is_handed)


async def test_with_a_quorum_clients_of_the_log_are_shown_what_its_witnesses_have(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with scene(database_url, redis_url, tmp_path, witness_quorum=1) as stage:
        ada = await stage.gateway.person()
        posted = (await ada.http.post(f"/rooms/{await ada.room()}/messages", json={"content": "x"})).json()
        await stage.notary.step()
        cosigner, nobody = Cosigner(os.urandom(32), "witness.example/1"), stage.gateway.client()
        async with httpx.AsyncClient(base_url=stage.gateway.base) as http:
            for path in ("/tlog/checkpoint", "/api/v1/audit/checkpoint?witnessed=true"):
                assert (await http.get(path)).json()["code"] == "audit.nothing_signed"
            note = (await nobody.get("/audit/checkpoint")).text
            text, _ = read_note(note)
            both = with_lines(note, [cosigner.cosign(text, 1_800_000_000)])
            head = verified(note, stage.key.verifier)
            await TileStore(stage.db).save_witnessed(head.origin, head.size, both, ["witness.example/1"])
            for path in ("/tlog/checkpoint", "/api/v1/audit/checkpoint?witnessed=true"):
                assert (await http.get(path)).text == both
            assert (await nobody.get("/audit/checkpoint")).text == note
        receipt = await ada.http.get(
            f"/messages/{posted['id']}/proof", headers={"Hansard-After": str(posted["position"])}
        )
        assert receipt.text.endswith(f"\n\n{both}")
        code, said = await run_verifier("proof", await kept(tmp_path, receipt.text), "--key", str(stage.key.verifier))
        assert (code, said.startswith("whole: ")) == (0, True), said


async def kept(folder: Path, text: str) -> Path:
    file = folder / "a.tlog-proof"
    await asyncio.to_thread(file.write_text, text)
    return file


async def test_tiles_can_be_closed_to_the_public(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with scene(database_url, redis_url, tmp_path, tlog_on=False) as stage:
        await stage.gateway.person()
        await stage.notary.step()
        async with httpx.AsyncClient(base_url=stage.gateway.base) as http:
            for path in ("/tlog/checkpoint", "/tlog/tile/0/000.p/1", "/tlog/tile/entries/000.p/1"):
                assert (await http.get(path)).status_code == 404
            assert (await http.get("/api/v1/audit/checkpoint")).status_code == 200


GO, SUMDB = shutil.which("go"), Path("/usr/share/gocode/src/golang.org/x/mod/sumdb")


@pytest.mark.skipif(GO is None or not SUMDB.exists(), reason="needs Debian's golang-go and golang-golang-x-mod-dev")
async def test_gos_checksum_database_packages_agree(stage: Scene, tmp_path: Path) -> None:
    """An implementation that is not ours, and not of our reading: signature, tiles, inclusion and consistency."""
    ada = await stage.gateway.person()
    room = await ada.room()
    for _ in range(3):
        await asyncio.gather(*(ada.http.post(f"/rooms/{room}/messages", json={"content": "x"}) for _ in range(100)))
    head = await stage.notary.step()
    assert head is not None
    assert GO is not None
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(tmp_path),
        "GOFLAGS": "",
    }

    async def go(*words: str | Path) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *words, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    program = tmp_path / "sumdb"
    assert await go(GO, "build", "-o", program, Path(__file__).parents[1] / "record/sumdb/main.go") == (0, "")
    for index in (0, 7, 255, 256, head.size - 1):
        asked = (program, f"{stage.gateway.base}/tlog", str(stage.key.verifier), str(index))
        assert await go(*asked) == (0, f"{head.size} ok\n")
    await stage.owner.execute(
        "UPDATE notary.tiles SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) WHERE level = 0"
    )
    code, said = await go(program, f"{stage.gateway.base}/tlog", str(stage.key.verifier), "7")
    assert (code, "inconsistent" in said) == (1, True), said


async def test_an_implementation_in_python_that_is_not_ours_agrees(stage: Scene) -> None:
    """tlog-scales of PyPI: it reads checkpoint, tiles and entries of what is served, and checks its own proofs of them."""
    ada = await stage.gateway.person()
    room = await ada.room()
    await asyncio.gather(*(ada.http.post(f"/rooms/{room}/messages", json={"content": "x"}) for _ in range(300)))
    first = await stage.notary.step()
    await ada.http.post(f"/rooms/{room}/messages", json={"content": "x"})
    last = await stage.notary.step()
    assert first is not None and last is not None
    key, cosigner = signing.Vkey.from_string(str(stage.key.verifier)), Cosigner(os.urandom(32), "witness.example/1")

    def read() -> tlog.Checkpoint:
        reader = TilesReader(HttpBackend(f"{stage.gateway.base}/tlog"))
        found = reader.get_checkpoint()
        found.verify(key)
        reader.set_size(found.size)
        assert reader.calculate_root_hash() == found.root_hash
        reader.get_consistency_proof(first.size, last.size).check(first.root, last.root)
        for index in (0, 7, 255, 256, last.size - 1):
            leaf = merkle.leaf_hash(reader.get_entry(index))
            proof = reader.get_inclusion_proof(index, last.size)
            proof.check(leaf, last.root)
            with pytest.raises(tlog.InclusionProofInvalid):
                proof.check(merkle.leaf_hash(b"another"), last.root)
        return found

    theirs = await asyncio.to_thread(read)
    assert (theirs.origin, theirs.size, theirs.root_hash) == last
    with pytest.raises(InvalidSignature):
        replace(theirs, size=last.size + 1).verify(key)
    both = with_lines(theirs.serialize(), [cosigner.cosign(theirs.serialize_body(), 1_800_000_000)])
    tlog.Checkpoint.from_text(both).verify(signing.Vkey.from_string(str(cosigner.verifier)))
    # Their proof is ours, hash by hash.
    await stage.gateway.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), "auditor"), Caller())
    proof = (await ada.http.get("/audit/proofs/consistency", params={"from": first.size, "to": last.size})).json()
    hashes = [b64decode(each) for each in proof["hashes"]]
    tlog.ConsistencyProof(first.size, last.size, hashes).check(first.root, last.root)
    with pytest.raises(tlog.ConsistencyProofInvalid):
        tlog.ConsistencyProof(first.size, last.size, hashes).check(last.root, first.root)
