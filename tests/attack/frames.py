"""Attacks by frames: what one socket can make a gateway do."""

import asyncio
import json
from collections.abc import Callable
from uuid import uuid4

from tests.attack.scene import Attack, Found, Person, Scene
from tests.attack.wires import CONTINUATION, PING, PONG, TEXT, WebSocket, frame_of

FLOOD_BYTES_A_SECOND = 2_000_000  # in frames of 6 bytes it is more than a gateway can look at
WRITES_A_SECOND = 4
DEAR_A_SECOND = 80  # well within the 100 frames a second that a socket may send
FRAME_BYTES = 127 * 1024
SETTLE_SECONDS = 3.0
UNREAD_BYTES_A_SECOND = 8_000_000


async def _opened(scene: Scene, person: Person | None, **options: bool) -> WebSocket:
    return await scene.socket(token=person.token if person else "", **options)


async def _flood(
    scene: Scene, piece: bytes, *, person: Person | None = None, first: bytes = b"", is_read: bool = True,
    bytes_a_second: int = FLOOD_BYTES_A_SECOND,
) -> Found:  # fmt: skip
    """Send a frame again and again on one socket until it is closed or the time is over."""
    socket = await _opened(scene, person, small_buffer=not is_read)
    many = piece * (bytes_a_second // WRITES_A_SECOND // len(piece))
    scene.began()
    await socket.write(first)
    reading = asyncio.create_task(socket.ends(scene.seconds + SETTLE_SECONDS)) if is_read else None
    written = 0
    async for _ in scene.steps(WRITES_A_SECOND):
        if not await socket.write(many, 0.5):
            if socket.is_closed:
                break
            await asyncio.sleep(0.2)  # it takes no more: that is a defence as well
            continue
        written += len(many)
    scene.ended()
    if reading is not None:
        await reading
    frames = written // len(piece)
    sent = f"{frames:,} frames, {written / 1e6:.1f} MB"
    answered = f"{'closed' if socket.is_closed else 'still open'}, {socket.bytes_read:,} bytes came back"
    is_held = socket.is_closed or frames < 1_000 * scene.seconds or not is_read
    socket.close()
    return Found(sent, answered, [] if is_held else [f"{frames:,} frames on one socket, which is still open"])


async def pings(scene: Scene) -> Found:
    """A socket without a token that floods it with empty pings costs nobody else anything (issue 9, 1)."""
    return await _flood(scene, frame_of(PING))


async def pongs(scene: Scene) -> Found:
    """Nor does one that sends empty pongs."""
    return await _flood(scene, frame_of(PONG))


async def continuations(scene: Scene) -> Found:
    """Nor does one whose message has pieces without end and nothing in them."""
    return await _flood(scene, frame_of(CONTINUATION, is_last=False), first=frame_of(TEXT, b"{", is_last=False))


async def pings_of_a_member(scene: Scene) -> Found:
    """A token buys no flood of pings."""
    return await _flood(scene, frame_of(PING), person=await scene.person())


async def fragments(scene: Scene) -> Found:
    """Messages in pieces of one byte are charged by piece."""
    piece = frame_of(CONTINUATION, b" ", is_last=False)
    return await _flood(scene, piece, person=await scene.person(), first=frame_of(TEXT, b"{", is_last=False))


async def unread_pongs(scene: Scene) -> Found:
    """Who does not read what answers their pings is read no further: the gateway keeps no megabytes of it."""
    piece = frame_of(PING, b"p" * 125)
    return await _flood(scene, piece, is_read=False, bytes_a_second=UNREAD_BYTES_A_SECOND)


async def _dear(scene: Scene, make: Callable[[int], bytes]) -> Found:
    """Send dear frames, slower than frames are limited; a socket that is closed for it is opened again."""
    person = await scene.person()
    socket = await _opened(scene, person)
    reading = asyncio.create_task(socket.ends(scene.seconds + SETTLE_SECONDS))
    closed = sent = 0
    scene.began()
    async for n in scene.steps(DEAR_A_SECOND):
        if await socket.write(make(n), 1.0):
            sent += 1
        elif socket.is_closed:
            closed += 1
            reading.cancel()
            await asyncio.sleep(0.5)
            try:
                socket = await _opened(scene, person)
            except OSError:
                continue
            reading = asyncio.create_task(socket.ends(scene.seconds + SETTLE_SECONDS))
    scene.ended()
    reading.cancel()
    socket.close()
    return Found(f"{sent} frames, {DEAR_A_SECOND}/s", f"closed {closed} times" if closed else "took all")


async def quotes(scene: Scene) -> Found:
    r"""A frame is charged by what it costs: 128 KiB of `\":` take no more of a gateway than other bytes (issue 9, 7)."""
    room = str(uuid4()).encode()
    text = b'{"id":1,"type":"send","room_id":"%s","content":"%s"}' % (room, b'\\":' * (FRAME_BYTES // 3 - 50))
    return await _dear(scene, lambda n: frame_of(TEXT, text))


async def subscriptions(scene: Scene) -> Found:
    """Subscribing to a thousand rooms in a frame is charged by room."""
    frame = {"id": 1, "type": "subscribe", "rooms": {str(uuid4()): 0 for _ in range(1_000)}}
    return await _dear(scene, lambda n: frame_of(TEXT, json.dumps(frame).encode()))


async def nested(scene: Scene) -> Found:
    """JSON nested 60,000 deep is refused like any other frame that makes no sense."""
    deep = frame_of(TEXT, b'{"id":1,"type":' + b"[" * (FRAME_BYTES // 2) + b"]" * (FRAME_BYTES // 2 - 40) + b"}")
    return await _dear(scene, lambda n: deep)


async def huge_numbers(scene: Scene) -> Found:
    """A number of 120,000 digits is not worked out."""
    number = frame_of(TEXT, b'{"type":"ping","id":' + b"9" * (FRAME_BYTES - 100) + b"}")
    return await _dear(scene, lambda n: number)


async def handshakes(scene: Scene) -> Found:
    """Opening and closing sockets without end is limited by address."""
    opened = refused = 0

    async def one() -> bool:
        try:
            socket = await scene.socket()
        except OSError:
            return False
        socket.close()
        return True

    scene.began()
    async for _ in scene.steps(100):
        if await one():
            opened += 1
        else:
            refused += 1
    scene.ended()
    allowed = 100 + 10 * scene.seconds + 20  # the burst, the rate, and some for the clock
    breaches = [f"{opened} sockets opened by one address in {scene.seconds:.0f} s"] if opened > allowed else []
    return Found(f"{opened + refused} handshakes", f"{opened} opened, {refused} refused", breaches)


ATTACKS = (
    Attack("pings", pings),
    Attack("pongs", pongs),
    Attack("continuations", continuations),
    Attack("pings-of-a-member", pings_of_a_member),
    Attack("fragments", fragments),
    Attack("unread-pongs", unread_pongs, rss_growth_mib_max=12.0),
    Attack("quotes", quotes),
    Attack("subscriptions", subscriptions),
    Attack("nested", nested),
    Attack("huge-numbers", huge_numbers),
    Attack("handshakes", handshakes),
)
