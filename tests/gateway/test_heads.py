"""What a request may look like before anybody has read it: its address, headers, host, chunks, and what follows it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest

from tests.gateway.small_front import Front, front, to_the_end

HOST = b"Host: x\r\n"


@pytest.fixture(scope="module")
def process() -> Iterator[Front]:
    with front() as made:
        yield made


@pytest.fixture
async def small(process: Front) -> AsyncIterator[Front]:
    yield process
    process.close()


def get(target: bytes = b"/livez", *headers: bytes, version: bytes = b"1.1") -> bytes:
    return b"GET %s HTTP/%s\r\n%s\r\n" % (target, version, b"".join(line + b"\r\n" for line in headers))


def status_of(told: bytes) -> int:
    return int(told.split()[1])


def problem_of(told: bytes) -> dict[str, object]:
    """Return the one problem that was told, held to the form of all others."""
    assert told.count(b"HTTP/1.1 ") == 1, told
    head, body = told.split(b"\r\n\r\n", 1)
    problem: dict[str, object] = json.loads(body)
    lines = head.lower().split(b"\r\n")
    assert b"content-type: application/problem+json" in lines
    assert b"connection: close" in lines
    assert b"x-content-type-options: nosniff" in lines
    assert b"x-request-id: %s" % str(problem["request_id"]).encode() in lines
    assert problem["status"] == status_of(told)
    assert problem["type"] == f"urn:hansard:problem:{problem['code']}"
    return problem


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (get(b"/" + b"x" * 8_192, b"Host: x"), 414, "request.target_too_long"),
        (get(b"/?" + b"x" * 1_000_000, b"Host: x"), 414, "request.target_too_long"),
        (get(b"/livez", b"Host: x", b"A: " + b"x" * 33_000), 431, "request.headers_too_large"),
        (get(b"/livez", b"Host: x", *[b"A%d: %s" % (i, b"x" * 1_000) for i in range(40)]), 431, "request.headers_too_large"),
        (get(b"/livez", b"Host: x", *[b"A: b"] * 100), 431, "request.headers_too_large"),
        (get(b"/livez", b"Host: x", b"A" * 33_000 + b": b"), 431, "request.headers_too_large"),
        (get(b"/livez", b"Host: x", b"A: " + b"x" * 1_000_000), 431, "request.headers_too_large"),
        (b"\r\n" * 100_000, 431, "request.headers_too_large"),
        (b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request.malformed"),
        (get(b"/livez", b"Host: x", b"no header"), 400, "request.malformed"),
    ],
    ids=["target", "long target", "one header", "headers", "number", "name", "long header", "empty lines", "NUL", "no colon"],
)  # fmt: skip
async def test_a_head_has_bounds(small: Front, said: bytes, status: int, code: str) -> None:
    problem = problem_of(await small.told(said))
    assert (problem["status"], problem["code"]) == (status, code)


async def test_what_keeps_the_bounds_is_answered(small: Front) -> None:
    for said in (
        get(b"/" + b"x" * 8_191, b"Host: x", b"Connection: close"),
        get(b"/livez", b"Host: x", b"Connection: close", *[b"A: b"] * 98),
        get(b"/livez", b"Host: x", b"Connection: close", b"A: " + b"x" * 32_000),
    ):
        assert status_of(await small.told(said)) == 200


async def test_a_head_that_comes_byte_by_byte_has_the_same_bounds(small: Front) -> None:
    reader, writer = await small.connect()
    telling = asyncio.ensure_future(to_the_end(reader))
    for byte in get(b"/livez", b"Host: x", b"Connection: close"):
        writer.write(bytes((byte,)))
        await writer.drain()
    assert status_of(await telling) == 200
    reader, writer = await small.connect(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
    telling = asyncio.ensure_future(to_the_end(reader))
    for _ in range(200):
        writer.write(b"x" * 500)
        await asyncio.sleep(0)
    assert problem_of(await telling)["status"] == 431


async def test_headers_that_are_refused_take_no_memory() -> None:
    with front() as made:
        process = psutil.Process(made.process.pid)
        await made.livez()
        before = process.memory_info().rss
        reader, writer = await made.connect(b"GET / HTTP/1.1\r\nHost: x\r\n")
        telling = asyncio.ensure_future(to_the_end(reader))
        line = b"A: %s\r\n" % (b"x" * 1_000)
        for _ in range(24_000):
            if telling.done() or writer.is_closing():
                break
            writer.write(line)
            await asyncio.sleep(0)
        told = await telling  # who sends on and on may not hear why the connection ended
        assert not told or status_of(told) == 431
        assert process.memory_info().rss - before < 16 * 1024**2


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        ((), b"1.1", 400),
        ((b"Host: x", b"Host: x"), b"1.1", 400),
        ((b"Host: x", b"host: y"), b"1.1", 400),
        ((b"Host: x", b"Host: x"), b"1.0", 400),
        ((b"Host: ",), b"1.1", 400),
        ((b"Host: a b",), b"1.1", 400),
        ((b"Host: a/b",), b"1.1", 400),
        ((b"Host: user@a",), b"1.1", 400),
        ((b"Host: a, b",), b"1.1", 400),
        ((b"Host: a:b",), b"1.1", 400),
        ((b"Host: a:80:80",), b"1.1", 400),
        ((b"Host: [::1",), b"1.1", 400),
        ((b"Host: <script>",), b"1.0", 400),
        ((b"Host: x:8000",), b"1.1", 200),
        ((b"Host: x:",), b"1.1", 200),
        ((b"Host: [::1]:8000",), b"1.1", 200),
        ((b"Host: b%C3%BCcher.example",), b"1.1", 200),
        ((b"Host: a_b.example",), b"1.1", 200),
        ((), b"1.0", 200),
        ((b"Host: x",), b"1.0", 200),
    ],
    ids=ascii,
)
async def test_a_request_names_one_host(small: Front, headers: tuple[bytes, ...], version: bytes, status: int) -> None:
    """RFC 9112, 3.2."""
    told = await small.told(get(b"/livez", b"Connection: close", *headers, version=version))
    assert status_of(told) == status
    if status == 400:
        assert problem_of(told)["code"] == "request.host"
    upgrade = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
    if status == 400 and version == b"1.1":
        told = await small.told(get(b"/ws", *upgrade, b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", *headers))
        assert problem_of(told)["code"] == "request.host"


async def test_a_refusal_to_head_has_no_body(small: Front) -> None:
    told = await small.told(b"HEAD /livez HTTP/1.1\r\n\r\n")
    assert status_of(told) == 400
    assert told.endswith(b"\r\n\r\n")


CHUNKED = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


async def test_trailers_are_no_headers(small: Front) -> None:
    told = await small.told(CHUNKED % b"/headers" + b"1\r\nx\r\n0\r\nAuthorization: x\r\nX-Late: y\r\n\r\n")
    assert json.loads(told.split(b"\r\n\r\n", 1)[1]) == ["host", "transfer-encoding", "connection"]


@pytest.mark.parametrize(
    "said",
    [
        b"1;" + b"e" * 200_000 + b"\r\nx\r\n0\r\n\r\n",
        b"1\r\nx\r\n0\r\nTrailer: " + b"x" * 200_000 + b"\r\n\r\n",
        b"1\r\nx\r\n0\r\n" + b"Trailer: x\r\n" * 20_000 + b"\r\n",
        b"".join(b"1;%s\r\nx\r\n" % (b"e" * 100) for _ in range(3_000)) + b"0\r\n\r\n",
        b"zz\r\n",
    ],
    ids=["an extension", "a trailer", "trailers", "extensions", "no chunk"],
)
async def test_what_stands_around_chunks_has_bounds(small: Front, said: bytes) -> None:
    reader, writer = await small.connect(CHUNKED % b"/size")
    await writer.drain()
    telling = asyncio.ensure_future(to_the_end(reader))
    for at in range(0, len(said), 10_000):
        writer.write(said[at : at + 10_000])
        await asyncio.sleep(0.001)
    assert problem_of(await telling)["code"] == "request.malformed"


async def test_small_chunks_are_a_body_like_any_other(small: Front) -> None:
    told = await small.told(CHUNKED % b"/size" + b"1\r\nx\r\n" * 5_000 + b"0\r\n\r\n")
    assert told.endswith(b"\r\n\r\n5000")


async def test_a_bad_request_is_refused_behind_the_answers_before_it(small: Front) -> None:
    """And not in the middle of them: a client that sends ahead takes the first answer for that to its first request."""
    late = b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
    told = await small.told(late + late + b"GET /livez HTTP/1.1\r\n\r\n" + late)
    answers = told.split(b"HTTP/1.1 ")[1:]
    assert [int(each[:3]) for each in answers] == [200, 200, 400]
    told = await small.told(late + CHUNKED % b"/late" + b"zz\r\n")
    assert [int(each[:3]) for each in told.split(b"HTTP/1.1 ")[1:]] == [200, 400]


async def test_so_many_requests_are_sent_ahead_and_no_more(small: Front) -> None:
    told = await small.told(get(b"/livez", b"Host: x") * 60 + get(b"/livez", b"Host: x", b"Connection: close"))
    assert told.count(b"HTTP/1.1 200") == 61
    told = await small.told(get(b"/livez", b"Host: x") * 7_000)
    assert 64 <= told.count(b"HTTP/1.1 200") < 200
    assert told.count(b"HTTP/1.1 429") == 1


async def test_another_protocol_is_not_spoken_and_its_bytes_are_no_request(small: Front) -> None:
    """A body behind `Upgrade: h2c` came to be read as the next request."""
    reader, writer = await small.connect(
        b"POST /size HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 40\r\n\r\n"
    )
    answered = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in answered
    writer.write(get(b"/livez", b"Host: x"))
    assert b"HTTP/1.1" not in await to_the_end(reader)


async def test_no_socket_is_opened_over_an_answer_that_is_due(small: Front) -> None:
    upgrade = (b"Host: x", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
    handshake = get(b"/ws", *upgrade, b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    told = await small.told(get(b"/livez", b"Host: x") + handshake)
    assert [int(each[:3]) for each in told.split(b"HTTP/1.1 ")[1:]] == [200, 400]
