"""The scenarios: S1 to S5, each one run against one peer that has just started, in rooms of its own.

S1 one room of 50, five senders with 8 sends outstanding each · S2 a hundred rooms of five, one sender each with one send
outstanding (S2x5: all five send) · S3 fifty sends a second over twenty rooms of five · S4 idle sockets · S5 the newest 50 of
100,000 messages over 16 connections. Everybody has an account of their own.
"""

import asyncio
import json
import time
from array import array
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from bench.comparison.machine import Used, memory_kib, used_since, used_until_now
from bench.comparison.peer import PageRequest, Peer
from bench.comparison.talk import Talk, percentile

WARM_SECONDS = 1.0
QUIET_SECONDS = 10.0
CONNECTS_AT_ONCE = 16
PAGES_CONNECTIONS = 16
PAGE_MESSAGES = 50
KEPT_LISTENERS = 2  # of those of a large room who do not send: what all of them hear would be gigabytes


class Length(Struct, frozen=True):
    """How long and how large; `make bench-quick` has less of everything."""

    seconds: float = 7.0
    rooms: int = 100
    sockets: int = 2_000
    messages: int = 100_000


class Run(Struct, frozen=True):
    """What one run came to. `findings` are the checker's; `cpu_ms` is of a message, in S4 of a connection, in S5 of a page;
    `ms_of` the same by kind of process."""

    scenario: str
    peer: str
    rate: float
    cpu_ms: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    kib: float = 0.0
    messages: int = 0
    generator_percent: float = 0.0
    others_percent: float = 0.0
    findings: list[str] = []
    ms_of: dict[str, float] = {}


async def s1(peer: Peer, length: Length) -> Run:
    return await _closed(peer, length, "S1", rooms=1, members=50, senders=5, window=8)


async def s2(peer: Peer, length: Length) -> Run:
    return await _closed(peer, length, "S2", rooms=length.rooms, members=5, senders=1, window=1)


async def s2x5(peer: Peer, length: Length) -> Run:
    return await _closed(peer, length, "S2x5", rooms=length.rooms, members=5, senders=5, window=1)


async def _closed(peer: Peer, length: Length, name: str, *, rooms: int, members: int, senders: int, window: int) -> Run:
    """Each sender says the next thing when one was acknowledged."""
    talk, opened = await _gathered(peer, rooms, members, senders)
    talk.is_going = True
    for number in range(len(talk.lines)):
        for _ in range(window if number % members < senders else 0):
            talk.say(number)
    used = await _measured(talk, peer, length.seconds)
    talk.is_going = False
    return await _finished(talk, peer, opened, used, name, members, rate=None if name == "S1" else "accepted")


async def s3(peer: Peer, length: Length, *, rooms: int = 20, members: int = 5, rate: int = 50) -> Run:
    talk, opened = await _gathered(peer, rooms, members, members)

    async def speak() -> None:
        started = time.perf_counter()
        for i in range(1_000_000):
            await asyncio.sleep(max(0.0, started + i / rate - time.perf_counter()))
            talk.say(i % rooms * members + i // rooms % members)

    speaking = asyncio.create_task(speak())
    used = await _measured(talk, peer, length.seconds)
    speaking.cancel()
    return await _finished(talk, peer, opened, used, "S3", members, rate="accepted")


async def s4(peer: Peer, length: Length) -> Run:
    """What an idle socket holds, and how fast they come."""
    members = 5
    rooms = length.rooms
    await peer.gather(rooms * members)
    opened = [await peer.open_room(range(room * members, (room + 1) * members)) for room in range(rooms)]
    talk, held, before = Talk(), memory_kib(peer.processes()), used_until_now(peer.processes())
    await _at_once(
        [
            _opening(peer, talk, i % (rooms * members), opened[i % (rooms * members) // members])
            for i in range(length.sockets)
        ]
    )
    used = used_since(before, peer.processes())
    await asyncio.sleep(2 * WARM_SECONDS)
    each = (memory_kib(peer.processes()) - held) / length.sockets
    for line in talk.lines:
        line.close()
    return _run(
        peer, "S4", used, rate=length.sockets / used.wall, count=length.sockets, kib=each,
        findings=await peer.check_access(opened[0]),
    )  # fmt: skip


async def s5(peer: Peer, length: Length) -> Run:
    await peer.gather(1)
    room = await peer.open_room([0])
    talk = await peer.fill(0, room, length.messages)
    request, delays = peer.page(0, room), array("q")
    await _page(request)
    before = used_until_now(peer.processes())
    until = time.perf_counter() + length.seconds
    await asyncio.gather(*(_ask(request, until, delays) for _ in range(PAGES_CONNECTIONS)))
    used = used_since(before, peer.processes())
    findings = [*await peer.check(talk, [room]), *await peer.check_access(room)]
    return _run(peer, "S5", used, rate=len(delays) / used.wall, count=len(delays), delays=delays, findings=findings)


SCENARIOS: dict[str, Callable[[Peer, Length], Awaitable[Run]]] = {
    "S1": s1,
    "S2": s2,
    "S2x5": s2x5,
    "S3": s3,
    "S4": s4,
    "S5": s5,
}


# What they share


async def _gathered(peer: Peer, rooms: int, members: int, senders: int) -> tuple[Talk, list[str]]:
    """Have rooms of people of their own, each of them listening. Small rooms are kept in the journal whole."""
    await peer.gather(rooms * members)
    talk, opened = Talk(), []
    for first in range(0, rooms * members, members):
        opened.append(await peer.open_room(range(first, first + members)))
    for room, first in zip(opened, range(0, rooms * members, members), strict=True):
        for place in range(members):
            await peer.line(talk, first + place, room, is_kept=place < senders + KEPT_LISTENERS or members <= 5)
    await asyncio.sleep(WARM_SECONDS)
    return talk, opened


async def _measured(talk: Talk, peer: Peer, seconds: float) -> Used:
    await asyncio.sleep(WARM_SECONDS)
    before = used_until_now(peer.processes())
    talk.is_measured = True
    await asyncio.sleep(seconds)
    talk.is_measured = False
    return used_since(before, peer.processes())


async def _finished(
    talk: Talk, peer: Peer, rooms: Sequence[str], used: Used, name: str, members: int, *, rate: str | None
) -> Run:
    """Wait for what is under way, and have everything checked."""
    deadline = time.perf_counter() + QUIET_SECONDS
    while talk.delivered < talk.said * members and time.perf_counter() < deadline:
        await asyncio.sleep(0.1)
    missing = talk.said * members - talk.delivered
    findings = [f"{missing} deliveries never came"] * bool(missing)
    findings += [*await peer.check(talk, rooms), *await peer.check_access(rooms[0])]
    for line in talk.lines:
        line.close()
    accepted = len(talk.acknowledgements)
    counted = talk.delivered_measured if rate is None else accepted
    return _run(peer, name, used, rate=counted / used.wall, count=accepted, delays=talk.delays, findings=findings)


def _run(
    peer: Peer,
    name: str,
    used: Used,
    *,
    rate: float,
    count: int,
    findings: list[str],
    delays: "array[int] | None" = None,
    kib: float = 0.0,
) -> Run:
    late = delays or array("q")
    return Run(
        name, peer.name, rate, 1000 * used.servers / max(1, count), percentile(late, 0.5), percentile(late, 0.99), kib,
        count, used.generator_percent, used.others_percent, findings,
        {kind: round(1000 * seconds / max(1, count), 4) for kind, seconds in used.of.items()},
    )  # fmt: skip


async def _opening(peer: Peer, talk: Talk, person: int, room: str) -> None:
    await peer.line(talk, person, room, is_kept=False)


async def _at_once(work: Sequence[Awaitable[None]]) -> None:
    """Do all of it, a few at once."""
    free = asyncio.Semaphore(CONNECTS_AT_ONCE)

    async def one(each: Awaitable[None]) -> None:
        async with free:
            await each

    await asyncio.gather(*(one(each) for each in work))


async def _page(asked: PageRequest) -> None:
    """Ask once, and see that it is a page of fifty."""
    reader, writer = await asyncio.open_connection("127.0.0.1", asked.port)
    page = json.loads(await _answer(reader, writer, asked.request))
    writer.close()
    messages = page if isinstance(page, list) else page["items"]
    assert len(messages) == PAGE_MESSAGES, f"a page has {len(messages)} messages"


async def _ask(asked: PageRequest, until: float, delays: "array[int]") -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", asked.port)
    while (began := time.perf_counter_ns()) < until * 1e9:
        await _answer(reader, writer, asked.request)
        delays.append(time.perf_counter_ns() - began)
    writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    return await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
