"""Every frame counts: control frames, fragments, empty ones, and bytes; and what is not read is not read from."""

import asyncio
import base64
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.quotas import OFF, STRICT, Quota
from gateway.server.frame_meter import CONTROL_FRAMES, FRAGMENTS_MAX, FRAME_UNIT_BYTES, FRAMES, FrameMeter, cost_of
from tests.deployments import Gateway, Person, deployment, gateway
from tests.gateway.small_front import to_the_end
from tests.lines import line

TEXT, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x0, 0x8, 0x9, 0xA
FIN = 0x80


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Return a frame of a client, masked with the zero key."""
    head = bytes((opcode | (FIN if fin else 0),))
    size = len(payload)
    if size < 126:
        head += bytes((0x80 | size,))
    else:
        head += struct.pack("!BH", 0x80 | 126, size) if size < 65_536 else struct.pack("!BQ", 0x80 | 127, size)
    return head + bytes(4) + payload


class Raw:
    """A socket whose client says what no library would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, hansard: Gateway, person: Person | None = None) -> "Raw":
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", hansard.port))
        reader, writer = await asyncio.open_connection(sock=plain)
        key = base64.b64encode(os.urandom(16)).decode()
        token = f"Authorization: Bearer {person.token}\r\n" if person else ""
        writer.write(
            f"GET /api/v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{token}"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        return cls(reader, writer)

    async def closed(self) -> int:
        """Return the code with which the server closes."""
        told = await to_the_end(self.reader)
        self.writer.close()
        while told:
            opcode, size = told[0] & 0xF, told[1]
            at = 2 if size < 126 else 4
            size = size if size < 126 else int.from_bytes(told[2:4], "big")
            if opcode == CLOSE:
                return int.from_bytes(told[at : at + 2], "big")
            told = told[at + size :]
        return 0


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


FLOODS = {
    "pings": frame(PING),
    "pongs": frame(PONG, b"x" * 125),
    "pings and pongs": frame(PING, b"x") + frame(PONG),
    "fragments": frame(TEXT, b"{", fin=False) + frame(CONTINUATION, fin=False) * (FRAGMENTS_MAX + 1),
    "small texts": frame(TEXT, b'{"type":"ping"}'),
}


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("is_known", [False, True])
async def test_whatever_a_client_floods_with_its_socket_is_closed(hansard: Gateway, flood: str, is_known: bool) -> None:
    """Also where the operator has no limits at all. Another socket hears nothing of it."""
    ada = await hansard.person()
    async with line(hansard, ada) as calm:
        raw = await Raw.open(hansard, ada if is_known else None)
        raw.writer.write(FLOODS[flood] * 50_000)
        code = await raw.closed()
        # Its first message authenticates a stranger or ends the socket.
        assert code == (4401 if flood == "small texts" and not is_known else 4013)
        assert (await calm.ask("ping"))["ok"]


async def test_who_does_not_read_its_answers_is_not_read_from(hansard: Gateway) -> None:
    ada = await hansard.person()
    raw = await Raw.open(hansard, ada)
    await raw.reader.readuntil(b"}")
    (connection,) = hansard.services.hub._connections
    outgoing: Any = connection.outbox._transport
    transport = outgoing._protocol.transport
    reading: Any = raw.writer.transport
    reading.pause_reading()
    asked = 0
    while not outgoing.is_paused:
        assert asked < 5_000
        raw.writer.write(frame(TEXT, b'{"type":"ping","id":%d,"%s":0}' % (asked, b"x" * 250)))
        asked += 1
        await asyncio.sleep(0)
    raw.writer.write(frame(PING, b"unseen") * 10)
    async with asyncio.timeout(30):
        while transport.is_reading():
            await asyncio.sleep(0)
    reading.resume_reading()
    told = b""
    async with asyncio.timeout(20):
        while told.count(b"unseen") < 10 or b'"id":%d,' % (asked - 1) not in told:
            told += await raw.reader.read(65_536)
    assert transport.is_reading()
    raw.writer.close()


async def test_control_frames_of_a_calm_client_are_free(hansard: Gateway) -> None:
    ada = await hansard.person()
    async with line(hansard, ada) as hers:
        for _ in range(CONTROL_FRAMES.burst // 2):
            await (await hers.socket.ping())
        assert (await hers.ask("ping"))["ok"]


async def test_a_message_may_come_in_fragments(hansard: Gateway) -> None:
    ada = await hansard.person()
    raw = await Raw.open(hansard, ada)
    said = json.dumps({"type": "ping", "id": 7}).encode()
    frames = [frame(TEXT, said[:1], fin=False)]
    frames += [frame(CONTINUATION, said[i : i + 1], fin=False) for i in range(1, len(said))]
    raw.writer.write(b"".join(frames) + frame(PING, b"between") + frame(CONTINUATION))
    told = b""
    async with asyncio.timeout(30):
        while b'"id":7' not in told:
            told += await raw.reader.read(65_536)
    assert b"between" in told
    raw.writer.close()


async def test_many_messages_at_once_are_answered_in_their_order(hansard: Gateway) -> None:
    """More than one slice of what is looked at in one go."""
    ada = await hansard.person()
    raw = await Raw.open(hansard, ada)
    raw.writer.write(b"".join(frame(TEXT, b'{"type":"ping","id":%d}' % i) for i in range(3_000)))
    told = b""
    async with asyncio.timeout(20):
        while b'"id":2999,' not in told:
            told += await raw.reader.read(65_536)
    places = [told.index(b'"id":%d,' % i) for i in range(3_000)]
    assert places == sorted(places)
    raw.writer.close()


async def test_a_frame_costs_what_it_costs(database_url: str, redis_url: str) -> None:
    quotas = replace(OFF, frames=Quota("frames", 1, 60, 20), requests=Quota("requests", 1, 60, 60))
    async with (
        deployment(database_url, redis_url) as hansard,
        gateway(database_url, redis_url, quotas=quotas) as limited,
    ):
        ada = await hansard.person()
        large = json.dumps({"id": 1, "type": "ping"}).ljust(9 * FRAME_UNIT_BYTES)
        async with line(limited, ada) as hers:
            await hers.socket.send(large)
            assert (await hers.until("reply", id=1))["ok"]
            await hers.socket.send(large)
            assert (await hers.until("reply", id=1))["ok"]
            await hers.socket.send(large)
            assert await hers.closed() == 4013
        rooms = {"id": 1, "type": "subscribe", "rooms": {f"6f6c0df5-315c-4673-bd3f-{i:012}": None for i in range(400)}}
        async with line(limited, ada) as hers:
            await hers.socket.send(json.dumps(rooms))  # 1 of itself, 4 of its 17 KiB, 20 of its rooms
            assert await hers.closed() == 4013
        del rooms["rooms"]
        few = rooms | {"rooms": {f"6f6c0df5-315c-4673-bd3f-{i:012}": None for i in range(200)}}
        async with line(limited, ada) as hers:
            await hers.socket.send(json.dumps(few))
            assert (await hers.until("reply", id=1))["ok"] is False  # they are nobody's
            assert quotas.requests is not None
            left = await limited.services.limits.take(f"user {ada.id}", replace(quotas.requests, cost=0))
            assert left.quota_states[0].remaining == 60 - 1 - 2 - 10


def test_a_message_of_usual_length_costs_one() -> None:
    assert [cost_of(size) for size in (1, FRAME_UNIT_BYTES - 1, FRAME_UNIT_BYTES, 131_072)] == [1, 1, 2, 33]


frames = st.lists(
    st.tuples(st.sampled_from([TEXT, CONTINUATION, PING]), st.sampled_from([0, 1, 125, 126, 5_000, 65_535, 65_536])),
    max_size=8,
)


@given(frames, st.lists(st.integers(1, 40), max_size=60), st.booleans())
def test_it_counts_the_same_however_the_bytes_come(
    said: list[tuple[int, int]], sizes: list[int], is_byte_by_byte: bool
) -> None:
    stream = b"".join(frame(opcode, bytes(size)) for opcode, size in said)
    costs = sum(cost_of(size) for opcode, size in said if opcode != PING)
    meter = FrameMeter(lambda: 0.0)
    meter.limit(Quota("frames", 1, 1_000, max(1, costs)))
    at = 0
    for size in sizes if is_byte_by_byte else []:
        assert meter.passes(stream[at : at + size])
        at += size
    assert meter.passes(stream[at:])
    assert costs == 0 or not meter.takes(1), "everything was counted"


def test_without_limits_there_is_a_rate_that_no_client_needs() -> None:
    meter = FrameMeter(lambda: 0.0)
    meter.limit(None)
    assert meter.passes(frame(TEXT) * FRAMES.burst)
    assert not meter.passes(frame(TEXT) * FRAMES.burst)
    assert STRICT.frames is not None
    assert FRAMES.count >= 10 * STRICT.frames.count
