"""Attacks by what a person may do: slow uploads, and reading as much as the limits allow."""

import asyncio

from tests.attack.scene import Attack, Found, Person, Scene, Tally
from tests.attack.wires import API, Wire, ask, request

READS_A_SECOND = 45  # below the 50 that a person may ask
UPLOADERS, OF_EACH = 8, 8
SLOW_BYTES_A_SECOND = 5 * 1024  # a little above what an upload must have
OTHERS_TRIES = 6
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


async def slow_uploads(scene: Scene) -> Found:
    """Eight accounts with eight slow uploads each leave places to others (issue 9, 6)."""
    people = [await scene.person() for _ in range(UPLOADERS)]
    other = await scene.person()
    head = {"Content-Length": str(20 * 1024**2), **MULTIPART}
    wires: list[Wire] = []
    scene.began()
    for person in people:
        for _ in range(OF_EACH):
            try:
                wire = await scene.wire()
            except OSError:
                continue
            await wire.write(request("POST", f"{API}/files/upload", PART + b"x" * 4096, token=person.token, **head))
            wires.append(wire)
    await asyncio.sleep(1.0)  # all of them are under way
    tally = Tally()
    every = max(1.0, scene.seconds / OTHERS_TRIES)
    for _ in range(OTHERS_TRIES):
        await asyncio.gather(*(wire.write(b"x" * int(SLOW_BYTES_A_SECOND * every), 0.2) for wire in wires))
        body = PART + b"y\r\n--b--\r\n"
        tally.add(await ask(scene.port, scene.fresh_address(), "POST", f"{API}/files/upload", body,
                            token=other.token, **MULTIPART))  # fmt: skip
        await asyncio.sleep(every)
    held = sum(not wire.is_closed for wire in wires)
    scene.ended()
    for wire in wires:
        wire.close()
    served = tally.counts[202]
    breaches = [f"of {OTHERS_TRIES} uploads by somebody else {served} were taken"] if served < OTHERS_TRIES / 2 else []
    return Found(
        f"{len(wires)} uploads at {SLOW_BYTES_A_SECOND / 1024:.0f} KiB/s", f"{held} held; others: {tally}", breaches
    )


async def _read(scene: Scene, person: Person | None, path: str, a_second: float = READS_A_SECOND) -> Found:
    """Ask again and again from one address over a few connections, and read what comes."""
    token = person.token if person else ""
    tally, asked, size = Tally(), iter(range(int(a_second * scene.seconds))), 0
    started = asyncio.get_running_loop().time()
    scene.began()

    async def some() -> None:
        nonlocal size
        wire: Wire | None = None
        for n in asked:
            await asyncio.sleep(max(0.0, started + n / a_second - asyncio.get_running_loop().time()))
            if scene.is_over:
                break
            try:
                if wire is None or wire.is_closed:
                    wire = await scene.wire()
            except OSError:
                tally.add(-1)
                continue
            answer = await wire.ask("GET", path, token=token)
            size += len(answer.body)
            tally.add(answer)
        if wire is not None:
            wire.close()

    await asyncio.gather(*(some() for _ in range(4)))
    scene.ended()
    return Found(f"{tally.counts.total()} reads", f"{tally}; {size / 1e6:.1f} MB")


async def search(scene: Scene) -> Found:
    """Searching for rooms as often as one may costs nobody else anything."""
    person = await scene.person()
    for _ in range(40):
        await scene.room(person, description="%a_" * 300)
    return await _read(scene, person, f"{API}/rooms?limit=200&q=" + "%25a_" * 15)


async def rooms(scene: Scene) -> Found:
    """Nor does listing them."""
    person = await scene.person()
    for _ in range(40):
        await scene.room(person, description="d" * 1_000)
    return await _read(scene, person, f"{API}/rooms?limit=200&joined=true")


async def long_pages(scene: Scene) -> Found:
    """A page of the longest messages is bounded in bytes: asked for as often as one may, it costs nobody else anything."""
    person, room = await scene.long_room()
    return await _read(scene, person, f"{API}/rooms/{room}/messages?limit=200&render=html")


async def metrics(scene: Scene) -> Found:
    """What has no limit and no token is cheap, or has a limit: /metrics, two hundred times a second."""
    return await _read(scene, None, "/metrics", 200)


async def readiness(scene: Scene) -> Found:
    """The same of /readyz, which asks Postgres and Redis."""
    return await _read(scene, None, "/readyz", 200)


async def schema(scene: Scene) -> Found:
    """The same of the OpenAPI document."""
    return await _read(scene, None, "/schema/openapi.json", 45)


async def nowhere(scene: Scene) -> Found:
    """The same of what is not there."""
    return await _read(scene, None, "/nowhere/" + "x" * 2_000, 200)


ATTACKS = (
    Attack("slow-uploads", slow_uploads, is_watched=False),
    Attack("search", search),
    Attack("rooms", rooms),
    Attack("long-pages", long_pages, rss_growth_mib_max=64.0),
    Attack("metrics", metrics),
    Attack("readiness", readiness),
    Attack("schema", schema),
    Attack("nowhere", nowhere),
)
