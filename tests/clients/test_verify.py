"""The verifier that knows the page on the format alone: it agrees with the page's vectors, and with the server's own code."""

import json
import re
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import hansard_verify
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.notary.cosigner import Cosigner
from adapters.notary.key import NotaryKey
from adapters.notary.rotation import rotation_note
from domain import merkle
from domain.cosignature import with_lines
from domain.leaf import EPOCH, EventRow, encoded, entry_of
from domain.merkle import leaf_hash
from domain.tree_head import (
    NoteUnreadableError,
    Signature,
    TreeHead,
    VerifierKey,
    read_key,
    read_note,
    read_tree_head,
    signed_note,
    tlog_proof,
)

BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "record-format.md").read_text()
ROWS = st.builds(
    EventRow,
    position=st.integers(1, 2**63 - 1),
    stream=st.uuids(),
    version=st.integers(1, 2**31 - 1),
    topic=st.text(max_size=40),
    data=st.binary(max_size=300),
    meta=st.binary(max_size=300),
    room_id=st.none() | st.uuids(),
    recorded_at=st.datetimes(datetime(1900, 1, 1), datetime(2400, 1, 1), timezones=st.just(UTC)),
)


def block(name: str) -> str:
    found = re.search(rf"^```\w+ {name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


def as_told(row: EventRow) -> dict[str, object]:
    room = None if row.room_id is None else str(row.room_id)
    return {**row._asdict(), "stream": str(row.stream), "room_id": room, "recorded_at": row.recorded_at.isoformat()}


def test_the_vectors_of_the_page_are_what_both_say() -> None:
    vectors = json.loads(block("vectors"))
    assert len(vectors) == 3
    for told in vectors:
        data, meta = bytes.fromhex(told["data"]), bytes.fromhex(told["meta"])
        assert hansard_verify.entry_of({**told, "data": data, "meta": meta}).hex() == told["entry"]
        at = datetime.fromisoformat(told["recorded_at"])
        room = None if told["room_id"] is None else UUID(told["room_id"])
        row = EventRow(told["position"], UUID(told["stream"]), told["version"], told["topic"], data, meta, room, at)
        assert encoded(row).hex() == told["encoded"]
        assert entry_of(row).hex() == told["entry"]
        assert leaf_hash(entry_of(row)).hex() == told["leaf"]
    key = hansard_verify.read_key(block("key"))
    found = hansard_verify.read_checkpoint(block("checkpoint"), key)
    assert (found.origin, found.size) == ("hansard/018f0000-0000-7000-8000-000000000000", 3)
    assert found.root == merkle.root_of([bytes.fromhex(told["leaf"]) for told in vectors])
    assert f"Position 2 of {found.origin}" in hansard_verify.verify_proof(block("proof").rstrip("\n") + "\n", key)


@given(ROWS)
def test_both_encode_every_row_alike(row: EventRow) -> None:
    assert hansard_verify.entry_of(as_told(row)) == entry_of(row)


@given(ROWS, st.data())
def test_no_two_rows_are_encoded_alike(row: EventRow, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(EventRow._fields))
    other = row._replace(**{field: getattr(data.draw(ROWS), field)})
    assert (encoded(other) == encoded(row)) == (other == row)


@given(st.integers(1, 300), st.data())
@settings(max_examples=50)
def test_both_build_the_same_tree_and_follow_the_same_proof(size: int, data: st.DataObject) -> None:
    entries = [i.to_bytes(32, "big") for i in range(size)]
    tree = hansard_verify.Tree()
    for entry in entries:
        tree.append(entry)
    hashes, index = [leaf_hash(entry) for entry in entries], data.draw(st.integers(0, size - 1))
    assert tree.root() == merkle.root_of(hashes)
    ranges = merkle.inclusion_ranges(index, size)
    found = merkle.proof(
        ranges, lambda t: merkle.complete_root(hashes[t.number << t.height : (t.number + 1) << t.height])
    )
    assert hansard_verify.root_by_proof(entries[index], index, size, found) == tree.root()
    assert hansard_verify.root_by_proof(entries[index], index, size, [*found, found[0] if found else b""]) is None
    assert hansard_verify.root_by_proof(entries[index], size, size, found) is None


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 511))
@settings(max_examples=25)
def test_signatures_are_those_of_the_library(seed: bytes, message: bytes, bit: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert hansard_verify.verifies(public, message, signature)
    assert not hansard_verify.verifies(public, message + b"x", signature)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not hansard_verify.verifies(public, message, bytes(flipped))
    # RFC 8032, 5.1.7: S is smaller than the order.
    s = int.from_bytes(signature[32:], "little") + hansard_verify.ORDER
    assert not hansard_verify.verifies(public, message, signature[:32] + s.to_bytes(32, "little"))


def test_signatures_of_rfc_8032_verify() -> None:
    """RFC 8032, 7.1, tests 1 and 2."""
    for public, message, signature in (
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ):  # fmt: skip
        assert hansard_verify.verifies(*map(bytes.fromhex, (public, message, signature)))


def receipt(size: int = 20, index: int = 7) -> tuple[VerifierKey, str, list[bytes]]:
    """A key, a proof of one of `size` entries, and the entries."""
    private = Ed25519PrivateKey.generate()
    key = VerifierKey(f"hansard/{uuid4()}", private.public_key().public_bytes_raw())
    entries = [i.to_bytes(32, "big") for i in range(size)]
    hashes = [leaf_hash(entry) for entry in entries]
    head = TreeHead(key.name, size, merkle.root_of(hashes))
    note = signed_note(head.text(), [Signature(key.name, key.key_id, private.sign(head.text().encode()))])
    ranges = merkle.inclusion_ranges(index, size)
    path = merkle.proof(
        ranges, lambda t: merkle.complete_root(hashes[t.number << t.height : (t.number + 1) << t.height])
    )
    return key, tlog_proof(entries[index], index, path, note), entries


def test_a_receipt_is_verified_by_one_file_and_an_interpreter(tmp_path: Path) -> None:
    key, text, _ = receipt()
    file = tmp_path / "message.tlog-proof"

    def run(text: str, key: object = key) -> tuple[int, str]:
        file.write_text(text)
        words = (
            sys.executable,
            "-I",
            "-S",
            ROOT / "clients/verify/hansard_verify.py",
            "proof",
            file,
            "--key",
            str(key),
        )
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
        return done.returncode, done.stdout + done.stderr

    assert run(text)[0] == 0
    assert run(text)[1].startswith(f"whole: Position 8 of {key.name} is an event whose entry is {7:064x}")
    assert run(text.replace("index 7", "index 6"))[0] == 1
    assert run(text.replace("\n20\n", "\n21\n"))[0] == 1
    assert run("nothing of the kind")[0] == 2
    assert run(text, receipt()[0])[0] == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text.replace("— ", "- "),
        lambda text: text.replace("index 7", "index 07"),
        lambda text: text.rpartition("—")[0],
    ],
)
def test_what_is_no_proof_is_not_judged(change: Callable[[str], str]) -> None:
    key, text, _ = receipt()
    with pytest.raises(hansard_verify.NotJudgedError):
        hansard_verify.verify_proof(change(text), hansard_verify.read_key(str(key)))


def test_every_altered_character_of_a_proof_is_found() -> None:
    """Line feeds apart: each character of each line is exchanged for another once, and none of them passes."""
    key, text, _ = receipt(5, 2)
    known = hansard_verify.read_key(str(key))
    for at, letter in enumerate(text):
        if letter in "\n":
            continue
        other = "A" if letter != "A" else "B"
        with pytest.raises((hansard_verify.AlteredError, hansard_verify.NotJudgedError)):
            hansard_verify.verify_proof(text[:at] + other + text[at + 1 :], known)


def with_spare_bit(text: str) -> Iterator[str]:
    """Change bits of Base64 that no byte is made of: those of the last character before the padding."""
    for found in re.finditer(r"[A-Za-z0-9+/](?==+$)", text, re.MULTILINE):
        changed = BASE64[BASE64.index(found[0]) ^ 1]
        yield text[: found.start()] + changed + text[found.end() :]


def test_what_says_the_same_bytes_in_other_characters_is_refused() -> None:
    key, text, _ = receipt(5, 2)
    known = hansard_verify.read_key(str(key))
    changed = list(with_spare_bit(text))
    assert len(changed) > 3
    for each in changed:
        with pytest.raises(hansard_verify.NotJudgedError):
            hansard_verify.verify_proof(each, known)
    note = text.partition("\n\n")[2]
    said, _ = read_note(note)
    for unreadable, read in ((note, lambda each: read_tree_head(read_note(each)[0])), (said, read_tree_head)):
        changed = list(with_spare_bit(unreadable))
        assert changed
        for each in changed:
            with pytest.raises(NoteUnreadableError):
                read(each)


def test_notes_and_keys_are_read_as_they_are_written() -> None:
    key, text, _ = receipt()
    note = text.partition("\n\n")[2]
    said, [signature] = read_note(note)
    head = read_tree_head(said)
    assert (head.origin, head.size, signature.name, signature.key_id) == (key.name, 20, key.name, key.key_id)
    assert (head.text(), signed_note(said, [signature])) == (said, note)
    assert read_key(str(key)) == key == read_key(f" {key}\n")
    for wrong in ("", "a+b+c", str(key)[:-4], str(key).replace("+", "+0", 1), "name+00000000+AQ=="):
        with pytest.raises(NoteUnreadableError):
            read_key(wrong)
        with pytest.raises(hansard_verify.NotJudgedError):
            hansard_verify.read_key(wrong)
    for wrong in ("", "a\n1\n\n", "a\n01\nAAAA\n", "a\n1\nAAAA\n", said.rstrip("\n"), said.replace("\n20\n", "\n-1\n")):
        with pytest.raises(NoteUnreadableError):
            read_tree_head(wrong)
    for wrong in ("", said, note.rstrip("\n"), note.replace("— ", "")):
        with pytest.raises(NoteUnreadableError):
            read_note(wrong)


def test_the_epoch_is_that_of_the_page() -> None:
    assert EPOCH == hansard_verify.EPOCH


def test_it_follows_the_keys_of_a_record_as_the_server_does_and_finds_one_that_was_retired(tmp_path: Path) -> None:
    a, b, c, other = (NotaryKey(bytes([i]) * 32, "hansard/x") for i in range(4))
    told = {"rotations": [{"position": 5, "note": rotation_note(a, b)}, {"position": 9, "note": rotation_note(b, c)}]}
    told["rotations"].append({"position": 7, "note": rotation_note(a, other).rpartition("—")[0]})
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(told))
    for trusted in (a, b, c):
        keys = hansard_verify.told_keys(hansard_verify.read_key(str(trusted.verifier)), file)
        assert isinstance(keys, hansard_verify.Keys)
        assert [since for since, _ in keys.of] == [0, 5, 9]
        for size, signer, others in ((4, a, (b, c)), (5, b, (a, c)), (8, b, (a, c)), (9, c, (a, b))):
            assert hansard_verify.read_checkpoint(signer.sign(size, bytes(32)), keys).size == size
            for wrong in others:
                with pytest.raises(hansard_verify.AlteredError, match="not in force"):
                    hansard_verify.read_checkpoint(wrong.sign(size, bytes(32)), keys)
        with pytest.raises(hansard_verify.NotJudgedError):
            hansard_verify.read_checkpoint(other.sign(9, bytes(32)), keys)


def test_cosignatures_are_verified_under_the_witnesss_key_alone() -> None:
    key, witness = NotaryKey(bytes(32), "hansard/x"), Cosigner(bytes([7]) * 32, "w.example/1")
    note = key.sign(3, bytes(32))
    both = with_lines(note, [witness.cosign(read_note(note)[0], 1_800_000_000)])
    assert hansard_verify.cosigned_at(both, str(witness.verifier)) == 1_800_000_000
    assert "w.example/1 cosigned it at 2027-01-15" in hansard_verify.cosigners_of(both, [str(witness.verifier)])
    with pytest.raises(hansard_verify.NotJudgedError):
        hansard_verify.cosigned_at(note, str(witness.verifier))
    with pytest.raises(hansard_verify.NotJudgedError):
        hansard_verify.cosigned_at(both, str(Cosigner(bytes([8]) * 32, "w.example/1").verifier))
    with pytest.raises(hansard_verify.AlteredError):
        hansard_verify.cosigned_at(both.replace("\n3\n", "\n4\n"), str(witness.verifier))
