"""Attacks by connections: many of them, and such as never come to an end."""

import asyncio
import resource
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tests.attack.scene import Attack, Found, Scene
from tests.attack.wires import API, Wire, ask, request

IDLE = 1_050
IDLE_ALLOWED = 900  # of one address; the 1,050 must not all find a place
ADDRESSES, OF_EACH = 60, 40
PATIENCE_SECONDS = 80.0  # load balancers keep a connection for a minute, and servers a little longer
RECOVERY_SECONDS = 5.0
SLOW_READERS = 30


def _raise_own_bound() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _open_many(scene: Scene, addresses: list[str]) -> list[Wire]:
    """Open as many connections as are let in, some at a time."""
    opened: list[Wire] = []

    async def one(address: str) -> None:
        try:
            opened.append(await Wire.open(scene.port, address))
        except OSError:
            return

    for at in range(0, len(addresses), 50):
        await asyncio.gather(*(one(address) for address in addresses[at : at + 50]))
    return opened


async def _still_open(wires: list[Wire]) -> int:
    await asyncio.sleep(0.5)  # what was closed by the other end is heard of
    await asyncio.gather(*(wire.read(0.01) for wire in wires))
    return sum(not wire.is_closed for wire in wires)


async def idle(scene: Scene) -> Found:
    """One address holds some connections, not all: 1,050 idle ones leave room for everybody else (issue 9, 3)."""
    _raise_own_bound()
    scene.began()
    wires = await _open_many(scene, [scene.address] * IDLE)
    async for _ in scene.steps(1):
        pass
    still = await _still_open(wires)
    scene.ended()
    for wire in wires:
        wire.close()
    breaches = [f"one address holds {still} connections"] if still > IDLE_ALLOWED else []
    return Found(f"{IDLE} connections", f"{still} held", breaches)


async def descriptors(scene: Scene) -> Found:
    """When every descriptor is taken, by whole networks, the gateway is back as soon as they are given back."""
    _raise_own_bound()
    addresses = [f"127.0.{100 + n % ADDRESSES}.7" for n in range(ADDRESSES * OF_EACH)]
    scene.began()
    wires = await _open_many(scene, addresses)
    still = await _still_open(wires)
    for wire in wires:
        wire.close()
    scene.ended()
    answer = await ask(scene.port, scene.fresh_address(), "GET", "/livez", seconds=RECOVERY_SECONDS)
    breaches = [] if answer.status == 200 else [f"/livez is answered {answer.status} afterwards"]
    return Found(f"{len(addresses)} connections of {ADDRESSES} addresses", f"{still} held", breaches)


async def churn(scene: Scene) -> Found:
    """Connecting and hanging up five hundred times a second costs nobody else anything."""
    opened = refused = 0
    scene.began()
    async for _ in scene.steps(500):
        try:
            wire = await scene.wire()
        except OSError:
            refused += 1
            continue
        opened += 1
        wire.close()
    scene.ended()
    return Found(f"{opened + refused} connections", f"{opened} let in, {refused} not")


async def _until_closed(scene: Scene, first: bytes, drop: bytes = b"", a_second: float = 1.0) -> float | None:
    """Write, then a drop now and then; answers after how many seconds the server closed, or None."""
    wire = await scene.wire()
    started = asyncio.get_running_loop().time()
    await wire.write(first)
    while (passed := asyncio.get_running_loop().time() - started) < PATIENCE_SECONDS:
        if wire.is_closed or await wire.ends(1 / a_second):
            wire.close()
            return passed
        if drop:
            await wire.write(drop)
    wire.close()
    return None


async def _patiently(scene: Scene, what: str, *tries: Awaitable[float | None]) -> Found:
    scene.began()
    ends = await asyncio.gather(*tries)
    scene.ended()
    told = ", ".join("still open" if end is None else f"closed after {end:.0f} s" for end in ends)
    breaches = [f"{what} is open after {PATIENCE_SECONDS:.0f} s"] if None in ends else []
    return Found(f"{len(ends)} × {what}", told, breaches)


async def silent(scene: Scene) -> Found:
    """Who connects and says nothing is sent away in good time."""
    return await _patiently(scene, "a silent connection", _until_closed(scene, b""), _until_closed(scene, b"\r\n"))


async def half_heads(scene: Scene) -> Found:
    """Who does not finish the headers is sent away in good time, however steadily they trickle."""
    half = b"GET /livez HTTP/1.1\r\nHost: attack\r\nX: y"
    return await _patiently(
        scene, "half a head", _until_closed(scene, half), _until_closed(scene, half, b"y"),
        _until_closed(scene, b"GET /li"), _until_closed(scene, half + b"\r\n", b"X: y\r\n"),
    )  # fmt: skip


async def half_bodies(scene: Scene) -> Found:
    """Who does not finish a body is sent away in good time, with a token as without."""
    person = await scene.person()
    room = await scene.room(person)
    size = {"Content-Length": "5000"}
    login = request("POST", f"{API}/auth/login", b'{"email":', **size)
    post = request("POST", f"{API}/rooms/{room}/messages", b'{"content":"', token=person.token, **size)
    return await _patiently(
        scene, "half a body", _until_closed(scene, login), _until_closed(scene, login, b" "),
        _until_closed(scene, post), _until_closed(scene, post, b"x"),
    )  # fmt: skip


async def kept_alive(scene: Scene) -> Found:
    """A connection on which nothing is asked any more is closed in good time."""
    return await _patiently(scene, "an idle connection", _until_closed(scene, request("GET", "/livez")))


async def half_handshakes(scene: Scene) -> Found:
    """Nor does half a handshake, or a socket on which nobody says who they are, stay for ever."""
    upgrade = f"GET {API}/ws HTTP/1.1\r\nHost: attack\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n".encode()
    whole = upgrade + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    return await _patiently(scene, "half a socket", _until_closed(scene, upgrade), _until_closed(scene, whole))


async def unread_answer(scene: Scene) -> Found:
    """Who asks for a page of two megabytes and does not read it is let go in good time."""
    person, room = await scene.long_room()

    async def one() -> float | None:
        wire = await Wire.open(scene.port, scene.address, small_buffer=True)
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        started = asyncio.get_running_loop().time()
        await wire.write(request("GET", f"{API}/rooms/{room}/messages?limit=200", token=person.token))
        while (passed := asyncio.get_running_loop().time() - started) < PATIENCE_SECONDS:
            await asyncio.sleep(1)
            if not await wire.write(b"\r\n"):
                wire.close()
                return passed
        wire.close()
        return None

    return await _patiently(scene, "a connection whose answer nobody reads", one())


async def slow_reading(scene: Scene) -> Found:
    """Thirty big answers that nobody reads cost memory within bounds, and nobody else anything."""
    person, room = await scene.long_room()
    asked = request("GET", f"{API}/rooms/{room}/messages?limit=200&render=html", token=person.token)
    scene.began()
    wires: list[Wire] = []
    async for _ in scene.steps(SLOW_READERS / 2):
        if len(wires) == SLOW_READERS:
            continue
        try:
            wire = await Wire.open(scene.port, scene.address, small_buffer=True)
        except OSError:
            continue
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await wire.write(asked)
        wires.append(wire)
    scene.ended()
    for wire in wires:
        wire.close()
    return Found(f"{len(wires)} pages of 200", "not read")


def _patient(name: str, run: Callable[[Scene], Coroutine[Any, Any, Found]]) -> Attack:
    return Attack(name, run, is_watched=False, is_patient=True)


ATTACKS = (
    Attack("idle-connections", idle),
    Attack("descriptors", descriptors, is_watched=False),
    Attack("churn", churn),
    Attack("slow-reading", slow_reading, rss_growth_mib_max=64.0),
    _patient("silent", silent),
    _patient("half-heads", half_heads),
    _patient("half-bodies", half_bodies),
    _patient("kept-alive", kept_alive),
    _patient("half-handshakes", half_handshakes),
    _patient("unread-answer", unread_answer),
)
