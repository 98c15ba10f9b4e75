"""Connections: how many, and how long without a word; what is slow is borne, and what stands still is not."""

import asyncio
import signal
import socket
import sys
import time
from contextlib import suppress

import pytest

from tests.gateway.small_front import PIECE, PIECES, Front, front, to_the_end

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Return one whole answer of `/livez` and its like."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


BEGUN = {
    "silent": (b"", b""),
    "half a head": (b"GET /livez HTTP/1.1\r\nHost: x\r\nA", b"408"),
    "empty lines": (b"\r\n\r\n", b"408"),
    "half a body": (POST + b"a", b"408"),
    "half a chunk": (b"POST /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", b"408"),
    "half of the next": (GET + b"GET /liv", b"200"),
    "answered": (b"POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\na", b"200"),
}


async def test_what_is_begun_ends_in_time() -> None:
    with front(head_seconds=1, body_grace_seconds=1, keep_alive_seconds=60) as made:
        ended = await asyncio.gather(*(made.told(said) for said, _ in BEGUN.values()), return_exceptions=True)
    told = {
        name: each if isinstance(each, bytes) else repr(each).encode() for name, each in zip(BEGUN, ended, strict=True)
    }
    assert {name: all_of_it for name, all_of_it in told.items() if all_of_it[9:12] != BEGUN[name][1]} == {}
    assert b"HTTP/1.1 408" in told["half of the next"]


async def test_dripping_does_not_help() -> None:
    async def dripped(made: Front, said: bytes, drip: bytes) -> bytes:
        reader, writer = await made.connect(said)
        telling = asyncio.ensure_future(to_the_end(reader))
        while not telling.done():
            with suppress(ConnectionError):
                writer.write(drip)
            await asyncio.sleep(0.1)
        return (await telling)[9:12]

    with front(head_seconds=1, body_grace_seconds=1) as made:
        cases = ((b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n"), (POST, b"a"), (b"", b"\r\n"))
        assert await asyncio.gather(*(dripped(made, *case) for case in cases)) == [b"408"] * len(cases)


async def test_a_body_that_keeps_coming_has_its_time() -> None:
    with front(head_seconds=1, body_grace_seconds=1) as made:
        reader, writer = await made.connect(b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 15000\r\n\r\n")
        for _ in range(15):
            writer.write(b"a" * 1_000)
            await asyncio.sleep(0.2)
        assert (await answer(reader)).endswith(b"\r\n\r\n15000")


async def test_who_waits_for_100_continue_is_told() -> None:
    with front() as made:
        reader, writer = await made.connect(POST[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"a" * 1_000)
        assert (await answer(reader)).endswith(b"1000")


async def test_a_connection_rests_for_as_long_as_is_set_and_no_longer() -> None:
    with front(keep_alive_seconds=8, head_seconds=1) as made:
        rests = time.monotonic()
        (reader, writer), (other, _) = await made.connect(GET), await made.connect(GET)
        await asyncio.gather(answer(reader), answer(other))
        await asyncio.sleep(6)  # longer than a head may take, and than the five seconds of uvicorn
        writer.write(GET)
        assert (await answer(reader)).startswith(b"HTTP/1.1 200")
        assert await to_the_end(other, seconds=60) == b""
        assert time.monotonic() - rests > 7


async def test_a_request_that_has_arrived_is_answered_however_late_it_is() -> None:
    """The bytes lie in the kernel while the process does something else, and its time is over before it reads them."""
    with front(keep_alive_seconds=2) as made:
        held = [await made.connect(GET) for _ in range(8)]
        await asyncio.gather(*(answer(reader) for reader, _ in held))
        made.process.send_signal(signal.SIGSTOP)
        try:
            for _, writer in held:
                writer.write(GET)
            await asyncio.sleep(2.4)
        finally:
            made.process.send_signal(signal.SIGCONT)
        told = await asyncio.gather(*(answer(reader) for reader, _ in held))
        assert [each[9:12] for each in told] == [b"200"] * len(held)


async def test_who_does_not_take_the_answer_is_let_go() -> None:
    with front(write_stall_seconds=1) as made:
        with socket.socket() as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
            plain.setblocking(False)
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", made.port))
            await asyncio.get_running_loop().sock_sendall(plain, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(20):
                while not await connections_of(made):
                    await asyncio.sleep(0.01)
                while await connections_of(made):
                    await asyncio.sleep(0.1)


async def test_a_slow_download_arrives() -> None:
    """It takes several times as long as a client may stand still."""
    with front(write_stall_seconds=1) as made:
        reader, _ = await made.connect(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        size, began = 0, time.monotonic()
        while piece := await reader.read(1024**2):
            size += len(piece)
            if time.monotonic() - began < 3:
                await asyncio.sleep(0.05)
        assert size > PIECES * len(PIECE)


async def connections_of(made: Front) -> int:
    """Return how many connections the process has, but for the one that listens."""
    import psutil

    return sum(each.status == "ESTABLISHED" for each in psutil.Process(made.process.pid).net_connections("tcp"))


async def test_an_address_holds_so_many_connections_and_gets_them_back() -> None:
    with front(of_address=20) as made:
        held = [await made.connect() for _ in range(20)]
        told = await made.livez()
        assert told.startswith(b"HTTP/1.1 429")
        assert b"connections.too_many" in told
        assert b"retry-after: 1" in told
        # Each ends in a way of its own.
        for at, (_, writer) in enumerate(held):
            if at % 2:
                writer.close()
            else:
                writer.transport.abort()
        async with asyncio.timeout(30):
            while not (await made.livez()).startswith(b"HTTP/1.1 200"):
                await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            while await connections_of(made):
                await asyncio.sleep(0.01)
        again = [await made.connect(GET) for _ in range(20)]
        for reader, _ in again:
            assert (await answer(reader)).startswith(b"HTTP/1.1 200")


async def test_a_proxys_connections_count_among_all_and_by_no_address() -> None:
    with front(of_address=5, total=20, proxy="127.0.0.0/8") as made:
        held = [await made.connect(GET) for _ in range(20)]
        for reader, _ in held:
            assert (await answer(reader)).startswith(b"HTTP/1.1 200")
        told = await made.livez()
        assert told.startswith(b"HTTP/1.1 503")
        assert b"connections.full" in told


async def test_without_descriptors_it_waits_and_then_serves_again() -> None:
    with front(descriptors=64, total=100_000) as made:
        held = [await made.connect() for _ in range(200)]
        reader, _ = held[0]
        held[0][1].write(GET)
        assert (await answer(reader)).startswith(b"HTTP/1.1 200"), "who is in is served"
        for _, writer in held:
            writer.transport.abort()
        for _ in range(3):
            assert (await made.livez()).startswith(b"HTTP/1.1 200")
        assert made.process.poll() is None


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_on_both_kinds_of_addresses_an_ipv4_client_is_what_it_is() -> None:
    with front(host="::", of_address=2) as made:
        reader, _ = await made.connect(GET.replace(b"/livez", b"/who"))
        assert (await answer(reader)).endswith(b"\r\n\r\n127.0.0.1")
        await made.connect()
        assert (await made.livez()).startswith(b"HTTP/1.1 429"), "it is counted as one"


async def test_a_descriptor_more_is_taken_where_there_is_one() -> None:
    """Every command begins so."""
    program = (
        "import resource as r; hard = r.getrlimit(r.RLIMIT_NOFILE)[1]; r.setrlimit(r.RLIMIT_NOFILE, (256, hard));"
        "from runtime.cli import run; from runtime.descriptors import connections_max;"
        "before = connections_max(); run(['doctor']); soft = r.getrlimit(r.RLIMIT_NOFILE)[0];"
        "print(soft == min(hard, 1024 * 1024), before, connections_max() == int(soft * 0.75) - 64)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert said.splitlines()[-1] == b"True 128 True"
