"""G: what a message costs as a deployment grows: with the events that are on the record, with the members of a room, and
with the sockets that are open.

Each curve is of one deployment that is grown step by step, and says processor milliseconds of all processes of the server
for each accepted message (or page). History and members are written under the running deployment (`generator.py`); what
is measured is done over sockets and HTTP. Where a curve should be flat: record, members, idle sockets. Where it should grow
in proportion: listeners of the room.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from uuid import UUID

import httpx
from hansard_client import Client
from msgspec import Struct

from adapters.postgres.master_key import Master, load_master
from bench import size
from bench.deployment import Deployment
from bench.generator import append, crowd, generate
from bench.load import Socket
from bench.million import caught_up
from bench.sockets import Sender, people, room_of
from domain.ids import RoomId, UserId
from runtime.embedded.location import locate

EVENTS = (10_000, 100_000, 1_000_000)
MEMBERS = (10, 1_000, 10_000)
SOCKETS = (100, 1_000, 5_000)
MEASURED_SECONDS = 6.0
QUIET_SECONDS = 10.0
WARM_SECONDS = 2.0
ROUNDS = 3
ROOMS = 20
ROOM_PEOPLE = 5
TALKERS = 5
WINDOW = 8
LISTENERS = 50
SLOW_RATE = 5
PAGES = 300
OPENING_AT_ONCE = 50


class Point(Struct, frozen=True):
    """How large it was, and what was measured there."""

    size: int
    figure: float


class Curve(Struct, frozen=True):
    """What something costs at several sizes."""

    title: str
    sizes: str
    unit: str
    points: list[Point]


async def growth(events: Sequence[int] = EVENTS, sockets: Sequence[int] = SOCKETS) -> AsyncIterator[Curve]:
    """Measure curve after curve."""
    for curve in await by_events(events):
        yield curve
    yield await by_members()
    async for curve in by_sockets(sockets):
        yield curve


async def by_events(sizes: Sequence[int]) -> list[Curve]:
    """The record: a message in rooms of five, a page of the newest fifty in a busy old room, bytes on the disk."""
    messages, pages, disk = [], [], []
    async with Deployment() as deployment:
        crew = await people(deployment.base, ROOM_PEOPLE)
        rooms = [await room_of(crew[0], crew[1:], f"G {n}") for n in range(ROOMS)]
        me, owner = UserId(UUID((await crew[0].me()).id)), locate(deployment.home).database_url
        for seed, (before, wanted) in enumerate(pairwise((0, *sizes))):
            made, head = await generate(owner, _master(deployment), me, messages=wanted - before, seed=seed)
            await caught_up(deployment, head, time.perf_counter())
            async with _talk(deployment, crew, rooms) as talk:
                messages.append(Point(wanted, await _cost(deployment, talk)))
            pages.append(Point(wanted, await _page_cost(deployment, crew[0], str(made.busy_room))))
            disk.append(Point(wanted, await size.bytes_an_event(owner)))
    return [
        Curve("A message to 5 listeners", "events on the record", "ms", messages),
        Curve("A page of the newest 50 messages", "events on the record", "ms", pages),
        Curve("Disk, all tables and indexes, an event", "events on the record", "bytes", disk),
    ]


async def by_members() -> Curve:
    """A room's members, of whom five talk and fifty sockets listen."""
    points = []
    for members in MEMBERS:
        async with Deployment() as deployment:
            crew = await people(deployment.base, TALKERS)
            ids = [UserId(UUID((await person.me()).id)) for person in crew]
            chance = random.Random(members)
            room = RoomId(UUID(int=chance.getrandbits(128), version=4))
            owner = locate(deployment.home).database_url
            head = await append(owner, _master(deployment), chance, crowd(chance, room, ids, members))
            await caught_up(deployment, head, time.perf_counter())
            async with _talk(deployment, crew, [str(room)], listeners=LISTENERS, window=WINDOW) as talk:
                points.append(Point(members, await _cost(deployment, talk)))
    return Curve("A message to 50 listeners", "members of the room", "ms", points)


async def by_sockets(sizes: Sequence[int]) -> AsyncIterator[Curve]:
    """Sockets of other rooms, which hear nothing of it; then sockets of the same room, at five messages a second.

    Each round begins with the fewest again: what changes with time on a shared machine is then in every size.
    """
    async with Deployment() as deployment:
        crew = await people(deployment.base, ROOM_PEOPLE)
        rooms = [await room_of(crew[0], crew[1:], f"G {n}") for n in range(ROOMS)]
        elsewhere = await room_of(crew[0], crew[1:], "Elsewhere")
        idle: list[Socket] = []
        alone: dict[int, list[float]] = {count: [] for count in sizes}
        beside: dict[int, list[float]] = {count: [] for count in sizes}
        async with _talk(deployment, crew, rooms) as talk:
            for _ in range(ROUNDS):
                for count in sizes:
                    await _open(deployment, crew[1], elsewhere, idle, count, drop=True)
                    alone[count].append(await _cost_of_a_second(deployment))
                    beside[count].append(await _cost_once(deployment, talk, None))
        yield _least("A message to 5 listeners", "idle sockets beside them", "ms", beside)
        yield _least("A second in which nobody says anything", "idle sockets", "ms", alone)
        points = []
        async with _talk(deployment, crew[:1], [elsewhere]) as talk:
            for count in sizes:
                await _open(deployment, crew[1], elsewhere, idle, count, drop=True)
                points.append(Point(count, 1000 * await _cost(deployment, talk, rate=SLOW_RATE) / count))
        yield Curve("A delivery, at five messages a second", "sockets of the room", "µs", points)
        for each in idle:
            each.close()


Talk = list[Sender]


@asynccontextmanager
async def _talk(
    deployment: Deployment, crew: Sequence[Client], rooms: Sequence[str], *, listeners: int = 0, window: int = 1
) -> AsyncIterator[Talk]:
    """One sender a room, whom the others hear; or, in one room, everybody sends and so many sockets hear."""
    speakers = crew if listeners else crew[:1]
    talk = [Sender(deployment, person, room, window=window) for room in rooms for person in speakers]
    heard: list[Socket] = []
    try:
        for sender in talk:
            await sender.open()
        for room in rooms:
            for number in range(max(0, listeners - len(talk)) or len(crew) - 1):
                heard.append(await _socket(deployment, await crew[1 + number % (len(crew) - 1)].token(), room))
        yield talk
    finally:
        for each in (*(sender.socket for sender in talk), *heard):
            each.close()


async def _cost(deployment: Deployment, talk: Talk, *, rate: float | None = None) -> float:
    """Return the processor milliseconds of a message: the least of several rounds, as others' work only adds."""
    return min([await _cost_once(deployment, talk, rate) for _ in range(ROUNDS)])


async def _cost_once(deployment: Deployment, talk: Talk, rate: float | None) -> float:
    if rate is None:
        for sender in talk:
            sender.start()
        await asyncio.sleep(WARM_SECONDS)
    before, accepted = deployment.cpu_seconds(), sum(sender.acknowledged for sender in talk)
    if rate is None:
        await asyncio.sleep(MEASURED_SECONDS)
    else:
        for _ in range(int(MEASURED_SECONDS * rate)):
            talk[0].say_once()
            await asyncio.sleep(1 / rate)
    used = deployment.cpu_seconds() - before
    accepted = sum(sender.acknowledged for sender in talk) - accepted
    for sender in talk:
        sender.stop()
    await asyncio.sleep(WARM_SECONDS)
    return 1000 * used / max(1, accepted)


async def _cost_of_a_second(deployment: Deployment) -> float:
    before, began = deployment.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(QUIET_SECONDS)
    return 1000 * (deployment.cpu_seconds() - before) / (time.perf_counter() - began)


def _least(title: str, sizes: str, unit: str, figures: Mapping[int, Sequence[float]]) -> Curve:
    return Curve(title, sizes, unit, [Point(size, min(found)) for size, found in figures.items()])


async def _page_cost(deployment: Deployment, person: Client, room: str) -> float:
    headers = {"Authorization": f"Bearer {await person.token()}"}
    async with httpx.AsyncClient(base_url=deployment.base + "/api/v1", headers=headers, timeout=60) as http:

        async def ask() -> None:
            (await http.get(f"/rooms/{room}/messages")).raise_for_status()

        await ask()
        costs = []
        for _ in range(ROUNDS):
            before = deployment.cpu_seconds()
            for _ in range(PAGES):
                await ask()
            costs.append(1000 * (deployment.cpu_seconds() - before) / PAGES)
        return min(costs)


def _master(deployment: Deployment) -> Master:
    return load_master(deployment.home / "master.key", create=False)


async def _open(
    deployment: Deployment, person: Client, room: str, there: list[Socket], count: int, *, drop: bool = False
) -> None:
    """Have so many sockets in a room, a few opened at once."""
    if drop and len(there) > count:
        for each in there[count:]:
            each.close()
        del there[count:]
        await asyncio.sleep(WARM_SECONDS)
    free, token = asyncio.Semaphore(OPENING_AT_ONCE), await person.token()

    async def one() -> None:
        async with free:
            there.append(await _socket(deployment, token, room))

    await asyncio.gather(*(one() for _ in range(count - len(there))))
    await asyncio.sleep(WARM_SECONDS)


async def _socket(deployment: Deployment, token: str, room: str) -> Socket:
    return await Socket.open("127.0.0.1", deployment.port, f"/api/v1/ws/{room}", token, None)
