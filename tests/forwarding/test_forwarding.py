"""Forwarding: everything in position order, nothing skipped, whatever dies; retried with bounds; said on the record."""

import asyncio
import json
import re
import signal
import socket
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hmac import digest
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.forwarding.checkpoint import Checkpoint, CheckpointUnusableError
from adapters.forwarding.destinations import Sent, StreamDestination
from adapters.forwarding.syslog import message
from adapters.postgres.audit import AuditReader
from adapters.postgres.audit_index import Filter
from adapters.postgres.data_keys import Vault
from adapters.prometheus.forwarding import ForwardingMetrics
from adapters.prometheus.registry import new_registry
from commands.command_bus import CommandBus
from domain.events import Caller
from domain.ids import RecordId, RoomId
from domain.ports.channels import Gone, Later, Outcome, Refused, Told
from domain.ports.record import Record
from runtime.command import MisusedError
from runtime.operators.audit import target_of
from tests.certificates import made
from tests.channels.push_service import Answering, push_service
from tests.commands.test_desk import person, post, room_of
from tests.deployments import MASTER, VAPID, ledger, running
from tests.forwarding.receivers import forwarder, receiver
from tests.forwarding.test_formats import SOURCE
from workers.forwarder import Forwarder, NotTakenError

SECRET = "whsec_plJ3nmyCDGBKInavdOK15jslMfjL2kfn"


class Desk:
    """A record in which somebody says things."""

    def __init__(self, record: Record, bus: CommandBus, ada: Caller, room_id: RoomId) -> None:
        self.record = record
        self.bus = bus
        self.ada = ada
        self.room_id = room_id

    async def say(self, count: int, text: str = "CANARY text") -> int:
        """Post messages; return the last position."""
        said = [self.bus.do(post(self.room_id, text), self.ada) for _ in range(count)]
        return max(outcome.position for outcome in await asyncio.gather(*said))


@asynccontextmanager
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with ledger(database_url) as (_, record, bus):
        ada = await person(bus)
        yield Desk(record, bus, ada, await room_of(bus, ada))


async def ended(process: asyncio.subprocess.Process, sign: int | None = None) -> tuple[int, str]:
    """Wait for the end of a process; return how it ended, and what it said."""
    if sign is not None:
        process.send_signal(sign)
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def in_order(positions: Sequence[int]) -> bool:
    return list(positions) == sorted(set(positions))


async def test_killed_again_and_again_it_skips_nothing_and_ends_cleanly(database_url: str, tmp_path: Path) -> None:
    async with desk(database_url) as at, receiver() as siem:
        words = ("--to", f"syslog+tcp://127.0.0.1:{siem.port}")
        for kill in range(3):
            await at.say(150)
            process = await forwarder(database_url, tmp_path, words)
            await siem.has(150 * kill + 60)  # somewhere in the middle
            process.kill()
            await process.wait()
        last = await at.say(20)
        process = await forwarder(database_url, tmp_path, words)
        await siem.has(last)
        code, said = await ended(process, signal.SIGINT)
        assert code == 0 and "it goes on after that" in said and "Traceback" not in said
        assert all(in_order(heard) for heard in siem.connections)
        assert set(siem.positions) >= set(range(1, last + 1)), "nothing is skipped"
        again = len(siem.positions) - len(set(siem.positions))
        assert again <= 4 * 100, "only what had not been remembered comes twice"
        assert b"CANARY" not in b"".join(each.said for each in siem.messages)
        async with ledger(database_url) as (db, _, _):
            page = await AuditReader(db, Vault(db, MASTER)).page(
                Filter(type="audit.forwarding_began"), after=0, limit=100
            )
        assert [entry.reason for entry in page.entries] == ["the archive of the law"] * 4
        began = page.entries[0].data
        assert (began["destination"], began["format"], began["texts"], began["after"]) == (words[1], "json", False, 0)


async def test_over_tls_with_texts_as_ocsf_from_a_position_on(database_url: str, tmp_path: Path) -> None:
    shown = made(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.certificate, shown.key)
    async with desk(database_url) as at, receiver(context) as siem:
        before = await at.say(3)
        last = await at.say(2, "CANARY later")
        to = f"syslog+tls://127.0.0.1:{siem.port}"
        words = ("--to", to, "--format", "ocsf", "--texts", "--after", str(before), "--ca", str(shown.authority))
        process = await forwarder(database_url, tmp_path, words)
        try:
            await siem.has(last)
        finally:
            code, _ = await ended(process, signal.SIGTERM)
        assert code == 0 and in_order(siem.positions) and siem.positions[0] == before + 1
        told = json.loads(siem.messages[0].said)
        assert (told["class_uid"], told["unmapped"]["data"]["content"]) == (3004, "CANARY later")
        # A certificate of somebody else is no receiver: nothing is sent, and after the time given it says so.
        heard = len(siem.messages)
        others = ("--to", to, "--checkpoint", str(tmp_path / "other"), "--give-up-after", "0")
        code, said = await ended(await forwarder(database_url, tmp_path, others))
        assert code == 1 and "Nothing was taken for" in said and len(siem.messages) == heard


async def test_a_webhook_is_signed_and_its_id_is_the_position(database_url: str, tmp_path: Path) -> None:
    async with desk(database_url) as at, push_service(VAPID.public_key) as service:
        authority = tmp_path / "authority.pem"
        authority.write_bytes(service.authority)
        last = await at.say(5)
        service.answers = [Answering(204), Answering(503), Answering(429, {"Retry-After": "1"})]
        words = ("--to", f"{service.base}/hooks/siem", "--ca", str(authority))
        process = await forwarder(database_url, tmp_path, words, HANSARD_FORWARD_SECRET=SECRET)
        async with asyncio.timeout(60):
            while not service.hooked or int(service.hooked[-1][0]["webhook-id"]) < last:
                await asyncio.sleep(0.01)
        code, _ = await ended(process, signal.SIGINT)
        ids = [int(headers["webhook-id"]) for headers, _ in service.hooked]
        assert code == 0 and ids[:4] == [1, 2, 2, 2] and ids[3:] == list(range(2, ids[-1] + 1))
        key = b64decode(SECRET.removeprefix("whsec_"))
        for headers, body in service.hooked:
            content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            assert b64decode(headers["webhook-signature"].removeprefix("v1,")) == digest(key, content, "sha256")
            said = json.loads(body)
            assert said["data"]["position"] == int(headers["webhook-id"]) and said["type"] == said["data"]["type"]
            assert b"CANARY" not in body
        service.answers = [Answering(400)]
        await at.say(1)
        code, said = await ended(await forwarder(database_url, tmp_path, words, HANSARD_FORWARD_SECRET=SECRET))
        assert code == 1 and "refuses the entry at position" in said and "answered 400" in said


class Scripted:
    """A destination that answers as it is told, and keeps what came."""

    def __init__(self, *answers: Outcome, at_once: int = 1, unsure: int | None = None) -> None:
        self.answers = list(answers)
        self.at_once = at_once
        self.unsure = unsure
        self.taken: list[int] = []
        self.sent: list[int] = []
        self.checkpoint: Checkpoint | None = None

    def unsure_from(self) -> int | None:
        return self.unsure

    async def send(self, batch: Sequence[Sent]) -> Outcome:
        outcome = self.answers.pop(0) if self.answers else Told()
        if self.checkpoint is not None:
            remembered = self.checkpoint.read() or 0
            assert remembered <= len(self.taken), "what was not taken is not remembered as taken"
        self.sent += [each.position for each in batch]
        if outcome == Told():
            self.taken += [each.position for each in batch]
        return outcome

    async def close(self) -> None: ...


@asynccontextmanager
async def forwarding(
    database_url: str, path: Path, destination: Scripted, **options: Any
) -> AsyncIterator[tuple[Desk, Forwarder, Checkpoint]]:
    async with ledger(database_url) as (db, record, bus):
        ada = await person(bus)
        at = Desk(record, bus, ada, await room_of(bus, ada))
        checkpoint = Checkpoint(path, (await record.head()).record)
        given = {"after": 0, "texts": False, "give_up_seconds": 60.0, **options}
        yield (
            at,
            Forwarder(AuditReader(db, Vault(db, MASTER)), destination, checkpoint, lambda entry: b"", **given),
            checkpoint,
        )


async def test_what_is_not_taken_waits_longer_and_longer_and_is_sent_again(database_url: str, tmp_path: Path) -> None:
    siem = Scripted(Told(), Later(1.0), Later(1.0), Later(1.0), Later(1_000_000.0))
    registry = new_registry()
    async with forwarding(database_url, tmp_path / "at", siem, metrics=ForwardingMetrics(registry)) as (
        at,
        it,
        checkpoint,
    ):
        head = (await at.record.head()).position
        siem.checkpoint = checkpoint
        pauses = [await it.step() for _ in range(5)]
        assert pauses == [1.0, 1.0, 2.0, 300.0, 0.5], (
            "as asked or longer each time, and never for more than five minutes"
        )
        assert siem.taken == list(range(1, head + 1)) and siem.sent[:6] == [1, 2, 2, 2, 2, 2]
        assert checkpoint.read() == head == it.position
        assert registry.get_sample_value("hansard_forwarded_position") == head
        assert registry.get_sample_value("hansard_forwarding_failures_total") == 4


@pytest.mark.parametrize("outcome", [Gone(), Refused("answered 400")])
async def test_a_refusal_ends_it_and_skips_nothing(database_url: str, tmp_path: Path, outcome: Outcome) -> None:
    async with forwarding(database_url, tmp_path / "at", Scripted(Told(), outcome)) as (_, it, checkpoint):
        with pytest.raises(NotTakenError, match="position 2"):
            await it.step()
        assert checkpoint.read() == 1


async def test_it_gives_up_after_the_time_given(database_url: str, tmp_path: Path) -> None:
    siem = Scripted(*[Later(1.0)] * 10)
    async with forwarding(database_url, tmp_path / "at", siem, give_up_seconds=-1.0) as (_, it, checkpoint):
        with pytest.raises(NotTakenError, match="after position 0"):
            await it.step()
        assert checkpoint.read() is None


async def test_a_connection_that_breaks_is_told_the_last_ones_again(database_url: str, tmp_path: Path) -> None:
    siem = Scripted(*[Told()] * 3, Later(1.0), at_once=2, unsure=3)
    async with forwarding(database_url, tmp_path / "at", siem) as (at, it, _):
        last = await at.say(10)
        while it.position < last:
            await it.step()
        assert siem.sent[:12] == [1, 2, 3, 4, 5, 6, 7, 8, 3, 4, 5, 6]
        assert sorted(set(siem.taken)) == list(range(1, last + 1))


async def test_what_a_receiver_that_died_had_not_read_is_sent_again(database_url: str, tmp_path: Path) -> None:
    async with desk(database_url) as at, receiver() as siem:
        siem.cuts = [40, 230, 1]
        last = await at.say(500)
        async with ledger(database_url) as (db, _, _):
            destination = StreamDestination("127.0.0.1", siem.port)
            checkpoint = Checkpoint(tmp_path / "at", (await at.record.head()).record)
            it = Forwarder(
                AuditReader(db, Vault(db, MASTER)), destination, checkpoint, lambda entry: message(entry, SOURCE, b"{}", host="h"),
                after=0, texts=False, give_up_seconds=600,
            )  # fmt: skip
            async with running(_stepping(it)):
                await siem.has(last)
            await destination.close()
    assert set(siem.positions) == set(range(1, last + 1)) and all(map(in_order, siem.connections))


async def _stepping(it: Forwarder) -> None:
    while True:
        await it.step()  # without the pauses
        await asyncio.sleep(0)


async def test_a_datagram_is_a_message(database_url: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as siem:
        siem.bind(("127.0.0.1", 0))
        siem.setblocking(False)
        async with desk(database_url):
            words = ("--to", f"syslog+udp://127.0.0.1:{siem.getsockname()[1]}", "--format", "cef")
            process = await forwarder(database_url, tmp_path, words)
            async with asyncio.timeout(60):
                heard = [await asyncio.get_running_loop().sock_recv(siem, 65_535) for _ in range(3)]
            code, _ = await ended(process, signal.SIGINT)
    assert code == 0 and all(b" CEF:0|Hansard|" in each for each in heard)
    assert [int(re.findall(rb"externalId=(\d+)", each)[0]) for each in heard] == [1, 2, 3]


async def test_one_forwarder_has_a_checkpoint_and_another_record_has_another(database_url: str, tmp_path: Path) -> None:
    async with desk(database_url) as at, receiver() as siem:
        words = ("--to", f"syslog+tcp://127.0.0.1:{siem.port}", "--checkpoint", str(tmp_path / "at"))
        first = await forwarder(database_url, tmp_path, words)
        await siem.has(1)
        code, said = await ended(await forwarder(database_url, tmp_path, words))
        assert code == 1 and "Another forwarder holds this checkpoint" in said
        assert (await ended(first, signal.SIGINT))[0] == 0
        (tmp_path / "at").write_text(f"{uuid4()} 7\n")
        code, said = await ended(await forwarder(database_url, tmp_path, words))
        assert code == 1 and "--anew" in said
        siem.messages.clear()
        anew = await forwarder(database_url, tmp_path, (*words, "--anew"))
        await siem.has((await at.record.head()).position)
        assert (await ended(anew, signal.SIGINT))[0] == 0 and siem.positions[0] == 1


def test_a_checkpoint_is_whole_or_refused(tmp_path: Path) -> None:
    record = RecordId(uuid4())
    checkpoint = Checkpoint(tmp_path / "at", record)
    assert checkpoint.read() is None
    checkpoint.write(12)
    assert Checkpoint(tmp_path / "at", record).read() == 12
    (tmp_path / "at").write_text("12")
    with pytest.raises(CheckpointUnusableError):
        checkpoint.read()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--to", "https://siem.example.com/x", "--format", "cef"), "JSON"),
        (("--to", "https://siem.example.com/x"), "HANSARD_FORWARD_SECRET"),
        (("--to", "syslog+tcp://siem", "--reason", " "), "--reason says why"),
    ],
)
async def test_what_does_not_go_together_is_said(
    database_url: str, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    code, said = await ended(await forwarder(database_url, tmp_path, words))
    assert code == 2 and sentence in said


@pytest.mark.parametrize(
    "url", ["http://siem", "syslog+tcp://ada:secret@siem", "syslog+tcp://siem:0x1", "siem:514", ""]
)
def test_only_an_address_that_can_be_sent_to_is_taken(url: str) -> None:
    with pytest.raises(MisusedError) as refused:
        target_of(url)
    assert "--to is one of" in str(refused.value) and "secret" not in str(refused.value)


def test_what_may_be_secret_in_an_address_is_not_recorded() -> None:
    assert target_of("https://siem.example.com/hooks/T0K3N").shown == "https://siem.example.com:443"
    assert target_of("syslog+tls://[2001:db8::1]").shown == "syslog+tls://[2001:db8::1]:6514"


async def test_help_says_what_it_does(database_url: str, tmp_path: Path) -> None:
    code, said = await ended(await forwarder(database_url, tmp_path, ("--help",)))
    assert code == 0 and "--texts" in said and "in order, at least once" in said
